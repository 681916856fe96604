import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"

const cost = { pool: "p", requests: 1, tokens: 100 }
const layer = RateLimiter.layer({ meters: () => [Meter.tokens(100, "10 seconds")] })

describe("onRoomUnsafe", () => {
  it.effect("tells of room that nobody waits for, until it is ended", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      let heard = 0
      const end = limiter.onRoomUnsafe("p", () => {
        heard++
      })
      const held = yield* limiter.reserve(cost)
      const waits = yield* Effect.forkChild(limiter.reserve(cost), { startImmediately: true })
      const leaves = yield* Effect.forkChild(limiter.reserve(cost), { startImmediately: true })
      assert.strictEqual(heard, 0)
      yield* Fiber.interrupt(leaves)
      assert.strictEqual(heard, 0)
      // The one who waits has it, and then nobody waits any more.
      yield* held.release
      const next = yield* Fiber.join(waits)
      heard = 0
      yield* next.release
      assert.strictEqual(heard, 1)
      yield* limiter.reserve({ ...cost, tokens: 50 })
      const last = yield* Effect.forkChild(limiter.reserve(cost), { startImmediately: true })
      heard = 0
      yield* Fiber.interrupt(last)
      assert.isAbove(heard, 0)
      end()
      heard = 0
      const again = yield* limiter.reserve({ ...cost, tokens: 50 })
      yield* again.release
      assert.strictEqual(heard, 0)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("tells of room in a meter of several pools, whichever of them gave it back", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const held = yield* limiter.reserve(cost)
      let heard = 0
      limiter.onRoomUnsafe("other", () => {
        heard++
      })
      yield* held.release
      assert.strictEqual(heard, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(RateLimiter.layer({ meters: () => [{ ...Meter.tokens(100, "10 seconds"), shared: "both" }] }))
    ))

  it.effect("of a pool that is wrong tells nothing", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      limiter.onRoomUnsafe("p", () => assert.fail())()
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(-1)] }))))
})

describe("heedUnsafe", () => {
  it.effect("tells each time that there is something to take, to the last who asked", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const held = yield* limiter.reserve(cost)
      const choice = yield* limiter.choice
      const heard: Array<string> = []
      choice.heedUnsafe(() => heard.push("first"))
      choice.heedUnsafe(() => heard.push("last"))
      choice.join(cost)
      choice.join({ ...cost, pool: "other", tokens: 101 })
      assert.deepStrictEqual(heard, ["last"])
      assert.strictEqual(choice.nextUnsafe()?._tag, "Refused")
      yield* held.release
      assert.deepStrictEqual(heard, ["last", "last"])
      assert.strictEqual(choice.nextUnsafe()?._tag, "Admitted")
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

describe("a long line", () => {
  it.effect("of those who give back at once what they are given comes to its end", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const held = yield* limiter.reserve(cost)
      const fibers = yield* Effect.forEach(Array.from({ length: 5_000 }), () =>
        Effect.forkChild(
          Effect.scoped(Effect.flatMap(limiter.reserve(cost), ({ release }) => release)),
          {
            startImmediately: true
          }
        ))
      yield* held.release
      yield* Effect.forEach(fibers, Fiber.join, { discard: true })
      assert.strictEqual((yield* limiter.snapshot("p")).waiting, 0)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
