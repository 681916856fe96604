import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"

const window = 10_000

interface Setting {
  /** What the server takes in a window, at a time. */
  readonly truth: (now: number) => number
  readonly meters: ReadonlyArray<Meter.Meter>
  readonly windows: number
  readonly unit?: "requests" | "tokens" | undefined
  /** Whether requests that were refused stay counted in our books. */
  readonly counts?: boolean | undefined
}

/** Many callers, who always have something to send, at a server that counts tokens in a rolling log. What it took and refused, by window. */
const run = (setting: Setting) => Random.withSeed(runWith(setting), "learning")

const runWith = Effect.fnUntraced(function*({ counts = false, meters, truth, unit = "tokens", windows }: Setting) {
  const start = yield* Clock.currentTimeMillis
  const taken = Array.from({ length: windows }, () => 0)
  const refused = Array.from({ length: windows }, () => 0)
  let log: Array<{ readonly at: number; readonly tokens: number }> = []
  const levels: Array<number> = []
  yield* Effect.gen(function*() {
    const limiter = yield* RateLimiter.make({ meters: () => meters, guard: 0 })
    const caller = Effect.forever(Effect.scoped(Effect.gen(function*() {
      const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens: 10 })
      reservation.sentUnsafe()
      yield* Effect.sleep(5)
      const now = (yield* Clock.currentTimeMillis) - start
      const index = Math.floor(now / window)
      log = log.filter(({ at }) => at > now - window)
      const used = log.reduce((sum, { tokens }) => sum + (unit === "tokens" ? tokens : 1), 0)
      const accepted = used + (unit === "tokens" ? 10 : 1) <= truth(now)
      if (accepted) log.push({ at: now, tokens: 10 })
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 600))
      if (index >= windows) return
      if (accepted) {
        taken[index] = (taken[index] as number) + (unit === "tokens" ? 10 : 1)
        yield* reservation.settle({ tokens: 10, servedFor: Duration.millis(600) })
      } else {
        refused[index] = (refused[index] as number) + 1
        yield* limiter.throttled("p", unit)
        yield* reservation.settle({ tokens: 0, requests: counts ? 1 : 0, refused: true })
        yield* Effect.sleep(yield* Random.nextIntBetween(500, 1500))
      }
    })))
    const callers = yield* Effect.forkScoped(
      Effect.all(Array.from({ length: 40 }, () => caller), { concurrency: "unbounded" })
    )
    for (let n = 0; n < windows; n++) {
      yield* TestClock.adjust(window)
      levels.push((yield* limiter.snapshot("p")).meters[0]?.limit ?? 0)
    }
    yield* Fiber.interrupt(callers)
  }).pipe(Effect.scoped)
  return { taken, refused, levels }
})

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, n) => sum + n, 0)
const told = Meter.tokens(1000, window)

describe("learning", () => {
  it.effect("a limit that was told twice too high is found, and next to nothing is refused afterwards", () =>
    Effect.gen(function*() {
      const { levels, refused, taken } = yield* run({ truth: () => 500, meters: [told], windows: 60 })
      assert.isAtLeast(sum(taken), 0.9 * 500 * 60)
      assert.isAtMost(sum(refused.slice(2)), 40)
      assert.isAtMost(sum(refused.slice(30)), 12)
      for (const level of levels.slice(2)) assert.isTrue(level >= 400 && level <= 560, `learned ${level}`)
    }))

  it.effect("somebody else's use slows what it takes away, and comes back when it is over", () =>
    Effect.gen(function*() {
      const others = (now: number) => now > 10 * window && now < 20 * window
      const { refused, taken } = yield* run({ truth: (now) => others(now) ? 400 : 1000, meters: [told], windows: 40 })
      assert.strictEqual(sum(refused.slice(0, 10)), 0)
      assert.isAtLeast(sum(taken.slice(11, 20)), 0.85 * 400 * 9)
      assert.isAtMost(sum(refused.slice(11, 20)), 40)
      assert.isAtLeast(Math.min(...taken.slice(27)), 950)
      assert.strictEqual(sum(refused.slice(27)), 0)
    }))

  it.effect("a burst of somebody else's that is over soon lowers nothing", () =>
    Effect.gen(function*() {
      const others = (now: number) => now > 10 * window && now < 10.4 * window
      const { levels, taken } = yield* run({ truth: (now) => others(now) ? 400 : 1000, meters: [told], windows: 20 })
      assert.deepStrictEqual(new Set(levels), new Set([1000]))
      assert.isAtLeast(Math.min(...taken.slice(13)), 950)
    }))

  it.effect("a limit that nobody told is found within a window or two", () =>
    Effect.gen(function*() {
      for (const [unit, truth] of [["tokens", 600], ["requests", 60]] as const) {
        const meters = [Meter.probing(unit, unit === "tokens" ? 50 : 5, window)]
        for (const counts of [false, true]) {
          const { refused, taken } = yield* run({ truth: () => truth, unit, meters, counts, windows: 40 })
          const setting = `${unit}, refused ones ${counts ? "counted" : "not counted"}`
          assert.isAtLeast(Math.min(...taken.slice(3)), 0.75 * truth, setting)
          assert.isAtLeast(sum(taken), 0.85 * truth * 40, setting)
          assert.isAtMost(sum(refused), 70, setting)
        }
      }
    }))

  it.effect("what was learned is told, with what was told before", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: () => [Meter.probing("requests", 5)], guard: 0 })
      assert.deepStrictEqual((yield* limiter.snapshot("p")).meters, [
        { unit: "requests", limit: 5, windowMillis: 60_000, used: 0, foreign: 0, told: Infinity }
      ])
    }))

  it.effect("a request that is larger than what was learned goes when all else has left", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: () => [Meter.probing("tokens", 50, window)], guard: 0 })
      const ask = (tokens: number) =>
        limiter.limit({ pool: "p", requests: 1, tokens }, () => ({ tokens: 0 }))(Clock.currentTimeMillis)
      const first = yield* Effect.scoped(limiter.reserve({ pool: "p", requests: 1, tokens: 10 })).pipe(
        Effect.andThen(Clock.currentTimeMillis)
      )
      const large = yield* Effect.forkChild(ask(400), { startImmediately: true })
      yield* TestClock.adjust(window)
      assert.strictEqual((yield* Fiber.join(large)) - first, window)
    }))
})

describe("a pool that is parked", () => {
  it.effect("sends away who waits and who comes, says until when, and opens again", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: () => [Meter.requests(1, window)], guard: 0 })
      const cost = { pool: "p", requests: 1, tokens: 0 }
      const ask = Effect.scoped(Effect.as(limiter.reserve(cost), "admitted")).pipe(
        Effect.catchTag("RateLimiterError", ({ message }) => Effect.succeed(message))
      )
      assert.strictEqual(yield* ask, "admitted")
      const waiting = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* limiter.park("p", "1 hour")
      const parked = "pool p did not admit the request: it is parked for another 1h: come later, or send it elsewhere"
      assert.strictEqual(yield* Fiber.join(waiting), parked)
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* ask, parked.replace("1h", "30m"))
      assert.strictEqual((yield* Effect.flip(limiter.estimate(cost))).reason._tag, "PoolParked")
      assert.deepStrictEqual((yield* limiter.snapshot("p")).parked, Duration.minutes(30))
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* ask, "admitted")
      assert.isUndefined((yield* limiter.snapshot("p")).parked)
    }))
})

describe("a server that is short of capacity", () => {
  it.effect("gets fewer at once, never none, and more again with each answer", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: () => [], guard: 0 })
      let inFlight = 0
      const call = (outcome: "answered" | "overloaded") =>
        Effect.scoped(Effect.gen(function*() {
          const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens: 0 })
          inFlight++
          yield* Effect.sleep("10 seconds")
          if (outcome === "overloaded") yield* limiter.overloaded("p")
          else yield* reservation.settle({ tokens: 0 })
          inFlight--
        }))
      const start = (count: number, outcome: "answered" | "overloaded") =>
        Effect.forkScoped(
          Effect.all(Array.from({ length: count }, () => call(outcome)), { concurrency: "unbounded" }),
          {
            startImmediately: true
          }
        )
      yield* start(20, "overloaded")
      assert.strictEqual(inFlight, 20)
      // All fail at once, which counts once.
      yield* TestClock.adjust("10 seconds")
      yield* start(100, "answered")
      assert.strictEqual(inFlight, 14)
      const seen: Array<number> = []
      for (let n = 0; n < 3; n++) {
        yield* TestClock.adjust("10 seconds")
        seen.push(inFlight)
      }
      assert.deepStrictEqual(seen, [14, 15, 16])
      yield* TestClock.adjust("10 minutes")
      yield* start(100, "answered")
      assert.strictEqual(inFlight, 100)
      yield* TestClock.adjust("10 seconds")
      for (let n = 0; n < 40; n++) {
        yield* Effect.forkScoped(call("overloaded"), { startImmediately: true })
        yield* TestClock.adjust("11 seconds")
      }
      yield* start(2, "answered")
      assert.strictEqual(inFlight, 1)
    }))
})
