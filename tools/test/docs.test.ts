import * as Result from "effect/Result"
import { execFileSync } from "node:child_process"
import { existsSync, globSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "vitest"
import { ExitCode } from "../../packages/cli/src/ExitCode.ts"
import { InputError } from "../../packages/cli/src/run/InputError.ts"
import { Options } from "../../packages/emulator/src/Options.ts"
import * as Reason from "../../packages/errors/src/Reason.ts"
import * as Verdict from "../../packages/errors/src/Verdict.ts"
import * as Quotas from "../../packages/quota/src/Quotas.ts"
import { read, tables } from "../tables.ts"

describe("the guide", () => {
  it.each(tables())("has the table of $name as the code has it", ({ name, page, rows }) => {
    assert.deepStrictEqual(read(name, readFileSync(page, "utf8")), rows, "`node tools/tables.ts` writes it anew")
  })

  it.each([["run", "docs/guide/run.md"], ["emulate", "docs/guide/emulator.md"]])(
    "has the flags of caprock %s as the program has them",
    (command, page) => {
      const help = execFileSync(process.execPath, ["packages/cli/src/bin.ts", command, "--help"], {
        encoding: "utf8",
        env: { ...process.env, NO_COLOR: "1" }
      })
      const section = /\nFLAGS\n(.*?)\n\n/s.exec(help)?.[1] ?? ""
      const flags = [...section.matchAll(/^\s+(--[a-z-]+)/gm)].map(([, flag]) => flag)
      const rows = readFileSync(page, "utf8").split("\n").filter((line) => line.startsWith("| `--"))
      const told = rows.flatMap((row) => row.split("|")[1]?.match(/--[a-z-]+/g) ?? [])
      assert.isAbove(flags.length, 10)
      assert.deepStrictEqual(told.toSorted(), flags.toSorted())
    }
  )
})

describe("the errors", () => {
  const sectionOf = (page: string): string => {
    const text = readFileSync(`docs/guide/${page}.md`, "utf8")
    return page === "errors" ? text : text.slice(text.indexOf("\n## Errors\n"))
  }

  /** The error classes among the exports of a package, each with the words that its fields may be. */
  const errorsOf = (modules: object): ReadonlyArray<readonly [name: string, words: ReadonlyArray<string>]> =>
    Object.values(modules).flatMap((module) => Object.values(module)).flatMap((value) => {
      if (typeof value !== "function" || !(value.prototype instanceof Error)) return []
      const fields: object = "fields" in value && typeof value.fields === "object" ? value.fields ?? {} : {}
      const words = Object.values(fields).flatMap((field): ReadonlyArray<unknown> => field.literals ?? [])
      return [[value.name, words.filter((word): word is string => typeof word === "string")]]
    })

  const rooms = readdirSync("packages").toSorted()

  it.each(rooms)("of %s stand in its page of the guide", async (room) => {
    const index = pathToFileURL(`packages/${room}/src/index.ts`).href
    const section = sectionOf(room)
    for (const [name, words] of errorsOf(await import(index))) {
      for (const word of [name, ...words]) assert.include(section, `\`${word}\``, `${room}: ${name}`)
    }
  })

  it("of bedrock without Effect stand in its page of the guide", async () => {
    const entry: object = await import(pathToFileURL("packages/bedrock/src/promise.ts").href)
    const page = readFileSync("docs/guide/promise.md", "utf8")
    const classes = Object.entries(entry).flatMap(([name, of]) => of.prototype instanceof Error ? [name] : [])
    assert.isAbove(classes.length, 12)
    for (const name of classes) assert.include(page, `\`${name}\``)
  })

  it("are found", async () => {
    const found = errorsOf(await import(pathToFileURL("packages/errors/src/index.ts").href))
    assert.includeMembers(found.map(([name]) => name), ["BedrockError", "ThrottlingError"])
    assert.includeMembers(found.flatMap(([, words]) => words), ["requests", "tokens"])
  })

  const firstCells = (section: string): ReadonlyArray<string> =>
    section.split("\n").filter((line) => line.startsWith("| `")).map((line) => line.split("|")[1]?.trim() ?? "")

  it("of the client are all reasons", () => {
    const reasons = Reason.Reason.members.map((member) => `\`${member.identifier}\``)
    assert.sameMembers([...firstCells(sectionOf("client"))], reasons)
  })

  it("of bedrock are rows of the table of verdicts", () => {
    const rows = firstCells(sectionOf("bedrock")).map((cell) => cell.replaceAll("`", "").replaceAll(" ", ""))
    assert.isAbove(rows.length, 3)
    assert.includeMembers(Object.keys(Verdict.table), rows)
  })

  it("of a line of input stand in the page of the command", () => {
    assert.sameMembers(
      [...firstCells(sectionOf("cli"))],
      InputError.fields.kind.literals.map((kind) => `\`${kind}\``)
    )
  })

  it("that end a process are told with their codes", () => {
    const told = readFileSync("docs/guide/run.md", "utf8").matchAll(/^\| (\d+) +\|/gm)
    assert.sameMembers([...told].map(([, code]) => Number(code)), [...Object.values(ExitCode), 130, 143])
  })
})

describe("the pages of the packages", () => {
  it.each(readdirSync("packages").toSorted())("%s: when and when not, five examples, pitfalls, errors", (room) => {
    const path = `docs/guide/${room}.md`
    const text = readFileSync(path, "utf8")
    const order = ["**Use it**", "**Don't use it**", "\n## ", "\n## Pitfalls\n", "\n## Errors\n"].map((part) =>
      text.indexOf(part)
    )
    assert.isTrue(order.every((place, index) => place > (order[index - 1] ?? -1)), `${path}: ${order.join(" ")}`)
    const [examples = "", pitfalls = ""] = text.split("\n## Pitfalls\n")
    assert.isAtLeast([...examples.matchAll(/^```(?:ts|sh)/gm)].length, 5, path)
    assert.match(pitfalls, /\bwrong\b[^]*\bright\b/, path)
    assert.include(readFileSync(`packages/${room}/README.md`, "utf8"), `../../${path}`)
  })

  it.each(readdirSync("packages").toSorted())("%s: its README names each of its modules", (room) => {
    const readme = readFileSync(`packages/${room}/README.md`, "utf8")
    const modules = [...readFileSync(`packages/${room}/src/index.ts`, "utf8").matchAll(/^export \* as (\w+)/gm)]
    assert.isNotEmpty(modules)
    for (const [, module] of modules) assert.match(readme, new RegExp(`^- .*\`${module}\``, "m"))
  })

  it("have every option of bedrock, and of its limiter for the SDK's client", async () => {
    // What is internal has no declaration.
    const { ServiceOptions }: { readonly ServiceOptions: { readonly fields: object } } = await import(
      pathToFileURL("packages/bedrock/src/internal/options.ts").href
    )
    const options = Object.keys(ServiceOptions.fields)
    const page = readFileSync("docs/guide/bedrock.md", "utf8")
    const [table = ""] = page.slice(page.indexOf("\n| option ")).split("\n\n")
    const told = [...table.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell = ""]) => cell.match(/\w+/g) ?? [])
    assert.sameMembers(told, options)
    // A client of the SDK's own has a Region and a time limit of its own.
    const ofClient = new Set(["deadline", "routes", "functions", "checks", "lastResorts"])
    const [list = ""] = /^What a limiter takes is .*?\. /ms.exec(readFileSync("docs/guide/sdk.md", "utf8")) ?? []
    assert.sameMembers(
      [...list.matchAll(/`(\w+)`/g)].map(([, name]) => name),
      ["createBedrock", ...options.filter((name) => !ofClient.has(name)), "onEvent", "onWarning"]
    )
  })

  it("have every option of the emulator", () => {
    const readme = readFileSync("packages/emulator/README.md", "utf8")
    const told = [...readme.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, cell = ""]) => cell.match(/\w+/g) ?? [])
    assert.includeMembers(told, Object.keys(Options.fields))
  })

  it.each(
    ["*.md", "docs/**/*.md", "packages/*/README.md", "bench/*.md"].flatMap((pattern) => globSync(pattern)).toSorted()
  )("%s has no section without a word", (page) => {
    const text = readFileSync(page, "utf8").replace(/^```.*?^```$/gms, "code").replace(/<!--.*?-->/gs, "")
    const lines = text.split("\n").filter((line) => line.trim() !== "")
    const depths = [...lines, "# "].map((line) => /^(#+) /.exec(line)?.[1]?.length)
    const empty = lines.filter((_, index) => (depths[index + 1] ?? Infinity) <= (depths[index] ?? 0))
    assert.deepStrictEqual(empty, [])
  })
})

describe("the benchmarks", () => {
  it.each(globSync("bench/*.ts").map((path) => basename(path, ".ts")).filter((name) => name !== "run").toSorted())(
    "%s is in their README",
    (name) => {
      assert.match(readFileSync("bench/README.md", "utf8"), new RegExp(`^- .*\`${name}\``, "m"))
    }
  )
})

describe("the JSON", () => {
  const blocks = ["*.md", "docs/**/*.md", "packages/*/README.md"].flatMap((pattern) => globSync(pattern)).toSorted()
    .flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/^```json\n(.*?)^```$/gms)].map(([, json = ""]) => [path, json] as const)
    )

  it.each(blocks)("of %s is JSON, or lines of it", (_, json) => {
    const lines = json.trim().split("\n")
    const whole = lines.every((line) => line.startsWith("{") && line.endsWith("}")) ? lines : [json]
    for (const text of whole) assert.isObject(JSON.parse(text))
  })

  it("of the quota file is one", () => {
    const [, json = ""] = blocks.find(([path]) => path === "docs/guide/quotas.md") ?? []
    const quotas = Quotas.fromJson(json)
    assert.isTrue(Result.isSuccess(quotas), Result.isFailure(quotas) ? quotas.failure.message : "")
  })
})

describe("the commands", () => {
  const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync("package.json", "utf8")
  )
  // What pnpm does by itself.
  const builtIn = ["install", "exec", "publish", "-r"]

  it.each(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "bench/README.md", "docs/exercises.md"])(
    "of %s are there",
    (page) => {
      const named = readFileSync(page, "utf8").matchAll(/\bpnpm(?:@12)? (-?[a-z][a-z-]*)/g)
      for (const [command, name = ""] of named) assert.include([...Object.keys(scripts), ...builtIn], name, command)
    }
  )
})

describe("the index", () => {
  it.each(globSync(["docs/decisions/*.md", "docs/guide/*.md"]).toSorted())("has %s", (page) => {
    assert.include(readFileSync("docs/README.md", "utf8"), `](${page.slice("docs/".length)})`)
  })
})

describe("the links", () => {
  const pages = ["*.md", "docs/**/*.md", "packages/*/README.md"].flatMap((pattern) => globSync(pattern)).toSorted()

  /** As the headings of a page are named in links. */
  const anchors = (text: string): ReadonlyArray<string> =>
    [...text.replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-")
    )

  it("to pages in capitals lead to one that readers have", () => {
    for (
      const path of ["packages/*/{src,test}/**/*.ts", "docs/**/*.md", "*.md"].flatMap((pattern) => globSync(pattern))
    ) {
      for (const [name] of readFileSync(path, "utf8").matchAll(/\b[A-Z][A-Z0-9_-]+\.md\b/g)) {
        assert.isTrue(existsSync(name), `${path}: ${name}`)
      }
    }
  })

  it("to decisions lead to one that there is", () => {
    const paths = [
      "packages/*/{src,test}/**/*.ts",
      "{tools,bench,examples}/{,*/}*.ts",
      "*.md",
      "{docs,docs/*,bench,packages/*}/*.md"
    ].flatMap((pattern) => globSync(pattern))
    const named = paths.flatMap((path) =>
      [...readFileSync(path, "utf8").matchAll(/\b\d{4}-[a-z][a-z0-9-]*\.md\b/g)].map(([name]) => [path, name] as const)
    )
    assert.isAbove(named.length, 20)
    for (const [path, name] of named) assert.isTrue(existsSync(`docs/decisions/${name}`), `${path}: ${name}`)
  })

  const modules = ["packages/*/{src,test}/**/*.ts", "{tools,bench,examples}/*.ts", "tools/*/*.ts"].flatMap((pattern) =>
    globSync(pattern)
  )

  it.each(["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/exercises.md"])(
    "of %s to modules, in words, are to such as there are",
    (page) => {
      for (const [, name = ""] of readFileSync(page, "utf8").matchAll(/`([\w./-]+\/[\w.-]+\.ts)`/g)) {
        // In prose the folder of the sources goes without saying.
        assert.isTrue(
          modules.some((path) => path.endsWith(name) || `/${path.replace("/src/", "/")}`.endsWith(`/${name}`)),
          `${page}: ${name}`
        )
      }
    }
  )

  it.each(pages)("of %s lead somewhere", (page) => {
    const text = readFileSync(page, "utf8")
    for (const [, target = ""] of text.replace(/^```.*?^```$/gms, "").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? page : join(dirname(page), path)
      assert.isTrue(existsSync(file), `${page}: ${target}`)
      if (anchor === undefined || statSync(file).isDirectory()) continue
      assert.include(anchors(readFileSync(file, "utf8")), anchor, `${page}: ${target}`)
    }
  })
})
