import { OutputPredictor } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as FullPool from "./fullPool.ts"
import { type Random, seeded } from "./random.ts"

const { begin, book, empty, end, minimumSamples, observe, predict, snapshot, windowSize } = OutputPredictor

/** Answers of the given parts of `maxTokens`, each taking 10 ms per token. */
const learned = (
  shares: Iterable<number>,
  options: { readonly maxTokens?: number; readonly level?: number } = {}
) => {
  const lengths = empty(options)
  const maxTokens = options.maxTokens ?? 1000
  for (const share of shares) {
    const outputTokens = share * maxTokens
    observe(lengths, { maxTokens, outputTokens, millis: 10 * outputTokens })
  }
  return lengths
}
const times = <A>(n: number, value: (index: number) => A): Array<A> => Array.from({ length: n }, (_, i) => value(i))
const question = { maxTokens: 1000, burndown: 5, inputTokens: 200 }

const distributions: Record<string, (random: Random) => number> = {
  "a constant": () => 0.5,
  uniform: (random) => random.between(0.125, 0.5),
  exponential: (random) => Math.min(1, -Math.log(1 - random.next()) * 0.2),
  lognormal: (random) => Math.min(1, 0.12 * Math.exp(0.8 * random.normal())),
  "heavy tailed": (random) => Math.min(1, 0.05 * Math.exp(1.5 * random.normal())),
  bimodal: (random) => random.next() < 0.9 ? random.between(0.05, 0.15) : random.between(0.8, 1),
  "rarely long": (random) => random.next() < 0.99 ? random.between(0.1, 0.2) : 1
}

describe("OutputPredictor", () => {
  describe("bounds", () => {
    it("books the worst case before it has learned", () => {
      const lengths = empty()
      assert.strictEqual(predict(lengths, question), 5200)
      for (let i = 1; i < minimumSamples; i++) observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
      assert.strictEqual(predict(lengths, question), 5200)
      assert.strictEqual(book(lengths, begin(question), { inputTokens: 200, now: 0 }), 5200)
      observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
      assert.isBelow(predict(lengths, question), 5200)
      assert.isBelow(book(lengths, begin(question), { inputTokens: 200, now: 0 }), 5200)
    })

    it("books exactly the reservation where no charge can exceed it", () => {
      const lengths = learned(times(100, () => 1))
      for (const burndown of [0.5, 1]) {
        assert.strictEqual(predict(lengths, { ...question, burndown }), 1200)
        const flight = begin({ maxTokens: 1000, burndown })
        assert.strictEqual(book(lengths, flight, { inputTokens: 200, now: 0 }), 1200)
        end(lengths, flight, { outputTokens: 10, now: 5 })
      }
      const flight = begin({ maxTokens: 0, burndown: 5 })
      assert.strictEqual(book(lengths, flight, { inputTokens: 7.5, now: 0 }), 8)
      assert.strictEqual(predict(lengths, { ...question, maxTokens: 0 }), 200)
    })

    it("learns from what it need not predict, for advice", () => {
      const lengths = empty()
      for (let i = 0; i < 40; i++) {
        const flight = begin({ maxTokens: 1000, burndown: 1 })
        book(lengths, flight, { inputTokens: 1, now: i })
        end(lengths, flight, { outputTokens: 100, now: i + 100 })
      }
      assert.strictEqual(OutputPredictor.advice(lengths)?.samples, 40)
    })

    it("answers far below the limit leave the reservation", () => {
      const lengths = learned(times(512, () => 0.05))
      assert.isAtMost(predict(lengths, { ...question, inFlight: 1000 }), 1230)
    })

    const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    it.effect.prop(
      "between the reservation and the worst case, whatever was seen",
      {
        shares: Schema.Array(Share).check(Schema.isMaxLength(100)),
        maxTokens: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200_000 })),
        input: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200_000 })),
        burndown: Schema.Literals([1, 5, 10, 15]),
        inFlight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))
      },
      ({ burndown, inFlight, input, maxTokens, shares }) =>
        Effect.sync(() => {
          const lengths = learned(shares)
          const predicted = predict(lengths, { maxTokens, burndown, inputTokens: input, inFlight })
          const booked = book(lengths, begin({ maxTokens, burndown }), { inputTokens: input, now: 0 })
          for (const tokens of [predicted, booked]) {
            assert.isTrue(Number.isInteger(tokens))
            assert.isAtLeast(tokens, input + maxTokens)
            assert.isAtMost(tokens, input + burndown * maxTokens)
          }
          assert.strictEqual(booked, predict(lengths, { maxTokens, burndown, inputTokens: input }))
        })
    )
  })

  describe("the sum over what is in flight", () => {
    for (const burndown of [5, 15]) {
      for (const [name, share] of Object.entries(distributions)) {
        it(`is covered at the stated level, burndown ${burndown}, ${name}`, () => {
          const seed = 12_345
          const random = seeded(seed)
          const level = 0.99
          for (const n of [10, 100]) {
            const rounds = 1500
            let exceeded = 0
            for (let round = 0; round < rounds; round++) {
              const lengths = learned(times(round % 2 === 0 ? minimumSamples : 200, () => share(random)), { level })
              const booked = predict(lengths, { maxTokens: 1000, burndown, inputTokens: 0, inFlight: n })
              let sum = 0
              for (let i = 0; i < n; i++) sum += Math.max(1000, burndown * 1000 * share(random))
              if (sum > n * booked + 1e-6) exceeded++
            }
            // Within 3 standard errors of 1 %.
            assert.isAtMost(exceeded / rounds, 0.0177, `n ${n}, seed ${seed}`)
          }
        })
      }
    }

    it.each(
      [
        ["a constant", 1.04],
        ["uniform", 1.11],
        ["exponential", 1.2],
        ["lognormal", 1.19],
        ["bimodal", 1.29],
        ["rarely long", 1.24]
      ] as const
    )("is booked tightly: 100 in flight, %s, at most %d × the mean", (name, most) => {
      const random = seeded(99)
      const share = distributions[name]
      assert.isDefined(share)
      const draws = times(20_000, () => Math.max(1, 5 * share(random)))
      const mean = draws.reduce((total, it) => total + it, 0) / draws.length
      let booked = 0
      for (let round = 0; round < 50; round++) {
        const lengths = learned(times(windowSize, () => share(random)), { level: 0.99 })
        booked += predict(lengths, { maxTokens: 1000, burndown: 5, inputTokens: 0, inFlight: 100 }) / 1000 / 50
      }
      assert.isAtMost(booked / mean, most)
      assert.isAtLeast(booked / mean, 1)
    })

    it("needs less margin for more in flight, and more for a higher level", () => {
      const random = seeded(3)
      const shares = times(windowSize, () => random.between(0.1, 1))
      const at = (level: number, inFlight: number) => predict(learned(shares, { level }), { ...question, inFlight })
      assert.isAbove(at(0.99, 1), at(0.99, 10))
      assert.isAbove(at(0.99, 10), at(0.99, 100))
      assert.isAbove(at(0.999, 10), at(0.99, 10))
      assert.isAbove(at(0.99, 10), at(0.9, 10))
      assert.strictEqual(predict(learned(shares), question), at(OutputPredictor.defaultLevel, 1))
    })

    it("is booked once: the first pay for the margin, later ones little more than their mean", () => {
      const random = seeded(4)
      const lengths = learned(times(windowSize, () => random.between(0.125, 0.5)), { level: 0.99 })
      const bookings = times(100, () => book(lengths, begin(question), { inputTokens: 0, now: 0 }))
      const sum = bookings.reduce((total, it) => total + it, 0)
      assert.isAbove(bookings[0] ?? 0, 2300)
      assert.isBelow(bookings[99] ?? 0, 1750)
      assert.closeTo(sum, 100 * predict(lengths, { ...question, inputTokens: 0, inFlight: 100 }), sum * 0.01)
    })

    it("is booked to the token: what n book one after another is what n need together", () => {
      for (const [level, name] of [[0.99, "rarely long"], [0.8, "bimodal"], [0.5, "lognormal"]] as const) {
        const random = seeded(6)
        const share = distributions[name] ?? (() => 1)
        const lengths = learned(times(windowSize, () => share(random)), { level })
        const flights: Array<OutputPredictor.Flight> = []
        for (let n = 1; n <= 64; n++) {
          const flight = begin(question)
          flights.push(flight)
          book(lengths, flight, { inputTokens: 0, now: 0 })
          const all = n * predict(lengths, { ...question, inputTokens: 0, inFlight: n })
          // Nobody books less than the own expectation, which is more than the sum needs where the level is low.
          assert.closeTo(snapshot(lengths).booked, Math.max(all, snapshot(lengths).expected), n + 1e-6, `${name} ${n}`)
        }
        // Half of them end: what the rest needs is still covered, and no more is asked of the next than if all were new.
        for (const flight of flights.splice(0, 32)) end(lengths, flight, { outputTokens: undefined, now: 0 })
        book(lengths, begin(question), { inputTokens: 0, now: 0 })
        const needed = 33 * predict(lengths, { ...question, inputTokens: 0, inFlight: 33 })
        assert.isAtLeast(snapshot(lengths).booked, needed - 33)
        assert.closeTo(snapshot(lengths).expected, 33 * snapshot(lengths).expected / snapshot(lengths).requests, 1e-6)
      }
    })

    it("by the definition: mean, spread, standard error and skewness", () => {
      // 16 answers at the full limit, 48 at a fifth of it, mixed, and the imaginary one: charges of 5, 1 and 5.
      const lengths = learned(times(64, (i) => i % 4 === 0 ? 1 : 0.2), { level: 0.99 })
      const z = 2.3263478740408408
      const charges = [...times(17, () => 5), ...times(48, () => 1)]
      const mean = charges.reduce((sum, it) => sum + it, 0) / 65
      const central = (power: number) => charges.reduce((sum, it) => sum + (it - mean) ** power, 0)
      const variance = central(2) / 64 * (1 + (z * z + 1) / (4 * 65)) ** 2
      const third = central(3) / 65
      for (const n of [7, 40]) {
        const needed = n * mean + z * Math.sqrt(n * variance + n * n * variance / 65) +
          third / variance * (z * z - 1) / 6
        assert.strictEqual(
          predict(lengths, { ...question, inputTokens: 0, inFlight: n }),
          Math.ceil(1000 * Math.min(5, needed / n))
        )
      }
    })

    it("asking again books anew, and not twice", () => {
      const random = seeded(4)
      const lengths = learned(times(windowSize, () => random.between(0.125, 0.5)))
      const flight = begin(question)
      const first = book(lengths, flight, { inputTokens: 0, now: 0 })
      assert.strictEqual(book(lengths, flight, { inputTokens: 0, now: 0 }), first)
      assert.strictEqual(book(lengths, flight, { inputTokens: 100, now: 60_000 }), first + 100)
      assert.strictEqual(snapshot(lengths).requests, 1)
      end(lengths, flight, { outputTokens: undefined, now: 60_000 })
      assert.strictEqual(book(lengths, begin(question), { inputTokens: 0, now: 60_000 }), first)
    })

    it("ending twice, or before it was ever booked, changes nothing", () => {
      const lengths = learned(times(100, () => 0.5))
      const flight = begin(question)
      end(lengths, flight, { outputTokens: undefined, now: 0 })
      book(lengths, flight, { inputTokens: 0, now: 0 })
      end(lengths, flight, { outputTokens: undefined, now: 1 })
      end(lengths, flight, { outputTokens: undefined, now: 1 })
      const { booked, expected, requests, samples, worst } = snapshot(lengths)
      assert.deepStrictEqual([requests, samples], [0, 100])
      for (const sum of [booked, expected, worst]) assert.closeTo(sum, 0, 1e-6)
    })

    const Step = Schema.Struct({
      what: Schema.Literals(["book", "end", "abandon", "rebook"]),
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })),
      maxTokens: Schema.Literals([10, 1000, 1024, 50_000]),
      share: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
      after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5000 }))
    })
    it.effect.prop(
      "is in the books as it is in flight, after any calls in any order",
      [Schema.Array(Step).check(Schema.isMaxLength(300)), Schema.Boolean],
      ([steps, experienced]) =>
        Effect.sync(() => {
          const lengths = learned(experienced ? times(60, (i) => (i % 10) / 10) : [])
          const flights: Array<{ readonly flight: OutputPredictor.Flight; booked: number }> = []
          let now = 0
          const ask = (flight: OutputPredictor.Flight): number => {
            const booked = book(lengths, flight, { inputTokens: 0, now })
            const all = snapshot(lengths)
            assert.isAtLeast(booked, flight.maxTokens)
            // Safety: what is booked covers what is expected of all. Tightness: and never more than they can come to.
            assert.isAtLeast(all.booked, all.expected - 1e-3)
            assert.isAtMost(booked, all.worst + 1)
            return booked
          }
          for (const { after, maxTokens, share, what, which } of steps) {
            now += after
            const chosen = flights[which % Math.max(1, flights.length)]
            if (what === "book" || chosen === undefined) {
              const flight = begin({ maxTokens, burndown: 5 })
              flights.push({ flight, booked: ask(flight) })
            } else if (what === "rebook") chosen.booked = ask(chosen.flight)
            else {
              const outputTokens = what === "end" ? Math.floor(share * maxTokens) : undefined
              end(lengths, chosen.flight, { outputTokens, now })
              flights.splice(flights.indexOf(chosen), 1)
            }
            const { booked, requests, worst } = snapshot(lengths)
            assert.strictEqual(requests, flights.length)
            assert.closeTo(worst, flights.reduce((total, it) => total + 5 * it.flight.maxTokens, 0), 1e-3)
            // Each is rounded up.
            assert.closeTo(booked, flights.reduce((total, it) => total + it.booked, 0), flights.length + 1e-3)
          }
        })
    )
  })

  describe("age", () => {
    /** Nine in ten answers are short and take a second, one is as long as it may be and takes ten. */
    const twoKinds = () => learned(times(500, (i) => i % 10 === 0 ? 1 : 0.1))
    const booked = (ages: ReadonlyArray<number>) => {
      const lengths = twoKinds()
      for (const age of ages) book(lengths, begin(question), { inputTokens: 0, now: 10_000 - age })
      return book(lengths, begin(question), { inputTokens: 0, now: 10_000 })
    }

    it("makes those that are still in flight the long ones", () => {
      const young = booked(times(50, () => 0))
      assert.isBelow(young, 1600)
      // Booked at 1.4 and a margin, but 5 is what those over a second will take: the next pays the difference.
      const old = booked(times(50, () => 5000))
      assert.closeTo(old, 50 * (5000 - 1700), 15_000)
      assert.isAtMost(booked(times(50, () => 900)), young + 200)
    })

    it("beyond all answers is the worst case", () => {
      const lengths = learned(times(500, () => 0.3))
      book(lengths, begin(question), { inputTokens: 0, now: 0 })
      const usual = book(lengths, begin(question), { inputTokens: 0, now: 0 })
      assert.isBelow(usual, 1700)
      // 300 tokens took 3 seconds; two that have run for 60 are missing 3,500 each.
      assert.closeTo(book(lengths, begin(question), { inputTokens: 0, now: 60_000 }), 1500 + 2 * 3400, 400)
    })

    it("does not matter where durations tell nothing of lengths", () => {
      const lengths = empty()
      const random = seeded(8)
      for (let i = 0; i < 500; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 1000 * random.between(0.1, 0.5), millis: 4000 })
      }
      const first = times(100, () => book(lengths, begin(question), { inputTokens: 0, now: 0 }))
      const later = book(lengths, begin(question), { inputTokens: 0, now: 3900 })
      assert.closeTo(later, first[99] ?? 0, 20)
    })

    it("counts per maxTokens: a large request takes its time", () => {
      const lengths = empty()
      for (let i = 0; i < 200; i++) {
        for (const maxTokens of [1000, 4000]) {
          const outputTokens = maxTokens * (i % 10 === 0 ? 1 : 0.1)
          observe(lengths, { maxTokens, outputTokens, millis: 10 * outputTokens })
        }
      }
      const next = (maxTokens: number) => {
        const flights = [begin({ maxTokens, burndown: 5 }), begin(question)]
        const bookings = flights.map((flight, index) => book(lengths, flight, { inputTokens: 0, now: 3000 * index }))
        for (const flight of flights) end(lengths, flight, { outputTokens: undefined, now: 3000 })
        return bookings[1] ?? 0
      }
      assert.isAbove(next(1000), 3000)
      assert.isBelow(next(4000), 2600)
    })
  })

  describe("what is in flight is assessed anew", () => {
    const many = (answers: ReadonlyArray<number>, n = 80) => {
      const lengths = learned(answers)
      const flights = times(n, () => begin(question))
      for (const flight of flights) book(lengths, flight, { inputTokens: 0, now: 0 })
      return { lengths, flights }
    }
    const teach = (lengths: OutputPredictor.Lengths) => {
      for (let i = 0; i < 40; i++) observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 8000 })
    }

    it("after an eighth of it has ended", () => {
      const { flights, lengths } = many([])
      teach(lengths)
      assert.strictEqual(snapshot(lengths).expected, 80 * 5000)
      for (const flight of flights.slice(0, 20)) end(lengths, flight, { outputTokens: undefined, now: 0 })
      book(lengths, begin(question), { inputTokens: 0, now: 0 })
      assert.isBelow(snapshot(lengths).expected, 61 * 1500)
    })

    it("after an eighth of it is new", () => {
      const { lengths } = many([])
      teach(lengths)
      for (let i = 0; i < 30; i++) book(lengths, begin(question), { inputTokens: 0, now: 0 })
      assert.isBelow(snapshot(lengths).expected, 110 * 1500)
    })

    it("after an eighth of the time of an answer", () => {
      const answers = times(40, () => 0.8)
      const aged = (now: number) => {
        const { lengths } = many(answers)
        book(lengths, begin(question), { inputTokens: 0, now: 0 })
        const before = snapshot(lengths).expected
        book(lengths, begin(question), { inputTokens: 0, now })
        return snapshot(lengths).expected / before
      }
      // 800 tokens took 8 s. Older than that is at its worst case.
      assert.isAbove(aged(20_000), 1.15)
      assert.isBelow(aged(1100), 1.05)
    })

    it("by the time from booking to end", () => {
      const lengths = empty()
      for (let i = 0; i < 40; i++) {
        const flight = begin(question)
        book(lengths, flight, { inputTokens: 0, now: 1_000_000 + i })
        end(lengths, flight, { outputTokens: 300, now: 1_003_000 + i })
      }
      book(lengths, begin(question), { inputTokens: 0, now: 2_000_000 })
      const expected = (now: number) => {
        const next = begin(question)
        book(lengths, next, { inputTokens: 0, now })
        const { expected } = snapshot(lengths)
        end(lengths, next, { outputTokens: undefined, now })
        return expected
      }
      const fresh = expected(2_000_000)
      assert.closeTo(expected(2_002_900), fresh, 100)
      // 4 s are beyond all answers.
      assert.isAbove(expected(2_004_000), fresh + 3000)
    })
  })

  describe("sizes", () => {
    it("ratios of like requests count, however many others there are", () => {
      const lengths = empty()
      for (let i = 0; i < 256; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 300, millis: 3000 })
        observe(lengths, { maxTokens: 16_000, outputTokens: 16_000, millis: 3000 })
      }
      assert.isBelow(predict(lengths, { ...question, inputTokens: 0, inFlight: 1000 }), 1600)
      assert.isAbove(predict(lengths, { ...question, inputTokens: 0, maxTokens: 16_000, inFlight: 1000 }), 79_000)
    })

    it("with too few like it, the larger of ratio and length is taken", () => {
      const small = learned(times(100, () => 0.4), { maxTokens: 1000 })
      // Larger than all that was seen: by ratio.
      assert.closeTo(
        predict(small, { ...question, inputTokens: 0, maxTokens: 8000, inFlight: 1e6 }),
        8000 * 2.03,
        8000 * 0.1
      )
      const large = learned(times(100, () => 0.1), { maxTokens: 8000 })
      // Smaller: 800 tokens as they are, and no more than it may write.
      assert.closeTo(
        predict(large, { ...question, inputTokens: 0, maxTokens: 1000, inFlight: 1e6 }),
        5 * 800,
        300
      )
      assert.closeTo(predict(large, { ...question, inputTokens: 0, maxTokens: 500, inFlight: 1e6 }), 2500, 1)
    })

    it("borrows from the next sizes first", () => {
      const lengths = empty()
      for (let i = 0; i < 100; i++) {
        observe(lengths, { maxTokens: 500, outputTokens: 150, millis: 1500 })
        observe(lengths, { maxTokens: 64_000, outputTokens: 64_000, millis: 1500 })
      }
      assert.isBelow(predict(lengths, { ...question, inputTokens: 0, inFlight: 1000 }), 1700)
    })
  })

  describe("change", () => {
    it("longer answers decide at once", () => {
      const random = seeded(21)
      const lengths = learned(times(windowSize, () => random.between(0.1, 0.3)))
      const at = () => predict(lengths, { ...question, inputTokens: 0, inFlight: 50 })
      assert.isBelow(at(), 1250)
      for (let i = 0; i < 17; i++) observe(lengths, { maxTokens: 1000, outputTokens: 700, millis: 7000 })
      assert.isAbove(at(), 3400)
    })

    it("somewhat longer ones too, after a few more", () => {
      const random = seeded(22)
      const lengths = learned(times(windowSize, () => random.between(0.2, 0.6)))
      const at = () => predict(lengths, { ...question, inputTokens: 0, inFlight: 1e6 })
      const before = at()
      for (let i = 0; i < 80; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 1000 * random.between(0.32, 0.72), millis: 5000 })
      }
      assert.isAbove(at(), before + 400)
    })

    it("shorter ones decide when they are most of the newest 128", () => {
      const random = seeded(23)
      const lengths = learned(times(windowSize, () => random.between(0.5, 0.9)))
      const at = () => predict(lengths, { ...question, inputTokens: 0, inFlight: 1e6 })
      assert.isAbove(at(), 3500)
      for (let i = 0; i < 17; i++) observe(lengths, { maxTokens: 1000, outputTokens: 250, millis: 2500 })
      assert.isAbove(at(), 3300)
      for (let i = 0; i < 140; i++) observe(lengths, { maxTokens: 1000, outputTokens: 250, millis: 2500 })
      assert.isBelow(at(), 1400)
    })

    it("is not seen where there is none", () => {
      for (const [name, share] of Object.entries(distributions)) {
        const random = seeded(31)
        const lengths = learned(times(windowSize, () => share(random)))
        const at = () => predict(lengths, { ...question, inputTokens: 0, inFlight: 1e6 })
        const seen = times(200, () => {
          for (let i = 0; i < 20; i++) {
            observe(lengths, { maxTokens: 1000, outputTokens: 1000 * share(random), millis: 1000 })
          }
          return at()
        }).sort((a, b) => a - b)
        assert.isBelow((seen[195] ?? 0) / (seen[100] ?? 1), 1.25, name)
      }
    })

    it("forgets what is older than the window", () => {
      const lengths = learned(times(2 * windowSize, (i) => i < windowSize ? 1 : 0.3))
      assert.isBelow(predict(lengths, { ...question, inputTokens: 0, inFlight: 1e6 }), 1520)
    })

    it("ignores answers that say nothing", () => {
      const lengths = empty()
      for (
        const [maxTokens, outputTokens] of [[0, 5], [-1, 5], [10, -1], [10, Number.NaN], [Number.NaN, 5]] as const
      ) observe(lengths, { maxTokens, outputTokens, millis: 10 })
      assert.strictEqual(snapshot(lengths).samples, 0)
      observe(lengths, { maxTokens: 10, outputTokens: 0, millis: -5 })
      assert.strictEqual(snapshot(lengths).samples, 1)
    })
  })

  describe("a full pool, with charges during generation or in the end", () => {
    const shares = [["uniform", 1.2], ["lognormal", 1.35], ["bimodal", 1.45]] as const
    for (const [name, most] of shares) {
      const share = distributions[name] ?? (() => 1)
      for (const latency of ["by-length", "alike"] as const) {
        // A second peak that arrives all at once is what the level does not cover.
        const throttled = name === "bimodal" && latency === "alike" ? 0.005 : 0
        it(`${name}, latency ${latency}: at most ${throttled * 100} % are throttled, and little is idle`, () => {
          for (const [limit, requests] of [[100_000, 600], [1_000_000, 4000]] as const) {
            for (const charged of ["during", "end"] as const) {
              const setup = { seed: 7, requests, limit, burndown: 5, share, latency, charged }
              const outcome = FullPool.run(setup)
              assert.isAtMost(outcome.throttled, throttled * requests)
              assert.isAtMost(outcome.slowness, most)
            }
          }
        })
      }
    }

    it("where booking the reservation throttles, and the worst case is slower", () => {
      const setup = {
        seed: 7,
        requests: 600,
        limit: 100_000,
        burndown: 5,
        share: distributions["lognormal"] ?? (() => 1),
        latency: "by-length",
        charged: "during"
      } as const
      assert.isAbove(FullPool.run({ ...setup, book: "reservation" }).throttled, 10)
      const worst = FullPool.run({ ...setup, book: "worst" })
      const predicted = FullPool.run(setup)
      assert.strictEqual(worst.throttled, 0)
      assert.isBelow(predicted.slowness, worst.slowness * 0.95)
    })
  })

  describe("advice", () => {
    it("is none before there are enough answers, or where nothing was written", () => {
      assert.isUndefined(OutputPredictor.advice(learned(times(minimumSamples - 1, () => 0.5))))
      assert.isUndefined(OutputPredictor.advice(learned(times(100, () => 0))))
    })

    it("says what the answers support", () => {
      const lengths = learned(times(100, (i) => (i + 1) / 200))
      assert.deepStrictEqual(OutputPredictor.advice(lengths), {
        samples: 100,
        median: 255,
        p99: 500,
        largest: 500,
        truncated: 0,
        reservedPerUsed: 100_000 / 25_250,
        maxTokens: 600
      })
    })

    it("tells how many were cut off", () => {
      const advice = OutputPredictor.advice(learned(times(100, (i) => i < 25 ? 1 : 0.1)))
      assert.strictEqual(advice?.truncated, 0.25)
      assert.strictEqual(advice?.largest, 1000)
      assert.strictEqual(advice?.median, 100)
    })

    it("rests on the window alone", () => {
      const advice = OutputPredictor.advice(learned(times(2 * windowSize, (i) => i < windowSize ? 1 : 0.1)))
      assert.strictEqual(advice?.samples, windowSize)
      assert.strictEqual(advice?.largest, 100)
    })
  })
})
