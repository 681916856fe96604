import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { make, records, settings } from "./offloadLab.ts"

const limits = { minimumRecords: 10 }

/** The batches of the lab, and a Bedrock of so many requests per minute. */
const lab = (requestsPerMinute: number) =>
  Effect.gen(function*() {
    const { batches, emulator } = yield* make()
    const bedrock = yield* Layer.build(Bedrock.layer({
      endpoint: emulator.url,
      region: "us-east-1",
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
      quotas: { default: { requestsPerMinute } }
    }))
    return {
      emulator,
      batches,
      auto: (name: string, n: number, options: BatchOffload.AutoOptions = {}, from = records(n)) =>
        Effect.provideContext(
          BatchOffload.auto(name, settings, from, { limits, ...options }),
          Context.add(bedrock, BatchOffload.BatchOffload, batches)
        )
    }
  })

describe("BatchOffload.auto", () => {
  it.live("sends on demand what is urgent and what the quota lets through, and no job is asked for", () =>
    Effect.gen(function*() {
      const { auto, batches, emulator } = yield* lab(60_000)
      const { decision, results } = yield* auto("urgent", 300, { urgency: "1 hour", prices: { input: 1, output: 2 } })
      assert.strictEqual(decision.path, "on-demand")
      assert.match(
        decision.because[0],
        /^On demand, 300 records take about .* by 60,000 requests per minute: that is within/
      )
      const all = yield* Stream.runCollect(results)
      assert.lengthOf(all, 300)
      assert.isTrue(all.every((result) => result._tag === "Success" && result.via === "on-demand"))
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
      assert.strictEqual((yield* batches.status("urgent")).state, "done")
    }))

  it.live("takes a batch where the quota has no room, and where there is time", () =>
    Effect.gen(function*() {
      const { auto, emulator } = yield* lab(100)
      const urgent = yield* auto("urgent", 300, { urgency: "2 minutes" })
      assert.deepStrictEqual([urgent.decision.path, urgent.decision.because.length], ["batch", 2])
      const calm = yield* auto("calm", 300)
      assert.strictEqual(calm.decision.path, "batch")
      const all = yield* Stream.runCollect(calm.results)
      assert.lengthOf(all, 300)
      assert.isTrue(all.every((result) => result._tag === "Success" && result.via === "batch"))
      assert.deepEqual((yield* emulator.stats).jobs.statuses, { Completed: 1 })
    }))

  it.live("sends on demand what is too little for a job", () =>
    Effect.gen(function*() {
      const { auto, emulator } = yield* lab(6_000)
      const { decision, results } = yield* auto("few", 9)
      assert.strictEqual(decision.because[0], "9 records are fewer than the 10 that a job needs at least.")
      assert.lengthOf(yield* Stream.runCollect(results), 9)
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
    }))

  it.live("goes on with what is there as it was begun, whatever would be decided now", () =>
    Effect.gen(function*() {
      const { auto, emulator } = yield* lab(60_000)
      const asked = yield* auto("asked", 300, { urgency: "1 hour" })
      assert.lengthOf(yield* Stream.runCollect(asked.results), 300)
      const again = yield* auto("asked", 300)
      assert.strictEqual(again.decision.path, "on-demand")
      assert.deepEqual(again.decision.because, ["It has been begun as calls on demand, and goes on as such."])
      assert.lengthOf(yield* Stream.runCollect(again.results), 300)
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
      const calm = yield* auto("calm", 300)
      assert.lengthOf(yield* Stream.runCollect(calm.results), 300)
      const urgent = yield* auto("calm", 300, { urgency: "1 hour" })
      assert.strictEqual(urgent.decision.path, "batch")
      assert.lengthOf(yield* Stream.runCollect(urgent.results), 300)
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 1)
      const other = yield* auto("asked", 300, {}, records(300, 1))
      const error = yield* Effect.flip(Stream.runDrain(other.results))
      assert.strictEqual(error.reason._tag, "InputChanged")
    }))

  it.live("reads no more than decides", () =>
    Effect.gen(function*() {
      const { auto } = yield* lab(100)
      let read = 0
      const counted = records(100_000).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => read++))
      )
      yield* auto("calm", 0, {}, counted)
      assert.strictEqual(read, 10)
      read = 0
      // As many as two minutes let through, and one more.
      yield* auto("urgent", 0, { urgency: "2 minutes" }, counted)
      assert.strictEqual(read, 201)
    }))
})
