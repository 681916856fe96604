import * as PromptLine from "@caprock/cli/run/PromptLine"
import * as ResultLine from "@caprock/cli/run/ResultLine"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Result } from "effect"
import * as s3Server from "../../batch/test/s3Server.ts"
import { caprock } from "./command.ts"

// What the SDK signs with: the emulator takes any.
process.env["AWS_ACCESS_KEY_ID"] = "test"
process.env["AWS_SECRET_ACCESS_KEY"] = "test"

const role = "arn:aws:iam::111122223333:role/batch"
const setup = (...args: ReadonlyArray<string>) =>
  caprock(["batch", "setup", "--bucket", "nightly", "--model", "amazon.nova-lite-v1:0", ...args])

describe("caprock batch setup", () => {
  it.effect("prints the policies of the role and of the caller", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--prefix", "bulk/")
      assert.strictEqual(code, 0)
      const printed: unknown = JSON.parse(stdout)
      assert.hasAllKeys(printed, ["trust", "role", "caller"])
      assert.include(stdout, "arn:aws:bedrock:eu-west-1:111122223333:model-invocation-job/*")
      assert.include(stdout, "arn:aws:s3:::nightly/bulk/*")
      assert.notInclude(stdout, "kms:")
      const encrypted = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--kms-key", "arn:aws:kms:a")
      assert.include(encrypted.stdout, "kms:Decrypt")
    }))

  it.effect("says what it needs to know", () =>
    Effect.gen(function*() {
      const neither = yield* setup("--role", role)
      assert.deepStrictEqual([neither.code, neither.stdout], [2, ""])
      assert.include(neither.stderr, "Add --print, or --check")
      const both = yield* setup("--role", role, "--print", "--check")
      assert.strictEqual(both.code, 2)
      const name = yield* setup("--role", "batch", "--print", "--region", "eu-west-1")
      assert.strictEqual(name.code, 2)
      assert.include(name.stderr, "batch is not the ARN of a role")
      const prefix = yield* setup("--role", role, "--print", "--region", "eu-west-1", "--prefix", "bulk")
      assert.strictEqual(prefix.code, 2)
      assert.include(prefix.stderr, "ends in a slash")
    }))

  it.live("checks, and says what to mend", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make()
      yield* emulator.inject(Fault.error("AccessDeniedException"), { operation: "ListModelInvocationJobs" })
      const { code, stdout } = yield* setup(
        "--check",
        "--role",
        "batch",
        "--region",
        "us-east-1",
        "--endpoint",
        emulator.url,
        // Whatever answers there, it is no S3.
        "--s3-endpoint",
        emulator.url
      )
      assert.strictEqual(code, 2)
      const lines = stdout.split("\n")
      assert.deepStrictEqual(lines.filter((line) => /^\S/.test(line)).map((line) => line.split(":")[0]), [
        "FAIL role",
        "FAIL bucket",
        "FAIL jobs"
      ])
      assert.include(stdout, "     Allow the caller CaprockJobs and CaprockList.")
    }))
})

const model = "amazon.nova-lite-v1:0"

/** An S3, an emulator whose jobs take so long in progress, a folder, and the command with all of it. */
const house = (inProgress: number) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    const s3 = yield* s3Server.start
    const soon = LatencyModel.fixed(20)
    const emulator = yield* Emulator.make({
      batch: {
        s3: { endpoint: s3.url },
        delays: {
          submitted: soon,
          validating: soon,
          scheduled: soon,
          inProgress: LatencyModel.fixed(inProgress),
          stopping: soon
        }
      }
    })
    const where = ["--bucket", s3.bucket, "--region", "us-east-1", "--endpoint", emulator.url, "--s3-endpoint", s3.url]
    const batch = (...args: ReadonlyArray<string>) => caprock(["batch", ...args, ...where])
    const write = (name: string, lines: ReadonlyArray<unknown>) =>
      Effect.as(
        fs.writeFileString(`${folder}/${name}`, lines.map((line) => `${JSON.stringify(line)}\n`).join("")),
        `${folder}/${name}`
      )
    const submit = (input: string, name: string, ...more: ReadonlyArray<string>) =>
      batch("submit", input, "--name", name, "--model", model, "--role", role, ...more)
    return { batch, emulator, folder, fs, submit, write }
  })

const prompts = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ id: `doc-${i}`, prompt: `Document ${i}.`, maxTokens: 20, temperature: 0.5 }))

describe("caprock batch", () => {
  it.layer(NodeServices.layer, { excludeTestServices: true })("on files, an S3 and an emulator", (it) => {
    it.effect("brings a file of prompts to its results, and says what was saved", () =>
      Effect.gen(function*() {
        const { batch, emulator, folder, fs, submit, write } = yield* house(50)
        const lines = prompts(150)
        const input = yield* write("prompts.jsonl", lines)
        const ended = yield* submit(input, "nightly", "--wait", "--poll", "50ms")
        assert.deepStrictEqual([ended.code, ended.stdout], [0, ""], ended.stderr)
        assert.include(ended.stderr, "nightly: done · 150 records · 150 answered · parts: 1 collected")
        assert.include(ended.stderr, "caprock batch results nightly")

        const listed = yield* batch("list")
        assert.deepStrictEqual([listed.code, listed.stdout], [
          0,
          "nightly: done · 150 records · 150 answered · parts: 1 collected\n"
        ])
        const status = yield* batch("status", "nightly", "--json")
        assert.deepInclude(JSON.parse(status.stdout), { name: "nightly", state: "done", model, records: 150 })

        const out = `${folder}/results.jsonl`
        const read = yield* batch(
          "results",
          "nightly",
          "--out",
          out,
          "--order",
          "input",
          "--price-in",
          "3",
          "--price-out",
          "15"
        )
        assert.strictEqual(read.code, 0, read.stderr)
        assert.match(
          read.stderr,
          /^150 records answered\.\n[\d,]+ tokens in, 3,000 out\.\nSpent 0\.0\d+, and saved 0\.0\d+ of/
        )
        const written = (yield* fs.readFileString(out)).trimEnd().split("\n")
        assert.deepStrictEqual(
          written.map((text) => ResultLine.decode(text)),
          lines.map((line, i) => ({
            _tag: "Answered" as const,
            id: line.id,
            digest: Result.getOrThrow(PromptLine.parse(JSON.stringify(line), i + 1, { model })).digest,
            model
          }))
        )

        // Once more: it is there already.
        const again = yield* submit(input, "nightly")
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepInclude((yield* emulator.stats).jobs, { accepted: 1, repeated: 0 })
        const other = yield* submit(yield* write("other.jsonl", prompts(149)), "nightly")
        assert.strictEqual(other.code, 2)
        assert.match(other.stderr, /s3:\/\/caprock-batch\/caprock\/nightly\//)
      }))

    it.effect("ends what is cancelled, and says of each record that it was", () =>
      Effect.gen(function*() {
        const { batch, emulator, submit, write } = yield* house(3_600_000)
        const input = yield* write("prompts.jsonl", prompts(120))
        const submitted = yield* submit(input, "nightly")
        assert.strictEqual(submitted.code, 0, submitted.stderr)
        assert.include(submitted.stderr, "nightly: running")
        assert.strictEqual((yield* batch("cancel", "nightly")).code, 0)
        const ended = yield* batch("resume", "nightly", "--poll", "50ms")
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.include(ended.stderr, "nightly: cancelled")
        const watched = yield* batch("watch", "nightly", "--every", "50ms")
        assert.include(watched.stderr, "nightly: cancelled")
        const read = yield* batch("results", "nightly")
        assert.strictEqual(read.code, 1)
        assert.lengthOf(read.stdout.trimEnd().split("\n"), 120)
        assert.include(read.stderr, "120 cancelled. The batch was cancelled before they were answered.")
        assert.deepStrictEqual((yield* emulator.stats).jobs.statuses, { Stopped: 1 })
      }))

    it.effect("asks on demand what is too little for a job", () =>
      Effect.gen(function*() {
        const { batch, emulator, submit, write } = yield* house(50)
        const input = yield* write("prompts.jsonl", prompts(3))
        const ended = yield* submit(input, "small", "--wait", "--poll", "50ms", "--rpm", "6000")
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.include(ended.stderr, "3 records were asked on demand: too few for a job.")
        const read = yield* batch("results", "small", "--price-in", "3", "--price-out", "15")
        assert.strictEqual(read.code, 0, read.stderr)
        assert.lengthOf(read.stdout.trimEnd().split("\n"), 3)
        assert.include(read.stderr, "saved 0.0 of")
        assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
      }))

    it.effect("refuses early what can't be sent, and says where", () =>
      Effect.gen(function*() {
        const { batch, submit, write } = yield* house(50)
        const wrong = yield* submit(yield* write("a.jsonl", [{ prompt: "Hello" }, { promt: "Hello" }]), "a")
        assert.strictEqual(wrong.code, 2)
        assert.include(wrong.stderr, "line 2 has neither \"prompt\" nor \"request\"")
        const two = yield* submit(yield* write("b.jsonl", [{ prompt: "Hello", model: "amazon.nova-pro-v1:0" }]), "b")
        assert.strictEqual(two.code, 2)
        assert.include(two.stderr, "line 1 names the model amazon.nova-pro-v1:0, and a batch has one")
        const none = yield* batch("status", "nobody")
        assert.strictEqual(none.code, 2)
        assert.include(none.stderr, "batch nobody: there is none of that name in the bucket")
      }))
  })
})
