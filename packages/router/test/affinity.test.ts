import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Affinity } from "../src/internal/affinity.ts"

describe("Affinity", () => {
  it("knows which target has a prefix, until its time is over", () => {
    const affinity = new Affinity(10)
    assert.isFalse(affinity.isWarm("p", 0, 0))
    affinity.touch("p", 0, 300_000, 0)
    assert.isTrue(affinity.isWarm("p", 0, 299_999))
    assert.isFalse(affinity.isWarm("p", 0, 300_000))
    assert.isFalse(affinity.isWarm("p", 1, 1))
    assert.isFalse(affinity.isWarm("q", 0, 1))
  })

  it("knows of several that have it, each with a time of its own", () => {
    const affinity = new Affinity(10)
    affinity.touch("p", 0, 300_000, 0)
    affinity.touch("p", 1, 3_600_000, 0)
    assert.isTrue(affinity.isWarm("p", 0, 1) && affinity.isWarm("p", 1, 1))
    assert.isFalse(affinity.isWarm("p", 0, 300_000))
    assert.isTrue(affinity.isWarm("p", 1, 300_000))
  })

  it("begins the time anew with each use, and ends it never sooner", () => {
    const affinity = new Affinity(10)
    affinity.touch("p", 0, 3_600_000, 0)
    affinity.touch("p", 0, 400_000, 100_000)
    assert.isTrue(affinity.isWarm("p", 0, 3_599_999))
    affinity.touch("p", 0, 7_200_000, 3_600_000)
    assert.isTrue(affinity.isWarm("p", 0, 7_199_999))
  })

  it("keeps those that were sent last", () => {
    const affinity = new Affinity(2)
    affinity.touch("p", 0, 9, 0)
    affinity.touch("q", 0, 9, 0)
    affinity.touch("p", 0, 9, 0)
    affinity.touch("r", 0, 9, 0)
    assert.strictEqual(affinity.size, 2)
    assert.deepStrictEqual(["p", "q", "r"].map((prefix) => affinity.isWarm(prefix, 0, 1)), [true, false, true])
  })

  it.effect.prop(
    "has what a list of all that was sent has, as long as there is room",
    [Schema.Array(Schema.Struct({
      prefix: Schema.Literals(["p", "q", "r"]),
      index: Schema.Literals([0, 1, 2]),
      ttl: Schema.Literals([5, 50]),
      pause: Schema.Literals([0, 1, 7, 30])
    }))],
    ([uses]) =>
      Effect.sync(() => {
        const affinity = new Affinity(3)
        const sent: Array<{ readonly prefix: string; readonly index: number; readonly until: number }> = []
        let now = 1
        for (const { index, pause, prefix, ttl } of uses) {
          now += pause
          affinity.touch(prefix, index, now + ttl, now)
          sent.push({ prefix, index, until: now + ttl })
          for (const prefix of ["p", "q", "r"]) {
            for (const index of [0, 1, 2]) {
              assert.strictEqual(
                affinity.isWarm(prefix, index, now),
                sent.some((one) => one.prefix === prefix && one.index === index && one.until > now)
              )
            }
          }
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})
