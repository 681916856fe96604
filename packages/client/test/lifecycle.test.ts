import { CallObserver } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import type * as Net from "node:net"
import {
  answer,
  clientOf,
  eventually,
  frames,
  onCreated,
  request,
  saying,
  sendJson,
  server,
  startStream,
  turns
} from "./server.ts"

const active = (name: string) => process.getActiveResourcesInfo().filter((active) => active === name).length

describe("interruption", () => {
  it.effect("of a call that waits for its answer closes the connection at once", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const { open, url } = yield* server(() => {
        Deferred.doneUnsafe(arrived, Exit.void)
      })
      const client = yield* clientOf(url)
      const fiber = yield* Effect.forkChild(client.converse(request))
      yield* Deferred.await(arrived)
      assert.strictEqual(open.size, 1)
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("before the request was made sends nothing", () =>
    Effect.gen(function*() {
      const arrived: Array<string> = []
      let seen = 0
      const asked = yield* Deferred.make<void>()
      let give: (credentials: { accessKeyId: string; secretAccessKey: string }) => void = () => {}
      const { url } = yield* server((_incoming, response, body) => {
        arrived.push(JSON.parse(body).messages[0].content[0].text)
        sendJson(response, answer)
      })
      const client = yield* clientOf(url, {
        credentials: () => {
          Deferred.doneUnsafe(asked, Exit.void)
          return new Promise((resolve) => {
            give = resolve
          })
        }
      })
      const fiber = yield* client.converse(request).pipe(
        Effect.provideService(CallObserver.CallObserver, { onFlushed: () => seen++, onResponse: () => seen++ }),
        Effect.forkChild
      )
      yield* Deferred.await(asked)
      // The second waits for the same credentials, behind the first.
      const second = yield* Effect.forkChild(
        client.converse({ ...request, messages: [{ role: "user", content: [{ text: "second" }] }] })
      )
      yield* turns()
      yield* Fiber.interrupt(fiber)
      give({ accessKeyId: "a", secretAccessKey: "b" })
      yield* Fiber.join(second)
      yield* turns()
      assert.deepStrictEqual(arrived, ["second"])
      assert.strictEqual(seen, 0)
    }))

  it.effect("of a stream closes the connection at once", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server((_request, response) => {
        startStream(response).write(Buffer.concat([frames.start, frames.text("a")]))
      })
      const client = yield* clientOf(url)
      const first = yield* Deferred.make<void>()
      const fiber = yield* client.converseStream(request).pipe(
        saying(first),
        Effect.forkChild
      )
      yield* Deferred.await(first)
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("is what leaving a stream early does to it", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server((_request, response) => {
        startStream(response).write(Buffer.concat([frames.start, frames.text("a"), frames.text("b")]))
      })
      const client = yield* clientOf(url)
      const events = yield* client.converseStream(request).pipe(Stream.take(2), Stream.runCollect)
      assert.strictEqual(events.length, 2)
      yield* eventually(() => open.size === 0)
    }))
})

describe("closing the client", () => {
  it.effect("leaves no socket and no timer behind", () =>
    Effect.gen(function*() {
      const { open, url } = yield* server((incoming, response) => {
        if (incoming.url?.endsWith("/converse") === true) return sendJson(response, answer)
        startStream(response)
        response.end(Buffer.concat([frames.start, frames.text("a"), frames.stop, frames.metadata]))
      })
      const [socketsBefore, timersBefore] = [active("TCPSocketWrap"), active("Timeout")]
      const sockets = new Set<Net.Socket>()
      yield* onCreated((request) => request.once("socket", (socket) => sockets.add(socket)))
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf(url), scope)
      yield* Effect.forEach([1, 2, 3], () =>
        Effect.all([client.converse(request), Stream.runDrain(client.converseStream(request))]), {
        concurrency: "unbounded"
      })
      assert.isAbove(open.size, 0)
      yield* Scope.close(scope, Exit.void)
      assert.isAbove(sockets.size, 0)
      for (const socket of sockets) {
        assert.isTrue(socket.closed)
      }
      // The server's ends of the connections close when it hears of it.
      yield* eventually(() =>
        open.size === 0
      )
      assert.strictEqual(active("TCPSocketWrap"), socketsBefore)
      assert.isAtMost(active("Timeout"), timersBefore)
    }))

  it.effect("ends the calls that are running, those that wait for a connection, and those that come after", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const { open, opened, url } = yield* server(() => {
        Deferred.doneUnsafe(arrived, Exit.void)
      })
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf(url, { maxConnections: 1 }), scope)
      const running = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      yield* Deferred.await(arrived)
      const waiting = yield* Effect.forkChild(Effect.flip(client.converse(request)))
      for (let i = 0; i < 20; i++) {
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      }
      yield* Scope.close(scope, Exit.void)
      const first = yield* Fiber.join(running)
      const second = yield* Fiber.join(waiting)
      const third = yield* Effect.flip(client.converse(request))
      for (const error of [first, second, third]) {
        // A closed client stays closed: nobody is to ask it again.
        assert.strictEqual(error.reason._tag === "AdmissionError" && error.reason.kind, "shutting-down")
        assert.deepStrictEqual([error.retryable, error.retryableElsewhere], [false, false])
      }
      assert.deepStrictEqual([first.attempts, second.attempts, third.attempts], [1, 0, 0])
      assert.strictEqual(opened(), 1)
      yield* eventually(() => open.size === 0)
    }))
})

describe("the pool", () => {
  it.effect("opens as many connections as there are calls at once, and no more than it may", () =>
    Effect.gen(function*() {
      for (const [maxConnections, expected] of [[undefined, 60], [7, 7]] as const) {
        const held: Array<() => void> = []
        const { opened, url } = yield* server((_request, response) => {
          held.push(() => sendJson(response, answer))
        })
        const client = yield* clientOf(url, { maxConnections })
        const fiber = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 60 }), () => client.converse(request), { concurrency: "unbounded" })
        )
        let answered = 0
        yield* eventually(() => held.length === expected)
        yield* eventually(() => {
          for (const reply of held.splice(0)) {
            reply()
            answered++
          }
          return answered === 60
        })
        yield* Fiber.join(fiber)
        const last = yield* Effect.forkChild(client.converse(request))
        yield* eventually(() => held.length === 1)
        held[0]?.()
        yield* Fiber.join(last)
        assert.strictEqual(opened(), expected)
      }
    }))

  it.effect("holds the server back when the consumer is slow", () =>
    Effect.gen(function*() {
      const text = frames.text("x".repeat(60_000))
      const total = 1_000
      let written = 0
      const { url } = yield* server((_request, response) => {
        startStream(response).write(frames.start)
        const more = () => {
          while (written < total) {
            written++
            if (!response.write(text)) return void response.once("drain", more)
          }
          response.end(Buffer.concat([frames.stop, frames.metadata]))
        }
        more()
      })
      const client = yield* clientOf(url)
      const gate = yield* Deferred.make<void>()
      let received = 0
      const fiber = yield* client.converseStream(request).pipe(
        Stream.runForEach((event) =>
          Effect.suspend(() => {
            if (event.contentBlockDelta === undefined) return Effect.void
            received++
            return received === 1 ? Deferred.await(gate) : Effect.void
          })
        ),
        Effect.forkChild
      )
      yield* eventually(() => received === 1)
      // The kernel's buffers fill up; then the server has to wait.
      let last = -1
      yield* eventually(() => {
        const still = written === last
        last = written
        return still
      })
      assert.isBelow(written, total / 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([received, written], [total, total])
    }))
})
