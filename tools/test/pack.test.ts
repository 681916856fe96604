import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, assert, describe, it } from "vitest"
import { type Budget, budgets } from "../pack/budgets.ts"
import * as Checks from "../pack/checks.ts"
import { lintProblems } from "../pack/linters.ts"
import { format, type Problem } from "../pack/problem.ts"
import * as Project from "../pack/project.ts"
import { type Manifest, read, type Tarball } from "../pack/tarball.ts"

// A package in which nothing is wrong, and one violation at a time planted in it.

const manifest: Manifest = {
  name: "@caprock/sample",
  version: "1.2.3",
  description: "A sample",
  license: "Apache-2.0",
  type: "module",
  sideEffects: false,
  exports: {
    ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
    "./*": { types: "./dist/*.d.ts", default: "./dist/*.js" },
    "./internal/*": null,
    "./index": null
  },
  dependencies: {},
  peerDependencies: { effect: ">=4.1.0 <4.2.0" }
}

const compiled = (name: string, code: string, types: string): Record<string, string> => ({
  [`src/${name}.ts`]: code,
  [`dist/${name}.js`]: code,
  [`dist/${name}.d.ts`]: types,
  [`dist/${name}.js.map`]: JSON.stringify({ sources: [`${"../".repeat(name.split("/").length)}src/${name}.ts`] }),
  [`dist/${name}.d.ts.map`]: JSON.stringify({ sources: [`${"../".repeat(name.split("/").length)}src/${name}.ts`] })
})

const good: Readonly<Record<string, string>> = {
  "README.md": "# Sample",
  "LICENSE": "Apache License",
  ...compiled("index", "export * as Thing from \"./Thing.js\"\n", "export * as Thing from \"./Thing.ts\"\n"),
  ...compiled(
    "Thing",
    "import * as secret from \"./internal/secret.js\"\n/** import x from \"nowhere\" */\nexport const thing = secret.secret\n",
    "export declare const thing: number\n"
  ),
  ...compiled("internal/secret", "export const secret = 1\n", "export declare const secret: number\n")
}

interface Change {
  readonly manifest?: Partial<Manifest>
  readonly add?: Readonly<Record<string, string>>
  readonly remove?: ReadonlyArray<string>
}

const sample = (change: Change = {}): Tarball => {
  const changed: Manifest = { ...manifest, ...change.manifest }
  const files = new Map(Object.entries({ ...good, "package.json": JSON.stringify(changed), ...change.add }))
  for (const path of change.remove ?? []) files.delete(path)
  return { manifest: changed, files, packed: 1000, unpacked: 4000 }
}

const budget: Budget = { packed: 1000, unpacked: 4000, pulls: 2, aws: false, reason: "a sample" }

const program = {
  "bin/sample.js": "#!/usr/bin/env node\nimport(process.argv.length > 9 ? \"../dist/bin.js\" : \"../src/bin.ts\")\n",
  ...compiled("bin", "console.log(\"1.2.3\")\n", "export {}\n")
}
const programManifest: Partial<Manifest> = {
  bin: { sample: "./bin/sample.js" },
  sideEffects: ["./bin/sample.js", "./dist/bin.js"],
  dependencies: { effect: "~4.1.0" },
  exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } }
}

/** Exactly one problem; it names the package, and says all of these. */
const assertOne = (problems: ReadonlyArray<Problem>, file: string, ...says: ReadonlyArray<string>) => {
  assert.lengthOf(problems, 1, problems.map(format).join("\n"))
  const [problem] = problems
  assert.strictEqual(problem?.package, "@caprock/sample")
  assert.strictEqual(problem?.file, file)
  for (const text of says) assert.include(problem?.message, text)
  assert.isAbove(problem?.mend.length ?? 0, 10)
}

const folders: Array<string> = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

/** An empty project with the package in it, as if installed. */
const installed = (change: Change = {}): Project.Project => {
  const folder = mkdtempSync(join(tmpdir(), "caprock-pack-test-"))
  folders.push(folder)
  const tarball = sample(change)
  for (const [path, text] of tarball.files) {
    const target = join(folder, "node_modules", tarball.manifest.name, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  }
  return { folder, tarball }
}

describe("a tarball", () => {
  const header = (name: string, size: number, kind: string, prefix = ""): Buffer => {
    const block = Buffer.alloc(512)
    block.write(name, 0)
    block.write(`${size.toString(8).padStart(11, "0")}\0`, 124)
    block.write(kind, 156)
    block.write(prefix, 345)
    return block
  }
  const padded = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)])

  it("is read with its short, split and long names", () => {
    const source = JSON.stringify(manifest)
    const long = "24 path=package/long.js\n"
    const bytes = gzipSync(Buffer.concat([
      header("package/package.json", source.length, "0"),
      padded(source),
      header("index.js", 3, "0", "package/dist"),
      padded("abc"),
      header("ignored", long.length, "x"),
      padded(long),
      header("package/lo", 0, "0"),
      header("package/dist", 0, "5"),
      Buffer.alloc(1024)
    ]))
    const tarball = read(bytes)
    assert.deepStrictEqual([...tarball.files.keys()], ["package.json", "dist/index.js", "long.js"])
    assert.strictEqual(tarball.files.get("dist/index.js"), "abc")
    assert.strictEqual(tarball.manifest.name, "@caprock/sample")
    assert.strictEqual(tarball.packed, bytes.length)
    assert.strictEqual(tarball.unpacked, source.length + 3)
  })
})

describe("a package in which nothing is wrong", () => {
  it("passes", async () => {
    assert.deepStrictEqual(Checks.problems(sample(), budget), [])
    assert.deepStrictEqual(await lintProblems(sample()), [])
  })

  it("passes as a program", () => {
    const tarball = sample({ manifest: { ...programManifest, engines: { node: ">=22" } }, add: program })
    assert.deepStrictEqual(Checks.problems(tarball, budget), [])
  })

  it("has the entry points that its wildcards open", () => {
    const { entries } = Checks.entries(sample())
    assert.deepStrictEqual(entries.map(({ specifier }) => specifier), ["@caprock/sample", "@caprock/sample/Thing"])
  })
})

describe("an entry point of its own", () => {
  const entry = (types: string) => ({
    ...compiled("promise", "export const one = 1\n", "export type { One } from \"./internal/one.ts\"\n"),
    ...compiled("internal/one", "export const one = 1\n", types)
  })

  it("may say what it likes in its own words", () => {
    const add = entry("import type { Sdk } from \"somewhere\"\nexport type One = Sdk\n")
    assert.deepStrictEqual(Checks.problems(sample({ add, manifest: { dependencies: { somewhere: "1" } } }), budget), [])
    assert.deepStrictEqual(Project.load(installed({ add })), [])
  })

  it.each(["effect/Duration", "@caprock/errors/Reason"])("does not lead to %s", (specifier) => {
    const add = entry(`import type * as Leak from "${specifier}"\nexport type One = Leak.Type\n`)
    const dependencies = { "@caprock/errors": "1" }
    assertOne(
      Checks.problems(sample({ add, manifest: { dependencies } }), budget),
      "dist/internal/one.d.ts",
      "`@caprock/sample/promise` is for programs without Effect",
      specifier
    )
  })
})

describe("the manifest", () => {
  it.each<[string, Partial<Manifest>, string]>([
    ["a version", { version: "next" }, "version"],
    ["a description", { description: "" }, "description"],
    ["the license", { license: "MIT" }, "license"],
    ["ES modules", { type: "commonjs" }, "ES module"],
    ["ranges that a registry knows", { dependencies: { "@caprock/errors": "workspace:^" } }, "workspace:^"],
    ["effect as a peer", { peerDependencies: {} }, "`effect` is not a peer"],
    ["effect as nothing but a peer", { dependencies: { effect: "~4.1.0" } }, "`effect` is a dependency"],
    ["no side effects", { sideEffects: true }, "`sideEffects` is true"],
    ["imports that lead to built files", { imports: { "#internal/*": "./src/internal/*.ts" } }, "#internal/*"]
  ])("has to have %s", (_, change, says) => {
    assertOne(Checks.problems(sample({ manifest: change }), budget), "package.json", says)
  })

  it.each<[string, Partial<Manifest>, string]>([
    ["effect as a dependency too", { dependencies: {} }, "`effect` is not a dependency"],
    ["a list of what runs by itself", { sideEffects: ["./bin/sample.js", "./dist/bin.js", "./gone.js"] }, "./gone.js"],
    ["a program that is packed", { bin: { sample: "./bin/sample.js", other: "./bin/other.js" } }, "`bin.other`"]
  ])("of a program has to have %s", (_, change, says) => {
    const tarball = sample({ manifest: { ...programManifest, engines: { node: ">=22" }, ...change }, add: program })
    assertOne(Checks.problems(tarball, budget), "package.json", says)
  })

  it("of a program must not say that nothing runs by itself", () => {
    const tarball = sample({ manifest: { ...programManifest, sideEffects: false }, add: program })
    assert.include(Checks.problems(tarball, budget).map(({ message }) => message).join(), "the program is one")
  })

  it("of a program must not export it", () => {
    const exports = { ...manifest.exports, "./bin": { types: "./dist/bin.d.ts", default: "./dist/bin.js" } }
    const tarball = sample({ manifest: { ...programManifest, exports: { ...exports, "./*": null } }, add: program })
    assertOne(Checks.problems(tarball, budget), "package.json", "`@caprock/sample/bin` would run the program")
  })

  it("says which Node a package needs that uses Node's modules", () => {
    const add = compiled(
      "Thing",
      "import * as Fs from \"node:fs\"\nexport const thing = Fs.statSync\n",
      "export declare const thing: unknown\n"
    )
    assertOne(Checks.problems(sample({ add }), budget), "package.json", "which Node it needs", "node:fs")
    assert.deepStrictEqual(Checks.problems(sample({ add, manifest: { engines: { node: ">=22" } } }), budget), [])
  })

  it("has one range of effect in all packages", () => {
    const other = { ...manifest, name: "@caprock/other" }
    const different = { ...manifest, peerDependencies: { effect: "^4.0.0" } }
    assert.deepStrictEqual(Checks.effectProblems([manifest, other]), [])
    assertOne(Checks.effectProblems([other, different, { ...other, name: "@caprock/third" }]), "package.json", "^4.0.0")
  })

  it("of a package for programs without Effect, or with an older one, brings it along, and asks for none", () => {
    const named = { ...manifest, name: "@caprock/bedrock" }
    const says = (change: Partial<Manifest>) =>
      Checks.problems(sample({ manifest: { ...named, ...change } }), budget).map(({ message }) => message)
    assert.deepStrictEqual(says({ dependencies: { effect: ">=4.1.0 <4.2.0" }, peerDependencies: {} }), [])
    assert.match(says({ dependencies: { effect: ">=4.1.0 <4.2.0" } }).join(), /^`effect` is a peer, and pnpm gives it/)
    assert.match(says({ peerDependencies: {} }).join(), /^`effect` is not a dependency, and programs without it/)
    const own = { ...named, dependencies: { effect: "^4.0.0" }, peerDependencies: {} }
    assert.lengthOf(Checks.effectProblems([manifest, { ...manifest, name: "@caprock/other" }, own]), 1)
    const same = { ...own, dependencies: { effect: ">=4.1.0 <4.2.0" } }
    assert.lengthOf(Checks.effectProblems([manifest, same]), 0)
  })

  it.each(["README.md", "LICENSE"])("comes with a %s", (file) => {
    assertOne(Checks.problems(sample({ remove: [file] }), budget), file, "not in the tarball")
  })
})

describe("exports", () => {
  const entry = (name: string) => ({ types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` })

  it("lead to files that are packed", () => {
    const exports = { ...manifest.exports, "./Gone": { types: "./dist/Thing.d.ts", default: "./dist/Gone.js" } }
    assertOne(Checks.problems(sample({ manifest: { exports } }), budget), "package.json", "./Gone", "dist/Gone.js")
  })

  it("are built files with their types", () => {
    const exports = { ...manifest.exports, "./Thing": "./src/Thing.ts" }
    assertOne(Checks.problems(sample({ manifest: { exports } }), budget), "package.json", "./src/Thing.ts")
  })

  it("have an index", () => {
    const exports = { "./Thing": entry("Thing") }
    assertOne(Checks.problems(sample({ manifest: { exports } }), budget), "package.json", "has no \".\"")
  })

  it("match something", () => {
    const exports = { ...manifest.exports, "./extra/*": entry("extra/*") }
    assertOne(
      Checks.problems(sample({ manifest: { exports } }), budget),
      "package.json",
      "./extra/*",
      "matches no file"
    )
  })

  it("open no folder by a wildcard", () => {
    const { "./internal/*": _, ...exports } = manifest.exports ?? {}
    assertOne(Checks.problems(sample({ manifest: { exports } }), budget), "package.json", "all of ./internal public")
  })

  it("please publint", async () => {
    const exports = { ".": { default: "./dist/index.js", types: "./dist/index.d.ts" } }
    assert.include((await lintProblems(sample({ manifest: { exports } }))).map(format).join("\n"), "publint: ")
  })

  it("please are-the-types-wrong", async () => {
    const exports = { ...manifest.exports, "./Thing": { types: "./dist/Gone.d.ts", default: "./dist/Thing.js" } }
    const told = (await lintProblems(sample({ manifest: { exports } }))).map(format).join("\n")
    assert.include(told, "@caprock/sample: ./Thing: are-the-types-wrong: FallbackCondition")
  })
})

describe("the files", () => {
  it.each(["dist/.tsbuildinfo", "test/Thing.test.ts", "src/Thing.test.ts", "tsconfig.json", "dist/notes.txt"])(
    "have no %s among them",
    (file) => {
      assertOne(Checks.problems(sample({ add: { [file]: "" } }), budget), file, "neither a source nor built from one")
    }
  )

  it("are no orphans", () => {
    assertOne(
      Checks.problems(sample({ remove: ["src/internal/secret.ts"] }), budget).filter(({ file }) =>
        file.endsWith("secret.js")
      ),
      "dist/internal/secret.js",
      "orphan"
    )
  })

  it("are all built", () => {
    assertOne(Checks.problems(sample({ add: { "src/New.ts": "" } }), budget).slice(0, 1), "src/New.ts", "dist/New.js")
  })

  it("are no older than their sources", () => {
    assert.deepStrictEqual(Checks.ageProblems(manifest, 1, 2), [])
    assertOne(Checks.ageProblems(manifest, 2, 1), "dist", "older than the sources")
  })

  it("hold what their maps name", () => {
    const add = { "dist/Thing.js.map": JSON.stringify({ sources: ["../../elsewhere/Thing.ts"] }) }
    assertOne(Checks.problems(sample({ add }), budget), "dist/Thing.js.map", "../../elsewhere/Thing.ts")
  })
})

describe("imports", () => {
  it("are found wherever a module can name another", () => {
    const code =
      `import a from "a"; import "b"; export * from "c"; export { d } from "d"; import("e"); import(x ? "./f.js" : "@g/g/h")`
    assert.sameMembers([...Checks.specifiers("x.js", code)], ["a", "b", "c", "d", "e", "./f.js", "@g/g/h"])
    const types = `import type { A } from "a"; export declare const b: import("b").B; /** import("c") */`
    assert.sameMembers([...Checks.specifiers("x.d.ts", types)], ["a", "b"])
  })

  it("are declared", () => {
    const add = compiled(
      "Thing",
      "import { x } from \"@aws-sdk/core/x\"\nexport const thing = x\n",
      "export declare const thing: number\n"
    )
    assertOne(
      Checks.problems(sample({ add }), budget),
      "dist/Thing.js",
      "@aws-sdk/core/x",
      "does not depend on @aws-sdk/core"
    )
    assert.deepStrictEqual(
      Checks.problems(sample({ add, manifest: { dependencies: { "@aws-sdk/core": "^3.0.0" } } }), budget),
      []
    )
  })

  it("are declared in types too", () => {
    const add = { "dist/Thing.d.ts": "export declare const thing: import(\"typist\").Thing\n" }
    assertOne(Checks.problems(sample({ add }), budget), "dist/Thing.d.ts", "does not depend on typist")
  })

  it("lead to files that are packed", () => {
    const add = { "dist/Thing.js": "export * from \"./internal/gone.js\"\n" }
    assertOne(Checks.problems(sample({ add }), budget), "dist/Thing.js", "./internal/gone.js")
  })
})

describe("side effects", () => {
  it("are no statements of a module", () => {
    const add = compiled(
      "Thing",
      "export const thing = new Map()\nthing.set(1, 2)\n",
      "export declare const thing: Map<number, number>\n"
    )
    assertOne(Checks.problems(sample({ add }), budget), "dist/Thing.js:2", "loading the module does something")
  })

  it.each([
    ["globalThis.planted = 1", "a global: planted"],
    ["Array.prototype.planted = 1", "an intrinsic: Array.prototype.planted"],
    ["process.on(\"exit\", () => {})", "a listener of the process: exit"],
    ["process.env.PLANTED = \"1\"", "a variable of the environment: PLANTED=1"],
    ["setTimeout(() => {}, 1)", "something that keeps the process alive: Timeout"]
  ])("are seen when loading a module does `%s`", (statement, says) => {
    const add = { "dist/Thing.js": `export const thing = (() => { ${statement} })()\n` }
    const problems = Project.load(installed({ add }))
    // The index loads the module first.
    assertOne(problems, "dist/index.js", says)
  })

  it("are seen when loading a module prints", () => {
    const add = { "dist/Thing.js": "export const thing = console.log(\"planted\")\n" }
    assertOne(Project.load(installed({ add })), "package.json", "prints:\nplanted")
  })

  it("are none, and a bundler knows", async () => {
    assert.deepStrictEqual(await Project.bundle(installed()), [])
    const { sideEffects: _, ...silent } = manifest
    const unmarked = {
      "dist/Thing.js": "export const thing = console.log(\"planted\")\n",
      "package.json": JSON.stringify(silent)
    }
    assertOne(
      await Project.bundle(installed({ add: unmarked })),
      "package.json",
      "characters",
      "@caprock/sample/dist/Thing.js"
    )
  })
})

describe("in a project of its own", () => {
  it("a good package loads", () => {
    assert.deepStrictEqual(Project.load(installed()), [])
  })

  it("an entry point that fails is named", () => {
    const add = { "dist/Thing.js": "import \"not-installed\"\n", "dist/index.js": "export const one = 1\n" }
    const problems = Project.load(installed({ add, manifest: { dependencies: {} } }))
    assert.isAtLeast(problems.length, 1)
    assert.include(problems.map(format).join("\n"), "not-installed")
  })

  it("a package loads without a peer that it can do without", () => {
    const lazy = "export const thing = () => import(\"./internal/secret.js\")\n"
    const change = (optional: boolean) => ({
      add: { "dist/Thing.js": lazy, "dist/internal/secret.js": "export { any as secret } from \"not-installed\"\n" },
      manifest: {
        peerDependencies: { effect: ">=4.1.0 <4.2.0", "not-installed": "1" },
        peerDependenciesMeta: { "not-installed": { optional } }
      }
    })
    assert.deepStrictEqual(Project.load(installed(change(true))), [])
    assertOne(Project.load(installed(change(false))), "package.json", "not-installed")
  })

  it("an entry point that the index hides is named", () => {
    const add = compiled("Other", "export const other = 1\n", "export declare const other: number\n")
    assertOne(Project.load(installed({ add })), "src/index.ts", "`@caprock/sample/Other`")
  })

  it("an empty index is", () => {
    const exports = { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } }
    const add = { "dist/index.js": "export {}\n" }
    assertOne(Project.load(installed({ add, manifest: { exports } })), "src/index.ts", "exports nothing")
  })

  it("a package that no registry could give is refused", () => {
    const { folder, tarball } = installed({ manifest: { dependencies: { "@caprock/other": "workspace:^" } } })
    const project = { folder: join(folder, "project"), tarball }
    const path = join(folder, "node_modules", "@caprock", "sample")
    assertOne(
      Project.install(project, path, { effect: `file:${path}` }, {}),
      "package.json",
      "can't be installed",
      "@caprock/other"
    )
  })

  it("types are told by their file, and others' are theirs", () => {
    const output = [
      "node_modules/.pnpm/x/node_modules/@caprock/other/dist/A.d.ts(3,7): error TS2304: Cannot find name 'Buffer'.",
      "  with a line more",
      "node_modules/.pnpm/effect@4.1.0/node_modules/effect/dist/Effect.d.ts(1,1): error TS2304: Cannot find name 'URL'.",
      "program.ts(9,1): error TS2307: Cannot find module."
    ].join("\n")
    assert.deepStrictEqual(
      Project.typeProblems("@caprock/sample", "packages/sample/test/alone.ts", output).map((one) =>
        `${one.package}: ${one.file}`
      ),
      ["@caprock/other: dist/A.d.ts:3", "@caprock/sample: packages/sample/test/alone.ts:9"]
    )
  })

  it("types that `tsc` refuses are told, and so is a program that fails", () => {
    const add = { "dist/Thing.d.ts": "export declare const thing: Gone\n" }
    const project = installed({ add })
    const folder = join(project.folder, "packages", "sample")
    mkdirSync(join(folder, "test"), { recursive: true })
    assertOne(Project.compile(project, folder, "tsc"), Project.programOf(folder), "it is missing")
    writeFileSync(
      Project.programOf(folder),
      "import { Thing } from \"@caprock/sample\"\nthrow new Error(`planted ${Thing.thing}`)\n"
    )
    assertOne(Project.compile(project, folder, "tsc"), "dist/Thing.d.ts:1", "Cannot find name 'Gone'")
    assertOne(Project.start(project, folder), Project.programOf(folder), "planted 1")
    const beside: Project.Project = { ...project, program: "beside" }
    assertOne(Project.compile(beside, folder, "tsc"), Project.programOf(folder, "beside"), "it is missing")
    assert.deepStrictEqual(Project.start(beside, folder), [])
  })

  it("a program that does not know its version is told", () => {
    const project = installed({ manifest: programManifest, add: program })
    const command = join(project.folder, "node_modules", ".bin", "sample")
    mkdirSync(dirname(command))
    const write = (version: string) => {
      writeFileSync(command, `#!/bin/sh\necho sample ${version}\n`)
      chmodSync(command, 0o755)
    }
    write("1.2.3")
    assert.deepStrictEqual(Project.start(project, "nowhere"), [])
    write("0.0.0")
    assertOne(Project.start(project, "nowhere"), "./bin/sample.js", "sample --version", "1.2.3")
  })
})

describe("budgets", () => {
  it.each(["packed", "unpacked"] as const)("hold a package's bytes %s", (what) => {
    const tight = { ...budget, [what]: budget[what] - 1 }
    assertOne(Checks.problems(sample(), tight), "tools/pack/budgets.ts", what, budget[what].toLocaleString("en"))
  })

  it("are there for every package", () => {
    assertOne(Checks.problems(sample(), undefined), "tools/pack/budgets.ts", "it has no budget")
  })

  it("have each a reason", () => {
    for (const [name, { reason }] of Object.entries(budgets)) assert.isAbove(reason.length, 20, name)
  })

  const effect = { name: "effect", version: "4.1.0", bytes: 1 }
  const own = { name: "@caprock/sample", version: "1.2.3", bytes: 1 }

  it("hold what a package pulls in", () => {
    assert.deepStrictEqual(Checks.pullProblems(manifest, [own, effect], budget), [])
    const pulled = [own, effect, { name: "lodash", version: "1.0.0", bytes: 1 }]
    assertOne(Checks.pullProblems(manifest, pulled, budget), "tools/pack/budgets.ts", "3 packages", "lodash")
  })

  it.each(["@aws-sdk/client-bedrock-runtime", "@smithy/types", "@aws-crypto/crc32", "aws-sdk"])(
    "keep %s out",
    (name) => {
      const pulled = [own, { name, version: "1.0.0", bytes: 1 }]
      assertOne(Checks.pullProblems(manifest, pulled, budget), "package.json", name)
      assert.deepStrictEqual(Checks.pullProblems(manifest, pulled, { ...budget, aws: true }), [])
    }
  )

  it.each(["errors", "backoff", "rate-limiter", "router", "quota"])("can't let AWS into %s", (room) => {
    const pulled = [own, { name: "@smithy/types", version: "1.0.0", bytes: 1 }]
    const problems = Checks.pullProblems({ ...manifest, name: `@caprock/${room}` }, pulled, { ...budget, aws: true })
    assert.lengthOf(problems, 1)
  })

  it("allow as many copies of effect as are said, and one of ours", () => {
    const pulled = [own, effect, { ...effect, version: "3.22.4" }]
    assert.deepStrictEqual(Checks.copyProblems(manifest, pulled, 2), [])
    assertOne(
      Checks.copyProblems(manifest, [...pulled, { ...own, version: "1.2.4" }], 2),
      "package.json",
      "2 copies of @"
    )
  })

  it("hold one copy of effect", () => {
    const pulled = [own, effect, { ...effect, version: "4.0.9" }]
    assertOne(Checks.pullProblems(manifest, pulled, { ...budget, pulls: 3 }), "package.json", "2 copies of effect")
  })
})

describe("the lockfile", () => {
  it("tells the versions of what there is once", () => {
    const lockfile = [
      "importers:",
      "  .:",
      "packages:",
      "",
      "  '@scope/a@1.2.3':",
      "    resolution: {}",
      "",
      "  b@4.5.6:",
      "    resolution: {}",
      "",
      "  twice@1.0.0:",
      "",
      "  twice@2.0.0:",
      "",
      "snapshots:",
      "",
      "  c@1.0.0: {}"
    ].join("\n")
    assert.deepStrictEqual(Project.locked(lockfile), { "@scope/a": "1.2.3", b: "4.5.6" })
  })
})
