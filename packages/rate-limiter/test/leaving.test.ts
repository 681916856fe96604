import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Leaver, Leaving } from "../src/internal/leaving.ts"
import { type Place, SortedList } from "../src/internal/sortedList.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

interface Charge extends Leaver {
  requests: number
  tokens: number
  stamp: number
}

const millis = 20
const guard = 3

const Act = Schema.Struct({
  act: Schema.Literals(["add", "add", "add", "early", "later", "shrink", "elapse", "ask", "ask"]),
  /** Which charge, or by how much. */
  which: between(0, 1000),
  requests: between(0, 3),
  tokens: between(0, 9)
})

describe("Leaving", () => {
  it.effect.prop(
    "says what leaves, and when there is room, as a list does that is sorted anew each time",
    // Long, so that there are several pieces, and what was looked at is long too.
    [Schema.Array(Act).check(Schema.isBetweenLength(0, 400))],
    ([acts]) =>
      Effect.sync(() => {
        const leaving = new Leaving<Charge>(millis)
        let kept: Array<Charge> = []
        let now = 0
        const inOrder = () => kept.toSorted((a, b) => a.stamp - b.stamp)
        for (const { act, requests, tokens, which } of acts) {
          if (act === "add" || act === "early") {
            // Mostly now; some come as if they had been there before.
            const charge = { requests, tokens, stamp: act === "add" ? now : now - which % (millis + guard) }
            leaving.add(charge)
            kept.push(charge)
          } else if (act === "later" || act === "shrink") {
            const charge = kept[which % Math.max(1, kept.length)]
            if (charge === undefined) continue
            const leaves = charge.stamp + millis
            if (act === "shrink") charge.tokens = Math.floor(charge.tokens / 2)
            else charge.stamp = Math.min(now, charge.stamp + which % 7)
            leaving.changed(charge, leaves)
          } else if (act === "elapse") {
            // Seldom, so that many are there.
            now += which % 5 === 0 ? which % 9 : 0
            const left: Array<Charge> = []
            for (let charge = leaving.shift(guard, now); charge !== undefined; charge = leaving.shift(guard, now)) {
              left.push(charge)
            }
            const expected = kept.filter(({ stamp }) => stamp + millis + guard <= now)
            assert.sameMembers(left, expected)
            kept = kept.filter((charge) => !expected.includes(charge))
          } else {
            const lack = { requests: requests * (which % 9), tokens: tokens * (which % 17) }
            const room = { requests: -lack.requests, tokens: -lack.tokens }
            const sum = { requests: 0, tokens: 0 }
            const first = inOrder().find((charge) => {
              sum.requests += charge.requests
              sum.tokens += charge.tokens
              return sum.requests >= lack.requests && sum.tokens >= lack.tokens
            })
            const at = first === undefined ? Infinity : first.stamp + millis
            assert.strictEqual(leaving.freeAt(room, Infinity, which % 2 === 0), at)
            // Of those that leave together any may be the last: there is what it needs, and no more than all of them free.
            const together = kept.filter(({ stamp }) => stamp + millis <= at)
            for (const unit of ["requests", "tokens"] as const) {
              assert.isAtMost(room[unit], together.reduce((sum, charge) => sum + charge[unit], -lack[unit]))
              if (first !== undefined) assert.isAtLeast(room[unit], 0)
            }
          }
          assert.isAtMost(leaving.firstAt, Math.min(Infinity, ...kept.map(({ stamp }) => stamp + millis)))
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it("what all of them free is enough when they are all there are", () => {
    const leaving = new Leaving<Charge>(millis)
    for (const tokens of [0.1, 0.2]) leaving.add({ requests: 1, tokens, stamp: 7 })
    assert.strictEqual(leaving.freeAt({ requests: 0, tokens: -0.300_000_01 }, Infinity), Infinity)
    assert.strictEqual(leaving.freeAt({ requests: 0, tokens: -0.300_000_01 }, 3), Infinity)
    assert.strictEqual(leaving.freeAt({ requests: 0, tokens: -0.300_000_01 }, 2), 7 + millis)
    assert.strictEqual(new Leaving(millis).freeAt({ requests: 0, tokens: -1 }, 0), Infinity)
  })

  it("thousands that have left take no place", () => {
    const leaving = new Leaving<Charge>(millis)
    for (let stamp = 0; stamp < 6_000; stamp++) {
      leaving.add({ requests: 1, tokens: stamp, stamp })
      // All that are there are looked at each time.
      leaving.freeAt({ requests: -Infinity, tokens: 0 }, Infinity)
    }
    for (let now = 0; now < 5_000; now++) {
      assert.strictEqual(leaving.shift(0, now + millis)?.stamp, now)
      const room = { requests: -3, tokens: -3 }
      assert.strictEqual(leaving.freeAt(room, Infinity), now + 3 + millis)
      assert.deepStrictEqual(room, { requests: 0, tokens: 3 * (now + 2) - 3 })
    }
    assert.isBelow(JSON.stringify(leaving).length, 200_000)
  })
})

describe("SortedList", () => {
  it("one that becomes later than all others, alone in its piece, is found behind them", () => {
    const list = new SortedList<number>()
    for (let key = 0; key < 65; key++) list.add(key, key)
    // The last piece has one.
    const place: Place = { piece: 0, index: 64 }
    assert.strictEqual(list.at(place), 64)
    list.shift(place)
    list.later(place, 100)
    assert.strictEqual(list.at(place), 64)
    assert.strictEqual(list.keyAt(place), 100)
    place.index++
    assert.isUndefined(list.at(place))
    list.add(101, 101)
    assert.strictEqual(list.at(place), 101)
  })
})
