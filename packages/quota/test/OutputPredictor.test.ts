import { OutputPredictor } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Random, seeded } from "./random.ts"

const { begin, empty, end, expected, growth, minimumSamples, most, observe, snapshot, windowSize } = OutputPredictor

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
const sumOf = (values: ReadonlyArray<number>): number => values.reduce((sum, it) => sum + it, 0)
const question = { maxTokens: 1000, burndown: 5 }
type Request = typeof question

/** One more in flight, and what all grow by in the end. */
const ask = (lengths: OutputPredictor.Lengths, now: number, request: Request = question): number =>
  growth(lengths, begin(request), now).at(-1)?.tokens ?? 0

/** What so many new requests together may grow by in the end, beside what is in flight. They end again, untold. */
const together = (lengths: OutputPredictor.Lengths, n: number, request: Request = question): number => {
  const flights = times(n, () => begin(request))
  const tokens = flights.map((flight) => growth(lengths, flight, 0).at(-1)?.tokens ?? 0)
  for (const flight of flights) end(lengths, flight, { outputTokens: undefined, now: 0 })
  return tokens.at(-1) ?? 0
}

/** What a new request is expected to grow by in the end. */
const mean = (lengths: OutputPredictor.Lengths, request: Request = question): number => {
  const flight = begin(request)
  growth(lengths, flight, 0)
  const tokens = expected(flight)
  end(lengths, flight, { outputTokens: undefined, now: 0 })
  return tokens
}

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
  describe("at most", () => {
    const at = (lengths: OutputPredictor.Lengths, maxTokens = 1000, burndown = 5) =>
      most(lengths, begin({ maxTokens, burndown }))

    it("is the worst case before it has learned, and nothing where output costs no more than it reserves", () => {
      assert.strictEqual(at(empty()), 4000)
      assert.strictEqual(at(learned(times(minimumSamples - 1, () => 0.1))), 4000)
      for (const burndown of [0, 0.5, 1]) assert.strictEqual(at(empty(), 1000, burndown), 0)
      assert.strictEqual(at(empty(), 7, 1.5), 4)
    })

    it("is that of the longest answer that is remembered", () => {
      const shares = times(minimumSamples, (i) => i === 3 ? 0.3 : 0.1)
      const lengths = learned(shares)
      assert.strictEqual(at(lengths), 500)
      // As long, whatever may be asked for: within the reservation, or all of it.
      assert.strictEqual(at(lengths, 10_000), 0)
      assert.strictEqual(at(lengths, 200), 800)
      for (let i = 0; i < windowSize; i++) observe(lengths, { maxTokens: 1000, outputTokens: 250, millis: 10 })
      assert.strictEqual(at(lengths), 250)
    })

    it("is the worst case where an answer was cut off", () => {
      const lengths = learned(times(minimumSamples, (i) => i === 3 ? 1 : 0.1))
      assert.strictEqual(at(lengths), 4000)
      assert.strictEqual(at(lengths, 64_000), 4 * 64_000)
    })
  })

  describe("bounds", () => {
    it("is the worst case of all in flight, at once, before it has learned, and none for one alone", () => {
      const lengths = empty()
      const first = begin(question)
      assert.deepStrictEqual(growth(lengths, first, 0), [])
      assert.deepStrictEqual(growth(lengths, first, 1), [])
      assert.strictEqual(expected(first), 4000)
      for (let i = 2; i <= minimumSamples; i++) {
        assert.deepStrictEqual(growth(lengths, begin(question), i), [{ withinMillis: 0, tokens: 4000 * i }])
        observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
      }
      const another = begin({ maxTokens: 10, burndown: 1.25 })
      assert.deepStrictEqual(growth(lengths, another, 50), [{ withinMillis: 0, tokens: 4000 * minimumSamples + 3 }])
      assert.strictEqual(expected(another), 3)
      assert.strictEqual(mean(lengths), 4000)
      observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
      assert.isBelow(mean(lengths), 400)
      // Now age counts too: those in flight are assessed anew, by all that is known.
      assert.strictEqual(growth(lengths, begin(question), 200).length, 5)
      assert.isBelow(snapshot(lengths).expected, 400 * (minimumSamples + 2))
      assert.strictEqual(OutputPredictor.advice(lengths)?.samples, minimumSamples)
    })

    it("is none where no charge can exceed its reservation", () => {
      const lengths = learned(times(100, () => 1))
      for (
        const request of [
          { maxTokens: 1000, burndown: 0.5 },
          { maxTokens: 1000, burndown: 1 },
          { maxTokens: 0, burndown: 5 },
          { maxTokens: -1, burndown: 5 },
          { maxTokens: Number.NaN, burndown: 5 },
          { maxTokens: 1000, burndown: Number.NaN }
        ]
      ) {
        const flight = begin(request)
        assert.deepStrictEqual(growth(lengths, flight, 0), [])
        assert.strictEqual(expected(flight), 0)
        assert.strictEqual(snapshot(lengths).requests, 0)
        end(lengths, flight, { outputTokens: undefined, now: 5 })
      }
      // What others grow by is not theirs to wait for.
      ask(lengths, 0)
      assert.deepStrictEqual(growth(lengths, begin({ maxTokens: 1000, burndown: 1 }), 0), [])
      assert.strictEqual(snapshot(lengths).requests, 1)
    })

    it("learns from what it need not foresee, for advice", () => {
      const lengths = empty()
      for (let i = 0; i < 40; i++) {
        const flight = begin({ maxTokens: 1000, burndown: 1 })
        growth(lengths, flight, i)
        end(lengths, flight, { outputTokens: 100, now: i + 100 })
      }
      assert.strictEqual(OutputPredictor.advice(lengths)?.samples, 40)
      // 0.1 s: after the longest of them is the worst case.
      const first = begin(question)
      growth(lengths, first, 1000)
      ask(lengths, 1099)
      assert.isBelow(expected(first), 200)
      ask(lengths, 1150)
      assert.strictEqual(expected(first), 4000)
    })

    it("answers far below the limit grow by next to nothing", () => {
      assert.isAtMost(together(learned(times(512, () => 0.05)), 1000), 1000 * 30)
    })

    const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    it.effect.prop(
      "between nothing and the worst case, in order of time, and no earlier step expects more, whatever was seen",
      {
        shares: Schema.Array(Share).check(Schema.isMaxLength(100)),
        maxTokens: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200_000 })),
        burndown: Schema.Literals([1.5, 5, 10, 15]),
        level: Schema.Literals([0.5, 0.8, 0.99]),
        inFlight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })),
        every: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3000 }))
      },
      ({ burndown, every, inFlight, level, maxTokens, shares }) =>
        Effect.sync(() => {
          const lengths = learned(shares, { level })
          const flights = times(inFlight, () => begin({ maxTokens, burndown }))
          flights.forEach((flight, index) => {
            const steps = growth(lengths, flight, every * index)
            const worst = (index + 1) * (burndown - 1) * maxTokens
            assert.strictEqual(steps.length === 0, index === 0 && shares.length < minimumSamples)
            steps.forEach(({ tokens, withinMillis }, step) => {
              assert.isTrue(Number.isInteger(tokens))
              assert.isAtLeast(tokens, 0)
              assert.isAtMost(tokens, worst + 1)
              if (step > 0) assert.isAbove(withinMillis, (steps[step - 1]?.withinMillis ?? 0) - 1e-9)
            })
            // Where the margin is nothing but what skewness takes away at most, the steps are their means.
            if (level === 0.5 && steps.length > 0) {
              assert.isAtLeast(
                steps.at(-1)?.tokens ?? 0,
                snapshot(lengths).expected - 0.17 * (burndown - 1) * maxTokens
              )
            }
            assert.isAtMost(snapshot(lengths).expected, worst * (1 + 1e-9))
          })
        })
    )
  })

  describe("until several times from now", () => {
    /** 0.5 of the limit in 5 s, but for the imaginary one. At this level z is 1, and skewness changes nothing. */
    const steady = () => learned(times(windowSize, () => 0.5), { level: 0.8413447460685429 })
    /** Growth by 1.5 per token, in 1 of 513 by 4, and the spread that this makes. */
    const grown = (...parts: ReadonlyArray<number>) =>
      sumOf(parts) * 1505 + 110 * Math.sqrt(sumOf(parts.map((part) => part ** 2)))
    const assertSteps = (steps: ReadonlyArray<{ readonly tokens: number }>, expected: ReadonlyArray<number>) => {
      assert.strictEqual(steps.length, expected.length)
      // The middle of a duration's bucket is up to 9 % from it.
      steps.forEach(({ tokens }, step) => assert.closeTo(tokens, expected[step] ?? 0, 0.1 * (expected[step] ?? 0)))
    }

    it("nothing has grown at once, and all in twice the time of an answer", () => {
      const steps = growth(steady(), begin(question), 0)
      assert.deepStrictEqual(steps.map((it) => it.withinMillis), [0, 1250, 2500, 5000, 10_000])
      assertSteps(steps, [0, grown(0.25), grown(0.5), grown(1), grown(1)])
    })

    it("what has run for a while has grown", () => {
      const lengths = steady()
      growth(lengths, begin(question), 0)
      growth(lengths, begin(question), 0)
      const steps = growth(lengths, begin(question), 2500)
      assertSteps(steps, [
        grown(0.5, 0.5),
        grown(0.75, 0.75, 0.25),
        grown(1, 1, 0.5),
        grown(1, 1, 1),
        grown(1, 1, 1)
      ])
    })

    it("a fresh one has the spread of its parts as its margin", () => {
      const random = seeded(11)
      const lengths = learned(times(windowSize, () => random.between(0.2, 1)), { level: 0.99 })
      const steps = growth(lengths, begin(question), 0).map((it) => it.tokens)
      assert.strictEqual(steps[0], 0)
      steps.forEach((tokens, step) => assert.isAtLeast(tokens, steps[step - 1] ?? 0))
      assert.isAbove(steps.at(-1) ?? 0, mean(lengths) + 2 * 800)
    })

    it("the steps are of the durations as they are now", () => {
      const lengths = steady()
      for (let i = 0; i < 2000; i++) observe(lengths, { maxTokens: 1000, outputTokens: 500, millis: 800 })
      const steps = growth(lengths, begin(question), 0)
      const within = steps.map((it) => it.withinMillis)
      ;[0, 200, 400, 800, 1600].forEach((millis, step) => assert.closeTo(within[step] ?? 0, millis, 1e-6))
    })
  })

  describe("the sum over what is in flight", () => {
    for (const burndown of [5, 15]) {
      for (const [name, share] of Object.entries(distributions)) {
        it(`is covered at the stated level in the end, burndown ${burndown}, ${name}`, { tags: "statistics" }, () => {
          const seed = 12_345
          const random = seeded(seed)
          const level = 0.99
          for (const n of [10, 100]) {
            const rounds = 1500
            let exceeded = 0
            for (let round = 0; round < rounds; round++) {
              const lengths = learned(times(round % 2 === 0 ? minimumSamples : 200, () => share(random)), { level })
              const foreseen = together(lengths, n, { maxTokens: 1000, burndown })
              let sum = 0
              for (let i = 0; i < n; i++) sum += Math.max(0, burndown * 1000 * share(random) - 1000)
              if (sum > foreseen + 1e-6) exceeded++
            }
            // Within 3 standard errors of 1 %.
            assert.isAtMost(exceeded / rounds, 0.0177, `n ${n}, seed ${seed}`)
          }
        })
      }
    }

    describe("is covered at the stated level at each time, with any ages", { tags: "statistics" }, () => {
      const level = 0.9
      const burndown = 5
      // All are older than an eighth of an answer's time, and so assessed when the last one asks.
      const youngest = 1500
      /** What has been charged beyond the reservation by when, in tokens, of all that it grows by. */
      const servers = {
        evenly: (output: number, part: number) => Math.max(0, burndown * output - 1000) * part,
        "as it is generated": (output: number, part: number) => Math.max(0, burndown * output * part - 1000),
        "in the end": (output: number, part: number) => part < 1 ? 0 : Math.max(0, burndown * output - 1000)
      }
      const durations: Record<string, (random: Random, output: number) => number> = {
        "by length": (random, output) => 300 + 10 * output * random.between(0.8, 1.2),
        alike: (random) => 8000 * random.between(0.5, 1.5)
      }
      for (const [kind, duration] of Object.entries(durations)) {
        for (const [name, share] of Object.entries(distributions)) {
          it(`${name}, durations ${kind}`, () => {
            const random = seeded(77)
            const draw = () => {
              const output = 1000 * share(random)
              return { output, lasts: duration(random, output) }
            }
            const rounds = 500
            const n = 30
            const exceeded: Record<string, Array<number>> = {}
            for (let round = 0; round < rounds; round++) {
              const lengths = empty({ level })
              for (let i = 0; i < windowSize; i++) {
                const { lasts, output } = draw()
                observe(lengths, { maxTokens: 1000, outputTokens: output, millis: lasts })
              }
              const flights: Array<{ readonly output: number; readonly lasts: number; readonly age: number }> = []
              while (flights.length < n) {
                const age = random.between(youngest, 12_000)
                const one = draw()
                if (one.lasts > age) flights.push({ ...one, age })
              }
              flights.sort((a, b) => b.age - a.age)
              const now = 20_000
              for (const { age } of flights) growth(lengths, begin(question), now - age)
              const fresh = { ...draw(), age: 0 }
              const steps = growth(lengths, begin(question), now)
              for (const [server, charged] of Object.entries(servers)) {
                const counts = exceeded[server] ??= times(steps.length, () => 0)
                steps.forEach(({ tokens, withinMillis }, step) => {
                  const by = step === steps.length - 1 ? Infinity : withinMillis
                  const sum = sumOf(
                    [...flights, fresh].map((it) => charged(it.output, Math.min(1, (it.age + by) / it.lasts)))
                  )
                  if (sum > tokens) counts[step] = (counts[step] ?? 0) + 1
                })
              }
            }
            const most = 1 - level + 3 * Math.sqrt(level * (1 - level) / rounds)
            for (const [server, counts] of Object.entries(exceeded)) {
              // What grows evenly has no slack for durations that are known to a fourth of an octave.
              const slack = server === "evenly" ? 0.02 : 0
              counts.forEach((count, step) => assert.isAtMost(count / rounds, most + slack, `${server}, step ${step}`))
            }
          })
        }
      }
    })

    it.each(
      [
        ["a constant", 1.04],
        ["uniform", 1.11],
        ["exponential", 1.2],
        ["lognormal", 1.19],
        ["bimodal", 1.29],
        ["rarely long", 1.24]
      ] as const
    )("is foreseen tightly: 100 in flight, %s, at most %d × the mean charge", (name, most) => {
      const random = seeded(99)
      const share = distributions[name]
      assert.isDefined(share)
      const mean = sumOf(times(20_000, () => Math.max(1, 5 * share(random)))) / 20_000
      let charged = 0
      for (let round = 0; round < 50; round++) {
        const lengths = learned(times(windowSize, () => share(random)), { level: 0.99 })
        charged += (1 + together(lengths, 100) / 100 / 1000) / 50
      }
      assert.isAtMost(charged / mean, most)
      assert.isAtLeast(charged / mean, 1)
    })

    it("needs less margin for more in flight, and more for a higher level", () => {
      const random = seeded(3)
      const shares = times(windowSize, () => random.between(0.1, 1))
      const at = (level: number, inFlight: number) => together(learned(shares, { level }), inFlight) / inFlight
      assert.isAbove(at(0.99, 1), at(0.99, 10))
      assert.isAbove(at(0.99, 10), at(0.99, 100))
      assert.isAbove(at(0.999, 10), at(0.99, 10))
      assert.isAbove(at(0.99, 10), at(0.9, 10))
      assert.strictEqual(together(learned(shares), 1), at(OutputPredictor.defaultLevel, 1))
    })

    it("by the definition: mean, spread, standard error and skewness", () => {
      // 16 answers at the full limit, 48 at a fifth of it, mixed, and the imaginary one: growth by 4, 0 and 4.
      const shares = times(64, (i) => i % 4 === 0 ? 1 : 0.2)
      const grown = [...times(17, () => 4), ...times(48, () => 0)]
      const mean = sumOf(grown) / 65
      const central = (power: number) => sumOf(grown.map((it) => (it - mean) ** power))
      for (const [level, z] of [[0.99, 2.3263478740408408], [0.8, 0.8416212335729143]] as const) {
        const variance = central(2) / 64 * (1 + (z * z + 1) / (4 * 65)) ** 2
        const third = central(3) / 65
        for (const n of [1, 7, 40]) {
          const needed = n * mean + z * Math.sqrt(n * variance + n * n * variance / 65) +
            third / variance * (z * z - 1) / 6
          assert.closeTo(together(learned(shares, { level }), n), 1000 * Math.min(4 * n, needed), 1)
        }
      }
    })

    it("rare short answers take nothing off for their skewness", () => {
      const lengths = learned(times(64, (i) => i % 4 === 0 ? 0.2 : 0.6), { level: 0.99 })
      const z = 2.3263478740408408
      const grown = [...times(48, () => 2), ...times(16, () => 0), 4]
      const mean = sumOf(grown) / 65
      const variance = sumOf(grown.map((it) => (it - mean) ** 2)) / 64 * (1 + (z * z + 1) / (4 * 65)) ** 2
      assert.isBelow(sumOf(grown.map((it) => (it - mean) ** 3)), 0)
      assert.closeTo(together(lengths, 10), 1000 * (10 * mean + z * Math.sqrt(10 * variance + 100 * variance / 65)), 1)
    })

    it("asked again while it waits, the last time counts, and it counts once", () => {
      const random = seeded(4)
      const lengths = learned(times(windowSize, () => random.between(0.125, 0.5)))
      const flight = begin(question)
      const first = growth(lengths, flight, 0)
      assert.deepStrictEqual(growth(lengths, flight, 0), first)
      assert.deepStrictEqual(growth(lengths, flight, 60_000), first)
      assert.strictEqual(snapshot(lengths).requests, 1)
      assert.strictEqual(snapshot(lengths).worst, 4000)
      end(lengths, flight, { outputTokens: undefined, now: 60_000 })
      assert.deepStrictEqual(growth(lengths, begin(question), 60_000), first)
    })

    it("asking a hundred times over leaves the others as they were", () => {
      const random = seeded(5)
      const lengths = learned(times(windowSize, () => random.between(0.125, 1)))
      for (let i = 0; i < 40; i++) ask(lengths, 0)
      const waiting = begin(question)
      const first = growth(lengths, waiting, 0)
      for (let i = 0; i < 100; i++) assert.deepStrictEqual(growth(lengths, waiting, 0), first)
      assert.strictEqual(snapshot(lengths).requests, 41)
    })

    it("ending twice, or before it ever asked, changes nothing", () => {
      const lengths = learned(times(100, () => 0.5))
      const flight = begin(question)
      end(lengths, flight, { outputTokens: undefined, now: 0 })
      assert.strictEqual(expected(flight), 0)
      growth(lengths, flight, 0)
      assert.isAbove(expected(flight), 1500)
      end(lengths, flight, { outputTokens: undefined, now: 1 })
      end(lengths, flight, { outputTokens: undefined, now: 1 })
      assert.strictEqual(expected(flight), 0)
      const all = snapshot(lengths)
      assert.deepStrictEqual([all.requests, all.samples], [0, 100])
      for (const sum of [all.expected, all.worst]) assert.closeTo(sum, 0, 1e-6)
    })

    it("what rounding leaves of those that have ended is no margin", () => {
      const random = seeded(6)
      const lengths = learned(times(windowSize, () => random.next() ** 3), { level: 0.999 })
      const old = times(10, (index) => begin({ maxTokens: 1000 + 7 * index, burndown: 5 }))
      old.forEach((flight, index) => growth(lengths, flight, 137 * index))
      // All of the same time, so that none is assessed anew: new ones have not grown yet.
      for (let i = 0; i < 100; i++) ask(lengths, 1300)
      for (const flight of old) end(lengths, flight, { outputTokens: undefined, now: 1300 })
      assert.isAtMost(growth(lengths, begin(question), 1300)[0]?.tokens ?? 0, 1)
    })

    const Step = Schema.Struct({
      what: Schema.Literals(["ask", "end", "abandon", "ask again"]),
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })),
      maxTokens: Schema.Literals([10, 1000, 1024, 50_000]),
      share: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
      after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5000 }))
    })
    it.effect.prop(
      "is of what is in flight, after any calls in any order",
      [Schema.Array(Step).check(Schema.isMaxLength(300)), Schema.Boolean],
      ([steps, experienced]) =>
        Effect.sync(() => {
          const lengths = learned(experienced ? times(60, (i) => (i % 10) / 10) : [])
          const flights: Array<OutputPredictor.Flight> = []
          let now = 0
          const foresee = (flight: OutputPredictor.Flight) => {
            const steps = growth(lengths, flight, now)
            const all = snapshot(lengths)
            assert.isAtMost(steps.at(-1)?.tokens ?? 0, all.worst + 1)
            // Above a level of one half there is a margin, but for what skewness takes off, below z = 1.
            const largest = Math.max(...flights.map((it) => it.maxTokens))
            const unknown = all.samples < minimumSamples && all.requests === 1
            assert.isAtLeast(steps.at(-1)?.tokens ?? 0, unknown ? 0 : all.expected - 0.05 * 4 * largest - 1e-3)
          }
          for (const { after, maxTokens, share, what, which } of steps) {
            now += after
            const chosen = flights[which % Math.max(1, flights.length)]
            if (what === "ask" || chosen === undefined) {
              const flight = begin({ maxTokens, burndown: 5 })
              flights.push(flight)
              foresee(flight)
            } else if (what === "ask again") foresee(chosen)
            else {
              const outputTokens = what === "end" ? Math.floor(share * maxTokens) : undefined
              end(lengths, chosen, { outputTokens, now })
              flights.splice(flights.indexOf(chosen), 1)
              assert.strictEqual(expected(chosen), 0)
            }
            const all = snapshot(lengths)
            assert.strictEqual(all.requests, flights.length)
            assert.closeTo(all.worst, sumOf(flights.map((it) => 4 * it.maxTokens)), 1e-3)
            // Each is rounded up.
            const sum = sumOf(flights.map(expected))
            assert.isAtMost(all.expected, sum + 1e-3)
            assert.isAtLeast(all.expected, sum - flights.length - 1e-3)
          }
        })
    )
  })

  describe("age", () => {
    /** Nine in ten answers are short and take a second, one is as long as it may be and takes ten. */
    const twoKinds = () => learned(times(500, (i) => i % 10 === 0 ? 1 : 0.1))
    const foreseen = (ages: ReadonlyArray<number>) => {
      const lengths = twoKinds()
      for (const age of ages) ask(lengths, 10_000 - age)
      return ask(lengths, 10_000)
    }

    it("makes those that are still in flight the long ones", () => {
      const young = foreseen(times(50, () => 0))
      assert.isBelow(young, 51 * 600)
      assert.closeTo(foreseen(times(50, () => 5000)), 50 * 4000 + 400, 3000)
      assert.isAtMost(foreseen(times(50, () => 900)), young + 200)
    })

    it("beyond all answers is the worst case", () => {
      const lengths = learned(times(500, () => 0.3))
      const first = begin(question)
      growth(lengths, first, 0)
      ask(lengths, 0)
      assert.isBelow(expected(first), 520)
      // 300 tokens took 3 seconds.
      assert.closeTo(ask(lengths, 60_000), 2 * 4000 + 500, 400)
      assert.strictEqual(expected(first), 4000)
    })

    it("does not matter where durations tell nothing of lengths", () => {
      const lengths = empty()
      const random = seeded(8)
      for (let i = 0; i < 500; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 1000 * random.between(0.1, 0.5), millis: 4000 })
      }
      for (let i = 0; i < 99; i++) ask(lengths, 0)
      const first = ask(lengths, 0)
      const next = begin(question)
      assert.closeTo(growth(lengths, next, 3900).at(-1)?.tokens ?? 0, first * 1.01, 300)
    })

    it("counts per maxTokens: a large request takes its time", () => {
      const lengths = empty()
      for (let i = 0; i < 200; i++) {
        for (const maxTokens of [1000, 4000]) {
          const outputTokens = maxTokens * (i % 10 === 0 ? 1 : 0.1)
          observe(lengths, { maxTokens, outputTokens, millis: 10 * outputTokens })
        }
      }
      const after3Seconds = (maxTokens: number) => {
        const flight = begin({ maxTokens, burndown: 5 })
        growth(lengths, flight, 0)
        ask(lengths, 3000)
        return expected(flight) / maxTokens
      }
      assert.isAbove(after3Seconds(1000), 3.9)
      assert.isBelow(after3Seconds(4000), 0.5)
    })
  })

  describe("what is in flight is assessed anew", () => {
    const many = (answers: ReadonlyArray<number>, n = 80) => {
      const lengths = learned(answers)
      const flights = times(n, () => begin(question))
      for (const flight of flights) growth(lengths, flight, 0)
      return { lengths, flights }
    }
    const teach = (lengths: OutputPredictor.Lengths) => {
      for (let i = 0; i < 40; i++) observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 8000 })
    }

    it("after an eighth of it has ended, and not before", () => {
      const { flights, lengths } = many(times(40, () => 0.8))
      const before = snapshot(lengths).expected / 80
      teach(lengths)
      const next = begin(question)
      const endSome = (n: number) => {
        for (const flight of flights.splice(0, n)) end(lengths, flight, { outputTokens: undefined, now: 0 })
        growth(lengths, next, 0)
        return (snapshot(lengths).expected - expected(next)) / flights.length
      }
      // 8 of 72, with the one that asks.
      assert.closeTo(endSome(8), before, 1e-6 + 1 / 72)
      assert.closeTo(endSome(1), before, 1e-6 + 1 / 71)
      assert.isBelow(endSome(1), before / 1.5)
    })

    it("after an eighth of the time of an answer, and not before", () => {
      // 800 tokens took 8 s. Older than that is at its worst case.
      const { flights, lengths } = many(times(40, () => 0.8))
      const first = flights[0]
      assert.isDefined(first)
      const at = (now: number) => {
        ask(lengths, now)
        return expected(first)
      }
      const fresh = at(0)
      assert.isBelow(fresh, 3100)
      assert.strictEqual(at(20_000), 4000)
      const { flights: [other], lengths: others } = many(times(40, () => 0.8))
      assert.isDefined(other)
      teach(others)
      ask(others, 1000)
      assert.strictEqual(expected(other), fresh)
      ask(others, 1001)
      assert.isBelow(expected(other), fresh / 1.5)
    })

    it("as soon as enough is learned", () => {
      const { flights: [first], lengths } = many([])
      assert.isDefined(first)
      assert.strictEqual(expected(first), 4000)
      ask(lengths, 1_000_000)
      assert.strictEqual(snapshot(lengths).expected, 81 * 4000)
      for (let i = 0; i < minimumSamples; i++) observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 8000 })
      // In the same millisecond already.
      ask(lengths, 1_000_000)
      assert.strictEqual(snapshot(lengths).requests, 82)
      assert.isBelow(snapshot(lengths).expected, 80 * 4000 + 2 * 400)
      ask(lengths, 1_001_001)
      assert.isBelow(snapshot(lengths).expected, 80 * 4000 + 3 * 400)
    })

    it("by the time from admission to end", () => {
      const lengths = empty()
      for (let i = 0; i < 40; i++) {
        const flight = begin(question)
        // Asked in vain at first: the last time counts.
        growth(lengths, flight, 500_000)
        growth(lengths, flight, 1_000_000 + i)
        end(lengths, flight, { outputTokens: 300, now: 1_003_000 + i })
      }
      const flight = begin(question)
      growth(lengths, flight, 2_000_000)
      const fresh = expected(flight)
      ask(lengths, 2_002_900)
      assert.closeTo(expected(flight), fresh, 100)
      // 4 s are beyond all answers.
      ask(lengths, 2_004_000)
      assert.strictEqual(expected(flight), 4000)
    })
  })

  describe("sizes", () => {
    it("ratios of like requests count, however many others there are", () => {
      const lengths = empty()
      for (let i = 0; i < 256; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 300, millis: 3000 })
        observe(lengths, { maxTokens: 16_000, outputTokens: 16_000, millis: 3000 })
      }
      assert.isBelow(mean(lengths), 600)
      assert.isAbove(mean(lengths, { ...question, maxTokens: 16_000 }), 63_000)
    })

    it("with too few like it, the larger of ratio and length is taken", () => {
      const small = learned(times(100, () => 0.4), { maxTokens: 1000 })
      // Larger than all that was seen: by ratio.
      assert.closeTo(mean(small, { ...question, maxTokens: 8000 }), 8000 * 1.03, 8000 * 0.1)
      const large = learned(times(100, () => 0.1), { maxTokens: 8000 })
      // Smaller: 800 tokens as they are, and no more than it may write.
      assert.closeTo(mean(large, { ...question, maxTokens: 1000 }), 5 * 800 - 1000, 300)
      assert.closeTo(mean(large, { ...question, maxTokens: 500 }), 2000, 1)
    })

    it("borrows from the next sizes first", () => {
      const lengths = empty()
      for (let i = 0; i < 100; i++) {
        observe(lengths, { maxTokens: 500, outputTokens: 150, millis: 1500 })
        observe(lengths, { maxTokens: 64_000, outputTokens: 64_000, millis: 1500 })
      }
      assert.isBelow(mean(lengths), 700)
    })

    it("are learned anew when a thirty-second part of what is known is new", () => {
      const lengths = learned(times(windowSize, () => 0.3))
      const before = mean(lengths)
      const teach = (n: number) => {
        for (let i = 0; i < n; i++) observe(lengths, { maxTokens: 1000, outputTokens: 1000, millis: 10_000 })
        return mean(lengths)
      }
      assert.strictEqual(teach(windowSize / 32), before)
      assert.isAbove(teach(1), before + 2000)
    })

    it("a burndown that changes is another thing", () => {
      const lengths = learned(times(100, () => 0.5))
      assert.closeTo(mean(lengths), 1525, 1)
      assert.closeTo(mean(lengths, { ...question, burndown: 10 }), 4050, 1)
      assert.closeTo(mean(lengths), 1525, 1)
    })
  })

  describe("change", () => {
    it("longer answers decide at once", () => {
      const random = seeded(21)
      const lengths = learned(times(windowSize, () => random.between(0.1, 0.3)))
      const at = () => together(lengths, 50) / 50
      assert.isBelow(at(), 250)
      for (let i = 0; i < 17; i++) observe(lengths, { maxTokens: 1000, outputTokens: 700, millis: 7000 })
      assert.isAbove(at(), 2400)
    })

    it("somewhat longer ones too, after a few more", () => {
      const random = seeded(22)
      const lengths = learned(times(windowSize, () => random.between(0.2, 0.6)))
      const before = mean(lengths)
      for (let i = 0; i < 80; i++) {
        observe(lengths, { maxTokens: 1000, outputTokens: 1000 * random.between(0.32, 0.72), millis: 5000 })
      }
      assert.isAbove(mean(lengths), before + 400)
    })

    it("shorter ones decide when they are most of the newest 128", () => {
      const random = seeded(23)
      const lengths = learned(times(windowSize, () => random.between(0.5, 0.9)))
      assert.isAbove(mean(lengths), 2450)
      for (let i = 0; i < 17; i++) observe(lengths, { maxTokens: 1000, outputTokens: 250, millis: 2500 })
      assert.isAbove(mean(lengths), 2300)
      for (let i = 0; i < 140; i++) observe(lengths, { maxTokens: 1000, outputTokens: 250, millis: 2500 })
      assert.isBelow(mean(lengths), 400)
    })

    it("is not seen where there is none", { tags: "statistics" }, () => {
      for (const [name, share] of Object.entries(distributions)) {
        const random = seeded(31)
        const lengths = learned(times(windowSize, () => share(random)))
        const seen = times(200, () => {
          for (let i = 0; i < 20; i++) {
            observe(lengths, { maxTokens: 1000, outputTokens: 1000 * share(random), millis: 1000 })
          }
          return 1000 + mean(lengths)
        }).sort((a, b) => a - b)
        assert.isBelow((seen[195] ?? 0) / (seen[100] ?? 1), 1.25, name)
      }
    })

    it("forgets what is older than the window", () => {
      const lengths = learned(times(2 * windowSize, (i) => i < windowSize ? 1 : 0.3))
      assert.isBelow(mean(lengths), 520)
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
