import * as Batch from "@caprock/emulator/Batch"
import type * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as BatchJob from "../src/internal/batchJob.ts"
import * as ModelId from "../src/internal/modelId.ts"
import * as Random from "../src/internal/random.ts"
import * as MemoryStore from "./memoryStore.ts"

/** Ends in 0, so that what ends in 5 is at no boundary. */
const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
const Share = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

const Life = Schema.Struct({
  submitted: Millis,
  validating: Millis,
  reading: Schema.Union([Schema.Literal(0), Millis]),
  scheduled: Millis,
  inProgress: Millis,
  stopping: Millis,
  timeout: Schema.Union([Millis, Schema.Literal(100_000)]),
  records: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 })),
  fate: Schema.NullOr(Schema.Literals(["Expired", "Failed", "PartiallyCompleted", "Stopped"])),
  at: Schema.NullOr(Share),
  stop: Schema.NullOr(Millis)
})

interface End {
  readonly status: string
  readonly at: number
  readonly processed: number
}

/** Where a life ends, by the clock alone. */
const endOf = (life: typeof Life.Type): End => {
  const ms = (tens: number) => tens * 10
  const stop = life.stop === null ? Infinity : ms(life.stop) + 5
  const timeout = ms(life.timeout)
  const stopped = (time: number, processed: number): End => ({
    status: "Stopped",
    at: time + ms(life.stopping),
    processed
  })
  const validated = ms(life.submitted) + ms(life.validating)
  if (stop < validated) return stopped(stop, 0)
  const read = validated + ms(life.reading)
  if (stop < read) return { ...stopped(stop, 0), at: Math.max(read, stop + ms(life.stopping)) }
  if (life.fate === "Failed" && life.at === null) return { status: "Failed", at: read, processed: 0 }
  const begins = read + ms(life.scheduled)
  if (life.fate === "Expired" || begins >= timeout) {
    const expires = Math.max(timeout, read)
    return stop < expires ? stopped(stop, 0) : { status: "Expired", at: expires, processed: 0 }
  }
  if (stop < begins) return stopped(stop, 0)
  const span = ms(life.inProgress)
  const share = life.fate === null ? 1 : (life.at ?? 50) / 100
  const planned = Math.ceil(begins + span * share)
  const ends = Math.min(planned, timeout)
  const processedAt = (time: number) =>
    span === 0 ? life.records : Math.round(life.records * Math.min(1, (time - begins) / span))
  const done = Math.round(life.records * share)
  if (stop < ends) return stopped(stop, Math.min(processedAt(stop), planned > timeout ? Infinity : done))
  if (planned > timeout) return { status: "PartiallyCompleted", at: ends, processed: processedAt(ends) }
  if (life.fate === "Stopped") return stopped(ends, done)
  return life.fate === null
    ? { status: "Completed", at: ends, processed: life.records }
    : { status: life.fate, at: ends, processed: done }
}

const after: Readonly<Record<string, ReadonlyArray<string>>> = {
  Submitted: ["Validating", "Stopping"],
  Validating: ["Scheduled", "Stopping", "Failed"],
  Scheduled: ["InProgress", "Stopping", "Expired"],
  InProgress: ["Completed", "PartiallyCompleted", "Stopping", "Failed"],
  Stopping: ["Stopped"]
}

const linesPerChunk = 5
const lineBytes = "{\"modelInput\":{}}\n".length

const ref = ModelId.parse("amazon.nova-lite-v1:0")

describe("the life of a batch job", () => {
  it.effect.prop(
    "goes from state to state as they may follow each other, and ends when it should with what it should",
    [Life],
    ([life]) =>
      Effect.gen(function*() {
        if (ref === undefined) return assert.fail("no model")
        const born = yield* Clock.currentTimeMillis
        const objects = new Map([[
          "bucket/in/a.jsonl",
          Array.from({ length: life.records }, () => "{\"modelInput\":{}}").join("\n")
        ]])
        const passed: Array<string> = []
        const fate: BatchJob.BatchJob["fate"] = life.fate === null
          ? undefined
          : { _tag: "Job", status: life.fate, ...(life.at === null ? {} : { at: life.at / 100 }) } satisfies Fault.Fault
        let status: BatchJob.BatchJob["status"] = "Submitted"
        const job: BatchJob.BatchJob = {
          arn: "arn",
          region: "us-east-1",
          sequence: 0,
          owner: "me",
          token: undefined,
          asked: "",
          submittedAt: born,
          name: "job",
          ref,
          echoed: {},
          type: "Converse",
          from: { bucket: "bucket", key: "in/" },
          to: { bucket: "bucket", key: "out/job" },
          expiresAt: born + life.timeout * 10,
          fate,
          digest: Random.seedOf(""),
          stopping: Deferred.makeUnsafe(),
          get status() {
            return status
          },
          set status(next) {
            if (next !== status) passed.push(`${status} ${next}`)
            status = next
          },
          message: undefined,
          modifiedAt: born,
          records: undefined,
          progress: undefined,
          counts: undefined,
          failed: 0
        }
        let asked = 0
        let answered = 0
        const fixed = (tens: number) => LatencyModel.fixed(tens * 10)
        const fiber = yield* Effect.forkChild(
          BatchJob.live(job, {
            clock: yield* Clock.Clock,
            config: {
              delays: {
                submitted: fixed(life.submitted),
                validating: fixed(life.validating),
                scheduled: fixed(life.scheduled),
                inProgress: fixed(life.inProgress),
                stopping: fixed(life.stopping)
              },
              hour: 1,
              limits: { ...Batch.defaults.limits, minimumRecords: 1 }
            },
            store: MemoryStore.make(objects, linesPerChunk * lineBytes, life.reading * 10),
            answerTo: () => {
              answered++
              return { json: "\"modelOutput\":1", failed: false, input: 0, output: 0 }
            },
            random: () => () => 0.5,
            asking: () => {
              asked++
            }
          }),
          { startImmediately: true }
        )
        const end = endOf(life)
        if (life.stop !== null) {
          yield* TestClock.adjust(life.stop * 10 + 5)
          if (job.status === "InProgress") {
            // It has gone on as its time went, but for what of a chunk is not due yet.
            assert.isAtMost(answered, end.processed)
            assert.isAtLeast(answered, end.processed - linesPerChunk - 1)
          }
          if (!BatchJob.hasEnded(job) && job.status !== "Stopping") {
            BatchJob.stop(job, yield* Clock.currentTimeMillis)
          }
        }
        const left = born + end.at - (yield* Clock.currentTimeMillis)
        if (left > 1) {
          yield* TestClock.adjust(left - 1)
          assert.isFalse(BatchJob.hasEnded(job))
          yield* TestClock.adjust(1)
        } else if (left > 0) yield* TestClock.adjust(left)
        assert.isTrue(BatchJob.hasEnded(job))
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          { status: job.status, at: job.modifiedAt - born, processed: job.counts?.processed ?? 0 },
          end
        )
        for (const step of passed) {
          const [from = "", to = ""] = step.split(" ")
          assert.include(after[from] ?? [], to)
        }
        const written = (objects.get("bucket/out/job/a.jsonl.out") ?? "").split("\n").length - 1
        assert.deepStrictEqual([Math.max(0, written), asked], [end.processed, end.processed > 0 ? 1 : 0])
      })
  )
})
