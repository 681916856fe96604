import * as Meter from "@caprock/emulator/Meter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const window = 1000

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** What a client does: waits, then asks for an amount; some charges are settled later for more or for less. */
const Step = Schema.Struct({
  wait: int(0, 400),
  amount: int(1, 60),
  settle: Schema.Literals(["keep", "refund", "grow"]),
  change: int(0, 40)
})
const Steps = Schema.Array(Step).check(Schema.isMaxLength(120))
type Steps = typeof Steps.Type

interface Entry {
  readonly at: number
  readonly amount: number
}

interface Played {
  /** Every charge as it stands after settlement, and those of growth. */
  readonly charges: ReadonlyArray<Entry>
  /** The charges when they were admitted, with what else counted then. */
  readonly admitted: ReadonlyArray<Entry & { readonly usedAfter: number }>
  readonly refused: number
}

const limit = 100

/** Plays steps against a meter and against `naive`, which recounts everything each time, and compares the two. */
const play = (
  shape: Meter.Shape,
  steps: Steps,
  naive: (charges: ReadonlyArray<{ at: number; amount: number }>, now: number) => number,
  phase = 0
): Played => {
  const meter = Meter.make({ shape, limit, window, phase })
  const charges: Array<{ at: number; amount: number }> = []
  const admitted: Array<Entry & { readonly usedAfter: number }> = []
  let pending: { charge: Meter.Charge; mirror: { at: number; amount: number }; step: Steps[number] } | undefined
  let now = 0
  let refused = 0
  for (const step of steps) {
    now += step.wait
    if (pending !== undefined) {
      const { charge, mirror, step } = pending
      if (step.settle === "refund") {
        const given = Math.min(step.change, mirror.amount)
        meter.refund(now, charge, step.change)
        mirror.amount -= given
      } else if (step.settle === "grow") {
        meter.charge(now, step.change)
        charges.push({ at: now, amount: step.change })
      }
      pending = undefined
    }
    assert.strictEqual(meter.used(now), naive(charges, now))
    const fits = meter.fits(now, step.amount)
    assert.strictEqual(fits, naive(charges, now) + step.amount <= limit)
    if (fits) {
      const mirror = { at: now, amount: step.amount }
      pending = { charge: meter.charge(now, step.amount), mirror, step }
      charges.push(mirror)
      admitted.push({ at: now, amount: step.amount, usedAfter: meter.used(now) })
    } else refused++
  }
  return { charges, admitted, refused }
}

const sum = (entries: ReadonlyArray<Entry>): number => entries.reduce((total, entry) => total + entry.amount, 0)

describe("Meter", () => {
  describe("rolling", () => {
    const naive = (charges: ReadonlyArray<Entry>, now: number): number =>
      sum(charges.filter(({ at }) => at > now - window))

    it.effect.prop(
      "counts what is stamped later than now - window, and nothing else",
      [Steps],
      ([steps]) =>
        Effect.sync(() => {
          for (const { usedAfter } of play("rolling", steps, naive).admitted) assert.isAtMost(usedAfter, limit)
        })
    )

    it("forgets a charge exactly one window after its stamp", () => {
      const meter = Meter.make({ shape: "rolling", limit, window })
      meter.charge(5, 100)
      assert.isFalse(meter.fits(1004.999, 1))
      assert.isTrue(meter.fits(1005, 100))
      assert.strictEqual(meter.used(1005), 0)
    })

    it("a refund shrinks the charge in place; growth is stamped when it is charged", () => {
      const meter = Meter.make({ shape: "rolling", limit, window })
      const charge = meter.charge(0, 80)
      meter.refund(900, charge, 50)
      assert.strictEqual(meter.used(900), 30)
      meter.charge(900, 20)
      assert.strictEqual(meter.used(1000), 20)
      assert.strictEqual(meter.used(1899), 20)
      assert.strictEqual(meter.used(1900), 0)
    })

    it("a refund after the charge has gone changes nothing", () => {
      const meter = Meter.make({ shape: "rolling", limit, window })
      const charge = meter.charge(0, 80)
      meter.charge(500, 10)
      meter.refund(1200, charge, 80)
      assert.strictEqual(meter.used(1200), 10)
    })

    it("stays right when thousands of charges come and go", () => {
      const meter = Meter.make({ shape: "rolling", limit: 1e9, window })
      for (let at = 0; at < 10_000; at++) meter.charge(at, 1)
      assert.strictEqual(meter.used(9999), 1000)
      assert.strictEqual(meter.used(10_998), 1)
      assert.strictEqual(meter.used(10_999), 0)
    })
  })

  describe("fixed", () => {
    const phase = 300
    const index = (at: number): number => Math.floor((at - phase) / window)
    const naive = (charges: ReadonlyArray<Entry>, now: number): number =>
      sum(charges.filter(({ at }) => index(at) === index(now)))

    it.effect.prop(
      "counts what is stamped in the same window, and nothing else",
      [Steps],
      ([steps]) =>
        Effect.sync(() => {
          for (const { usedAfter } of play("fixed", steps, naive, phase).admitted) assert.isAtMost(usedAfter, limit)
        })
    )

    it("lets twice the limit through around a boundary, which begins at the phase", () => {
      const meter = Meter.make({ shape: "fixed", limit, window, phase })
      meter.charge(1299, 100)
      assert.isFalse(meter.fits(1299.9, 1))
      assert.isTrue(meter.fits(1300, 100))
    })

    it("a refund corrects the window of its charge, growth goes to the present one", () => {
      const meter = Meter.make({ shape: "fixed", limit, window, phase })
      const charge = meter.charge(1000, 90)
      meter.refund(1200, charge, 40)
      assert.strictEqual(meter.used(1200), 50)
      meter.charge(1400, 70)
      meter.refund(1400, charge, 50)
      assert.strictEqual(meter.used(1400), 70)
    })
  })

  describe("bucket", () => {
    it.effect.prop(
      "lets at most L(1 + d/W) through in any interval of length d, and refuses nothing that fits",
      [Steps],
      ([steps]) =>
        Effect.sync(() => {
          const meter = Meter.make({ shape: "bucket", limit, window })
          const admitted: Array<Entry> = []
          let level = limit
          let now = 0
          for (const { amount, wait } of steps) {
            now += wait
            level = Math.min(limit, level + wait * limit / window)
            const fits = meter.fits(now, amount)
            assert.strictEqual(fits, level + 1e-6 >= amount)
            if (!fits) continue
            meter.charge(now, amount)
            level -= amount
            admitted.push({ at: now, amount })
          }
          for (const [from, first] of admitted.entries()) {
            let total = 0
            for (const { amount, at } of admitted.slice(from)) {
              total += amount
              assert.isAtMost(total, limit * (1 + (at - first.at) / window) + 1e-6)
            }
          }
        })
    )

    it("is refilled continuously", () => {
      const meter = Meter.make({ shape: "bucket", limit, window })
      meter.charge(0, 100)
      assert.isFalse(meter.fits(299, 30))
      assert.isTrue(meter.fits(300, 30))
      assert.closeTo(meter.used(300), 70, 1e-9)
    })

    it("a refund adds, but never beyond the capacity; growth may push the level below zero", () => {
      const meter = Meter.make({ shape: "bucket", limit, window })
      const charge = meter.charge(0, 50)
      meter.refund(400, charge, 50)
      assert.strictEqual(meter.used(400), 0)
      meter.charge(400, 150)
      assert.strictEqual(meter.used(400), 150)
      assert.isFalse(meter.fits(900, 1))
      assert.isTrue(meter.fits(910, 1))
    })

    it("a rejected request empties the bucket at most", () => {
      const meter = Meter.make({ shape: "bucket", limit: 1, window })
      meter.charge(0, 1)
      for (let at = 0; at < 500; at += 10) meter.penalise(at, 1)
      // Each rejection took what had been refilled by then, so that the wait begins anew with the last.
      assert.isFalse(meter.fits(1489, 1))
      assert.isTrue(meter.fits(1490, 1))
    })
  })

  it.effect.each<Meter.Shape>(["rolling", "fixed", "bucket"])(
    "%s: a limit of 0 admits nothing",
    (shape) =>
      Effect.sync(() => {
        const meter = Meter.make({ shape, limit: 0, window })
        assert.isFalse(meter.fits(0, 0))
        assert.isFalse(meter.fits(5000, 0))
      })
  )

  it.effect.each<Meter.Shape>(["rolling", "fixed", "bucket"])("%s: the limit can change", (shape) =>
    Effect.sync(() => {
      const meter = Meter.make({ shape, limit, window })
      meter.resize(0, 50)
      assert.strictEqual(meter.limit(), 50)
      assert.isFalse(meter.fits(0, 51))
      assert.isTrue(meter.fits(0, 50))
      meter.resize(0, 100)
      assert.isTrue(meter.fits(shape === "bucket" ? 500 : 0, 100))
    }))

  it("rejected requests count in a rolling and in a fixed window", () => {
    for (const shape of ["rolling", "fixed"] as const) {
      const meter = Meter.make({ shape, limit: 2, window })
      meter.charge(0, 1)
      meter.penalise(10, 1)
      assert.isFalse(meter.fits(20, 1))
    }
  })
})
