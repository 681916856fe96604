import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Answers from "../src/internal/answers.ts"
import * as LengthTable from "../src/internal/lengthTable.ts"
import { seeded } from "./random.ts"

const z = 1.28

interface Answer {
  readonly maxTokens: number
  readonly share: number
  readonly millisPerToken: number
}

const remember = (list: Iterable<Answer>) => {
  const answers = Answers.empty(512)
  for (const { maxTokens, millisPerToken, share } of list) {
    Answers.add(answers, maxTokens, share * maxTokens, millisPerToken * maxTokens)
  }
  return answers
}

/** In another order, the same each time, so that nothing seems to have changed. */
const mixed = <A>(list: ReadonlyArray<A>): Array<A> => {
  const random = seeded(17)
  return list.map((value) => [random.next(), value] as const).sort(([a], [b]) => a - b).map(([, value]) => value)
}

const times = <A>(n: number, value: (index: number) => A): Array<A> => Array.from({ length: n }, (_, i) => value(i))

const sumOf = (values: ReadonlyArray<number>): number => values.reduce((sum, it) => sum + it, 0)

/** The moments from their definitions, in the plainest way: each grows evenly over its duration. In parts of `maxTokens`. */
const naive = (list: ReadonlyArray<Answer>, burndown: number, age: number, by: number) => {
  const all = list.map((it) => ({
    excess: Math.max(0, burndown * it.share - 1),
    bucket: Answers.bucketOf(it.millisPerToken)
  }))
  const longest = Math.max(0, ...all.map((it) => it.bucket))
  const imaginary = { excess: burndown - 1, bucket: longest }
  const longer = all.filter((it) => Answers.durationOf(it.bucket) > age)
  const grown = Answers.bucketOf(age) > longest
    ? [imaginary.excess]
    : [...(longer.length > 0 ? longer : all.filter((it) => it.bucket === longest)), imaginary]
      .map(({ bucket, excess }) => excess * Math.min(1, by / Answers.durationOf(bucket)))
  const n = grown.length
  const mean = sumOf(grown) / n
  const central = (power: number) => sumOf(grown.map((it) => (it - mean) ** power))
  const variance = n < 2 ? 0 : central(2) / (n - 1) * (1 + (z * z + 1) / (4 * n)) ** 2
  return { mean, variance, third: central(3) / n, error: Math.sqrt(variance / n) }
}

const growth = (table: LengthTable.Table, age: number, within: ReadonlyArray<number>, maxTokens = 1) => {
  const into = times(within.length * LengthTable.moments, () => Number.NaN)
  LengthTable.growth(table, maxTokens, age, Float64Array.from(within), z, into)
  assert.strictEqual(into.length, within.length * LengthTable.moments)
  return within.map((_, step) => {
    const [mean = 0, variance = 0, third = 0, error = 0] = into.slice(LengthTable.moments * step)
    return { mean, variance, third, error }
  })
}

/** Of one that has run for `age`, in the end. */
const inTheEnd = (table: LengthTable.Table, age: number): number => growth(table, age, [Infinity])[0]?.mean ?? 0

describe("answers", () => {
  it.each([
    [-1, 0],
    [0, 0],
    [Number.NaN, 0],
    [2 ** -20, 0],
    [2 ** -10, 0],
    [2 ** -9.75, 1],
    [1, 40],
    [2, 44],
    [2.37, 44],
    [2.39, 45],
    [2 ** 21.74, 126],
    [2 ** 21.75, 127],
    [2 ** 40, 127],
    [Number.POSITIVE_INFINITY, 127]
  ])("%d ms per token is bucket %i", (millis, bucket) => {
    assert.strictEqual(Answers.bucketOf(millis), bucket)
  })

  it.each([-5, 0, 2 ** -20, 0.01, 1, 1.08, 1.1, 2 ** 21.8, 2 ** 21.9, 2 ** 60, Infinity, Number.NaN])(
    "%d ms per token are the middle of as many buckets as they end",
    (millis) => {
      const ended = times(Answers.bucketCount, Answers.durationOf).filter((middle) => middle <= millis)
      assert.strictEqual(Answers.endedBy(millis), ended.length)
    }
  )

  it("each bucket has its middle between its ends", () => {
    for (let bucket = 1; bucket < Answers.bucketCount - 1; bucket++) {
      const middle = Answers.durationOf(bucket)
      assert.strictEqual(Answers.bucketOf(middle), bucket)
      assert.strictEqual(Answers.bucketOf(middle * 2 ** 0.12), bucket)
      assert.strictEqual(Answers.bucketOf(middle / 2 ** 0.12), bucket)
      assert.strictEqual(Answers.bucketOf(middle * 2 ** 0.13), bucket + 1)
    }
  })

  it.each([
    [0.5, 0],
    [1, 0],
    [1.42, 1],
    [1000, 10],
    [1024, 10],
    [1448, 10],
    [1449, 11],
    [200_000, 18],
    [Number.POSITIVE_INFINITY, 63]
  ])("%d tokens are size class %i", (maxTokens, size) => {
    assert.strictEqual(Answers.classOf(maxTokens), size)
  })

  it("remember the newest, and how long the last 64 took", () => {
    const answers = Answers.empty(4)
    for (let i = 1; i <= 6; i++) Answers.add(answers, 10 * i, i, 100)
    assert.strictEqual(Answers.known(answers), 4)
    assert.strictEqual(answers.count, 6)
    const outputs = times(4, (i) => answers.outputs[Answers.newest(answers, i + 1)])
    assert.deepStrictEqual(outputs, [6, 5, 4, 3])
    assert.strictEqual(answers.millis, 100)
    for (let i = 0; i < 58; i++) Answers.add(answers, 10, 1, 100)
    Answers.add(answers, 10, 1, 100 + 64)
    assert.strictEqual(answers.millis, 101)
    Answers.add(answers, 10, 20, 101)
    assert.strictEqual(answers.ratios[Answers.newest(answers, 1)], 1)
  })

  it("average the durations while there are few", () => {
    const answers = Answers.empty(4)
    for (const millis of [100, 200, 600]) Answers.add(answers, 10, 1, millis)
    assert.closeTo(answers.millis, 300, 1e-9)
  })
})

describe("lengthTable", () => {
  const Exponent = Schema.Finite.check(Schema.isBetween({ minimum: -11, maximum: 23 }))
  it.effect.prop(
    "has the moments of the answers that took at least as long, and of the imaginary one, at any age and time",
    {
      // Fewer than could look like a change.
      answers: Schema.Array(Schema.Struct({
        share: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
        exponent: Exponent
      })).check(Schema.isMaxLength(31)),
      burndown: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 15 })),
      maxTokens: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200_000 })),
      age: Schema.NullOr(Exponent),
      within: Schema.Array(Exponent).check(Schema.isMaxLength(5))
    },
    ({ age, answers, burndown, maxTokens, within }) =>
      Effect.sync(() => {
        const list = answers.map(({ exponent, share }) => ({ maxTokens: 1024, share, millisPerToken: 2 ** exponent }))
        const table = LengthTable.make(remember(list), 10, burndown)
        assert.deepInclude(table, { burndown, count: list.length, samples: list.length })
        const ran = age === null ? 0 : 2 ** age
        const times = [0, ...within.map((exponent) => 2 ** exponent), Infinity]
        const moments = growth(table, ran * maxTokens, times.map((time) => time * maxTokens), maxTokens)
        times.forEach((time, index) => {
          const expected = naive(list, burndown, ran, ran + time)
          const got = moments[index]
          assert.isDefined(got)
          const tolerance = 1e-9 * burndown
          assert.closeTo(got.mean / maxTokens, expected.mean, tolerance)
          assert.closeTo(got.variance / maxTokens ** 2, expected.variance, tolerance * burndown)
          assert.closeTo(got.third / maxTokens ** 3, expected.third, tolerance * burndown ** 2)
          assert.closeTo((got.error / maxTokens) ** 2, expected.error ** 2, tolerance * burndown)
        })
      })
  )

  it("does so with hundreds of answers, from every bucket", () => {
    for (const [seed, burndown] of [[1, 5], [2, 15], [3, 2]] as const) {
      const random = seeded(seed)
      const list = times(300, () => ({
        maxTokens: 1000,
        share: random.next() ** 2,
        millisPerToken: 10 * Math.exp(random.normal())
      }))
      const table = LengthTable.make(remember(list), 10, burndown)
      assert.strictEqual(table.samples, 300)
      for (let quarter = 0; quarter < 2 * 128; quarter++) {
        const age = Answers.durationOf(0) * 2 ** ((quarter + 0.2) / 8)
        const [now, half, end] = growth(table, age, [0, age / 2, Infinity])
        for (const [got, by] of [[now, age], [half, 1.5 * age], [end, Infinity]] as const) {
          const expected = naive(list, burndown, age, by)
          assert.isDefined(got)
          const tolerance = 1e-9 * burndown ** 3
          assert.closeTo(got.mean, expected.mean, tolerance)
          assert.closeTo(got.variance, expected.variance, tolerance)
          assert.closeTo(got.third, expected.third, tolerance)
          assert.closeTo(got.error, expected.error, 1e-6)
        }
      }
    }
  })

  it("has nothing grown at the start, exactly, and never less later", () => {
    const random = seeded(5)
    const list = times(200, () => ({ maxTokens: 1000, share: random.next(), millisPerToken: random.between(1, 30) }))
    const table = LengthTable.make(remember(list), 10, 5)
    assert.deepStrictEqual(growth(table, 0, [0]), [{ mean: 0, variance: 0, third: 0, error: 0 }])
    for (const age of [0, 0.5, 3, 17, 29, 100]) {
      const means = growth(table, age, [0, ...times(300, (i) => i / 8), Infinity]).map((it) => it.mean)
      means.forEach((mean, index) => assert.isAtLeast(mean, (means[index - 1] ?? 0) - 1e-12))
    }
  })

  /** What a request that has just begun grows by in the end, of a size class, with the imaginary answer taken out. */
  const meanOf = (answers: Answers.Answers, size: number, burndown = 5) => {
    const table = LengthTable.make(answers, size, burndown)
    const { samples } = table
    return { samples, mean: (inTheEnd(table, 0) * (samples + 1) - (burndown - 1)) / samples }
  }
  const alike = (n: number, maxTokens: number, share: number | ((index: number) => number)) =>
    times(n, (i): Answer => ({
      maxTokens,
      share: typeof share === "number" ? share : share(i),
      millisPerToken: 10
    }))
  const wave = (i: number) => 0.3 + 0.1 * Math.sin(i)

  describe("takes all answers by their ratio where those of the size agree", () => {
    it("from 8 of them on", () => {
      const many = alike(400, 1024, wave)
      const seven = meanOf(remember([...many, ...alike(7, 128, wave)]), 7)
      const eight = meanOf(remember([...many, ...alike(8, 128, wave)]), 7)
      // 300 tokens would be more than 128 may be: the worst, until it is known to be otherwise.
      assert.closeTo(seven.mean, (400 * 4 + 7 * 0.6) / 407, 0.05)
      assert.deepInclude(eight, { samples: 408 })
      assert.closeTo(eight.mean, 0.55, 0.05)
    })

    it("within two standard errors, on either side", () => {
      const spread = (around: number) => (i: number) => around + (i % 2 === 0 ? 0.1 : -0.1)
      // Growth by 1 ± 0.5 among 64, and a deviation of the mean of 0.063: 0.1 is near, 0.2 is not.
      const base = alike(400, 1024, spread(0.4))
      for (const [own, samples] of [[0.42, 464], [0.38, 464], [0.44, 64], [0.36, 64]] as const) {
        assert.strictEqual(meanOf(remember([...base, ...alike(64, 128, spread(own))]), 7).samples, samples)
      }
    })

    it("by the definition of the standard error, of both", () => {
      // √(0.25/63 + 0.25/399) is 0.0678: growth that differs by 0.1345 is near, by 0.1365 it is not.
      const spread = (around: number) => (i: number) => around + (i % 2 === 0 ? 0.1 : -0.1)
      const base = alike(400, 1024, spread(0.4))
      for (const [own, samples] of [[0.4269, 464], [0.3731, 464], [0.4273, 64], [0.3727, 64]] as const) {
        assert.strictEqual(meanOf(remember([...base, ...alike(64, 128, spread(own))]), 7).samples, samples)
      }
    })

    it("none of which grows beyond its reservation, however short", () => {
      const short = [...alike(400, 1024, (i) => 0.15 + 0.01 * (i % 2)), ...alike(64, 128, 0.05)]
      assert.deepInclude(meanOf(remember(short), 7), { samples: 464 })
    })

    it("and where there are no others", () => {
      assert.deepInclude(meanOf(remember(alike(5, 128, 0.4)), 7), { samples: 5 })
      assert.closeTo(meanOf(remember(alike(5, 128, 0.4)), 7).mean, 1, 1e-9)
    })

    it("identical ones agree", () => {
      assert.strictEqual(meanOf(remember([...alike(20, 1024, 0.4), ...alike(20, 128, 0.4)]), 7).samples, 40)
    })
  })

  describe("takes those of the size alone where they differ", () => {
    it("from 64 of them on", () => {
      const others = alike(400, 1024, wave)
      assert.deepStrictEqual(meanOf(remember(mixed([...others, ...alike(64, 128, 0.9)])), 7), {
        samples: 64,
        mean: 3.5
      })
      assert.strictEqual(meanOf(remember(mixed([...others, ...alike(63, 128, 0.9)])), 7).samples, 463)
    })

    it("else with the nearest sizes that make up 64", () => {
      const far = alike(200, 16_384, 0.01)
      const next = (n: number, maxTokens: number) => alike(n, maxTokens, 0.6)
      const samples = (...lists: ReadonlyArray<ReadonlyArray<Answer>>) =>
        meanOf(remember(mixed([...far, ...lists.flat()])), 10).samples
      assert.strictEqual(samples(next(20, 1024), next(44, 2048)), 64)
      assert.strictEqual(samples(next(20, 1024), next(44, 512)), 64)
      assert.strictEqual(samples(next(20, 1024), next(43, 512), next(5, 4096)), 68)
      assert.strictEqual(samples(next(20, 1024), next(43, 512), next(5, 8192)), 268)
    })

    it("larger ones by their length, smaller ones by their ratio, and none by more than all", () => {
      const from = (maxTokens: number, share: number, size: number) =>
        meanOf(remember(alike(100, maxTokens, share)), size).mean
      assert.closeTo(from(4096, 0.1, 12), 0, 1e-9)
      assert.closeTo(from(4096, 0.1, 11), 0, 1e-9)
      assert.closeTo(from(4096, 0.1, 10), 1, 1e-9)
      assert.closeTo(from(4096, 0.1, 9), 3, 1e-9)
      assert.closeTo(from(4096, 0.1, 8), 4, 1e-9)
      assert.closeTo(from(4096, 0.5, 14), 1.5, 1e-9)
    })

    it("durations with the lengths", () => {
      // 10 ms per token at 4096 are 40 at 1024.
      const table = LengthTable.make(remember(alike(100, 4096, 0.1)), 10, 5)
      assert.isBelow(inTheEnd(table, 40), 1.1)
      assert.strictEqual(inTheEnd(table, 40 * 2 ** 0.25), 4)
      // By ratio they stay.
      const pooled = LengthTable.make(remember([...alike(100, 4096, 0.1), ...alike(10, 1024, 0.1)]), 10, 5)
      assert.isBelow(inTheEnd(pooled, 10), 1)
      assert.strictEqual(inTheEnd(pooled, 10 * 2 ** 0.25), 4)
      // Beyond the last bucket there is none.
      const late = LengthTable.make(remember([{ maxTokens: 2 ** 20, share: 0.1, millisPerToken: 2 ** 21 }]), 10, 5)
      assert.strictEqual(late.longest, Answers.bucketCount - 1)
    })
  })

  describe("takes the newest alone after a change", () => {
    const samples = (...parts: ReadonlyArray<readonly [n: number, share: number]>) =>
      meanOf(remember(parts.flatMap(([n, share]) => alike(n, 1024, (i) => share + (i % 2 === 0 ? 0.05 : -0.05)))), 10)
        .samples

    it("16 when they are much longer, of 32 at least", () => {
      assert.strictEqual(samples([484, 0.3], [28, 0.8]), 16)
      assert.strictEqual(samples([499, 0.3], [1, 0.8]), 500)
      assert.strictEqual(samples([500, 0.3], [12, 0.8]), 16)
      assert.strictEqual(samples([19, 0.3], [12, 1]), 31)
    })

    it("64 when they are somewhat longer", () => {
      // 5 × 0.035 is 0.175 more, over a deviation of 0.25 to 0.26: 2.8 errors for 16, 5.5 for 64.
      assert.strictEqual(samples([436, 0.4], [64, 0.435]), 64)
      assert.strictEqual(samples([436, 0.4], [64, 0.41]), 500)
    })

    it("64 of 128 at least", () => {
      assert.strictEqual(samples([64, 0.3], [64, 0.8]), 64)
      assert.strictEqual(samples([63, 0.3], [64, 0.8]), 127)
    })

    it("128 when they are shorter, of 256 at least", () => {
      assert.strictEqual(samples([372, 0.4], [128, 0.36]), 128)
      assert.strictEqual(samples([372, 0.4], [128, 0.395]), 500)
      assert.strictEqual(samples([128, 0.6], [128, 0.3]), 128)
      assert.strictEqual(samples([127, 0.6], [128, 0.3]), 255)
    })
  })
})
