// An empty project with one packed package in it, and what can be seen there.
import { spawnSync } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { rolldown } from "rolldown"
import { compilerOptions } from "./budgets.ts"
import { entries, imported, packageOf, type Pulled } from "./checks.ts"
import type { Problem } from "./problem.ts"
import type { Manifest, Tarball } from "./tarball.ts"

/** Where a project is, and the package that it is about. */
export interface Project {
  readonly folder: string
  readonly tarball: Tarball
  /** Which program of the package it is for, and what it depends on beside the package. */
  readonly program?: string
  readonly beside?: Readonly<Record<string, string>>
}

const json = (path: string, value: unknown) => writeFileSync(path, JSON.stringify(value, null, 2) + "\n")

const run = (folder: string, command: string, ...args: ReadonlyArray<string>) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: 120_000
  })
  return {
    ok: error === undefined && status === 0,
    stdout,
    stderr,
    output: `${stdout}${stderr}${error?.message ?? ""}`.trim()
  }
}

const onPath = spawnSync("pnpm", ["--version"]).status === 0

/** pnpm, as it is on the PATH of a pnpm script; else as the README calls it. */
export const pnpm = (folder: string, ...args: ReadonlyArray<string>) =>
  onPath ? run(folder, "pnpm", ...args) : run(folder, "npx", "-y", "pnpm@12", ...args)

/** The versions that the workspace is locked to, of packages that it has one version of. */
export const locked = (lockfile: string): Readonly<Record<string, string>> => {
  const packages = lockfile.split(/^packages:$/m)[1]?.split(/^snapshots:$/m)[0] ?? ""
  const versions = Map.groupBy(packages.matchAll(/^ {2}'?(@?[^@'\s]+)@([^'\s]+?)'?:$/gm), (match) => match[1] ?? "")
  return Object.fromEntries(
    [...versions].flatMap(([name, [match, another]]) =>
      another === undefined && match?.[2] !== undefined ? [[name, match[2]]] : []
    )
  )
}

const isOptional = ({ peerDependenciesMeta }: Manifest, name: string): boolean =>
  peerDependenciesMeta?.[name]?.optional === true

/**
 * Installs a package and the peers that it cannot do without, and nothing else. Peers are not installed by themselves, and what a
 * package does not declare it does not find. Our other packages come as tarballs, everything else as the workspace is locked to
 * it, so that no release of somebody else's fails a run; peers come by the declared range. A program gets no peers: whoever
 * installs it only wants to start it.
 */
export const install = (
  project: Project,
  path: string,
  others: Readonly<Record<string, string>>,
  versions: Readonly<Record<string, string>>
): ReadonlyArray<Problem> => {
  const { folder, tarball: { manifest } } = project
  const needed = Object.entries(manifest.peerDependencies ?? {}).filter(([name]) => !isOptional(manifest, name))
  const peers = project.beside ?? (manifest.bin === undefined ? Object.fromEntries(needed) : {})
  const pinned = Object.entries(versions).filter(([name]) => !(name in peers))
  mkdirSync(folder, { recursive: true })
  json(join(folder, "package.json"), {
    private: true,
    type: "module",
    dependencies: { [manifest.name]: `file:${path}`, ...peers }
  })
  json(join(folder, "pnpm-workspace.yaml"), {
    packages: [],
    autoInstallPeers: false,
    strictPeerDependencies: true,
    hoist: false,
    overrides: { ...Object.fromEntries(pinned), ...others }
  })
  const { ok, output } = pnpm(folder, "install", "--prefer-offline", "--ignore-scripts", "--reporter", "append-only")
  return ok ? [] : [{
    package: manifest.name,
    file: "package.json",
    message: `it can't be installed in an empty project with its peers (${
      Object.keys(peers).join(", ") || "none"
    }):\n${output}`,
    mend: "declare the peer that is missing, or the range that can be met"
  }]
}

const weigh = (path: string): number =>
  readdirSync(path, { withFileTypes: true, recursive: true }).reduce(
    (sum, entry) => entry.isFile() ? sum + lstatSync(join(entry.parentPath, entry.name)).size : sum,
    0
  )

/** Every package in the project. */
export const pulled = ({ folder }: Project, known: Map<string, number>): ReadonlyArray<Pulled> => {
  const store = join(folder, "node_modules", ".pnpm")
  return readdirSync(store).flatMap((key) => {
    const modules = join(store, key, "node_modules")
    if (!existsSync(modules)) return []
    const names = readdirSync(modules).flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name]
    )
    return names.flatMap((name) => {
      const path = join(modules, name)
      if (name.startsWith(".") || lstatSync(path).isSymbolicLink()) return []
      const { version }: Manifest = JSON.parse(readFileSync(join(path, "package.json"), "utf8"))
      const size = known.get(`${name}@${version}`) ?? weigh(path)
      known.set(`${name}@${version}`, size)
      return [{ name, version, bytes: size }]
    })
  })
}

// -----------------------------------------------------------------------------
// Loading
// -----------------------------------------------------------------------------

/**
 * A module that imports first `ground`, a module that imports what the package does, then each of the package's entry points,
 * and prints what these changed in the process, and which of them the index does not export.
 */
const probe = (tarball: Tarball, ground: string): string => {
  const all = entries(tarball).entries
  return `const intrinsics = { Array, ArrayBuffer, BigInt, Boolean, Date, Error, Function, JSON, Map, Math, Number, Object,
  Promise, Reflect, RegExp, Set, String, Symbol, URL, Uint8Array, WeakMap }
const keys = (value) => Reflect.ownKeys(value).map(String)
const look = () => ({
  "a global": keys(globalThis),
  "an intrinsic": Object.entries(intrinsics).flatMap(([name, value]) =>
    [...keys(value), ...keys(value.prototype ?? {}).map((key) => "prototype." + key)].map((key) => name + "." + key)),
  "a listener of the process": process.eventNames().flatMap((name) => Array(process.listenerCount(name)).fill(String(name))),
  "a variable of the environment": Object.entries(process.env).map(([name, value]) => name + "=" + value),
  "something that keeps the process alive": process.getActiveResourcesInfo()
})
const minus = (after, before) => {
  const left = [...before]
  return after.filter((item) => {
    const index = left.indexOf(item)
    if (index !== -1) left.splice(index, 1)
    return index === -1
  })
}
// Both are opened when they are first looked at.
process.stdout, process.stderr
const effects = []
const failures = []
await import(${JSON.stringify(pathToFileURL(ground).href)})
const modules = {}
for (const specifier of ${JSON.stringify(all.map(({ specifier }) => specifier))}) {
  const before = look()
  try {
    modules[specifier] = await import(specifier)
  } catch (error) {
    failures.push([specifier, String(error)])
  }
  const after = look()
  for (const what of Object.keys(before)) {
    for (const item of minus(after[what], before[what])) effects.push([specifier, what + ": " + item])
  }
}
const index = modules[${JSON.stringify(tarball.manifest.name)}] ?? {}
const exported = new Set(Object.values(index))
// With a small letter: an entry point of its own.
const hidden = Object.entries(modules).flatMap(([specifier, module]) =>
  module === index || exported.has(module) || /\\/[a-z][^/]*$/.test(specifier) ? [] : [specifier])
console.log(JSON.stringify({ failures, effects, hidden, names: Object.keys(index).length }))
`
}

interface Probed {
  readonly failures: ReadonlyArray<readonly [specifier: string, error: string]>
  readonly effects: ReadonlyArray<readonly [specifier: string, what: string]>
  readonly hidden: ReadonlyArray<string>
  readonly names: number
}

/** Imports every entry point in a Node process of its own. */
export const load = ({ folder, tarball }: Project): ReadonlyArray<Problem> => {
  const { manifest } = tarball
  const wrong = (file: string, message: string, mend: string): Problem => ({
    package: manifest.name,
    file,
    message,
    mend
  })
  // Beside the package, where all that it depends on is found. What it does without is not there.
  const ground = join(realpathSync(join(folder, "node_modules", manifest.name)), "..", "ground.mjs")
  const there = imported(tarball).filter((specifier) => !isOptional(manifest, packageOf(specifier)))
  writeFileSync(ground, there.map((specifier) => `import "${specifier}"\n`).join(""))
  writeFileSync(join(folder, "probe.mjs"), probe(tarball, ground))
  const { ok, output, stderr, stdout } = run(folder, process.execPath, "probe.mjs")
  if (!ok) {
    const mend = "run the import by hand; a process that does not end by itself has something open"
    return [wrong("package.json", `importing its entry points from Node fails:\n${output}`, mend)]
  }
  const lines = stdout.trimEnd().split("\n")
  const seen: Probed = JSON.parse(lines.at(-1) ?? "")
  const file = (specifier: string) =>
    entries(tarball).entries.find((entry) => entry.specifier === specifier)?.code ?? specifier
  const said = [...lines.slice(0, -1), stderr.trim()].filter((line) => line !== "").join("\n")
  return [
    ...seen.failures.map(([specifier, error]) =>
      wrong(
        file(specifier),
        `\`import "${specifier}"\` fails: ${error}`,
        "declare what it imports; write imports with their extension"
      )
    ),
    ...seen.effects.map(([specifier, what]) =>
      wrong(file(specifier), `importing it leaves ${what}`, "do this in a layer, not when the module is loaded")
    ),
    ...said === ""
      ? []
      : [wrong("package.json", `importing it prints:\n${said}`, "print nothing when a module is loaded")],
    ...seen.names === 0 && seen.failures.length === 0
      ? [wrong("src/index.ts", "it exports nothing", "re-export the public modules")]
      : [],
    ...seen.hidden.map((specifier) =>
      wrong(
        "src/index.ts",
        `\`${specifier}\` is an entry point, and the index does not export it`,
        "add `export * as Name from \"./Name.ts\"`; what is not public goes into `internal/`"
      )
    )
  ]
}

/** Bundles an import of nothing from every entry point: nothing must be left. */
export const bundle = async ({ folder, tarball }: Project): Promise<ReadonlyArray<Problem>> => {
  const all = entries(tarball).entries
  const input = join(folder, "nothing.mjs")
  writeFileSync(input, all.map(({ specifier }) => `import "${specifier}"\nimport {} from "${specifier}"\n`).join(""))
  const build = await rolldown({ input, cwd: folder, platform: "node", logLevel: "silent" })
  const { output: [{ code, modules }] } = await build.generate({ comments: false })
  await build.close()
  const rest = code.replaceAll(/^\/\/#.*$/gm, "").replace(/export \{\s*\};?/, "").trim()
  if (rest === "") return []
  const kept = Object.entries(modules).flatMap(([path, { renderedLength }]) =>
    renderedLength > 0 ? [path.replace(/^.*node_modules\//, "")] : []
  )
  return [{
    package: tarball.manifest.name,
    file: "package.json",
    message: `bundling an import of nothing leaves ${rest.length} characters, from ${kept.length} modules: ${
      kept.slice(-3).join(", ")
    }`,
    mend: "write \"sideEffects\": false, or list no file that an entry point leads to"
  }]
}

// -----------------------------------------------------------------------------
// Types and programs
// -----------------------------------------------------------------------------

/** The program of a package, in the repository. */
export const programOf = (packageFolder: string, name = "alone"): string => join(packageFolder, "test", `${name}.ts`)

/** What `tsc` found in our own files. Declarations of others are theirs to mend. */
export const typeProblems = (name: string, program: string, output: string): ReadonlyArray<Problem> =>
  output.split(/\n(?! )/).flatMap((text) => {
    const [, path, line, message] = /^(.+?)\((\d+),\d+\): error ([^]*)$/.exec(text) ?? []
    if (path === undefined || message === undefined) {
      return text.startsWith("error ")
        ? [{ package: name, file: "package.json", message: text, mend: "make the types of the package resolve" }]
        : []
    }
    const [, owner, inside] = /(?:.*\/)?node_modules\/(@caprock\/[^/]+)\/(.*)$/.exec(path) ?? []
    if (path.includes("node_modules/") && owner === undefined) return []
    return [{
      package: owner ?? name,
      file: `${inside ?? (path === "program.ts" ? program : path)}:${line}`,
      message: `in a project of its own: ${message}`,
      mend: inside === undefined
        ? "the program may use what the package exports and declares, and nothing else"
        : "the declarations must stand by themselves: no type that `@internal` strips, no global of a package that is not declared"
    }]
  })

/** Type-checks an import of every entry point and the package's program, strictly, declarations included. */
export const compile = (project: Project, packageFolder: string, tsc: string): ReadonlyArray<Problem> => {
  const { folder, tarball } = project
  const { manifest } = tarball
  const program = programOf(packageFolder, project.program)
  if (!existsSync(program)) {
    const mend =
      "write a small program that uses the package, and throws where the package is wrong: it is run in an empty project"
    return [{ package: manifest.name, file: program, message: "it is missing", mend }]
  }
  copyFileSync(program, join(folder, "program.ts"))
  const all = entries(tarball).entries.map(({ specifier }, index) => ({ name: `M${index}`, specifier }))
  writeFileSync(
    join(folder, "entries.ts"),
    all.map(({ name, specifier }) => `import * as ${name} from "${specifier}"\n`).join("") +
      `export const all: ReadonlyArray<object> = [${all.map(({ name }) => name).join(", ")}]\n`
  )
  json(join(folder, "tsconfig.json"), {
    compilerOptions: {
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      target: "es2024",
      module: "nodenext",
      moduleResolution: "nodenext",
      // What every Effect program needs; no types of Node, which the project does not have.
      lib: ["es2024", "dom"],
      types: [],
      ...compilerOptions[manifest.name]
    },
    files: ["entries.ts", "program.ts"]
  })
  const { ok, output } = run(folder, tsc, "--project", ".", "--pretty", "false")
  return ok ? [] : typeProblems(manifest.name, program, output)
}

/** Runs the package's program, and starts what it installs as commands. */
export const start = (project: Project, packageFolder: string): ReadonlyArray<Problem> => {
  const { folder, tarball: { manifest } } = project
  const program = programOf(packageFolder, project.program)
  const problems: Array<Problem> = []
  if (existsSync(program)) {
    const { ok, output } = run(folder, process.execPath, "program.ts")
    if (!ok) {
      const mend = "it passes in the workspace? Then something that it needs is not packed or not declared"
      problems.push({
        package: manifest.name,
        file: program,
        message: `run in an empty project, it fails:\n${output}`,
        mend
      })
    }
  }
  for (const [name, file] of Object.entries(manifest.bin ?? {})) {
    for (const [flag, expected] of [["--version", manifest.version], ["--help", name]] as const) {
      const { ok, output } = run(folder, join("node_modules", ".bin", name), flag)
      if (ok && output.includes(expected)) continue
      problems.push({
        package: manifest.name,
        file,
        message: `\`${name} ${flag}\`, installed alone, does not print "${expected}":\n${output}`,
        mend: "it has to start with nothing but its own dependencies, and to know its version"
      })
    }
  }
  return problems
}
