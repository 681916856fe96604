import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"
import { caprock } from "./command.ts"
import { isAnswer, isError, platform, readResults, temporaryFolder } from "./support.ts"

// The SDK reads these itself.
process.env["AWS_ACCESS_KEY_ID"] = "test"
process.env["AWS_SECRET_ACCESS_KEY"] = "test"
process.env["AWS_REGION"] = "us-east-1"

const lite = "amazon.nova-lite-v1:0"
const routes = {
  targets: { ohio: { model: lite, region: "us-east-2" }, oregon: { model: lite, region: "us-west-2" } },
  routes: { chat: { policy: { ordered: ["ohio", "oregon"] } } }
}

const house = Effect.gen(function*() {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const folder = yield* temporaryFolder
  const at = (name: string) => path.join(folder, name)
  const write = (name: string, lines: ReadonlyArray<unknown>) =>
    Effect.as(fs.writeFileString(at(name), lines.map((line) => JSON.stringify(line)).join("\n")), at(name))
  const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(5) })
  const run = (input: string, ...more: ReadonlyArray<string>) =>
    caprock(["run", input, "--out", at("results.jsonl"), "--endpoint", emulator.url, ...more])
  return { emulator, output: at("results.jsonl"), run, write, file: yield* write("routes.json", [routes]) }
})

describe("caprock run --routes", () => {
  for (const stream of [false, true]) {
    it.live(
      `asks the next target while the first is out, and says who answered${stream ? ", streaming" : ""}`,
      () =>
        Effect.gen(function*() {
          const { emulator, file, output, run, write } = yield* house
          const input = yield* write("prompts.jsonl", [
            ...Array.from({ length: 20 }, (_, i) => ({ id: i, prompt: `Number ${i}` })),
            // A line may name a model as well, or nothing that there is.
            { id: "direct", prompt: "Hello", model: lite },
            { id: "nowhere", prompt: "Hello", model: "chatt" }
          ])
          yield* emulator.outage({ duration: "1 hour", region: "us-east-2" })
          const flags = ["--model=chat", "--routes", file, ...(stream ? ["--stream"] : [])]
          const { code, stderr } = yield* run(input, ...flags)
          assert.strictEqual(code, 1, stderr)
          assert.include(stderr, "21 answered, 1 failed")
          const results = yield* readResults(output)
          const answers = results.filter(isAnswer)
          const routed = answers.filter(({ model }) => model === "chat")
          assert.strictEqual(routed.length, 20)
          assert.isTrue(routed.every(({ target }) => target === "oregon"))
          // The first were sent there; the others went past it when it was known to be out.
          const tried = routed.filter(({ tried }) => tried !== undefined)
          assert.isNotEmpty(tried)
          assert.deepStrictEqual(tried[0]?.tried, [{ target: "ohio", reason: "ServerError" }])
          const direct = answers.find(({ id }) => id === "direct")
          assert.deepStrictEqual([direct?.model, direct?.target, direct?.tried], [lite, undefined, undefined])
          const nowhere = results.find(isError)
          assert.include(nowhere?.error.message, `chatt is no route of ${file}, which has chat.`)

          const again = yield* run(input, ...flags)
          assert.include(again.stderr, "21 answers are kept")
        }).pipe(platform),
      20_000
    )
  }

  it.live("a line that nobody can answer says who was tried", () =>
    Effect.gen(function*() {
      const { emulator, file, output, run, write } = yield* house
      const input = yield* write("prompts.jsonl", [{ id: "a", prompt: "Hello" }])
      yield* emulator.outage({ duration: "1 hour" })
      const { code } = yield* run(input, "--model=chat", "--routes", file)
      assert.strictEqual(code, 1)
      const line = (yield* readResults(output)).find(isError)
      assert.strictEqual(line?.error.reason, "ServerError")
      assert.deepStrictEqual(line?.tried?.slice(0, 2).map(({ target }) => target), ["ohio", "oregon"])
    }).pipe(platform), 30_000)

  it.live("says which routes there are, the nearest first, where a name is none of them", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* house
      const input = yield* write("prompts.jsonl", [{ id: "a", prompt: "Hello" }, {
        id: "b",
        prompt: "Hi",
        model: "ch at"
      }])
      const policy = { policy: "ohio" }
      const file = yield* write("more.json", [
        { targets: routes.targets, routes: { nightly: policy, chart: policy, chat: policy } }
      ])
      const slip = yield* run(input, "--model=chta", "--routes", file)
      assert.strictEqual(slip.code, 1, slip.stderr)
      const said = `chta is no route of ${file}, which has chat, chart, nightly.`
      assert.include(slip.stderr, `Warning: ${said} It is asked as a model.`)
      assert.include(slip.stderr, `The provided model identifier is invalid. ${said}`)
      assert.include(slip.stderr, `ch at is no route of ${file}, which has chat, chart, nightly.`)
      const asked = (yield* emulator.stats).requests
      const malformed = yield* run(input, "--model=ch ta", "--routes", file)
      assert.strictEqual(malformed.code, 2)
      assert.include(malformed.stderr, `ch ta is no route of ${file}, which has chat, chart, nightly.`)
      assert.strictEqual((yield* emulator.stats).requests, asked)
      // A model that is known needs no such hint, and neither does a route.
      for (const name of [lite, "chat"]) {
        const { stderr } = yield* run(
          yield* write("one.jsonl", [{ id: "c", prompt: "Hello" }]),
          `--model=${name}`,
          "--routes",
          file
        )
        assert.notInclude(stderr, "is no route", stderr)
      }
    }).pipe(platform), 20_000)

  it.live("refuses a file that makes no sense, and says what is wrong", () =>
    Effect.gen(function*() {
      const { run, write } = yield* house
      const input = yield* write("prompts.jsonl", [{ id: "a", prompt: "Hello" }])
      const wrong = [
        [[], "can't be used"],
        [{ targets: {}, routes: { chat: { policy: "ohio" } } }, "ohio"],
        [{
          targets: { eu: { model: `eu.${lite}` } },
          routes: { chat: { policy: "eu", fence: ["eu-*"] } }
        }, "does not say where"]
      ] as const
      for (const [content, said] of wrong) {
        const { code, stderr } = yield* run(input, "--model=chat", "--routes", yield* write("wrong.json", [content]))
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, said)
        // It is the file that has to be mended, and no flag.
        assert.match(stderr, /wrong\.json/)
        assert.notInclude(stderr, "Correct the flag")
      }
      const { code, stderr } = yield* run(input, "--model=chat", "--routes", "/nowhere.json")
      assert.strictEqual(code, 2)
      assert.include(stderr, "the route file /nowhere.json")
    }).pipe(platform), 20_000)
})
