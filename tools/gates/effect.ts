// What Effect itself says about the stability of its modules and of what they export, read from the installed version.
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** Effect's own marks. */
export interface Marks {
  /** Modules that are not marked stable, as they are imported without `effect/`. */
  readonly unstableModules: ReadonlyArray<string>
  readonly stableModules: ReadonlyArray<string>
  /** What a stable module exports without calling it stable, as `Module.name`. */
  readonly unstableExports: ReadonlyArray<string>
}

const mark = /@stability (\w+)/
const exported = /\/\*\*((?:(?!\*\/).)*?)\*\/\s*(?:export (?:declare |abstract )*\w+ (\w+)|\w+ as (\w+)[,\s}])/gs

/** The marks of the `effect` in `node_modules` below a folder. */
export const read = (root: string): Marks => {
  const sources = join(root, "node_modules/effect/src")
  const stableModules: Array<string> = []
  const unstableModules: Array<string> = []
  const unstableExports: Array<string> = []
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
    for (const [key, stable] of marks) if (!stable) unstableExports.push(`${name}.${key}`)
  }
  if (stableModules.length === 0 || unstableModules.length === 0) {
    throw new Error("the marks of stability are not where they were: see tools/gates/effect.ts")
  }
  return { stableModules, unstableExports, unstableModules }
}
