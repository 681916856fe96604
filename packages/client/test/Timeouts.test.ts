import { CallDeadline, type Timeouts } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type * as Http from "node:http"
import * as Net from "node:net"
import {
  answer,
  clientOf,
  credentials,
  eventually,
  frames,
  request,
  saying,
  sendJson,
  server,
  startStream,
  turns
} from "./server.ts"

const silent = (timeouts: Timeouts.Timeouts | undefined, frames: ReadonlyArray<Uint8Array> = []) =>
  Effect.gen(function*() {
    const arrived = yield* Deferred.make<void>()
    const { open, url } = yield* server((_request, response) => {
      if (frames.length > 0) startStream(response).write(Buffer.concat(frames))
      Deferred.doneUnsafe(arrived, Exit.void)
    })
    const client = yield* clientOf(url, { timeouts })
    return { client, open, arrived: Deferred.await(arrived) }
  })

const kindOf = <E>(fiber: Fiber.Fiber<BedrockError, E>) =>
  Effect.map(Fiber.join(fiber), ({ reason }) => reason._tag === "TimeoutError" ? reason.kind : reason._tag)

describe("Timeouts", () => {
  it.effect("first-token: no answer within 60 minutes, by default", () =>
    Effect.gen(function*() {
      const { arrived, client, open } = yield* silent(undefined)
      const fiber = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      yield* arrived
      yield* TestClock.adjust("59 minutes")
      assert.isUndefined(fiber.pollUnsafe())
      assert.strictEqual(open.size, 1)
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag === "TimeoutError" && error.reason.kind, "first-token")
      assert.strictEqual(error.attempts, 1)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("first-token: a stream that starts and gives no content", () =>
    Effect.gen(function*() {
      const { arrived, client, open } = yield* silent({ firstToken: "30 seconds" }, [frames.start])
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runDrain(client.converseStream(request))))
      yield* arrived
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* kindOf(fiber), "first-token")
      yield* eventually(() => open.size === 0)
    }))

  it.effect("call: the nearer limit is named", () =>
    Effect.gen(function*() {
      const { arrived, client } = yield* silent({ firstToken: "30 seconds", call: "20 seconds" })
      const fiber = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      yield* arrived
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* kindOf(fiber), "call")
    }))

  it.effect("between-tokens: silence after content interrupts the stream, with what there was", () =>
    Effect.gen(function*() {
      const { client, open } = yield* silent({ betweenTokens: "5 seconds" }, [frames.start, frames.text("Hel")])
      const content = yield* Deferred.make<void>()
      const fiber = yield* client.converseStream(request).pipe(
        saying(content),
        Effect.flip,
        Effect.forkChild
      )
      yield* Deferred.await(content)
      yield* TestClock.adjust("5 seconds")
      const { reason } = yield* Fiber.join(fiber)
      if (reason._tag !== "InterruptedStreamError") return assert.fail(reason.message)
      assert.strictEqual(reason.partial.text, "Hel")
      assert.strictEqual(reason.origin?._tag === "TimeoutError" && reason.origin.kind, "between-tokens")
      yield* eventually(() => open.size === 0)
    }))

  /** A stream whose server says the next frame when it is told to. */
  const told = (timeouts: Timeouts.Timeouts) =>
    Effect.gen(function*() {
      let response: Http.ServerResponse | undefined
      const { open, url } = yield* server((_request, response_) => {
        response = response_
        startStream(response_).flushHeaders()
      })
      const client = yield* clientOf(url, { timeouts })
      let received = 0
      const fiber = yield* client.converseStream(request).pipe(
        Stream.runForEach(() => Effect.sync(() => received++)),
        Effect.forkChild
      )
      yield* eventually(() => response !== undefined)
      const say = (frame: Uint8Array) =>
        Effect.gen(function*() {
          const before = received
          response?.write(frame)
          yield* eventually(() => received > before)
        })
      return { fiber, open, say, error: Effect.flip(Fiber.join(fiber)) }
    })

  it.effect("first-token: all the waiting before the first content counts, whatever else comes", () =>
    Effect.gen(function*() {
      const { fiber, error, say } = yield* told({ firstToken: "30 seconds" })
      yield* TestClock.adjust("20 seconds")
      yield* say(frames.start)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { reason } = yield* error
      assert.strictEqual(reason._tag === "TimeoutError" && reason.kind, "first-token")
    }))

  it.effect("between-tokens: counts from the last token", () =>
    Effect.gen(function*() {
      const { fiber, error, say } = yield* told({ betweenTokens: "5 seconds" })
      yield* TestClock.adjust("10 minutes")
      for (const text of ["a", "b", "c"]) {
        yield* say(frames.text(text))
        yield* TestClock.adjust("4 seconds")
      }
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { reason } = yield* error
      assert.strictEqual(reason._tag === "InterruptedStreamError" && reason.partial.text, "abc")
    }))

  it.effect("call: all the waiting of a stream counts", () =>
    Effect.gen(function*() {
      const { fiber, error, say } = yield* told({ call: "10 seconds", betweenTokens: "5 seconds" })
      for (const text of ["a", "b", "c"]) {
        yield* say(frames.text(text))
        yield* TestClock.adjust("3 seconds")
      }
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { reason } = yield* error
      if (reason._tag !== "InterruptedStreamError") return assert.fail(reason.message)
      assert.strictEqual(reason.origin?._tag === "TimeoutError" && reason.origin.kind, "call")
    }))

  it.effect("a whole answer is not lost because the server does not end the response", () =>
    Effect.gen(function*() {
      const { fiber, open, say } = yield* told({})
      for (const frame of [frames.start, frames.text("a"), frames.stop, frames.metadata]) yield* say(frame)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("a slow consumer expires none of them", () =>
    Effect.gen(function*() {
      const whole = [frames.start, frames.text("Hel"), frames.text("lo."), frames.stop, frames.metadata]
      const { client } = yield* silent(
        { firstToken: "10 seconds", betweenTokens: "5 seconds", call: "20 seconds" },
        whole
      )
      let held = 0
      const fiber = yield* client.converseStream(request).pipe(
        Stream.take(5),
        Stream.mapEffect(() => {
          held++
          return Effect.sleep("1 hour")
        }),
        Stream.runCount,
        Effect.forkChild
      )
      for (let i = 1; i <= 5; i++) {
        yield* eventually(() => held === i)
        yield* TestClock.adjust("1 hour")
      }
      assert.strictEqual(yield* Fiber.join(fiber), 5)
    }))

  it.effect("connect: a handshake that nobody answers", () =>
    Effect.gen(function*() {
      // A TLS handshake against a server that takes the connection and says nothing.
      const { open, port } = yield* Effect.acquireRelease(
        Effect.callback<{ readonly port: number; readonly server: Net.Server; readonly open: Set<Net.Socket> }>(
          (resume) => {
            const open = new Set<Net.Socket>()
            const server = Net.createServer((socket) => {
              open.add(socket)
              socket.on("error", () => {})
              socket.on("close", () => open.delete(socket))
              socket.resume()
            })
            server.listen(0, "127.0.0.1", () => {
              const address = server.address()
              if (address !== null && typeof address === "object") {
                resume(Effect.succeed({ port: address.port, server, open }))
              }
            })
          }
        ),
        ({ server }) => Effect.sync(() => server.close())
      )
      const client = yield* clientOf(`https://127.0.0.1:${port}`, { timeouts: { connect: "30 millis" } })
      const error = yield* Effect.flip(client.converse(request))
      assert.strictEqual(error.reason._tag === "TimeoutError" && error.reason.kind, "connect")
      assert.strictEqual(error.attempts, 0)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("all connections in use: the message says what it was that did not come", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_request, response) => {
        startStream(response).write(Buffer.concat([frames.start, frames.text("a")]))
      })
      const client = yield* clientOf(url, { maxConnections: 1, timeouts: { firstToken: "30 seconds" } })
      const content = yield* Deferred.make<void>()
      const stream = yield* client.converseStream(request).pipe(
        saying(content),
        Effect.forkChild
      )
      yield* Deferred.await(content)
      const waiting = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      const hurried = yield* client.converse(request).pipe(
        Effect.provideServiceEffect(CallDeadline.CallDeadline, CallDeadline.after("20 seconds")),
        Effect.flip,
        Effect.forkChild
      )
      yield* turns()
      yield* TestClock.adjust("30 seconds")
      for (const [fiber, kind] of [[waiting, "first-token"], [hurried, "deadline"]] as const) {
        const { attempts, reason } = yield* Fiber.join(fiber)
        assert.strictEqual(reason._tag === "TimeoutError" && reason.kind, kind)
        assert.strictEqual(attempts, 0)
        assert.include(reason.message, "maxConnections are in use")
      }
      yield* Fiber.interrupt(stream)
    }))

  it.effect("all connections in use: no time for credentials is counted before one is free, and all of it then", () =>
    Effect.gen(function*() {
      const replies: Array<() => void> = []
      const { url } = yield* server((_request, response) => replies.push(() => sendJson(response, answer)))
      // Real time: the SDK goes by no other clock.
      const found = { ...credentials, expiration: new Date(Date.now() + 1_000) }
      let find = () => Promise.resolve(found)
      const client = yield* clientOf(url, {
        maxConnections: 1,
        credentials: () => find(),
        timeouts: { credentials: "20 seconds" }
      })
      const first = yield* Effect.forkChild(client.converse(request))
      yield* eventually(() => replies.length === 1)
      find = () => new Promise(() => {})
      const second = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      yield* turns()
      yield* TestClock.adjust("30 seconds")
      replies[0]?.()
      yield* Fiber.join(first)
      yield* turns()
      yield* TestClock.adjust("19 seconds")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { reason } = yield* Fiber.join(second)
      assert.deepStrictEqual(reason._tag === "TimeoutError" && reason.kind, "credentials")
    }))

  it.effect("more than Node's timers can hold is no warning", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const onWarning = (warning: Error) => void warnings.push(warning.name)
      process.on("warning", onWarning)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.off("warning", onWarning)))
      const { url } = yield* server((_request, response) => sendJson(response, answer))
      const long = "1000 days"
      const client = yield* clientOf(url, {
        timeouts: { connect: long, credentials: long, firstToken: long, betweenTokens: long, call: long }
      })
      yield* client.converse(request)
      yield* turns()
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("infinity switches a limit off", () =>
    Effect.gen(function*() {
      const off = Duration.infinity
      const { arrived, client } = yield* silent({ connect: off, firstToken: off, betweenTokens: off, call: off })
      const fiber = yield* Effect.forkChild(client.converse(request))
      yield* arrived
      yield* TestClock.adjust("1000 days")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }))
})
