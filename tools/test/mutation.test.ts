import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { draw, mostSurvivors, type Mutant, seedOf } from "../mutation/draw.ts"
import config from "../stryker.config.json" with { type: "json" }
import * as Checkout from "./checkout.ts"

const mutants = Array.from({ length: 500 }, (_, index): Mutant => ({
  file: `packages/errors/src/${index % 7}.ts`,
  location: { start: { line: index, column: 0 }, end: { line: index, column: 5 } },
  mutatorName: "StringLiteral",
  replacement: "\"\""
}))
const places = (drawn: ReadonlyArray<Mutant>) => drawn.map((mutant) => mutants.indexOf(mutant)).sort((a, b) => a - b)

describe("what is broken", () => {
  it.each(config.mutate)("%s is there", (pattern) => {
    assert.isNotEmpty(globSync(pattern))
  })

  it("is all of the ledger, with what its arithmetic is made of", () => {
    const ledger = "packages/rate-limiter/src/Ledger.ts"
    const parts = [...readFileSync(ledger, "utf8").matchAll(/^import (?!type).* from "\.\/(.+)"$/gm)]
    assert.isNotEmpty(parts)
    assert.includeMembers(config.mutate, [ledger, ...parts.map(([, path]) => `packages/rate-limiter/src/${path}`)])
  })
})

describe("a sample", () => {
  it("is the same for the same seed, in whichever order the mutants come", () => {
    const drawn = draw("one", 50, mutants)
    assert.lengthOf(drawn, 50)
    assert.deepStrictEqual(places(draw("one", 50, mutants.toReversed())), places(drawn))
    assert.notDeepEqual(places(draw("two", 50, mutants)), places(drawn))
  })

  it("is of all mutants alike, and all of them where there are fewer", () => {
    const seeds = Array.from({ length: 200 }, (_, index) => `seed ${index}`)
    const often = new Map<Mutant, number>()
    for (const mutant of seeds.flatMap((seed) => draw(seed, 50, mutants))) {
      often.set(mutant, (often.get(mutant) ?? 0) + 1)
    }
    // Twenty times each, with a deviation of 4.2.
    for (const mutant of mutants) assert.closeTo(often.get(mutant) ?? 0, 20, 19)
    assert.lengthOf(draw("one", 1000, mutants), 500)
  })

  it("tells mutants apart by all that they are", () => {
    const [first] = mutants
    assert.isDefined(first)
    const alike = ["a", "b", "c", "d", "e", "f"].map((replacement): Mutant => ({ ...first, replacement }))
    const firsts = ["1", "2", "3", "4", "5", "6", "7", "8"].map((seed) => draw(seed, 1, alike)[0]?.replacement)
    assert.isAbove(new Set(firsts).size, 2)
  })

  it("has a seed of what the cores and their tests say", () => {
    const checkout = Checkout.make()
    try {
      const cores = ["errors", "backoff"]
      const before = seedOf(checkout.root, cores)
      assert.match(before, /^[0-9a-f]{8}$/)
      checkout.write("packages/quota/src/planted.ts", "export const planted = 1\n")
      assert.strictEqual(seedOf(checkout.root, cores), before)
      checkout.write("packages/backoff/test/planted.test.ts", "")
      assert.notStrictEqual(seedOf(checkout.root, cores), before)
    } finally {
      checkout.remove()
    }
  })
})

describe("what may survive of a sample", () => {
  /** How probable it is that more survive than may, where this part of all does: from the definition, by logarithms. */
  const exceeded = (mutants: number, part: number, most = mostSurvivors(mutants, 0.05)): number => {
    const logarithms = (n: number): number => n === 0 ? 0 : Math.log(n) + logarithms(n - 1)
    let sum = 0
    for (let k = most + 1; k <= mutants; k++) {
      const ways = logarithms(mutants) - logarithms(k) - logarithms(mutants - k)
      sum += Math.exp(ways + k * Math.log(part) + (mutants - k) * Math.log(1 - part))
    }
    return sum
  }

  it.each([2, 10, 20, 50, 100, 200, 500])(
    "of %i: the fewest that at the limit are exceeded once in 1000 runs",
    (mutants) => {
      assert.isAtMost(exceeded(mutants, 0.05), 0.001)
      assert.isAbove(exceeded(mutants, 0.05, mostSurvivors(mutants, 0.05) - 1), 0.001)
    }
  )

  it("of 80: never for a core that is well tested, always for one that is not", () => {
    assert.strictEqual(mostSurvivors(80, 0.05), 11)
    assert.isBelow(exceeded(80, 0.02), 1e-7)
    assert.closeTo(1 - exceeded(80, 0.3), 1 / 1700, 1e-5)
    assert.closeTo(exceeded(80, 0.2), 0.9, 0.01)
    assert.closeTo(exceeded(80, 0.15), 0.55, 0.01)
  })

  it("of none: none", () => {
    assert.strictEqual(mostSurvivors(0, 0.05), 0)
    assert.strictEqual(mostSurvivors(1, 0.05), 1)
  })
})

it(
  "a core whose tests assert nothing any more fails its sample, and says how to draw it again",
  { timeout: 600_000 },
  () => {
    const checkout = Checkout.make()
    try {
      const nothing = `import { Backoff } from "@caprock/backoff"
import { Effect } from "effect"
import { it } from "vitest"
it("runs", () => Effect.runPromise(Effect.exit(Effect.retry(Effect.fail({ retryable: false }), Backoff.exponential()))))
`
      for (const suite of globSync("packages/backoff/test/*.test.ts")) checkout.write(suite, nothing)
      const { status, stdout } = spawnSync(
        process.execPath,
        ["tools/mutation.ts", "backoff", "--mutate", "packages/backoff/src/internal/delay.ts", "--sample", "20"],
        { cwd: checkout.root, encoding: "utf8", env: { ...process.env, PROPERTY_SEED: "1" } }
      )
      assert.strictEqual(status, 1, stdout)
      assert.match(stdout, /^FAIL backoff: \d+ of 20 mutants survived, drawn from \d+; up to 5 may$/m)
      assert.match(
        stdout,
        /^The same again: pnpm mutation backoff --mutate '.*delay.ts' --sample 20 --seed [0-9a-f]{8}$/m
      )
    } finally {
      checkout.remove()
    }
  }
)
