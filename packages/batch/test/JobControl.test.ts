import * as JobControl from "@caprock/batch/JobControl"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import type * as Options from "@caprock/emulator/Options"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { start } from "./s3Server.ts"

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }

const request: JobControl.Request = {
  name: "caprock-1",
  token: "a".repeat(64),
  model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
  roleArn: "arn:aws:iam::111122223333:role/batch",
  invocationType: "Converse",
  hours: 24,
  input: "s3://caprock-batch/in/",
  output: "s3://caprock-batch/out/",
  tags: { team: "search" }
}

/** A control plane whose jobs stay where they are until they are stopped. */
const control = (more: Options.Options = {}) =>
  Effect.gen(function*() {
    const s3 = yield* start
    const emulator = yield* Emulator.make({ ...more, batch: { s3: { endpoint: s3.careless } } })
    const jobs = yield* JobControl.make({ endpoint: emulator.url, region: "us-east-1", credentials })
    return { emulator, jobs }
  })

describe("jobs", () => {
  it.effect("are created, found by their names, looked at and stopped", () =>
    Effect.gen(function*() {
      const { jobs } = yield* control()
      const arn = yield* jobs.create(request)
      const other = yield* jobs.create({ ...request, name: "other-1", token: "b".repeat(64) })
      assert.strictEqual(yield* jobs.create(request), arn)
      const found = yield* Stream.runCollect(jobs.list("caprock-"))
      assert.deepEqual(found, [{ arn, name: "caprock-1", status: "Submitted" }])
      assert.deepInclude(yield* jobs.get(other), { arn: other, name: "other-1", status: "Submitted" })
      yield* jobs.stop(arn)
      assert.include(["Stopping", "Stopped"], (yield* jobs.get(arn))?.status)
    }))

  it.effect("are all listed, page by page", () =>
    Effect.gen(function*() {
      const { jobs } = yield* control()
      const names = Array.from({ length: 25 }, (_, i) => `caprock-${i}`)
      yield* Effect.forEach(names, (name, i) => jobs.create({ ...request, name, token: `token-${i}` }))
      const found = yield* Stream.runCollect(jobs.list("caprock-"))
      assert.sameMembers(found.map(({ name }) => name), names)
    }))

  it.effect("that are not there are not there", () =>
    Effect.gen(function*() {
      const { jobs } = yield* control()
      const arn = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefghijkl"
      assert.isUndefined(yield* jobs.get(arn))
    }))

  it.effect("that are refused fail with the reason", () =>
    Effect.gen(function*() {
      const { jobs } = yield* control({ faults: [{ fault: Fault.error("AccessDeniedException"), rate: 1 }] })
      const failure = yield* Effect.flip(jobs.create(request))
      assert.strictEqual(failure.reason._tag, "AccessError")
      assert.strictEqual(failure.operation, "CreateModelInvocationJob")
      assert.isFalse(failure.retryable)
    }))

  it.live("of which no answer came are asked for again, and are one", () =>
    Effect.gen(function*() {
      const { emulator, jobs } = yield* control()
      yield* emulator.inject(Fault.cut(), { operation: "CreateModelInvocationJob" })
      yield* jobs.create(request)
      assert.lengthOf(yield* Stream.runCollect(jobs.list("caprock-")), 1)
      assert.deepInclude((yield* emulator.stats).jobs, { accepted: 1 })
    }))
})
