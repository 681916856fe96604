import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, References } from "effect"
import { fault, leftovers, rig, type RigOptions, run, sending, world } from "./rig.ts"

const two: RigOptions = {
  targets: { a: {}, b: {} },
  routes: { chat: { policy: { ordered: ["a", "b"], patience: 0 } } },
  meters: () => [Meter.tokens(100, "10 seconds")]
}

const steps = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

/** Interrupts a call after so many turns of the scheduler, which come after a few operations each. Nothing is left of it. Was it under way still? */
const interrupted = (when: "sending" | "waiting", turns: number, operations: number) =>
  Effect.gen(function*() {
    const all = world((target, _, call) => ({
      took: 0,
      fails: when === "sending" && call === 1 && target === "a" ? fault("sick") : undefined
    }))
    const limiter = yield* RateLimiter.RateLimiter
    const [held] = when === "sending"
      ? []
      : yield* Effect.forEach(["a", "b"], (pool) => limiter.reserve({ pool, requests: 1, tokens: 100 }))
    const call = Effect.provideService(run("chat", sending(all, 1)), References.MaxOpsBeforeYield, operations)
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    if (held !== undefined) {
      yield* steps(200)
      yield* held.release
    }
    yield* steps(turns)
    const isUnderWay = fiber.pollUnsafe() === undefined
    yield* Fiber.interrupt(fiber)
    const at = `after ${turns} turns of ${operations}`
    assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [], at)
    return isUnderWay
  }).pipe(
    Effect.scoped,
    // No reservation is open, or this would wait for it.
    Effect.tap(() => Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.shutdown("1 minute"))),
    Effect.provide(rig(two))
  )

describe("interruption", () => {
  for (const when of ["sending", "waiting"] as const) {
    it.effect(`leaves nothing behind, whichever operation of a call comes before it: ${when}`, () =>
      Effect.gen(function*() {
        for (const operations of [4, 5, 6, 7]) {
          let turns = 0
          while (yield* interrupted(when, turns, operations)) turns++
          assert.isAbove(turns, 10)
        }
      }))
  }

  it.effect("leaves nothing behind of two requests for one call, whichever operation comes before it", () =>
    Effect.gen(function*() {
      const all = world((_, __, call) => ({ took: call === 0 ? 0 : 4_000 }))
      // From now on whoever is not there at once is slow, and each call pays for a second request.
      yield* Effect.repeat(run("chat", sending(all, 0)), { times: 99 })
      const sent = all.sent.length
      for (const operations of [4, 7]) {
        for (let turns = 0; turns < 160; turns += 4) {
          const call = Effect.provideService(run("chat", sending(all, 1)), References.MaxOpsBeforeYield, operations)
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          yield* steps(turns)
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [], `after ${turns} turns of ${operations}`)
        }
      }
      assert.isAbove(all.sent.slice(sent).filter(({ hedge }) => hedge).length, 20)
      const limiter = yield* RateLimiter.RateLimiter
      yield* limiter.shutdown("1 minute")
    }).pipe(Effect.provide(rig({
      targets: { a: {}, b: {} },
      routes: { chat: { policy: { ordered: ["a", "b"] }, hedge: { share: 1 } } }
    }))))
})
