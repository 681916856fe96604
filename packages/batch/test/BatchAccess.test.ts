import * as BatchAccess from "@caprock/batch/BatchAccess"
import * as JobControl from "@caprock/batch/JobControl"
import { JobControlTest } from "@caprock/batch/JobControlTest"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { StoreFailed } from "../src/BatchError.ts"
import { passing } from "./passing.ts"
import * as s3Server from "./s3Server.ts"

const role = "arn:aws:iam::111122223333:role/batch"
const model = "amazon.nova-lite-v1:0"
const setup = { account: "111122223333", region: "us-east-1", bucket: "nightly", role, model }

const allowed = ({ Statement }: BatchAccess.Policy) => Statement.flatMap(({ Action }) => Action).toSorted()
const of = ({ Statement }: BatchAccess.Policy, sid: string) => Statement.find(({ Sid }) => Sid === sid)

describe("BatchAccess.policies", () => {
  it("trusts Bedrock for the jobs of the account and the Region alone", () => {
    assert.deepStrictEqual(BatchAccess.policies(setup).trust, {
      Version: "2012-10-17",
      Statement: [{
        Sid: "CaprockTrust",
        Effect: "Allow",
        Principal: { Service: "bedrock.amazonaws.com" },
        Action: "sts:AssumeRole",
        Condition: {
          StringEquals: { "aws:SourceAccount": "111122223333" },
          ArnEquals: { "aws:SourceArn": "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/*" }
        }
      }]
    })
  })

  it("lets the role read and write below the prefix, and nothing else", () => {
    const { role } = BatchAccess.policies({ ...setup, prefix: "bulk/" })
    assert.deepStrictEqual(allowed(role), ["s3:GetObject", "s3:ListBucket", "s3:PutObject"])
    assert.deepStrictEqual(of(role, "CaprockBucket")?.Resource, "arn:aws:s3:::nightly")
    assert.deepStrictEqual(of(role, "CaprockObjects")?.Resource, "arn:aws:s3:::nightly/bulk/*")
    for (const { Condition } of role.Statement) {
      assert.deepStrictEqual(Condition, { StringEquals: { "aws:ResourceAccount": "111122223333" } })
    }
  })

  it("lets the role call models where a profile stands for them", () => {
    const { role } = BatchAccess.policies({ ...setup, model: "us.amazon.nova-lite-v1:0" })
    assert.deepStrictEqual(of(role, "CaprockModels")?.Action, "bedrock:InvokeModel")
  })

  it("lets both use the key, where there is one", () => {
    const kmsKeyArn = "arn:aws:kms:us-east-1:111122223333:key/a"
    const { caller, role } = BatchAccess.policies({ ...setup, kmsKeyArn })
    for (const policy of [caller, role]) assert.strictEqual(of(policy, "CaprockKey")?.Resource, kmsKeyArn)
    assert.isUndefined(of(BatchAccess.policies(setup).role, "CaprockKey"))
  })

  it("lets EventBridge write the queue of events, and the caller read it, where there is one", () => {
    const queueArn = "arn:aws:sqs:us-east-1:111122223333:batch-jobs"
    const { caller, queue } = BatchAccess.policies({ ...setup, queueArn })
    assert.deepInclude(of(caller, "CaprockEvents"), {
      Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
      Resource: queueArn
    })
    assert.deepEqual(queue?.Statement, [{
      Sid: "CaprockRule",
      Effect: "Allow",
      Principal: { Service: "events.amazonaws.com" },
      Action: "sqs:SendMessage",
      Resource: queueArn,
      Condition: { ArnEquals: { "aws:SourceArn": "arn:aws:events:us-east-1:111122223333:rule/*" } }
    }])
    assert.isUndefined(BatchAccess.policies(setup).queue)
  })

  it("lets the caller do what this package asks for, and pass the role to Bedrock alone", () => {
    const { caller } = BatchAccess.policies(setup)
    assert.deepStrictEqual(allowed(caller), [
      "bedrock:CreateModelInvocationJob",
      "bedrock:GetModelInvocationJob",
      "bedrock:InvokeModel",
      "bedrock:ListModelInvocationJobs",
      "bedrock:StopModelInvocationJob",
      "bedrock:TagResource",
      "iam:PassRole",
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:ListBucket",
      "s3:ListBucketMultipartUploads",
      "s3:PutObject"
    ])
    const pass = of(caller, "CaprockPassRole")
    assert.deepStrictEqual([pass?.Resource, pass?.Condition], [
      role,
      { StringEquals: { "iam:PassedToService": "bedrock.amazonaws.com" } }
    ])
  })

  it("stays in the role's partition", () => {
    const china = BatchAccess.policies({
      ...setup,
      region: "cn-north-1",
      role: "arn:aws-cn:iam::111122223333:role/batch"
    })
    const text = JSON.stringify(china)
    assert.isFalse(text.includes("arn:aws:"))
    assert.isTrue(text.includes("arn:aws-cn:s3:::nightly"))
  })
})

const denied = new BedrockError({
  operation: "ListModelInvocationJobs",
  attempts: 1,
  reason: new Reason.AccessError({ kind: "denied", message: "User is not authorized." })
})

const check = (options: Partial<BatchAccess.CheckOptions> = {}) => BatchAccess.check({ role, model, ...options })
const seen = (findings: ReadonlyArray<BatchAccess.Finding>) => findings.map(({ ok, step }) => `${step} ${ok}`)

describe("BatchAccess.check", () => {
  const all = Layer.merge(ObjectStore.layerMemory("nightly"), JobControl.layerTest())

  it.effect("finds nothing wrong where nothing is, and leaves nothing behind", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(seen(yield* check()), ["role true", "bucket true", "jobs true"])
      const store = yield* ObjectStore.ObjectStore
      assert.deepStrictEqual(yield* Stream.runCollect(store.list("")), [])
    }).pipe(Effect.provide(all)))

  it.effect("goes on after what it finds, says what to do, and creates no job then", () =>
    Effect.gen(function*() {
      const test = yield* JobControlTest
      yield* test.fail("list", [denied])
      const findings = yield* check({ role: "batch", job: true })
      assert.deepStrictEqual(seen(findings), ["role false", "bucket true", "jobs false"])
      assert.match(findings[2]?.said ?? "", /not authorized/)
      assert.match(findings[2]?.remedy ?? "", /CaprockJobs/)
      assert.deepStrictEqual(yield* test.created, [])
    }).pipe(Effect.provide(all)))

  it.effect("says what is wrong with the bucket", () =>
    Effect.gen(function*() {
      const store = ObjectStore.makeMemory("nightly")
      const fails = (kind: StoreFailed["kind"], cause?: unknown) =>
        check().pipe(
          Effect.map(([, bucket]) => bucket?.remedy),
          Effect.provideService(ObjectStore.ObjectStore, {
            ...store,
            prove: () => Effect.fail(new StoreFailed({ operation: "put", key: "", kind, problem: "no", cause }))
          })
        )
      assert.match((yield* fails("missing")) ?? "", /^Make it/)
      assert.match((yield* fails("denied")) ?? "", /CaprockObjects/)
      assert.match((yield* fails("unavailable")) ?? "", /the way to it/)
      // Who has no credentials is refused nothing: no policy helps.
      const nobody = Object.assign(new Error("Could not load credentials"), { name: "CredentialsProviderError" })
      assert.isUndefined(yield* fails("denied", nobody))
      assert.isUndefined(yield* fails("other", new Error("Region is missing")))
      const test = yield* JobControlTest
      const reason = new Reason.AccessError({ kind: "no-credentials", message: "none" })
      yield* test.fail("list", [new BedrockError({ operation: "ListModelInvocationJobs", attempts: 0, reason })])
      assert.isUndefined((yield* check())[2]?.remedy)
    }).pipe(Effect.provide(all)))

  const decided = (status: string, message?: string) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(check({ job: true }))
      yield* TestClock.adjust("1 minute")
      const test = yield* JobControlTest
      const [job] = yield* test.jobs
      yield* test.become(job?.arn ?? "", status, message === undefined ? {} : { message })
      yield* TestClock.adjust("15 minutes")
      const finding = (yield* Fiber.join(fiber)).at(-1)
      const store = yield* ObjectStore.ObjectStore
      assert.deepStrictEqual(yield* Stream.runCollect(store.list("")), [])
      return { finding, stops: (yield* test.requests).stop }
    }).pipe(
      Effect.provide(Layer.merge(
        ObjectStore.layerMemory("nightly"),
        JobControl.layerTest({ steps: () => [{ status: "Validating" }] })
      ))
    )

  it.effect("knows from a job's end whether Bedrock could read the bucket", () =>
    Effect.gen(function*() {
      const small = yield* decided("Failed", "contains less records (1) than the required minimum of: 100")
      assert.deepStrictEqual([small.finding?.ok, small.stops], [true, 0])
      const role = yield* decided("Failed", "Could not access the S3 location.")
      assert.deepStrictEqual([role.finding?.ok, role.finding?.said], [
        false,
        "A job failed: Could not access the S3 location."
      ])
      assert.match(role.finding?.remedy ?? "", /trust policy/)
      // It would be answered, and paid for.
      const scheduled = yield* decided("Scheduled")
      assert.deepStrictEqual([scheduled.finding?.ok, scheduled.stops], [true, 1])
      const slow = yield* decided("Validating")
      assert.deepStrictEqual([slow.finding?.ok, slow.stops], [false, 1])
    }))

  it.effect("is refused a job that may not be created", () =>
    Effect.gen(function*() {
      const test = yield* JobControlTest
      yield* test.fail("create", [denied])
      const finding = (yield* check({ job: true })).at(-1)
      assert.deepStrictEqual([finding?.step, finding?.ok], ["job", false])
      assert.match(finding?.remedy ?? "", /CaprockPassRole/)
    }).pipe(Effect.provide(all)))

  it.effect("asks an S3 and a Bedrock", () =>
    Effect.gen(function*() {
      const s3 = yield* s3Server.start
      const none = LatencyModel.fixed(0)
      const emulator = yield* Emulator.make({
        batch: { s3: { endpoint: s3.url }, delays: { submitted: none, validating: none } }
      })
      const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }
      const layer = yield* Layer.build(Layer.merge(
        ObjectStore.layer({ bucket: s3.bucket, endpoint: s3.url, region: "us-east-1", credentials }),
        JobControl.layer({ endpoint: emulator.url, region: "us-east-1", credentials })
      ))
      const findings = yield* passing(Effect.provideContext(check({ job: true }), layer))
      assert.deepStrictEqual(seen(findings), ["role true", "bucket true", "jobs true", "job true"])
      const { jobs } = yield* emulator.stats
      assert.deepStrictEqual([jobs.statuses, jobs.records.processed], [{ Failed: 1 }, 0])
    }))
})
