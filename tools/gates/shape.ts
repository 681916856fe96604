// The shape that every package has, as far as its text tells it: what an index does, what stands above an export, in
// which order a service's module goes, and what tests are called. CONTRIBUTING.md says why.
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { found, type Verdict } from "./gate.ts"

/** What each role is called in `@category`, by the name of the export and how it is declared. */
const roles: ReadonlyArray<readonly [category: string, is: (name: string, declaration: string) => boolean]> = [
  ["services", (_, declaration) => /\bContext\.(?:Service|Reference)</.test(declaration)],
  ["configuration", (name) => name === "Options" || name === "defaults" || name === "config"],
  ["constructors", (name) => name === "make"],
  ["layers", (name) => /^layer(?![a-z])/.test(name)]
]

/** The order of the roles in the module of a service. */
const order = ["configuration", "services", "constructors", "layers"]

interface Export {
  readonly name: string
  readonly line: number
  readonly comment: string
  readonly role: string | undefined
}

const declared = /^export (?:declare )?(?:const|class|interface|type|function|abstract class) (\w+)/

/** What a module exports by a declaration of its own, with the doc comment above it. */
const exportsOf = (text: string): ReadonlyArray<Export> => {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    const name = declared.exec(line)?.[1]
    if (name === undefined) return []
    const declaration = lines.slice(index, index + 2).join(" ")
    let start = index - 1
    while (lines[start]?.startsWith(" *") === true) start--
    return [{
      name,
      line: index + 1,
      comment: lines[start]?.startsWith("/**") === true ? lines.slice(start, index).join("\n") : "",
      role: roles.find(([, is]) => is(name, declaration))?.[0]
    }]
  })
}

/** The doc comment that a file begins with, and not one that belongs to an export. */
const leading = /^(?:#!.*\n)?\/\*\*\n(?: \*(?!\/| @category).*\n)* \* @since \d.*\n \*\/\n/

const read = (root: string, path: string): string => readFileSync(join(root, path), "utf8")

const module = (root: string, path: string): ReadonlyArray<string> => {
  const text = read(root, path)
  const all = exportsOf(text)
  // What lies in folders is a program's own (`cli`).
  const isPublic = path.split(/[\\/]/).length === 4
  const comments = all.flatMap(({ comment, line, name, role }) => {
    const category = /@category ([\w-]+)/.exec(comment)?.[1]
    if (category === undefined || !comment.includes("@since")) {
      return [`${path}:${line}: above ${name} stands no doc comment with its @category and @since`]
    }
    if (isPublic && comment.startsWith("/**\n * @")) return [`${path}:${line}: nothing says what ${name} is`]
    return role === undefined || category === role
      ? []
      : [`${path}:${line}: the category of ${name} is ${role} in this house, and here it is ${category}`]
  })
  const inOrder = !/^export class \w+ extends Context\.Service</m.test(text)
    ? []
    : all.filter(({ role }) => role !== undefined).flatMap(({ line, name, role }, index, ordered) => {
      const before = ordered[index - 1]
      return before === undefined || order.indexOf(before.role ?? "") <= order.indexOf(role ?? "")
        ? []
        : [`${path}:${line}: ${name} stands after ${before.name}. In the module of a service: ${order.join(", ")}`]
    })
  return [
    ...(leading.test(text)
      ? []
      : [`${path}:1: a module begins with a doc comment that says what it is, and its @since`]),
    ...comments,
    ...inOrder
  ]
}

/**
 * An index says what its package is, and only exports again: each public module, in order. A module with a small letter is an
 * entry point of its own (`@caprock/bedrock/promise`), for programs that don't import the index.
 */
const index = (root: string, folder: string): ReadonlyArray<string> => {
  const path = `${folder}/src/index.ts`
  const modules = globSync("src/*.ts", { cwd: join(root, folder) })
    .map((file) => basename(file, ".ts"))
    .filter((name) => /^[A-Z]/.test(name))
    // As the formatter orders them: without regard to small and large letters.
    .toSorted((a, b) => a.toLowerCase() < b.toLowerCase() ? -1 : 1)
  const expected = modules.map((name) => `export * as ${name} from "./${name}.ts"\n`).join("")
  const text = existsSync(join(root, path)) ? read(root, path) : ""
  const head = leading.exec(text)?.[0]
  return head !== undefined && text.slice(head.length) === expected
    ? []
    : [
      `${path}: an index says in a doc comment what its package is, exports each module beside it again, in order, ` +
      `and does nothing else`
    ]
}

/** A test with a capital is named after the module that it tests; the others are about an internal or a subject. */
const tests = (root: string, folder: string): ReadonlyArray<string> => {
  const modules = new Set(globSync("src/**/*.ts", { cwd: join(root, folder) }).map((file) => basename(file, ".ts")))
  return globSync("test/**/*.test.ts", { cwd: join(root, folder) }).toSorted().flatMap((file) => {
    const name = basename(file, ".test.ts")
    return /^[a-z]/.test(name) || modules.has(name)
      ? []
      : [`${folder}/${file}: there is no module ${name}. A test of a subject begins with a small letter`]
  })
}

/** Who opens an internal learns first what it is, too. */
const internal = (root: string, path: string): ReadonlyArray<string> =>
  /^\/(?:\/|\*\*)/.test(read(root, path)) ? [] : [`${path}:1: an internal begins with a comment that says what it is`]

/** The gate's part that is about shape. */
export const check = (root: string): Verdict =>
  found([
    ...globSync("packages/*/src/**/*.ts", { cwd: root })
      .filter((path) => basename(path) !== "index.ts")
      .toSorted()
      .flatMap((path) => path.includes("/internal/") ? internal(root, path) : module(root, path)),
    ...globSync("packages/*/package.json", { cwd: root })
      .map((path) => path.slice(0, -"/package.json".length))
      .toSorted()
      .flatMap((folder) => [...index(root, folder), ...tests(root, folder)])
  ])
