// `pnpm doctest`: type-checks and runs every TypeScript example that a reader may copy, from doc comments, README files
// and docs. TypeScript 7 has no JavaScript interface, so the examples are written to a folder that git ignores, and `tsc`
// is run over it once. What is wrong is told by the line of the source in which the example stands.
//
// A shell example whose fence is marked "run" is run too, in a folder of its own, with `caprock` on its path; there the
// comments are `# =>`.
//
// An example runs when its module is loaded: every Effect that it exports is run, and every Layer that it exports is
// built and closed. What it prints, line by line, is what its `// =>` comments say from top to bottom, where `…` stands
// for any text. An example of which nothing can run says so: its fence is marked "types-only".
import { fork, spawnSync } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join, relative } from "node:path"
import type { Outcome } from "./doctest-runner.ts"

const root = join(import.meta.dirname, "..")

/** A text that may hold examples. */
export interface Source {
  /** Relative to the root of the repository. */
  readonly path: string
  readonly text: string
}

/** One example. */
export interface Example {
  readonly path: string
  readonly language: "ts" | "sh"
  /** Of its first line, counted from 1. */
  readonly line: number
  /** Characters before the code in each line: the `*` of a doc comment, the indent of a list. */
  readonly indent: number
  /** A program of the examples folder, named in a comment above the fence: the tests of that folder run it. */
  readonly program: string | undefined
  /** Marked as one of which nothing can run. */
  readonly typesOnly: boolean
  readonly code: ReadonlyArray<string>
}

/** What is wrong with an example. */
export interface Problem {
  readonly path: string
  readonly line: number
  readonly column: number
  readonly message: string
}

// -----------------------------------------------------------------------------
// Finding them
// -----------------------------------------------------------------------------

const languages: ReadonlySet<string> = new Set(["ts", "typescript", "mts"])

const shells: ReadonlySet<string> = new Set(["sh", "bash"])

const found = ["packages/*/src/**/*.ts", "packages/*/README.md", "*.md", "docs/**/*.md"]

/** Every text of the repository in which examples are looked for. */
export const sources = (): ReadonlyArray<Source> =>
  found.flatMap((pattern) => globSync(pattern, { cwd: root })).toSorted().flatMap((path) => {
    try {
      return [{ path, text: readFileSync(join(root, path), "utf8") }]
    } catch (error) {
      // Other tests plant modules among the sources, and take them away again.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return []
      throw error
    }
  })

/** The fenced examples of a Markdown text, or of the doc comments of a module. Throws where a fence has no end. */
export const extract = ({ path, text }: Source): ReadonlyArray<Example> => {
  const examples: Array<Example> = []
  const module = path.endsWith(".ts")
  let comment = false
  let fence: { readonly mark: string; readonly checked: boolean; readonly example: Example } | undefined
  const code: Array<string> = []
  let above = ""
  const unclosed = (line: number) => new Error(`${path}:${line}: this example has no end`)

  for (const [index, line] of text.split("\n").entries()) {
    if (module && !comment) {
      comment = /^\s*\/\*\*/.test(line) && !line.includes("*/")
      continue
    }
    const margin = module ? /^\s*\*? ?/.exec(line)?.[0] ?? "" : ""
    if (module && line.includes("*/")) {
      if (fence !== undefined) throw unclosed(fence.example.line)
      comment = false
      continue
    }
    const content = line.slice(margin.length)
    const [, spaces = "", mark, info = ""] = /^(\s*(?:> ?)?)(`{3,}|~{3,})(.*)$/.exec(content) ?? []
    if (fence === undefined) {
      if (mark === undefined) {
        if (content.trim() !== "") above = content
        continue
      }
      const [language = "", ...marks] = info.trim().split(/\s+/)
      const shell = shells.has(language) && marks.includes("run")
      fence = {
        mark,
        checked: languages.has(language) || shell,
        example: {
          path,
          language: shell ? "sh" : "ts",
          line: index + 2,
          indent: margin.length + spaces.length,
          program: /^<!-- (examples\/\S+\.ts) -->$/.exec(above)?.[1],
          typesOnly: marks.includes("types-only"),
          code: []
        }
      }
      above = ""
    } else if (mark !== undefined && mark.startsWith(fence.mark) && info.trim() === "") {
      if (fence.checked) examples.push({ ...fence.example, code: code.splice(0) })
      code.length = 0
      fence = undefined
    } else {
      code.push(line.slice(fence.example.indent))
    }
  }
  if (fence !== undefined) throw unclosed(fence.example.line)
  return examples
}

// -----------------------------------------------------------------------------
// Checking them
// -----------------------------------------------------------------------------

// Under `examples`, so that an example can import what a program in the workspace can, and nothing else.
const folder = join(root, "examples", ".doctest")

const diagnostic = /^(.+?)\((\d+),(\d+)\): (error|warning|suggestion|message) (.*)$/s

/** A name that is declared to be shown needs no use. One that is imported does. */
const onlyDeclared = (example: Example, line: number, message: string): boolean =>
  /TS6(?:133|196|198)\b/.test(message) && !/^\s*import\b/.test(example.code[line - 1] ?? "")

/** Each as a module of its own, in a new folder of that name. */
const write = (examples: ReadonlyArray<Example>, name: string) => {
  const target = join(folder, name)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const files = new Map<string, Example>()
  for (const [index, example] of examples.entries()) {
    const file = `${String(index + 1).padStart(3, "0")}.ts`
    files.set(file, example)
    writeFileSync(join(target, file), example.code.join("\n") + "\n")
  }
  return { target, files }
}

/**
 * Type-checks examples, each as a module of its own, under the options of the tests. `name` is the folder that they are
 * written to: two runs at the same time need two names.
 */
export const check = (examples: ReadonlyArray<Example>, name: string): ReadonlyArray<Problem> => {
  const { files, target } = write(examples.filter(({ language }) => language === "ts"), name)
  writeFileSync(
    join(target, "tsconfig.json"),
    JSON.stringify({
      extends: relative(target, join(root, "tsconfig.test.json")).replaceAll("\\", "/"),
      compilerOptions: { composite: false, incremental: false, declaration: false, declarationMap: false },
      files: [...files.keys()],
      include: [],
      references: []
    })
  )
  const { error, status, stderr, stdout } = spawnSync("tsc", ["-p", ".", "--pretty", "false"], {
    cwd: target,
    encoding: "utf8"
  })
  if (error !== undefined) throw error

  const problems: Array<Problem> = []
  const elsewhere: Array<string> = []
  let silenced = 0
  for (const text of `${stdout}${stderr}`.split(/\n(?! )/)) {
    const [, file = "", line = "", column = "", severity, message = ""] = diagnostic.exec(text) ?? []
    const example = files.get(file)
    if (text.trim() === "" || severity === "suggestion" || severity === "message") continue
    if (example === undefined) elsewhere.push(text)
    else if (onlyDeclared(example, Number(line), message)) silenced++
    else {
      problems.push({
        path: example.path,
        line: example.line + Number(line) - 1,
        column: example.indent + Number(column),
        message
      })
    }
  }
  // What is not about an example may not pass for success: a compiler that did not run, a package that does not compile.
  if (elsewhere.length > 0 || (status !== 0 && problems.length + silenced === 0)) {
    throw new Error(`tsc ended with ${status}:\n${elsewhere.join("\n")}`)
  }
  return problems
}

// -----------------------------------------------------------------------------
// Running them
// -----------------------------------------------------------------------------

/** What an example says that it prints, with the line of each. */
const promised = (example: Example): ReadonlyArray<readonly [line: number, text: string]> =>
  example.code.flatMap((code, index) => {
    const text = /(?:^|\s)(?:\/\/|#) => (.*)$/.exec(code)?.[1]
    return text === undefined ? [] : [[index + 1, text.trimEnd()] as const]
  })

const matches = (text: string, printed: string): boolean =>
  new RegExp(`^${text.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(printed)

const judge = (example: Example, { error, printed, ran }: Outcome): Problem | undefined => {
  const at = (line: number, message: string): Problem => ({
    path: example.path,
    line: example.line + line - 1,
    column: example.indent + 1,
    message
  })
  // What it does then may happen during the next example, or never.
  const floating = example.code.findIndex((code) => /^(?:void )?Effect\.run(?:Promise|Fork)/.test(code))
  if (floating >= 0) return at(floating + 1, "nobody waits for it: export the Effect instead, or await it")
  if (error !== undefined) return at(error.line ?? example.code.length, error.message)
  const lines = promised(example)
  for (const [index, [line, text]] of lines.entries()) {
    const actual = printed[index]
    if (actual === undefined) return at(line, `it prints nothing more, and not: ${text}`)
    if (!matches(text, actual)) return at(line, `it prints: ${actual}`)
  }
  const more = printed[lines.length]
  if (more !== undefined) return at(example.code.length, `it also prints: ${more}`)
  if (ran.length === 0 && printed.length === 0) {
    return at(1, "nothing of it runs: print, export an Effect or a Layer, or mark the fence types-only")
  }
  return undefined
}

/** Starts a process that runs as many as it can, in a new folder, which is gone afterwards, and gives what it told of each. */
const inOneProcess = (target: string, files: ReadonlyArray<string>): Promise<ReadonlyArray<Outcome>> => {
  const { promise, reject, resolve } = Promise.withResolvers<ReadonlyArray<Outcome>>()
  const outcomes: Array<Outcome> = []
  let errors = ""
  const folder = mkdtempSync(join(tmpdir(), "doctest-"))
  const child = fork(join(import.meta.dirname, "doctest-runner.ts"), files.map((file) => join(target, file)), {
    cwd: folder,
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })
  child.stderr?.on("data", (chunk) => {
    errors += String(chunk)
  })
  child.on("message", (outcome: Outcome) => {
    outcomes.push(outcome)
  })
  child.on("error", reject)
  child.on("close", (code, signal) => {
    rmSync(folder, { recursive: true, force: true })
    // The one that was under way when the process ended, ended it.
    const file = files[outcomes.length]
    const message = `it ends the process (${signal ?? code}): ${errors.trim().split("\n").slice(-8).join(" ")}`
    resolve(
      file === undefined ? outcomes : [...outcomes, { file, printed: [], ran: [], error: { message, line: undefined } }]
    )
  })
  return promise
}

/** Runs a shell example in a new folder, which is gone afterwards. Without anybody's start-up files: bash may read them where `SHLVL` is not set. */
const inShell = (example: Example): Outcome => {
  const folder = mkdtempSync(join(tmpdir(), "doctest-"))
  try {
    const caprock = join(folder, ".bin", "caprock")
    mkdirSync(join(folder, ".bin"))
    writeFileSync(caprock, `#!/bin/sh\nexec "${process.execPath}" "${root}/packages/cli/bin/caprock.js" "$@"\n`, {
      mode: 0o755
    })
    const { signal, status, stderr, stdout } = spawnSync("bash", [
      "--norc",
      "-euo",
      "pipefail",
      "-c",
      example.code.join("\n")
    ], {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, PATH: [join(folder, ".bin"), process.env.PATH].join(delimiter) },
      timeout: 60_000
    })
    return {
      file: example.path,
      ran: ["shell"],
      printed: stdout.split("\n").map((line) => line.trimEnd()).filter((line) => line !== ""),
      ...(status === 0
        ? {}
        : {
          error: { message: `it ends with ${signal ?? status}: ${stderr.trim().split("\n").at(-1)}`, line: undefined }
        })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs examples, and compares what they print with what they say that they print. `name` as in {@link check}. */
export const run = async (examples: ReadonlyArray<Example>, name: string): Promise<ReadonlyArray<Problem>> => {
  const problems: Array<Problem> = []
  const modules: Array<Example> = []
  const judged = (example: Example, outcome: Outcome): void => {
    const problem = judge(example, outcome)
    if (problem !== undefined) problems.push(problem)
  }
  for (const example of examples) {
    const line = promised(example)[0]?.[0]
    if (example.program !== undefined) continue
    if (example.language === "sh") judged(example, inShell(example))
    else if (!example.typesOnly) modules.push(example)
    else if (line !== undefined) {
      const message = "it says what it prints, and is marked as one that does not run"
      problems.push({ path: example.path, line: example.line + line - 1, column: example.indent + 1, message })
    }
  }
  const { files, target } = write(modules, name)
  const names = [...files.keys()]
  for (let next = 0; next < names.length;) {
    for (const outcome of await inOneProcess(target, names.slice(next))) {
      const example = modules[next++]
      if (example !== undefined) judged(example, outcome)
    }
  }
  return problems
}

/** As editors and terminals make it a link. */
export const render = ({ column, line, message, path }: Problem): string => `${path}:${line}:${column} ${message}`

if (import.meta.main) {
  const examples = sources().flatMap(extract)
  const problems = [...check(examples, "script"), ...await run(examples, "script-run")]
  for (const problem of problems) console.error(render(problem))
  const typesOnly = examples.filter((example) => example.typesOnly).length
  const programs = examples.filter(({ program }) => program !== undefined).length
  console.log(
    `${examples.length} examples: ${examples.length - typesOnly - programs} run here, ` +
      `${programs} by \`pnpm examples\` and the tests, ${typesOnly} not; ${problems.length} problems`
  )
  if (problems.length > 0) process.exitCode = 1
}
