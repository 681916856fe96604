import { Ledger, Meter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random, Schema } from "effect"
import { NaiveLedger } from "./naive.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const meters = [Meter.requests(6, "1 second"), Meter.tokens(100, "1 second"), Meter.tokens(40, "200 millis")]
const ledgerOf = (guard = 0) => new Ledger.Ledger(meters, guard)

const Step = Schema.Struct({
  elapse: between(0, 300),
  act: Schema.Literals(["book", "admit", "send", "arrive", "shrink", "owe", "remove", "refuse", "refused"]),
  unit: Schema.UndefinedOr(Schema.Literals(["requests", "tokens"])),
  which: between(0, 7),
  tokens: between(0, 60),
  requests: between(0, 2),
  ago: between(0, 400),
  growth: Schema.Array(Schema.Struct({ withinMillis: between(0, 1300), tokens: between(0, 40) })).check(
    Schema.isMaxLength(3)
  )
})

/** Takes a step in both books, and compares all that can be asked of them. */
const compare = (steps: Iterable<typeof Step.Type>, guard: number) => {
  const ledger = ledgerOf(guard)
  const naive = new NaiveLedger(meters, guard)
  const held: Array<{ mine: Ledger.Charge; theirs: ReturnType<NaiveLedger["book"]> }> = []
  let now = 0
  for (const step of steps) {
    now += step.elapse
    const unsent = held.filter(({ theirs }) => theirs.stamp === undefined)
    const pick = (from: typeof held) => from[from.length - 1 - step.which % Math.max(1, from.length)]
    const one = step.act === "send" ? pick(unsent) ?? pick(held) : step.act === "remove" ? pick(unsent) : pick(held)
    const admits = step.act === "admit" && naive.fits(step.requests, step.tokens, now)
    if (step.act === "book" || admits) {
      held.push({ mine: ledger.book(step.requests, step.tokens), theirs: naive.book(step.requests, step.tokens) })
    } else if (step.act === "owe") {
      ledger.owe(step.tokens, now)
      naive.raise(naive.book(0, step.tokens), now)
    } else if (step.act === "refused") {
      assert.strictEqual(refused(ledger, step.unit, now), naive.refused(step.unit, now))
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
      } else if (step.act === "refuse") {
        ledger.refuse(one.mine)
        one.theirs.foreign = true
      } else if (step.act === "remove") {
        ledger.remove(one.mine)
        naive.remove(one.theirs)
        held.splice(held.indexOf(one), 1)
        // What is taken out can't be sent any more.
        ledger.send(one.mine, now)
      }
    }
    const left = (time: number) => ({ requests: naive.left("requests", time), tokens: naive.left("tokens", time) })
    assert.deepStrictEqual(ledger.left(now), left(now))
    const asked = [[step.requests, step.tokens], [step.requests + 1, 0], [0, step.tokens]] as const
    for (const [requests, tokens] of asked) {
      // The first instant that it fits: it does then, and did not a moment before.
      const plan = ledger.plan(requests, tokens, now)
      if (plan.at === Infinity) {
        assert.isFalse(naive.fits(requests, tokens, now + 1e9))
      } else {
        assert.isTrue(plan.at >= now)
        assert.isTrue(naive.fits(requests, tokens, plan.at))
        if (plan.at > now) assert.isFalse(naive.fits(requests, tokens, plan.at - 0.5))
        // What is left then is no more than there is, and no less than if nothing had left by then.
        assert.isAtMost(plan.requests, left(plan.at).requests - requests)
        assert.isAtMost(plan.tokens, left(plan.at).tokens - tokens)
        assert.isAtLeast(plan.requests, left(now).requests - requests)
        assert.isAtLeast(plan.tokens, left(now).tokens - tokens)
      }
      assert.strictEqual(ledger.fits(requests, tokens, now), naive.fits(requests, tokens, now))
    }
    // What leaves is known to a ninety-sixth of its window, and with a guard over a third of one, not of all of it: safe always, and
    // tight to that.
    if (ledger.fits(step.requests, step.tokens, now, step.growth)) {
      assert.isTrue(naive.fits(step.requests, step.tokens, now))
      assert.isTrue(naive.hasRoomFor(step.growth, step.tokens, now, 0))
    } else if (guard < 60) {
      assert.isFalse(
        naive.fits(step.requests, step.tokens, now) && naive.hasRoomFor(step.growth, step.tokens, now, 1 / 90)
      )
    }
    // With growth, too early at worst, when a charge leaves: but not after the first instant that it fits.
    const plan = ledger.plan(step.requests, step.tokens, now, step.growth)
    const { at } = plan
    const fitsAt = (time: number, late: number) =>
      naive.fits(step.requests, step.tokens, time) && naive.hasRoomFor(step.growth, step.tokens, time, late)
    assert.isAtLeast(at, now)
    if (at > now && guard < 60) assert.isFalse(fitsAt(Math.max(now, Math.min(at, now + 1e9) - 0.5), 1 / 90))
    if (at > now && at !== Infinity) {
      assert.isTrue(
        fitsAt(at, 0) ||
          meters.some((meter) =>
            at <= naive.nextLeaving(meter, now) || naive.charges.some((charge) => naive.leaves(charge, meter) === at)
          )
      )
    }
    // What is left then, also beside what grows: no more than there is, and all of it but for what leaves by then and in a part of a window.
    if (at !== Infinity) {
      const beside = (late: number) => naive.leftBeside(step.growth, now, at, late)
      assert.isAtMost(plan.requests, left(at).requests - step.requests)
      assert.isAtMost(plan.tokens, Math.min(left(at).tokens, beside(0)) - step.tokens)
      assert.isAtLeast(plan.requests, left(now).requests - step.requests)
      if (guard < 60) assert.isAtLeast(plan.tokens, Math.min(left(now).tokens, beside(1 / 90)) - step.tokens)
    } else {
      assert.isAtLeast(plan.tokens, left(now).tokens - step.tokens)
    }
    assert.deepStrictEqual(
      ledger.levels(now),
      meters.map((meter) => ({
        unit: meter.unit,
        limit: meter.limit,
        windowMillis: Duration.toMillis(meter.window),
        used: naive.used(meter, now),
        foreign: naive.foreign(meter, now)
      }))
    )
  }
}

const often = ["admit", "admit", "send", "send", "send", "arrive", "shrink", "remove"] as const

const growth = Effect.gen(function*() {
  return { withinMillis: yield* Random.nextIntBetween(0, 1300), tokens: yield* Random.nextIntBetween(0, 30) }
})

/** What the limiter does about a refusal at first. False when the books explain it. */
const refused = (ledger: Ledger.Ledger, unit: Meter.Unit | undefined, now: number): boolean => {
  const refusal = ledger.unexplained(unit, now)
  if (refusal?.fullest !== undefined) ledger.fill(refusal.fullest, now)
  return refusal !== undefined
}

describe("Ledger", () => {
  it.effect.prop(
    "keeps the same books as a list that is summed anew each time",
    [Schema.Array(Step).check(Schema.isMinLength(20), Schema.isMaxLength(60)), between(0, 150)],
    ([steps, guard]) => Effect.sync(() => compare(steps, guard)),
    { arbitrary: { runs: 100 } }
  )

  it.effect("keeps the same books over a long life", () =>
    Effect.gen(function*() {
      const acts = [...often, ...often, "book", "owe", "refused"] as const
      const units = [undefined, "requests", "tokens"] as const
      for (const guard of [0, 35]) {
        const steps = yield* Effect.replicateEffect(
          Effect.gen(function*() {
            return {
              elapse: yield* Random.nextIntBetween(0, 150),
              act: acts[yield* Random.nextIntBetween(0, acts.length)] ?? "book",
              unit: units[yield* Random.nextIntBetween(0, units.length)],
              which: yield* Random.nextIntBetween(0, 8),
              tokens: yield* Random.nextIntBetween(0, 30),
              requests: yield* Random.nextIntBetween(0, 3),
              ago: yield* Random.nextIntBetween(0, 500),
              growth: yield* Effect.replicateEffect(growth, yield* Random.nextIntBetween(0, 3))
            }
          }),
          800
        )
        compare(steps, guard)
      }
    }).pipe(Random.withSeed("a long life")))

  it("keeps a charge that is not sent for ever, and one that is sent for its window and the guard", () => {
    const ledger = ledgerOf(50)
    const charge = ledger.book(1, 40)
    assert.isFalse(ledger.fits(1, 40, 1e6))
    assert.strictEqual(ledger.plan(1, 40, 1e6).at, Infinity)
    ledger.send(charge, 1e6)
    assert.strictEqual(ledger.plan(1, 40, 1e6).at, 1e6 + 250)
    assert.isFalse(ledger.fits(1, 40, 1e6 + 249))
    assert.isTrue(ledger.fits(1, 40, 1e6 + 250))
    assert.strictEqual(ledger.plan(1, 80, 1e6 + 250).at, Infinity, "larger than the short window's limit")
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
    assert.strictEqual(ledger.plan(1, 0, 500).at, 1100)
    assert.strictEqual(ledger.plan(2, 0, 500).at, 1400)
    assert.strictEqual(ledger.plan(3, 0, 500).at, Infinity)
    assert.strictEqual(ledger.plan(1, 0, 1250).at, 1250, "one has left by now, though nobody has looked")
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

  it("keeps out what was taken out, whatever is heard of it later", () => {
    const ledger = ledgerOf()
    const charge = ledger.book(1, 10)
    ledger.remove(charge)
    ledger.send(charge, 0)
    ledger.arrive(charge, 100)
    assert.deepStrictEqual(ledger.levels(100).map((level) => level.used), [0, 0, 0])
  })

  it("forgets the drift of fractions when nothing is left, and waits for no more than all to leave", () => {
    const fractions = () => new Ledger.Ledger([Meter.requests(0.3, "1 second"), Meter.tokens(0.3, "1 second")], 0)
    const emptied = fractions()
    for (const charge of [emptied.book(0.1, 0.1), emptied.book(0.2, 0.2)]) emptied.remove(charge)
    assert.isTrue(emptied.fits(0.3, 0.3, 0))
    const left = fractions()
    for (const charge of [left.book(0.1, 0.1), left.book(0.2, 0.2)]) left.send(charge, 0)
    assert.strictEqual(left.plan(0.3, 0, 10).at, 1000)
    assert.strictEqual(left.plan(0, 0.3, 10).at, 1000)
    assert.strictEqual(left.plan(0.4, 0, 10).at, Infinity)
    assert.strictEqual(left.plan(0, 0.4, 10).at, Infinity)
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

  describe("growth", () => {
    // Its ninety-sixth is 10 ms.
    const filled = (guard = 0) => {
      const ledger = new Ledger.Ledger([Meter.requests(10, "960 millis"), Meter.tokens(100, "960 millis")], guard)
      ledger.send(ledger.book(1, 60), 0)
      ledger.send(ledger.book(1, 30), 500)
      return ledger
    }
    const grows = (ledger: Ledger.Ledger, ...growth: ReadonlyArray<readonly [withinMillis: number, tokens: number]>) =>
      ledger.fits(1, 5, 700, growth.map(([withinMillis, tokens]) => ({ withinMillis, tokens })))

    it("needs room by what will have left when it comes, to a ninety-sixth of the window", () => {
      assert.isTrue(grows(filled(), [0, 5]))
      assert.isFalse(grows(filled(), [0, 6]))
      assert.isFalse(grows(filled(), [260, 6]), "what leaves then is not known to have left")
      assert.isTrue(grows(filled(), [270, 6]))
      assert.isTrue(grows(filled(), [270, 65]))
      assert.isFalse(grows(filled(), [270, 66]))
      assert.isTrue(grows(filled(), [770, 95]))
      assert.isFalse(grows(filled(), [1e6, 96]), "more than the limit")
    })

    it("leaves later by the guard", () => {
      assert.isFalse(grows(filled(100), [360, 65]))
      assert.isTrue(grows(filled(100), [370, 65]))
    })

    it("has room from the first instant at which enough will leave within its time", () => {
      const at = (withinMillis: number, tokens: number) => filled(40).plan(1, 5, 700, [{ withinMillis, tokens }]).at
      assert.strictEqual(at(100, 5), 700)
      assert.strictEqual(at(100, 6), 910)
      assert.strictEqual(at(200, 65), 810)
      assert.strictEqual(at(600, 66), 910)
      assert.strictEqual(at(0, 66), 1000, "asked again when something leaves")
      assert.strictEqual(filled(40).fits(1, 5, 909, [{ withinMillis: 100, tokens: 6 }]), false)
      assert.strictEqual(filled(40).fits(1, 5, 910, [{ withinMillis: 100, tokens: 6 }]), true)
    })

    it("needs room at each of its times", () => {
      assert.isTrue(grows(filled(), [100, 5], [300, 65], [800, 95]))
      for (const over of [0, 1, 2]) {
        const [first, second, third] = [0, 1, 2].map((step) => step === over ? 1 : 0) as [number, number, number]
        assert.isFalse(grows(filled(), [100, 5 + first], [300, 65 + second], [800, 95 + third]))
      }
    })

    it("is not booked, and asks nothing where tokens have no limit", () => {
      const ledger = filled()
      grows(ledger, [300, 65])
      assert.deepStrictEqual(ledger.levels(700).map((level) => level.used), [2, 90])
      assert.isTrue(grows(new Ledger.Ledger([Meter.requests(10)], 0), [0, 1e9]))
      assert.isFalse(new Ledger.Ledger([Meter.requests(10)], 0).fits(11, 0, 0, [{ withinMillis: 1e6, tokens: 0 }]))
    })

    it("of no amount asks no more than the request does, though sums of fractions have drifted below nothing", () => {
      const ledger = new Ledger.Ledger([Meter.tokens(1)], 0)
      const charges = [ledger.book(0, 0.7), ledger.book(0, 0.1)]
      for (const charge of charges) ledger.send(charge, 0)
      for (const charge of charges) ledger.shrink(charge, 0, 0)
      const nothing = [{ withinMillis: 0, tokens: 0 }, { withinMillis: 1e6, tokens: 0 }]
      assert.isTrue(ledger.fits(0, 1, 10, nothing))
      assert.strictEqual(ledger.plan(0, 1, 10, nothing).at, 10)
    })

    it("counts on nothing that is not sent, was taken back, or moved", () => {
      const ledger = filled()
      const [unsent, shrunk, moved] = [ledger.book(1, 1), ledger.book(1, 2), ledger.book(1, 1)]
      ledger.send(shrunk, 0)
      ledger.send(moved, 0)
      ledger.shrink(shrunk, 1, 1)
      ledger.arrive(moved, 300)
      // 93 stand in the books; 61 leave at 960, one at 1260, 30 at 1460, and one never.
      const most = (withinMillis: number) =>
        Array.from({ length: 100 }, (_, tokens) => tokens).findLast((tokens) => grows(ledger, [withinMillis, tokens]))
      assert.deepStrictEqual([0, 270, 570, 770].map(most), [2, 63, 64, 94])
      ledger.remove(unsent)
      assert.strictEqual(most(770), 95)
    })
  })

  describe("a refusal", () => {
    const refusal = (unit: Meter.Unit | undefined, ...meters: ReadonlyArray<Meter.Meter>) => {
      const ledger = new Ledger.Ledger(meters, 50)
      ledger.send(ledger.book(2, 40), 0)
      const unexplained = refused(ledger, unit, 100)
      const used = (now: number) => ledger.levels(now).map((level) => level.used)
      return { ledger, unexplained, used }
    }

    it("fills the fullest meter of its unit, which then explains the next", () => {
      const { ledger, unexplained, used } = refusal(
        "tokens",
        Meter.tokens(100, "1 second"),
        Meter.requests(4, "1 second"),
        Meter.tokens(50, "600 millis")
      )
      assert.isTrue(unexplained)
      assert.deepStrictEqual(used(100), [2, 40, 51])
      assert.isFalse(refused(ledger, "tokens", 100))
      assert.isFalse(refused(ledger, undefined, 100))
      assert.isTrue(refused(ledger, "requests", 100))
      assert.deepStrictEqual(used(100), [5, 40, 51])
    })

    it("leaves part by part within the window, in no more parts than are missing", () => {
      const { used } = refusal("requests", Meter.requests(3, "1 second"))
      assert.deepStrictEqual([100, 599, 600, 1049, 1050, 1099, 1100].map((now) => used(now)[0]), [4, 4, 3, 3, 1, 1, 0])
    })

    it("fills nothing without a unit, in an empty book, or where there is no limit", () => {
      const silent = refusal(undefined, Meter.requests(3), Meter.tokens(50))
      assert.isTrue(silent.unexplained)
      assert.deepStrictEqual(silent.used(100), [2, 40])
      assert.isTrue(refused(new Ledger.Ledger([], 0), "tokens", 0))
      const empty = new Ledger.Ledger([Meter.tokens(50)], 0)
      assert.isTrue(refused(empty, "tokens", 0))
      assert.strictEqual(empty.levels(0)[0]?.used, 0)
      const other = refusal("tokens", Meter.requests(3))
      assert.isTrue(other.unexplained)
      assert.deepStrictEqual(other.used(100), [2])
    })

    it("is explained by a debt on any meter of its unit, and by none of the other", () => {
      const { ledger, unexplained } = refusal(
        "tokens",
        Meter.tokens(100, "1 second"),
        Meter.requests(1),
        Meter.tokens(40)
      )
      assert.isTrue(unexplained, "full is no debt")
      const indebted = refusal("tokens", Meter.tokens(100, "1 second"), Meter.requests(1), Meter.tokens(39))
      assert.isFalse(indebted.unexplained)
      assert.deepStrictEqual(indebted.used(100), [40, 2, 40])
      assert.isFalse(refused(ledger, undefined, 100))
    })
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
