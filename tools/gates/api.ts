// The public API of each package as text: the declarations of every module that its published `exports` open, without
// comments. The text is committed (`packages/*/api.txt`), so that a change of it is a diff that somebody reads.
import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, posix } from "node:path"
import { found, type Verdict } from "./gate.ts"
import { withoutComments } from "./text.ts"

/** Where the report of a package is committed, from the root of the repository. */
const file = (name: string): string => `packages/${name}/api.txt`

/** A declaration file's text, without what says nothing about the API. */
const normalise = (declarations: string): string =>
  withoutComments(declarations)
    .replace(/^export \{\};$/gm, "")
    .replace(/[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n")
    .trim()

type Exports = Readonly<Record<string, null | string | { readonly types: string }>>

interface Manifest {
  readonly name: string
  readonly exports: Exports
  readonly publishConfig?: { readonly exports?: Exports }
}

const matches = (pattern: string, path: string): string | undefined => {
  const [before = "", after] = pattern.split("*")
  if (after === undefined) return pattern === path ? "" : undefined
  return path.startsWith(before) && path.endsWith(after) && path.length >= before.length + after.length
    ? path.slice(before.length, path.length - after.length)
    : undefined
}

/** Each module that the published `exports` open, by its specifier, with its declaration file. Node picks as we do. */
const entries = (folder: string, { exports, name, publishConfig }: Manifest): ReadonlyMap<string, string> => {
  const open = publishConfig?.exports ?? exports
  // The sources say which there are: what is built may have orphans.
  const declared = globSync("**/*.ts", { cwd: join(folder, "src") }).map((path) =>
    `./dist/${path.replaceAll("\\", "/").slice(0, -".ts".length)}.d.ts`
  ).toSorted()
  const opened = new Map<string, string>()
  for (const [subpath, target] of Object.entries(open)) {
    if (target === null) continue
    const types = typeof target === "string" ? target : target.types
    if (!types.endsWith(".d.ts")) continue
    for (const path of declared) {
      const star = matches(types, path)
      if (star === undefined) continue
      const specifier = subpath.replace("*", star)
      const closed = Object.entries(open).some(([pattern, to]) =>
        to === null && matches(pattern, specifier) !== undefined
      )
      if (!closed) opened.set(posix.join(name, specifier), path)
    }
  }
  return opened
}

// -----------------------------------------------------------------------------
// What is not exported, and yet a part of what is
// -----------------------------------------------------------------------------

const words = (text: string): ReadonlyArray<string> => text.match(/[\w$]+/g) ?? []

const declaration =
  /^(?:export )?(?:declare )?(?:abstract )?(?:const|let|var|function|class|interface|type|namespace|enum) ([\w$]+)/

const everything = "*"

/** The statements of a declaration file that the wanted names are made of. One that we can't read is kept. */
const part = (text: string, wanted: ReadonlySet<string>): string => {
  if (wanted.has(everything)) return text
  const statements = text.split(/\n(?![\s})\]>|&])/).map((statement) => ({
    statement,
    names: statement.startsWith("import ")
      ? words(statement.slice("import ".length, statement.lastIndexOf(" from ")))
      : declaration.exec(statement)?.slice(1)
  }))
  const all = new Set(wanted)
  const kept = new Set<string>()
  let before: number
  do {
    before = kept.size
    for (const { names, statement } of statements) {
      if (kept.has(statement) || names?.some((name) => all.has(name)) === false) continue
      kept.add(statement)
      if (!statement.startsWith("import ")) { for (const word of words(statement)) all.add(word) }
    }
  } while (kept.size > before)
  return statements.map(({ statement }) => statement).filter((statement) => kept.has(statement)).join("\n")
}

const imported = /\b(import|export) ([^"]*?) from "(\.[^"]+)"|\bimport\("(\.[^"]+)"\)\.([\w$]+)/g

/** The names that a text takes from the modules beside it, by the specifier of each. */
const taken = (text: string): ReadonlyArray<readonly [specifier: string, names: ReadonlyArray<string>]> => {
  const used = new Set(words(text.replace(/^import .*$/gm, "")))
  return [...text.matchAll(imported)].map(([, keyword, clause = "", from, inline = "", member = ""]) => {
    if (from === undefined) return [inline, [member]]
    const [, namespace] = /\* as ([\w$]+)/.exec(clause) ?? []
    if (namespace !== undefined && keyword === "import") {
      const uses = text.matchAll(new RegExp(`(?<![.\\w$])${namespace}\\.([\\w$]+)`, "g"))
      return [from, [...uses].map(([, name = ""]) => name)]
    }
    if (!clause.includes("{")) return [from, [everything]]
    const names = [...clause.matchAll(/([\w$]+)(?: as ([\w$]+))?\s*[,}]/g)]
    return [from, names.flatMap(([, name = "", local = name]) => keyword === "export" || used.has(local) ? [name] : [])]
  })
}

/** Of each module that can't be imported, what the given ones are made of. */
const hidden = (
  opened: ReadonlyArray<string>,
  read: (path: string) => string
): ReadonlyArray<readonly [path: string, text: string]> => {
  const wanted = new Map<string, Set<string>>()
  const visit = (path: string, text: string): void => {
    for (const [specifier, names] of taken(text)) {
      const target = `./${posix.join(posix.dirname(path), specifier).replace(/(?:\.d)?\.[jt]s$/, "")}.d.ts`
      const known = wanted.get(target) ?? new Set()
      if (opened.includes(target) || names.every((name) => known.has(name))) continue
      wanted.set(target, new Set([...known, ...names]))
      visit(target, part(read(target), wanted.get(target) ?? known))
    }
  }
  for (const path of opened) visit(path, read(path))
  return [...wanted].map(([path, names]) => [path, part(read(path), names)] as const).toSorted(([a], [b]) =>
    a < b ? -1 : 1
  )
}

// -----------------------------------------------------------------------------
// Reports
// -----------------------------------------------------------------------------

/** The report of the package in a folder, from what `tsc` wrote last. */
export const report = (folder: string): string => {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest
  const opened = entries(folder, manifest)
  if (opened.size === 0) throw new Error(`${folder}: its exports open no module`)
  const read = (path: string): string => {
    if (!existsSync(join(folder, path))) throw new Error(`${join(folder, path)} is missing: \`pnpm build\` writes it`)
    return normalise(readFileSync(join(folder, path), "utf8"))
  }
  const sections = [
    ...[...opened].map(([specifier, path]) => `## ${specifier}\n\n${read(path)}`),
    ...hidden([...opened.values()], read).map(([path, text]) =>
      `## (not to be imported) ${path.slice("./dist/".length)}\n\n${text}`
    )
  ]
  return `# The public API of ${manifest.name}, written by \`pnpm api\`\n\n${sections.join("\n\n")}\n`
}

const diff = (before: string, after: string): string => {
  const folder = mkdtempSync(join(tmpdir(), "api-"))
  try {
    writeFileSync(join(folder, "before"), before)
    writeFileSync(join(folder, "after"), after)
    const args = ["diff", "--no-index", "--no-color", "--unified=1", "before", "after"]
    const lines = spawnSync("git", args, { cwd: folder, encoding: "utf8" }).stdout.split("\n").slice(4)
    return lines.map((line) => `  ${line}`.trimEnd()).join("\n").trimEnd()
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** How a report differs from the committed one, and how to accept it. Undefined where it does not. */
export const compare = (path: string, committed: string | undefined, now: string): string | undefined => {
  if (committed === now) return undefined
  const accept = `If it is meant: \`pnpm api\`, and commit ${path} with the change that made it.`
  return committed === undefined
    ? `${path}: this package has no report of its public API. ${accept}`
    : `${path}: the public API is not what was committed. ${accept}\n${diff(committed, now)}`
}

const packages = (root: string): ReadonlyArray<string> =>
  readdirSync(join(root, "packages")).filter((name) => existsSync(join(root, "packages", name, "package.json")))

/** The gate. It reads what `tsc` has just written. */
export const check = (root: string): Verdict =>
  found(
    packages(root).flatMap((name) => {
      const path = join(root, file(name))
      const committed = existsSync(path) ? readFileSync(path, "utf8") : undefined
      return compare(file(name), committed, report(join(root, "packages", name))) ?? []
    })
  )

/** Writes every report anew, and gives those that changed. */
export const write = (root: string): ReadonlyArray<string> =>
  packages(root).flatMap((name) => {
    const path = join(root, file(name))
    const now = report(join(root, "packages", name))
    if (existsSync(path) && readFileSync(path, "utf8") === now) return []
    writeFileSync(path, now)
    return [file(name)]
  })
