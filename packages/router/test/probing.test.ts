/** What a probe means to those who wait: while it is under way its target takes nobody. */
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { leftovers, lines, rig, run, sending, world } from "./rig.ts"

it.effect("who comes back gets those who wait elsewhere little by little, as its share grows", () =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const health = yield* Health.Health
    // All of b is taken, for longer than it matters here.
    const others = yield* limiter.reserve({ pool: "b", requests: 1, tokens: 1_000_000 })
    yield* Effect.repeat(Effect.ignore(health.watch("a", () => "sick")(Effect.fail("no"))), { times: 4 })
    const all = world(() => ({ took: 10 }))
    const calls = yield* Effect.forEach(
      Array.from({ length: 150 }, (_, call) => call),
      (call) => Effect.forkChild(run("even", sending(all, call)), { startImmediately: true })
    )
    yield* TestClock.adjust("1 minute")
    yield* Effect.forEach(calls, Fiber.join)
    const [probe = 0, ...then] = all.sent.map(({ at }) => at).toSorted((a, b) => a - b)
    const closed = probe + 10
    const inSecond = Array.from(
      { length: 15 },
      (_, second) => then.filter((at) => at >= closed + 1_000 * second && at < closed + 1_000 * (second + 1)).length
    )
    assert.strictEqual(inSecond[0], 0)
    // A tenth comes at once, and a fourteenth of the rest each second: nearly 10 of 150.
    assert.isAtLeast(Math.min(...inSecond.slice(1)), 3)
    assert.isAtMost(Math.max(...inSecond.slice(2)), 20)
    assert.strictEqual(all.sent.length, 150)
    yield* others.release
  }).pipe(
    Effect.scoped,
    Random.withSeed("comes back"),
    Effect.provide(rig({
      targets: { a: {}, b: {} },
      routes: { even: { policy: { ordered: ["a", "b"], patience: 0 } } }
    }))
  ))

describe("a probe", () => {
  it.effect("has those who stand in the line of its target leave it, and no other", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 10 }))
      const health = yield* Health.Health
      yield* Effect.forEach([0, 1], (call) => Effect.forkChild(run("even", sending(all, call))))
      yield* TestClock.adjust(20)
      yield* Effect.repeat(Effect.ignore(health.watch("a", () => "sick")(Effect.fail("no"))), { times: 4 })
      yield* TestClock.adjust("2 seconds")
      const waits = yield* Effect.forkChild(run("even", sending(all, 2)), { startImmediately: true })
      assert.deepStrictEqual(yield* lines(["a", "b"]), [1, 1])
      const probe = yield* Effect.forkChild(health.watch("a", () => "ignore")(Effect.sleep("1 second")), {
        startImmediately: true
      })
      assert.deepStrictEqual(health.standingUnsafe("a"), { _tag: "HalfOpen", probing: true })
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* lines(["a", "b"]), [0, 1])
      // It told nothing: the next who looks stands there again, to be the next probe.
      yield* Fiber.interrupt(probe)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* lines(["a", "b"]), [1, 1])
      yield* Fiber.interrupt(waits)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig({
      targets: { a: {}, b: {} },
      routes: { even: { policy: { headroom: ["a", "b"] } } },
      meters: () => [Meter.tokens(100)]
    }))))
})
