// The checks of a packed package that need nothing but the tarball.
import { builtinModules } from "node:module"
import { join, normalize } from "node:path/posix"
import { parseSync } from "rolldown/utils"
import { type Budget, neighbours, withoutAws } from "./budgets.ts"
import type { Problem } from "./problem.ts"
import type { Manifest, Tarball } from "./tarball.ts"

type Report = (file: string, message: string, mend: string) => void

const collect = (manifest: Manifest, run: (report: Report) => void): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  run((file, message, mend) => problems.push({ package: manifest.name, file, message, mend }))
  return problems
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

// -----------------------------------------------------------------------------
// Entry points
// -----------------------------------------------------------------------------

/** One thing that a user can import. */
export interface Entry {
  /** As `exports` writes it: `.` or `./Name`. */
  readonly subpath: string
  /** As it is imported. */
  readonly specifier: string
  readonly types: string
  readonly code: string
}

const stemOf = (pattern: string, path: string): string | undefined => {
  const [head = "", tail = ""] = pattern.split("*")
  return path.length > head.length + tail.length && path.startsWith(head) && path.endsWith(tail)
    ? path.slice(head.length, path.length - tail.length)
    : undefined
}

const inside = (target: string): string => target.replace(/^\.\//, "")

/** Every entry point of a package, with the wildcards written out by the files that they match. */
export const entries = (
  { files, manifest }: Pick<Tarball, "files" | "manifest">
): { readonly entries: ReadonlyArray<Entry>; readonly problems: ReadonlyArray<Problem> } => {
  const found: Array<Entry> = []
  const problems = collect(manifest, (report) => {
    const all = Object.entries(manifest.exports ?? {})
    if (!all.some(([subpath]) => subpath === ".")) {
      report("package.json", "`exports` has no \".\"", "export the index")
    }
    const closed = all.flatMap(([subpath, target]) => target === null ? [subpath] : [])
    const isClosed = (subpath: string) =>
      closed.some((pattern) => pattern.includes("*") ? stemOf(pattern, subpath) !== undefined : pattern === subpath)
    for (const [subpath, target] of all) {
      if (target === null) continue
      const types = isRecord(target) ? target["types"] : undefined
      const code = isRecord(target) ? target["default"] : undefined
      if (
        typeof types !== "string" || typeof code !== "string" || !isRecord(target) ||
        Object.keys(target).join() !== "types,default"
      ) {
        report(
          "package.json",
          `\`exports["${subpath}"]\` is ${JSON.stringify(target)}`,
          "give `publishConfig.exports` both, in this order: { \"types\": \"./dist/X.d.ts\", \"default\": \"./dist/X.js\" }"
        )
        continue
      }
      const stems = subpath.includes("*")
        ? [...files.keys()].flatMap((path) => stemOf(inside(code), path) ?? [])
        : [""]
      if (stems.length === 0) {
        report("package.json", `\`exports["${subpath}"]\` matches no file`, "build first, or take the entry out")
      }
      const opened = new Set<string>()
      for (const stem of stems) {
        const entry: Entry = {
          subpath: subpath.replace("*", stem),
          specifier: join(manifest.name, subpath.replace("*", stem)),
          types: inside(types).replace("*", stem),
          code: inside(code).replace("*", stem)
        }
        if (subpath.includes("*") && isClosed(entry.subpath)) continue
        if (stem.includes("/")) opened.add(stem.slice(0, stem.lastIndexOf("/")))
        for (const path of [entry.types, entry.code]) {
          if (files.has(path)) continue
          report(
            "package.json",
            `\`exports["${entry.subpath}"]\` leads to ${path}, which is not in the tarball`,
            "run `pnpm build`; if the module is gone, take the entry out"
          )
        }
        found.push(entry)
      }
      for (const folder of opened) {
        const pattern = subpath.replace("*", folder)
        report(
          "package.json",
          `\`exports["${subpath}"]\` makes all of ${pattern} public`,
          `close it with "${pattern}/*": null, or list the entries one by one`
        )
      }
    }
  })
  return { entries: found, problems }
}

// -----------------------------------------------------------------------------
// The manifest
// -----------------------------------------------------------------------------

/** Everything that package.json has to say, and must not. */
const manifestProblems = ({ files, manifest }: Tarball): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    const wrong = (message: string, mend: string) => report("package.json", message, mend)
    if (!/^\d+\.\d+\.\d+/.test(manifest.version)) {
      wrong(`its version is "${manifest.version}"`, "give it a semantic one")
    }
    if ((manifest.description ?? "") === "") wrong("it has no `description`", "say in a line what the package is for")
    if (manifest.license !== "Apache-2.0") {
      wrong(`its license is "${manifest.license}"`, "write \"license\": \"Apache-2.0\"")
    }
    if (manifest.type !== "module") wrong("it is no ES module", "write \"type\": \"module\"")

    const dependencies = { ...manifest.dependencies, ...manifest.peerDependencies }
    for (const [name, range] of Object.entries(dependencies)) {
      if (!/^(workspace|catalog|link|file|portal):/.test(range)) continue
      wrong(
        `the range of ${name} is "${range}", which no registry knows`,
        "pack with pnpm, which writes the version instead"
      )
    }

    const peer = manifest.peerDependencies?.["effect"] !== undefined
    const own = manifest.dependencies?.["effect"] !== undefined
    if (manifest.name in neighbours) {
      if (!own) {
        wrong(
          "`effect` is not a dependency, and programs without it, or with Effect 3, import an entry point of this package",
          "add it to `dependencies`"
        )
      }
      if (peer) {
        wrong(
          "`effect` is a peer, and pnpm gives it the Effect 3 of a program that has one",
          "leave it in `dependencies` only"
        )
      }
    } else if (!peer) {
      wrong(
        "`effect` is not a peer",
        "add it to `peerDependencies`: a program has one Effect, and the package takes the program's"
      )
    }
    if (manifest.bin === undefined && own && !(manifest.name in neighbours)) {
      wrong(
        "`effect` is a dependency",
        "leave it in `peerDependencies` only: two copies of Effect in one program collide without a word"
      )
    }
    if (manifest.bin !== undefined && !own) {
      wrong(
        "`effect` is not a dependency, and the program does not start where nobody installs peers (yarn, pnpm without autoInstallPeers)",
        "a package with `bin` has it in `dependencies` and in `peerDependencies`"
      )
    }

    const { sideEffects } = manifest
    if (manifest.bin === undefined && sideEffects !== false) {
      wrong(
        `\`sideEffects\` is ${JSON.stringify(sideEffects)}`,
        "write \"sideEffects\": false, so that bundlers drop what is not used"
      )
    }
    if (manifest.bin !== undefined && !Array.isArray(sideEffects)) {
      wrong(
        `\`sideEffects\` is ${JSON.stringify(sideEffects)}, but the program is one`,
        "list the files of the program, and no others"
      )
    }
    for (const file of Array.isArray(sideEffects) ? sideEffects : []) {
      if (files.has(inside(file))) continue
      wrong(`\`sideEffects\` names ${file}, which is not in the tarball`, "name the files as they are packed")
    }
    for (const [name, file] of Object.entries(manifest.bin ?? {})) {
      const program = files.get(inside(file))
      if (program === undefined) wrong(`\`bin.${name}\` is ${file}, which is not in the tarball`, "add it to `files`")
      else if (!program.startsWith("#!/usr/bin/env node\n")) {
        report(inside(file), "it is a program without a first line for the shell", "begin it with #!/usr/bin/env node")
      }
    }
    for (const [name, target] of Object.entries(manifest.imports ?? {})) {
      if (typeof target === "string" && inside(target).startsWith("dist/")) continue
      wrong(
        `\`imports["${name}"]\` is ${JSON.stringify(target)}, which Node can't load from node_modules`,
        "override it in `publishConfig.imports`, or do without"
      )
    }
    for (const file of ["README.md", "LICENSE"]) {
      if (!files.has(file)) {
        report(file, "it is not in the tarball", "write it; the LICENSE comes from the root by itself")
      }
    }
  })

const effectOf = ({ dependencies, peerDependencies }: Manifest): string | undefined =>
  peerDependencies?.["effect"] ?? dependencies?.["effect"]

/** `effect` has one range in all packages, or npm refuses to install two of them together. */
export const effectProblems = (manifests: ReadonlyArray<Manifest>): ReadonlyArray<Problem> => {
  const ranges = Map.groupBy(manifests, effectOf)
  const usual = [...ranges].toSorted(([, a], [, b]) => b.length - a.length)[0]?.[0]
  return manifests.filter((manifest) => effectOf(manifest) !== usual).map((manifest) => ({
    package: manifest.name,
    file: "package.json",
    message: `it asks for \`effect\` "${effectOf(manifest)}", and the other packages for "${usual}"`,
    mend: "write the same range"
  }))
}

// -----------------------------------------------------------------------------
// The files
// -----------------------------------------------------------------------------

const outputs = [".js", ".js.map", ".d.ts", ".d.ts.map"]

/** A file that has no business in the tarball, and one that is missing from it. */
const fileProblems = ({ files, manifest }: Tarball): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    const programs = new Set(Object.values(manifest.bin ?? {}).map(inside))
    for (const path of files.keys()) {
      if (["package.json", "README.md", "CHANGELOG.md", "LICENSE"].includes(path) || programs.has(path)) continue
      const source = /^src\/(.+)\.ts$/.exec(path)?.[1]
      if (source !== undefined && !/\.(test|spec|d)$/.test(source)) {
        for (const output of outputs.map((extension) => `dist/${source}${extension}`)) {
          if (!files.has(output)) report(path, `${output} is not in the tarball`, "run `pnpm build` before packing")
        }
        continue
      }
      const output = /^dist\/(.+?)(\.js|\.d\.ts)(\.map)?$/.exec(path)?.[1]
      if (output === undefined) {
        report(
          path,
          "it is neither a source nor built from one",
          "take it out of `files` in package.json, for instance with \"!path\""
        )
      } else if (!files.has(`src/${output}.ts`)) {
        report(
          path,
          `it is an orphan: there is no src/${output}.ts`,
          "run `pnpm build`, which begins with an empty `dist`"
        )
      }
    }
    for (const [path, content] of files) {
      if (!path.startsWith("dist/") || !path.endsWith(".map")) continue
      const map: { readonly sources?: ReadonlyArray<string> } = JSON.parse(content)
      for (const source of map.sources ?? []) {
        if (files.has(join(path, "..", source))) continue
        report(path, `it maps to ${source}, which is not in the tarball`, "pack `src`, or build without maps")
      }
    }
  })

/** What is packed was built from sources that have changed since; the times are those of the youngest files. */
export const ageProblems = (manifest: Manifest, sources: number, built: number): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    if (sources > built) report("dist", "it is older than the sources", "run `pnpm build`")
  })

// -----------------------------------------------------------------------------
// What modules ask for, and do when they load
// -----------------------------------------------------------------------------

const parse = (path: string, source: string) =>
  parseSync(path, source, { lang: path.endsWith(".d.ts") ? "dts" : "js", sourceType: "module" })

/** Every module that a module names: what it imports and re-exports, `import("...")` as code and as type. */
export const specifiers = (path: string, source: string): ReadonlyArray<string> => {
  const { module, program } = parse(path, source)
  const named: Array<string> = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap((statement) =>
      statement.entries.flatMap((entry) => entry.moduleRequest?.value ?? [])
    ),
    // A choice of several is a list of literals.
    ...module.dynamicImports.flatMap(({ moduleRequest }) =>
      [...source.slice(moduleRequest.start, moduleRequest.end).matchAll(/(["'])((?:node:|[.#@\w])[^"']*)\1/g)]
        .map((match) => match[2] ?? "")
    )
  ]
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit)
    else if (isRecord(node)) {
      if (node["type"] === "TSImportType" && isRecord(node["source"]) && typeof node["source"]["value"] === "string") {
        named.push(node["source"]["value"])
      }
      Object.values(node).forEach(visit)
    }
  }
  if (path.endsWith(".d.ts")) visit(program.body)
  return [...new Set(named)]
}

/** The package that a specifier leads to. */
export const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

/** What a package imports from others and from Node, as specifiers. */
export const imported = ({ files, manifest }: Tarball): ReadonlyArray<string> => {
  const all = [...files].filter(([path]) => path.endsWith(".js")).flatMap(([path, source]) => specifiers(path, source))
  return [...new Set(all)].filter((specifier) => !/^[.#]/.test(specifier) && packageOf(specifier) !== manifest.name)
    .toSorted()
}

const isBuiltin = (specifier: string): boolean => specifier.startsWith("node:") || builtinModules.includes(specifier)

/** Imports of what is not in the tarball, and of packages that nobody would install. */
const importProblems = (tarball: Tarball): ReadonlyArray<Problem> =>
  collect(tarball.manifest, (report) => {
    const { files, manifest } = tarball
    const declared = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {})
    ])
    let needsNode: string | undefined
    const undeclared = new Set<string>()
    for (const [path, source] of files) {
      if (!/^(dist|bin)\/.*(\.js|\.d\.ts)$/.test(path)) continue
      for (const specifier of specifiers(path, source)) {
        if (specifier.startsWith(".")) {
          const target = normalize(join(path, "..", specifier))
          const typed = path.endsWith(".d.ts") ? target.replace(/(\.d)?\.[jt]s$/, ".d.ts") : target
          if (files.has(typed)) continue
          report(path, `it imports ${specifier}, which is not in the tarball`, "run `pnpm build`, or pack the file")
        } else if (isBuiltin(specifier)) {
          if (!path.endsWith(".d.ts")) needsNode ??= `${path} imports ${specifier}`
        } else if (specifier.startsWith("#")) {
          report(path, `it imports ${specifier}`, "import the file by its path: `imports` names sources")
        } else if (packageOf(specifier) !== manifest.name && !declared.has(packageOf(specifier))) {
          if (undeclared.has(packageOf(specifier))) continue
          undeclared.add(packageOf(specifier))
          report(
            path,
            `it imports ${specifier}, and the package does not depend on ${packageOf(specifier)}`,
            "add it to `dependencies` or `peerDependencies`; a devDependency is not installed with the package"
          )
        }
      }
    }
    if (needsNode !== undefined && manifest.engines?.["node"] === undefined) {
      report("package.json", `it does not say which Node it needs, and ${needsNode}`, "write `engines.node`")
    }
  })

const declarations: ReadonlySet<string> = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportDefaultDeclaration",
  "ExportAllDeclaration",
  "VariableDeclaration",
  "FunctionDeclaration",
  "ClassDeclaration"
])

/**
 * Statements that run when a module is loaded, where `sideEffects` promises that there are none. A call in a declaration
 * passes here; what it does to the process is looked at when every entry point is imported.
 */
const statementProblems = ({ files, manifest }: Tarball): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    const admitted = new Set(Array.isArray(manifest.sideEffects) ? manifest.sideEffects.map(inside) : [])
    for (const [path, source] of files) {
      if (!/^dist\/.*\.js$/.test(path) || admitted.has(path)) continue
      for (const node of parse(path, source).program.body) {
        if (declarations.has(node.type)) continue
        const line = source.slice(0, node.start).split("\n").length
        report(
          `${path}:${line}`,
          "loading the module does something, and `sideEffects` says that it does not",
          "move the statement into a function; only a program's own file may run by itself, listed in `sideEffects`"
        )
      }
    }
    for (const entry of entries({ files, manifest }).entries) {
      if (!admitted.has(entry.code)) continue
      report(
        "package.json",
        `importing \`${entry.specifier}\` would run the program`,
        "leave it out of `publishConfig.exports`"
      )
    }
  })

/** Whether an entry point is one of its own, for programs without Effect: its name has a small letter. */
const isOwnEntry = (subpath: string): boolean => /\/[a-z][^/]*$/.test(subpath)

/** Declarations of an entry point for programs without Effect that lead to Effect's. */
const declarationProblems = (tarball: Tarball): ReadonlyArray<Problem> =>
  collect(tarball.manifest, (report) => {
    for (const { specifier, subpath, types } of entries(tarball).entries) {
      if (!isOwnEntry(subpath)) continue
      const seen = new Set([types])
      for (const path of seen) {
        for (const asked of specifiers(path, tarball.files.get(path) ?? "")) {
          if (asked.startsWith(".")) seen.add(normalize(join(path, "..", asked)).replace(/(\.d)?\.[jt]s$/, ".d.ts"))
          else if (asked === "effect" || /^(?:effect|@effect|@caprock)\//.test(asked)) {
            report(
              path,
              `\`${specifier}\` is for programs without Effect, and its declarations lead to ${asked}`,
              "write the type down in words of its own, and let the compiler compare the two where the module is made"
            )
          }
        }
      }
    }
  })

// -----------------------------------------------------------------------------
// Weight and company
// -----------------------------------------------------------------------------

/** The file with the budgets. */
export const table = "tools/pack/budgets.ts"

const bytes = (count: number): string => count.toLocaleString("en")

/** A package over its budget, or without one. */
const budgetProblems = (
  { manifest, packed, unpacked }: Pick<Tarball, "manifest" | "packed" | "unpacked">,
  budget: Budget | undefined
): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    if (budget === undefined) {
      return report(
        table,
        "it has no budget",
        `add a row: ${bytes(packed)} bytes packed, ${bytes(unpacked)} unpacked today`
      )
    }
    for (
      const [what, is, may] of [["packed", packed, budget.packed], ["unpacked", unpacked, budget.unpacked]] as const
    ) {
      if (is <= may) continue
      report(
        table,
        `it is ${bytes(is)} bytes ${what}, and ${bytes(may)} is its budget`,
        `see what came in with \`tar tzvf\` on the tarball; if it is wanted, raise \`${what}\` and say why in \`reason\``
      )
    }
  })

/** A package in an empty project. */
export interface Pulled {
  readonly name: string
  readonly version: string
  readonly bytes: number
}

/** Packages of AWS, its SDK and what that is made of. */
const isAws = (name: string): boolean => /^(@aws-sdk|@aws-crypto|@aws|@smithy)\/|^aws-/.test(name)

/** What came with a package that should not. */
export const pullProblems = (
  manifest: Manifest,
  pulled: ReadonlyArray<Pulled>,
  budget: Budget | undefined
): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    if (budget === undefined) return
    const names = (list: ReadonlyArray<Pulled>) => list.map(({ name }) => name).toSorted().join(", ")
    const aws = pulled.filter(({ name }) => isAws(name))
    if ((!budget.aws || withoutAws.has(manifest.name)) && aws.length > 0) {
      report(
        "package.json",
        `installing it brings ${names(aws)}`,
        "take the dependency out: code that needs the SDK belongs in a package that stands on this one"
      )
    }
    if (pulled.length > budget.pulls) {
      report(
        table,
        `installing it brings ${pulled.length} packages, and ${budget.pulls} is its budget: ${names(pulled)}`,
        "do without the new one; if it is wanted, raise `pulls` and say why in `reason`"
      )
    }
  }).concat(budget === undefined ? [] : copyProblems(manifest, pulled, 1))

/** More copies than there may be: of Effect as many as are said, of our own packages one. */
export const copyProblems = (
  manifest: Manifest,
  pulled: ReadonlyArray<Pulled>,
  effects: number
): ReadonlyArray<Problem> =>
  collect(manifest, (report) => {
    for (const [name, copies] of Map.groupBy(pulled, ({ name }) => name)) {
      const may = name === "effect" ? effects : name.startsWith("@caprock/") ? 1 : Infinity
      if (copies.length <= may) continue
      report(
        "package.json",
        `${copies.length} copies of ${name} are installed: ${copies.map(({ version }) => version).join(", ")}`,
        "bring the ranges together: two copies in one program collide without a word"
      )
    }
  })

/** Everything that can be said of a tarball alone. */
export const problems = (tarball: Tarball, budget: Budget | undefined): ReadonlyArray<Problem> => [
  ...manifestProblems(tarball),
  ...entries(tarball).problems,
  ...fileProblems(tarball),
  ...importProblems(tarball),
  ...statementProblems(tarball),
  ...declarationProblems(tarball),
  ...budgetProblems(tarball, budget)
]
