/** What a probe means to those who wait: while it is under way its target takes nobody. */
import { Meter } from "@caprock/rate-limiter"
import { Health } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { leftovers, lines, rig, run, sending, world } from "./rig.ts"

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
