import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { client, collect, converse, converseStream, outcome } from "./helpers.ts"

describe("lifecycle", () => {
  it.effect(
    "closing the scope leaves no socket, timer or fiber: the process ends by itself",
    () =>
      Effect.gen(function*() {
        const script = fileURLToPath(new URL("fixtures/exits.ts", import.meta.url))
        const { code, output } = yield* Effect.callback<{ code: number | null; output: string }>((resume) => {
          let output = ""
          const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] })
          child.stdout.on("data", (chunk) => {
            output += chunk
          })
          child.on("close", (code) => resume(Effect.succeed({ code, output })))
          return Effect.sync(() => child.kill())
        })
        assert.strictEqual(code, 0)
        const { refused, stats } = JSON.parse(output)
        assert.strictEqual(refused, "ECONNREFUSED")
        assert.strictEqual(stats.inFlight, 0)
        assert.deepStrictEqual(stats.errors, { Disconnected: 4 })
      }),
    20_000
  )

  it.live("the port is free again when the scope has closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(Emulator.make(), scope)
      yield* Scope.close(scope, Exit.void)
      const second = yield* Emulator.make({ port: first.port })
      assert.strictEqual(second.port, first.port)
    }))

  it.live("a port that is taken is an error that says so", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.make()
      const error = yield* Effect.flip(Emulator.make({ port }))
      assert.strictEqual(error.kind, "listen")
      assert.match(error.message, /EADDRINUSE/)
    }))

  it.live("thousands of requests at once", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ latency: LatencyModel.uniform(50, 150), output: OutputModel.fixed(20) })
      const sdk = yield* client(emulator)
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, i) => i),
        (i) => outcome(converse(sdk, `prompt ${i}`, 100)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(outcomes), new Set(["answered"]))
      const stats = yield* emulator.stats
      assert.strictEqual(stats.answered, 2000)
      assert.isAtMost(stats.connections, 1000)
      assert.strictEqual(stats.inFlight, 0)
    }))

  it.live("hundreds of streams at once, each on its own HTTP/2 connection", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ latency: LatencyModel.uniform(20, 60), output: OutputModel.fixed(50) })
      const sdk = yield* client(emulator, "h2")
      const complete = yield* Effect.forEach(
        Array.from({ length: 200 }, (_, i) => i),
        (i) =>
          Effect.flatMap(converseStream(sdk, `prompt ${i}`, 100), ({ stream }) => collect(stream)).pipe(
            Effect.map(({ events }) => events.at(-1)?.metadata !== undefined)
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(complete), new Set([true]))
      assert.strictEqual((yield* emulator.stats).connections, 200)
    }))

  it.live("the latency that it reports is true", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ latency: LatencyModel.uniform(5, 60), log: 100 })
      const sdk = yield* client(emulator)
      const measured = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i),
        (i) =>
          Effect.gen(function*() {
            const before = performance.now()
            const { $metadata, metrics } = yield* converse(sdk, `prompt ${i}`, 100)
            return {
              id: $metadata.requestId,
              seen: performance.now() - before,
              reported: metrics?.latencyMs ?? Number.NaN
            }
          }),
        { concurrency: 4 }
      )
      const log = new Map((yield* emulator.log).map((record) => [record.requestId, record]))
      for (const { id, reported, seen } of measured) {
        const record = log.get(id ?? "")
        assert.isAtMost(reported, seen + 1)
        assert.isAtLeast(reported + 1, record?.latencyMillis ?? Number.NaN)
        assert.isAtMost(reported, (record?.endedAt ?? 0) - (record?.arrivedAt ?? 0) + 0.5)
      }
    }))

  layer(Emulator.layer({ output: OutputModel.fixed(3), latency: LatencyModel.fixed(0) }))("as a layer", (it) => {
    it.effect("is a service", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sdk = yield* client(emulator)
        assert.strictEqual((yield* converse(sdk, "Hi", 10)).usage?.outputTokens, 3)
        assert.strictEqual(emulator.url, `http://127.0.0.1:${emulator.port}`)
      }))
  })
})
