import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { StampedTokens } from "../src/internal/stampedTokens.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const window = 9600
const part = window / 96

describe("StampedTokens", () => {
  it("tells what was stamped before a time, less the part that it is in", () => {
    const stamped = new StampedTokens(window)
    stamped.add(0, 1)
    stamped.add(part - 1, 2)
    stamped.add(part, 4)
    stamped.add(-1, 8)
    assert.deepStrictEqual([-1, 0, part - 1, part, 2 * part - 1, 2 * part].map((at) => stamped.before(at)), [
      0,
      8,
      8,
      11,
      11,
      15
    ])
    stamped.remove(part - 1, 2)
    assert.strictEqual(stamped.before(part), 9)
  })

  it("forgets what was stamped a third of a window before the window, and can't be misled by it", () => {
    const stamped = new StampedTokens(window)
    stamped.add(0, 1)
    stamped.add(127 * part, 2)
    assert.strictEqual(stamped.before(200 * part), 3)
    stamped.add(128 * part, 4)
    assert.strictEqual(stamped.before(200 * part), 6)
    // Too late to be known.
    stamped.add(0, 8)
    stamped.remove(0, 1)
    assert.strictEqual(stamped.before(200 * part), 6)
  })

  it("knows nothing of what has no stamp", () => {
    const stamped = new StampedTokens(window)
    stamped.add(0, 1)
    stamped.remove(Infinity, 1)
    assert.strictEqual(stamped.before(part), 1)
  })

  it("tells before when so many were stamped, from a time on", () => {
    const stamped = new StampedTokens(window)
    stamped.add(-1, 1)
    stamped.add(part, 2)
    stamped.add(3 * part, 4)
    const reached = (tokens: number) => [-2 * part, 0, part, 2.5 * part].map((time) => stamped.reached(tokens, time))
    assert.deepStrictEqual(reached(1), [0, 0, part, 2.5 * part])
    assert.deepStrictEqual(reached(2), [2 * part, 2 * part, 2 * part, 2.5 * part])
    assert.deepStrictEqual(reached(7), [4 * part, 4 * part, 4 * part, 4 * part])
    assert.deepStrictEqual(reached(8), [Infinity, Infinity, Infinity, Infinity])
    stamped.add(2 * part, 8)
    assert.strictEqual(stamped.reached(15, 0), 4 * part, "what was stamped before the newest hides it not")
    stamped.remove(2 * part, 8)
    // What is forgotten is not counted.
    stamped.add(127 * part, 8)
    assert.strictEqual(stamped.reached(9, 0), 128 * part)
    assert.strictEqual(new StampedTokens(window).reached(1, 0), Infinity)
    // What is older than all that are kept, at a place not yet taken anew, is counted once.
    const old = new StampedTokens(window)
    old.add(0, 1)
    old.add(130 * part, 4)
    assert.deepStrictEqual([5, 6].map((tokens) => old.reached(tokens, 100 * part)), [131 * part, Infinity])
  })

  const Change = Schema.Struct({ elapse: between(0, 300), tokens: between(1, 50), remove: between(0, 3) })
  it.effect.prop(
    "never tells more than there is, and no less than there was a part ago",
    [Schema.Array(Change).check(Schema.isMaxLength(60)), between(0, 12_000)],
    ([changes, ahead]) =>
      Effect.sync(() => {
        const stamped = new StampedTokens(window)
        let all: Array<{ at: number; tokens: number }> = []
        let now = 0
        for (const { elapse, remove, tokens } of changes) {
          now += elapse
          stamped.add(now, tokens)
          all.push({ at: now, tokens })
          const gone = all[all.length - remove]
          if (gone !== undefined) {
            stamped.remove(gone.at, gone.tokens)
            all = all.filter((other) => other !== gone)
          }
          // Nobody asks for more than a window and a third at once.
          all = all.filter(({ at }) => Math.floor(at / part) > Math.floor(now / part) - 128)
        }
        const before = (time: number) => all.reduce((sum, { at, tokens }) => at < time ? sum + tokens : sum, 0)
        const time = now - 10_000 + ahead
        assert.isAtMost(stamped.before(time), before(time) + forgotten(stamped, all))
        assert.isAtLeast(stamped.before(time), before(time - part))
        const tokens = stamped.before(time) + 1
        const reached = stamped.reached(tokens, time)
        if (reached === Infinity) return assert.isBelow(stamped.before(1e9), tokens)
        assert.isAbove(reached, time)
        assert.isAtLeast(stamped.before(reached), tokens)
        assert.isBelow(stamped.before(reached - part), tokens)
      })
  )

  /** What is still known of older ones. */
  const forgotten = (stamped: StampedTokens, all: ReadonlyArray<{ tokens: number }>) =>
    stamped.before(1e9) - all.reduce((sum, { tokens }) => sum + tokens, 0)
})
