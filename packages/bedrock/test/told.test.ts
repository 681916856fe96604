// Who counts calls by what is told of them comes out even, whatever becomes of the calls.
import { CallEvents, CallLimits } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ask, file, nova, scripted, unavailable } from "./routeRig.ts"

const pro = "amazon.nova-pro-v1:0"
const throttled = new BedrockError.BedrockError({
  operation: "Converse",
  attempts: 1,
  httpStatus: 429,
  reason: new Reason.ThrottlingError({ limit: "requests", message: "no" })
})

const Call = Schema.Struct({
  to: Schema.Literals(["chat", "chat", nova]),
  streams: Schema.Boolean,
  /** Milliseconds after which it is interrupted. */
  leaves: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_000 }))),
  maxWait: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_500 })))
})
const Answer = Schema.Struct({
  took: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })),
  is: Schema.Literals(["well", "well", "unavailable", "throttled"])
})

describe("of each pool", () => {
  it.effect.prop(
    "who waits is admitted, or leaves, before the call ends",
    [
      Schema.Array(Call).check(Schema.isMinLength(1), Schema.isMaxLength(8)),
      Schema.Array(Answer).check(Schema.isMinLength(1), Schema.isMaxLength(8)),
      Schema.Boolean
    ],
    ([calls, answers, patient]) =>
      Effect.gen(function*() {
        const answered = (index: number) => answers[index % answers.length] ?? { took: 0, is: "well" as const }
        const failureOf = (is: "unavailable" | "throttled") => Effect.fail(is === "throttled" ? throttled : unavailable)
        const { bedrock } = yield* scripted({
          converse: (_: unknown, index: number) => {
            const { is, took } = answered(index)
            return Effect.delay(is === "well" ? Effect.succeed(BedrockClientTest.answer("Yes.")) : failureOf(is), took)
          },
          converseStream: (_: unknown, index: number) => {
            const { is, took } = answered(index)
            return is === "well"
              ? Stream.fromIterable(BedrockClientTest.events(["Yes", "."])).pipe(
                Stream.rechunk(1),
                Stream.tap(() => Effect.sleep(took / 5))
              )
              : Stream.fromEffect(Effect.delay(failureOf(is), took))
          }
        }, {
          routes: file({ one: { model: nova }, two: { model: pro } }, {
            ordered: ["one", "two"],
            patience: patient ? 400 : 0
          }),
          withoutQuota: "probe",
          quotas: { default: { requestsPerMinute: 2 } },
          meters: { window: "1 second" },
          backoff: { base: 100 }
        })
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        const books: Array<ReadonlyArray<CallEvents.CallEvent>> = []
        for (const { leaves, maxWait, streams, to } of calls) {
          const events: Array<CallEvents.CallEvent> = []
          books.push(events)
          const call: Effect.Effect<unknown, BedrockError.BedrockError> = streams
            ? Stream.runDrain(bedrock.converseStream(ask(to)))
            : bedrock.converse(ask(to))
          const fiber = yield* call.pipe(
            Effect.provideService(CallEvents.CallEvents, (event) => void events.push(event)),
            maxWait === undefined ? (call) => call : Effect.provideService(CallLimits.CallLimits, { maxWait }),
            Effect.ignore,
            leaves === undefined ? (call) => call : Effect.timeoutOption(leaves),
            Effect.forkChild
          )
          fibers.push(fiber)
          yield* TestClock.adjust(50)
        }
        yield* TestClock.adjust("10 minutes")
        for (const fiber of fibers) yield* Fiber.join(fiber)
        for (const events of books) {
          const waiting = new Map<string, number>()
          for (const [at, event] of events.entries()) {
            const before = waiting.get(event.pool) ?? 0
            if (event._tag === "Waiting") waiting.set(event.pool, before + 1)
            if (event._tag === "Admitted" || event._tag === "Left") waiting.set(event.pool, before - 1)
            assert.isAtLeast(waiting.get(event.pool) ?? 0, 0)
            if (event._tag !== "CallEnded") continue
            assert.strictEqual(at, events.length - 1)
            assert.deepStrictEqual([...waiting.values()].filter((count) => count !== 0), [])
          }
          assert.strictEqual(events.filter(({ _tag }) => _tag === "CallEnded").length, 1)
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 150 } }
  )
})
