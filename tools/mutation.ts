// `pnpm mutation [--mutate <file>,…] [flags of Stryker]`: breaks the pure cores in every small way, one at a time, and fails when their own
// tests notice fewer than 95 % of it. Property runs draw the same for each mutant, and from one run to the next unless told another
// seed, so that a mutant that survived here survives anywhere.
import { spawnSync } from "node:child_process"

const seed = process.env["PROPERTY_SEED"] ?? "1"
console.log(`PROPERTY_SEED=${seed}`)
const { status } = spawnSync("stryker", ["run", "tools/stryker.config.json", ...process.argv.slice(2)], {
  stdio: "inherit",
  env: { ...process.env, PROPERTY_SEED: seed }
})
process.exitCode = status ?? 1
