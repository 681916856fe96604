import * as PromptLine from "@caprock/cli/run/PromptLine"
import * as ResultLine from "@caprock/cli/run/ResultLine"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Result, Schedule } from "effect"
import * as queueServer from "../../batch/test/queueServer.ts"
import * as s3Server from "../../batch/test/s3Server.ts"
import { caprock } from "./command.ts"
import * as program from "./process.ts"
import { makeSignals } from "./support.ts"

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
      const url = "https://sqs.eu-west-1.amazonaws.com/111122223333/batch-jobs"
      const told = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--events", url)
      assert.hasAllKeys(JSON.parse(told.stdout), ["trust", "role", "caller", "queue", "rule"])
      assert.include(told.stdout, "arn:aws:sqs:eu-west-1:111122223333:batch-jobs")
      const name = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--events", "batch-jobs")
      assert.strictEqual(name.code, 2)
      assert.include(name.stderr, "the URL of a queue")
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
    const submitArgs = (input: string, name: string, ...more: ReadonlyArray<string>) => [
      "batch",
      "submit",
      input,
      "--name",
      name,
      "--model",
      model,
      "--role",
      role,
      ...more,
      ...where
    ]
    const submit = (...given: Parameters<typeof submitArgs>) => caprock(submitArgs(...given))
    return { batch, emulator, folder, fs, submit, submitArgs, where, write }
  })

const until = (come: Effect.Effect<boolean>) =>
  Effect.repeat(come, { until: (is) => is, schedule: Schedule.spaced("10 millis") })

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
        const told = JSON.parse(status.stdout)
        assert.deepInclude(told, { name: "nightly", state: "done", records: 150 })
        assert.strictEqual(told.settings.model, model)

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

    it.effect("hears of its jobs by a queue, long before it would look", () =>
      Effect.gen(function*() {
        const { batch, emulator, submit, write } = yield* house(100)
        const queue = yield* queueServer.start()
        yield* queueServer.rule(queue, emulator, { accessKeyId: "test", secretAccessKey: "test" })
        yield* submit(yield* write("prompts.jsonl", prompts(120)), "nightly")
        const ended = yield* batch("resume", "nightly", "--poll", "1h", "--events", queue.url)
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.include(ended.stderr, "nightly: done · 120 records")
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
        // As of a run, some of whose lines have no answer.
        assert.strictEqual(ended.code, 1, ended.stderr)
        assert.include(ended.stderr, "nightly: cancelled")
        const watched = yield* batch("watch", "nightly", "--every", "50ms")
        assert.strictEqual(watched.code, 1)
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
        assert.include(ended.stderr, "3 records · 0 answered by jobs")
        assert.include(ended.stderr, "3 records were asked on demand: too few for a job.")
        const read = yield* batch("results", "small", "--price-in", "3", "--price-out", "15")
        assert.strictEqual(read.code, 0, read.stderr)
        assert.lengthOf(read.stdout.trimEnd().split("\n"), 3)
        assert.include(read.stderr, "saved 0 of")
        assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
      }))

    it.effect("gives a line that can't be asked an error, as a run does, and goes on with the others", () =>
      Effect.gen(function*() {
        const { batch, folder, fs, submit, write } = yield* house(50)
        const lines = prompts(120)
        const input = yield* write("a.jsonl", lines)
        const text = (yield* fs.readFileString(input)).split("\n")
        text.splice(2, 0, "", "no JSON", JSON.stringify({ id: 7, promt: "Hello" }), "again, no JSON")
        text.splice(9, 0, JSON.stringify({ id: "other", prompt: "Hello", model: "amazon.nova-pro-v1:0" }))
        yield* fs.writeFileString(input, text.join("\n"))
        const ended = yield* submit(input, "a", "--wait", "--poll", "50ms")
        assert.strictEqual(ended.code, 1, ended.stderr)
        assert.include(
          ended.stderr,
          "a: done · 124 records · 120 answered · parts: 1 collected\n  4 records can't be sent"
        )
        // Of each kind the first.
        assert.include(ended.stderr, "line 4 is not JSON")
        assert.notInclude(ended.stderr, "line 6 is not JSON")
        assert.include(ended.stderr, "line 5 has neither")
        assert.include(ended.stderr, "line 10 names the model amazon.nova-pro-v1:0, and a batch has one")
        const read = yield* batch("results", "a", "--order", "input", "--out", `${folder}/out.jsonl`)
        assert.strictEqual(read.code, 1, read.stderr)
        assert.include(read.stderr, "120 records answered, 4 not.\n  4 refused. Correct them")
        const written = (yield* fs.readFileString(`${folder}/out.jsonl`)).trimEnd().split("\n").map((line) =>
          JSON.parse(line)
        )
        assert.lengthOf(written, 124)
        const errors = written.filter((line) => "error" in line)
        assert.deepStrictEqual(
          errors.map(({ attempts, error, id }) => [id, error.reason, error.kind, error.retryable, attempts]),
          [["line-4", "7", "line-6", "other"]].flat().map((id) => [id, "InputError", "refused", false, 0])
        )
        assert.match(errors[0].error.message, /^line 4 is not JSON: /)
        // The same lines again are the same batch.
        assert.strictEqual((yield* submit(input, "a")).code, 1)
      }))

    it.effect("ends at the first line that can't be asked, where it is strict, and uploads nothing twice", () =>
      Effect.gen(function*() {
        const { batch, emulator, submit, write } = yield* house(50)
        const lines: Array<unknown> = prompts(120)
        lines[100] = { promt: "Hello" }
        const wrong = yield* submit(yield* write("a.jsonl", lines), "a", "--strict")
        assert.strictEqual(wrong.code, 2)
        assert.include(wrong.stderr, "line 101 has neither \"prompt\" nor \"request\"")
        const tools = { messages: [{ role: "user", content: [{ text: "Hello" }] }], toolConfig: { tools: [] } }
        lines[100] = { request: tools }
        const unable = yield* submit(yield* write("a.jsonl", lines), "a", "--strict")
        assert.strictEqual(unable.code, 2)
        assert.include(unable.stderr, "its input has toolConfig: batch inference has no tools")
        assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
        // Not strict, it is an error among results.
        const lenient = yield* submit(yield* write("a.jsonl", lines), "a", "--wait", "--poll", "50ms")
        assert.strictEqual(lenient.code, 1, lenient.stderr)
        assert.include(lenient.stderr, "a: done · 120 records · 119 answered")
        // And strict again, it is the same batch as before.
        const again = yield* submit(yield* write("a.jsonl", lines), "a", "--strict")
        assert.include(again.stderr, "its input has toolConfig")
        assert.strictEqual((yield* batch("status", "a")).code, 0)
      }))

    it.effect("says what it needs to know, and what there is", () =>
      Effect.gen(function*() {
        const { batch, folder, submit, write } = yield* house(50)
        const input = yield* write("a.jsonl", prompts(3))
        const none = yield* batch("status", "nobody")
        assert.strictEqual(none.code, 2)
        assert.include(none.stderr, "batch nobody: there is none of that name in the bucket")
        assert.match(none.stderr, /`caprock batch list --bucket caprock-batch .*` says which there are/)
        const nameless = yield* caprock(["batch", "status", "nobody"])
        assert.deepStrictEqual([nameless.code, nameless.stderr.split("\n")[0]], [2, "Missing required flag: --bucket"])
        const noRole = yield* batch("submit", input, "--name", "a", "--model", model, "--role", "batch")
        assert.strictEqual(noRole.code, 2)
        assert.include(noRole.stderr, "Expected: the ARN of a role, such as arn:aws:iam::111122223333:role/batch")
        const slash = yield* submit(input, "a/b")
        assert.strictEqual(slash.code, 2)
        assert.include(slash.stderr, "has to be 1 to 128 letters, digits")
        const empty = yield* submit(yield* write("empty.jsonl", []), "empty")
        assert.strictEqual(empty.code, 2)
        assert.include(empty.stderr, `There is no prompt in ${folder}/empty.jsonl: it is empty.`)
      }))

    it.effect("says of a batch that is not over how much is missing, and that it is not all", () =>
      Effect.gen(function*() {
        const { batch, folder, fs, submit, write } = yield* house(3_600_000)
        yield* submit(yield* write("a.jsonl", prompts(120)), "a")
        const out = `${folder}/out.jsonl`
        const read = yield* batch("results", "a", "--out", out)
        assert.strictEqual(read.code, 1)
        assert.include(read.stderr, "120 of 120 records have no result yet. a: running.")
        assert.match(read.stderr, /`caprock batch resume a --bucket caprock-batch /)
        assert.strictEqual(yield* fs.readFileString(out), "")
      }))

    it.effect("writes a file of results anew, and says what is wrong where it can't", () =>
      Effect.gen(function*() {
        const { batch, folder, fs, submit, write } = yield* house(50)
        yield* submit(yield* write("a.jsonl", prompts(120)), "a", "--wait", "--poll", "50ms")
        const out = `${folder}/out.jsonl`
        yield* fs.writeFileString(out, "as it was\n")
        yield* fs.chmod(out, 0o600)
        assert.strictEqual((yield* batch("results", "a", "--out", out)).code, 0)
        assert.lengthOf((yield* fs.readFileString(out)).trimEnd().split("\n"), 120)
        assert.strictEqual((yield* fs.stat(out)).mode & 0o777, 0o600)
        assert.deepStrictEqual((yield* fs.readDirectory(folder)).toSorted(), ["a.jsonl", "out.jsonl"])
        const folderItself = yield* batch("results", "a", "--out", folder)
        assert.strictEqual(folderItself.code, 2)
        assert.include(folderItself.stderr, "it is a folder")
        const full = yield* batch("results", "a", "--out", "/dev/full")
        assert.strictEqual(full.code, 2)
        assert.include(full.stderr, "Can't write /dev/full: the disk is full (ENOSPC).")
        assert.include(full.stderr, "Nothing is lost: the results stay in the bucket")
      }))

    it.effect("says so where whoever reads has gone, and where there are no credentials", () =>
      Effect.gen(function*() {
        const { submit, where, write } = yield* house(50)
        yield* submit(yield* write("a.jsonl", prompts(120)), "a", "--wait", "--poll", "50ms")
        const running = yield* program.start(["batch", "results", "a", ...where])
        running.child.stdout?.destroy()
        const closed = yield* running.ended
        assert.strictEqual(closed.code, 2, closed.stderr)
        assert.include(closed.stderr, "Can't write to standard output: whoever read the output has closed it (EPIPE).")
        assert.include(closed.stderr, "Nothing is lost: the results stay in the bucket")
        const nobody = yield* program.caprock(["batch", "status", "a", ...where], {
          env: { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" }
        })
        assert.strictEqual(nobody.code, 2, nobody.stderr)
        assert.include(nobody.stderr, "S3 needs credentials of AWS")
        assert.notInclude(nobody.stderr, "Gave up retrying")
      }))

    it.effect("lists what there is, and says where there is nothing", () =>
      Effect.gen(function*() {
        const { batch, submit, write } = yield* house(3_600_000)
        const none = yield* batch("list", "--prefix", "bulk/")
        assert.deepStrictEqual([none.code, none.stdout], [0, ""])
        assert.include(none.stderr, "There is no batch in s3://caprock-batch/bulk/.")
        // Too little for a job, it waits for somebody.
        const few = yield* submit(yield* write("a.jsonl", prompts(3)), "a")
        assert.include(
          few.stderr,
          "Nothing of it goes on by itself: what comes next needs somebody: `caprock batch resume a "
        )
        yield* batch("cancel", "a")
        yield* batch("resume", "a", "--poll", "50ms")
        const cancelled = yield* batch("status", "a")
        assert.include(cancelled.stdout, "The rest needs another name.")
        assert.strictEqual((yield* batch("list")).stdout.split("\n").length, 2)
      }))

    it.effect("says what to mend where a job fails by its role, and goes on when it is mended", () =>
      Effect.gen(function*() {
        const { batch, emulator, submit, write } = yield* house(50)
        const message = "Access denied: the role may not read the S3 bucket."
        yield* emulator.inject(Fault.job("Failed", { message }))
        const failed = yield* submit(yield* write("a.jsonl", prompts(120)), "a", "--wait", "--poll", "50ms")
        assert.strictEqual(failed.code, 2, failed.stderr)
        assert.include(failed.stderr, message)
        assert.match(
          failed.stderr,
          /Whether the role .*: `caprock batch setup --check-create --role <arn> --model <id> /
        )
        // Whoever looks on is told, too, and with what it ends.
        const watched = yield* batch("watch", "a", "--every", "50ms")
        assert.strictEqual(watched.code, 2, watched.stderr)
        assert.include(watched.stderr, message)
        assert.include(watched.stderr, "Mend that, and `caprock batch resume a ")
        const resumed = yield* batch("resume", "a", "--poll", "50ms")
        assert.strictEqual(resumed.code, 0, resumed.stderr)
        assert.include(resumed.stderr, "a: done · 120 records · 120 answered")
      }))

    it.effect("stops at the first Ctrl-C, and goes on where it stopped", () =>
      Effect.gen(function*() {
        const { emulator, submit, submitArgs, write } = yield* house(3_600_000)
        const input = yield* write("a.jsonl", prompts(120))
        const signals = yield* makeSignals
        const running = yield* Effect.forkScoped(caprock(submitArgs(input, "a", "--wait"), { signals: signals.layer }))
        yield* until(Effect.map(emulator.stats, ({ jobs }) => jobs.accepted === 1))
        signals.send("SIGINT")
        const stopped = yield* Fiber.join(running)
        assert.strictEqual(stopped.code, 130)
        assert.include(stopped.stderr, "Stopped by SIGINT. What was uploaded stays, and jobs that were created go on.")
        const again = yield* submit(input, "a")
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepInclude((yield* emulator.stats).jobs, { accepted: 1, repeated: 0 })
      }))

    it.effect("shows on a terminal how it goes", () =>
      Effect.gen(function*() {
        const { batch, submitArgs, write } = yield* house(1500)
        const input = yield* write("a.jsonl", prompts(120))
        const ended = yield* caprock(submitArgs(input, "a", "--wait", "--poll", "50ms"), { terminal: true })
        assert.strictEqual(ended.code, 0, ended.stderr)
        const drawn = ended.stderr.split("\u001b[0J")
        assert.isTrue(
          drawn.some((frame) =>
            /^a: running, .*\nuploaded {2}120 records in 1 part\njobs {6}1 \S+\n {10}part 1 {3}\S+ +\S+ m?s old .*\nanswered {2}\d+ of 120\nnext {6}its jobs end/
              .test(frame)
          ),
          drawn.join("\n---\n")
        )
        // The panel is gone, and what stays is how it ended.
        assert.match(
          drawn.at(-1) ?? "",
          /^a: done · 120 records · 120 answered · parts: 1 collected\n {2}Its answers: `[^`]+`\.\n$/
        )
        assert.notInclude((yield* batch("watch", "a", "--every", "50ms")).stderr, "\u001b")
      }))
  })
})
