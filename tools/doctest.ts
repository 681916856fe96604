// `pnpm doctest`: type-checks every TypeScript example that a reader may copy, from doc comments, README files and
// docs. TypeScript 7 has no JavaScript interface, so the examples are written to a folder that git ignores, and `tsc`
// is run over it once. What it reports is told by the line of the source in which the example stands.
import { spawnSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"

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
  /** Of its first line, counted from 1. */
  readonly line: number
  /** Characters before the code in each line: the `*` of a doc comment, the indent of a list. */
  readonly indent: number
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

const found = ["packages/*/src/**/*.ts", "packages/*/README.md", "README.md", "docs/**/*.md"]

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
      if (mark === undefined) continue
      const checked = languages.has(info.trim().split(/\s/)[0] ?? "")
      fence = { mark, checked, example: { path, line: index + 2, indent: margin.length + spaces.length, code: [] } }
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

/**
 * Type-checks examples, each as a module of its own, under the options of the tests. `name` is the folder that they are
 * written to: two runs at the same time need two names.
 */
export const check = (examples: ReadonlyArray<Example>, name: string): ReadonlyArray<Problem> => {
  const target = join(folder, name)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const files = new Map<string, Example>()
  for (const [index, example] of examples.entries()) {
    const file = `${String(index + 1).padStart(3, "0")}.ts`
    files.set(file, example)
    writeFileSync(join(target, file), example.code.join("\n") + "\n")
  }
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

/** As editors and terminals make it a link. */
export const render = ({ column, line, message, path }: Problem): string => `${path}:${line}:${column} ${message}`

if (import.meta.main) {
  const examples = sources().flatMap(extract)
  const problems = check(examples, "script")
  for (const problem of problems) console.error(render(problem))
  console.log(`${examples.length} examples, ${problems.length} problems`)
  if (problems.length > 0) process.exitCode = 1
}
