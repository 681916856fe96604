import type * as BatchJournal from "@caprock/batch/BatchJournal"
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { collect } from "../src/internal/collect.ts"
import type { Place } from "../src/internal/place.ts"
import { formRound } from "../src/internal/resubmit.ts"
import { results } from "../src/internal/results.ts"
import { write } from "../src/internal/write.ts"
import { journalOf, uploaded } from "./journals.ts"
import * as S3Server from "./s3Server.ts"

const soon = LatencyModel.fixed(1)

/** A bucket, and an emulator whose jobs read and write it. */
const house = (faults: ReadonlyArray<Fault.FaultRate>) =>
  Effect.gen(function*() {
    const s3 = yield* S3Server.start
    const store = yield* ObjectStore.make({
      bucket: s3.bucket,
      region: "us-east-1",
      endpoint: s3.url,
      credentials: { accessKeyId: "any", secretAccessKey: "any" }
    })
    const emulator = yield* Emulator.make({
      faults,
      batch: {
        s3: { endpoint: s3.careless },
        delays: { submitted: soon, validating: soon, scheduled: soon, inProgress: soon, stopping: soon },
        limits: { minimumRecords: 1 }
      }
    })
    const place: Place = { store, prefix: "caprock/nightly/" }
    const ask = (path: string, body?: unknown) =>
      Effect.promise(() =>
        fetch(`${emulator.url}/${path}`, {
          method: body === undefined ? "GET" : "POST",
          headers: { "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) })
        }).then(async (response) =>
          await response.json() as { readonly jobArn: string; readonly status: string; readonly message?: string }
        )
      )

    /** Lives a job for a part to its end, and counts its outputs. */
    const answered = Effect.fnUntraced(function*(journal: BatchJournal.BatchJournal, part: BatchJournal.Part) {
      const uri = `s3://${s3.bucket}/caprock/nightly`
      const name = `part-${part.round}-${part.part}`
      const { jobArn } = yield* ask("model-invocation-job", {
        jobName: name,
        roleArn: "arn:aws:iam::111122223333:role/batch",
        modelId: journal.settings.model,
        modelInvocationType: "Converse",
        inputDataConfig: { s3InputDataConfig: { s3Uri: `${uri}/in/${part.round}-${part.part}-1/` } },
        outputDataConfig: { s3OutputDataConfig: { s3Uri: `${uri}/out/` } }
      })
      const job = yield* ask(`model-invocation-job/${encodeURIComponent(jobArn)}`).pipe(
        Effect.repeat({
          until: ({ status }) => status === "Completed" || status === "Failed",
          schedule: Schedule.spaced(20)
        })
      )
      assert.strictEqual(job.status, "Completed", job.message)
      const ended: BatchJournal.Part = {
        ...part,
        phase: "collected",
        job: { name, token: name, arn: jobArn }
      }
      return { ...ended, tally: yield* collect(place, journal, ended) }
    })
    return { s3, emulator, place, answered }
  })

describe("the data of a batch, by way of S3 and of jobs", () => {
  it.live(
    "is written, answered, asked again where it failed, and read, over connections that break",
    () =>
      Effect.gen(function*() {
        const n = 1500
        const { answered, emulator, place, s3 } = yield* house([
          { fault: Fault.error("InternalServerException"), rate: 0.05, operation: "BatchRecord" }
        ])
        const records = Array.from({ length: n }, (_, i): BatchRecord => ({
          id: `document ${i}`,
          input: {
            messages: [{
              role: "user",
              content: [{
                text: i % 100 === 7 ? "[[emulate error=ValidationException]]" : `Page ${i}: ${"über ".repeat(40)}`
              }]
            }],
            inferenceConfig: { maxTokens: 20 }
          }
        }))
        const limits = { minimumRecords: 1, recordsPerJob: 600, recordsPerFile: 250 }
        let journal = journalOf({ limits, state: "running" })
        const written = yield* Stream.runCollect(write(place, journal, Stream.fromIterable(records)))
        assert.deepStrictEqual(written.map(({ upload }) => upload.records), [600, 600, 300])

        // Two outputs break off once, in their middle.
        const cut = new Set<string>()
        s3.mishap = ({ method, path }) => {
          if (
            method !== "GET" || !path.includes("records-1.jsonl.out") || cut.size === 2 || cut.has(path)
          ) return undefined
          cut.add(path)
          return "cut"
        }
        const first = yield* Effect.forEach(written, ({ upload }) => answered(journal, uploaded(upload)))
        assert.strictEqual(cut.size, 2)
        journal = { ...journal, parts: first }
        const failed = first.reduce((sum, { tally }) => sum + tally.failed, 0)
        assert.isAbove(failed, 20)
        assert.deepInclude(first[0]?.tally, { missing: 0, foreign: 0, repeated: 0, rejected: 6 })
        assert.isAbove(first[0]?.tally.inputTokens ?? 0, 0)

        const again = yield* formRound(place, journal, 1)
        assert.deepStrictEqual(again.map(({ records }) => records), [failed])
        const second = yield* Effect.forEach(again, (upload) => answered(journal, uploaded(upload)))
        journal = { ...journal, round: 1, parts: [...first, ...second], state: "done" }

        const found = yield* Stream.runCollect(results(place, journal, { order: "input", input: true }))
        assert.deepStrictEqual(found.map(({ index }) => index), records.map((_, i) => i))
        assert.deepStrictEqual(found.map(({ id, input }) => ({ id, input })), records)
        const kinds = Map.groupBy(found, (result) => result._tag === "Success" ? "answered" : result.error.kind)
        assert.lengthOf(kinds.get("rejected") ?? [], 15)
        assert.lengthOf(kinds.get("service") ?? [], second[0]?.tally.failed ?? 0)
        assert.lengthOf(found.filter(({ attempts }) => attempts === 2), failed)
        // Nothing was asked twice but what failed.
        const { records: asked } = (yield* emulator.stats).jobs
        assert.strictEqual(asked.processed, n + failed)
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)),
    60_000
  )
})
