import { Meter } from "@caprock/rate-limiter"
import { ModelRouter } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Random, Schema } from "effect"
import { accountOf, leftovers, rig, run, sending, world } from "./rig.ts"
import { ask, Dice, file, functions } from "./world.ts"

describe("what is described", () => {
  it.effect.prop(
    "is what a call does first: the same target for the same reason, or nobody",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))],
    ([seed]) => {
      const dice = new Dice(seed)
      const drawn = file(dice, 5)
      const { fence: _, ...route } = drawn.routes["r"] ?? { policy: "" }
      const asked = { ...ask(dice), leftMillis: Infinity }
      const names = Object.keys(drawn.targets)
      const full = new Set(names.filter(() => dice.chance(0.3)))
      const all = world(() => ({ took: 0 }))
      return Effect.gen(function*() {
        const router = yield* ModelRouter.ModelRouter
        const decision = yield* Random.withSeed(router.describe("r", asked), seed)
        const exit = yield* Random.withSeed(run("r", sending(all, 0, { ask: asked })), seed)
        const [first] = decision.candidates
        assert.strictEqual(Exit.isSuccess(exit), first !== undefined)
        const [trial] = accountOf(exit)?.trials ?? []
        assert.deepStrictEqual([trial?.target, trial?.why], [first?.target.name, first?.why])
        assert.deepStrictEqual(yield* leftovers(all, names), [])
      }).pipe(Effect.provide(rig({
        targets: drawn.targets,
        routes: { r: route },
        functions: functions(dice),
        // Some take nothing of that size at all.
        meters: (pool) => full.has(pool) ? [Meter.tokens(1)] : []
      })))
    },
    { arbitrary: { runs: 100 } }
  )
})
