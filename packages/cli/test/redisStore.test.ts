/** The connection to a Redis that runs share: a real one, and a wire before it that can fall silent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schedule } from "effect"
import { Redis } from "effect/persistence"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import * as RedisServers from "../../rate-limiter/test/redisServers.ts"
import * as redisStore from "../src/internal/redisStore.ts"

/** What goes to `port`, until it is silent: then connections stand, and nothing goes either way. */
const wire = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<
      { readonly port: number; readonly fallSilent: () => void; readonly speak: () => void; readonly close: () => void }
    >(
      (resume) => {
        let silent = false
        const open = new Set<Socket>()
        const forward = (from: Socket, to: Socket) => {
          open.add(from)
          from.on("data", (bytes) => silent || to.write(bytes)).on("error", () => to.destroy()).on("close", () => {
            open.delete(from)
            to.destroy()
          })
        }
        const server = createServer((near) => {
          const far = connect(port, "127.0.0.1")
          forward(near, far)
          forward(far, near)
        })
        server.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({
            port: (server.address() as AddressInfo).port,
            fallSilent: () => {
              silent = true
            },
            speak: () => {
              silent = false
            },
            close: () => {
              for (const socket of open) socket.destroy()
              server.close()
            }
          })))
      }
    ),
    (wire) => Effect.sync(wire.close)
  )

const connection = (url: string) => Layer.provide(redisStore.connection(url, 200), Logger.layer([]))

describe("a Redis that runs share", () => {
  it.live("which can't be reached at the start is told at once", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.provide(Effect.void, connection("redis://127.0.0.1:1")))
      assert.isTrue(Exit.isFailure(exit))
    }))

  // A real server. Where it can't be had it is said loudly; with `CI`, `installed` fails instead.
  it.live.skipIf(!RedisServers.installed("redis"))(
    "is connected again where it fell silent",
    () =>
      Effect.gen(function*() {
        const server = yield* RedisServers.start("redis")
        const between = yield* wire(server.port)
        yield* Effect.gen(function*() {
          const redis = yield* Redis.Redis
          const ping = redis.send<string>("PING")
          assert.strictEqual(yield* ping, "PONG")
          between.fallSilent()
          assert.isTrue(Exit.isFailure(yield* Effect.exit(ping)))
          between.speak()
          assert.strictEqual(yield* Effect.retry(ping, Schedule.spaced("20 millis")), "PONG")
        }).pipe(Effect.provide(connection(`redis://127.0.0.1:${between.port}`)))
      }).pipe(Effect.scoped),
    60_000
  )
})
