import { Backoff, RetryBudget } from "@caprock/backoff"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { failure, run } from "./support.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Options = Schema.Struct({
  base: between(0, 3_000),
  factor: between(0, 3),
  cap: between(0, 20_000),
  jitter: Schema.Literals(["full", "equal", "decorrelated", "none"]),
  attempts: between(0, 6),
  elapsed: between(0, 30_000),
  deadline: between(1, 40_000)
})

const millis = (wait: Duration.Duration | undefined) => wait === undefined ? undefined : Duration.toMillis(wait)

/** Sends as long as it may, always at the same place, and gives the waits. */
const alone = (options: Backoff.RetryOptions, errors: ReadonlyArray<Backoff.Retryable>, seed: string) =>
  Effect.gen(function*() {
    const tries = yield* Backoff.begin(options)
    const waits: Array<number> = []
    for (;;) {
      tries.sent()
      const error = errors[Math.min(waits.length, errors.length - 1)] ?? failure()
      const wait = yield* tries.next(error, "here")
      if (wait === undefined) return waits
      waits.push(Duration.toMillis(wait))
      yield* TestClock.adjust(wait)
    }
  }).pipe(Random.withSeed(seed))

describe("begin", () => {
  it.effect.prop(
    "at one place it is the schedule that `retry` is",
    [Options, Schema.Array(Schema.NullOr(between(0, 5_000))).check(Schema.isMaxLength(6)), between(0, 1_000_000)],
    ([options, hints, seed]) =>
      Effect.gen(function*() {
        const [first = failure(), ...others] = hints.map((hint) => failure(hint ?? undefined))
        const { waits } = yield* run(options, [first, ...others], `${seed}`)
        assert.deepStrictEqual(yield* alone(options, [first, ...others], `${seed}`), waits)
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("elsewhere waits for nothing, and the waits here begin anew after it", () =>
    Effect.gen(function*() {
      const tries = yield* Backoff.begin({ attempts: 6, jitter: "none" })
      const waits: Array<number | undefined> = []
      for (const how of ["elsewhere", "elsewhere", "here", "elsewhere", "here", "here"] as const) {
        tries.sent()
        waits.push(millis(yield* tries.next(failure("100 millis"), how)))
      }
      assert.deepStrictEqual(waits, [0, 0, 1_000, 0, 2_000, undefined])
    }))

  it.effect("counts what is sent, wherever, and two at a time as two", () =>
    Effect.gen(function*() {
      const limits: Array<Backoff.Limit> = []
      const tries = yield* Backoff.begin({ attempts: 3, onGiveUp: (limit) => limits.push(limit) })
      tries.sent()
      assert.isDefined(yield* tries.next(failure(), "elsewhere"))
      tries.sent()
      tries.sent()
      assert.isUndefined(yield* tries.next(failure(), "elsewhere"))
      assert.isUndefined(yield* tries.next(failure(), "here"))
      assert.deepStrictEqual(limits, ["attempts", "attempts"])
    }))

  it.effect("ends with one deadline and one elapsed limit for all places, and says which", () =>
    Effect.gen(function*() {
      const limits: Array<Backoff.Limit> = []
      const onGiveUp = (limit: Backoff.Limit) => limits.push(limit)
      const until = yield* Backoff.begin({ deadline: "1 second", jitter: "none", onGiveUp })
      assert.isUndefined(yield* until.next(failure(), "here"))
      assert.strictEqual(millis(yield* until.next(failure(), "elsewhere")), 0)
      yield* TestClock.adjust(999)
      assert.strictEqual(millis(yield* until.next(failure(), "elsewhere")), 0)
      yield* TestClock.adjust(1)
      assert.isUndefined(yield* until.next(failure(), "elsewhere"))
      const long = yield* Backoff.begin({ elapsed: "1 second", jitter: "none", onGiveUp })
      yield* TestClock.adjust("1 hour")
      // From the first failure on.
      assert.strictEqual(millis(yield* long.next(failure(), "elsewhere")), 0)
      yield* TestClock.adjust(1_001)
      assert.isUndefined(yield* long.next(failure(), "elsewhere"))
      assert.deepStrictEqual(limits, ["deadline", "deadline", "elapsed"])
    }))

  it.effect("only another try at the same place draws on the budget, on the balance of its own pool", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.RetryBudget
      const limits: Array<Backoff.Limit> = []
      const tries = yield* Backoff.begin({
        budget,
        pool: "one",
        attempts: 9,
        onGiveUp: (limit) => limits.push(limit)
      })
      for (let n = 0; n < 3; n++) assert.isDefined(yield* tries.next(failure(), "elsewhere"))
      assert.isDefined(yield* tries.next(failure(), "here"))
      assert.isDefined(yield* tries.next(failure(), "here", "other"))
      assert.isUndefined(yield* tries.next(failure(), "here"))
      assert.isUndefined(yield* tries.next(failure(), "here", "other"))
      assert.isDefined(yield* tries.next(failure(), "elsewhere"))
      assert.deepStrictEqual(limits, ["budget", "budget"])
      const balances = yield* budget.snapshot
      assert.deepStrictEqual(
        balances.map(({ granted, pool, refused }) => [pool, granted, refused]),
        [["one", 1, 1], ["other", 1, 1]]
      )
    }).pipe(Effect.provide(RetryBudget.layerTest(1))))

  it.effect("what is not worth a try here is not tried here, and may be elsewhere", () =>
    Effect.gen(function*() {
      const tries = yield* Backoff.begin({ onGiveUp: () => assert.fail("no limit ended it") })
      tries.sent()
      assert.isUndefined(yield* tries.next(failure(undefined, false), "here"))
      assert.strictEqual(millis(yield* tries.next(failure(undefined, false), "elsewhere")), 0)
    }))
})
