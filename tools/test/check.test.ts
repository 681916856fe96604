import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { check, gates } from "../check.ts"
import * as Api from "../gates/api.ts"
import { found, tool } from "../gates/gate.ts"
import * as House from "../gates/house.ts"
import * as Shape from "../gates/shape.ts"
import { globals, modules, properties, rooms } from "../house.ts"
import * as Checkout from "./checkout.ts"

let checkout: Checkout.Checkout

beforeAll(() => {
  checkout = Checkout.make()
  return () => checkout.remove()
})

/** What a gate says of the copy, once it has failed. */
const failing = async (name: string): Promise<string> => {
  const told: Array<string> = []
  const failed = await check(
    checkout.root,
    gates.filter((gate) => gate.name === name),
    (line) => told.push(line)
  )
  assert.lengthOf(failed, 1, `${name} passes`)
  return told.join("\n")
}

// Each plants all violations of one gate at once, in files of their own, and runs the gate once.

describe("the linter", () => {
  const planted: Array<{ readonly path: string; readonly source: string }> = []
  const plant = (room: string, source: string): string => {
    const path = `packages/${room}/src/planted/planted${planted.length}.ts`
    planted.push({ path, source })
    return path
  }
  const imports = (room: string, specifier: string) =>
    plant(room, `import * as Planted from "${specifier}"\nexport const planted = Planted\n`)
  let output = ""
  const findings = (path: string) => output.split("\n\n").filter((block) => block.includes(`[${path}:`))

  const table = "who may import whom"
  const barrel = "Import the module"
  const unstable = "Effect marks it unstable"
  const sdk = "Each SDK client is imported in one place only, behind a service: tools/house.ts says where."
  const exception = "an exception with its reason in tools/house.ts"

  const refused = [
    ["rate-limiter", "@caprock/errors/BedrockError", table],
    ["backoff", "@caprock/rate-limiter/RateLimiter", table],
    ["errors", "@caprock/quota/Pool", table],
    ["quota", "@caprock/client/BedrockClient", table],
    ["quota", "@caprock/rate-limiter/RateLimiter", "Only @caprock/rate-limiter/Cost and @caprock/rate-limiter/Meter"],
    ["client", "@caprock/bedrock/Bedrock", table],
    ["bedrock", "@caprock/emulator/Emulator", table],
    ["emulator", "@caprock/errors/BedrockError", table],
    ["errors", "@caprock/errors/BedrockError", table],
    // Rooms that are not built yet.
    ["router", "@caprock/errors/BedrockError", table],
    ["ai", "@caprock/client/BedrockClient", table],
    ["queue", "@caprock/bedrock/Bedrock", table],
    ["telemetry", "@caprock/rate-limiter/RateLimiter", table],
    ["telemetry", "@caprock/bedrock/Bedrock", "Only @caprock/bedrock/CallEvents"],
    ["mystery", "@caprock/errors/BedrockError", "packages/mystery has no row in the import table yet: tools/house.ts"],
    ["errors", "../../../quota/src/Pool.ts", "Another package is imported by its name"],
    ["errors", "../../test/support.ts", "no source imports a test"],
    ["bedrock", "@caprock/quota", barrel],
    ["bedrock", "effect", barrel],
    ["bedrock", "effect/testing", barrel],
    ["cli", "@effect/platform-node", barrel],
    ["quota", "effect/http/HttpClient", unstable],
    ["rate-limiter", "effect/persistence/Redis", unstable],
    ["backoff", "effect/ExecutionPlan", unstable],
    ["errors", "effect/FileSystem", unstable],
    ["bedrock", "effect/ai/LanguageModel", "it stands in the row of bedrock in tools/house.ts"],
    ["ai", "effect/cli/Command", "it stands in the row of ai in tools/house.ts"],
    ["errors", "node:fs", "The core runs anywhere"],
    ["bedrock", "@aws-sdk/client-bedrock-runtime", sdk],
    ["emulator", "@aws-sdk/client-bedrock-runtime", sdk],
    ["quota", "@smithy/types", sdk],
    ["client", "@aws-sdk/client-s3", sdk],
    ["client", "@aws-sdk/client-sts", sdk],
    ["batch", "@aws-sdk/client-s3", sdk],
    ["cli", "@aws-sdk/client-bedrock-runtime", "Its types may be imported here"],
    ["client", "node:timers/promises", exception],
    ["client", "node:perf_hooks", exception],
    ["client", "node:process", exception],
    ["emulator", "node:os", exception],
    ["client", "node:crypto", exception]
  ].map(([room = "", specifier = "", says = ""]) => [room, specifier, imports(room, specifier), says] as const)

  const forms = [
    ["a type", "import type { Pool } from \"@caprock/quota/Pool\"\nexport type Planted = Pool"],
    ["what it exports again", "export * from \"@caprock/quota/Pool\""],
    ["a module at run time", "export const planted = () => import(\"@caprock/quota/Pool\")"]
  ].map(([what = "", source = ""]) => [what, plant("errors", `${source}\n`)] as const)
  const annotated = plant("errors", "export type Planted = typeof import(\"@caprock/quota/Pool\")\n")

  const written = [
    ["errors", "the time", "export const planted = () => Date.now()", "Time comes from Clock"],
    ["client", "a date of now", "export const planted = () => new Date()", "Time comes from Clock"],
    ["bedrock", "performance", "export const planted = () => performance.now()", "Time comes from Clock"],
    [
      "emulator",
      "DateTime's own now",
      "import * as DateTime from \"effect/DateTime\"\nexport const planted = () => DateTime.nowUnsafe()",
      "Time comes from Clock"
    ],
    ["backoff", "Math.random", "export const planted = () => Math.random()", "Chance comes from Random"],
    ["emulator", "crypto", "export const planted = () => crypto.randomUUID()", "Chance comes from Random"],
    [
      "emulator",
      "node:crypto",
      "import { randomUUID } from \"node:crypto\"\nexport const planted = randomUUID",
      "Chance comes from Random"
    ],
    ["client", "setTimeout", "export const planted = (f: () => void) => setTimeout(f, 1)", "Waiting is Effect.sleep"],
    ["emulator", "setInterval", "export const planted = (f: () => void) => setInterval(f, 1)", "Waiting is"],
    ["cli", "setImmediate", "export const planted = (f: () => void) => setImmediate(f)", "Waiting is Effect.sleep"],
    ["client", "AbortSignal.timeout", "export const planted = () => AbortSignal.timeout(1)", "Waiting is Effect.sleep"],
    ["cli", "process.env", "export const planted = () => process.env[\"HOME\"]", "Settings come from Config"],
    ["client", "console", "export const planted = () => console.log(1)", "What is told goes through"],
    ["client", "fetch", "export const planted = () => fetch(\"http://localhost\")", "Requests go through a client"],
    ["quota", "a global by a detour", "export const planted = () => globalThis.Date.now()", "Time comes from Clock"],
    ["errors", "any", "export const planted = (x: any) => x", "no-explicit-any"],
    ["quota", "any by a cast", "export const planted = (x: unknown) => x as any", "no-explicit-any"]
  ].map(([room = "", what = "", source = "", says = ""]) => [room, what, plant(room, `${source}\n`), says] as const)

  // What the table of the house refuses, name by name: none can be added to it that nothing holds.
  const named = [
    ...globals.map(({ instead, name }) =>
      [name, instead, plant("client", `export const planted = ${name}\n`)] as const
    ),
    ...properties.map(({ instead, name }) => {
      const [object = ""] = name.split(".")
      const from = object === "DateTime" ? `import * as ${object} from "effect/${object}"\n` : ""
      return [name, instead, plant("client", `${from}export const planted = () => ${name}\n`)] as const
    }),
    ...modules.map(({ instead, name }) => [name, instead, imports("client", name)] as const)
  ]

  const allowed = [
    ["quota", "import type { Cost } from \"@caprock/rate-limiter/Cost\"\nexport type Planted = Cost"],
    ["errors", "import * as Schema from \"effect/Schema\"\nexport const planted = Schema.String"],
    ["errors", "export const planted = (x: Date): number => x.getTime()"],
    ["errors", "import * as Hex from \"effect/encoding/Hex\"\nexport const planted = Hex"],
    ["ai", "import * as Model from \"effect/ai/LanguageModel\"\nexport const planted = Model"],
    ["client", "import { hash } from \"node:crypto\"\nexport const planted = hash"],
    ["cli", "import type { Message } from \"@aws-sdk/client-bedrock-runtime\"\nexport type Planted = Message"]
  ].map(([room = "", source = ""]) => [room, source, plant(room, `${source}\n`)] as const)

  const row = (room: string) => rooms[room]?.imports ?? []
  const [everything, nothing] = [true, false].map((may) =>
    Object.keys(rooms).map((room) => ({
      room,
      path: plant(
        room,
        Object.keys(rooms).map((other) => [other, row(room).find((each) => each.split("/")[0] === other)] as const)
          .filter(([, each]) => (each !== undefined) === may)
          .map(([other, each], index) =>
            `import * as A${index} from "@caprock/${each?.includes("/") === true ? each : `${other}/Planted`}"\n` +
            `export const a${index} = A${index}\n`
          ).join("")
      )
    }))
  )

  beforeAll(async () => {
    for (const { path, source } of planted) checkout.write(path, source)
    const circle = "packages/errors/src/planted"
    checkout.write(`${circle}/a.ts`, "import { b } from \"./b.ts\"\nexport const a = (): unknown => b\n")
    checkout.write(`${circle}/b.ts`, "import { a } from \"./a.ts\"\nexport const b = (): unknown => a\n")
    checkout.write(
      "packages/batch/src/internal/aws.ts",
      "import * as S3 from \"@aws-sdk/client-s3\"\nexport const planted = S3\n"
    )
    checkout.write(
      "packages/cli/src/Signals.ts",
      "export const planted = () => process.exit(1)\nexport const now = () => Date.now()\n"
    )
    output = await failing("lint")
    return checkout.restore
  })

  it.each(refused)("keeps %s from importing %s", (_room, _specifier, path, says) => {
    assert.include(findings(path).join("\n"), says)
  })

  it.each(forms)("keeps a room from importing %s", (_what, path) => {
    assert.include(findings(path).join("\n"), table)
  })

  it("refuses imports within a type, where it can't read them", () => {
    assert.include(findings(annotated).join("\n"), "consistent-type-imports")
  })

  it.each(written)("keeps %s from %s", (_room, _what, path, says) => {
    assert.include(findings(path).join("\n"), says)
  })

  it.each(named)("keeps sources from %s, and says what to use instead", (_name, instead, path) => {
    assert.include(findings(path).join("\n").toLowerCase(), instead.toLowerCase())
  })

  it.each(allowed)("lets %s write %s", (_room, _source, path) => {
    assert.deepStrictEqual(findings(path), [])
  })

  it.each((everything ?? []).filter(({ room }) => row(room).length > 0))(
    "lets $room import all that is in its row",
    ({ path }) => {
      assert.deepStrictEqual(findings(path), [])
    }
  )

  it.each(nothing ?? [])("lets $room import nothing else", ({ path, room }) => {
    const others = Object.keys(rooms).length - new Set(row(room).map((each) => each.split("/")[0])).size
    assert.lengthOf(findings(path).filter((finding) => finding.includes("no-restricted-imports")), others)
  })

  it("lets the one adapter file import its client", () => {
    assert.deepStrictEqual(findings("packages/batch/src/internal/aws.ts"), [])
  })

  it("excuses a file from what is named with it, and from nothing else", () => {
    const [finding = "", ...more] = findings("packages/cli/src/Signals.ts")
    assert.include(finding, "Unexpected use of 'Date'")
    assert.deepStrictEqual(more, [])
  })

  it("finds circles of modules", () => {
    assert.include(findings("packages/errors/src/planted/a.ts").join("\n"), "no-cycle")
  })
})

describe("the house gate", () => {
  let output = ""

  beforeAll(async () => {
    checkout.write("packages/mystery/package.json", "{ \"name\": \"@caprock/mystery\" }")
    checkout.edit(
      "packages/backoff/package.json",
      "\"dependencies\": {",
      "\"dependencies\": { \"@caprock/errors\": \"workspace:^\", \"lodash\": \"*\""
    )
    checkout.edit(
      "packages/bedrock/package.json",
      "\"dependencies\": {",
      "\"dependencies\": { \"@aws-sdk/client-s3\": \"*\", "
    )
    checkout.write("packages/cli/src/terminal/Screen.ts", "// `process` is only spoken of.\nexport const planted = 1\n")
    checkout.write(
      "packages/errors/src/planted.ts",
      "export const planted = 1\n// oxlint-disable-next-line no-console\n"
    )
    checkout.write("packages/quota/src/planted.ts", "// @ts-expect-error\nexport const planted: string = 1\n")
    checkout.write("packages/cli/src/planted.ts", "// @effect-diagnostics globalDate:off\nexport const planted = 1\n")
    checkout.write(
      "packages/rate-limiter/src/planted.ts",
      [
        "import * as Config from \"effect/Config\" // Config.ByteSize",
        "import * as S from \"effect/Schema\"",
        "import { finite, literals, value } from \"effect/Match\"",
        "/* Config.ByteSize,",
        " S.Graph */ export const planted = [Config.String, Config.ByteSize(\"A\"), S.String]",
        "export type Planted = typeof S.Port\n"
      ].join("\n")
    )
    output = await failing("house")
    return checkout.restore
  })

  it.each([
    "packages/mystery: no row in the import table: say in tools/house.ts who may import whom",
    "tsconfig.json: packages/mystery is not among its references, so nothing type-checks it",
    "tsconfig.test.json: packages/mystery is not among its references, so nothing type-checks it",
    "vitest.workspace.ts: packages/mystery is not among its projects, so its tests do not run",
    "packages/backoff/package.json: the import table does not let backoff import @caprock/errors: tools/house.ts says",
    "packages/backoff/package.json: backoff belongs to the core, which stands on Effect alone, and lodash is more",
    "packages/bedrock/package.json: @aws-sdk/client-s3 is not at home in bedrock: tools/house.ts says where",
    "tools/house.ts: the exception of packages/cli/src/terminal/Screen.ts for process excuses nothing: take it away",
    "packages/rate-limiter/src/planted.ts:5: Effect marks Config.ByteSize unstable, and a minor version of Effect may",
    "packages/rate-limiter/src/planted.ts:3: Effect marks Match.literals unstable",
    "packages/rate-limiter/src/planted.ts:6: Effect marks Schema.Port unstable",
    "packages/errors/src/planted.ts:2: oxlint-disable silences a gate: mend what it found, or name an exception",
    "packages/quota/src/planted.ts:1: @ts-expect-error silences a gate",
    "packages/cli/src/planted.ts:1: @effect-diagnostics silences a gate"
  ])("says %s", (finding) => {
    assert.include(output, finding)
  })

  it("passes what is stable, or only spoken of", () => {
    assert.lengthOf(output.match(/Effect marks/g) ?? [], 3)
  })

  it("finds circles in the table, and rows that are missing", () => {
    const findings = House.circles({
      a: { imports: ["b/B"], effect: [] },
      b: { imports: ["c"], effect: [] },
      c: { imports: ["a", "d"], effect: [] }
    })
    assert.deepStrictEqual(findings, [
      "tools/house.ts: a circle: a → b → c → a",
      "tools/house.ts: c may import d, which has no row"
    ])
  })
})

describe("the gate of shape", () => {
  const head = "/**\n * What it is.\n *\n * @since 0.1.0\n */\n"
  const documented = (category: string, source: string) =>
    `/**\n * What it is.\n *\n * @category ${category}\n * @since 0.1.0\n */\n${source}\n`
  let findings: ReadonlyArray<string> = []

  beforeAll(() => {
    assert.strictEqual(Shape.check(checkout.root).output, "")
    checkout.write("packages/errors/src/Headless.ts", documented("models", "export interface Headless {}"))
    checkout.write("packages/errors/src/Bare.ts", `${head}/** Says nothing. */\nexport const bare = 1\n`)
    checkout.write(
      "packages/errors/src/Mute.ts",
      `${head}${documented("models", "export interface Mute {}").replace(" * What it is.\n *\n", "")}`
    )
    checkout.write(
      "packages/backoff/src/Roles.ts",
      [
        head,
        documented("models", "export interface Options {}"),
        documented("utilities", "export const make = 1"),
        documented("constructors", "export const layerTest = 1"),
        documented("models", "export const layered = 1"),
        documented("references", "export const Current = Context.Reference<number>(\"\")")
      ].join("\n")
    )
    checkout.write(
      "packages/client/src/Disorder.ts",
      [
        head,
        documented("layers", "export const layer = 1"),
        documented("services", "export class Disorder extends Context.Service<Disorder, {}>()(\"\") {}"),
        documented("models", "export interface Anywhere {}"),
        documented("constructors", "export const make = 1"),
        documented("configuration", "export const defaults = {}")
      ].join("\n")
    )
    checkout.edit("packages/quota/src/index.ts", "export * as Pool", "export const planted = 1\nexport * as Pool")
    checkout.edit("packages/emulator/src/index.ts", "export * as Meter from \"./Meter.ts\"\n", "")
    checkout.write("packages/bedrock/src/index.ts", "export * as Bedrock from \"./Bedrock.ts\"\n")
    checkout.write("packages/quota/src/internal/silent.ts", "export const silent = 1\n")
    checkout.write("packages/rate-limiter/test/Nobody.test.ts", "")
    checkout.write("packages/rate-limiter/test/anything.test.ts", "")
    findings = Shape.check(checkout.root).output.split("\n")
    return checkout.restore
  })

  it.each([
    "packages/errors/src/Headless.ts:1: a module begins with a doc comment that says what it is, and its @since",
    "packages/errors/src/Bare.ts:7: above bare stands no doc comment with its @category and @since",
    "packages/errors/src/Mute.ts:10: nothing says what Mute is",
    "packages/backoff/src/Roles.ts:13: the category of Options is configuration in this house, and here it is models",
    "packages/backoff/src/Roles.ts:21: the category of make is constructors in this house, and here it is utilities",
    "packages/backoff/src/Roles.ts:29: the category of layerTest is layers in this house, and here it is constructors",
    "packages/backoff/src/Roles.ts:45: the category of Current is services in this house, and here it is references",
    "packages/client/src/Disorder.ts:21: Disorder stands after layer. In the module of a service: configuration",
    "packages/client/src/Disorder.ts:45: defaults stands after make. In the module of a service: configuration",
    "packages/quota/src/internal/silent.ts:1: an internal begins with a comment that says what it is",
    "packages/quota/src/index.ts: an index says in a doc comment what its package is",
    "packages/emulator/src/index.ts: an index says",
    "packages/bedrock/src/index.ts: an index says",
    "packages/rate-limiter/test/Nobody.test.ts: there is no module Nobody. A test of a subject begins with a small"
  ])("says %s", (finding) => {
    assert.lengthOf(findings.filter((line) => line.startsWith(finding)), 1)
  })

  it("says nothing else", () => {
    // The three new modules are not in the index of their packages either.
    assert.lengthOf(findings, 14 + 3)
  })
})

describe("the gate of what is unused", () => {
  let output = ""

  beforeAll(async () => {
    checkout.write("packages/errors/src/internal/plantedFile.ts", "export const planted = 1\n")
    checkout.write(
      "packages/errors/src/internal/plantedExports.ts",
      [
        "export const plantedSeam = 1",
        "export const plantedLocal = 2",
        "export const plantedUsed = (): number => plantedSeam + plantedLocal",
        "export const plantedUnused = 1",
        "export const plantedForTests = 1",
        "export interface PlantedType {}\n"
      ].join("\n")
    )
    checkout.write(
      "packages/errors/src/Planted.ts",
      [
        "import { plantedUsed } from \"./internal/plantedExports.ts\"",
        "import * as Vitest from \"vitest\"",
        "import * as Unlisted from \"bottleneck\"",
        "export const planted = [plantedUsed, Vitest, Unlisted]\n"
      ].join("\n")
    )
    checkout.write(
      "packages/errors/test/planted.test.ts",
      "import { plantedForTests, plantedSeam } from \"../src/internal/plantedExports.ts\"\n" +
        "export const planted = [plantedForTests, plantedSeam]\n"
    )
    checkout.edit("packages/errors/package.json", "\"dependencies\": {", "\"dependencies\": { \"p-retry\": \"*\"")
    checkout.edit("packages/errors/package.json", "\"devDependencies\": {", "\"devDependencies\": { \"redis\": \"*\", ")
    output = await failing("unused")
    return checkout.restore
  })

  it.each([
    ["a file", /packages\/errors\/src\/internal\/plantedFile\.ts/],
    ["an export", /plantedUnused .*packages\/errors\/src\/internal\/plantedExports\.ts/],
    ["an export that only its own module uses", /plantedLocal .*packages\/errors\/src\/internal\/plantedExports\.ts/],
    ["an export that only a test uses", /plantedForTests .*packages\/errors\/src\/internal\/plantedExports\.ts/],
    ["a type", /PlantedType .*packages\/errors\/src\/internal\/plantedExports\.ts/],
    ["a dependency", /Unused dependencies.*\np-retry +packages\/errors\/package\.json/],
    ["a dependency of tests", /Unused devDependencies.*\nredis +packages\/errors\/package\.json/]
  ])("finds %s", (_, finding) => {
    assert.match(output, finding)
  })

  it("finds what is imported and not declared", () => {
    assert.match(output, /Unlisted dependencies.*\nbottleneck +packages\/errors\/src\/Planted\.ts/)
  })

  it("finds what sources need though it is declared for tests", () => {
    assert.match(output, /vitest +packages\/errors\/src\/Planted\.ts/)
  })

  it("leaves alone what is used, and what its own module uses and a test reaches for", () => {
    assert.notInclude(output, "plantedUsed")
    assert.notInclude(output, "plantedSeam")
  })
})

describe("the gate of formats", () => {
  it("names the file, and the command that mends it", async () => {
    checkout.write("packages/errors/src/planted.ts", "export const planted = 'single quotes';\n")
    const output = await failing("format").finally(checkout.restore)
    assert.include(output, "packages/errors/src/planted.ts")
    assert.include(output, "pnpm format")
  })
})

describe("the gate of types", () => {
  it("finds type errors, and Effects that go nowhere", async () => {
    checkout.write("packages/cli/src/PlantedType.ts", "export const planted: string = 1\n")
    checkout.write(
      "packages/cli/src/PlantedEffect.ts",
      "import * as Effect from \"effect/Effect\"\nexport const planted = () => {\n  Effect.void\n}\n"
    )
    const output = await failing("types").finally(checkout.restore)
    assert.match(output, /PlantedType\.ts\(1,14\): error TS2322/)
    assert.match(output, /PlantedEffect\.ts\(3,3\): error .*effect\(floatingEffect\)/)
  })
})

describe("the gate of the public API", () => {
  it("fails on a change that was not announced, and says how to announce it", async () => {
    checkout.edit(
      "packages/cli/src/ExitCode.ts",
      "\nexport ",
      "\nexport const planted = (x: number): string => `${x}`\n\nexport "
    )
    const output = await failing("types")
    assert.include(
      output,
      "packages/cli/api.txt: the public API is not what was committed. " +
        "If it is meant: `pnpm api`, and commit packages/cli/api.txt with the change that made it."
    )
    assert.include(output, "+export declare const planted: (x: number) => string;")
    assert.include(Api.write(checkout.root), "packages/cli/api.txt")
    assert.isTrue(Api.check(checkout.root).ok)
    checkout.restore()
  })

  describe("reports", () => {
    const folder = mkdtempSync(join(tmpdir(), "api-"))
    afterAll(() => rmSync(folder, { recursive: true }))

    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    const declare = (module: string, text: string) => {
      write(`src/${module}.ts`, "")
      write(`dist/${module}.d.ts`, text)
    }

    beforeEach(() => {
      write(
        "package.json",
        JSON.stringify({
          name: "@caprock/planted",
          exports: { ".": "./src/index.ts", "./*": "./src/*.ts" },
          publishConfig: {
            exports: {
              ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
              "./*": { types: "./dist/*.d.ts", default: "./dist/*.js" },
              "./internal/*": null,
              "./index": null
            }
          }
        })
      )
      declare("index", "export * as A from \"./A.ts\";\n")
      declare(
        "A",
        "/** What it does. */\nimport type { Kept } from \"./internal/kept.ts\";\n\n" +
          "export declare const a: (kept: Kept) => \"// no comment\";\nexport {};\n//# sourceMappingURL=A.d.ts.map"
      )
      declare(
        "internal/kept",
        "import type { Deep, Other } from \"./deep.ts\";\nexport interface Kept {\n    readonly x: Inner;\n}\ntype Inner = {\n" +
          "    deep: Deep;\n} | string;\nexport declare const work: (other: Other) => number;\n"
      )
      declare("internal/deep", "export type Deep = 1;\nexport type Other = 2;\n")
      declare("internal/closed", "export declare const closed: number;\n")
      // Left over from a source that is gone.
      write("dist/Orphan.d.ts", "export declare const orphan: number;\n")
    })

    it("tell what can be imported, and what that is made of", () => {
      assert.strictEqual(
        Api.report(folder),
        `# The public API of @caprock/planted, written by \`pnpm api\`

## @caprock/planted

export * as A from "./A.ts";

## @caprock/planted/A

import type { Kept } from "./internal/kept.ts";
export declare const a: (kept: Kept) => "// no comment";

## (not to be imported) internal/deep.d.ts

export type Deep = 1;

## (not to be imported) internal/kept.d.ts

import type { Deep, Other } from "./deep.ts";
export interface Kept {
    readonly x: Inner;
}
type Inner = {
    deep: Deep;
} | string;
`
      )
    })

    it.each([
      ["an export more", "A", "export declare const b: number;", true],
      ["another type", "A", "export declare const a: (kept: string) => void;", true],
      ["another type inside", "internal/kept", "export interface Kept {\n    readonly x: string;\n}", true],
      ["another type further inside", "internal/deep", "export type Deep = 3;", true],
      [
        "a type inside that no export is made of",
        "internal/deep",
        "export type Deep = 1;\nexport type Other = 3;",
        false
      ],
      ["a module more", "B", "export declare const b: number;", true],
      ["another comment", "internal/deep", "// More.\n/** More. */ export type Deep = 1;", false],
      ["another module inside", "internal/closed", "export declare const closed: string;", false]
    ])("differ, or do not, by %s", (_, module, text, differs) => {
      const before = Api.report(folder)
      declare(module, text)
      const finding = Api.compare("api.txt", before, Api.report(folder))
      assert.strictEqual(finding !== undefined, differs)
    })

    it.each([
      "import { type Deep as D } from \"./internal/deep.ts\";\nexport declare const a: D;",
      "import * as deep from \"./internal/deep.ts\";\nexport declare const a: deep.Deep;",
      "export declare const a: import(\"./internal/deep.ts\").Deep;",
      "export { Deep } from \"./internal/deep.ts\";",
      "export * from \"./internal/deep.ts\";",
      "export * as Deep from \"./internal/deep.ts\";"
    ])("follow %s", (text) => {
      declare("A", text)
      assert.include(Api.report(folder), "internal/deep.d.ts\n\nexport type Deep = 1;\n")
    })

    it("have to be there", () => {
      assert.strictEqual(
        Api.compare("packages/planted/api.txt", undefined, Api.report(folder)),
        "packages/planted/api.txt: this package has no report of its public API. If it is meant: `pnpm api`, and commit " +
          "packages/planted/api.txt with the change that made it."
      )
    })

    it("are not made of what was not built", () => {
      rmSync(join(folder, "dist/A.d.ts"))
      assert.throws(() => Api.report(folder), "A.d.ts is missing: `pnpm build` writes it")
    })
  })
})

describe("check", () => {
  it("fails where one gate does, and runs and tells the others", async () => {
    const lines: Array<string> = []
    const failed = await check(checkout.root, [
      { name: "first", holds: "", run: async () => found([]) },
      { name: "second", holds: "", run: async () => found(["packages/a: mend it"]) },
      { name: "third", holds: "", run: () => Promise.reject(new Error("broken")) },
      { name: "fourth", holds: "", run: async () => found([]) }
    ], (line) => lines.push(line))
    assert.deepStrictEqual(failed, ["second", "third"])
    assert.deepStrictEqual(lines.map((line) => line.replace(/: \(.*|:  \(.*/, "").trim()), [
      "ok   first",
      "FAIL second",
      "packages/a: mend it",
      "FAIL third",
      "Error: broken",
      "ok   fourth"
    ])
  })

  it("says so with its exit code", () => {
    checkout.write("packages/errors/src/internal/planted.ts", "// A quote.\nexport const planted = 'single';\n")
    const { status, stderr, stdout } = spawnSync(process.execPath, [
      join(checkout.root, "tools/check.ts"),
      "format",
      "house"
    ], {
      encoding: "utf8"
    })
    checkout.restore()
    assert.strictEqual(status, 1)
    assert.match(stdout, /^FAIL format:.*^ok   house:/ms)
    assert.strictEqual(stderr, "check failed: format\n")
  })

  it("takes a tool that can't be run for a failure", async () => {
    const error = await tool(checkout.root, "no-such-tool", []).then(() => undefined, String)
    assert.include(error, "no-such-tool could not be run")
  })
})
