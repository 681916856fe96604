// A call and its end, on a scripted client and in virtual time.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock, CallEvents } from "@caprock/bedrock"
import { BedrockClient, BedrockClientTest } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Logger, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"

const modelId = "amazon.nova-lite-v1:0"
const ask = {
  modelId,
  messages: [{ role: "user" as const, content: [{ text: "hello" }] }],
  inferenceConfig: { maxTokens: 60 }
}

const failed = (reason: Reason.Reason, httpStatus: number) =>
  new BedrockError.BedrockError({ operation: "Converse", attempts: 1, httpStatus, reason })
const unavailable = failed(new Reason.ServerError({ kind: "unavailable", message: "no" }), 503)
const throttled = (limit: Reason.ThrottlingError["limit"]) =>
  failed(new Reason.ThrottlingError({ limit, message: "no" }), 429)

const house = (
  script: BedrockClientTest.Script,
  { tokens = 100, ...options }: Bedrock.CallOptions & { readonly tokens?: number } = {}
) => Bedrock.layerTest(script, { ...options, quotas: { default: { requestsPerMinute: 10, tokensPerMinute: tokens } } })

const recorded = () => {
  const events: Array<CallEvents.CallEvent> = []
  return {
    events,
    of: <T extends CallEvents.CallEvent["_tag"]>(tag: T) =>
      events.filter((event): event is Extract<CallEvents.CallEvent, { readonly _tag: T }> => event._tag === tag),
    listen: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, CallEvents.CallEvents, (event) => {
        events.push(event)
      })
  }
}

const used = Effect.map(
  Effect.flatMap(Bedrock.Bedrock, (bedrock) => bedrock.snapshot(modelId)),
  (snapshot) => snapshot.meters.map((meter) => meter.used)
)

/** An event each 50 ms: the first text at 100, the usage of 5 tokens at 300. */
const slowly = Stream.fromIterable(
  BedrockClientTest.events(["he", "llo"], { usage: { inputTokens: 3, outputTokens: 2 } })
).pipe(
  Stream.rechunk(1),
  Stream.tap(() => Effect.sleep("50 millis"))
)

describe("interrupted after any number of steps, a call leaves nothing behind and ends once", () => {
  const calls = {
    converse: Bedrock.Bedrock.use((bedrock) => Effect.asVoid(bedrock.converse(ask))),
    converseStream: Bedrock.Bedrock.use((bedrock) => Stream.runDrain(bedrock.converseStream(ask))),
    "converseStream, left early": Bedrock.Bedrock.use((bedrock) =>
      Stream.runDrain(Stream.take(bedrock.converseStream(ask), 3))
    )
  }
  const moments = {
    "on its way": {
      script: { converse: () => BedrockClientTest.answer("hi"), converseStream: () => slowly },
      until: 0
    },
    "in the stream": {
      script: {
        converse: () => Effect.delay(Effect.succeed(BedrockClientTest.answer("hi")), 200),
        converseStream: () => slowly
      },
      until: 120
    },
    "between attempts": {
      script: {
        converse: (_: unknown, index: number) => index === 0 ? unavailable : BedrockClientTest.answer("hi"),
        converseStream: (_: unknown, index: number) => index === 0 ? unavailable : slowly
      },
      until: 500
    }
  }
  for (const [name, call] of Object.entries(calls)) {
    for (const [moment, { script, until }] of Object.entries(moments)) {
      it.effect(`${name}, ${moment}`, () =>
        Effect.gen(function*() {
          let interrupted = 0
          for (let steps = 3; steps < 120; steps += 2) {
            const record = recorded()
            yield* Effect.gen(function*() {
              const fiber = yield* call.pipe(
                record.listen,
                // A fiber gives way after so many steps, and only then can it be interrupted between two of them.
                Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
                Effect.forkChild
              )
              yield* Effect.yieldNow
              if (until > 0) {
                for (let turns = 0; turns < 100; turns++) yield* Effect.yieldNow
                yield* TestClock.adjust(until)
              }
              fiber.interruptUnsafe()
              if (Exit.isFailure(yield* Fiber.await(fiber))) interrupted++
              const bedrock = yield* Bedrock.Bedrock
              assert.strictEqual((yield* bedrock.snapshot(modelId)).waiting, 0)
              const began = record.of("Waiting").length > 0
              assert.lengthOf(record.of("CallEnded"), began || record.events.length > 0 ? 1 : 0)
              assert.isAtMost(record.of("CallEnded")[0]?.attempts ?? 0, record.of("Admitted").length)
              // Whatever was charged leaves with its window.
              yield* TestClock.adjust("60250 millis")
              assert.deepStrictEqual(yield* used, [0, 0])
            }).pipe(Effect.provide(house(script)))
          }
          assert.isAbove(interrupted, 20)
        }))
    }
  }
})

describe("streams", () => {
  it.effect("tell how long they were served when they are interrupted", () =>
    Effect.gen(function*() {
      const record = recorded()
      const fiber = yield* Bedrock.Bedrock.use((bedrock) => Stream.runDrain(bedrock.converseStream(ask))).pipe(
        record.listen,
        Effect.forkChild
      )
      yield* TestClock.adjust("170 millis")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(record.of("CallEnded").map(({ attempts, serviceMillis }) => [attempts, serviceMillis]), [
        [1, 170]
      ])
    }).pipe(Effect.provide(house({ converseStream: () => slowly }))))

  it.effect("are settled with their usage when they are left after it", () =>
    Effect.gen(function*() {
      const record = recorded()
      const fiber = yield* Bedrock.Bedrock.use((bedrock) =>
        bedrock.converseStream(ask).pipe(Stream.takeUntil((event) => event.metadata !== undefined), Stream.runDrain)
      ).pipe(record.listen, Effect.forkChild)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* used, [1, 5])
      assert.deepStrictEqual(record.of("Settled").map((event) => event.charged), [5])
    }).pipe(Effect.provide(house({ converseStream: () => slowly }))))
})

describe("a throttle", () => {
  const guard = Effect.map(
    Effect.flatMap(Bedrock.Bedrock, (bedrock) => bedrock.snapshot(modelId)),
    (snapshot) => Duration.toMillis(snapshot.guard)
  )

  it.effect("is explained by a debt that was made before it came, whatever is given back after it", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const fiber = yield* Effect.forkChild(Effect.ignore(bedrock.converse(ask)))
      const indebted = yield* Effect.forkChild(bedrock.converse(ask))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(indebted)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* used, [2, 150])
      assert.strictEqual(yield* guard, 250)
    }).pipe(Effect.provide(house({
      converse: (_, index) =>
        index === 0
          ? Effect.delay(Effect.fail(throttled("tokens")), "500 millis")
          : BedrockClientTest.answer("hi", { usage: { inputTokens: 100, outputTokens: 50 } })
    }, { tokens: 200, backoff: { attempts: 1 } }))))

  it.effect("of the day's tokens parks the pool for an hour, and until the next day at most", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      yield* TestClock.adjust("1350 minutes")
      const reasons = []
      for (const wait of ["30 minutes", "30 minutes", "10 minutes", "20 minutes", "1 minute"] as const) {
        const error = yield* Effect.flip(bedrock.converse(ask))
        reasons.push([error.attempts, error.reason.message, error.retryable, error.retryableElsewhere])
        yield* TestClock.adjust(wait)
      }
      const served = [1, "no", false, false]
      const parked = (left: string) => [
        0,
        `The tokens of the day are used up; it is tried again in ${left}. Nothing was sent.`,
        false,
        false
      ]
      assert.deepStrictEqual(reasons, [served, parked("30m"), served, parked("20m"), served])
    }).pipe(
      Effect.provide(house({ converse: [0, 1, 2].map(() => throttled("tokens-per-day")) }, {
        backoff: { attempts: 1 },
        tokens: 1000
      }))
    ))

  it.effect("of a guardrail says nothing about the minute's guard", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      yield* Effect.flip(bedrock.converse(ask))
      assert.strictEqual(yield* guard, 250)
      yield* Effect.flip(bedrock.converse(ask))
      assert.strictEqual(yield* guard, 500)
    }).pipe(
      Effect.provide(house({ converse: [throttled("guardrails"), throttled("unknown")] }, {
        backoff: { attempts: 1 },
        tokens: 1000
      }))
    ))
})

describe("attempts", () => {
  it.effect("never pass their limit, nor those of all calls the budget", () =>
    Effect.gen(function*() {
      for (const attempts of [1, 2, 4, 6]) {
        for (const retries of [0, 1, 7, 100]) {
          const record = recorded()
          const calls = 5
          yield* Effect.gen(function*() {
            const bedrock = yield* Bedrock.Bedrock
            const fiber = yield* Effect.forEach(
              Array.from({ length: calls }, (_, i) => i),
              (i) => Effect.flip(i % 2 === 0 ? bedrock.converse(ask) : Stream.runDrain(bedrock.converseStream(ask))),
              { concurrency: "unbounded" }
            ).pipe(record.listen, Effect.forkChild)
            yield* TestClock.adjust("30 minutes")
            const test = yield* BedrockClientTest.BedrockClientTest
            const sent = record.of("CallEnded").map((event) => event.attempts)
            assert.deepStrictEqual((yield* Fiber.join(fiber)).map((error) => error.attempts).sort(), [...sent].sort())
            assert.isAtMost(Math.max(...sent), attempts)
            const total = sent.reduce((sum, one) => sum + one, 0)
            assert.strictEqual(total, Math.min(calls * attempts, calls + retries))
            assert.lengthOf(yield* test.requests, total)
            assert.lengthOf(record.of("Admitted"), total)
            assert.lengthOf(record.of("AttemptFailed"), total)
          }).pipe(Effect.provide(Layer.provideMerge(
            Bedrock.layerNoDeps({ backoff: { attempts, elapsed: "1 hour" } }),
            [
              BedrockClient.layerTest({ converse: () => unavailable, converseStream: () => unavailable }),
              Bedrock.layerLimiter({ quotas: Quotas.uniform({ requestsPerMinute: 3 }) }),
              Layer.orDie(RetryBudget.layerTest(retries))
            ]
          )))
        }
      }
    }))

  it.effect("of a count of tokens are those that were sent", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const fiber = yield* bedrock.countTokens({ modelId, input: { converse: { messages: ask.messages } } }).pipe(
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).attempts, 4)
    }).pipe(Effect.provide(house({ countTokens: () => unavailable }))))
})

describe("a listener that throws", () => {
  const broken = (event: CallEvents.CallEvent) => {
    throw new Error(`no ear for ${event._tag}`)
  }

  it.effect("harms no call, leaves nothing behind, and is logged once", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        logged.push([logLevel, Array.isArray(message) ? message.map(String) : message])
      })
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        const answer = yield* bedrock.converse(ask)
        assert.strictEqual(answer.stopReason, "end_turn")
        const events = yield* Stream.runCollect(bedrock.converseStream(ask))
        assert.isDefined(events.at(-1)?.metadata)
        assert.strictEqual((yield* Effect.flip(bedrock.converse(ask))).reason._tag, "ValidationError")
      }).pipe(
        Effect.provideService(CallEvents.CallEvents, broken),
        Effect.provide(Logger.layer([logger]))
      )
      // Each was settled with what it cost: 2 tokens, 5 tokens, and nothing.
      assert.deepStrictEqual(yield* used, [3, 7])
      assert.deepStrictEqual(logged, [[
        "Warn",
        ["A CallEvents listener threw on Waiting. The call goes on; it is not said again.", "Error: no ear for Waiting"]
      ]])
    }).pipe(Effect.provide(house({
      converse: [
        BedrockClientTest.answer("hi", { usage: { inputTokens: 1, outputTokens: 1 } }),
        failed(new Reason.ValidationError({ kind: "malformed", message: "no" }), 400)
      ],
      converseStream: [BedrockClientTest.events(["hi"], { usage: { inputTokens: 3, outputTokens: 2 } })]
    }, { tokens: 1000 }))))
})

describe("a refusal of the limiter names model, Region, quota and remedy once, and no pool", () => {
  it.effect("larger than the quota", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const { message } = yield* Effect.flip(bedrock.converse({ ...ask, inferenceConfig: { maxTokens: 12_345 } }))
      assert.strictEqual(
        message.replace(/12,3\d\d/, "12,3.."),
        "Converse of amazon.nova-lite-v1:0 in us-east-1 failed: ValidationError (exceeds-quota). Its input with maxTokens " +
          "(the model's maximum where that is not set) needs 12,3.. tokens at once, and the whole quota is 100. " +
          "No wait can help: lower maxTokens, shorten the input, or raise the quota. [0 requests sent]"
      )
    }).pipe(Effect.provide(house({}))))

  it.effect("longer than it may wait", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      yield* bedrock.converse(ask)
      const { message } = yield* Effect.flip(bedrock.converse(ask))
      assert.strictEqual(
        message,
        "Converse of amazon.nova-lite-v1:0 in us-east-1 failed: AdmissionError (wait-too-long). " +
          "It would wait 1m 250ms for quota, and maxWait is 5s. Allow a longer wait, send less, or use another pool. " +
          "[not before 1m 250ms, 0 requests sent]"
      )
    }).pipe(Effect.provide(house({
      converse: () => BedrockClientTest.answer("hi", { usage: { inputTokens: 3, outputTokens: 60 } })
    }, { maxWait: "5 seconds" }))))
})
