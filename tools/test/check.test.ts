import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

// Each plants one violation in a room of its own and expects the linter to name it.
const lint = (path: string, source: string): string => {
  writeFileSync(path, source)
  try {
    return spawnSync("oxlint", ["--deny-warnings", path], { encoding: "utf8" }).stdout
  } finally {
    rmSync(path)
  }
}

describe("the import table", () => {
  const planted = (room: string) => `packages/${room}/src/planted.${process.pid}.ts`

  it.each([
    ["rate-limiter", "@caprock/errors/BedrockError"],
    ["backoff", "@caprock/rate-limiter/RateLimiter"],
    ["errors", "@caprock/quota/Pool"],
    ["quota", "@caprock/client/BedrockClient"],
    ["client", "@caprock/bedrock/Bedrock"],
    ["bedrock", "@caprock/emulator/Emulator"],
    ["emulator", "@caprock/errors/BedrockError"],
    ["bedrock", "@caprock/quota"],
    ["bedrock", "effect"],
    ["quota", "effect/http/HttpClient"],
    ["errors", "node:fs"],
    ["bedrock", "@aws-sdk/client-bedrock-runtime"],
    ["emulator", "@aws-sdk/client-bedrock-runtime"]
  ])("keeps %s from importing %s", (room, specifier) => {
    const output = lint(planted(room), `import * as Planted from "${specifier}"\nexport const planted = Planted\n`)
    assert.include(output, "no-restricted-imports")
  })

  it("lets what it allows pass", () => {
    const source = "import type { Cost } from \"@caprock/rate-limiter/Cost\"\nexport type Planted = Cost\n"
    assert.notInclude(lint(planted("quota"), source), "no-restricted-imports")
  })

  it("finds cycles", () => {
    const folder = `packages/errors/src/planted${process.pid}`
    mkdirSync(folder)
    try {
      writeFileSync(`${folder}/a.ts`, "import { b } from \"./b.ts\"\nexport const a = () => b\n")
      writeFileSync(`${folder}/b.ts`, "import { a } from \"./a.ts\"\nexport const b = () => a\n")
      const { stdout } = spawnSync("oxlint", [folder], { encoding: "utf8" })
      assert.include(stdout, "no-cycle")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
