import { Ledger, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"

const pool = "pool"
const tokens = [Meter.tokens(100, "1 second")]
const reserve = (cost: { readonly tokens: number; readonly requests?: number; readonly pool?: string }) =>
  Effect.scoped(Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.reserve({ pool, requests: 1, ...cost })))
const used = Effect.map(
  Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.snapshot(pool)),
  (snapshot) => snapshot.meters.map((level) => level.used)
)

describe("a caller that is interrupted after any number of steps", () => {
  for (
    const { full, maxWait, name } of [
      { name: "that is admitted at once", full: false, maxWait: undefined },
      { name: "that waits", full: true, maxWait: undefined },
      { name: "that waits for so long at most", full: true, maxWait: Duration.seconds(5) }
    ]
  ) {
    // A fiber gives way after so many steps, and only then can it be interrupted between two of them.
    it.effect(`${name} leaves nobody in line, and no charge for longer than its window`, () =>
      Effect.gen(function*() {
        let interrupted = 0
        for (let steps = 3; steps < 60; steps++) {
          const scope = yield* Scope.make()
          const limiter = yield* Scope.provide(RateLimiter.make({ meters: () => tokens }), scope)
          const before = full ? yield* Scope.provide(limiter.reserve({ pool, requests: 1, tokens: 100 }), scope) : null
          const fiber = yield* limiter.reserve({ pool, requests: 1, tokens: 60, maxWait }).pipe(
            Effect.flatMap((reservation) => reservation.release),
            Effect.scoped,
            Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
            Effect.forkChild
          )
          for (let turns = full ? 100 : 1; turns > 0; turns--) yield* Effect.yieldNow
          if (before !== null) yield* before.release
          fiber.interruptUnsafe()
          if (Exit.isFailure(yield* Fiber.await(fiber))) interrupted++
          assert.strictEqual((yield* limiter.snapshot(pool)).waiting, 0)
          yield* TestClock.adjust("1250 millis")
          assert.deepStrictEqual((yield* limiter.snapshot(pool)).meters.map((level) => level.used), [0], `${steps}`)
          yield* Scope.close(scope, Exit.void)
        }
        assert.isAbove(interrupted, 5)
      }))
  }

  it.effect("gets its answer when the limiter is shut down at any of them", () =>
    Effect.gen(function*() {
      for (let steps = 3; steps < 40; steps++) {
        const scope = yield* Scope.make()
        const limiter = yield* Scope.provide(RateLimiter.make({ meters: () => tokens }), scope)
        yield* Scope.provide(limiter.reserve({ pool, requests: 1, tokens: 100 }), scope)
        const fiber = yield* limiter.reserve({ pool, requests: 1, tokens: 60 }).pipe(
          Effect.scoped,
          Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
          Effect.forkChild
        )
        yield* Effect.yieldNow
        yield* Scope.close(scope, Exit.void)
        for (let turns = 0; turns < 200; turns++) yield* Effect.yieldNow
        const exit = fiber.pollUnsafe()
        assert.isTrue(exit !== undefined && Exit.isFailure(exit), `${steps}`)
      }
    }))
})

describe("amounts", () => {
  it.effect("that are no finite numbers are refused, or stay as booked", () =>
    Effect.gen(function*() {
      for (const cost of [{ tokens: Infinity }, { tokens: 1, requests: Infinity }]) {
        assert.strictEqual((yield* Effect.flip(reserve({ ...cost, pool: "free" }))).reason._tag, "InvalidCost")
      }
      // Written where no types look.
      for (const priority of [NaN, "urgent", "constructor"]) {
        const { reason } = yield* Effect.flip(reserve(Object.assign({ tokens: 1 }, { priority })))
        assert.strictEqual(reason._tag, "InvalidCost")
        assert.include(reason.message, "priority is neither a number nor one of")
      }
      const limiter = yield* RateLimiter.RateLimiter
      for (const odd of [NaN, Infinity, -Infinity, -5]) {
        const settled = limiter.reserve({ pool, requests: 1, tokens: 10, book: () => ({ tokens: 20, growth: [] }) })
          .pipe(
            Effect.flatMap((reservation) => reservation.settle({ tokens: odd, growth: odd, requests: odd })),
            Effect.scoped
          )
        yield* settled
        assert.deepStrictEqual(yield* used, [1, 20])
        yield* TestClock.adjust("1250 millis")
        assert.deepStrictEqual(yield* used, [0, 0])
      }
      const free = limiter.reserve({
        pool: "free",
        requests: 1,
        tokens: 10,
        book: () => ({ tokens: Infinity, growth: [{ withinMillis: 0, tokens: 1e9 }] })
      })
      assert.strictEqual((yield* Effect.scoped(free)).booked, 10)
    }).pipe(
      Effect.provide(RateLimiter.layer({
        meters: (name) => [Meter.requests(5, "1 second"), ...(name === "free" ? [] : tokens)]
      }))
    ))

  it.effect("that are fractions never keep anyone waiting for good", () =>
    Effect.gen(function*() {
      for (const amount of [0.1, 0.2, 0.3, 0.7, 0.15, 0.21, 0.33, 0.07]) {
        yield* reserve({ tokens: amount })
        yield* TestClock.adjust("7 millis")
      }
      const fiber = yield* Effect.forkChild(Effect.andThen(reserve({ tokens: 100 }), Clock.currentTimeMillis))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), 49 + 1250)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => tokens }))))
})

it.effect("what the end of another teaches is asked for, also when nobody settles", () =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    let predicted = 90
    yield* reserve({ tokens: 10 })
    const scope = yield* Scope.make()
    yield* Scope.provide(limiter.reserve({ pool, requests: 1, tokens: 10 }), scope)
    const fiber = yield* limiter.reserve({
      pool,
      requests: 1,
      tokens: 10,
      book: () => ({ tokens: predicted, growth: [] })
    })
      .pipe(Effect.scoped, Effect.andThen(Clock.currentTimeMillis), Effect.forkChild)
    yield* TestClock.adjust("100 millis")
    predicted = 80
    yield* Scope.close(scope, Exit.void)
    yield* TestClock.adjust("10 seconds")
    assert.strictEqual(yield* Fiber.join(fiber), 100)
  }).pipe(Effect.provide(RateLimiter.layer({ meters: () => tokens }))))

it.effect("a debt of tokens explains a throttle of tokens, and none of requests", () =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const guard = Effect.map(limiter.snapshot(pool), (snapshot) => Duration.toMillis(snapshot.guard))
    yield* Effect.scoped(Effect.flatMap(
      limiter.reserve({ pool, requests: 1, tokens: 90 }),
      (reservation) => reservation.settle({ tokens: 101 })
    ))
    yield* limiter.throttled(pool, "tokens")
    yield* limiter.throttled(pool)
    assert.strictEqual(yield* guard, 250)
    yield* limiter.throttled(pool, "requests")
    assert.strictEqual(yield* guard, 500)
  }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.requests(5, "1 second"), ...tokens] }))))

it("a charge that was taken out is none, sent or not", () => {
  const ledger = new Ledger.Ledger(tokens, 0)
  const charge = ledger.book(1, 10)
  ledger.remove(charge)
  ledger.send(charge, 0)
  assert.isTrue(ledger.fits(0, 100, 2000))
  ledger.book(0, 60)
  ledger.remove(ledger.book(0, 30))
  assert.deepStrictEqual(ledger.levels(2000).map((level) => level.used), [60])
})
