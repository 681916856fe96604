import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Path } from "effect"
import { caprock } from "./command.ts"
import { isAnswer, isError, model, platform, readResults, runArgs, temporaryFolder } from "./support.ts"

// The SDK reads these itself.
process.env["AWS_ACCESS_KEY_ID"] = "test"
process.env["AWS_SECRET_ACCESS_KEY"] = "test"
process.env["AWS_REGION"] = "us-east-1"

const files = Effect.gen(function*() {
  const path = yield* Path.Path
  const fs = yield* FileSystem.FileSystem
  const folder = yield* temporaryFolder
  const input = path.join(folder, "prompts.jsonl")
  const output = path.join(folder, "results.jsonl")
  return {
    folder,
    input,
    output,
    at: (name: string) => path.join(folder, name),
    write: (name: string, text: string | Uint8Array) =>
      typeof text === "string"
        ? fs.writeFileString(path.join(folder, name), text)
        : fs.writeFile(path.join(folder, name), text),
    prompts: (lines: ReadonlyArray<unknown>) =>
      fs.writeFileString(
        input,
        lines.map((line) => typeof line === "string" ? line : JSON.stringify(line)).join("\n")
      )
  }
})

/** Real sockets, so real time: each takes a second at most. */
const live = (name: string, effect: Parameters<typeof it.live>[1]) => it.live(name, effect)

const quick = { latency: LatencyModel.fixed(5), window: "1 second" } as const

describe("caprock run", () => {
  live("keeps the server's quota without a throttle, and says how it went", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts(Array.from({ length: 60 }, (_, i) => ({ id: `r${i}`, prompt: `Number ${i}` })))
      const emulator = yield* Emulator.make({ ...quick, quota: { requests: 25, tokens: 20_000 } })
      const { code, stderr } = yield* caprock([
        ...runArgs(input, output, emulator.url),
        "--rpm=25",
        "--tpm=20000",
        "--window=1s",
        "--max-tokens=500"
      ])
      assert.strictEqual(code, 0, stderr)
      const stats = yield* emulator.stats
      assert.strictEqual(stats.throttled.total, 0)
      assert.strictEqual(stats.requests, 60)
      const results = (yield* readResults(output)).filter(isAnswer)
      assert.strictEqual(new Set(results.map((line) => line.id)).size, 60)
      assert.isTrue(results.some((line) => line.waitedMillis > 500))
      assert.include(stderr, "60 answered, in ")
      assert.include(stderr, "60 requests sent (1.00 per line), 0 throttles.")

      const again = yield* caprock(["run", input, "--out", output, "-m", model, "--endpoint", emulator.url, "--rpm=25"])
      assert.strictEqual(again.code, 0)
      assert.include(again.stderr, "60 answers are kept.")
      assert.strictEqual((yield* emulator.stats).requests, 60)
    }).pipe(platform))

  live("two runs with one file keep one quota together", () =>
    Effect.gen(function*() {
      const { at, input, prompts } = yield* files
      yield* prompts(Array.from({ length: 30 }, (_, n) => ({ prompt: `What of ${n}?` })))
      const emulator = yield* Emulator.make({ ...quick, quota: { requests: 20 } })
      const run = (name: string) =>
        caprock([
          "run",
          input,
          "--out",
          at(name),
          "-m",
          model,
          `--endpoint=${emulator.url}`,
          "--rpm=20",
          "--window=1s",
          `--share=${at("quota")}`
        ])
      const both = yield* Effect.all([run("one.jsonl"), run("two.jsonl")], { concurrency: 2 })
      for (const { code, stderr } of both) assert.strictEqual(code, 0, stderr)
      const { requests, throttled } = yield* emulator.stats
      assert.deepStrictEqual({ requests, throttled: throttled.total }, { requests: 60, throttled: 0 })
    }).pipe(platform))

  live("each bad line ends in its message, and the others are answered", () =>
    Effect.gen(function*() {
      const { input, output, write } = yield* files
      const encoder = new TextEncoder()
      const lines: ReadonlyArray<string | Uint8Array> = [
        `\uFEFF{"id":"first","prompt":"after a byte order mark"}\r\n`,
        `\r\n`,
        `{"id":"cut","prompt":"x"\n`,
        `{"id":"shape","prompt":7}\n`,
        `{"id":"first","prompt":"again"}\n`,
        new Uint8Array([0x7b, 0xff, 0xfe, 0x7d, 0x0a]),
        `{"id":"model","prompt":"x","model":"no such/model"}\n`,
        `{"id":"large","prompt":"x","maxTokens":100000}\n`,
        `{"id":"last","prompt":"no line feed"}`
      ]
      const bytes = lines.map((line) => typeof line === "string" ? encoder.encode(line) : line)
      yield* write("prompts.jsonl", Buffer.concat(bytes))
      const { code, stderr } = yield* caprock(
        ["run", input, "--out", output, "--emulate", "--tpm=20000", "--window=1s", "--max-tokens=50"]
      )
      assert.strictEqual(code, 1, stderr)
      const results = yield* readResults(output)
      assert.sameMembers(results.filter(isAnswer).map((line) => line.id), ["first", "last"])
      const errors = results.filter(isError)
      const kinds = errors.map(({ error, id, line }) => [line, id, error.kind])
      assert.sameDeepMembers(kinds, [
        [3, "line-3", "not-json"],
        [4, "shape", "wrong-shape"],
        [5, "first", "duplicate-id"],
        [6, "line-6", "not-text"],
        [7, "model", "malformed-model"],
        [8, "large", "exceeds-quota"]
      ])
      for (const { error, line } of errors) {
        if (error.reason === "InputError") assert.include(error.message, `line ${line}`)
      }
      assert.include(errors.find((line) => line.id === "large")?.error.message ?? "", "lower maxTokens")
      assert.include(stderr, "2 answered, 6 failed")
      // The first of each kind is shown as it comes.
      assert.include(stderr, "\nline 3 is not JSON")
      assert.include(stderr, "\nline 8: Converse of")
    }).pipe(platform))

  live("reads standard input and writes standard output, with nothing else on it", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* caprock(
        ["run", "-", "--out", "-", "--emulate", "--window=1s"],
        { stdin: `{"id":"a","prompt":"one"}\n{"id":"b","prompt":"two"}\n` }
      )
      assert.strictEqual(code, 0, stderr)
      const lines = stdout.trim().split("\n").map((line) => JSON.parse(line))
      assert.sameMembers(lines.map((line) => line.id), ["a", "b"])
    }).pipe(platform))

  live("what can't begin says why and what to do, and touches nothing", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const { at, folder, input, output, prompts, write } = yield* files
      yield* prompts([{ prompt: "x" }])
      yield* write("empty.jsonl", "\n  \n")
      yield* write("quotas.json", `{"default":{"rpm":5}}`)
      yield* write("twice.json", `{"us.amazon.nova-lite-v1:0":{},"eu.amazon.nova-lite-v1:0":{}}`)
      const run = (...args: ReadonlyArray<string>) => ["run", ...args, "--emulate"]
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, ...says: ReadonlyArray<string>]> = [
        [run(at("missing.jsonl"), "--out", output), "missing.jsonl", "no such file"],
        [run(folder, "--out", output), "it is a folder"],
        [run(at("empty.jsonl"), "--out", at("empty.out")), "no prompt", "it is empty", `{"id":"a","prompt":"Hello"}`],
        [run(input, "--out", folder), "it is a folder"],
        [run(input, "--out", at("none/results.jsonl")), "does not exist", "mkdir -p"],
        [run(input, "--out", input), "the input as well as the output"],
        [run(input, "--out", output, "--model", "not a model"), "not a model id", "Bedrock console"],
        [run(input, "--out", output, "--quota-file", at("missing.json")), "quota file", "no such file"],
        [run(input, "--out", output, "--quota-file", at("quotas.json")), "quota file", "rpm", "requestsPerMinute"],
        [run(input, "--out", output, "--quota-file", at("twice.json")), "the same pool"],
        [run(input, "--out", output, "--quota-file", at("quotas.json"), "--rpm=5"), "Give one of them"],
        [[...run(input, "--out", output), "--endpoint=http://127.0.0.1:1"], "--emulate and --endpoint"],
        [["run", input, "--out", output, "--endpoint=127.0.0.1:80"], "--endpoint 127.0.0.1:80 is not a URL", "http://"],
        [["run", input, "--out", output, "--endpoint=localhost:80"], "--endpoint localhost:80 is not a URL"],
        [run(input), "Missing required flag: --out", "caprock run --help"],
        [run(input, "--out", output, "--rpm=0"), "at least 1"],
        [run(input, "--out", output, "--max-tokens=0"), "at least 1"],
        [run(input, "--out", output, "--temperature=-1"), "at least 0"],
        [run(input, "--out", output, "--window=soon"), "length of time"],
        [
          ["run", input, "--out", output, "--model", model, "--window=6s"],
          "--window 6s was given, and AWS's minutes are 60 seconds long",
          "Leave it out",
          "--emulate, or --endpoint"
        ],
        [
          [
            "run",
            input,
            "--out",
            output,
            "--window=6s",
            "--endpoint=https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"
          ],
          "--window 6s was given"
        ],
        [run(input, "--out", output, "--verbose"), "--verbose"],
        [run(input, "--out", output, "--share", at("quota")), "--emulate and --share", "caprock emulate"],
        [
          ["run", input, "--out", output, "--endpoint=http://127.0.0.1:1", "--share", at("none/quota")],
          "--share: ",
          "none",
          "a folder of this machine's disk"
        ],
        [
          ["run", input, "--out", output, "--endpoint=http://127.0.0.1:1", "--share=redis://127.0.0.1:1"],
          "--share: Redis can't be reached",
          "ECONNREFUSED"
        ],
        [run(input, "--out", "/dev/full"), "/dev/full", "the disk is full (ENOSPC)"]
      ]
      // Both rows of a message stand below its heading.
      assert.match((yield* caprock(run(folder, "--out", output))).stderr, /^ERROR\n {2}Can't .*\n {2}Name a file/m)
      for (const [args, ...says] of cases) {
        const { code, stderr, stdout } = yield* caprock(args)
        const text = `${args.join(" ")}\n${stderr}`
        assert.strictEqual(code, 2, text)
        for (const said of says) {
          assert.include(stderr, said, text)
        }
        assert.strictEqual(stdout, "", text)
      }
      assert.isFalse(yield* fs.exists(output))
      assert.strictEqual(yield* fs.readFileString(input), `{"prompt":"x"}`)
      assert.deepEqual(
        (yield* fs.readDirectory(folder)).filter((name) => name.endsWith(".lock")),
        []
      )
    }).pipe(platform))

  live("takes --window where the environment names an emulator", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts([{ prompt: "x" }])
      const emulator = yield* Emulator.make(quick)
      // We read it through Effect, the SDK by itself.
      const name = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env[name] = emulator.url
        }),
        () => Effect.sync(() => delete process.env[name])
      )
      const { code, stderr } = yield* caprock(["run", input, "--out", output, "--model", model, "--window=1s"]).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { [name]: emulator.url } }))
      )
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual((yield* emulator.stats).requests, 1)
    }).pipe(platform))

  live("warns where the quota or the model is unknown, and where maxTokens is unset", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts([{ prompt: "x" }])
      const warned = (...args: ReadonlyArray<string>) =>
        Effect.map(
          caprock(["run", input, "--out", output, "--emulate", "--window=1s", ...args]),
          ({ code, stderr }) => {
            assert.strictEqual(code, 0, stderr)
            return stderr.split("\n").filter((line) => line.startsWith("Warning:")).join("\n")
          }
        )
      // An emulator without a quota has none that could be exceeded.
      assert.strictEqual(yield* warned(), "")
      const emulator = yield* Emulator.make(quick)
      const asked = yield* caprock(
        ["run", input, "--out", `${output}.1`, "--model", model, "--endpoint", emulator.url, "--window=1s"]
      )
      const unknownQuota = asked.stderr.split("\n").filter((line) => line.startsWith("Warning:")).join("\n")
      assert.include(unknownQuota, "no quota is known (--rpm, --tpm, --quota-file)")
      assert.include(unknownQuota, `"Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.6"`)
      assert.include(unknownQuota, "aws service-quotas list-service-quotas --service-code bedrock")
      assert.match(
        yield* warned("--tpm=200000"),
        /the model's maximum, [\d,]+ tokens: \d requests? at a time fits? into/
      )
      assert.include(
        (yield* caprock(["run", input, "--out", `${output}.2`, "--emulate", "--tpm=9000"])).stderr,
        "none of them fits"
      )
      assert.strictEqual(yield* warned("--tpm=200000", "--max-tokens=100"), "")
      assert.include(
        yield* warned("--tpm=200000", "--max-tokens=100", "--model=acme.model-9"),
        "acme.model-9 is not in the catalogue"
      )
    }).pipe(platform))

  live("what would hit every line stops it at once, and the same command goes on later", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts(Array.from({ length: 200 }, (_, i) => ({ prompt: `Number ${i}` })))
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(20) })
      const run = caprock(
        ["run", input, "--out", output, "--model", model, "--endpoint", emulator.url, "--max-connections=4"]
      )
      const { withdraw } = yield* emulator.inject(Fault.error("ExpiredTokenException"), { times: 1000 })
      const first = yield* run
      assert.strictEqual(first.code, 2)
      assert.include(first.stderr, "Stopped at line ")
      assert.include(first.stderr, "AccessError (expired-credentials)")
      assert.include(first.stderr, "aws sso login")
      assert.include(first.stderr, "run the same command again")
      assert.isAtMost((yield* emulator.stats).requests, 8)
      yield* withdraw
      const second = yield* run
      assert.strictEqual(second.code, 0, second.stderr)
      assert.strictEqual((yield* readResults(output)).filter(isAnswer).length, 200)
    }).pipe(platform))

  live("says which model can't be reached after a few lines", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts(Array.from({ length: 100 }, (_, i) => ({ prompt: `Number ${i}` })))
      const emulator = yield* Emulator.make({ models: ["amazon.nova-lite-v1:0"], latency: LatencyModel.fixed(5) })
      const { code, stderr } = yield* caprock(
        ["run", input, "--out", output, "--model=acme.model-9", "--endpoint", emulator.url, "--max-connections=2"]
      )
      assert.strictEqual(code, 2, stderr)
      assert.include(stderr, "acme.model-9")
      assert.include(stderr, "Every line would end like this.")
      assert.isAtMost((yield* emulator.stats).requests, 8)
    }).pipe(platform))

  live("nothing is lost under faults, and a stream that is cut is asked again", () =>
    Effect.gen(function*() {
      const { input, output, prompts } = yield* files
      yield* prompts(Array.from({ length: 100 }, (_, i) => ({ id: i, prompt: `Number ${i}` })))
      const emulator = yield* Emulator.make({
        ...quick,
        faults: [{ fault: Fault.cut(), rate: 0.1 }, { fault: Fault.truncate(), rate: 0.05 }]
      })
      const run = caprock(
        ["run", input, "--out", output, "--model", model, "--endpoint", emulator.url, "--stream"]
      )
      let { code, stderr } = yield* run
      for (let i = 0; i < 5 && code === 1; i++) {
        const failed = (yield* readResults(output)).filter(isError)
        assert.isTrue(failed.every(({ error }) => error.reason === "InterruptedStreamError"), stderr)
        assert.isTrue(failed.every(({ error }) => error.partialText !== undefined))
        ;({ code, stderr } = yield* run)
      }
      assert.strictEqual(code, 0, stderr)
      const results = (yield* readResults(output)).filter(isAnswer)
      assert.strictEqual(new Set(results.map((line) => line.id)).size, 100)
      assert.isTrue(results.some((line) => line.attempts > 1))
    }).pipe(platform))

  live("quotas of a file hold for their models", () =>
    Effect.gen(function*() {
      const { at, input, output, prompts, write } = yield* files
      yield* prompts([
        ...Array.from({ length: 15 }, (_, i) => ({ prompt: `${i}` })),
        ...Array.from({ length: 15 }, (_, i) => ({ prompt: `${i}`, model: "amazon.nova-lite-v1:0" }))
      ])
      yield* write("quotas.json", `{"default":{"requestsPerMinute":10},"amazon.nova-lite-v1:0":{}}`)
      const emulator = yield* Emulator.make({ ...quick, quotas: { [model]: { requests: 10 } } })
      const { code, stderr } = yield* caprock([
        ...runArgs(input, output, emulator.url),
        "--quota-file",
        at("quotas.json"),
        "--window=1s"
      ])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual((yield* emulator.stats).throttled.total, 0)
      const waited = (own: boolean) =>
        Effect.map(readResults(output), (lines) =>
          lines.filter(isAnswer).filter((line) =>
            (line.model === model) === own && line.waitedMillis > 100
          ).length)
      assert.strictEqual(yield* waited(true), 5)
      assert.strictEqual(yield* waited(false), 0)
    }).pipe(platform))
})
