// The house rules (`tools/house.ts`) as lint rules: one set for each package, one more for each file that is excused
// from something.
//
// Two limits of the linter shape the patterns: its regular expressions can't look ahead, and what one group of patterns
// lets pass by `!` is let pass by all. So everything refused is listed; only the SDK's group has exceptions.
import type { DummyRuleMap, OxlintOverride } from "oxlint"
import * as House from "../house.ts"
import type { Marks } from "./effect.ts"

const home = "tools/house.ts"

const literal = (text: string): string => text.replace(/[.*+?^$()|[\]{}\\/]/g, "\\$&")

const anyOf = (specifiers: ReadonlyArray<string>): string => `(?:${specifiers.map(literal).join("|")})`

const withMend = ({ instead }: House.Ambient): string =>
  `${instead.charAt(0).toUpperCase()}${
    instead.slice(1)
  }. Where nothing else will do: an exception with its reason in ${home}.`

const chance: House.Ambient = House.globals.find(({ name }) => name === "crypto") ?? { name: "crypto", instead: "" }

/** The name of the package that a path lies in. */
const roomOf = (path: string): string => path.split("/")[1] ?? ""

// -----------------------------------------------------------------------------
// Imports
// -----------------------------------------------------------------------------

/** What this room may not import of ours. */
const ours = (name: string, { imports }: House.Room) => {
  const refused = Object.keys(House.rooms).filter((room) => !imports.some((allowed) => allowed.split("/")[0] === room))
  const message = name in House.rooms
    ? `The import table does not let ${name} import it: ${home} says who may import whom.`
    : `packages/${name} has no row in the import table yet: ${home}.`
  return [
    { regex: `^@caprock/${anyOf(refused)}(?:/|$)`, message },
    // Of some packages only single modules may be imported.
    ...Object.keys(House.rooms).flatMap((room) => {
      const modules = imports.flatMap((allowed) => allowed.startsWith(`${room}/`) ? [allowed] : [])
      return modules.length === 0 ? [] : [{
        group: [`@caprock/${room}/*`, ...modules.map((module) => `!@caprock/${module}`)],
        message: `Only ${modules.map((module) => `@caprock/${module}`).join(" and ")} may be imported: ${home}.`
      }]
    }),
    {
      regex: "^(?:@caprock/[^/]+|effect|effect/[a-z-]+|@effect/[^/]+)$",
      message: "Import the module (effect/Effect, @caprock/errors/BedrockError), not the barrel."
    },
    {
      regex: String.raw`^\.{1,2}/(?:.*/)?(?:packages|src|test|dist|node_modules)/`,
      message: "Another package is imported by its name, and no source imports a test or what is built."
    }
  ]
}

const unstable = (
  name: string,
  { effect }: House.Room,
  excused: ReadonlySet<string>,
  typesOnly: ReadonlyArray<string>,
  marks: Marks
) => {
  const refused = marks.unstableModules.filter((module) =>
    !excused.has(`effect/${module}`) &&
    (effect === "core" || !effect.some((allowed) => module === allowed || module.startsWith(`${allowed}/`)))
  )
  const message = effect === "core"
    ? "Effect marks it unstable, and a minor version of Effect may not break the core."
    : `Effect marks it unstable. Where it serves, it stands in the row of ${name} in ${home}.`
  const types = refused.filter((module) => typesOnly.includes(`effect/${module}`))
  return [
    { regex: `^effect/${anyOf(refused.filter((module) => !types.includes(module)))}$`, message },
    ...(types.length === 0 ? [] : [{
      regex: `^effect/${anyOf(types)}$`,
      allowTypeImports: true,
      message: `${message} Its types may be imported here.`
    }])
  ]
}

const isNode = (specifier: string): boolean => specifier.startsWith("node:")

/** The SDK's clients, and which of them this source may import. */
const vendor = (free: ReadonlyArray<string>, typesOnly: ReadonlyArray<string>) => {
  const message = `Each SDK client is imported in one place only, behind a service: ${home} says where.`
  return {
    paths: typesOnly.filter((specifier) => !free.includes(specifier) && !isNode(specifier)).map((name) => ({
      name,
      allowTypeImports: true,
      message: `${message} Its types may be imported here.`
    })),
    pattern: {
      group: [
        "@aws-sdk/**",
        "@smithy/**",
        ...free.flatMap((specifier) => [`!${specifier}`, `!${specifier}/**`]),
        ...typesOnly.map((specifier) => `!${specifier}`)
      ],
      message
    }
  }
}

const core = "The core runs anywhere: no Node modules."

const node = ({ effect }: House.Room, excused: ReadonlySet<string>, typesOnly: ReadonlyArray<string>) => [
  ...House.modules.filter((module) => !excused.has(module.name)).map((module) => ({
    regex: `^${literal(module.name)}$`,
    message: withMend(module)
  })),
  ...(excused.has("node:crypto") ? [] : [{
    group: ["node:crypto"],
    allowImportNames: [...House.digests],
    message: `Digests are imported by their names. ${withMend(chance)}`
  }]),
  ...(effect === "core"
    ? [{ group: ["node:**", ...typesOnly.map((specifier) => `!${specifier}`)], message: core }]
    : [])
]

// -----------------------------------------------------------------------------
// All of it
// -----------------------------------------------------------------------------

/** The rules of the sources of one package, less what exceptions let pass. */
const rulesOf = (
  name: string,
  room: House.Room,
  exceptions: ReadonlyArray<House.Exception>,
  marks: Marks
): DummyRuleMap => {
  const typesOnly = exceptions.flatMap((exception) => exception.typesOnly === true ? exception.uses : [])
  const excused = new Set(exceptions.flatMap((exception) => exception.typesOnly === true ? [] : exception.uses))
  const clients = Object.keys(House.clients).filter((client) =>
    House.clients[client] === `packages/${name}/src/**` || excused.has(client)
  )
  const sdk = vendor(clients, typesOnly)
  return {
    "no-restricted-imports": ["error", {
      paths: [
        ...sdk.paths,
        ...typesOnly.filter(isNode).map((name) => ({
          name,
          allowTypeImports: true,
          message: `${core} Its types may be imported here.`
        }))
      ],
      patterns: [
        ...ours(name, room),
        ...unstable(name, room, excused, typesOnly, marks),
        sdk.pattern,
        ...node(room, excused, typesOnly.filter(isNode))
      ]
    }],
    "no-restricted-globals": ["error", {
      checkGlobalObject: true,
      globals: House.globals.filter(({ name }) => !excused.has(name)).map((global) => ({
        name: global.name,
        message: withMend(global)
      }))
    }],
    "no-restricted-properties": [
      "error",
      ...House.properties.filter(({ name }) => !excused.has(name)).map((ambient) => {
        const [object = "", property = ""] = ambient.name.split(".")
        return { object, property, message: withMend(ambient) }
      })
    ]
  }
}

const covers = (exception: House.Exception, path: string): boolean =>
  exception.path.endsWith("**") ? path.startsWith(exception.path.slice(0, -2)) : path === exception.path

const nothing: House.Room = { imports: [], effect: [] }

/** Every rule of the house, for the packages of the table and for one that has no row yet. */
export const overrides = (packages: ReadonlyArray<string>, marks: Marks): Array<OxlintOverride> => {
  // The one adapter file of a package is excused from the rule that keeps its client out of the others.
  const adapters = Object.entries(House.clients).filter(([, path]) => !path.endsWith("**")).map(([client, path]) => ({
    path,
    uses: [client],
    reason: "the adapter"
  }))
  const exceptions = [...House.exceptions, ...adapters]
  const excusedAt = (path: string) => exceptions.filter((exception) => covers(exception, path))
  const files = new Set(exceptions.map(({ path }) => path).filter((path) => !path.endsWith("**")))
  return [
    ...[...new Set([...packages, ...Object.keys(House.rooms)])].map((name) => ({
      files: [`packages/${name}/src/**/*.ts`],
      rules: rulesOf(name, House.rooms[name] ?? nothing, excusedAt(`packages/${name}/src/`), marks)
    })),
    ...[...files].map((path) => ({
      files: [path],
      rules: rulesOf(roomOf(path), House.rooms[roomOf(path)] ?? nothing, excusedAt(path), marks)
    }))
  ]
}
