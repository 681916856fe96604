// What the books promise of a burst: no throttle, and little idle. In virtual time; the bench does it over sockets.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Random, seeded } from "../../quota/test/random.ts"
import * as Burst from "./burst.ts"

/** The burst that the bench sends: the quotas are exceeded tenfold, `maxTokens` is 2 to 8 times the output, and latency 1 to 60 % of the window. */
const burst = (burndown: number, window: number, seed: number) => {
  const random = seeded(seed)
  const lognormal = (sigma: number, most: number) =>
    Math.round(Math.min(Math.max(150 * Math.exp(sigma * random.normal()), 10), most))
  const prompts = Array.from({ length: 2000 }, (): Burst.Prompt => {
    const output = lognormal(0.8, 1500)
    return {
      input: lognormal(1, 4000),
      output,
      maxTokens: Math.round(output * random.between(2, 8)),
      latency: window * random.between(0.01, 0.6)
    }
  })
  const settled = prompts.reduce((sum, { input, output }) => sum + input + burndown * output, 0)
  return { burndown, window, prompts, quota: { requests: prompts.length / 10, tokens: Math.ceil(settled / 10) } }
}

describe("a burst of ten times the quota", () => {
  it.effect("is answered without a throttle, under each shape, whenever growth is charged", () =>
    Effect.gen(function*() {
      for (const [burndown, most] of [[1, 1.13], [5, 1.21]] as const) {
        const setup = burst(burndown, 60_000, 1)
        for (const shape of ["rolling", "fixed", "bucket"] as const) {
          for (const adjust of burndown === 1 ? ["end"] as const : ["end", "during"] as const) {
            const { ratio, throttled } = yield* Burst.run({ ...setup, shape, adjust })
            assert.strictEqual(throttled, 0, `${shape}, ${burndown}, ${adjust}`)
            assert.isBelow(ratio, most, `${shape}, ${burndown}, ${adjust}`)
          }
        }
      }
    }))

  it.effect("takes a little longer in a window of 6 seconds, of which the guard is a larger part", () =>
    Effect.gen(function*() {
      const setup = { ...burst(5, 6000, 2), shape: "rolling", adjust: "during" } as const
      const { ratio, throttled } = yield* Burst.run(setup)
      assert.strictEqual(throttled, 0)
      assert.isBelow(ratio, 1.25)
    }))
})

describe("a quota smaller than the worst case of one request", () => {
  it.effect("is used by one call after the other from the beginning, and by more at a time when lengths are known", () =>
    Effect.gen(function*() {
      // The model's longest answer, since the request sets no limit: 320,000 of a quota of 200,000.
      const prompt: Burst.Prompt = { input: 100, output: 500, maxTokens: 64_000, latency: 3000 }
      const one = yield* Burst.run({
        prompts: Array.from({ length: 12 }, () => prompt),
        burndown: 5,
        shape: "rolling",
        adjust: "during",
        window: 60_000,
        quota: { requests: 100, tokens: 200_000 }
      })
      assert.strictEqual(one.throttled, 0)
      assert.isBelow(one.millis, 12 * 3100)
    }))
})

describe("answers of other lengths", () => {
  const shares: Record<string, (random: Random) => number> = {
    uniform: (random) => random.between(0.125, 0.5),
    "heavy tailed": (random) => Math.min(1, 0.05 * Math.exp(1.5 * random.normal())),
    "of two kinds": (random) => random.next() < 0.9 ? random.between(0.05, 0.15) : random.between(0.8, 1)
  }
  for (const burndown of [5, 15]) {
    for (const [name, share] of Object.entries(shares)) {
      for (const latency of ["alike", "by length"]) {
        it.effect(`${name}, burndown ${burndown}, latency ${latency}: under 1 % are throttled`, () =>
          Effect.gen(function*() {
            const random = seeded(11)
            const prompts = Array.from({ length: 1000 }, (): Burst.Prompt => {
              const maxTokens = Math.floor(random.between(300, 2000))
              const output = Math.max(1, Math.floor(maxTokens * share(random)))
              return {
                input: Math.floor(random.between(50, 550)),
                maxTokens,
                output,
                latency: 300 + 20 * (latency === "alike" ? random.between(175, 525) : output)
              }
            })
            const { ratio, throttled } = yield* Burst.run({
              prompts,
              burndown,
              shape: "rolling",
              adjust: "during",
              window: 60_000,
              quota: { requests: 10_000, tokens: 400_000 }
            })
            assert.isBelow(throttled, 10)
            assert.isBelow(ratio, 1.5)
          }))
      }
    }
  }
})
