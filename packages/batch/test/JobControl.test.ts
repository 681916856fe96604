import * as JobControl from "@caprock/batch/JobControl"
import { JobControlTest } from "@caprock/batch/JobControlTest"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { newJob } from "./jobs.ts"
import { passing } from "./passing.ts"

const unreachable = "http://127.0.0.1:1"

/** An emulator whose jobs never find their input: nothing listens where it looks. */
const started = Effect.gen(function*() {
  const emulator = yield* Emulator.make({
    batch: {
      s3: { endpoint: unreachable },
      delays: { submitted: LatencyModel.fixed(3_600_000) },
      limits: { jobs: 2000 }
    }
  })
  const control = yield* JobControl.make({
    endpoint: emulator.url,
    region: "us-east-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }
  })
  return { control, emulator }
})

/** What requests said, and answers that are none of Bedrock's, or none at all. */
const overheard = (answer: (path: string) => unknown) =>
  Effect.gen(function*() {
    const heard: Array<{ readonly path: string; readonly body: unknown }> = []
    const server = yield* Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer((request, response) => {
          const path = request.url ?? ""
          let body = ""
          request.on("data", (text) => body += String(text))
          request.on("end", () => {
            heard.push({ path, body: body === "" ? undefined : JSON.parse(body) })
            const said = answer(path)
            if (said === undefined) return
            response.writeHead(200, { "content-type": "application/json" })
            response.end(JSON.stringify(said))
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const { port } = server.address() as AddressInfo
    const control = yield* JobControl.make({
      endpoint: `http://127.0.0.1:${port}`,
      region: "us-east-1",
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }
    })
    return { control, heard }
  })

const busy = new BedrockError({
  operation: "ListModelInvocationJobs",
  attempts: 1,
  reason: new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" })
})

describe("JobControl", () => {
  it.effect("creates a job, sees it, lists it and stops it", () =>
    Effect.gen(function*() {
      const { control } = yield* started
      const arn = yield* control.create(newJob())
      assert.match(arn, /:model-invocation-job\/[a-z0-9]{12}$/)
      const expected = {
        arn,
        name: "caprock-0badcafe-0-0-0",
        status: "Submitted",
        submittedAt: 0,
        expiresAt: newJob().hours * 3_600_000,
        input: "s3://caprock-batch/nightly/in/0-0-1/",
        output: "s3://caprock-batch/nightly/out/",
        token: "token"
      }
      assert.deepStrictEqual(yield* control.get(arn), expected)
      assert.deepStrictEqual(yield* Stream.runCollect(control.list("0badcafe")), [expected])
      assert.deepStrictEqual(yield* Stream.runCollect(control.list("another")), [])
      yield* control.stop(arn)
      assert.strictEqual((yield* control.get(arn)).status, "Stopping")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* control.get(arn)).status, "Stopped")
      // Stopped again, which Bedrock refuses.
      yield* control.stop(arn)
    }))

  it.effect("gives the job that there is to a token that was used, and finds one whose answer was lost", () =>
    Effect.gen(function*() {
      const { control, emulator } = yield* started
      yield* emulator.inject(Fault.cut(), { operation: "CreateModelInvocationJob" })
      const lost = yield* Effect.flip(control.create(newJob()))
      assert.strictEqual(lost.reason._tag, "TransportError")
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 1)
      const arn = yield* control.create(newJob())
      assert.deepStrictEqual(
        (yield* Stream.runCollect(control.list(""))).map((job) => job.arn),
        [arn]
      )
    }))

  it.effect("sends one request to create, and further ones for all else that may pass", () =>
    Effect.gen(function*() {
      const { control, emulator } = yield* started
      const throttled = Fault.error("ThrottlingException")
      yield* emulator.inject(throttled, { operation: "CreateModelInvocationJob" })
      assert.strictEqual((yield* Effect.flip(control.create(newJob()))).reason._tag, "ThrottlingError")
      const arn = yield* control.create(newJob())
      yield* emulator.inject(throttled, { operation: "GetModelInvocationJob", times: 3 })
      assert.strictEqual((yield* passing(control.get(arn))).arn, arn)
    }))

  it.effect("waits a minute for an answer, and no longer", () =>
    Effect.gen(function*() {
      const { control, heard } = yield* overheard(() => undefined)
      const asked = yield* Effect.forkChild(Effect.flip(control.create(newJob())))
      while (heard.length === 0) yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(asked)
      assert.deepInclude(error.reason, { _tag: "TimeoutError", kind: "first-token" })
      assert.isTrue(error.retryable)
    }))

  it.effect("says what was not found, and what was refused", () =>
    Effect.gen(function*() {
      const { control } = yield* started
      const gone = yield* Effect.flip(
        control.get("arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefghijkl")
      )
      assert.deepStrictEqual([gone.operation, gone.reason._tag], ["GetModelInvocationJob", "NotFoundError"])
      const refused = yield* Effect.flip(control.create(newJob({ hours: 12 })))
      assert.deepStrictEqual(
        [refused.operation, refused.modelId, refused.reason._tag, refused.attempts],
        ["CreateModelInvocationJob", "amazon.nova-lite-v1:0", "ValidationError", 1]
      )
    }))

  it.effect("lists page after page, the newest first", () =>
    Effect.gen(function*() {
      const { control, heard } = yield* overheard((path) =>
        path.includes("nextToken") ?
          { invocationJobSummaries: [{ jobArn: "b" }] } :
          { invocationJobSummaries: [{ jobArn: "a" }], nextToken: "more" }
      )
      const listed = yield* Stream.runCollect(control.list("0badcafe"))
      assert.deepStrictEqual(listed.map(({ arn }) => arn), ["a", "b"])
      const query = "maxResults=1000&sortBy=CreationTime&sortOrder=Descending"
      const sorted = (path: string) => path.split(/[?&]/).toSorted()
      assert.deepStrictEqual(heard.map(({ path }) => sorted(path)), [
        sorted(`/model-invocation-jobs?nameContains=0badcafe&${query}`),
        sorted(`/model-invocation-jobs?nameContains=0badcafe&nextToken=more&${query}`)
      ])
    }))

  it.effect("puts everything that is asked of a job on the wire", () =>
    Effect.gen(function*() {
      const { control, heard } = yield* overheard(() => ({ jobArn: "arn" }))
      assert.strictEqual(
        yield* control.create(newJob({ tags: { team: "search" }, kmsKeyId: "key", bucketOwner: "111122223333" })),
        "arn"
      )
      assert.deepStrictEqual(heard.map(({ body }) => body), [{
        jobName: "caprock-0badcafe-0-0-0",
        clientRequestToken: "token",
        modelId: "amazon.nova-lite-v1:0",
        modelInvocationType: "Converse",
        roleArn: "arn:aws:iam::111122223333:role/batch",
        inputDataConfig: {
          s3InputDataConfig: {
            s3InputFormat: "JSONL",
            s3Uri: "s3://caprock-batch/nightly/in/0-0-1/",
            s3BucketOwner: "111122223333"
          }
        },
        outputDataConfig: {
          s3OutputDataConfig: {
            s3Uri: "s3://caprock-batch/nightly/out/",
            s3EncryptionKeyId: "key",
            s3BucketOwner: "111122223333"
          }
        },
        timeoutDurationInHours: 72,
        tags: [{ key: "team", value: "search" }]
      }])
    }))
})

describe("JobControl.layerTest", () => {
  const withTest = <A, E>(
    use: (control: JobControl.JobControl["Service"], test: JobControlTest["Service"]) => Effect.Effect<A, E>,
    script: Parameters<typeof JobControl.layerTest>[0] = {}
  ) =>
    Effect.flatMap(Effect.all([JobControl.JobControl, JobControlTest]), ([control, test]) => use(control, test)).pipe(
      Effect.provide(JobControl.layerTest(script))
    )

  it.effect("takes jobs through their script", () =>
    withTest(
      Effect.fnUntraced(function*(control) {
        const first = yield* control.create(newJob())
        const second = yield* control.create(newJob({ token: "other" }))
        assert.strictEqual((yield* control.get(first)).status, "Submitted")
        yield* TestClock.adjust(1_000)
        const { message, status } = yield* control.get(first)
        assert.deepStrictEqual([status, message], ["Failed", "no"])
        assert.strictEqual((yield* control.get(second)).status, "Scheduled")
      }),
      {
        steps: (_, index) =>
          index === 0
            ? [{ status: "Submitted", for: "1 second" }, { status: "Failed", message: "no" }]
            : [{ status: "Scheduled" }]
      }
    ))

  it.effect("takes a repeated token for the same job, and refuses it for another", () =>
    withTest(Effect.fnUntraced(function*(control, test) {
      const arn = yield* control.create(newJob())
      assert.strictEqual(yield* control.create(newJob()), arn)
      assert.strictEqual((yield* Effect.flip(control.create(newJob({ hours: 24 })))).reason._tag, "ConflictError")
      assert.deepStrictEqual([(yield* test.created).length, (yield* test.jobs).length], [3, 1])
    })))

  it.effect("loses what it is told to lose, before or after it was done", () =>
    withTest(Effect.fnUntraced(function*(control, test) {
      yield* test.fail("create", [busy])
      assert.strictEqual(yield* Effect.flip(control.create(newJob())), busy)
      assert.deepStrictEqual(yield* test.jobs, [])
      yield* test.fail("create", [busy], { after: true })
      assert.strictEqual(yield* Effect.flip(control.create(newJob())), busy)
      assert.strictEqual((yield* test.jobs).length, 1)
      yield* test.fail("list", [busy])
      assert.strictEqual(yield* Effect.flip(Stream.runCollect(control.list(""))), busy)
      assert.deepStrictEqual(yield* test.requests, { create: 2, get: 0, list: 1, stop: 0 })
    })))

  it.effect("stops jobs, pushes them about and forgets them", () =>
    withTest(Effect.fnUntraced(function*(control, test) {
      const arn = yield* control.create(newJob())
      yield* control.stop(arn)
      assert.strictEqual((yield* control.get(arn)).status, "Stopping")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* control.get(arn)).status, "Stopped")
      yield* control.stop(arn)
      const counts = { total: 3, processed: 2, succeeded: 1, failed: 1 }
      yield* test.become(arn, "PartiallyCompleted", { message: "some", counts })
      const job = yield* control.get(arn)
      assert.deepStrictEqual([job.status, job.message, job.counts], ["PartiallyCompleted", "some", counts])
      yield* test.forget(arn)
      assert.strictEqual((yield* Effect.flip(control.get(arn))).reason._tag, "NotFoundError")
    })))

  it("knows last states, and takes none that it does not know for one", () => {
    const over = ["Completed", "PartiallyCompleted", "Failed", "Expired", "Stopped"]
    const not = ["Submitted", "Validating", "Scheduled", "InProgress", "Stopping", "Paused", ""]
    assert.deepStrictEqual([...over, ...not].filter(JobControl.isOver), over)
  })
})
