// What Effect itself says about the stability of its modules and of what they export, read from the installed version.
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { withoutComments } from "./text.ts"

/** Effect's own marks. */
export interface Marks {
  /** Modules that are not marked stable, as they are imported without `effect/`. */
  readonly unstableModules: ReadonlyArray<string>
  readonly stableModules: ReadonlyArray<string>
  /** What a stable module exports without calling it stable, as `Module.name`. */
  readonly unstableExports: ReadonlySet<string>
}

const mark = /@stability (\w+)/
const exported = /\/\*\*((?:(?!\*\/).)*?)\*\/\s*(?:export (?:declare |abstract )*\w+ (\w+)|\w+ as (\w+)[,\s}])/gs

/** The marks of the `effect` in `node_modules` below a folder. */
export const read = (root: string): Marks => {
  const sources = join(root, "node_modules/effect/src")
  const stableModules: Array<string> = []
  const unstableModules: Array<string> = []
  const unstableExports = new Set<string>()
  for (const path of globSync("{*,*/*}.ts", { cwd: sources }).toSorted()) {
    if (/(^|\/)(index\.ts$|internal\/)/.test(path)) continue
    const name = path.slice(0, -".ts".length)
    const text = readFileSync(join(sources, path), "utf8")
    // The first mark is that of the module.
    if (mark.exec(text)?.[1] !== "stable") {
      unstableModules.push(name)
      continue
    }
    stableModules.push(name)
    const marks = new Map<string, boolean>()
    for (const [, comment = "", declared, renamed] of text.matchAll(exported)) {
      const stable = mark.exec(comment)?.[1]
      const key = declared ?? renamed
      // A name with one stable meaning (a type and its constructor) counts as stable.
      if (key !== undefined && stable !== undefined) marks.set(key, marks.get(key) === true || stable === "stable")
    }
    for (const [key, stable] of marks) if (!stable) unstableExports.add(`${name}.${key}`)
  }
  if (stableModules.length === 0 || unstableModules.length === 0) {
    throw new Error("the marks of stability are not where they were: see tools/gates/effect.ts")
  }
  return { stableModules, unstableExports, unstableModules }
}

/** Where a source uses, as a value or as a type, what a stable module exports without calling it stable. */
export const unstableUses = (
  source: string,
  { unstableExports }: Marks
): ReadonlyArray<{ readonly line: number; readonly name: string }> => {
  const code = withoutComments(source)
  const uses: Array<{ readonly at: number; readonly name: string }> = []
  for (
    const { 1: names = "", 2: module = "", index } of code.matchAll(/\bimport\s+([^"]*?)\s*from "effect\/([^"]+)"/g)
  ) {
    const [, namespace] = /\* as (\w+)/.exec(names) ?? []
    if (namespace === undefined) {
      for (const [name] of names.matchAll(/\w+/g)) uses.push({ at: index, name: `${module}.${name}` })
    } else {
      for (const use of code.matchAll(new RegExp(`(?<![.\\w])${namespace}\\.(\\w+)`, "g"))) {
        uses.push({ at: use.index, name: `${module}.${use[1] ?? ""}` })
      }
    }
  }
  return uses.filter(({ name }) => unstableExports.has(name)).map(({ at, name }) => ({
    line: code.slice(0, at).split("\n").length,
    name
  }))
}
