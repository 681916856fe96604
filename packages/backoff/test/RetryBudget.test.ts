import { RetryBudget } from "@caprock/backoff"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Event = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Deposit"), pool: Schema.Literals(["a", "b"]) }),
  Schema.Struct({ _tag: Schema.tag("Withdraw"), pool: Schema.Literals(["a", "b"]) }),
  Schema.Struct({ _tag: Schema.tag("Pass"), millis: between(0, 5_000) })
])

// The judge: the same rules in whole millionths of a retry, so that nothing is rounded.
const makeJudge = (terms: { readonly thousandths: number; readonly perSecond: number; readonly capacity: number }) => {
  const capacity = terms.capacity * 1_000_000
  const balances: Record<"a" | "b", number> = { a: capacity, b: capacity }
  return {
    deposit: (pool: "a" | "b") => {
      balances[pool] = Math.min(capacity, balances[pool] + terms.thousandths * 1_000)
    },
    withdraw: (pool: "a" | "b") => {
      if (balances[pool] < 1_000_000) return false
      balances[pool] -= 1_000_000
      return true
    },
    pass: (millis: number) => {
      for (const pool of ["a", "b"] as const) {
        balances[pool] = Math.min(capacity, balances[pool] + millis * terms.perSecond * 1_000)
      }
    },
    balances
  }
}

describe("RetryBudget", () => {
  it.effect.prop(
    "grants exactly what its rules allow, over random interleavings of calls, retries and time",
    {
      events: Schema.Array(Event).check(Schema.isBetweenLength(1, 200)),
      thousandths: between(0, 1_500),
      perSecond: between(0, 3),
      capacity: between(0, 10)
    },
    ({ capacity, events, perSecond, thousandths }) =>
      Effect.gen(function*() {
        const judge = makeJudge({ thousandths, perSecond, capacity })
        const budget = yield* RetryBudget.make({ ratio: thousandths / 1_000, perSecond, capacity })
        for (const event of events) {
          switch (event._tag) {
            case "Deposit":
              judge.deposit(event.pool)
              yield* budget.deposit(event.pool)
              break
            case "Withdraw":
              assert.strictEqual(yield* budget.withdraw(event.pool), judge.withdraw(event.pool))
              break
            case "Pass":
              judge.pass(event.millis)
              yield* TestClock.adjust(event.millis)
          }
        }
        for (const { available, pool } of yield* budget.snapshot) {
          assert.approximately(available, judge.balances[pool === "a" ? "a" : "b"] / 1_000_000, 1e-6)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "bounds the retries of every span: capacity + ratio × calls + perSecond × seconds",
    {
      events: Schema.Array(Event).check(Schema.isBetweenLength(1, 120)),
      ratio: between(0, 10),
      perSecond: between(0, 3),
      capacity: between(0, 10)
    },
    ({ capacity, events, perSecond, ratio }) =>
      Effect.gen(function*() {
        const budget = yield* RetryBudget.make({ ratio: ratio / 10, perSecond, capacity })
        // Sums so far of (granted − ratio × calls − perSecond × seconds): a span's excess is a difference of two of them.
        let sum = 0
        let lowest = 0
        for (const event of events) {
          if (event._tag === "Pass") {
            yield* TestClock.adjust(event.millis)
            sum -= perSecond * event.millis / 1_000
          } else if (event.pool === "b") {
            continue
          } else if (event._tag === "Deposit") {
            yield* budget.deposit("a")
            sum -= ratio / 10
          } else if (yield* budget.withdraw("a")) {
            sum += 1
          }
          lowest = Math.min(lowest, sum)
          assert.isAtMost(sum - lowest, capacity + 1e-6)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("has the stated defaults", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      for (let i = 0; i < 100; i++) assert.isTrue(yield* budget.withdraw())
      assert.isFalse(yield* budget.withdraw())
      for (let i = 0; i < 5; i++) yield* budget.deposit()
      assert.isTrue(yield* budget.withdraw())
      assert.isFalse(yield* budget.withdraw())
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* budget.withdraw())
      assert.isFalse(yield* budget.withdraw())
      yield* TestClock.adjust("1 hour")
      const [snapshot] = yield* budget.snapshot
      assert.deepStrictEqual(snapshot, { pool: "", available: 100, capacity: 100, calls: 5, granted: 102, refused: 3 })
    }))

  it.effect("grants no part of a retry, and a whole one that was paid in parts", () =>
    Effect.gen(function*() {
      const nearly = yield* RetryBudget.make({ ratio: 0.999, perSecond: 0, capacity: 1 })
      yield* nearly.withdraw()
      yield* nearly.deposit()
      assert.isFalse(yield* nearly.withdraw())
      const tenths = yield* RetryBudget.make({ ratio: 0.1, perSecond: 0, capacity: 1 })
      yield* tenths.withdraw()
      for (let i = 0; i < 10; i++) yield* tenths.deposit()
      assert.isTrue(yield* tenths.withdraw())
      assert.strictEqual((yield* tenths.snapshot)[0]?.available, 0)
    }))

  it.effect("keeps the pools apart", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, perSecond: 0, capacity: 1 })
      assert.deepStrictEqual(
        [
          yield* budget.withdraw("a"),
          yield* budget.withdraw("a"),
          yield* budget.withdraw("b"),
          yield* budget.withdraw()
        ],
        [true, false, true, true]
      )
      assert.deepStrictEqual((yield* budget.snapshot).map(({ pool, refused }) => [pool, refused]), [
        ["a", 1],
        ["b", 0],
        ["", 0]
      ])
    }))

  it.effect("remembers the counts of a pool whose balance is full, while there is room", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      for (let i = 0; i < 999; i++) yield* budget.deposit(`${i}`)
      assert.deepStrictEqual((yield* budget.snapshot).map(({ calls }) => calls), Array.from({ length: 999 }, () => 1))
    }))

  it.effect("remembers a bounded number of pools, and forgets those first whose loss changes nothing", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, perSecond: 0, capacity: 2 })
      yield* budget.withdraw("spent")
      for (let i = 0; i < 5_000; i++) yield* budget.deposit(`full ${i}`)
      const some = yield* budget.snapshot
      assert.isAtMost(some.length, 1_000)
      assert.strictEqual(some.find(({ pool }) => pool === "spent")?.available, 1)
      for (let i = 0; i < 5_000; i++) yield* budget.withdraw(`spent ${i}`)
      const all = yield* budget.snapshot
      assert.strictEqual(all.length, 1_000)
      assert.isUndefined(all.find(({ pool }) => pool === "spent"))
      assert.strictEqual(all.at(-1)?.pool, "spent 4999")
    }))

  it.effect("gains nothing from a clock that goes back", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10_000)
      const budget = yield* RetryBudget.make({ ratio: 0, perSecond: 1, capacity: 3 })
      for (let i = 0; i < 3; i++) yield* budget.withdraw()
      yield* TestClock.setTime(5_000)
      assert.isFalse(yield* budget.withdraw())
      yield* TestClock.setTime(10_500)
      assert.isFalse(yield* budget.withdraw())
      yield* TestClock.setTime(11_000)
      assert.isTrue(yield* budget.withdraw())
    }))

  it.effect("refuses options out of range, and names the field", () =>
    Effect.gen(function*() {
      for (const field of ["ratio", "perSecond", "capacity"] as const) {
        for (const value of [-1, Number.NaN, Infinity]) {
          const error = yield* Effect.flip(RetryBudget.make({ [field]: value }))
          assert.include(error.message, field)
        }
      }
    }))
})

describe("the layers", () => {
  it("provide the service by the name of its module", () => {
    assert.strictEqual(RetryBudget.RetryBudget.key, "@caprock/backoff/RetryBudget")
  })

  const capacityOf = <E>(layer: Layer.Layer<RetryBudget.RetryBudget, E>) =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.RetryBudget
      yield* budget.deposit()
      return (yield* budget.snapshot)[0]?.capacity
    }).pipe(Effect.provide(layer))

  it.effect("take options, the environment, or a number of retries", () =>
    Effect.gen(function*() {
      const env = (env: Record<string, string>) =>
        Layer.provide(RetryBudget.layerConfig(), ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
      assert.strictEqual(yield* capacityOf(RetryBudget.layer({ capacity: 7 })), 7)
      assert.strictEqual(yield* capacityOf(RetryBudget.layer()), 100)
      assert.strictEqual(yield* capacityOf(env({})), 100)
      assert.strictEqual(
        yield* capacityOf(
          env({ CAPROCK_RETRY_CAPACITY: "8", CAPROCK_RETRY_RATIO: "0.1", CAPROCK_RETRY_PER_SECOND: "2" })
        ),
        8
      )
      assert.isTrue(Exit.isFailure(yield* Effect.exit(capacityOf(env({ CAPROCK_RETRY_RATIO: "-5" })))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(capacityOf(env({ CAPROCK_RETRY_PER_SECOND: "many" })))))
    }))

  it.effect("for tests grants exactly so many", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.RetryBudget
      yield* budget.deposit()
      yield* TestClock.adjust("1 day")
      const granted = yield* Effect.forEach([1, 2, 3], () => budget.withdraw())
      assert.deepStrictEqual(granted, [true, true, false])
    }).pipe(Effect.provide(RetryBudget.layerTest(2))))
})
