// `pnpm mutation`: breaks the pure cores in every small way, one at a time, and fails when a core's own tests notice fewer than 95 % of it.
//
//     pnpm mutation                                            all cores, whole
//     pnpm mutation quota backoff                              these
//     pnpm mutation --mutate packages/quota/src/Pool.ts        these files; or lines: Pool.ts:10-40
//     pnpm mutation --sample 40 [--seed <seed>]               so many mutants of each core, drawn by a seed
//
// A sample fails when more of it survives than chance explains where 95 % are noticed: `mutation/draw.ts` has the arithmetic. Its seed is of
// what the cores and their tests say, so that each change to them draws others, and what a run drew can be drawn again.
//
// Property runs draw the same for each mutant, and in each run unless told another PROPERTY_SEED, so that a mutant that survived
// here survives anywhere (`tools/properties.ts` says how to draw the same again without Stryker).
//
// In `quota`, what is evaluated once when a module is loaded is left out: tables of models, weights and names, of which each mutant would
// cost a run of all tests. They have tests nevertheless.
import type { MutantStatus } from "@stryker-mutator/api/core"
import { Stryker } from "@stryker-mutator/core"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { mostSurvivors, seedOf } from "./mutation/draw.ts"
import config from "./stryker.config.json" with { type: "json" }

const cores = ["errors", "quota", "backoff", "rate-limiter", "router"]
const coreOf = (file: string) => cores.find((core) => file.replace("!", "").startsWith(`packages/${core}/`))

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { mutate: { type: "string" }, sample: { type: "string" }, seed: { type: "string" } }
})
const files = values.mutate?.split(",") ?? config.mutate
const unknown = [
  ...positionals.filter((core) => !cores.includes(core)),
  ...files.filter((file) => coreOf(file) === undefined)
]
if (unknown.length > 0) throw new Error(`of no core: ${unknown.join(", ")}. The cores are ${cores.join(", ")}`)
const sample = values.sample === undefined ? undefined : Number(values.sample)
if (sample !== undefined && !(sample >= 1)) throw new Error(`--sample takes a number of mutants, not ${values.sample}`)

/** What survives of a core may be no more than this part. */
const part = 1 - config.thresholds.break / 100

/** Runs the mutants of a core, and tells what is wrong with it, if anything, and what came of it. */
const run = async (core: string): Promise<{ readonly wrong: boolean; readonly told: string }> => {
  process.env["MUTATED_CORE"] = core
  const results = await new Stryker({
    configFile: "tools/stryker.config.json",
    mutate: files.filter((file) => coreOf(file) === core),
    ignoreStatic: core === "quota",
    ...(sample === undefined ? {} : {
      plugins: [...config.plugins, import.meta.resolve("./mutation/sample.ts")],
      checkers: ["sample"],
      // Hangs take most of the time. On a busy machine what is only slow may pass for one: the whole waits longer.
      timeoutMS: 4000,
      // Judged here.
      thresholds: { ...config.thresholds, break: null },
      clearTextReporter: { ...config.clearTextReporter, reportScoreTable: false },
      reporters: ["clear-text"]
    })
  }).runMutationTest()
  const count = (...statuses: ReadonlyArray<MutantStatus>) =>
    results.filter(({ status }) => statuses.includes(status)).length
  const survived = count("Survived", "NoCoverage")
  const mutants = survived + count("Killed", "Timeout")
  if (mutants === 0) return { wrong: true, told: "no mutants" }
  const told = `${survived} of ${mutants} mutants survived`
  if (sample === undefined) {
    const score = `${(100 * (1 - survived / mutants)).toFixed(2)} %`
    return { wrong: survived > part * mutants, told: `${told}: ${score}` }
  }
  const most = mostSurvivors(mutants, part)
  return { wrong: survived > most, told: `${told}, drawn from ${results.length}; up to ${most} may` }
}

process.env["PROPERTY_SEED"] ??= "1"
console.log(`PROPERTY_SEED=${process.env["PROPERTY_SEED"]}`)
const seed = values.seed ?? seedOf(join(import.meta.dirname, ".."), cores)
if (sample !== undefined) {
  process.env["MUTATION_SEED"] = seed
  process.env["MUTATION_SAMPLE"] = String(sample)
}

const chosen = cores.filter((core) =>
  files.some((file) => coreOf(file) === core) && (positionals.length === 0 || positionals.includes(core))
)
const ends: Array<string> = []
for (const core of chosen) {
  console.log(`\n${core}`)
  const end = await run(core).catch((error: unknown) => ({ wrong: true, told: String(error) }))
  if (end.wrong) process.exitCode = 1
  ends.push(`${end.wrong ? "FAIL" : "ok  "} ${core}: ${end.told}`)
}
console.log(`\n${ends.join("\n")}`)
if (sample !== undefined) {
  const mutate = values.mutate === undefined ? "" : ` --mutate '${values.mutate}'`
  console.log(`The same again: pnpm mutation ${chosen.join(" ")}${mutate} --sample ${sample} --seed ${seed}`)
}
