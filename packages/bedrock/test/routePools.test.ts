// The pool that a decision looks at is that which the request will be charged to.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ask, claude, file, nova, scripted } from "./routeRig.ts"

const script = { converse: () => Effect.never }
const reserved = { serviceTier: { type: "reserved" as const } }
const variant = { additionalModelRequestFields: { anthropic_beta: ["context-1m-2025-08-07"] } }

/** Each pool takes one request a minute. */
const quotas = { default: { requestsPerMinute: 1 } }

describe("a request that chooses its pool", () => {
  const cases = [["by its service tier", nova, reserved], ["by the variant of its quota", claude, variant]] as const
  for (const [name, model, chooses] of cases) {
    it.effect(`${name} is decided on by that one`, () =>
      Effect.gen(function*() {
        const { bedrock } = yield* scripted(script, {
          quotas,
          routes: file({ one: { model, region: "us-east-1" }, two: { model, region: "us-west-2" } }, {
            headroom: ["one", "two"]
          })
        })
        const first = (more: object) =>
          Effect.map(
            bedrock.describe({ ...ask("chat"), ...more }),
            ({ candidates: [first] }) => [first?.target.name, first?.waitMillis]
          )
        assert.deepStrictEqual([yield* first({}), yield* first(chooses)], [["one", 0], ["one", 0]])
        yield* Effect.forkChild(bedrock.converse({ ...ask(model), ...chooses }), { startImmediately: true })
        // What is known of a pool is believed for a moment.
        yield* TestClock.adjust(20)
        assert.deepStrictEqual([yield* first({}), yield* first(chooses)], [["one", 0], ["two", 0]])
      }).pipe(Effect.scoped))
  }

  it.effect("does not choose it where the target does not take what chooses", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* scripted(script, {
        quotas,
        routes: file({ one: { model: nova, drop: ["serviceTier"] } }, "one")
      })
      const routed = bedrock.converse({ ...ask("chat"), ...reserved })
      yield* Effect.forkChild(routed, { startImmediately: true })
      const { meters: [shared] } = yield* bedrock.snapshot(nova)
      assert.strictEqual(shared?.used, 1)
      const { candidates: [one] } = yield* bedrock.describe({ ...ask("chat"), ...reserved })
      assert.isAbove(one?.waitMillis ?? 0, 0)
    }).pipe(Effect.scoped))
})
