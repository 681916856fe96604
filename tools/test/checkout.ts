import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const repository = join(import.meta.dirname, "../..")

/** A copy of the repository as it stands, in which anything may be planted. */
export interface Checkout {
  readonly root: string
  readonly write: (path: string, text: string) => void
  /** Replaces text that has to be there. */
  readonly edit: (path: string, before: string, after: string) => void
  /** Puts every file back, and takes away what was not there. */
  readonly restore: () => void
  readonly remove: () => void
}

/** Copies what git knows of or would add, and what is built, and links what is installed. */
export const make = (): Checkout => {
  const root = mkdtempSync(join(tmpdir(), "checkout-"))
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", args, { cwd: repository, encoding: "utf8" }).split("\0").filter((path) => path !== "")
  const copy = (path: string) => {
    const from = join(repository, path)
    // A file may be gone though git still knows of it.
    if (existsSync(from)) {
      cpSync(from, join(root, path), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
    }
  }
  const paths = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
  for (const path of paths) copy(path)
  symlinkSync(join(repository, "node_modules"), join(root, "node_modules"))
  copy("dist")
  for (const folder of new Set(paths.filter((path) => path.endsWith("/package.json")).map(dirname))) {
    // Their links lead to the packages of the copy, and through its root to what is installed.
    copy(join(folder, "node_modules"))
    copy(join(folder, "dist"))
  }

  const before = new Map<string, string | undefined>()
  const write = (path: string, text: string) => {
    const target = join(root, path)
    if (!before.has(path)) before.set(path, existsSync(target) ? readFileSync(target, "utf8") : undefined)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  }
  return {
    root,
    write,
    edit: (path, from, to) => {
      const text = readFileSync(join(root, path), "utf8")
      if (!text.includes(from)) throw new Error(`${path} has no ${JSON.stringify(from)}`)
      write(path, text.replace(from, to))
    },
    restore: () => {
      for (const [path, text] of before) {
        if (text === undefined) rmSync(join(root, path))
        else writeFileSync(join(root, path), text)
      }
      before.clear()
    },
    remove: () => rmSync(root, { recursive: true, force: true })
  }
}
