// The client against the emulator: real sockets, the unmodified SDK. `it.live` where the emulator's latency has to pass by
// itself; nothing is asserted about how long it took.
import { type BedrockClient, BidirectionalStream } from "@caprock/client"
import { Emulator, Fault, LatencyModel, OutputModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { clientOf, turns } from "./server.ts"

const modelId = "anthropic.claude-sonnet-4-5-20250929-v1:0"
const request = {
  modelId,
  messages: [{ role: "user" as const, content: [{ text: "What is a caprock?" }] }],
  inferenceConfig: { maxTokens: 200 }
}
const invocation = {
  modelId,
  body: JSON.stringify({
    anthropic_version: "bedrock-2023-05-31",
    max_tokens: 200,
    messages: [{ role: "user", content: "What is a caprock?" }]
  })
}

const setUp = (millis = 20) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({
      latency: LatencyModel.fixed(millis),
      output: OutputModel.fixed(60),
      log: 1
    })
    return { emulator, client: yield* clientOf(emulator.url) }
  })

describe("against the emulator", () => {
  it.live("every operation works", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp()
      assert.strictEqual((yield* client.converse(request)).usage?.outputTokens, 60)
      assert.isAbove((yield* Stream.runCollect(client.converseStream(request))).length, 5)
      assert.isAbove((yield* client.invokeModel(invocation)).body.length, 50)
      assert.isAbove((yield* Stream.runCollect(client.invokeModelWithResponseStream(invocation))).length, 5)
      const { inputTokens } = yield* client.countTokens({
        modelId,
        input: { converse: { messages: request.messages } }
      })
      assert.isAbove(inputTokens ?? 0, 3)
      const stats = yield* emulator.stats
      assert.strictEqual(stats.answered, 5)
      assert.strictEqual(stats.connections, 1)
    }))

  it.effect("200 calls at once take one wave, not four", () =>
    Effect.gen(function*() {
      // Here the emulator's time is virtual too: nothing is answered before all of them are there.
      const { client, emulator } = yield* setUp(300)
      const running = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 200 }), () => client.converse(request), {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* Effect.repeat(Effect.andThen(turns(1), emulator.stats), { until: ({ inFlight }) => inFlight === 200 })
      yield* TestClock.adjust("300 millis")
      yield* Fiber.join(running)
      assert.strictEqual((yield* emulator.stats).connections, 200)
    }))

  it.live.each(["converse", "converseStream"] as const)(
    "%s: the server sees an interruption at once",
    (operation) =>
      Effect.gen(function*() {
        const { client, emulator } = yield* setUp(30_000)
        const call = operation === "converse"
          ? client.converse(request)
          : Stream.runDrain(client.converseStream(request))
        const fiber = yield* Effect.forkChild(Effect.asVoid(call))
        yield* Effect.repeat(Effect.andThen(turns(1), emulator.stats), { until: ({ inFlight }) => inFlight === 1 })
        yield* Fiber.interrupt(fiber)
        const stats = yield* Effect.repeat(Effect.andThen(turns(1), emulator.stats), {
          until: ({ inFlight }) => inFlight === 0
        })
        assert.strictEqual(stats.errors.Disconnected, 1)
      })
  )

  const cuts = [
    ["Cut", Fault.cut(0.5), "TransportError"],
    ["Truncate", Fault.truncate(0.5), undefined],
    ["StreamError", Fault.streamError("throttlingException"), "ThrottlingError"],
    ["unmodelled", Fault.streamError("InternalFailure", { frame: "error" }), "ServerError"]
  ] as const

  it.live.each(cuts)("a stream cut by %s carries what had arrived", ([_name, fault, origin]) =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp()
      for (const stream of [client.converseStream(request), client.invokeModelWithResponseStream(invocation)]) {
        yield* emulator.inject(fault)
        const texts: Array<string> = []
        const error = yield* Effect.flip(Stream.runForEach(
          stream as Stream.Stream<object, Stream.Error<typeof stream>>,
          (event) =>
            Effect.sync(() => {
              if ("contentBlockDelta" in event) texts.push(Reflect.get(Object(event.contentBlockDelta), "delta").text)
            })
        ))
        const { reason } = error
        if (reason._tag !== "InterruptedStreamError") return assert.fail(error.message)
        assert.isTrue(reason.content)
        assert.isAbove(reason.partial.text.length, 5)
        if (texts.length > 0) assert.strictEqual(reason.partial.text, texts.join(""))
        assert.strictEqual(reason.origin?._tag, origin)
        assert.isFalse(error.retryable)
      }
    }))

  it.live("a reset is one, and the next call works", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp()
      yield* client.converse(request)
      yield* emulator.inject(Fault.reset)
      const error = yield* Effect.flip(client.converse(request))
      assert.strictEqual(error.reason._tag === "TransportError" && error.reason.kind, "reset")
      yield* client.converse(request)
    }))

  it.live("calls that are interrupted at any moment leave nothing behind, on either side", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp(20)
      for (let i = 0; i < 150; i++) {
        const call = i % 2 === 0 ? client.converse(request) : Stream.runDrain(client.converseStream(request))
        const fiber = yield* Effect.forkChild(Effect.exit(call))
        yield* Effect.sleep(yield* Random.nextBetween(0, 25))
        yield* Fiber.interrupt(fiber)
      }
      yield* Effect.repeat(Effect.andThen(turns(1), emulator.stats), { until: ({ inFlight }) => inFlight === 0 })
      // The pool still works, and holds no more connections than were ever in use together.
      yield* client.converse(request)
      const { answered, errors, requests } = yield* emulator.stats
      assert.strictEqual(answered + (errors.Disconnected ?? 0), requests)
    }).pipe(Random.withSeed("interruptions")))
})

const event = BidirectionalStream.chunk
const named = { promptName: "p", contentName: "c" }
const question = [
  { sessionStart: {} },
  { promptStart: { promptName: "p", audioOutputConfiguration: { sampleRateHertz: 8_000 } } },
  { contentStart: { ...named, type: "TEXT", role: "USER" } },
  { textInput: { ...named, content: "What is a caprock?" } },
  { contentEnd: named },
  { promptEnd: named },
  { sessionEnd: {} }
]
const conversation = (client: BedrockClient.Service) =>
  client.invokeModelWithBidirectionalStream({
    modelId: "amazon.nova-2-sonic-v1:0",
    body: Stream.fromIterable(question).pipe(Stream.map((one) => event({ event: one })))
  })

describe("a conversation with the emulator", () => {
  it.live("is whole, and leaves nothing", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp(2)
      const events = yield* Stream.runCollect(conversation(client))
      assert.deepInclude(BidirectionalStream.json(events.at(-1) ?? { chunk: {} }), {
        event: {
          completionEnd: {
            completionId: "completion-1",
            promptName: "p",
            sessionId: (yield* emulator.log)[0]?.requestId,
            stopReason: "END_TURN"
          }
        }
      })
      const { answered, open } = yield* Effect.repeat(emulator.stats, { until: ({ open }) => open === 0 })
      assert.deepStrictEqual([answered, open], [1, 0])
    }))

  it.live("that breaks off tells what had been said, and what it cost by then", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp(2)
      const faults = [
        [Fault.cut(0.5), "TransportError"],
        [Fault.truncate(0.5), undefined],
        [Fault.truncate(1), undefined],
        [Fault.streamError("modelTimeoutException"), "ServerError"],
        [Fault.corrupt("payload"), "TransportError"],
        [Fault.corrupt("null"), "TransportError"]
      ] as const
      for (const [fault, origin] of faults) {
        yield* emulator.inject(fault)
        const { reason } = yield* Effect.flip(Stream.runDrain(conversation(client)))
        assert.strictEqual(reason._tag, "InterruptedStreamError")
        if (reason._tag !== "InterruptedStreamError") return
        assert.strictEqual(reason.origin?._tag, origin)
        assert.isAbove(reason.partial.text.length, 10)
        assert.strictEqual(
          reason.partial.usage?.outputTokens,
          fault._tag === "Truncate" && fault.at === 1 ? 120 : undefined
        )
      }
      yield* Effect.repeat(emulator.stats, { until: ({ open }) => open === 0 })
    }))

  it.live("may be refused, or be reset before it begins", () =>
    Effect.gen(function*() {
      const { client, emulator } = yield* setUp(2)
      for (
        const [fault, tag] of [
          [Fault.error("ThrottlingException"), "ThrottlingError"],
          [Fault.error("Overloaded"), "ServerError"],
          [Fault.reset, "TransportError"],
          [Fault.truncate(0), "InterruptedStreamError"]
        ] as const
      ) {
        yield* emulator.inject(fault)
        const { reason } = yield* Effect.flip(Stream.runDrain(conversation(client)))
        assert.strictEqual(reason._tag, tag)
        assert.isFalse(reason._tag === "InterruptedStreamError" && reason.content)
      }
      yield* Effect.repeat(emulator.stats, { until: ({ open }) => open === 0 })
    }))
})
