import { Ledger, Meter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random, Schema } from "effect"
import { NaiveLedger } from "./naive.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const meters = [Meter.requests(6, "1 second"), Meter.tokens(100, "1 second"), Meter.tokens(40, "200 millis")]
const ledgerOf = (guard = 0) => new Ledger.Ledger(meters, guard)

const Step = Schema.Struct({
  elapse: between(0, 300),
  act: Schema.Literals(["book", "send", "arrive", "shrink", "owe", "remove"]),
  which: between(0, 7),
  tokens: between(0, 60),
  requests: between(0, 2),
  ago: between(0, 400)
})

/** Takes a step in both books, and compares all that can be asked of them. */
const compare = (steps: Iterable<typeof Step.Type>, guard: number) => {
  const ledger = ledgerOf(guard)
  const naive = new NaiveLedger(meters, guard)
  const held: Array<{ mine: Ledger.Charge; theirs: ReturnType<NaiveLedger["book"]> }> = []
  let now = 0
  for (const step of steps) {
    now += step.elapse
    const one = held[held.length - 1 - step.which % Math.max(1, held.length)]
    if (step.act === "book") {
      held.push({ mine: ledger.book(step.requests, step.tokens), theirs: naive.book(step.requests, step.tokens) })
    } else if (step.act === "owe") {
      ledger.owe(step.tokens, now)
      naive.raise(naive.book(0, step.tokens), now)
    } else if (one !== undefined) {
      if (step.act === "send") {
        ledger.send(one.mine, now)
        if (one.theirs.stamp === undefined) naive.raise(one.theirs, now)
      } else if (step.act === "arrive") {
        const at = Math.max(0, now - step.ago)
        ledger.arrive(one.mine, at)
        naive.raise(one.theirs, at)
      } else if (step.act === "shrink") {
        ledger.shrink(one.mine, step.requests, step.tokens)
        one.theirs.requests = Math.min(one.theirs.requests, step.requests)
        one.theirs.tokens = Math.min(one.theirs.tokens, step.tokens)
      } else if (one.theirs.stamp === undefined) {
        ledger.remove(one.mine)
        naive.remove(one.theirs)
        held.splice(held.indexOf(one), 1)
        // What is taken out can't be sent any more.
        ledger.send(one.mine, now)
      }
    }
    const asked = [[step.requests, step.tokens], [step.requests + 1, 0], [0, step.tokens]] as const
    for (const [requests, tokens] of asked) {
      // The first instant that it fits: it does then, and did not a moment before.
      const at = ledger.nextFit(requests, tokens, now)
      if (at === Infinity) {
        assert.isFalse(naive.fits(requests, tokens, now + 1e9))
      } else {
        assert.isTrue(at >= now)
        assert.isTrue(naive.fits(requests, tokens, at))
        if (at > now) assert.isFalse(naive.fits(requests, tokens, at - 0.5))
      }
      assert.strictEqual(ledger.fits(requests, tokens, now), naive.fits(requests, tokens, now))
    }
    assert.deepStrictEqual(
      ledger.levels(now).map(({ limit, unit, used, windowMillis }) => [unit, limit, windowMillis, used]),
      meters.map((meter) => [meter.unit, meter.limit, Duration.toMillis(meter.window), naive.used(meter, now)])
    )
  }
}

describe("Ledger", () => {
  it.effect.prop(
    "keeps the same books as a list that is summed anew each time",
    [Schema.Array(Step).check(Schema.isMaxLength(60)), between(0, 150)],
    ([steps, guard]) => Effect.sync(() => compare(steps, guard)),
    { arbitrary: { runs: 300 } }
  )

  it.effect("keeps the same books over a long life", () =>
    Effect.gen(function*() {
      const acts = ["book", "book", "send", "send", "arrive", "shrink", "owe", "remove"] as const
      for (const guard of [0, 35]) {
        const steps = yield* Effect.replicateEffect(
          Effect.gen(function*() {
            return {
              elapse: yield* Random.nextIntBetween(0, 90),
              act: acts[yield* Random.nextIntBetween(0, acts.length)] ?? "book",
              which: yield* Random.nextIntBetween(0, 8),
              tokens: yield* Random.nextIntBetween(0, 45),
              requests: yield* Random.nextIntBetween(0, 4),
              ago: yield* Random.nextIntBetween(0, 500)
            }
          }),
          1500
        )
        compare(steps, guard)
      }
    }).pipe(Random.withSeed("a long life")))

  it("keeps a charge that is not sent for ever, and one that is sent for its window and the guard", () => {
    const ledger = ledgerOf(50)
    const charge = ledger.book(1, 40)
    assert.isFalse(ledger.fits(1, 40, 1e6))
    assert.strictEqual(ledger.nextFit(1, 40, 1e6), Infinity)
    ledger.send(charge, 1e6)
    assert.strictEqual(ledger.nextFit(1, 40, 1e6), 1e6 + 250)
    assert.isFalse(ledger.fits(1, 40, 1e6 + 249))
    assert.isTrue(ledger.fits(1, 40, 1e6 + 250))
    assert.strictEqual(ledger.nextFit(1, 80, 1e6 + 250), Infinity, "larger than the short window's limit")
  })

  it("sends once: a second time changes nothing", () => {
    const ledger = ledgerOf()
    const charge = ledger.book(1, 40)
    ledger.send(charge, 0)
    ledger.send(charge, 100)
    assert.isTrue(ledger.fits(1, 40, 200))
  })

  it("counts a charge again that the server turns out to have had later than it left", () => {
    const ledger = ledgerOf()
    const charge = ledger.book(1, 40)
    ledger.send(charge, 0)
    assert.isTrue(ledger.fits(1, 40, 250))
    ledger.arrive(charge, 150)
    assert.isFalse(ledger.fits(1, 40, 349))
    assert.isTrue(ledger.fits(1, 40, 350))
  })

  it("widens the guard for what is in the books already", () => {
    const ledger = ledgerOf(10)
    ledger.send(ledger.book(1, 40), 0)
    ledger.setGuard(100)
    assert.strictEqual(ledger.guardMillis, 100)
    assert.isFalse(ledger.fits(1, 40, 299))
    assert.isTrue(ledger.fits(1, 40, 300))
  })

  it("finds the next to leave, not the first that was sent", () => {
    const ledger = new Ledger.Ledger([Meter.requests(2, "1 second")], 0)
    const [first, second] = [ledger.book(1, 0), ledger.book(1, 0)]
    ledger.send(first, 0)
    ledger.send(second, 100)
    ledger.arrive(first, 400)
    assert.strictEqual(ledger.nextFit(1, 0, 500), 1100)
    assert.strictEqual(ledger.nextFit(2, 0, 500), 1400)
    assert.strictEqual(ledger.nextFit(3, 0, 500), Infinity)
    assert.strictEqual(ledger.nextFit(1, 0, 1250), 1250, "one has left by now, though nobody has looked")
  })

  it("takes out once, and lowers what was sent", () => {
    const ledger = new Ledger.Ledger([Meter.requests(5, "1 second"), Meter.tokens(100, "1 second")], 0)
    const used = () => ledger.levels(0).map((level) => level.used)
    const [kept, gone, sent] = [ledger.book(1, 10), ledger.book(1, 20), ledger.book(1, 30)]
    ledger.remove(gone)
    ledger.remove(gone)
    assert.deepStrictEqual(used(), [2, 40])
    ledger.send(sent, 0)
    ledger.remove(sent)
    assert.deepStrictEqual(used(), [1, 10])
    ledger.remove(kept)
    assert.deepStrictEqual(used(), [0, 0])
    assert.deepStrictEqual(ledger.levels(1500).map((level) => level.used), [0, 0], "and it does not leave twice")
  })

  it("forgets the drift of fractions when nothing is left, and waits for no more than all to leave", () => {
    const fractions = () => new Ledger.Ledger([Meter.requests(0.3, "1 second"), Meter.tokens(0.3, "1 second")], 0)
    const emptied = fractions()
    for (const charge of [emptied.book(0.1, 0.1), emptied.book(0.2, 0.2)]) emptied.remove(charge)
    assert.isTrue(emptied.fits(0.3, 0.3, 0))
    const left = fractions()
    for (const charge of [left.book(0.1, 0.1), left.book(0.2, 0.2)]) left.send(charge, 0)
    assert.strictEqual(left.nextFit(0.3, 0, 10), 1000)
    assert.strictEqual(left.nextFit(0, 0.3, 10), 1000)
    assert.strictEqual(left.nextFit(0.4, 0, 10), Infinity)
    assert.strictEqual(left.nextFit(0, 0.4, 10), Infinity)
    assert.isTrue(left.fits(0.3, 0.3, 1000))
  })

  it("names the smallest limit of a unit", () => {
    assert.strictEqual(ledgerOf().limitOf("tokens"), 40)
    assert.strictEqual(ledgerOf().limitOf("requests"), 6)
    assert.strictEqual(new Ledger.Ledger([], 0).limitOf("tokens"), Infinity)
    assert.isTrue(new Ledger.Ledger([], 0).fits(1e9, 1e9, 0))
    assert.deepStrictEqual(new Ledger.Ledger([], 0).levels(0), [])
    assert.lengthOf(new Ledger.Ledger([Meter.requests(5)], 0).levels(0), 1)
  })

  it("takes the smaller of two limits over one window", () => {
    const ledger = new Ledger.Ledger([Meter.tokens(50), Meter.tokens(20)], 0)
    assert.isTrue(ledger.fits(0, 20, 0))
    assert.isFalse(ledger.fits(0, 21, 0))
  })

  describe("forecast", () => {
    const single = () => new Ledger.Ledger([Meter.requests(10, "1 second"), Meter.tokens(100, "1 second")], 50)

    it("is now while there is room", () => {
      assert.strictEqual(single().forecast(1, 100, 7), 7)
      assert.strictEqual(single().forecast(0, 0, 7), 7)
    })

    it("is the first instant that it fits for the first in line", () => {
      const ledger = single()
      ledger.send(ledger.book(1, 60), 0)
      ledger.send(ledger.book(1, 40), 200)
      assert.strictEqual(ledger.forecast(1, 60, 300), 1050)
      assert.strictEqual(ledger.forecast(1, 61, 300), 1250)
    })

    it("adds a window for each whole limit before it", () => {
      const ledger = single()
      ledger.send(ledger.book(1, 60), 0)
      ledger.send(ledger.book(1, 40), 200)
      assert.strictEqual(ledger.forecast(3, 160, 300), 2100)
      assert.strictEqual(ledger.forecast(3, 161, 300), 2300)
      assert.strictEqual(ledger.forecast(4, 300, 300), 3350)
      assert.strictEqual(ledger.forecast(25, 30, 300), 2400, "bound by requests: eight now, two turns later again")
    })

    it("takes what is not sent as sent now", () => {
      const ledger = single()
      ledger.book(1, 100)
      assert.strictEqual(ledger.forecast(1, 1, 300), 1350)
    })

    it("looks at charges in the order in which they leave, by requests too", () => {
      const ledger = new Ledger.Ledger([Meter.requests(3, "1 second"), Meter.tokens(1000, "1 second")], 0)
      const [early, late] = [ledger.book(1, 1), ledger.book(2, 1)]
      ledger.send(late, 100)
      ledger.send(early, 200)
      // What was sent first turns out to have arrived last.
      ledger.arrive(late, 400)
      assert.strictEqual(ledger.forecast(1, 0, 500), 1200)
      assert.strictEqual(ledger.forecast(2, 0, 500), 1400)
      assert.strictEqual(ledger.forecast(3, 0, 500), 1400)
      assert.strictEqual(ledger.forecast(4, 0, 500), 2200)
      assert.strictEqual(ledger.forecast(4, 0, 1300), 2300, "what has left by now is gone")
    })

    it("waits a turn where the books are in debt for good", () => {
      const ledger = single()
      ledger.send(ledger.book(0, 250), 0)
      assert.strictEqual(ledger.forecast(1, 10, 100), 1050)
    })

    it("needs no limit", () => {
      assert.strictEqual(new Ledger.Ledger([Meter.tokens(10)], 0).forecast(1e6, 0, 5), 5)
      assert.strictEqual(new Ledger.Ledger([Meter.requests(10)], 0).forecast(0, 1e9, 5), 5)
      assert.strictEqual(new Ledger.Ledger([], 0).forecast(1e6, 1e9, 5), 5)
    })
  })
})
