// `pnpm api`: accepts the public API of every package as it is now, by writing its report anew.
import { join } from "node:path"
import * as Api from "./gates/api.ts"
import { tool } from "./gates/gate.ts"

const root = join(import.meta.dirname, "..")
const { ok, output } = await tool(root, "tsc", ["-b"])
if (ok) {
  const written = Api.write(root)
  console.log(written.length === 0 ? "no report has changed" : written.join("\n"))
} else {
  console.error(output)
  process.exitCode = 1
}
