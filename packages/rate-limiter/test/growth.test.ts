import { type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

const pool = "pool"
const window = 960
const guard = 40
const layer = RateLimiter.layer({ meters: () => [Meter.tokens(100, window)], guard })

/** When a request comes in beside this growth. */
const admittedAt = (tokens: number, book: () => ReadonlyArray<Cost.Growth>) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    yield* Effect.scoped(limiter.reserve({ pool, requests: 1, tokens, book: () => ({ tokens, growth: book() }) }))
    return yield* Clock.currentTimeMillis
  })

/** Sends so many tokens now, and is answered so long after. */
const send = (tokens: number, millis: number) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const reservation = yield* limiter.reserve({ pool, requests: 1, tokens })
    reservation.sentUnsafe()
    yield* Effect.sleep(millis)
    yield* reservation.settle({ tokens, servedFor: Duration.millis(millis) })
  }).pipe(Effect.scoped, Effect.forkChild)

describe("a request that waits beside growth", () => {
  it.effect("is admitted as soon as enough will leave within its time, and not when it leaves", () =>
    Effect.gen(function*() {
      yield* send(60, 5000)
      yield* TestClock.adjust("100 millis")
      let asked = 0
      const fiber = yield* Effect.forkChild(admittedAt(10, () => {
        asked++
        return [
          { withinMillis: 500, tokens: 90 },
          // There is room for this one already.
          { withinMillis: 2000, tokens: 90 }
        ]
      }))
      yield* TestClock.adjust("4 seconds")
      // When it came, when it stood in line, and when its time had come.
      assert.strictEqual(asked, 3)
      // What was sent at 0 leaves at 1000: within 500 from 500, and a part of the window later for what is not known of its stamp.
      assert.strictEqual(yield* Fiber.join(fiber), 500 + window / 96)
    }).pipe(Effect.provide(layer)))

  it.effect("waits for as many charges as it takes", () =>
    Effect.gen(function*() {
      for (let sent = 0; sent < 4; sent++) {
        yield* send(20, 5000)
        yield* TestClock.adjust("100 millis")
      }
      const fiber = yield* Effect.forkChild(admittedAt(10, () => [{ withinMillis: 500, tokens: 50 }]))
      yield* TestClock.adjust("4 seconds")
      // Forty more than there is room for: what was sent at 0 and at 100 has to leave by then.
      assert.strictEqual(yield* Fiber.join(fiber), 600 + window / 96)
    }).pipe(Effect.provide(layer)))

  it.effect("is admitted to an empty window whatever is foreseen, also in fractions", () =>
    Effect.gen(function*() {
      // What is left of the limit beside it, and it, are more than the limit by a rounding.
      const tokens = 171.35692221786425
      const fiber = yield* Effect.forkChild(admittedAt(tokens, () => [{ withinMillis: 0, tokens: 1e9 }]))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), 0)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(463.1869227009352, window)] }))))

  it.effect("is asked anew when the one before it was interrupted, after that could tell that it is over", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      // Each foresees 50 of itself, from when it is asked until it is over.
      const asked = new Set<number>()
      const ask = (tokens: number) =>
        admittedAt(tokens, () => {
          asked.add(tokens)
          return [{ withinMillis: 0, tokens: 50 * asked.size }]
        }).pipe(Effect.ensuring(Effect.sync(() => asked.delete(tokens))), Effect.forkChild)
      yield* limiter.reserve({ pool, requests: 1, tokens: 20 })
      const first = yield* ask(31)
      yield* TestClock.adjust("1 milli")
      const second = yield* ask(10)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* limiter.snapshot(pool)).waiting, 0)
      assert.strictEqual(yield* Fiber.join(second), 101)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

it.effect("what is sent only then, and leaves a shorter window first, is waited for no longer than that", () =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    // Leaves the longer window at 1000, and nothing waits for that.
    yield* Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 1 }))
    yield* TestClock.adjust("300 millis")
    yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
      const reservation = yield* limiter.reserve({ pool, requests: 1, tokens: 60 })
      yield* Effect.sleep(50)
      reservation.sentUnsafe()
      yield* Effect.sleep(5000)
    })))
    yield* TestClock.adjust("10 millis")
    const fiber = yield* Effect.forkChild(admittedAt(10, () => [{ withinMillis: 0, tokens: 50 }]))
    yield* TestClock.adjust("10 seconds")
    assert.strictEqual(yield* Fiber.join(fiber), 350 + 150)
  }).pipe(Effect.provide(
    RateLimiter.layer({ meters: () => [Meter.tokens(1000, 1000), Meter.tokens(100, 150)], guard: 0 })
  )))

describe("who foresees growth", () => {
  /** Callers who count all who were asked what to book, until they are over, as those in flight: each may grow by 10. */
  const callers = Effect.fnUntraced(function*(count: number, options: { readonly maxWait?: Duration.Duration }) {
    const limiter = yield* RateLimiter.RateLimiter
    const underWay = new Set<number>()
    let most = 0
    yield* Effect.forEach(Array.from({ length: count }, (_, n) => n), (n) =>
      limiter.reserve({
        pool,
        requests: 1,
        tokens: 10,
        ...options,
        book: () => {
          underWay.add(n)
          most = Math.max(most, underWay.size)
          return { tokens: 10, growth: [{ withinMillis: 0, tokens: 10 * underWay.size }] }
        }
      }).pipe(
        Effect.flatMap((reservation) => {
          reservation.sentUnsafe()
          return Effect.andThen(Effect.sleep(100), () => {
            underWay.delete(n)
            return reservation.settle({ tokens: 20, growth: 10, servedFor: Duration.millis(100) })
          })
        }),
        Effect.scoped,
        Effect.forkChild
      ))
    yield* TestClock.adjust("30 seconds")
    const { waiting } = yield* limiter.snapshot(pool)
    return { most, waiting }
  })

  it.effect("is not asked while it can't be admitted, and does not hold up others by what it foresees", () =>
    Effect.gen(function*() {
      // Five take a window of 20 tokens each, and one is next.
      assert.deepStrictEqual(yield* callers(60, {}), { most: 6, waiting: 0 })
    }).pipe(Effect.provide(layer)))

  it.effect("nor where its wait has a bound, which asks for a prediction", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* callers(60, { maxWait: Duration.hours(1) }), { most: 6, waiting: 0 })
    }).pipe(Effect.provide(layer)))
})
