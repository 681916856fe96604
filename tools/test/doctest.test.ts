import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { check, extract, render, type Source, sources } from "../doctest.ts"

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

  it("that name a program of the examples folder are that program", () => {
    const named = sources().flatMap(({ path, text }) =>
      [...text.matchAll(/<!-- (examples\/\S+\.ts) -->\n\n```ts\n(.*?)```\n/gs)].map(([, program = "", code]) => {
        assert.strictEqual(code, readFileSync(program, "utf8"), `${program} in ${path}`)
        return program
      })
    )
    assert.include(named, "examples/first.ts")
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

  it("are the fences in TypeScript and no others", () => {
    const text =
      "```sh\nnpm\n```\n\n````ts\nconst fence = `\n```\n`\n````\n\n```json\n{}\n```\n\n```typescript\nlet b\n```\n"
    assert.deepStrictEqual(extract(markdown(text)), [
      { path: "planted.md", line: 6, indent: 0, code: ["const fence = `", "```", "`"] },
      { path: "planted.md", line: 16, indent: 0, code: ["let b"] }
    ])
  })

  it("must have an end", () => {
    assert.throws(() => extract(markdown("a\n```ts\nlet a\n")), "planted.md:3: this example has no end")
    assert.throws(() => extract({ path: "a.ts", text: "/**\n * ```ts\n * let a\n */\n" }), "a.ts:3: ")
  })
})
