import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { MinHeap } from "../src/internal/minHeap.ts"

const key = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))

describe("MinHeap", () => {
  it.effect.prop(
    "gives back what was put in, smallest first",
    [Schema.Array(key).check(Schema.isMaxLength(80))],
    ([keys]) =>
      Effect.sync(() => {
        const heap = new MinHeap<string>()
        for (const key of keys) heap.push(key, `item ${key}`)
        const seen: Array<[string, number]> = []
        heap.forEach((item, key) => seen.push([item, key]))
        assert.sameDeepMembers(seen, keys.map((key): [string, number] => [`item ${key}`, key]))
        for (const [index, key] of keys.toSorted((a, b) => a - b).entries()) {
          assert.strictEqual(heap.size, keys.length - index)
          assert.strictEqual(heap.minKey, key)
          assert.strictEqual(heap.pop(), `item ${key}`)
        }
        assert.strictEqual(heap.minKey, Infinity)
        assert.isUndefined(heap.pop())
        heap.push(1, "again")
        assert.strictEqual(heap.pop(), "again")
      })
  )

  it("keeps its order over many pushes and pops", () => {
    const heap = new MinHeap<number>()
    const kept: Array<number> = []
    let state = 7
    for (let step = 0; step < 5000; step++) {
      state = (state * 1103515245 + 12345) % 2147483648
      if (state % 5 < 3) {
        heap.push(state, state)
        kept.push(state)
      } else if (kept.length > 0) {
        const smallest = Math.min(...kept)
        assert.strictEqual(heap.pop(), smallest)
        kept.splice(kept.indexOf(smallest), 1)
      }
    }
    assert.isAbove(kept.length, 100)
  })
})
