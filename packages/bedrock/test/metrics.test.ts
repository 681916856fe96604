// How often calls were sent, as whoever exports metrics sees it.
import { Bedrock, CallMetrics } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Counters } from "../src/internal/counting.ts"

const modelId = "amazon.nova-lite-v1:0"
const pool = `default|us-east-1|on-demand|shared|${modelId}`
const ask = { modelId, messages: [{ role: "user" as const, content: [{ text: "hello" }] }] }
const unavailable = new BedrockError.BedrockError({
  operation: "Converse",
  attempts: 1,
  httpStatus: 503,
  reason: new Reason.ServerError({ kind: "unavailable", message: "no" })
})
const denied = new BedrockError.BedrockError({
  operation: "Converse",
  attempts: 1,
  httpStatus: 403,
  reason: new Reason.AccessError({ kind: "denied", message: "no" })
})

/** Calls and requests of each series that there is. */
const series = Effect.map(
  Metric.snapshot,
  (all) =>
    new Map(all.flatMap(({ attributes, id, state }) =>
      id === "caprock.call.attempts" && "sum" in state
        ? [[Object.values(attributes ?? {}).join(" "), [state.count, state.sum]] as const]
        : []
    ))
)

/** Counts into a registry of its own. */
const counted = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(test, Metric.MetricRegistry, new Map()))

describe("caprock.call.attempts", () => {
  it.effect("is what was sent for each call, by pool and end", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const fiber = yield* Effect.forkChild(Effect.gen(function*() {
        yield* bedrock.converse(ask)
        yield* Effect.flip(bedrock.converse(ask))
        yield* Stream.runDrain(bedrock.converseStream(ask))
        yield* Stream.runDrain(Stream.take(bedrock.converseStream(ask), 1))
        yield* Effect.flip(Stream.runForEach(bedrock.converseStream(ask), () => Effect.fail("no disk")))
        yield* Effect.flip(bedrock.countTokens({ modelId, input: { converse: { messages: ask.messages } } }))
        yield* bedrock.invokeModel({ modelId, body: "{}" })
      }))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        yield* series,
        new Map([
          [pool, [3, 5]],
          [`${pool} AccessError`, [1, 1]],
          [`${pool} _OTHER`, [1, 1]],
          ["CountTokens ServerError attempts", [1, 4]],
          [`${pool} interrupted`, [1, 0]]
        ])
      )
      const { buckets } = yield* Metric.value(Metric.withAttributes(CallMetrics.attempts, { "caprock.pool": pool }))
      assert.deepStrictEqual(buckets.slice(0, 5), [[0, 0], [1, 2], [2, 2], [3, 3], [4, 3]])
    }).pipe(
      counted,
      Effect.provide(Bedrock.layerTest({
        converse: (_, index) => index < 2 ? unavailable : index === 2 ? BedrockClientTest.answer("hi") : denied,
        converseStream: () => BedrockClientTest.events(["hi"]),
        countTokens: () => unavailable,
        invokeModel: () => Effect.never
      }))
    ))

  it.effect("is 0 for a call that was never sent, and bears the attributes of its caller", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const error = yield* Effect.flip(bedrock.converse({ ...ask, inferenceConfig: { maxTokens: 5_000 } }))
      assert.deepStrictEqual([error.reason._tag, error.attempts], ["ValidationError", 0])
      assert.deepStrictEqual(yield* series, new Map([[`${pool} ValidationError night`, [1, 0]]]))
    }).pipe(
      Effect.provideService(Metric.CurrentMetricAttributes, { job: "night" }),
      counted,
      Effect.provide(Bedrock.layerTest({}, { quotas: { default: { tokensPerMinute: 1_000 } } }))
    ))

  it.effect("is bounded for each call by its attempts, for all of them by the budget, and agrees with the errors", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const fiber = yield* Effect.forkChild(Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.flip(bedrock.converse(ask)),
        { concurrency: 10 }
      ))
      yield* TestClock.adjust("1 minute")
      const errors = yield* Fiber.join(fiber)
      const byBound = (bound: string) => {
        const those = errors.filter(({ gaveUp }) => gaveUp === bound)
        return [those.length, those.reduce((sum, { attempts }) => sum + attempts, 0)]
      }
      assert.deepStrictEqual([byBound("attempts"), byBound("budget")], [[10, 30], [40, 40]])
      assert.deepStrictEqual(
        yield* series,
        new Map([
          [`${pool} ServerError attempts`, [10, 30]],
          [`${pool} ServerError budget`, [40, 40]]
        ])
      )
    }).pipe(
      counted,
      Effect.provide(Bedrock.layerTest({ converse: () => unavailable }, {
        backoff: { attempts: 3, jitter: "none" },
        retryBudget: { capacity: 20, ratio: 0, perSecond: 0 }
      }))
    ))

  it.effect("keeps a thousand series, and counts what is beyond in one", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const counters = new Counters()
      const tally = { sent: 2, gaveUp: undefined }
      for (let round = 0; round < 2; round++) {
        for (let pool = 0; pool < 1_200; pool++) counters.count(`${pool}`, tally, Exit.void, context)
      }
      counters.count("0", tally, Exit.die("a bug"), context)
      const found = yield* series
      assert.strictEqual(found.size, 1_001)
      assert.deepStrictEqual(found.get("999"), [2, 4])
      assert.deepStrictEqual(found.get("true"), [401, 802])
    }).pipe(counted))

  it.effect("tells a bug from an interruption", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const counters = new Counters()
      const tally = { sent: 1, gaveUp: undefined }
      counters.count("p", tally, Exit.die("a bug"), context)
      counters.count("p", tally, Exit.failCause(Cause.interrupt(1)), context)
      assert.deepStrictEqual([...(yield* series).keys()], ["p _OTHER", "p interrupted"])
    }).pipe(counted))
})
