// `pnpm check`: every gate that needs no test run. They run side by side, and are told in the order in which they are
// quickest to mend. With names of gates (`pnpm check lint types`), only those.
import { join } from "node:path"
import * as Api from "./gates/api.ts"
import { all, found, type Gate, tool } from "./gates/gate.ts"
import * as House from "./gates/house.ts"
import * as Shape from "./gates/shape.ts"

/** All of them. */
export const gates: ReadonlyArray<Gate> = [
  {
    name: "format",
    holds: "one format: `pnpm format` writes it",
    run: (root) => tool(root, "dprint", ["check"])
  },
  {
    name: "lint",
    holds: "imports, cycles, unstable modules, SDK clients, ambient time and chance, any",
    run: (root) => tool(root, "oxlint", ["--deny-warnings"])
  },
  {
    name: "house",
    holds: "the import table, manifests, exceptions, the shape of modules",
    run: (root) => all([Promise.resolve(House.check(root)), Promise.resolve(Shape.check(root))])
  },
  {
    name: "unused",
    holds: "code, files and dependencies are used and declared",
    run: (root) =>
      all([
        tool(root, "knip", ["--no-progress"]),
        // What only tests use, and what sources need though it is declared for tests. What is declared and only needed
        // for its types is not its concern.
        tool(root, "knip", [
          "--no-progress",
          "--strict",
          "--no-tag-hints",
          "--exclude=dependencies",
          "--workspace=@caprock/*"
        ])
      ])
  },
  {
    name: "types",
    holds: "types, Effect diagnostics, and the public API as it was committed",
    run: async (root) => {
      const types = await tool(root, "tsc", ["-b"])
      return types.ok ? Api.check(root) : types
    }
  }
]

/** Runs gates on a checkout, tells of each as soon as those before it are told, and gives the names of the failed. */
export const check = async (
  root: string,
  gates: ReadonlyArray<Gate>,
  tell: (line: string) => void
): Promise<ReadonlyArray<string>> => {
  const started = performance.now()
  const runs = gates.map(async ({ holds, name, run }) => {
    const verdict = await run(root).catch((error: unknown) => found([String(error)]))
    return { holds, name, ...verdict, seconds: ((performance.now() - started) / 1000).toFixed(1) }
  })
  const failed: Array<string> = []
  for (const run of runs) {
    const { holds, name, ok, output, seconds } = await run
    tell(`${ok ? "ok  " : "FAIL"} ${name}: ${holds} (${seconds} s)`)
    if (ok) continue
    tell(`${output.trimEnd()}\n`)
    failed.push(name)
  }
  return failed
}

if (import.meta.main) {
  const names = process.argv.slice(2)
  const unknown = names.filter((name) => !gates.some((gate) => gate.name === name))
  if (unknown.length > 0) {
    throw new Error(`no such gate: ${unknown.join(", ")}. There are ${gates.map(({ name }) => name).join(", ")}`)
  }
  const chosen = gates.filter(({ name }) => names.length === 0 || names.includes(name))
  const failed = await check(join(import.meta.dirname, ".."), chosen, console.log)
  if (failed.length > 0) {
    console.error(`check failed: ${failed.join(", ")}`)
    process.exitCode = 1
  }
}
