import { type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const second = Duration.seconds(1)

const limiterOf = (meters: RateLimiter.Options["meters"]) => RateLimiter.make({ meters, guard: 0 })

/** Reserves and says when; the reservation stays open until its scope closes. */
const admittedAt = (limiter: RateLimiter.RateLimiter["Service"], cost: Cost.Cost) =>
  Effect.andThen(
    Effect.tap(limiter.reserve(cost), (reservation) => Effect.sync(reservation.sentUnsafe)),
    Clock.currentTimeMillis
  )

describe("meters", () => {
  describe("concurrency", () => {
    it.effect("holds a place until a request is over, however that ends", () =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf(() => [Meter.concurrency(2)])
        const running: Array<number> = []
        const start = Effect.fnUntraced(function*(index: number) {
          const end = yield* Deferred.make<void, string>()
          const call = Effect.andThen(Effect.sync(() => running.push(index)), Deferred.await(end))
          const limited = limiter.limit({ pool: "p", requests: 1, tokens: 0 })(call)
          return { end, fiber: yield* Effect.forkChild(limited, { startImmediately: true }) }
        })
        const succeeds = yield* start(0)
        const fails = yield* start(1)
        const interrupted = yield* start(2)
        for (let index = 3; index < 6; index++) yield* start(index)
        assert.deepStrictEqual(running, [0, 1])
        yield* Deferred.succeed(succeeds.end, undefined)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(running, [0, 1, 2])
        yield* Deferred.fail(fails.end, "no")
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(running, [0, 1, 2, 3])
        yield* Fiber.interrupt(interrupted.fiber)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(running, [0, 1, 2, 3, 4])
        const { meters } = yield* limiter.snapshot("p")
        assert.deepStrictEqual(meters, [{ unit: "concurrency", limit: 2, windowMillis: 0, used: 2, foreign: 0 }])
      }))

    it.effect("is given back by a release, and once only", () =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf(() => [Meter.concurrency(1)])
        const cost = { pool: "p", requests: 1, tokens: 0 }
        const reservation = yield* limiter.reserve(cost)
        yield* reservation.release
        yield* reservation.settle({ tokens: 0 })
        yield* limiter.reserve(cost)
        const third = yield* Effect.exit(limiter.reserve({ ...cost, maxWait: Duration.seconds(1) })).pipe(
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(third)))
      }))
  })

  it.effect("units of one's own are admitted together with the rest, and settled", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf(() => [Meter.requests(10, second), Meter.units("images", 4, second)])
      const cost = (images: number) => ({ pool: "p", requests: 1, tokens: 0, units: { images } })
      const first = yield* limiter.reserve(cost(4))
      first.sentUnsafe()
      const late = yield* Effect.forkChild(admittedAt(limiter, cost(2)), { startImmediately: true })
      assert.strictEqual((yield* limiter.snapshot("p")).waiting, 1)
      yield* TestClock.adjust(100)
      yield* first.settle({ tokens: 0, units: { images: 2 } })
      assert.strictEqual(yield* Fiber.join(late), 100)
      const { meters } = yield* limiter.snapshot("p")
      assert.deepStrictEqual(meters.map(({ unit, used }) => [unit, used]), [["requests", 2], ["images", 4]])
      const tooMany = yield* Effect.flip(limiter.reserve(cost(5)))
      assert.strictEqual(tooMany.reason._tag, "CostExceedsLimit")
      const none = yield* Effect.flip(limiter.reserve(cost(Number.NaN)))
      assert.strictEqual(none.reason._tag, "InvalidCost")
    }))

  it.effect("a shared meter is one for all pools that name it, and whom one frees another may use", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf((pool) => [
        Meter.shared(Meter.tokens(pool === "other" ? 50 : 100, second), pool === "other" ? "b" : "a")
      ])
      const one = yield* limiter.reserve({ pool: "x", requests: 1, tokens: 80 })
      one.sentUnsafe()
      const two = yield* Effect.forkChild(admittedAt(limiter, { pool: "y", requests: 1, tokens: 40 }), {
        startImmediately: true
      })
      yield* admittedAt(limiter, { pool: "other", requests: 1, tokens: 50 })
      yield* TestClock.adjust(300)
      assert.strictEqual((yield* limiter.snapshot("y")).waiting, 1)
      yield* one.settle({ tokens: 60 })
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(two), 300)
    }))

  it.effect("a shared meter has the same numbers everywhere", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf((pool) => [Meter.shared(Meter.tokens(pool === "x" ? 1 : 2), "a")])
      yield* limiter.snapshot("x")
      const error = yield* Effect.flip(limiter.snapshot("y"))
      assert.strictEqual(error.reason._tag, "InvalidMeter")
      assert.include(error.message, "of which another pool has 1 tokens in 1m, and this one 2 in 1m")
    }))

  it.effect.prop(
    "a window of a day admits no more than its limit in any day, and everybody in the end",
    {
      asked: Schema.Array(Schema.Struct({ after: between(0, 6 * 60), tokens: between(1, 60), charged: between(0, 80) }))
        .check(
          Schema.isBetweenLength(1, 30)
        )
    },
    ({ asked }) =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf(() => [Meter.tokens(100, "1 day")])
        const charges: Array<{ readonly at: number; readonly tokens: number }> = []
        let at = 0
        const one = ({ at, charged, tokens }: { at: number; tokens: number; charged: number }) =>
          Effect.scoped(Effect.gen(function*() {
            yield* Effect.sleep(Duration.minutes(at))
            const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens })
            reservation.sentUnsafe()
            const now = yield* Clock.currentTimeMillis
            const final = Math.min(charged, tokens)
            yield* reservation.settle({ tokens: final })
            charges.push({ at: now, tokens: final })
          }))
        yield* Effect.forkChild(
          Effect.forEach(asked, (one_) => one({ ...one_, at: at += one_.after }), { concurrency: "unbounded" })
        )
        for (let day = 0; day < 60; day++) yield* TestClock.adjust("1 day")
        assert.strictEqual(charges.length, asked.length)
        const day = Duration.toMillis("1 day")
        for (const { at } of charges) {
          const inWindow = charges.filter((other) => other.at > at - day && other.at <= at)
          assert.isAtMost(inWindow.reduce((sum, { tokens }) => sum + tokens, 0), 100)
        }
        const { meters } = yield* limiter.snapshot("p")
        assert.strictEqual(meters[0]?.used, 0)
      })
  )
})
