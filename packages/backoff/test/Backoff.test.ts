import { Backoff, RetryBudget } from "@caprock/backoff"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Data, Deferred, Duration, Effect, Exit, Fiber, Random, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { failure, run } from "./support.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Seed = between(0, 1_000_000_000)
const jitters = ["full", "equal", "decorrelated", "none"] as const

// Written anew here, from the definition: what the wait after the n-th failure may be.
const exponentialAt = (n: number, base: number, factor: number, cap: number) => Math.min(cap, base * factor ** (n - 1))

describe("the default", () => {
  it.effect("waits about 1 s, 2 s, 4 s, sends four requests, then gives the last error and logs a warning", () =>
    Effect.gen(function*() {
      const last = failure()
      const { error, requests, waits, warnings } = yield* run(undefined, [failure(), failure(), failure(), last])
      assert.strictEqual(requests, 4)
      assert.strictEqual(error, last)
      for (const [index, about] of [1_000, 2_000, 4_000].entries()) {
        const wait = waits[index] ?? Number.NaN
        assert.isAtLeast(wait, about / 2)
        assert.isAtMost(wait, about)
      }
      assert.deepStrictEqual(warnings, [{ message: ["Gave up retrying"], limit: "attempts", failures: 4 }])
    }))

  it.effect("is the same as a schedule, and as no options", () =>
    Effect.gen(function*() {
      const seeded = yield* run({}, [failure()], "s")
      const plain = yield* run(undefined, [failure()], "s")
      assert.deepStrictEqual(seeded.waits, plain.waits)
      const delays = yield* Effect.gen(function*() {
        const step = yield* Schedule.toStep(Backoff.defaultSchedule)
        const first = yield* step(0, failure())
        const second = yield* step(0, failure())
        return [first, second].map(([output, delay]) => {
          assert.deepStrictEqual(output, delay)
          return Duration.toMillis(delay)
        })
      }).pipe(Random.withSeed("s"))
      assert.deepStrictEqual(delays, plain.waits.slice(0, 2))
    }))

  it.effect("does not share its state between calls", () =>
    Effect.gen(function*() {
      const runs = yield* Effect.forEach(["a", "a"], (seed) => run(undefined, [failure()], seed))
      assert.deepStrictEqual(runs[0]?.waits, runs[1]?.waits)
    }))
})

describe("what is retried", () => {
  it.effect("a success is not", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.succeed(1).pipe(Backoff.retry()))
      assert.deepStrictEqual(exit, Exit.succeed(1))
    }))

  it.effect("what is not retryable is not, whatever else it says, and nothing is logged", () =>
    Effect.gen(function*() {
      const { requests, warnings } = yield* run({ attempts: 10 }, [failure("1 second", false)])
      assert.strictEqual(requests, 1)
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("nothing is, and nothing is logged, where only one attempt is allowed", () =>
    Effect.gen(function*() {
      const { requests, warnings } = yield* run({ attempts: 1 }, [failure()])
      assert.deepStrictEqual([requests, warnings], [1, []])
      assert.strictEqual((yield* run({ attempts: NaN }, [failure()])).requests, 1)
      const two = yield* run({ attempts: 2 }, [failure()])
      assert.deepStrictEqual([two.requests, two.warnings.length], [2, 1])
    }))

  it.effect("an error of a class, whose answers are getters", () =>
    Effect.gen(function*() {
      class Busy extends Data.TaggedError("Busy")<{ readonly left: number }> {
        get retryable() {
          return this.left > 0
        }
        get retryableElsewhere() {
          return true
        }
        get retryAfter(): Duration.Duration | undefined {
          return Duration.seconds(this.left)
        }
      }
      let left = 2
      const call = Effect.suspend(() => Effect.fail(new Busy({ left: left-- })))
      const retried = Effect.retry(call, Backoff.defaultSchedule)
      expectTypeOf(retried).toEqualTypeOf<Effect.Effect<never, Busy>>()
      expectTypeOf(Backoff.retry(call)).toEqualTypeOf<Effect.Effect<never, Busy>>()
      const fiber = yield* retried.pipe(Effect.flip, Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).left, 0)
    }))

  it.effect("stops at the first error that is not", () =>
    Effect.gen(function*() {
      const last = failure(undefined, false)
      const { error, requests } = yield* run({ attempts: 10 }, [failure(), failure(), last])
      assert.strictEqual(requests, 3)
      assert.strictEqual(error, last)
    }))

  it.effect("a stream, through the schedule", () =>
    Effect.gen(function*() {
      let opened = 0
      const stream = Stream.suspend(() => ++opened < 3 ? Stream.fail(failure()) : Stream.make(opened))
      const fiber = yield* stream.pipe(Stream.retry(Backoff.exponential()), Stream.runCollect, Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [3])
    }))

  it.effect("an effect given first, as well", () =>
    Effect.gen(function*() {
      let sent = 0
      const fiber = yield* Backoff.retry(Effect.suspend(() => Effect.fail((sent++, failure()))), { attempts: 2 }).pipe(
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(sent, 2)
    }))
})

describe("interruption", () => {
  it.effect("ends the wait, and nothing is sent after it", () =>
    Effect.gen(function*() {
      let sent = 0
      const waiting = yield* Deferred.make<void>()
      const fiber = yield* Effect.suspend(() => {
        sent++
        return Effect.andThen(Deferred.succeed(waiting, undefined), Effect.fail(failure()))
      }).pipe(Backoff.retry(), Effect.forkChild)
      yield* Deferred.await(waiting)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(sent, 1)
    }))
})

describe("the sequence of waits", () => {
  it.effect("without jitter is exact: base, factor, cap, attempts", () =>
    Effect.gen(function*() {
      const { waits } = yield* run({ jitter: "none", base: 100, factor: 3, cap: 2_000, attempts: 6 }, [failure()])
      assert.deepStrictEqual(waits, [100, 300, 900, 2_000, 2_000])
    }))

  it.effect("is the same for the same seed, and another for another", () =>
    Effect.gen(function*() {
      for (const jitter of ["full", "equal", "decorrelated"] as const) {
        const [first, again, other] = yield* Effect.forEach(
          ["a", "a", "b"],
          (seed) => run({ jitter }, [failure()], seed)
        )
        assert.deepStrictEqual(first?.waits, again?.waits)
        assert.notDeepEqual(first?.waits, other?.waits)
      }
    }))

  it.effect.prop(
    "keeps to the bounds of its jitter",
    {
      jitter: Schema.Literals(jitters),
      base: between(1, 10_000),
      factor: between(1, 4),
      cap: between(1, 60_000),
      attempts: between(1, 9),
      seed: Seed
    },
    ({ attempts, base, cap, factor, jitter, seed }) =>
      Effect.gen(function*() {
        const { requests, waits } = yield* run(
          { jitter, base, factor, cap, attempts, elapsed: Infinity },
          [failure()],
          String(seed)
        )
        assert.strictEqual(requests, attempts)
        let previous = base
        for (const [index, wait] of waits.entries()) {
          const high = jitter === "decorrelated"
            ? Math.min(cap, Math.max(base, previous * factor))
            : exponentialAt(index + 1, base, factor, cap)
          const low = { full: 0, equal: high / 2, decorrelated: Math.min(base, cap), none: high }[jitter]
          assert.isAtLeast(wait, low)
          assert.isAtMost(wait, Math.ceil(high))
          previous = wait
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  // The other half of the bounds: a jitter that never comes near its ends spreads less than it says.
  it.effect("reaches near both ends of its bounds", () =>
    Effect.gen(function*() {
      const expected: Readonly<Record<Backoff.Jitter, ReadonlyArray<readonly [low: number, high: number]>>> = {
        full: [[0, 1_000], [0, 2_000]],
        equal: [[500, 1_000], [1_000, 2_000]],
        decorrelated: [[1_000, 3_000], [1_000, 9_000]],
        none: [[1_000, 1_000], [2_000, 2_000]]
      }
      for (const jitter of jitters) {
        const runs = yield* Effect.forEach(
          Array.from({ length: 400 }, (_, seed) => seed),
          (seed) => run({ jitter, attempts: 3 }, [failure()], `ends ${seed}`)
        )
        for (const [index, [low, high]] of expected[jitter].entries()) {
          const waits = runs.map(({ waits }) => waits[index] ?? Number.NaN)
          const slack = (high - low) * (index === 0 ? 0.02 : jitter === "decorrelated" ? 0.15 : 0.02)
          assert.isAtMost(Math.min(...waits), low + slack, `${jitter} ${index} low`)
          assert.isAtLeast(Math.max(...waits), high - slack, `${jitter} ${index} high`)
          const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length
          if (index === 0) assert.approximately(mean, (low + high) / 2, (high - low) * 0.06, `${jitter} mean`)
        }
      }
    }))

  it.effect("grows by 3 with decorrelated jitter, by 2 with the others, unless told otherwise", () =>
    Effect.gen(function*() {
      const highest = (options: Backoff.Options) =>
        Effect.map(
          Effect.forEach(Array.from({ length: 200 }, (_, i) => i), (i) =>
            run({ ...options, attempts: 2 }, [failure()], `${i}`)),
          (runs) =>
            Math.max(...runs.map(({ waits }) => waits[0] ?? 0))
        )
      assert.approximately(yield* highest({ jitter: "decorrelated" }), 3_000, 60)
      assert.approximately(yield* highest({ jitter: "decorrelated", factor: 2 }), 2_000, 40)
    }))
})

describe("retryAfter", () => {
  it.effect.prop(
    "is never undercut, and is left by no more than the stated spread",
    {
      jitter: Schema.Literals(jitters),
      hints: Schema.Array(between(0, 120_000)).check(Schema.isBetweenLength(1, 5)),
      base: between(1, 5_000),
      seed: Seed
    },
    ({ base, hints, jitter, seed }) =>
      Effect.gen(function*() {
        const [first = 0, ...rest] = hints
        const { waits } = yield* run(
          { jitter, base, cap: 20_000, attempts: hints.length + 1, elapsed: Infinity },
          [failure(first), ...rest.map((hint) => failure(hint))],
          String(seed)
        )
        assert.strictEqual(waits.length, hints.length)
        for (const [index, hint] of hints.entries()) {
          const wait = waits[index] ?? Number.NaN
          assert.isAtLeast(wait, hint)
          const backoff = jitter === "decorrelated" ? 20_000 : exponentialAt(index + 1, base, 2, 20_000)
          assert.isAtMost(
            wait,
            Math.ceil(jitter === "none" ? Math.max(hint, backoff) : hint + Math.max(backoff, hint / 10))
          )
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("of the same length for many callers is spread upwards: a tenth of it, at least the backoff's own wait", () =>
    Effect.gen(function*() {
      for (const [hint, spread] of [[600_000, 60_000], [2_000, 1_000], [0, 1_000]] as const) {
        const waits = yield* Effect.forEach(
          Array.from({ length: 300 }, (_, i) => i),
          (i) =>
            Effect.map(run({ attempts: 2, elapsed: "1 hour" }, [failure(hint)], `${i}`), ({ waits }) => waits[0] ?? 0)
        )
        assert.isAtLeast(Math.min(...waits), hint)
        assert.isAtLeast(Math.max(...waits), hint + 0.95 * spread)
        assert.isAtMost(Math.max(...waits), hint + spread)
        assert.isAbove(new Set(waits).size, 200)
      }
    }))

  it.effect("is not capped", () =>
    Effect.gen(function*() {
      const { waits } = yield* run({ jitter: "none", cap: "1 second", attempts: 2 }, [failure("90 seconds")])
      assert.deepStrictEqual(waits, [90_000])
    }))

  it.effect("of a fraction of a millisecond is rounded up, because timers round down", () =>
    Effect.gen(function*() {
      const { waits } = yield* run({ jitter: "none", base: 1, attempts: 2 }, [failure(Duration.micros(5_200n))])
      assert.deepStrictEqual(waits, [6])
    }))

  it.effect("that never comes ends the call", () =>
    Effect.gen(function*() {
      for (const elapsed of [undefined, Infinity]) {
        const { requests } = yield* run({ elapsed }, [failure(Duration.infinity)])
        assert.strictEqual(requests, 1)
      }
    }))
})

describe("the elapsed limit", () => {
  it.effect("ends at once, with the last error, when the next wait would pass it", () =>
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      const error = failure("61 seconds")
      const ended = yield* Effect.fail(error).pipe(Backoff.retry({ elapsed: "1 minute" }), Effect.flip)
      assert.strictEqual(ended, error)
      assert.strictEqual(yield* Clock.currentTimeMillis, start)
    }))

  it.effect("allows a wait that ends on it, and names itself in the warning", () =>
    Effect.gen(function*() {
      const options = { jitter: "none", attempts: 100, cap: Infinity } as const
      const exact = yield* run({ ...options, elapsed: "7 seconds" }, [failure()])
      assert.deepStrictEqual(exact.waits, [1_000, 2_000, 4_000])
      assert.strictEqual(exact.warnings[0]?.["limit"], "elapsed")
      const short = yield* run({ ...options, elapsed: 6_999 }, [failure()])
      assert.deepStrictEqual(short.waits, [1_000, 2_000])
    }))

  it.effect("counts the time that the attempts themselves take, from the first failure", () =>
    Effect.gen(function*() {
      let sent = 0
      const fiber = yield* Effect.suspend(() => {
        sent++
        return Effect.andThen(Effect.sleep("10 seconds"), Effect.fail(failure()))
      }).pipe(
        Backoff.retry({ jitter: "none", base: "1 second", factor: 1, attempts: 100, elapsed: "24 seconds" }),
        Effect.exit,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      // Failures at 0, 11 and 22 s after the first; the wait after the third would end at 23 s, the fourth's at 34 s.
      assert.strictEqual(sent, 4)
    }))

  it.effect("is five minutes by default", () =>
    Effect.gen(function*() {
      const fits = yield* run({ jitter: "none" }, [failure("5 minutes"), failure("1 milli")])
      assert.strictEqual(fits.requests, 2)
      const passes = yield* run({ jitter: "none" }, [failure(5 * 60_000 + 1)])
      assert.strictEqual(passes.requests, 1)
    }))

  it.effect.prop(
    "is kept, and used up: the last try starts within it, and one more wait would not have",
    { base: between(1, 3_000), elapsed: between(0, 120_000), hint: between(0, 8_000) },
    ({ base, elapsed, hint }) =>
      Effect.gen(function*() {
        const { waits } = yield* run(
          { jitter: "none", base, cap: 10_000, attempts: 1_000, elapsed },
          [failure(hint)]
        )
        const total = waits.reduce((sum, wait) => sum + wait, 0)
        assert.isAtMost(total, elapsed)
        assert.isAbove(total + Math.max(hint, exponentialAt(waits.length + 1, base, 2, 10_000)), elapsed)
      })
  )
})

describe("the deadline", () => {
  it.effect("lets no wait begin that would end at it or later, and says so", () =>
    Effect.gen(function*() {
      const limits: Array<Backoff.Limit> = []
      const within = (deadline: number) =>
        run({ jitter: "none", attempts: 100, deadline, onGiveUp: (limit) => limits.push(limit) }, [failure()])
      // Waits of 1, 2 and 4 s end 1, 3 and 7 s after the start.
      for (const [deadline, waits] of [[7_001, 3], [7_000, 2], [1_001, 1], [1_000, 0], [0, 0]] as const) {
        const { warnings, ...ran } = yield* within(deadline)
        assert.strictEqual(ran.waits.length, waits)
        assert.deepStrictEqual([limits.pop(), limits.length], ["deadline", 0])
        assert.strictEqual(warnings[0]?.["limit"], "deadline")
      }
    }))

  it.effect("counts from when it is run, and with the time of the attempts, but ends none of them", () =>
    Effect.gen(function*() {
      const starts: Array<number> = []
      const call = Effect.gen(function*() {
        starts.push(yield* Clock.currentTimeMillis)
        yield* Effect.sleep("10 seconds")
        return yield* Effect.fail(failure())
      }).pipe(Backoff.retry({ jitter: "none", base: "1 second", factor: 1, attempts: 100, deadline: "22500 millis" }))
      yield* TestClock.adjust("1 hour")
      for (let n = 1; n <= 2; n++) {
        const fiber = yield* Effect.forkChild(Effect.exit(call))
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(fiber)
        // The one that begins after 22 s has half a second left, and takes ten.
        assert.deepStrictEqual(starts.splice(0).map((at) => at - n * 3_600_000), [0, 11_000, 22_000])
      }
    }))

  it.effect("holds for what the server asks to wait, and costs the budget nothing", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, perSecond: 0, capacity: 5 })
      const ended = yield* run({ budget, deadline: "20 seconds" }, [failure("1 minute")])
      assert.strictEqual(ended.requests, 1)
      assert.deepStrictEqual((yield* budget.snapshot).map(({ available }) => available), [5])
    }))
})

describe("who is told what ended the tries", () => {
  it.effect("hears each limit once, and nothing where none did", () =>
    Effect.gen(function*() {
      const limits: Array<Backoff.Limit> = []
      const ran = (options: Backoff.RetryOptions, error = failure()) =>
        run({ ...options, onGiveUp: (limit) => limits.push(limit) }, [error])
      yield* ran({})
      yield* ran({ elapsed: 0 })
      yield* ran({ budget: yield* RetryBudget.make({ ratio: 0, perSecond: 0, capacity: 0 }) })
      yield* ran({ deadline: 1 })
      assert.deepStrictEqual(limits, ["attempts", "elapsed", "budget", "deadline"])
      yield* ran({}, failure(undefined, false))
      yield* ran({ attempts: 1 })
      yield* Backoff.retry(Effect.void, { onGiveUp: (limit) => limits.push(limit) })
      assert.lengthOf(limits, 4)
    }))
})

describe("options out of range", () => {
  it.effect("mean the nearest that makes sense", () =>
    Effect.gen(function*() {
      const requests = (options: Backoff.Options) => Effect.map(run(options, [failure()]), (result) => result.requests)
      const waits = (options: Backoff.Options) =>
        Effect.map(run({ jitter: "none", attempts: 3, ...options }, [failure()]), (result) => result.waits)
      assert.strictEqual(yield* requests({ attempts: 0 }), 1)
      assert.strictEqual(yield* requests({ attempts: -3 }), 1)
      assert.strictEqual(yield* requests({ attempts: 2.9 }), 2)
      assert.strictEqual(yield* requests({ elapsed: Duration.seconds(-1) }), 1)
      assert.deepStrictEqual(yield* waits({ base: Duration.seconds(-1) }), [0, 0])
      assert.deepStrictEqual(yield* waits({ factor: -2 }), [1_000, 0])
      assert.deepStrictEqual(yield* waits({ factor: Number.NaN }), [1_000, 0])
      assert.deepStrictEqual(yield* waits({ cap: 300 }), [300, 300])
    }))
})

describe("with a budget", () => {
  it.effect("refuses with the original error when it is empty, at once, and says so in the log", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, perSecond: 0, capacity: 2 })
      const error = failure()
      const first = yield* run({ budget, pool: "p", attempts: 10 }, [error])
      assert.strictEqual(first.requests, 3)
      assert.strictEqual(first.error, error)
      assert.deepStrictEqual([first.warnings[0]?.["limit"], first.warnings[0]?.["pool"]], ["budget", "p"])
      const second = yield* run({ budget, pool: "p" }, [error])
      assert.strictEqual(second.requests, 1)
    }))

  it.effect("is paid into by each call, also by those that succeed, and drawn on only by what is retried", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, perSecond: 0, capacity: 10 })
      yield* Effect.repeat(Backoff.retry(Effect.void, { budget }), { times: 4 })
      yield* Effect.ignore(Backoff.retry(Effect.fail(failure(undefined, false)), { budget }))
      yield* run({ budget, attempts: 1 }, [failure()])
      yield* run({ budget, elapsed: 0 }, [failure()])
      const [snapshot] = yield* budget.snapshot
      assert.deepStrictEqual([snapshot?.calls, snapshot?.granted, snapshot?.refused], [8, 0, 0])
    }))

  it.effect("keeps an outage from multiplying the load", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      let sent = 0
      const call = Effect.suspend(() => Effect.fail((sent++, failure())))
      const fiber = yield* Effect.forEach(
        Array.from({ length: 2_000 }),
        () => Effect.exit(Backoff.retry(call, { budget })),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      const retries = sent - 2_000
      // All calls begin and fail at once: what the balance held, what each call paid before it failed, and 7 s of the rate.
      assert.isAtMost(retries, 100 + 0.2 * 2_000 + 7)
      assert.isAtLeast(retries, 100)
    }))
})
