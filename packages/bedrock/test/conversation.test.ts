import { Bedrock, CallEvents } from "@caprock/bedrock"
import { type BedrockClientTest, BidirectionalStream } from "@caprock/client"
import { Emulator, LatencyModel, OutputModel } from "@caprock/emulator"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

const modelId = "amazon.nova-2-sonic-v1:0"

type Said = Stream.Success<ReturnType<Bedrock.Service["invokeModelWithBidirectionalStream"]>>

const said = (event: unknown): Said => {
  const { chunk } = BidirectionalStream.chunk({ event })
  return chunk === undefined ? assert.fail() : { chunk }
}
const usage = (input: number, output: number) =>
  said({ usageEvent: { totalInputTokens: input, totalOutputTokens: output } })
const begin = [said({ completionStart: {} }), said({ textOutput: { content: "Hi." } })]
const whole = (input: number, output: number) => [...begin, usage(input, output), said({ completionEnd: {} })]

const failed = (reason: Reason.Reason, attempts = 1) =>
  new BedrockError.BedrockError({ operation: "InvokeModelWithBidirectionalStream", attempts, reason })
const busy = failed(new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" }))
const unreachable = failed(new Reason.TransportError({ kind: "connect", message: "refused" }), 0)

const input = Stream.fromIterable([
  { sessionStart: {} },
  { contentStart: { role: "USER" } },
  { sessionEnd: {} }
]).pipe(Stream.map((event) => BidirectionalStream.chunk({ event })))

const talk = <E = never>(body: BidirectionalStream.Input<E>["body"] = input) =>
  Stream.unwrap(
    Effect.map(Bedrock.Bedrock, (bedrock) => bedrock.invokeModelWithBidirectionalStream({ modelId, body }))
  )

const scripted = (
  replies: NonNullable<BedrockClientTest.Script["invokeModelWithBidirectionalStream"]>,
  quota: Parameters<typeof Bedrock.layerTest>[1] = {}
) => Effect.provide(Bedrock.layerTest({ invokeModelWithBidirectionalStream: replies }, quota))

const tokens = Effect.gen(function*() {
  const { meters } = yield* (yield* Bedrock.Bedrock).snapshot(modelId)
  return meters.find(({ unit }) => unit === "tokens")?.used
})

const listening = () => {
  const events: Array<CallEvents.CallEvent> = []
  return {
    events,
    of: (tag: CallEvents.CallEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag),
    listen: Effect.provideService(CallEvents.CallEvents, (event: CallEvents.CallEvent) => {
      events.push(event)
    })
  }
}

describe("a conversation", () => {
  it.effect("is one request, and costs what it tells in the end", () =>
    Effect.gen(function*() {
      const { events, listen } = listening()
      assert.lengthOf(yield* listen(Stream.runCollect(talk())), 4)
      assert.strictEqual(yield* tokens, 1_200)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Waiting", "Admitted", "Settled", "CallEnded"])
      assert.deepInclude(events.at(-1), { attempts: 1, succeeded: true })
    }).pipe(scripted([whole(1_000, 200)], { quotas: { default: { tokensPerMinute: 100_000 } } })))

  it.effect("is booked with what others of its pool have cost, and refused for no number of tokens", () =>
    Effect.gen(function*() {
      const booked = Effect.gen(function*() {
        const { events, listen } = listening()
        const inside = yield* Deferred.make<number | undefined>()
        yield* listen(Stream.runForEach(talk(), () => Effect.flatMap(tokens, (used) => Deferred.succeed(inside, used))))
        const settled = events.find((event) => event._tag === "Settled")
        return settled?._tag === "Settled" ? settled.booked : undefined
      })
      // More than the whole quota: it waits for all of it.
      assert.strictEqual(yield* booked, 4_000)
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust("2 minutes")
        yield* booked
      }
      yield* TestClock.adjust("2 minutes")
      const learned = (yield* booked) ?? 0
      assert.isTrue(learned >= 300 && learned < 500, String(learned))
    }).pipe(scripted(() => whole(200, 100), { quotas: { default: { tokensPerMinute: 4_000 } } })))

  it.effect("that costs more than was booked is a debt from when it tells", () =>
    Effect.gen(function*() {
      yield* Stream.runDrain(talk())
      assert.strictEqual(yield* tokens, 60_000)
      yield* TestClock.adjust("59 seconds")
      assert.isAtLeast((yield* tokens) ?? 0, 50_000)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* tokens, 0)
    }).pipe(scripted([whole(40_000, 20_000)], { quotas: { default: { tokensPerMinute: 100_000 } } })))

  it.effect("that breaks off, or is left, stays charged with what was booked, or what it told if that is more", () =>
    Effect.gen(function*() {
      const booked = 8_750
      const costs = Effect.gen(function*() {
        const used = yield* tokens
        yield* TestClock.adjust("3 minutes")
        return used
      })
      yield* Effect.flip(Stream.runDrain(talk()))
      assert.strictEqual(yield* costs, booked)
      yield* Effect.flip(Stream.runDrain(talk()))
      assert.strictEqual(yield* costs, 12_000)
      yield* talk().pipe(Stream.take(3), Stream.runDrain)
      assert.strictEqual(yield* costs, booked)
      const fiber = yield* Effect.forkChild(Stream.runDrain(talk()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* costs, booked)
    }).pipe(scripted((_, index) =>
      [
        [...begin, usage(1_000, 0)],
        [...begin, usage(4_000, 8_000)],
        whole(100, 100),
        Stream.concat(Stream.fromIterable(begin), Stream.never)
      ][index] ?? assert.fail(), { quotas: { default: { tokensPerMinute: 100_000 } } })))

  it.effect("is tried again if nothing was sent, and then only", () =>
    Effect.gen(function*() {
      const { events, listen, of } = listening()
      const fiber = yield* Effect.forkChild(listen(Stream.runCollect(talk())))
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(yield* Fiber.join(fiber), 4)
      assert.deepInclude(events.at(-1), { _tag: "CallEnded", attempts: 1, succeeded: true })
      const error = yield* Effect.flip(listen(Stream.runDrain(talk())))
      assert.deepStrictEqual([error.reason._tag, error.attempts], ["ThrottlingError", 1])
      assert.lengthOf(of("AttemptFailed"), 2)
      assert.deepInclude(events.at(-1), { _tag: "CallEnded", attempts: 1, succeeded: false })
    }).pipe(scripted([unreachable, whole(1, 1), busy, whole(1, 1)])))

  it.effect("whose input fails is its caller's failure, even if that is Bedrock's", () =>
    Effect.gen(function*() {
      const { events, listen, of } = listening()
      const own = yield* Effect.flip(
        listen(Stream.runDrain(talk(Stream.concat(input, Stream.fail("no microphone" as const)))))
      )
      assert.strictEqual(own, "no microphone")
      const other = yield* Effect.flip(listen(Stream.runDrain(talk(Stream.concat(input, Stream.fail(busy))))))
      assert.strictEqual(other, busy)
      const told = of("AttemptFailed").map((event) => event._tag === "AttemptFailed" && event.error.reason._tag)
      assert.deepStrictEqual(told, ["UnknownError", "UnknownError"])
      assert.lengthOf(events.filter(({ _tag }) => _tag === "CallEnded"), 2)
      assert.strictEqual(yield* tokens, 2 * 8_750)
    }).pipe(scripted(() => whole(1, 1), { quotas: { default: { tokensPerMinute: 100_000 } } })))

  it.effect("waits for its turn, by requests and by those that run", () =>
    Effect.gen(function*() {
      const open = yield* Deferred.make<void>()
      const running = yield* Effect.forkChild(
        Stream.runDrain(talk(Stream.concat(input, Stream.fromEffectDrain(Deferred.await(open)))))
      )
      yield* TestClock.adjust("1 second")
      const waiting = yield* Effect.forkChild(Stream.runCollect(talk()))
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(waiting.pollUnsafe())
      yield* Deferred.succeed(open, undefined)
      yield* Fiber.join(running)
      assert.lengthOf(yield* Fiber.join(waiting), 4)
    }).pipe(scripted(() => whole(1, 1), { quotas: { [modelId]: { concurrentRequests: 1 } } })))
})

describe("conversations with the emulator", () => {
  const question = [
    { sessionStart: {} },
    { promptStart: { promptName: "p" } },
    { contentStart: { promptName: "p", contentName: "c", type: "TEXT", role: "USER" } },
    { textInput: { promptName: "p", contentName: "c", content: "What is a caprock?" } },
    { contentEnd: { promptName: "p", contentName: "c" } },
    { promptEnd: { promptName: "p" } }
  ]

  it.live("are never more at once than may be, and each settles with the truth", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(15), output: OutputModel.fixed(40) })
      const most = { inFlight: 0 }
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        const full = Effect.repeat(emulator.stats, {
          until: ({ answered, inFlight }) => inFlight === 4 || answered > 16
        })
        const one = bedrock.invokeModelWithBidirectionalStream({
          modelId,
          // Nobody comes to the end of theirs before as many are there as may be.
          body: Stream.fromIterable(question).pipe(
            Stream.map((event) => BidirectionalStream.chunk({ event })),
            Stream.concat(Stream.fromEffectDrain(full))
          )
        }).pipe(
          Stream.runForEach(() =>
            Effect.map(emulator.stats, ({ inFlight }) => {
              most.inFlight = Math.max(most.inFlight, inFlight)
            })
          )
        )
        yield* Effect.forEach(Array.from({ length: 20 }), () => one, { concurrency: "unbounded", discard: true })
        const { meters } = yield* bedrock.snapshot(modelId)
        const stats = yield* emulator.stats
        assert.strictEqual(stats.answered, 20)
        assert.strictEqual(most.inFlight, 4)
        assert.deepStrictEqual(
          meters.map(({ unit, used }) => [unit, used]),
          [["tokens", stats.tokens.settled], ["concurrency", 0]]
        )
      }).pipe(Effect.provide(Layer.fresh(Bedrock.layer({
        region: "us-east-1",
        endpoint: emulator.url,
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        quotas: { [modelId]: { concurrentRequests: 4, tokensPerMinute: 1_000_000 } }
      }))))
      yield* Effect.repeat(emulator.stats, { until: ({ open }) => open === 0 })
    }))
})
