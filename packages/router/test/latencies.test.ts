import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Latencies } from "../src/internal/latencies.ts"

const millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))

describe("latencies", () => {
  it("knows nothing while nothing took any time", () => {
    assert.isUndefined(new Latencies().percentile(0.5))
  })

  it("forgets what took place before the last 256", () => {
    const latencies = new Latencies()
    for (let i = 0; i < 300; i++) latencies.add(i < 200 ? 1_000_000 : 5)
    for (let i = 0; i < 156; i++) latencies.add(5)
    assert.strictEqual(latencies.count, 256)
    assert.strictEqual(latencies.percentile(1), 5)
  })

  it.effect.prop(
    "what a part of the last ones took at most, of those but the last few",
    [
      Schema.Array(millis).check(Schema.isBetweenLength(1, 200)),
      Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    ],
    ([took, part]) =>
      Effect.sync(() => {
        const latencies = new Latencies()
        let worst = 0
        for (const [index, one] of took.entries()) {
          latencies.add(one)
          const told = latencies.percentile(part) ?? Number.NaN
          // So many may be missing from what it is worked out of.
          const known = [0, 15].map((missing) =>
            took.slice(0, Math.max(1, index + 1 - missing)).toSorted((a, b) => a - b)
          )
          assert.isTrue(known.some(([least = 0]) => told >= least) && known.some((all) => told <= (all.at(-1) ?? 0)))
          const below = took.slice(0, index + 1).filter((other) => other <= told).length
          worst = Math.max(worst, part * (index + 1) - below)
        }
        assert.isAtMost(worst, 16)
      })
  )
})
