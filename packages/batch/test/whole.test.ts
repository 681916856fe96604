import type { BatchResult } from "@caprock/batch/BatchRecord"
import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Stream } from "effect"
import { make, records, settings } from "./offloadLab.ts"

/** CI takes a hundred thousand. */
const size = Config.Int("BATCH_RECORDS").pipe(Config.withDefault(5_000))

describe("a batch of three jobs", () => {
  it.live(
    "gives each record exactly one result, though one in a hundred fails and a job expires",
    () =>
      Effect.gen(function*() {
        const n = yield* size
        const { batches, emulator } = yield* make({
          // Everything is in this process: it may be busy for longer than two seconds.
          batches: { lease: "30 seconds", limits: { minimumRecords: 100, recordsPerJob: n * 0.4 } },
          emulator: {
            faults: [{ fault: Fault.error("InternalServerException"), rate: 0.01, operation: "BatchRecord" }]
          }
        })
        yield* emulator.inject(Fault.job("Expired"))
        const seen = new Uint8Array(n)
        const kinds = new Map<string, number>()
        yield* batches.run("nightly", { ...settings, timeoutHours: 168 }, records(n), { input: false }).pipe(
          Stream.runForEach((result: BatchResult) =>
            Effect.sync(() => {
              seen[result.index] = (seen[result.index] ?? 0) + 1
              const kind = result._tag === "Success" ? result.via : result.error.kind
              kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
              assert.strictEqual(result.id, `doc-${result.index}`)
            })
          )
        )
        assert.isTrue(seen.every((times) => times === 1))
        // In three rounds, or on demand where they were few, all are answered; nothing but what failed was asked again.
        assert.deepStrictEqual([...kinds.keys()].filter((kind) => kind !== "batch" && kind !== "on-demand"), [])
        const { jobs } = yield* emulator.stats
        assert.strictEqual(jobs.perInput.max, 1)
        // Where the machine is busy more of them expire by themselves.
        assert.isAtLeast(jobs.statuses["Expired"] ?? 0, 1)
        assert.isAbove(jobs.records.failed, 0)
        assert.isAtMost(jobs.records.processed, n + jobs.records.failed)
      }),
    300_000
  )
})
