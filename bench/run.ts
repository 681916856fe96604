// `pnpm bench <name> [flags]`: runs one benchmark. Without a name it says which there are.
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const here = import.meta.dirname
const names = readdirSync(here).filter((file) => file.endsWith(".ts") && file !== "run.ts").map((file) =>
  file.slice(0, -3)
)
const [name, ...flags] = process.argv.slice(2)
if (name !== undefined && names.includes(name)) {
  process.exitCode = spawnSync(process.execPath, [join(here, `${name}.ts`), ...flags], { stdio: "inherit" }).status ?? 1
} else {
  console.error(`pnpm bench <name>, one of: ${names.join(", ")}`)
  process.exitCode = 2
}
