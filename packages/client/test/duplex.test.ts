import { BedrockClient, BidirectionalStream, CallDeadline, CallObserver, type Timeouts } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Deferred, Effect, Exit, Fiber, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { selfSigned } from "./certificate.ts"
import { echo, frameReader, frameTypes, h2frames, http2Server, rawServer, respond, said, unwrap } from "./h2.ts"
import { assumed, machine } from "./machine.ts"
import { chunk, clientOf, eventually, exception, request, sendJson, server, turns } from "./server.ts"

const modelId = "acme.talker-v1:0"
const events = (from: number, to: number, padding = "") =>
  Stream.range(from, to).pipe(Stream.rechunk(1), Stream.map((n) => BidirectionalStream.chunk({ n, padding })))
const numberOf = (event: Parameters<typeof BidirectionalStream.json>[0]): unknown =>
  Reflect.get(Object(BidirectionalStream.json(event)), "n")

const watching = () => {
  const seen: Array<string> = []
  const watch = Effect.provideService(CallObserver.CallObserver, {
    onFlushed: () => seen.push("flushed"),
    onResponse: ({ statusCode }) => seen.push(`response ${statusCode}`)
  })
  return { seen, watch }
}

/** An input that says one thing and then waits, and what became of it. */
const talker = (n = 1) => {
  const state = { pulled: 0, left: 0 }
  const body = Stream.concat(events(1, n), Stream.never).pipe(
    Stream.tap(() => Effect.sync(() => state.pulled++)),
    Stream.ensuring(Effect.sync(() => state.left++))
  )
  return { state, body }
}

/** Of this process, at either end. */
const sockets = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

const failureOf = <A, E, R>(stream: Stream.Stream<A, E, R>) => Effect.flip(Stream.runDrain(stream))
const kindOf = ({ reason }: BedrockError): string => "kind" in reason ? `${reason._tag}/${reason.kind}` : reason._tag

describe("a session", () => {
  it.effect("carries events both ways while both are open, and ends with them", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const { seen, watch } = watching()
      const heard: Array<unknown> = []
      const turn = yield* Deferred.make<void>()
      // The third is said only when the first two were heard.
      const body = Stream.concat(events(1, 2), Stream.unwrap(Effect.as(Deferred.await(turn), events(3, 3))))
      yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(
        Stream.runForEach((event) => {
          heard.push(numberOf(event))
          return heard.length === 2 ? Deferred.succeed(turn, undefined) : Effect.void
        }),
        watch
      )
      assert.deepStrictEqual(heard, [1, 2, 3])
      assert.deepStrictEqual(seen, ["flushed", "response 200"])
      yield* eventually(() => open.size === 0)
      assert.strictEqual(opened(), 1)
    }))

  it.effect("holds the producer back when the consumer is slow, and loses nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const total = 4_000
      const padding = "x".repeat(8_000)
      let produced = 0
      let consumed = 0
      const gate = yield* Deferred.make<void>()
      const fiber = yield* client.invokeModelWithBidirectionalStream({
        modelId,
        body: Stream.tap(events(1, total, padding), () => Effect.sync(() => produced++))
      }).pipe(
        Stream.runForEach((event) => {
          consumed++
          assert.strictEqual(numberOf(event), consumed)
          return consumed === 1 ? Deferred.await(gate) : Effect.void
        }),
        Effect.forkChild
      )
      yield* eventually(() => consumed === 1)
      let last = -1
      let still = 0
      yield* eventually(() => {
        still = produced === last ? still + 1 : 0
        last = produced
        return still === 50
      })
      // Two windows of HTTP/2, the kernel's buffers and those of the SDK: of 32 MB not a tenth.
      assert.isBelow(produced, total / 10)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([produced, consumed], [total, total])
    }))

  it.effect("holds the producer back when the server is slow to read", () =>
    Effect.gen(function*() {
      let resume = () => {}
      const heard: Array<unknown> = []
      const { url } = yield* http2Server((stream) => {
        respond(stream)
        stream.write(chunk({ ready: true }))
        stream.on("data", frameReader((frame) => unwrap(frame).length > 0 && heard.push(said(unwrap(frame)))))
        stream.on("end", () => stream.end())
        stream.pause()
        resume = () => stream.resume()
      })
      const client = yield* clientOf(url)
      let produced = 0
      const fiber = yield* client.invokeModelWithBidirectionalStream({
        modelId,
        body: Stream.tap(events(1, 2_000, "x".repeat(8_000)), () => Effect.sync(() => produced++))
      }).pipe(Stream.runDrain, Effect.forkChild)
      let last = -1
      let still = 0
      yield* eventually(() => {
        still = produced === last && produced > 0 ? still + 1 : 0
        last = produced
        return still === 50
      })
      assert.isBelow(produced, 200)
      resume()
      yield* Fiber.join(fiber)
      assert.strictEqual(heard.length, 2_000)
    }))

  it.effect("counts in maxConnections with all other calls", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url, { maxConnections: 2 })
      const { body } = talker()
      const talk = client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(Stream.runDrain, Effect.forkChild)
      const first = yield* talk
      const second = yield* talk
      yield* eventually(() => opened() === 2)
      const third = yield* talk
      for (let i = 0; i < 10; i++) {
        yield* turns()
      }
      assert.strictEqual(opened(), 2)
      yield* Fiber.interrupt(first)
      yield* eventually(() => opened() === 3)
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(third)
      yield* eventually(() => open.size === 0)
    }))
})

describe("over TLS", () => {
  const { cert, key } = selfSigned()
  const trusted = Effect.suspend(() => {
    const before = Tls.getCACertificates("default")
    return Effect.acquireRelease(
      Effect.sync(() => Tls.setDefaultCACertificates([...before, cert])),
      () => Effect.sync(() => Tls.setDefaultCACertificates(before))
    )
  })

  it.effect("agrees on HTTP/2 in the handshake", () =>
    Effect.gen(function*() {
      yield* trusted
      const { open, url } = yield* http2Server((stream) => echo(stream), { cert, key })
      const client = yield* clientOf(url)
      const heard = yield* client.invokeModelWithBidirectionalStream({ modelId, body: events(1, 3) }).pipe(
        Stream.map(numberOf),
        Stream.runCollect
      )
      assert.deepStrictEqual(heard, [1, 2, 3])
      yield* eventually(() => open.size === 0)
    }))

  it.effect("a server of HTTP/1.1 alone is named, and was sent nothing", () =>
    Effect.gen(function*() {
      yield* trusted
      const { open, url } = yield* server((_request, response) => sendJson(response, {}), { cert, key })
      const client = yield* clientOf(url)
      const { seen, watch } = watching()
      const { body, state } = talker()
      const error = yield* watch(failureOf(client.invokeModelWithBidirectionalStream({ modelId, body })))
      assert.deepStrictEqual([kindOf(error), error.attempts], ["TransportError/protocol", 0])
      assert.include(error.reason.message, "does not speak HTTP/2")
      assert.deepStrictEqual([seen, state.pulled], [[], 0])
      yield* eventually(() => open.size === 0)
    }))

  it.effect("a certificate that is not accepted is a failure of TLS", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => echo(stream), { cert, key })
      const client = yield* clientOf(url)
      const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }))
      assert.deepStrictEqual([kindOf(error), error.attempts], ["TransportError/tls", 0])
    }))
})

describe("interrupting a session", () => {
  it.effect("at any point leaves no connection, and no input that still runs", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      for (let after = 0; after < 60; after++) {
        const { body, state } = talker(5)
        const fiber = yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(
          Stream.runDrain,
          Effect.forkChild
        )
        yield* turns(after)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(state.left, state.pulled === 0 ? state.left : 1)
      }
      yield* eventually(() => open.size === 0)
      assert.isAbove(opened(), 10)
      yield* eventually(() => sockets() === 0)
    }))

  it.effect("closes the connection while the consumer does not read", () =>
    Effect.gen(function*() {
      const { open, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const reached = yield* Deferred.make<void>()
      const fiber = yield* client.invokeModelWithBidirectionalStream({ modelId, body: talker(20).body }).pipe(
        Stream.runForEach(() => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)),
        Effect.forkChild
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("is what leaving it early does, and the input is left with it", () =>
    Effect.gen(function*() {
      const { open, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const { body, state } = talker(3)
      yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(Stream.take(1), Stream.runDrain)
      assert.strictEqual(state.left, 1)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("tells the server nothing that it could take for the end of the input", () =>
    Effect.gen(function*() {
      const ended: Array<number> = []
      let arrived = 0
      const { open, url } = yield* rawServer(({ flags, type }, socket) => {
        if (type === frameTypes.headers) socket.write(Buffer.concat([h2frames.head, h2frames.data(chunk({ n: 0 }))]))
        if (type !== frameTypes.data) return
        arrived++
        if ((flags & 1) === 1) ended.push(arrived)
      })
      const client = yield* clientOf(url)
      yield* client.invokeModelWithBidirectionalStream({ modelId, body: talker(3).body }).pipe(
        Stream.take(1),
        Stream.runDrain
      )
      yield* eventually(() => open.size === 0)
      assert.deepStrictEqual(ended, [])
    }))
})

describe("closing the client", () => {
  it.effect("ends the sessions that run, and those that wait for a connection", () =>
    Effect.gen(function*() {
      const { open, opened, url } = yield* http2Server((stream) => respond(stream))
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf(url, { maxConnections: 1 }), scope)
      const { body, state } = talker()
      const talk = failureOf(client.invokeModelWithBidirectionalStream({ modelId, body }))
      const running = yield* Effect.forkChild(talk)
      yield* eventually(() => state.pulled === 1)
      const waiting = yield* Effect.forkChild(talk)
      yield* turns()
      yield* Scope.close(scope, Exit.void)
      const errors = [yield* Fiber.join(running), yield* Fiber.join(waiting), yield* talk]
      assert.deepStrictEqual(errors.map(kindOf), Array.from({ length: 3 }, () => "AdmissionError/shutting-down"))
      assert.deepStrictEqual([errors.map(({ attempts }) => attempts), opened()], [[1, 0, 0], 1])
      assert.deepStrictEqual(state, { pulled: 1, left: 1 })
      yield* eventually(() => open.size === 0)
    }))

  it.effect("waits until connections that are closing are closed", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => echo(stream))
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf(url), scope)
      yield* client.invokeModelWithBidirectionalStream({ modelId, body: events(1, 3) }).pipe(Stream.runDrain)
      yield* Scope.close(scope, Exit.void)
      yield* eventually(() => sockets() === 0)
    }))
})

class Broken extends Data.TaggedError("Broken")<{ readonly why: string }> {}

describe("the input", () => {
  it.effect("that fails ends the call at once, with its own error", () =>
    Effect.gen(function*() {
      let aborted = 0
      const { open, url } = yield* http2Server((stream) => {
        echo(stream)
        stream.on("aborted", () => aborted++)
      })
      const client = yield* clientOf(url)
      const heard: Array<unknown> = []
      const broken = yield* Deferred.make<void>()
      const body = Stream.concat(
        events(1, 2),
        Stream.unwrap(Effect.as(Deferred.await(broken), Stream.fail(new Broken({ why: "microphone" }))))
      )
      const error = yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(
        Stream.runForEach((event) => {
          heard.push(numberOf(event))
          return heard.length === 2 ? Deferred.succeed(broken, undefined) : Effect.void
        }),
        Effect.flip
      )
      assert.isTrue(error._tag === "Broken" && error.why === "microphone")
      yield* eventually(() => open.size === 0 && aborted === 1)
    }))

  it.effect("that dies or is interrupted by itself does the same to the output", () =>
    Effect.gen(function*() {
      const { open, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      for (const end of [Effect.die("defect"), Effect.interrupt]) {
        const exit = yield* client.invokeModelWithBidirectionalStream({
          modelId,
          body: Stream.concat(events(1, 1), Stream.fromEffect(end))
        }).pipe(Stream.runDrain, Effect.exit)
        assert.isTrue(
          Exit.isFailure(exit) && exit.cause.reasons[0]?._tag === (end === Effect.interrupt ? "Interrupt" : "Die")
        )
      }
      yield* eventually(() => open.size === 0)
    }))

  it.effect("has the services of the one who reads the output", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const body = Stream.unwrap(Effect.map(Scope.Scope, () => events(1, 1)))
      const output = client.invokeModelWithBidirectionalStream({ modelId, body })
      assert.strictEqual((yield* Stream.runCollect(output)).length, 1)
    }))

  it.effect("that holds what the SDK can't encode fails the call with the SDK's words", () =>
    Effect.gen(function*() {
      const { open, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      for (const first of [events(1, 1), Stream.empty]) {
        for (const wrong of [null, {}]) {
          const body = Stream.concat(first, Stream.make(wrong as never))
          const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body }))
          assert.deepStrictEqual([error._tag, error.reason._tag], ["BedrockError", "UnknownError"])
        }
      }
      yield* eventually(() => open.size === 0)
    }))
})

describe("a server", () => {
  it.effect("of HTTP/1.1 alone is named, and was sent nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_request, response) => sendJson(response, {}))
      const client = yield* clientOf(url)
      const { body, state } = talker()
      const { seen, watch } = watching()
      const error = yield* watch(failureOf(client.invokeModelWithBidirectionalStream({ modelId, body })))
      assert.deepStrictEqual([kindOf(error), error.attempts], ["TransportError/protocol", 0])
      assert.include(error.reason.message, "does not speak HTTP/2")
      assert.deepStrictEqual([seen, state.pulled], [[], 0])
    }))

  it.live("that accepts connections and says nothing is a connection that did not come", () =>
    Effect.gen(function*() {
      const { open, url } = yield* rawServer(() => {}, Buffer.alloc(0))
      for (const endpoint of [url, url.replace("http:", "https:")]) {
        const client = yield* clientOf(endpoint, { timeouts: { connect: "50 millis" } })
        const { body, state } = talker()
        const { seen, watch } = watching()
        const error = yield* watch(failureOf(client.invokeModelWithBidirectionalStream({ modelId, body })))
        assert.deepStrictEqual([kindOf(error), error.attempts], ["TimeoutError/connect", 0])
        assert.deepStrictEqual([seen, state.pulled], [[], 0])
        yield* eventually(() => open.size === 0)
      }
    }))

  it.effect("that hangs up on HTTP/2 is named", () =>
    Effect.gen(function*() {
      const { open, server, url } = yield* rawServer(() => {})
      server.on("connection", (socket) => socket.destroySoon())
      const client = yield* clientOf(url)
      const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }))
      assert.deepStrictEqual([kindOf(error), error.attempts], ["TransportError/reset", 0])
      assert.include(error.reason.message, "before it had said a word of HTTP/2")
      yield* eventually(() => open.size === 0)
    }))

  it.effect("that refuses the connection was sent nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(http2Server(() => {}))
      const client = yield* clientOf(url)
      const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }))
      assert.deepStrictEqual([kindOf(error), error.attempts], ["TransportError/connect", 0])
    }))

  // The SDK by itself ends the process then (aws-sdk-js-v3 #7706).
  it.effect("that throttles while events are sent is a throttle, and nothing else", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ message: "Too many requests, please wait before trying again." })
      const { open, url } = yield* http2Server((stream) => {
        stream.once("data", () => {
          stream.respond({ ":status": 429, "x-amzn-errortype": "ThrottlingException", "x-amzn-requestid": "request-9" })
          stream.end(body)
        })
      })
      const client = yield* clientOf(url)
      const { seen, watch } = watching()
      const error = yield* watch(failureOf(client.invokeModelWithBidirectionalStream({
        modelId,
        body: events(1, 1_000, "x".repeat(10_000))
      })))
      assert.deepStrictEqual([error.reason._tag, error.httpStatus, error.requestId, error.attempts], [
        "ThrottlingError",
        429,
        "request-9",
        1
      ])
      assert.deepStrictEqual(seen, ["flushed", "response 429"])
      yield* eventually(() => open.size === 0)
    }))

  it.effect("that begins with an exception fails the call with it", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => {
        respond(stream)
        stream.end(exception("throttlingException", "Too many tokens, please wait before trying again."))
      })
      const client = yield* clientOf(url)
      const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }))
      assert.deepStrictEqual([error.reason._tag, error.requestId], ["ThrottlingError", "request-1"])
    }))

  const cut = (end: (socket: Net.Socket) => void) =>
    Effect.gen(function*() {
      let seen = 0
      const { open, url } = yield* rawServer(({ flags, payload, type }, socket) => {
        if (type === frameTypes.headers) socket.write(Buffer.concat([h2frames.head, h2frames.data(chunk({ n: 1 }))]))
        if (type === frameTypes.data && seen++ === 0) end(socket)
        if (type === frameTypes.ping && flags === 0) socket.write(h2frames.pong(payload))
      })
      const client = yield* clientOf(url)
      const exit = yield* client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }).pipe(
        Stream.map(numberOf),
        Stream.runCollect,
        Effect.timeout("5 seconds"),
        Effect.exit
      )
      yield* eventually(() => open.size === 0)
      if (Exit.isSuccess(exit)) return "whole"
      const error = exit.cause.reasons.find(Cause.isFailReason)?.error
      assert.isTrue(error !== undefined && "reason" in error && error.reason._tag === "InterruptedStreamError")
      const { origin } = error !== undefined && "reason" in error && error.reason._tag === "InterruptedStreamError"
        ? error.reason
        : { origin: undefined }
      return origin === undefined ? "" : "kind" in origin ? `${origin._tag}/${origin.kind}` : origin._tag
    })

  const endOf = (socket: Net.Socket, ...frames: ReadonlyArray<Uint8Array>) => socket.write(Buffer.concat(frames))
  const noError = 0
  const internalError = 2
  const cancel = 8

  for (
    const [name, end, expected] of [
      ["ends its stream", (socket) => endOf(socket, h2frames.data(Buffer.alloc(0), true)), "whole"],
      [
        "ends its stream, and says that it needs no more",
        (socket) => endOf(socket, h2frames.data(Buffer.alloc(0), true), h2frames.reset(noError)),
        "whole"
      ],
      [
        "resets the stream after its end",
        (socket) => {
          endOf(socket, h2frames.data(Buffer.alloc(0), true))
          setImmediate(() => endOf(socket, h2frames.reset(internalError)))
        },
        "TransportError/reset"
      ],
      ["resets it without an error", (socket) => endOf(socket, h2frames.reset(noError)), "TransportError/reset"],
      ["resets it with an error", (socket) => endOf(socket, h2frames.reset(internalError)), "TransportError/reset"],
      ["cancels it", (socket) => endOf(socket, h2frames.reset(cancel)), "TransportError/reset"],
      ["closes the connection", (socket) => socket.end(), "TransportError/reset"],
      ["resets the connection", (socket) => socket.resetAndDestroy(), "TransportError/reset"],
      ["goes away with an error", (socket) => endOf(socket, h2frames.goaway(1, internalError)), "TransportError/reset"],
      [
        "goes away in order, and answers to the end",
        (socket) =>
          endOf(
            socket,
            h2frames.goaway(1, noError),
            h2frames.data(chunk({ n: 2 })),
            h2frames.data(Buffer.alloc(0), true)
          ),
        "whole"
      ],
      ["goes away before this stream", (socket) => endOf(socket, h2frames.goaway(0, noError)), "TransportError/reset"],
      [
        "writes garbage",
        (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nnot a frame of this protocol"),
        "TransportError/protocol"
      ],
      [
        "writes what is no event",
        (socket) => endOf(socket, h2frames.data(Buffer.from("\0\0\0\x20garbage in place of an event\0\0"))),
        "TransportError/protocol"
      ],
      [
        "ends within an event",
        (socket) => endOf(socket, h2frames.data(chunk({ n: 2 }).subarray(0, 20), true)),
        "TransportError/closed"
      ]
    ] satisfies ReadonlyArray<readonly [string, (socket: Net.Socket) => unknown, string]>
  ) {
    it.live(`that ${name}: ${expected}`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* cut((socket) => void end(socket)), expected)
      }))
  }

  it.live("that ends its stream, and then nothing, has ended it", () =>
    Effect.gen(function*() {
      const { url } = yield* rawServer(({ type }, socket) => {
        if (type !== frameTypes.headers) return
        socket.write(Buffer.concat([h2frames.head, h2frames.data(chunk({ n: 1 }), true)]))
      })
      const client = yield* clientOf(url, { timeouts: { connect: "50 millis" } })
      const heard = yield* client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }).pipe(
        Stream.runCollect
      )
      assert.strictEqual(heard.length, 1)
    }))
})

describe("an observer", () => {
  it.effect("that throws fails its call, and leaves nothing", () =>
    Effect.gen(function*() {
      const { open, url } = yield* http2Server((stream) => echo(stream))
      const client = yield* clientOf(url)
      const broken = () => {
        throw new Error("observer")
      }
      for (
        const observer of [{ onFlushed: broken, onResponse: () => {} }, { onFlushed: () => {}, onResponse: broken }]
      ) {
        const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body: talker().body }))
          .pipe(
            Effect.provideService(CallObserver.CallObserver, observer)
          )
        assert.include(error.reason.message, "observer")
        yield* eventually(() => open.size === 0)
      }
    }))
})

describe("time", () => {
  const quiet = (timeouts: Timeouts.Timeouts) =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const { url } = yield* http2Server((stream) => {
        respond(stream)
        stream.write(chunk({ n: 1 }))
        stream.on("data", () => Deferred.doneUnsafe(started, Exit.void))
        stream.on("end", () => Deferred.doneUnsafe(ended, Exit.void))
      })
      const client = yield* clientOf(url, { timeouts })
      const finish = yield* Deferred.make<void>()
      const body = Stream.concat(events(1, 1), Stream.fromEffectDrain(Deferred.await(finish)))
      const heard = yield* Deferred.make<void>()
      const fiber = yield* client.invokeModelWithBidirectionalStream({ modelId, body }).pipe(
        Stream.runForEach(() => Deferred.succeed(heard, undefined)),
        Effect.flip,
        Effect.forkChild
      )
      yield* Deferred.await(started)
      yield* Deferred.await(heard)
      return { fiber, end: Effect.andThen(Deferred.succeed(finish, undefined), Deferred.await(ended)) }
    })

  it.effect("does not run against a server while the input is open, but for that of the whole call", () =>
    Effect.gen(function*() {
      const { fiber } = yield* quiet({ firstToken: "1 second", betweenTokens: "1 second", call: "1 hour" })
      yield* TestClock.adjust("59 minutes")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      const { reason } = yield* Fiber.join(fiber)
      assert.isTrue(reason._tag === "InterruptedStreamError" && reason.origin?._tag === "TimeoutError")
      assert.include(reason.message, "3600000 ms")
    }))

  it.effect("runs from the end of the input on", () =>
    Effect.gen(function*() {
      const { end, fiber } = yield* quiet({ betweenTokens: "10 seconds" })
      yield* TestClock.adjust("30 minutes")
      yield* end
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { reason } = yield* Fiber.join(fiber)
      const origin = reason._tag === "InterruptedStreamError" ? reason.origin : undefined
      assert.strictEqual(origin?._tag === "TimeoutError" && origin.kind, "between-tokens")
    }))

  it.effect("to a deadline runs whatever is open", () =>
    Effect.gen(function*() {
      const { fiber } = yield* Effect.provideServiceEffect(
        quiet({}),
        CallDeadline.CallDeadline,
        CallDeadline.after("1 minute")
      )
      yield* TestClock.adjust("1 minute")
      const { reason } = yield* Fiber.join(fiber)
      const origin = reason._tag === "InterruptedStreamError" ? reason.origin : undefined
      assert.strictEqual(origin?._tag === "TimeoutError" && origin.kind, "deadline")
    }))
})

describe("the credentials", () => {
  it.effect("of an API key are not those of a session: it is signed", () =>
    Effect.gen(function*() {
      const signed: Array<string> = []
      const { url } = yield* http2Server((stream, headers) => {
        signed.push(String(headers.authorization))
        echo(stream)
      })
      const client = yield* clientOf(url)
      yield* client.invokeModelWithBidirectionalStream({ modelId, body: events(1, 1) }).pipe(Stream.runDrain)
      const scheme = /^AWS4-HMAC-SHA256 .*SignedHeaders=:authority;/
      assert.match(signed[0] ?? "", scheme)
      // A token is for the other operations.
      const both = yield* clientOf(url, { token: Redacted.make("key") })
      yield* both.invokeModelWithBidirectionalStream({ modelId, body: events(1, 1) }).pipe(Stream.runDrain)
      assert.match(signed[1] ?? "", scheme)
    }))

  it.effect("are found once for all operations, over connections that are closed with the client", () =>
    Effect.gen(function*() {
      let asked = 0
      const sts = yield* server((_incoming, response) => {
        asked++
        response.writeHead(200, { "content-type": "text/xml" })
        response.end(
          "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>x</AccessKeyId>" +
            "<SecretAccessKey>y</SecretAccessKey><SessionToken>z</SessionToken>" +
            "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
      })
      yield* machine({ AWS_EC2_METADATA_DISABLED: "true", AWS_ENDPOINT_URL_STS: sts.url }, assumed)
      const { url } = yield* http2Server((stream) => echo(stream))
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* BedrockClient.make({ region: "us-east-1", endpoint: url })
        const session = client.invokeModelWithBidirectionalStream({ modelId, body: events(1, 1) })
        yield* Stream.runDrain(session)
        // It fails, with its credentials: that server speaks HTTP/2 alone.
        yield* Effect.flip(client.converse(request))
      }))
      assert.strictEqual(asked, 1)
      yield* eventually(() => sts.open.size === 0)
    }))

  it.effect("that are missing are asked for in so many words", () =>
    Effect.gen(function*() {
      const { url } = yield* http2Server((stream) => echo(stream))
      const missing = Object.assign(new Error("Could not load credentials from any providers"), {
        name: "CredentialsProviderError"
      })
      const client = yield* clientOf(url, { credentials: () => Promise.reject(missing), token: Redacted.make("key") })
      const { body, state } = talker()
      const error = yield* failureOf(client.invokeModelWithBidirectionalStream({ modelId, body }))
      assert.deepStrictEqual([kindOf(error), error.attempts, state.pulled], ["AccessError/no-credentials", 0, 0])
      assert.include(error.reason.message, "API key")
    }))
})
