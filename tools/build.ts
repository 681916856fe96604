// `pnpm build`: every package's JavaScript and types into its `dist`, from nothing, so that no deleted module lives on.
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

// A folder without a manifest is what a branch left behind.
const packages = readdirSync("packages").map((name) => join("packages", name))
  .filter((path) => existsSync(join(path, "package.json")))
for (const path of packages) rmSync(join(path, "dist"), { recursive: true, force: true })

const { status } = spawnSync("tsc", ["-b", ...packages], { stdio: "inherit" })
if (status !== 0) process.exit(status ?? 1)

// What was written has to load.
for (const path of packages) {
  const types = join(path, "dist", "index.d.ts")
  if (!existsSync(types)) throw new Error(`${types} is missing`)
  const loaded: object = await import(pathToFileURL(join(path, "dist", "index.js")).href)
  const names = Object.keys(loaded)
  if (names.length === 0) throw new Error(`${path} exports nothing`)
  console.log(`${path}: ${names.join(", ")}`)
}
