// `pnpm mutation`: breaks the pure cores in every small way, one at a time, and fails when a core's own tests notice fewer than 95 % of it.
// Names of cores narrow it, as do the flags of Stryker: `pnpm mutation quota`, `pnpm mutation --mutate packages/quota/src/Pool.ts`.
// Property runs draw the same for each mutant, and in each run unless told another PROPERTY_SEED, so that a mutant that survived
// here survives anywhere (`tools/properties.ts` says how to draw the same again without Stryker).
//
// In `quota`, what is evaluated once when a module is loaded is left out: tables of models, weights and names, of which each mutant would
// cost a run of all tests. They have tests nevertheless.
import { spawnSync } from "node:child_process"
import config from "./stryker.config.json" with { type: "json" }

const cores = ["errors", "quota", "backoff", "rate-limiter"]
const flags = process.argv.slice(2).filter((argument) => !cores.includes(argument))
const named = cores.filter((core) =>
  process.argv.slice(2).some((argument) => argument === core || argument.includes(`packages/${core}/`))
)
const seed = process.env["PROPERTY_SEED"] ?? "1"
console.log(`PROPERTY_SEED=${seed}`)

const failed: Array<string> = []
for (const core of named.length > 0 ? named : cores) {
  console.log(`\n${core}`)
  const files = config.mutate.filter((file) => file.startsWith(`packages/${core}/`)).join(",")
  const { status } = spawnSync(
    "stryker",
    ["run", "tools/stryker.config.json", "--mutate", files, ...(core === "quota" ? ["--ignoreStatic"] : []), ...flags],
    { stdio: "inherit", env: { ...process.env, PROPERTY_SEED: seed, MUTATED_CORE: core } }
  )
  if (status !== 0) failed.push(core)
}
if (failed.length > 0) {
  console.error(`\nmutation: below 95 %, or not run: ${failed.join(", ")}`)
  process.exitCode = 1
}
