import { assert, describe, it } from "@effect/vitest"
import { LearnedLimit } from "../src/internal/learnedLimit.ts"

const window = 1_200
/** What comes within so long counts as one. */
const part = window / 12

/** A limit that was told, and is lowered at 600, when the server has refused for half a window. */
const lowered = (told = 100): LearnedLimit => {
  const limit = new LearnedLimit(told, undefined, window)
  for (const at of [0, part, 600]) limit.refused(told, 1, at)
  return limit
}

describe("a limit that was told", () => {
  it("holds until the server has refused three times, over half a window", () => {
    const limit = new LearnedLimit(100, undefined, window)
    assert.isFalse(limit.refused(90, 1, 0))
    assert.isFalse(limit.refused(95, 1, part))
    assert.isFalse(limit.refused(80, 1, 599))
    assert.strictEqual(limit.limit, 100)
    assert.isFalse(limit.isLearned)
    assert.isTrue(limit.refused(70, 1, 600))
    // Nine tenths of the most that was in use.
    assert.strictEqual(limit.limit, 95 * 0.9)
    assert.isTrue(limit.isLearned)
  })

  it("takes refusals within a twelfth of a window for one", () => {
    const limit = new LearnedLimit(100, undefined, window)
    assert.isFalse(limit.refused(90, 1, 0))
    assert.isFalse(limit.refused(90, 1, part / 2))
    assert.isFalse(limit.refused(90, 1, part - 1))
    assert.isFalse(limit.refused(90, 1, 600))
    assert.isFalse(limit.refused(90, 1, 600 + part - 1))
    assert.isTrue(limit.refused(90, 1, 600 + part))
  })

  it("forgets refusals after two windows", () => {
    const before = new LearnedLimit(100, undefined, window)
    for (const at of [0, window]) before.refused(90, 1, at)
    assert.isTrue(before.refused(90, 1, 2 * window))
    const after = new LearnedLimit(100, undefined, window)
    for (const at of [0, window]) after.refused(90, 1, at)
    assert.isFalse(after.refused(90, 1, 2 * window + 1))
    assert.isTrue(after.refused(90, 1, 2 * window + 1 + part))
  })

  it("never falls by more than half at once, nor below what is told", () => {
    const little = new LearnedLimit(100, undefined, window)
    for (const at of [0, part, 600]) little.refused(10, 1, at)
    assert.strictEqual(little.limit, 50)
    const large = new LearnedLimit(100, undefined, window)
    for (const at of [0, part, 600]) large.refused(10, 70, at)
    assert.strictEqual(large.limit, 70)
    // More was in use than it allows, by debt.
    const debt = new LearnedLimit(100, undefined, window)
    for (const at of [0, part, 600]) debt.refused(300, 1, at)
    assert.strictEqual(debt.limit, 90)
  })

  it("that was none falls to what was in use", () => {
    const limit = new LearnedLimit(Infinity, Infinity, window)
    for (const at of [0, part, 600]) limit.refused(40, 1, at)
    assert.strictEqual(limit.limit, 36)
  })

  it("learns nothing from answers while nothing was refused", () => {
    const limit = new LearnedLimit(100, undefined, window)
    assert.isFalse(limit.answered(5, true, 0))
    assert.strictEqual(limit.limit, 100)
  })

  it("is not lowered again by what was sent before", () => {
    const limit = lowered()
    assert.strictEqual(limit.limit, 90)
    assert.isFalse(limit.refused(90, 1, 600 + part - 1))
    assert.strictEqual(limit.limit, 90)
    assert.isTrue(limit.refused(90, 1, 600 + part))
    assert.strictEqual(limit.limit, 81)
  })

  it("comes back by steps that grow, a window after it was lowered and a window apart, while it is used", () => {
    const limit = lowered()
    assert.isFalse(limit.answered(5, true, 600 + window - 1))
    assert.isFalse(limit.answered(5, false, 600 + window))
    assert.strictEqual(limit.limit, 90)
    assert.isTrue(limit.answered(5, true, 600 + window))
    assert.strictEqual(limit.limit, 94.5)
    assert.isFalse(limit.answered(5, true, 600 + 2 * window - 1))
    assert.isTrue(limit.answered(5, true, 600 + 2 * window))
    // Twice as much would be more than was told.
    assert.strictEqual(limit.limit, 100)
    assert.isFalse(limit.isLearned)
  })

  it("does not try a step again that was refused, for twice as many windows each time, up to 32", () => {
    const limit = lowered(1_000)
    let now = 600
    for (const windows of [1, 2, 4, 8, 16, 32, 32]) {
      assert.isFalse(limit.answered(5, true, now + windows * window - 1), `${windows} windows`)
      assert.isTrue(limit.answered(5, true, now + windows * window), `${windows} windows`)
      now += windows * window
      assert.isTrue(limit.refused(1_000, 1, now))
    }
    // One that came before any step says nothing of steps.
    assert.isTrue(limit.refused(1_000, 1, now + part))
    assert.isTrue(limit.answered(5, true, now + part + 32 * window))
  })

  it("that has come back is doubted anew, and held for no longer than a step that was refused", () => {
    const limit = lowered()
    let now = 600 + window
    limit.answered(5, true, now)
    // Twice: it is held for two windows then.
    limit.refused(95, 1, now)
    now += 2 * window
    for (; limit.isLearned; now += window) assert.isTrue(limit.answered(5, true, now))
    assert.strictEqual(limit.limit, 100)
    assert.isFalse(limit.refused(100, 1, now))
    assert.isFalse(limit.refused(100, 1, now + part))
    assert.isTrue(limit.refused(100, 1, now + 600))
    assert.isFalse(limit.answered(5, true, now + 600 + 2 * window - 1))
    assert.isTrue(limit.answered(5, true, now + 600 + 2 * window))
  })
})

describe("a limit that nobody told", () => {
  it("grows by one and a half times what is answered, until the server refuses", () => {
    const limit = new LearnedLimit(1_000, 10, window)
    assert.isTrue(limit.isLearned)
    assert.strictEqual(limit.limit, 10)
    assert.isFalse(limit.answered(4, false, 0))
    assert.isTrue(limit.answered(4, true, 0))
    assert.strictEqual(limit.limit, 16)
    assert.isTrue(limit.refused(20, 1, 1))
    assert.strictEqual(limit.limit, 16 * 0.9)
    assert.isFalse(limit.answered(4, true, 2))
    assert.isTrue(limit.answered(4, true, 1 + window))
    assert.strictEqual(limit.limit, 16 * 0.9 * 1.05)
  })

  it("never grows beyond the most that it may be", () => {
    const limit = new LearnedLimit(12, 10, window)
    assert.isTrue(limit.answered(4, true, 0))
    assert.strictEqual(limit.limit, 12)
    assert.strictEqual(new LearnedLimit(5, 10, window).limit, 5)
  })
})
