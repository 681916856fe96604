import { readFileSync } from "node:fs"
import { basename } from "node:path"
import { assert, describe, it } from "vitest"
import { check, extract, render, run, type Source, sources } from "../doctest.ts"

const markdown = (text: string): Source => ({ path: "planted.md", text })

describe("the examples", () => {
  it("of the doc comments, README files and docs all compile", () => {
    const examples = sources().flatMap(extract)
    const paths = examples.map(({ path }) => path)
    // That none is found would pass as well.
    for (const path of ["README.md", "packages/bedrock/src/Bedrock.ts", "packages/emulator/README.md"]) {
      assert.include(paths, path)
    }
    assert.deepStrictEqual(check(examples, "all").map(render), [])
  })

  it("run, and print what they say", async () => {
    const examples = sources().flatMap(extract)
    assert.deepStrictEqual((await run(examples, "all-run")).map(render), [])
    // An example that can't run is an exception, and each has to be one that a reader would excuse.
    const excused = examples.filter(({ typesOnly }) => typesOnly).map(({ code, path }) =>
      `${path}: ${code.find((line) => line.includes("NodeRedis.layer"))?.trim()}`
    )
    // A Redis is not to be had everywhere; the program is in the tests of the stores.
    assert.deepStrictEqual(excused, [
      "docs/guide/shared.md: Layer.provide(NodeRedis.layer({ url: \"redis://127.0.0.1:6379\", disableOfflineQueue: true }))"
    ])
  })

  it("that name a program of the examples folder are that program", () => {
    const named = sources().flatMap(({ path, text }) =>
      [...text.matchAll(/<!-- (examples\/\S+\.ts) -->\n\n```ts\n(.*?)```\n/gs)].map(([, program = "", code]) => {
        assert.strictEqual(code, readFileSync(program, "utf8"), `${program} in ${path}`)
        return program
      })
    )
    assert.include(named, "examples/first.ts")
    // They run where all programs do.
    const tests = readFileSync("examples/test/programs.test.ts", "utf8")
    for (const program of named.filter((name) => !name.endsWith(".test.ts"))) {
      assert.include(tests, `run("${basename(program, ".ts")}")`)
    }
  })

  it("that are wrong are found, with the line in which they stand", () => {
    const comment: Source = {
      path: "packages/planted/src/Planted.ts",
      text: `
/**
 * It says what is not so.
 *
 * \`\`\`ts
 * import { Reason } from "@caprock/errors"
 *
 * const reason = new Reason.ThrottlingError({ limit: "token", message: "" })
 * \`\`\`
 */
export const planted = "\`\`\`ts"
`
    }
    const pages: ReadonlyArray<Source> = [
      markdown("# A\n\n```ts\nimport { Bedrock } from \"@caprock/bedrock\"\n\nBedrock.layers()\n```\n"),
      markdown("- in a list:\n\n  ```ts\n  export const n: number = \"a\"\n  ```\n"),
      markdown("```ts\nimport { Effect, Layer } from \"effect\"\n\nexport const unused = Effect.void\n```\n"),
      markdown("```ts\nimport { Effect } from \"effect\"\n\nEffect.log(\"never runs\")\n```\n"),
      markdown("```ts\nimport * as tables from \"@caprock/errors/internal/tables\"\n\nexport const t = tables\n```\n"),
      markdown("```ts\nconst declaredToBeShown = 1\n```\n")
    ]
    const problems = check([comment, ...pages].flatMap(extract), "planted")
    assert.deepStrictEqual(
      problems.map((problem) => [problem.path, problem.line, /TS\d+/.exec(problem.message)?.[0]]),
      [
        ["packages/planted/src/Planted.ts", 8, "TS2820"],
        ["planted.md", 6, "TS2551"],
        ["planted.md", 4, "TS2322"],
        ["planted.md", 2, "TS6133"],
        ["planted.md", 4, "TS377001"],
        ["planted.md", 2, "TS2307"]
      ]
    )
    assert.strictEqual(problems[0]?.column, " * const reason = new Reason.ThrottlingError({ ".length + 1)
  })

  it("that do not do what they say are found, with the line that says it", async () => {
    const planted = (...code: ReadonlyArray<string>) => markdown("```ts\n" + code.join("\n") + "\n```\n")
    const effect = "import { Clock, Console, Effect, Layer } from \"effect\""
    const nothing = "nothing of it runs: print, export an Effect or a Layer, or mark the fence types-only"
    const right = [
      planted("console.log({ a: [1, 2] }, \"b\") // => { a: [ 1, 2 ] } b"),
      planted("console.log(\"a (12 ms) b\") // => a (… ms) b"),
      planted("process.stdout.write(\"a\")", "console.log(\"b\") // => ab"),
      // Effects run in the order in which they stand, and in virtual time.
      planted(
        effect,
        "const now = Effect.flatMap(Clock.currentTimeMillis, (ms) => Console.log(ms))",
        "export const b = Effect.andThen(Effect.sleep(\"1 minute\"), now) // => 60000",
        "export const a = now // => 0"
      ),
      markdown("```sh run\ntouch a\nls\n# => a\n```\n"),
      // An emulator stands where AWS would.
      planted(
        "import { BedrockRuntimeClient, CountTokensCommand } from \"@aws-sdk/client-bedrock-runtime\"",
        "const input = { converse: { messages: [{ role: \"user\", content: [{ text: \"a b c\" }] }] } } as const",
        "const command = new CountTokensCommand({ modelId: \"amazon.nova-lite-v1:0\", input })",
        "console.log((await new BedrockRuntimeClient({}).send(command)).inputTokens) // => 7"
      )
    ]
    const wrong: ReadonlyArray<readonly [source: Source, line: number, message: string]> = [
      [
        markdown("```ts types-only\nlet a = 1 // => 1\n```\n"),
        2,
        "it says what it prints, and is marked as one that does not run"
      ],
      [markdown("```sh run\necho 1 # => 1\nfalse | true\necho 2\n```\n"), 4, "it ends with 1: "],
      [markdown("```sh run\necho 1 # => 2\n```\n"), 2, "it prints: 1"],
      [planted("console.log(1) // => 1", "console.log(2) // => 3"), 3, "it prints: 2"],
      [planted("console.log(1) // => 1", "// => 2"), 3, "it prints nothing more, and not: 2"],
      [planted("console.log(1) // => 1", "console.log(2)"), 3, "it also prints: 2"],
      [planted("console.log(\"a.b\") // => a…c"), 2, "it prints: a.b"],
      [planted("", "throw new TypeError(\"no\")"), 3, "it fails with TypeError: no"],
      [planted(effect, "export const a = Effect.fail(\"no\")"), 3, "it fails with no"],
      [planted(effect, "export const a = Layer.effectDiscard(Effect.fail(\"no\"))"), 3, "it fails with no"],
      [planted("export const a = 1"), 2, nothing],
      [
        planted(effect, "Effect.runPromise(Effect.void)"),
        3,
        "nobody waits for it: export the Effect instead, or await it"
      ],
      [planted("process.exit(3)"), 2, "it ends the process (3): "]
    ]
    const sources = [...wrong.map(([source]) => source), ...right]
    assert.deepStrictEqual(
      (await run(sources.flatMap(extract), "planted-run")).map(({ line, message }) => [line, message]),
      wrong.map(([, line, message]) => [line, message])
    )
  })

  it("are the fences in TypeScript and no others", () => {
    const text =
      "```sh\nnpm\n```\n\n````ts\nconst fence = `\n```\n`\n````\n\n```json\n{}\n```\n\n```typescript\nlet b\n```\n"
    const common = { path: "planted.md", language: "ts", indent: 0, program: undefined, typesOnly: false } as const
    assert.deepStrictEqual(extract(markdown(text)), [
      { ...common, line: 6, code: ["const fence = `", "```", "`"] },
      { ...common, line: 16, code: ["let b"] }
    ])
    const marked = "<!-- examples/a.ts -->\n\n```ts\na\n```\n\n```ts types-only\nb\n```\n\n```sh run\nc\n```\n"
    assert.deepStrictEqual(extract(markdown(marked)), [
      { ...common, line: 4, program: "examples/a.ts", code: ["a"] },
      { ...common, line: 8, typesOnly: true, code: ["b"] },
      { ...common, line: 12, language: "sh", code: ["c"] }
    ])
  })

  it("must have an end", () => {
    assert.throws(() => extract(markdown("a\n```ts\nlet a\n")), "planted.md:3: this example has no end")
    assert.throws(() => extract({ path: "a.ts", text: "/**\n * ```ts\n * let a\n */\n" }), "a.ts:3: ")
  })
})
