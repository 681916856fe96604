// `pnpm check`: every gate that needs no test run, in the order in which they are quickest to mend.
import { spawnSync } from "node:child_process"

const gates: ReadonlyArray<readonly [name: string, command: string, args: ReadonlyArray<string>]> = [
  ["format", "dprint", ["check"]],
  ["lint and import directions", "oxlint", ["--deny-warnings"]],
  ["types and Effect diagnostics", "tsc", ["-b"]]
]

const failed: Array<string> = []
for (const [name, command, args] of gates) {
  const started = performance.now()
  const { status } = spawnSync(command, args, { stdio: "inherit" })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${status === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`)
  if (status !== 0) failed.push(name)
}
if (failed.length > 0) {
  console.error(
    `\ncheck failed: ${failed.join(", ")}${failed.includes("format") ? ". `pnpm format` mends the first" : ""}`
  )
  process.exitCode = 1
}
