import * as Answers from "#internal/answers"
import * as LengthTable from "#internal/lengthTable"
import { assert, describe, it } from "@effect/vitest"
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

/** The same moments from their definitions, in the plainest way. */
const naive = (list: ReadonlyArray<Answer>, burndown: number, bucket: number) => {
  const charges = list
    .filter((it) => Answers.bucketOf(it.millisPerToken) >= bucket)
    .map((it) => Math.max(1, burndown * it.share))
  const all = [...charges, burndown]
  const n = all.length
  const mean = all.reduce((sum, it) => sum + it, 0) / n
  const central = (power: number) => all.reduce((sum, it) => sum + (it - mean) ** power, 0)
  const widened = n < 2 ? 0 : central(2) / (n - 1) * (1 + (z * z + 1) / (4 * n)) ** 2
  return { mean, variance: widened, third: central(3) / n, error: Math.sqrt(widened / n) }
}

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
  it("has the moments of the answers that took at least as long, and of the imaginary one", () => {
    for (const [seed, burndown] of [[1, 5], [2, 15], [3, 2]] as const) {
      const random = seeded(seed)
      const list = times(300, () => ({
        maxTokens: 1000,
        share: random.next() ** 2,
        millisPerToken: 10 * Math.exp(random.normal())
      }))
      const table = LengthTable.make(remember(list), 10, burndown, z)
      assert.strictEqual(table.samples, 300)
      assert.strictEqual(table.burndown, burndown)
      assert.strictEqual(table.count, 300)
      for (let bucket = 0; bucket < 128; bucket++) {
        const expected = naive(list, burndown, bucket)
        const tolerance = 1e-9 * burndown ** 3
        assert.closeTo(table.mean[bucket] ?? 0, expected.mean, tolerance)
        assert.closeTo(table.variance[bucket] ?? 0, expected.variance, tolerance)
        assert.closeTo(table.third[bucket] ?? 0, expected.third, tolerance)
        assert.closeTo(table.error[bucket] ?? 0, expected.error, 1e-6)
      }
    }
  })

  /** The expectation of a request that has just begun, of a size class, with the imaginary answer taken out. */
  const meanOf = (answers: Answers.Answers, size: number, burndown = 5) => {
    const { mean, samples } = LengthTable.make(answers, size, burndown, z)
    return { samples, mean: ((mean[0] ?? 0) * (samples + 1) - burndown) / samples }
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
      assert.closeTo(seven.mean, (400 * 5 + 7 * 1.6) / 407, 0.05)
      assert.deepInclude(eight, { samples: 408 })
      assert.closeTo(eight.mean, 1.55, 0.05)
    })

    it("within two standard errors, on either side", () => {
      const spread = (around: number) => (i: number) => around + (i % 2 === 0 ? 0.1 : -0.1)
      // Charges of 2 ± 0.5 among 64, and a deviation of the mean of 0.063: 0.1 is near, 0.2 is not.
      const base = alike(400, 1024, spread(0.4))
      for (const [own, samples] of [[0.42, 464], [0.38, 464], [0.44, 64], [0.36, 64]] as const) {
        assert.strictEqual(meanOf(remember([...base, ...alike(64, 128, spread(own))]), 7).samples, samples)
      }
    })

    it("and where there are no others", () => {
      assert.deepInclude(meanOf(remember(alike(5, 128, 0.4)), 7), { samples: 5 })
      assert.closeTo(meanOf(remember(alike(5, 128, 0.4)), 7).mean, 2, 1e-9)
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
        mean: 4.5
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
      assert.closeTo(from(4096, 0.1, 12), 1, 1e-9)
      assert.closeTo(from(4096, 0.1, 11), 1, 1e-9)
      assert.closeTo(from(4096, 0.1, 10), 2, 1e-9)
      assert.closeTo(from(4096, 0.1, 9), 4, 1e-9)
      assert.closeTo(from(4096, 0.1, 8), 5, 1e-9)
      assert.closeTo(from(4096, 0.5, 14), 2.5, 1e-9)
    })

    it("durations with the lengths", () => {
      // 10 ms per token at 4096 are 40 at 1024.
      const { mean } = LengthTable.make(remember(alike(100, 4096, 0.1)), 10, 5, z)
      const bucket = Answers.bucketOf(40)
      assert.isBelow(mean[bucket] ?? 0, 2.1)
      assert.strictEqual(mean[bucket + 1], 5)
      // By ratio they stay.
      const pooled = LengthTable.make(remember([...alike(100, 4096, 0.1), ...alike(10, 1024, 0.1)]), 10, 5, z)
      assert.strictEqual(pooled.mean[Answers.bucketOf(10) + 1], 5)
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

    it("128 when they are shorter, of 256 at least", () => {
      assert.strictEqual(samples([372, 0.4], [128, 0.36]), 128)
      assert.strictEqual(samples([372, 0.4], [128, 0.395]), 500)
      assert.strictEqual(samples([128, 0.6], [128, 0.3]), 128)
      assert.strictEqual(samples([127, 0.6], [128, 0.3]), 255)
    })
  })
})
