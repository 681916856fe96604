// `pnpm examples`: runs every program of the examples folder. Each starts what it needs, and ends by itself.
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const programs = readdirSync("examples").filter((name) => name.endsWith(".ts")).toSorted()
if (programs.length === 0) throw new Error("there are no examples")
const failed = programs.filter((name) => {
  console.log(`\n$ node examples/${name}`)
  return spawnSync(process.execPath, [join("examples", name)], { stdio: "inherit", timeout: 60_000 }).status !== 0
})
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(", ")}`)
  process.exitCode = 1
}
