/** Calls that say themselves which pool of a target they draw on: what is decided, and what they hear, is about that one. */
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health, ModelRouter } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { accountOf, leftovers, rig, type RigOptions, run, sending, world } from "./rig.ts"

const two: RigOptions = {
  targets: { a: {}, b: {} },
  routes: { chat: { policy: { ordered: ["a", "b"], patience: "5 seconds" } } },
  meters: () => [Meter.tokens(100, "10 seconds")]
}

const pool = ({ name }: { readonly name: string }) => `${name} reserved`
const ask = { input: 50, output: 50, needs: [], leftMillis: Infinity, pool }
const own = { ask, cost: (target: { readonly name: string }) => ({ pool: pool(target) }) }
const all = () => world(() => ({ took: 10 }))

/** Somebody else uses all of a pool. */
const fill = (pool: string) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const held = yield* limiter.reserve({ pool, requests: 1, tokens: 100 })
    held.sentUnsafe()
    return held
  })

describe("a call with a pool of its own", () => {
  it.effect("goes elsewhere when that is full, and not when the others' is", () =>
    Effect.gen(function*() {
      const router = yield* ModelRouter.ModelRouter
      yield* fill("a reserved")
      const [first] = (yield* router.describe("chat", ask)).candidates
      assert.deepStrictEqual([first?.target.name, first?.waitMillis], ["a", 10_250])
      const [usual] = (yield* router.describe("chat", { ...ask, pool: undefined })).candidates
      assert.deepStrictEqual([usual?.target.name, usual?.waitMillis], ["a", 0])
      const calls = all()
      const fiber = yield* Effect.forkChild(run("chat", sending(calls, 0, own)))
      yield* TestClock.adjust(20)
      assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "b")
      assert.deepStrictEqual(calls.sent.map(({ at, target }) => [target, at]), [["b", 0]])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))

  it.effect("hears of room there, and leaves its line when the target is sick", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const health = yield* Health.Health
      yield* fill("a reserved")
      const other = yield* fill("b reserved")
      const calls = all()
      const fiber = yield* Effect.forkChild(run("chat", sending(calls, 0, own)), { startImmediately: true })
      const waiting = Effect.map(
        Effect.all([limiter.snapshot("a reserved"), limiter.snapshot("b reserved")]),
        (pools) => pools.map(({ waiting }) => waiting)
      )
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* waiting, [1, 0])
      yield* Effect.repeat(Effect.ignore(health.watch("a", () => "sick")(Effect.fail("no"))), { times: 4 })
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* waiting, [0, 1])
      yield* other.release
      yield* TestClock.adjust(20)
      assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "b")
      assert.deepStrictEqual(calls.sent.map(({ at, target }) => [target, at]), [["b", 101]])
      assert.deepStrictEqual(yield* leftovers(calls, ["a reserved", "b reserved"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))
})
