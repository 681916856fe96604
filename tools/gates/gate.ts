// What a gate is: a question about a checkout, answered with everything that is wrong, and how to mend it.
import { spawn } from "node:child_process"
import { delimiter, join } from "node:path"
import { stripVTControlCharacters } from "node:util"

/** What a gate found. */
export interface Verdict {
  readonly ok: boolean
  /** What is wrong and where, for the one who has to mend it. What a passing gate has to say is not shown. */
  readonly output: string
}

/** One of the things that `pnpm check` holds. It looks at the checkout below `root`, and nowhere else. */
export interface Gate {
  readonly name: string
  readonly holds: string
  readonly run: (root: string) => Promise<Verdict>
}

/** Runs a tool of the checkout's own, in its root. */
export const tool = (root: string, command: string, args: ReadonlyArray<string>): Promise<Verdict> =>
  new Promise((resolve, reject) => {
    const PATH = [join(root, "node_modules/.bin"), process.env["PATH"] ?? ""].join(delimiter)
    const child = spawn(command, args, { cwd: root, env: { ...process.env, PATH }, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.on("error", (error) => reject(new Error(`${command} could not be run`, { cause: error })))
    // Where `CI` is set, oxlint writes in colour whatever else is.
    child.on("close", (code) => resolve({ ok: code === 0, output: stripVTControlCharacters(output) }))
  })

/** A gate of several parts, which passes where all do. */
export const all = async (parts: ReadonlyArray<Promise<Verdict>>): Promise<Verdict> => {
  const verdicts = await Promise.all(parts)
  return {
    ok: verdicts.every(({ ok }) => ok),
    output: verdicts.filter(({ ok }) => !ok).map(({ output }) => output.trimEnd()).join("\n")
  }
}

/** A gate of our own, which passes where it finds nothing. */
export const found = (findings: ReadonlyArray<string>): Verdict => ({
  ok: findings.length === 0,
  output: findings.join("\n")
})
