// What no linter sees of the house rules (`tools/house.ts`): that the table has no circle and a row for each package,
// that manifests keep to it, that every exception still excuses something, and that nothing is silenced elsewhere.
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { clients, exceptions, type Room, rooms } from "../house.ts"
import * as Effect from "./effect.ts"
import { found, type Verdict } from "./gate.ts"
import { withoutComments } from "./text.ts"

const home = "tools/house.ts"

/** What is wrong with an import table by itself: rooms that there are not, and circles. */
export const circles = (table: Readonly<Record<string, Room>>): ReadonlyArray<string> => {
  const findings: Array<string> = []
  const done = new Set<string>()
  const walk = (name: string, above: ReadonlyArray<string>): void => {
    if (above.includes(name)) {
      findings.push(`${home}: a circle: ${[...above.slice(above.indexOf(name)), name].join(" → ")}`)
    } else if (!done.has(name)) {
      const room = table[name]
      if (room === undefined) findings.push(`${home}: ${above.at(-1)} may import ${name}, which has no row`)
      for (const allowed of room?.imports ?? []) walk(allowed.split("/")[0] ?? "", [...above, name])
      done.add(name)
    }
  }
  for (const name of Object.keys(table)) walk(name, [])
  return findings
}

const packagesOf = (root: string): ReadonlyArray<string> =>
  readdirSync(join(root, "packages")).filter((name) => existsSync(join(root, "packages", name, "package.json")))

const read = (root: string, path: string): string => readFileSync(join(root, path), "utf8")

/** Every package has its row, and its place in the lists that can't be globs. */
const lists = (root: string, name: string): ReadonlyArray<string> => [
  ...(name in rooms ? [] : [`packages/${name}: no row in the import table: say in ${home} who may import whom`]),
  ...["tsconfig.json", "tsconfig.test.json"]
    .filter((file) => !read(root, file).includes(`"path": "packages/${name}"`))
    .map((file) => `${file}: packages/${name} is not among its references, so nothing type-checks it`),
  ...(read(root, "vitest.workspace.ts").includes(`"${name}"`)
    ? []
    : [`vitest.workspace.ts: packages/${name} is not among its projects, so its tests do not run`])
]

/** What a package says it depends on is what the table lets it import. */
const manifest = (root: string, name: string): ReadonlyArray<string> => {
  const path = `packages/${name}/package.json`
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = JSON.parse(
    read(root, path)
  ) as Record<
    string,
    Record<string, string> | undefined
  >
  const room = rooms[name]
  const places = (client: string) => [
    ...(clients[client] === undefined ? [] : [clients[client]]),
    ...exceptions.filter(({ uses }) => uses.includes(client)).map((exception) => exception.path)
  ]
  const all = { ...dependencies, ...optionalDependencies, ...peerDependencies }
  // What one of ours leaves to whoever installs it.
  const left = new Set(
    packagesOf(root).filter((other) => `@caprock/${other}` in all).flatMap((other) =>
      Object.keys(JSON.parse(read(root, `packages/${other}/package.json`)).peerDependencies ?? {})
    )
  )
  return Object.keys(all).flatMap((dependency) => {
    const [scope = "", own = ""] = dependency.split("/")
    if (scope === "@caprock") {
      return room?.imports.some((allowed) => allowed.split("/")[0] === own) === true
        ? []
        : [`${path}: the import table does not let ${name} import ${dependency}: ${home} says who may import whom`]
    }
    if (scope === "@aws-sdk" || scope === "@smithy") {
      return left.has(dependency) || places(dependency).some((place) => place.startsWith(`packages/${name}/`))
        ? []
        : [`${path}: ${dependency} is not at home in ${name}: ${home} says where each SDK client is`]
    }
    return room?.effect !== "core" || dependency === "effect"
      ? []
      : [`${path}: ${name} belongs to the core, which stands on Effect alone, and ${dependency} is more`]
  })
}

/** An exception that excuses nothing any more. */
const stale = (root: string): ReadonlyArray<string> =>
  exceptions.flatMap(({ path, uses }) => {
    const texts = globSync(path.endsWith("**") ? `${path}/*.ts` : path, { cwd: root }).map((file) =>
      withoutComments(read(root, file))
    )
    return uses.filter((use) => !texts.some((text) => text.includes(use))).map((use) =>
      `${home}: the exception of ${path} for ${use} excuses nothing: take it away`
    )
  })

const silencer = /(?:oxlint|eslint)-disable|@ts-(?:ignore|nocheck|expect-error)|@effect-diagnostics/

/** Comments that switch a gate off where it stands, past the list of exceptions. */
const silenced = (root: string): ReadonlyArray<string> =>
  globSync("packages/*/src/**/*.ts", { cwd: root }).toSorted().flatMap((file) =>
    read(root, file).split("\n").flatMap((line, index) => {
      const [comment] = silencer.exec(line) ?? []
      return comment === undefined
        ? []
        : [`${file}:${index + 1}: ${comment} silences a gate: mend what it found, or name an exception in ${home}`]
    })
  )

/** What the core uses of a stable module of Effect that is not stable itself. Whole modules are the linter's. */
const unstable = (root: string): ReadonlyArray<string> => {
  const marks = Effect.read(root)
  const core = Object.keys(rooms).filter((name) => rooms[name]?.effect === "core")
  return core.flatMap((name) => globSync(`packages/${name}/src/**/*.ts`, { cwd: root }).toSorted()).flatMap((file) =>
    Effect.unstableUses(read(root, file), marks).map(({ line, name }) =>
      `${file}:${line}: Effect marks ${name} unstable, and a minor version of Effect may not break the core`
    )
  )
}

/** The gate. */
export const check = (root: string): Verdict =>
  found([
    ...circles(rooms),
    ...packagesOf(root).flatMap((name) => [...lists(root, name), ...manifest(root, name)]),
    ...stale(root),
    ...silenced(root),
    ...unstable(root)
  ])
