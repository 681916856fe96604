// What a call is charged, and when that leaves its window: on a scripted client and in virtual time.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock, Refund } from "@caprock/bedrock"
import { BedrockClient, BedrockClientTest, CallObserver } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { Catalogue, Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Accountant } from "../src/internal/accountant.ts"

const modelId = "amazon.nova-lite-v1:0"
const ask = (maxTokens?: number, model = modelId) => ({
  modelId: model,
  messages: [{ role: "user" as const, content: [{ text: "hello" }] }],
  ...(maxTokens === undefined ? {} : { inferenceConfig: { maxTokens } })
})

const house = (script: BedrockClientTest.Script) =>
  Layer.provideMerge(Bedrock.layerNoDeps({ backoff: { attempts: 1 } }), [
    BedrockClient.layerTest(script),
    Bedrock.layerLimiter({ quotas: Quotas.uniform({ requestsPerMinute: 10, tokensPerMinute: 1000 }) }),
    Layer.orDie(RetryBudget.layer())
  ])

const used = (model = modelId) =>
  Effect.map(
    Effect.flatMap(Bedrock.Bedrock, (bedrock) => bedrock.snapshot(model)),
    (snapshot) => snapshot.meters.map((meter) => meter.used)
  )

const failed = (reason: Reason.Reason, httpStatus?: number) =>
  new BedrockError.BedrockError({
    operation: "Converse",
    attempts: 1,
    ...(httpStatus === undefined ? {} : { httpStatus }),
    reason
  })

/** Flushed at once, over after 5 s. */
const slowly = <A>(end: Effect.Effect<A, BedrockError.BedrockError>) =>
  Effect.flatMap(CallObserver.CallObserver, (observer) => {
    observer.onFlushed()
    return Effect.delay(end, "5 seconds")
  })

/** Until when a call's charge stays in the books, in milliseconds from its admission. */
const staysUntil = Effect.gen(function*() {
  const bedrock = yield* Bedrock.Bedrock
  const fiber = yield* Effect.forkChild(Effect.exit(bedrock.converse(ask(100))))
  yield* TestClock.adjust("5 seconds")
  yield* Fiber.join(fiber)
  for (const millis of [60_250, 62_250, 65_250]) {
    const current = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    yield* TestClock.adjust(millis - 1 - current)
    if ((yield* used())[0] === 0) return "sooner"
    yield* TestClock.adjust(1)
    if ((yield* used())[0] === 0) return millis
  }
  return "later"
})

describe("a charge leaves one window and the guard after", () => {
  const answer = BedrockClientTest.answer("hi")

  it.effect("the latency that the answer reports, counted back from its end", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* staysUntil, 62_250)
    }).pipe(
      Effect.provide(house({ converse: () => slowly(Effect.succeed({ ...answer, metrics: { latencyMs: 3000 } })) }))
    ))

  it.effect("the first byte, when the server failed", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* staysUntil, 65_250)
    }).pipe(Effect.provide(house({
      converse: () => slowly(Effect.fail(failed(new Reason.ServerError({ kind: "internal", message: "no" }), 500)))
    }))))

  it.effect("the flush, when nothing was answered", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* staysUntil, 60_250)
    }).pipe(Effect.provide(house({
      converse: () => slowly(Effect.fail(failed(new Reason.TransportError({ kind: "reset", message: "no" }))))
    }))))
})

describe("what is given back", () => {
  it("is what decision 3 says", () => {
    assert.deepStrictEqual(Refund.table, {
      ThrottlingError: "tokens",
      ValidationError: "tokens",
      AccessError: "tokens",
      NotFoundError: "tokens",
      ResourceQuotaError: "tokens",
      ConflictError: "tokens",
      ServerError: "nothing",
      TransportError: "nothing",
      TimeoutError: "nothing",
      InterruptedStreamError: "nothing",
      AdmissionError: "nothing",
      UnknownError: "nothing"
    })
    const timeout = new Reason.TimeoutError({ kind: "first-token", message: "no" })
    assert.strictEqual(Refund.of(timeout, true), "nothing")
    assert.strictEqual(Refund.of(timeout, false), "everything")
  })

  it.effect("by a stream that was cut after its usage: all but that", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const error = yield* Effect.flip(Stream.runDrain(bedrock.converseStream(ask(100))))
      assert.strictEqual(error.reason._tag, "InterruptedStreamError")
      assert.deepStrictEqual(yield* used(), [1, 5])
    }).pipe(Effect.provide(house({
      converseStream: [[
        { messageStart: { role: "assistant" } },
        { contentBlockDelta: { contentBlockIndex: 0, delta: { text: "he" } } },
        { metadata: { usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 }, metrics: undefined } },
        failed(new Reason.TransportError({ kind: "reset", message: "no" }))
      ]]
    }))))
})

it.effect("a guessed maximum refuses nobody", () =>
  Effect.gen(function*() {
    const bedrock = yield* Bedrock.Bedrock
    yield* bedrock.converse(ask(undefined, "acme.unheard-of-v1:0"))
    assert.strictEqual(
      (yield* Effect.flip(bedrock.converse(ask(5000, "acme.unheard-of-v1:0")))).reason._tag,
      "ValidationError"
    )
  }).pipe(Effect.provide(house({ converse: () => BedrockClientTest.answer("hi") }))))

describe("the accountant", () => {
  const claude = Catalogue.lookup(Catalogue.builtIn, "anthropic.claude-sonnet-4-5-20250929-v1:0")
  const request = (base: number) => ({ pool: "pool", entry: { ...claude, burndown: 5 }, base, maxTokens: 100 })

  it("tells the part of a charge that the server did not reserve", () => {
    const entry = new Accountant(() => 0).open(request(10), undefined, {})
    assert.deepStrictEqual(entry.charged({ inputTokens: 10, outputTokens: 100 }), { tokens: 510, growth: 400 })
    assert.deepStrictEqual(entry.charged({ inputTokens: 10, outputTokens: 4 }), { tokens: 30, growth: 0 })
  })

  it("books as before once others have ended, however they did", () => {
    const accountant = new Accountant(() => 0)
    for (let i = 0; i < 40; i++) {
      const entry = accountant.open(request(10_000), undefined, {})
      entry.begin()
      entry.charged({ inputTokens: 10_000 + 100 * i, outputTokens: 10 })
      entry.end()
    }
    const booked = () => {
      const entry = accountant.open(request(10_000), undefined, {})
      const booking = entry.cost.book?.()
      entry.end()
      return booking
    }
    const alone = booked()
    const others = Array.from({ length: 20 }, () => accountant.open(request(10_000), undefined, {}))
    for (const other of others) {
      other.cost.book?.()
      other.begin()
    }
    assert.notDeepEqual(booked(), alone)
    for (const other of others) {
      other.end()
      other.end()
    }
    assert.deepStrictEqual(booked(), alone)
  })
})
