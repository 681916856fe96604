import { Meter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Holding, isPlain, type Part, SharedParts } from "../src/internal/parts.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const guard = 250

const partOf = (meter: Meter.Meter): Part => {
  const parts = new SharedParts(guard).partsOf([meter])
  if (!("length" in parts) || parts[0] === undefined) throw new Error("a part is there")
  return parts[0]
}

const hours = 7_200_000
/** A long window is kept in so many parts. */
const step = hours / 1_440

/** Where a charge stands in a long window, once it was sent. */
interface Charge {
  amount: number
  part: number | undefined
  readonly holding: Holding
}

const leavesAt = (part: number): number => (part + 1) * step + hours + guard

const Act = Schema.Struct({
  act: Schema.Literals(["book", "book", "sent", "arrived", "settle", "abandon", "release", "elapse"]),
  which: between(0, 100),
  amount: between(0, 60)
})

describe("a window of more than an hour", () => {
  const limit = 100
  const meter = Meter.tokens(limit, hours)

  it.effect.prop(
    "keeps what a list of its charges keeps, in parts of itself",
    [Schema.Array(Act).check(Schema.isMaxLength(80))],
    ([acts]) =>
      Effect.sync(() => {
        const part = partOf(meter)
        let charges: Array<Charge> = []
        let now = 0
        for (const { act, amount, which } of acts) {
          const charge = charges[which % Math.max(1, charges.length)]
          if (act === "book") charges.push({ amount, part: undefined, holding: part.book(amount, now) })
          // Mostly some seconds, and at times more than the window.
          else if (act === "elapse") now += which < 80 ? which * 250 : which * which * 1_000
          else if (charge !== undefined) {
            // Within the last minute.
            const at = act === "sent" || act === "arrived" ? now - Math.min(now, amount * 1_000) : now
            const stamped = Math.floor(at / step)
            const { holding } = charge
            if (act === "sent") {
              holding.sent(at)
              charge.part ??= stamped
            } else if (act === "arrived") {
              holding.arrived(at)
              charge.part = Math.max(charge.part ?? 0, stamped)
            } else if (act === "settle") {
              holding.settle(amount, now)
              charge.part ??= stamped
              charge.amount = amount
            } else if (act === "abandon") {
              holding.abandon(now)
              charge.part ??= stamped
            } else {
              holding.release(now)
              charge.amount = 0
            }
          }
          charges = charges.filter(({ part }) => part === undefined || leavesAt(part) > now)
          const used = charges.reduce((sum, { amount }) => sum + amount, 0)
          assert.deepStrictEqual(part.level(now), { unit: "tokens", limit, windowMillis: hours, used, foreign: 0 })
          assert.strictEqual(part.left(now), limit - used)
          assert.strictEqual(part.fits(limit - used, now), true)
          assert.strictEqual(part.fits(limit - used + 1, now), false)
          // When there is room for another, and what is left then.
          const sent = charges.filter(({ part }) => part !== undefined).toSorted((a, b) =>
            Number(a.part) - Number(b.part)
          )
          let free = limit - used - amount
          let start = now
          for (const { amount, part = 0 } of free >= 0 ? [] : sent) {
            free += amount
            start = leavesAt(part)
            if (free >= 0) break
          }
          assert.deepStrictEqual(part.plan(amount, now), {
            at: free >= 0 ? start : Infinity,
            left: Math.max(0, limit - used - amount)
          })
          if (free >= 0) assert.strictEqual(part.forecast(amount, now), start)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it("what was sent before it had left, and is told of after, changes nothing", () => {
    const part = partOf(meter)
    const holding = part.book(40, 0)
    holding.sent(0)
    assert.isTrue(part.fits(60, leavesAt(0) - 1))
    assert.isFalse(part.fits(61, leavesAt(0) - 1))
    assert.isTrue(part.fits(100, leavesAt(0)))
    holding.settle(70, leavesAt(0))
    holding.arrived(leavesAt(0))
    holding.release(leavesAt(0))
    assert.strictEqual(part.left(leavesAt(0)), 100)
  })

  it("what takes several windows is foretold to take them one after the other", () => {
    const part = partOf(meter)
    part.book(30, 0).sent(0)
    assert.strictEqual(part.forecast(70, 0), 0)
    assert.strictEqual(part.forecast(71, 0), leavesAt(0))
    assert.strictEqual(part.forecast(100, 0), leavesAt(0))
    // Two whole ones, and then what is left: it fits at once, and a window later for each of them.
    assert.strictEqual(part.forecast(270, 0), 2 * hours)
    assert.strictEqual(part.forecast(271, 0), leavesAt(0) + 2 * hours)
    // Nobody knows when what is not sent leaves.
    part.book(70, 0)
    assert.strictEqual(part.forecast(80, 5), 5 + hours)
    assert.strictEqual(part.plan(80, 5).at, Infinity)
  })
})

describe("what is in flight", () => {
  it("holds a place until it is over, however it ends", () => {
    const part = partOf(Meter.concurrency(3))
    const holdings = [part.book(1, 0), part.book(1, 0), part.book(1, 0)]
    for (const holding of holdings) {
      holding.sent(0)
      holding.arrived(0)
    }
    assert.isFalse(part.fits(1, 0))
    assert.strictEqual(part.left(0), 0)
    assert.deepStrictEqual(part.plan(1, 0), { at: Infinity, left: -1 })
    assert.deepStrictEqual(part.level(0), { unit: "concurrency", limit: 3, windowMillis: 0, used: 3, foreign: 0 })
    holdings[0]?.settle(0, 800)
    assert.isTrue(part.fits(1, 800))
    assert.deepStrictEqual(part.plan(1, 800), { at: 800, left: 0 })
    holdings[1]?.abandon(800)
    holdings[2]?.release(800)
    assert.strictEqual(part.left(800), 3)
  })

  it("is foretold to go on as the last ones did", () => {
    const part = partOf(Meter.concurrency(2))
    assert.strictEqual(part.forecast(1, 7), 7)
    for (let n = 0; n < 5; n++) part.book(1, 5_000).settle(1, 6_000)
    // What was never sent says nothing.
    part.book(1, 0).release(90_000)
    part.book(1, 0)
    part.book(1, 0)
    assert.strictEqual(part.forecast(0, 7), 7)
    // One before it goes in half of the time that two take.
    assert.strictEqual(part.forecast(1, 7), 7 + 500)
    assert.strictEqual(part.forecast(4, 7), 7 + 2_000)
    // The last counts for a sixteenth.
    part.book(1, 0).settle(1, 17_000)
    assert.strictEqual(part.forecast(1, 7), 7 + 1_000)
  })
})

describe("a unit of one's own", () => {
  it("is kept in a rolling window, like tokens", () => {
    const part = partOf(Meter.units("images", 10, "1 second"))
    const first = part.book(6, 0)
    assert.isTrue(part.fits(4, 0))
    assert.isFalse(part.fits(5, 0))
    assert.deepStrictEqual(part.plan(5, 0), { at: Infinity, left: -1 })
    first.sent(0)
    assert.deepStrictEqual(part.plan(5, 0), { at: 1_250, left: 5 })
    assert.strictEqual(part.forecast(5, 0), 1_250)
    first.arrived(100)
    assert.strictEqual(part.plan(5, 100).at, 1_350)
    // More than was booked, from when it is told.
    first.settle(8, 500)
    assert.strictEqual(part.left(500), 2)
    assert.strictEqual(part.left(1_350), 8)
    assert.deepStrictEqual(part.level(1_350), {
      unit: "images",
      limit: 10,
      windowMillis: 1_000,
      used: 2,
      foreign: 0
    })
    assert.strictEqual(part.left(1_750), 10)
    const second = part.book(5, 2_000)
    second.abandon(2_000)
    assert.strictEqual(part.left(3_249), 5)
    assert.strictEqual(part.left(3_250), 10)
    const third = part.book(5, 4_000)
    third.settle(1, 4_000)
    assert.strictEqual(part.left(4_000), 9)
    part.book(9, 4_000).release(4_000)
    assert.strictEqual(part.left(4_000), 9)
  })
})

describe("meters", () => {
  it("of an hour are exact to the millisecond, and longer ones to a 1,440th", () => {
    const hour = partOf(Meter.units("images", 10, "1 hour"))
    hour.book(10, 0).sent(1)
    assert.strictEqual(hour.plan(1, 1).at, 3_600_000 + 1 + guard)
    const more = partOf(Meter.units("images", 10, 3_600_001))
    more.book(10, 0).sent(1)
    assert.strictEqual(more.plan(1, 1).at, 3_600_001 / 1_440 + 3_600_001 + guard)
  })

  it("are plain up to an hour, of requests and tokens, each pool's own", () => {
    assert.isTrue(isPlain(Meter.tokens(1, "1 hour")))
    assert.isTrue(isPlain(Meter.requests(1)))
    assert.isFalse(isPlain(Meter.tokens(1, "61 minutes")))
    assert.isFalse(isPlain(Meter.units("images", 1)))
    assert.isFalse(isPlain(Meter.shared(Meter.tokens(1), "all")))
  })

  it("with a name are there once for each unit, and have to be alike", () => {
    const shared = new SharedParts(guard)
    const day = Meter.shared(Meter.tokens(100, "1 day"), "account")
    const one = shared.partsOf([Meter.requests(1), day])
    const other = shared.partsOf([day, Meter.shared(Meter.concurrency(2), "account"), Meter.concurrency(2)])
    assert.isTrue("length" in one && "length" in other && one.length === 1 && other.length === 3 && one[0] === other[0])
    assert.isTrue("length" in other && other[1] !== other[2])
    const alone = [shared.partsOf([Meter.concurrency(2)]), shared.partsOf([Meter.concurrency(2)])]
    assert.isTrue(
      alone.every((parts) => "length" in parts) && Object.values(alone[0] ?? {})[0] !== Object.values(alone[1] ?? {})[0]
    )
    const wrong = shared.partsOf([Meter.shared(Meter.tokens(200, "1 day"), "account")])
    assert.strictEqual(
      "problem" in wrong ? wrong.problem : "",
      "is account, of which another pool has 100 tokens in 1d, and this one 200 in 1d"
    )
    assert.isTrue("field" in wrong && wrong.field === "shared")
    assert.isTrue("field" in shared.partsOf([Meter.shared(Meter.tokens(100, "2 days"), "account")]))
  })
})
