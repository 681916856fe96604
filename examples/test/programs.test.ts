import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Each program as its reader runs it: a process of its own. */
const run = async (name: string, ...args: ReadonlyArray<string>) => {
  const path = fileURLToPath(new URL(`../${name}.ts`, import.meta.url))
  return (await promisify(execFile)(process.execPath, [path, ...args])).stdout.trim().split("\n")
}

describe("examples", () => {
  it("first: the quota is kept, and the README says what it prints", async () => {
    const printed = await run("first")
    assert.strictEqual(printed[1], "The server got 100 requests, and throttled 0.")
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")
    assert.include(readme, `and prints\n\n\`\`\`\n${printed.join("\n")}\n\`\`\`\n`)
  })

  it("application: every ticket has a summary, or part of one", async () => {
    const [counts = ""] = await run("application")
    assert.match(counts, /^40 tickets: [1-9]\d* summaries cut off, 0 missing\.$/)
  })

  it("promise: who stays is answered, who leaves costs nothing more, and who would wait too long is told", async () => {
    const [outcomes = "", server = ""] = await run("promise")
    const [, ...counts] = /^(\d+) 503, (\d+) answered, (\d+) left$/.exec(outcomes) ?? []
    const [busy = 0, answered = 0, left = 0] = counts.map(Number)
    assert.strictEqual(busy + answered + left, 60, outcomes)
    // 20 have room at once, 20 in the next window. Where the users take long to arrive, later windows have room for some.
    assert.isAtLeast(answered + left, 40, outcomes)
    // Seven of the sixty leave, if they are let in; who comes first is the network's matter.
    assert.isAtLeast(left, 1, outcomes)
    assert.isAtLeast(busy, 1, outcomes)
    assert.strictEqual(server, `The server got ${answered + left} requests, and throttled 0.`)
  })

  it("sdk: everybody is answered, the user before the last ticket, and nothing is refused", async () => {
    assert.deepStrictEqual(await run("sdk"), [
      "The user is answered, before the last ticket: true",
      "40 summaries. The server got 41 requests, and throttled 0."
    ])
  })

  it("limiter: nothing is refused", async () => {
    const [counts = ""] = await run("limiter")
    assert.match(counts, /^60 answers, none refused, in \d+ seconds$/)
  })

  it("later: what finds no room is written down, and is what `caprock run` asks", async () => {
    const folder = mkdtempSync(join(tmpdir(), "later-"))
    const [lines, results] = [join(folder, "later.jsonl"), join(folder, "results.jsonl")]
    assert.deepStrictEqual((await run("later", lines)).slice(0, 2), [
      "5 jobs answered, 3 written down for later.",
      "The user is answered by lite."
    ])
    const flags = ["--out", results, "--model", "amazon.nova-lite-v1:0", "--emulate"]
    await run("../packages/cli/src/bin", "run", lines, ...flags)
    const idsOf = (path: string) =>
      readFileSync(path, "utf8").trim().split("\n").map((line): unknown => {
        const { id }: { readonly id: string } = JSON.parse(line)
        return id
      })
    assert.sameMembers(idsOf(results), idsOf(lines))
    assert.lengthOf(idsOf(results), 3)
    rmSync(folder, { recursive: true })
  })

  it("chat: everybody is answered though a Region goes down, and the tool runs once for each", async () => {
    const [served, by = ""] = await run("chat")
    assert.strictEqual(served, "40 of 40 customers are answered. The tool ran 40 times.")
    const [ohio = 0, oregon = 0] = (/^Ohio gave (\d+) answers, and Oregon (\d+)\.$/.exec(by) ?? []).slice(1).map(Number)
    assert.isTrue(ohio > 0 && oregon > 0 && ohio + oregon === 80, by)
  })

  it("errors: what passes is tried again, what does not is not", async () => {
    assert.deepStrictEqual(await run("errors"), [
      "ThrottlingError, worth another try: true",
      "ServerError, worth another try: true",
      "answered: end_turn",
      "ValidationError, context-overflow: not tried again"
    ])
  })
})
