import { type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as FaultyStore from "./faultyStore.ts"
import { between } from "./sending.ts"

const second = Duration.seconds(1)

const cost = (more: Partial<Cost.Cost> = {}): Cost.Cost => ({ pool: "p", requests: 1, tokens: 10, ...more })

describe("headroomUnsafe", () => {
  it.effect.prop(
    "foretells the wait that a cost would have, or why it would be refused, as `estimate` does",
    [Schema.Array(between(1, 12)).check(Schema.isMaxLength(8)), between(1, 12), between(0, 2_000)],
    ([before, tokens, after]) =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ meters: () => [Meter.requests(3, second), Meter.tokens(10, second)] })
        for (const tokens of before) {
          yield* Effect.forkChild(limiter.limit(cost({ tokens }))(Effect.void), { startImmediately: true })
        }
        yield* TestClock.adjust(after)
        const { refused, waitMillis } = limiter.headroomUnsafe(cost({ tokens }))
        const estimate = yield* Effect.result(limiter.estimate(cost({ tokens })))
        if (estimate._tag === "Success") {
          assert.deepStrictEqual([refused, waitMillis], [undefined, Duration.toMillis(estimate.success)])
        } else assert.deepStrictEqual([refused, waitMillis], [estimate.failure.reason._tag, Infinity])
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100 } }
  )

  it.effect("tells what is free of the meter that has the least of it", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({
        meters: (pool) =>
          pool === "none"
            ? []
            : pool === "shut"
            ? [Meter.tokens(0)]
            : [Meter.requests(10), Meter.tokens(100), Meter.concurrency(4), Meter.units("pages", 8)]
      })
      const free = (pool = "p") => limiter.headroomUnsafe(cost({ pool })).free
      assert.deepStrictEqual([free(), free("none"), free("shut")], [1, 1, 0])
      yield* limiter.limit(cost({ tokens: 30 }), () => ({ tokens: 30 }))(Effect.void)
      assert.strictEqual(free(), 0.7)
      const reservations = yield* Effect.forEach(
        [1, 2],
        () => limiter.reserve(cost({ tokens: 1, units: { pages: 1 } }))
      )
      assert.strictEqual(free(), 0.5)
      yield* limiter.reserve(cost({ tokens: 1, units: { pages: 4 } }))
      assert.strictEqual(free(), 0.25)
      // In debt there is nothing, and not less.
      yield* Effect.forEach(reservations, (one) => one.settle({ tokens: 200 }))
      assert.strictEqual(free(), 0)
      assert.strictEqual(limiter.headroomUnsafe(cost({ tokens: 101 })).refused, "CostExceedsLimit")
      assert.strictEqual(limiter.headroomUnsafe(cost({ tokens: 101 })).free, 0)
    }).pipe(Effect.scoped))

  it.effect("of a quota that processes share it tells what is free of all of it", () =>
    Effect.gen(function*() {
      const { links } = yield* FaultyStore.make(2)
      const limiters = yield* Effect.forEach(
        links,
        (link) => FaultyStore.provide(RateLimiter.makeShared({ meters: () => [Meter.tokens(100)] }), link)
      )
      for (const limiter of limiters) {
        yield* Effect.forkChild(limiter.limit(cost({ tokens: 20 }))(Effect.void))
        yield* TestClock.adjust(500)
      }
      yield* TestClock.adjust(2_000)
      const free = limiters.map((limiter) => limiter.headroomUnsafe(cost()).free)
      for (const one of free) assert.closeTo(one, 0.6, 0.21)
    }).pipe(Effect.scoped))

  it.effect("says that nobody is admitted", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: (pool) => [Meter.tokens(pool === "wrong" ? -1 : 100)] })
      yield* limiter.park("p", "1 minute")
      assert.deepStrictEqual(limiter.headroomUnsafe(cost()), { waitMillis: 60_000, free: 0, refused: "PoolParked" })
      const wrong = limiter.headroomUnsafe(cost({ pool: "wrong" }))
      assert.deepStrictEqual([wrong.refused, wrong.waitMillis], ["InvalidMeter", Infinity])
      yield* limiter.shutdown(0)
      assert.strictEqual(limiter.headroomUnsafe(cost()).refused, "LimiterClosed")
    }).pipe(Effect.scoped))
})
