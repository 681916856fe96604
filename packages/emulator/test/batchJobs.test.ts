import { type CreateModelInvocationJobCommandInput, paginateListModelInvocationJobs } from "@aws-sdk/client-bedrock"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { bucket, clientOf, converseInput, type OutputLine, records, start } from "./batch.ts"
import { client, converse, type Failed, modelId, outcome, refusal } from "./helpers.ts"

const instantly = {
  submitted: LatencyModel.fixed(0),
  validating: LatencyModel.fixed(0),
  scheduled: LatencyModel.fixed(0),
  inProgress: LatencyModel.fixed(0),
  stopping: LatencyModel.fixed(0)
}

/** The input of a job of its own. */
const input = (folder: string): Partial<CreateModelInvocationJobCommandInput> => ({
  inputDataConfig: { s3InputDataConfig: { s3Uri: `s3://${bucket}/${folder}` } }
})

/** Starts, and answers one job of so many records to its end. */
const done = (
  lines: ReadonlyArray<unknown>,
  options: Parameters<typeof start>[0] = {},
  asked: Partial<CreateModelInvocationJobCommandInput> = {}
) =>
  Effect.gen(function*() {
    const house = yield* start({ ...options, batch: { ...options.batch, delays: instantly } })
    yield* house.put("in/part.jsonl", lines)
    const { jobArn } = yield* house.create(asked)
    const job = yield* house.reaches(jobArn, "Completed", "Failed")
    return { ...house, job, jobArn, lines: job.status === "Completed" ? yield* house.output(jobArn) : [] }
  })

const byId = (lines: ReadonlyArray<OutputLine>) => new Map(lines.map((line) => [line.recordId, line]))

const failedIds = (lines: ReadonlyArray<OutputLine>) =>
  lines.filter(({ error }) => error !== undefined).map(({ recordId }) => recordId).toSorted()

describe("batch jobs", () => {
  it.effect("pass their states, each for its time, and write what was answered", () =>
    Effect.gen(function*() {
      const { create, get, manifest, objects, output, put, reaches } = yield* start()
      yield* put("in/part.jsonl", records(300))
      yield* TestClock.adjust("1 second")
      const { jobArn } = yield* create({ clientRequestToken: "token-1" })
      assert.match(jobArn ?? "", /^arn:aws:bedrock:us-east-1:[0-9]{12}:model-invocation-job\/[a-z0-9]{12}$/)
      const { $metadata: _, ...job } = yield* get(jobArn)
      assert.deepStrictEqual(job, {
        jobArn,
        jobName: "nightly",
        modelId,
        roleArn: "arn:aws:iam::111122223333:role/batch",
        inputDataConfig: { s3InputDataConfig: { s3Uri: `s3://${bucket}/in/` } },
        outputDataConfig: { s3OutputDataConfig: { s3Uri: `s3://${bucket}/out/` } },
        modelInvocationType: "Converse",
        timeoutDurationInHours: 24,
        clientRequestToken: "token-1",
        status: "Submitted",
        submitTime: new Date(1_000),
        lastModifiedTime: new Date(1_000),
        jobExpirationTime: new Date(1_000 + 86_400_000)
      })
      yield* TestClock.adjust("249 millis")
      assert.strictEqual((yield* get(jobArn)).status, "Submitted")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* get(jobArn)).status, "Validating")
      yield* TestClock.adjust("250 millis")
      assert.strictEqual((yield* reaches(jobArn, "Scheduled")).totalRecordCount, 300)
      yield* TestClock.adjust("250 millis")
      assert.strictEqual((yield* get(jobArn)).status, "InProgress")
      yield* TestClock.adjust("500 millis")
      const half = yield* get(jobArn)
      assert.deepStrictEqual(
        [half.processedRecordCount, half.successRecordCount, half.errorRecordCount],
        [150, 150, 0]
      )
      yield* TestClock.adjust("500 millis")
      const ended = yield* reaches(jobArn, "Completed")
      assert.deepStrictEqual(
        [ended.totalRecordCount, ended.processedRecordCount, ended.successRecordCount, ended.errorRecordCount],
        [300, 300, 300, 0]
      )
      assert.deepStrictEqual([ended.endTime, ended.lastModifiedTime], [new Date(2_750), new Date(2_750)])
      const folder = `out/${jobArn?.split("/").at(-1)}/`
      assert.deepStrictEqual(yield* objects("out/"), [`${folder}manifest.json.out`, `${folder}part.jsonl.out`])
      const lines = yield* output(jobArn)
      assert.deepStrictEqual(
        lines.map(({ modelInput, recordId }) => ({ recordId, modelInput })).toSorted((a, b) =>
          Number(a.recordId.slice(1)) - Number(b.recordId.slice(1))
        ),
        records(300)
      )
      // Nobody may rely on an order.
      assert.notDeepEqual(lines.map(({ recordId }) => recordId), records(300).map((_, i) => `r${i}`))
      assert.deepStrictEqual(yield* manifest(jobArn), {
        totalRecordCount: 300,
        processedRecordCount: 300,
        successRecordCount: 300,
        errorRecordCount: 0,
        inputTokenCount: lines.reduce((sum, { modelOutput }) => sum + usage(modelOutput).inputTokens, 0),
        outputTokenCount: lines.reduce((sum, { modelOutput }) => sum + usage(modelOutput).outputTokens, 0)
      })
    }))

  it.effect("take as long as is drawn for them from the seed and what they were asked", () =>
    Effect.gen(function*() {
      const progress = (seed: string, names: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const { create, get, put, reaches } = yield* start({
            seed,
            batch: { delays: { ...instantly, inProgress: LatencyModel.uniform(1_000, 20_000) } }
          })
          yield* put("in/part.jsonl", records(2000))
          const jobs = yield* Effect.forEach(names, (jobName) => create({ jobName }))
          for (const { jobArn } of jobs) yield* reaches(jobArn, "InProgress")
          yield* TestClock.adjust("1 second")
          const all = yield* Effect.forEach(jobs, ({ jobArn }) => get(jobArn))
          return names.map((name, i) => [name, all[i]?.processedRecordCount])
        }).pipe(Effect.scoped)
      const some = yield* progress("a", ["one", "three"])
      assert.notStrictEqual(some[0]?.[1], some[1]?.[1])
      // Whoever comes first.
      assert.deepStrictEqual((yield* progress("a", ["three", "one"])).toReversed(), some)
      assert.notDeepEqual(yield* progress("b", ["one", "three"]), some)
    }))

  it.effect("draw on no quota of the real-time operations, and are counted by themselves", () =>
    Effect.gen(function*() {
      const { emulator } = yield* done(records(100), {
        quota: { requests: 0, tokens: 0 },
        accountTokensPerDay: 0
      })
      const { errors, jobs, pools, throttled, tokens } = yield* emulator.stats
      assert.deepStrictEqual({ errors, pools, throttled: throttled.total, tokens }, {
        errors: {},
        pools: {},
        throttled: 0,
        tokens: { reserved: 0, settled: 0 }
      })
      assert.deepStrictEqual(jobs, {
        accepted: 1,
        repeated: 0,
        statuses: { Completed: 1 },
        records: { processed: 100, succeeded: 100, failed: 0 },
        tokens: { input: jobs.tokens.input, output: 2000 },
        perInput: { distinct: 1, max: 1, mean: 1 }
      })
      assert.isAbove(jobs.tokens.input, 0)
    }))

  it.effect("read every .jsonl file of a folder, or the one that is named, and name outputs by them", () =>
    Effect.gen(function*() {
      const { create, objects, put, reaches } = yield* start({ batch: { delays: instantly } })
      yield* put("in/a.jsonl", records(3))
      yield* put("in/deep/b.jsonl", records(4))
      yield* put("in/notes.txt", ["nothing"])
      yield* put("inside/c.jsonl", records(5))
      const outputs = (uri: string) =>
        Effect.gen(function*() {
          const { jobArn } = yield* create(input(uri))
          const { totalRecordCount } = yield* reaches(jobArn, "Completed")
          const folder = `out/${jobArn?.split("/").at(-1)}/`
          return [totalRecordCount, ...(yield* objects(folder)).map((key) => key.slice(folder.length))]
        })
      assert.deepStrictEqual(yield* outputs("in"), [7, "a.jsonl.out", "deep/b.jsonl.out", "manifest.json.out"])
      assert.deepStrictEqual(yield* outputs("in/"), [7, "a.jsonl.out", "deep/b.jsonl.out", "manifest.json.out"])
      assert.deepStrictEqual(yield* outputs("in/deep/b.jsonl"), [4, "b.jsonl.out", "manifest.json.out"])
    }))

  it.effect("take bodies of InvokeModel, embeddings too, and records without an id", () =>
    Effect.gen(function*() {
      const body = {
        anthropic_version: "bedrock-2023-05-31",
        max_tokens: 7,
        messages: [{ role: "user", content: "Hello" }]
      }
      const asked = yield* done([{ modelInput: body }, { recordId: "x", modelInput: body }], {}, {
        modelInvocationType: undefined
      })
      assert.strictEqual(asked.job.modelInvocationType, "InvokeModel")
      assert.deepStrictEqual([...byId(asked.lines).keys()].toSorted(), ["CALL0000001", "x"])
      assert.strictEqual(asked.lines[0]?.modelOutput?.["type"], "message")

      const embedded = yield* done([{ recordId: "e", modelInput: { inputText: "Hello", dimensions: 256 } }], {}, {
        modelInvocationType: "InvokeModel",
        modelId: "amazon.titan-embed-text-v2:0"
      })
      assert.lengthOf(embedded.lines[0]?.modelOutput?.["embedding"] as ReadonlyArray<number>, 256)
    }))

  it.live("write outputs that are larger than one part of an upload", () =>
    Effect.gen(function*() {
      const { jobArn, lines, objects } = yield* done(records(20_000, (i) => `${i} ${"stone ".repeat(20)}`), {
        output: { _tag: "Fixed", tokens: 60 }
      })
      assert.strictEqual(byId(lines).size, 20_000)
      assert.lengthOf(lines, 20_000)
      assert.lengthOf(yield* objects(`out/${jobArn?.split("/").at(-1)}/`), 2)
    }))
})

const usage = (modelOutput: Record<string, unknown> | undefined) =>
  modelOutput?.["usage"] as { readonly inputTokens: number; readonly outputTokens: number }

describe("records of batch jobs", () => {
  it.effect("fail alone, each with a number and a text in place of its answer", () =>
    Effect.gen(function*() {
      const { job, lines, manifest, jobArn } = yield* done([
        { recordId: "good", modelInput: converseInput("Hello") },
        { recordId: "steered", modelInput: converseInput("[[emulate error=ModelTimeoutException]]") },
        { recordId: "empty", modelInput: {} },
        { recordId: "long", modelInput: converseInput("word ".repeat(300)) },
        { recordId: "greedy", modelInput: converseInput("Hello", 1000) },
        { recordId: "tools", modelInput: { ...converseInput("Hello"), toolConfig: { tools: [] } } },
        { recordId: "structured", modelInput: { ...converseInput("Hello"), outputConfig: {} } }
      ], { contextWindow: 200, maxOutput: 500 })
      const found = byId(lines)
      assert.deepStrictEqual(found.get("steered")?.error, {
        errorCode: 408,
        errorMessage: "Model has timed out in processing the request. Try your request again."
      })
      assert.notProperty(found.get("steered"), "modelOutput")
      assert.deepStrictEqual(found.get("steered")?.modelInput, converseInput("[[emulate error=ModelTimeoutException]]"))
      for (
        const [id, message] of [["empty", /messages/], ["long", /too long/], ["greedy", /500/], [
          "tools",
          /tools/
        ], ["structured", /structured output/]] as const
      ) {
        assert.strictEqual(found.get(id)?.error?.errorCode, 400)
        assert.match(found.get(id)?.error?.errorMessage ?? "", message)
      }
      assert.isUndefined(found.get("good")?.error)
      assert.deepStrictEqual([job.status, job.successRecordCount, job.errorRecordCount], ["Completed", 1, 6])
      assert.deepInclude(yield* manifest(jobArn), {
        processedRecordCount: 7,
        successRecordCount: 1,
        errorRecordCount: 6
      })
    }))

  it.effect("fail at their rate, the same ones for one seed and job, and others in another job, with the same answers", () =>
    Effect.gen(function*() {
      const run = (seed: string, jobName = "one") =>
        Effect.map(
          done(records(2000), {
            seed,
            faults: [{ fault: Fault.error("InternalServerException"), rate: 0.1, operation: "BatchRecord" }]
          }, { jobName }),
          ({ jobArn, lines }) => ({ jobArn, lines, failed: failedIds(lines) })
        )
      const first = yield* run("a")
      assert.closeTo(first.failed.length, 200, 60)
      assert.strictEqual(first.lines.find(({ error }) => error !== undefined)?.error?.errorCode, 500)
      const again = yield* run("a")
      assert.deepStrictEqual(again, first)
      const other = yield* run("a", "two")
      assert.notDeepEqual(other.failed, first.failed)
      const answers = byId(other.lines)
      for (const { modelOutput, recordId } of first.lines) {
        const answer = answers.get(recordId)?.modelOutput
        if (modelOutput !== undefined && answer !== undefined) assert.deepStrictEqual(answer, modelOutput)
      }
      const seeded = yield* run("b")
      assert.notDeepEqual(seeded.failed, first.failed)
      assert.notStrictEqual(seeded.jobArn, first.jobArn)
    }))

  it.effect("are no requests: what befalls those passes them by, and the other way round", () =>
    Effect.gen(function*() {
      const { create, emulator, output, put, reaches } = yield* start({
        faults: [{ fault: Fault.error("InternalServerException"), rate: 1, operation: "Converse" }]
      })
      yield* put("in/part.jsonl", records(50))
      const outcomeOf = Effect.fnUntraced(function*(jobArn: string | undefined) {
        yield* TestClock.adjust("500 millis")
        yield* reaches(jobArn, "Scheduled")
        yield* TestClock.adjust("1250 millis")
        yield* reaches(jobArn, "Completed")
        return (yield* output(jobArn)).flatMap(({ error }) => error === undefined ? [] : [error.errorCode])
      })
      const first = yield* create()
      const anyone = yield* emulator.inject(Fault.error("ModelErrorException"), { times: 100, model: modelId })
      yield* emulator.outage({ duration: "1 hour", model: modelId })
      assert.deepStrictEqual(yield* outcomeOf(first.jobArn), [])
      assert.strictEqual(yield* anyone.remaining, 100)
      yield* anyone.withdraw
      yield* TestClock.adjust("1 hour")

      const second = yield* create()
      const script = yield* emulator.inject(Fault.error("ThrottlingException"), { times: 2, operation: "BatchRecord" })
      const slow = yield* emulator.inject(Fault.slow(2), { times: 9, operation: "BatchRecord" })
      assert.deepStrictEqual(yield* outcomeOf(second.jobArn), [429, 429])
      assert.deepStrictEqual([yield* script.remaining, yield* slow.remaining], [0, 9])
    }))
})

describe("the end of batch jobs", () => {
  const fated = (fault: Fault.Fault, adjust: Parameters<typeof TestClock.adjust>[0]) =>
    Effect.gen(function*() {
      const house = yield* start({ batch: { hour: "1 second" } })
      yield* house.put("in/part.jsonl", records(200))
      yield* house.emulator.inject(fault, { operation: "CreateModelInvocationJob" })
      const { jobArn } = yield* house.create()
      yield* TestClock.adjust("500 millis")
      yield* house.reaches(jobArn, "Scheduled", "Failed")
      yield* TestClock.adjust(adjust)
      const job = yield* house.reaches(jobArn, "Expired", "Failed", "PartiallyCompleted", "Stopped", "Completed")
      return { ...house, job, jobArn, lines: (yield* house.output(jobArn)).length }
    })

  it.effect("is Expired when they have not begun in time: nothing was asked", () =>
    Effect.gen(function*() {
      const { emulator, get, job, jobArn, lines, objects } = yield* fated(Fault.job("Expired"), "23500 millis")
      assert.deepStrictEqual(
        [job.status, job.endTime, job.processedRecordCount],
        ["Expired", new Date(24_000), undefined]
      )
      assert.match(
        job.message ?? "",
        /scheduled but didn't begin before the set timeout duration\. Submit a new job request\.$/
      )
      assert.deepStrictEqual([lines, yield* objects("out/")], [0, []])
      assert.strictEqual((yield* get(jobArn)).totalRecordCount, 200)
      const { jobs } = yield* emulator.stats
      assert.deepStrictEqual([jobs.records.processed, jobs.perInput.distinct], [0, 0])
    }))

  it.effect("is PartiallyCompleted with what was done by then", () =>
    Effect.gen(function*() {
      const { job, lines, manifest, jobArn } = yield* fated(Fault.job("PartiallyCompleted", { at: 0.25 }), "500 millis")
      assert.deepStrictEqual([job.status, job.processedRecordCount, lines], ["PartiallyCompleted", 50, 50])
      assert.match(
        job.message ?? "",
        /^Not all of your records could be processed in time\. View the output files in the output S3 location\.$/
      )
      assert.deepInclude(yield* manifest(jobArn), { totalRecordCount: 200, processedRecordCount: 50 })
    }))

  it.effect("is Failed in validation, or in the middle", () =>
    Effect.gen(function*() {
      const early = yield* fated(Fault.job("Failed", { message: "The role cannot be assumed." }), 0)
      assert.deepStrictEqual([early.job.status, early.job.message, early.lines], [
        "Failed",
        "The role cannot be assumed.",
        0
      ])
      const late = yield* fated(Fault.job("Failed", { at: 0.5 }), "750 millis")
      assert.deepStrictEqual([late.job.status, late.lines, late.job.processedRecordCount], ["Failed", 100, 100])
    }))

  it.effect("is Stopped when somebody else stops them", () =>
    Effect.gen(function*() {
      const house = yield* start()
      yield* house.put("in/part.jsonl", records(200))
      yield* house.emulator.inject(Fault.job("Stopped"))
      const { jobArn } = yield* house.create()
      yield* TestClock.adjust("500 millis")
      yield* house.reaches(jobArn, "Scheduled")
      yield* TestClock.adjust("750 millis")
      yield* house.reaches(jobArn, "Stopping")
      yield* TestClock.adjust("250 millis")
      yield* house.reaches(jobArn, "Stopped")
      assert.lengthOf(yield* house.output(jobArn), 100)
    }))

  it.effect("is no matter of other requests", () =>
    Effect.gen(function*() {
      const { create, emulator, put, reaches } = yield* start({ batch: { delays: instantly } })
      yield* put("in/part.jsonl", records(1))
      const script = yield* emulator.inject(Fault.job("Failed"))
      const runtime = yield* client(emulator)
      assert.strictEqual(yield* outcome(converse(runtime, "Hi [[emulate latency=0]]", 10)), "answered")
      assert.strictEqual(yield* script.remaining, 1)
      const { jobArn } = yield* create()
      yield* reaches(jobArn, "Failed")
    }))

  it.effect("comes of itself where the timeout is shorter than what it takes", () =>
    Effect.gen(function*() {
      const ending = (delays: object) =>
        Effect.gen(function*() {
          const house = yield* start({ batch: { hour: "1 second", delays } })
          yield* house.put("in/part.jsonl", records(100))
          const { jobArn } = yield* house.create({ timeoutDurationInHours: 48 })
          assert.deepStrictEqual((yield* house.get(jobArn)).jobExpirationTime, new Date(48_000))
          yield* TestClock.adjust("500 millis")
          yield* house.reaches(jobArn, "Scheduled")
          yield* TestClock.adjust("47499 millis")
          assert.notInclude(["Expired", "PartiallyCompleted"], (yield* house.get(jobArn)).status)
          yield* TestClock.adjust(1)
          const { endTime, processedRecordCount, status } = yield* house.reaches(
            jobArn,
            "Expired",
            "PartiallyCompleted"
          )
          assert.deepStrictEqual(endTime, new Date(48_000))
          yield* TestClock.setTime(0)
          return [status, processedRecordCount]
        }).pipe(Effect.scoped)
      assert.deepStrictEqual(yield* ending({ scheduled: LatencyModel.fixed(47_500) }), ["Expired", undefined])
      assert.deepStrictEqual(
        yield* ending({ scheduled: LatencyModel.fixed(500), inProgress: LatencyModel.fixed(94_000) }),
        ["PartiallyCompleted", 50]
      )
    }))

  it.effect("befalls jobs at its rate, the same ones for one seed", () =>
    Effect.gen(function*() {
      const fates = (seed: string) =>
        Effect.gen(function*() {
          const house = yield* start({
            seed,
            batch: { delays: instantly },
            faults: [{ fault: Fault.job("Failed"), rate: 0.5 }]
          })
          yield* house.put("in/part.jsonl", records(1))
          return yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => i), (i) =>
            Effect.gen(function*() {
              const { jobArn } = yield* house.create({ jobName: `job-${i}`, clientRequestToken: `token${i}` })
              return (yield* house.reaches(jobArn, "Completed", "Failed")).status
            }))
        }).pipe(Effect.scoped)
      const some = yield* fates("a")
      assert.deepStrictEqual([...new Set(some)].toSorted(), ["Completed", "Failed"])
      assert.deepStrictEqual(yield* fates("a"), some)
      assert.notDeepEqual(yield* fates("b"), some)
    }))
})

describe("stopping a batch job", () => {
  it.effect("keeps what was done by then", () =>
    Effect.gen(function*() {
      const { create, get, output, put, reaches, stop } = yield* start()
      yield* put("in/part.jsonl", records(200))
      const { jobArn } = yield* create()
      yield* TestClock.adjust("500 millis")
      yield* reaches(jobArn, "Scheduled")
      yield* TestClock.adjust("500 millis")
      yield* stop(jobArn)
      yield* TestClock.adjust("100 millis")
      // Once more says nothing new.
      yield* stop(jobArn?.split("/").at(-1))
      assert.deepInclude(yield* get(jobArn), { status: "Stopping", processedRecordCount: 50 })
      yield* TestClock.adjust("149 millis")
      assert.strictEqual((yield* get(jobArn)).status, "Stopping")
      yield* TestClock.adjust(1)
      const job = yield* reaches(jobArn, "Stopped")
      assert.deepStrictEqual([job.processedRecordCount, job.endTime], [50, new Date(1_250)])
      assert.lengthOf(yield* output(jobArn), 50)
      const { message, name } = yield* refusal(stop(jobArn))
      assert.strictEqual(name, "ConflictException")
      assert.match(message, /it is Stopped/)
    }))

  it.effect.each(
    [["Submitted", 0], ["Validating", 250], ["Scheduled", 500]] as const
  )("in %s asks no model", ([status, millis]) =>
    Effect.gen(function*() {
      const { create, emulator, objects, put, reaches, stop } = yield* start()
      yield* put("in/part.jsonl", records(200))
      const { jobArn } = yield* create()
      yield* TestClock.adjust(millis)
      yield* reaches(jobArn, status)
      yield* stop(jobArn)
      yield* reaches(jobArn, "Stopping")
      yield* TestClock.adjust("250 millis")
      yield* reaches(jobArn, "Stopped")
      assert.deepStrictEqual(yield* objects("out/"), [])
      assert.strictEqual((yield* emulator.stats).jobs.records.processed, 0)
    }))
})

describe("creating a batch job", () => {
  it.effect("twice with one token makes one, and is a conflict for another question", () =>
    Effect.gen(function*() {
      const { create, emulator, list, put } = yield* start()
      yield* put("in/part.jsonl", records(1))
      const first = yield* create({ clientRequestToken: "t", tags: [{ key: "a", value: "b" }] })
      yield* TestClock.adjust("1 hour")
      const again = yield* create({ clientRequestToken: "t", tags: [{ key: "a", value: "b" }] })
      assert.strictEqual(again.jobArn, first.jobArn)
      for (const other of [{}, { jobName: "another" }, { modelId: "amazon.nova-lite-v1:0" }, input("other/")]) {
        assert.strictEqual((yield* refusal(create({ clientRequestToken: "t", ...other }))).name, "ConflictException")
      }
      assert.lengthOf((yield* list()).invocationJobSummaries ?? [], 1)
      // The SDK makes a token for each of these; names may repeat.
      yield* create()
      yield* create()
      assert.lengthOf((yield* list()).invocationJobSummaries ?? [], 3)
      const { accepted, repeated } = (yield* emulator.stats).jobs
      assert.deepStrictEqual([accepted, repeated], [3, 1])
    }))

  it.effect("is done though its answer is lost, and is not where the request came to nothing before", () =>
    Effect.gen(function*() {
      const { create, emulator, list } = yield* start()
      for (const fault of [Fault.reset, Fault.error("ThrottlingException")]) {
        yield* emulator.inject(fault, { operation: "CreateModelInvocationJob" })
        yield* refusal(create({ clientRequestToken: "t" }))
        assert.deepStrictEqual((yield* list()).invocationJobSummaries, [])
      }
      for (const fault of [Fault.cut(), Fault.badBody("half"), Fault.badHead("wrong-type")]) {
        yield* emulator.inject(fault, { operation: "CreateModelInvocationJob" })
        const asked = { clientRequestToken: fault._tag }
        yield* Effect.exit(create(asked))
        const [job] = (yield* list()).invocationJobSummaries ?? []
        assert.strictEqual(job?.clientRequestToken, fault._tag)
        assert.strictEqual((yield* create(asked)).jobArn, job?.jobArn)
      }
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 3)
    }))

  it.effect("for the same bytes again is seen where a model is asked again", () =>
    Effect.gen(function*() {
      const { create, emulator, put, reaches } = yield* start({ batch: { delays: instantly } })
      yield* put("in/part.jsonl", records(3))
      yield* put("copy/part.jsonl", records(3))
      yield* put("other/part.jsonl", records(4))
      for (const folder of ["in/", "copy/", "other/"]) {
        const { jobArn } = yield* create(input(folder))
        yield* reaches(jobArn, "Completed")
      }
      assert.deepStrictEqual((yield* emulator.stats).jobs.perInput, { distinct: 2, max: 2, mean: 1.5 })
    }))

  it.effect("is refused while too many of one model have not ended", () =>
    Effect.gen(function*() {
      const { create, emulator, put, reaches, store } = yield* start({}, { minimumRecords: 1, jobs: 2 })
      yield* put("in/part.jsonl", records(1))
      const first = yield* create({ clientRequestToken: "one" })
      yield* create({ modelId: `us.${modelId}` })
      const { message, name } = yield* refusal(create())
      assert.strictEqual(name, "ServiceQuotaExceededException")
      assert.match(message, /exceeds 2/)
      // A known token asks for no further one.
      assert.strictEqual((yield* create({ clientRequestToken: "one" })).jobArn, first.jobArn)
      yield* create({ modelId: "amazon.nova-lite-v1:0" })
      const stranger = yield* clientOf(emulator, store, "another")
      yield* stranger.create()
      yield* TestClock.adjust("500 millis")
      yield* reaches(first.jobArn, "Scheduled")
      yield* TestClock.adjust("1250 millis")
      yield* reaches(first.jobArn, "Completed")
      yield* create()
    }))

  it.effect("that can't be right is refused", () =>
    Effect.gen(function*() {
      const { create, get, list } = yield* start({ models: [modelId] })
      const uri = (s3Uri: string | undefined) => ({ inputDataConfig: { s3InputDataConfig: { s3Uri } } })
      const wrong: ReadonlyArray<readonly [Effect.Effect<unknown, Failed>, RegExp]> = [
        [create({ jobName: undefined }), /'jobName'.*not be null/],
        [create({ jobName: "no name" }), /'jobName'.*regular expression pattern/],
        [create({ jobName: "n".repeat(64) }), /'jobName'.*length less than or equal to 63/],
        [create({ roleArn: undefined }), /'roleArn'.*not be null/],
        [create({ roleArn: "batch" }), /'roleArn'.*regular expression pattern/],
        [create({ modelId: undefined }), /'modelId'.*not be null/],
        [create({ modelId: "amazon.nova-lite-v1:0" }), /model identifier is invalid/],
        [create({ clientRequestToken: "not one" }), /'clientRequestToken'.*regular expression pattern/],
        [create({ inputDataConfig: undefined }), /'inputDataConfig'.*not be null/],
        [create(uri(undefined)), /'inputDataConfig\.s3InputDataConfig\.s3Uri'.*not be null/],
        [create(uri("https://bucket")), /s3Uri'.*regular expression pattern/],
        [create(uri("s3://bucket/a b")), /s3Uri'.*regular expression pattern/],
        [create({ outputDataConfig: undefined }), /'outputDataConfig'.*not be null/],
        [
          create({
            outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://bucket/out/", s3EncryptionKeyId: "mine" } }
          }),
          /'outputDataConfig\.s3OutputDataConfig\.s3EncryptionKeyId'.*regular expression pattern/
        ],
        [
          create({ vpcConfig: { subnetIds: [], securityGroupIds: undefined } }),
          /'vpcConfig\.subnetIds'.*length greater than or equal to 1; Value at 'vpcConfig\.securityGroupIds'.*not be null/
        ],
        [
          create({ vpcConfig: { subnetIds: ["subnet-1"], securityGroupIds: ["1", "2", "3", "4", "5", "6"] } }),
          /'vpcConfig\.securityGroupIds'.*length less than or equal to 5/
        ],
        [create({ timeoutDurationInHours: 23 }), /'timeoutDurationInHours'.*greater than or equal to 24/],
        [create({ timeoutDurationInHours: 169 }), /'timeoutDurationInHours'.*less than or equal to 168/],
        [create({ modelInvocationType: "Stream" as "Converse" }), /enum value set: \[InvokeModel, Converse\]/],
        [create({ tags: [{ key: "", value: "" }] }), /'tags\.1\.member\.key'.*length greater than or equal to 1/],
        [create({ tags: [{ key: "a", value: "?" }] }), /'tags\.1\.member\.value'.*regular expression pattern/],
        [get("no id"), /'jobIdentifier'.*regular expression pattern/],
        [list({ maxResults: 1001 }), /'maxResults'.*value less than or equal to 1000/],
        [list({ statusEquals: "Done" as "Failed" }), /'statusEquals'.*enum value set/],
        [list({ sortBy: "Name" as "CreationTime" }), /'sortBy'.*enum value set: \[CreationTime\]/],
        [list({ nameContains: "no name" }), /'nameContains'.*regular expression pattern/]
      ]
      for (const [call, message] of wrong) {
        const refused = yield* refusal(call)
        assert.strictEqual(refused.name, "ValidationException")
        assert.match(refused.message, message)
      }
      const open = yield* start()
      const provisioned = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123def456"
      assert.match((yield* refusal(open.create({ modelId: provisioned }))).message, /provisioned/)
      assert.deepStrictEqual((yield* list()).invocationJobSummaries, [])
    }))

  it.effect("without an S3 says what is missing", () =>
    Effect.gen(function*() {
      const { store } = yield* start()
      const { create } = yield* clientOf(yield* Emulator.make(), store)
      assert.match((yield* refusal(create())).message, /option batch\.s3/)
    }))
})

describe("the validation of batch jobs", () => {
  const failing = (
    lines: ReadonlyArray<unknown>,
    limits: Record<string, number> = { minimumRecords: 1 },
    folder = "in/"
  ) =>
    Effect.gen(function*() {
      const house = yield* start({ batch: { delays: instantly } }, limits)
      yield* house.put("in/a.jsonl", lines)
      yield* house.put("in/b.jsonl", records(1))
      const { jobArn } = yield* house.create(input(folder))
      const job = yield* house.reaches(jobArn, "Failed", "Completed")
      return job.message ?? job.status ?? ""
    }).pipe(Effect.scoped)

  it.effect("fails them with what is wrong", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* failing(records(2)), "Completed")
      assert.match(yield* failing(["{\"modelInput\":{}}", "", "{\"modelInput\":"]), /Line 3 of in\/a\.jsonl is not/)
      assert.match(yield* failing([{ recordId: "a" }]), /Line 1 of .* modelInput/)
      assert.match(yield* failing([], undefined, "nowhere/"), /no \.jsonl file at s3:\/\/caprock-batch\/nowhere\//)
      assert.match(yield* failing([], undefined, "in/c.jsonl"), /no \.jsonl file/)
      assert.match(yield* failing(records(8), { minimumRecords: 10 }), /has 9 records, and must have at least 10/)
      assert.strictEqual(yield* failing(records(9), { minimumRecords: 10 }), "Completed")
      assert.match(yield* failing(records(8), { minimumRecords: 1, recordsPerJob: 8 }), /has 9 records, and may have 8/)
      assert.match(
        yield* failing(records(8), { minimumRecords: 1, recordsPerFile: 7 }),
        /a\.jsonl has more than 7 records/
      )
      assert.match(yield* failing(records(8), { minimumRecords: 1, bytesPerFile: 500 }), /a\.jsonl is larger than 500/)
      assert.match(yield* failing(records(8), { minimumRecords: 1, bytesPerJob: 500 }), /the job is larger than 500/)
      const bytes = (n: number) => records(n).reduce<number>((sum, line) => sum + JSON.stringify(line).length + 1, 0)
      const just = {
        minimumRecords: 9,
        recordsPerJob: 9,
        recordsPerFile: 8,
        bytesPerFile: bytes(8),
        bytesPerJob: bytes(8) + bytes(1)
      }
      assert.strictEqual(yield* failing(records(8), just), "Completed")
      assert.match(yield* failing(records(8), { ...just, bytesPerFile: just.bytesPerFile - 1 }), /a\.jsonl is larger/)
      assert.match(yield* failing(records(8), { ...just, bytesPerJob: just.bytesPerJob - 1 }), /the job is larger/)
    }))

  it.effect("fails those whose bucket is not there, or whose output has none", () =>
    Effect.gen(function*() {
      const { create, put, reaches } = yield* start({ batch: { delays: instantly } })
      yield* put("in/a.jsonl", records(1))
      const nowhere = yield* create({ inputDataConfig: { s3InputDataConfig: { s3Uri: "s3://no-such-bucket/in/" } } })
      assert.match((yield* reaches(nowhere.jobArn, "Failed")).message ?? "", /cannot be read: NoSuchBucket/)
      const unwritten = yield* create({
        outputDataConfig: { s3OutputDataConfig: { s3Uri: "s3://no-such-bucket/out/" } }
      })
      assert.match((yield* reaches(unwritten.jobArn, "Failed")).message ?? "", /cannot be written: NoSuchBucket/)
    }))
})

describe("lists of batch jobs", () => {
  it.effect("are by page, in either order, by name, status and time", () =>
    Effect.gen(function*() {
      const { create, list, sdk, stop } = yield* start()
      const arns: Array<string | undefined> = []
      for (let i = 0; i < 5; i++) {
        arns.push((yield* create({ jobName: `${i < 3 ? "early" : "late"}-${i}` })).jobArn)
        yield* TestClock.adjust(1)
      }
      const newest = arns.toReversed()
      const listed = (asked: Parameters<typeof list>[0]) =>
        Effect.map(list(asked), ({ invocationJobSummaries }) => invocationJobSummaries?.map(({ jobArn }) => jobArn))
      assert.deepStrictEqual(yield* listed({}), newest)
      assert.deepStrictEqual(yield* listed({ sortBy: "CreationTime", sortOrder: "Ascending" }), arns)
      assert.deepStrictEqual(yield* listed({ nameContains: "late-" }), newest.slice(0, 2))
      assert.deepStrictEqual(yield* listed({ nameContains: "y-1" }), [arns[1]])
      assert.deepStrictEqual(
        yield* listed({ submitTimeAfter: new Date(0), submitTimeBefore: new Date(3) }),
        [arns[2], arns[1]]
      )
      yield* stop(arns[1])
      assert.deepStrictEqual(yield* listed({ statusEquals: "Stopping" }), [arns[1]])
      const pages = yield* Effect.promise(async () => {
        const sizes: Array<number | undefined> = []
        for await (const page of paginateListModelInvocationJobs({ client: sdk, pageSize: 2 }, { nameContains: "l" })) {
          sizes.push(page.invocationJobSummaries?.length)
        }
        return sizes
      })
      assert.deepStrictEqual(pages, [2, 2, 1])
      const [summary] = (yield* list({ maxResults: 1 })).invocationJobSummaries ?? []
      assert.deepInclude(summary, { jobName: "late-4", modelId, status: "Submitted", modelInvocationType: "Converse" })
    }))

  it.effect("are those of an account, as its jobs and tokens are", () =>
    Effect.gen(function*() {
      const { create, emulator, store } = yield* start()
      const other = yield* clientOf(emulator, store, "another")
      const { jobArn } = yield* create({ clientRequestToken: "t" })
      for (const call of [other.get(jobArn), other.stop(jobArn), other.get("abcdef123456")]) {
        assert.strictEqual((yield* refusal(call)).name, "ResourceNotFoundException")
      }
      assert.deepStrictEqual((yield* other.list()).invocationJobSummaries, [])
      assert.notStrictEqual((yield* other.create({ clientRequestToken: "t" })).jobArn, jobArn)
    }))

  it.effect("and all else can be faulted, and is in the log", () =>
    Effect.gen(function*() {
      const { create, emulator, get, list, stop } = yield* start({ log: 10 })
      const { jobArn } = yield* create()
      for (
        const [operation, call] of [
          ["GetModelInvocationJob", get(jobArn)],
          ["ListModelInvocationJobs", list()],
          ["StopModelInvocationJob", stop(jobArn)]
        ] as const
      ) {
        yield* emulator.inject(Fault.error("ThrottlingException"), { operation })
        assert.strictEqual((yield* refusal(call)).name, "ThrottlingException")
      }
      // It was not stopped.
      assert.strictEqual((yield* get(jobArn)).status, "Submitted")
      yield* emulator.inject(Fault.cut(), { operation: "StopModelInvocationJob" })
      yield* Effect.exit(stop(jobArn))
      assert.strictEqual((yield* get(jobArn)).status, "Stopping")
      assert.deepStrictEqual(
        (yield* emulator.log).slice(0, 3).map(({ modelId, operation, outcome }) => [operation, modelId, outcome]),
        [
          ["CreateModelInvocationJob", modelId, "Answered"],
          ["GetModelInvocationJob", jobArn, "ThrottlingException"],
          ["ListModelInvocationJobs", "", "ThrottlingException"]
        ]
      )
    }))
})
