import type { Status } from "@caprock/batch/BatchJournal"
import type { BatchResult } from "@caprock/batch/BatchRecord"
import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { make, records, settings } from "./offloadLab.ts"

const indices = (results: ReadonlyArray<BatchResult>) => results.map(({ index }) => index)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Each record has one result, and it is its own. */
const complete = (results: ReadonlyArray<BatchResult>, n: number) => {
  assert.deepEqual(indices(results).toSorted((a, b) => a - b), upTo(n))
  for (const { id, index, input } of results) {
    assert.strictEqual(id, `doc-${index}`)
    if (input !== undefined) assert.include(JSON.stringify(input), `Document ${index}.`)
  }
}

class Own extends Data.TaggedError("Own")<{}> {}

describe("batches", () => {
  it.live("give each record one result, though records fail and a job expires", () =>
    Effect.gen(function*() {
      const { batches, emulator } = yield* make({
        emulator: { faults: [{ fault: Fault.error("InternalServerException"), rate: 0.02, operation: "BatchRecord" }] }
      })
      yield* emulator.inject(Fault.job("Expired"))
      const results = yield* Stream.runCollect(batches.run("nightly", settings, records(1000)))
      complete(results, 1000)
      assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
      const status = yield* batches.status("nightly")
      assert.deepInclude(status, { state: "done", records: 1000, sealed: true })
      assert.deepEqual(status.parts.slice(0, 3).map(({ attempt }) => attempt).toSorted(), [0, 0, 1])
      const { jobs } = yield* emulator.stats
      assert.strictEqual(jobs.perInput.max, 1)
      assert.isAbove(jobs.records.failed, 0)
    }))

  it.live("are submitted by one process, driven to their end by another, and read by a third, in their order", () =>
    Effect.gen(function*() {
      const { process } = yield* make()
      const uploads: Array<number> = []
      const submitted = yield* Effect.flatMap(
        process(),
        ({ submit }) =>
          submit("nightly", settings, records(900), { onChange: ({ records }) => void uploads.push(records) })
      )
      assert.deepEqual([...new Set(uploads)], [0, 400, 800, 900])
      assert.deepInclude(submitted, { state: "running", sealed: true, records: 900 })
      assert.lengthOf(submitted.parts, 3)
      assert.isTrue(submitted.parts.every(({ phase }) => phase === "running"))
      const heard: Array<Status> = []
      const onChange = (status: Status) => void heard.push(status)
      const ended = yield* Effect.flatMap(process(), ({ resume }) => resume("nightly", { onChange }))
      assert.deepInclude(ended, { state: "done", succeeded: 900 })
      assert.isTrue(ended.parts.every(({ unanswered }) => unanswered === 0))
      assert.deepEqual(heard.at(-1), ended)
      assert.deepInclude(heard[0], { state: "running", succeeded: 0 })
      assert.isUndefined(heard[0]?.parts[0]?.unanswered)
      const { results } = yield* process()
      const all = yield* Stream.runCollect(results("nightly", { order: "input" }))
      assert.deepEqual(indices(all), upTo(900))
      complete(all, 900)
      const bare = yield* Stream.runCollect(results("nightly", { input: false }))
      complete(bare, 900)
      assert.isTrue(bare.every(({ input }) => input === undefined))
    }))

  it.live("that are submitted again go on, and pay for nothing twice", () =>
    Effect.gen(function*() {
      const { batches, emulator } = yield* make()
      yield* batches.submit("nightly", settings, records(500))
      yield* batches.submit("nightly", settings, records(500))
      complete(yield* Stream.runCollect(batches.run("nightly", settings, records(500))), 500)
      const again = yield* Stream.runCollect(batches.run("nightly", settings, records(500)))
      complete(again, 500)
      const { jobs } = yield* emulator.stats
      assert.deepInclude(jobs, { accepted: 2, repeated: 0 })
      assert.strictEqual(jobs.perInput.max, 1)
    }))

  it.live("whose input broke off keep what they have, and take up the rest", () =>
    Effect.gen(function*() {
      const { batches, emulator } = yield* make()
      const broken = Stream.concat(records(900), Stream.fail(new Own()))
      const failure = yield* Effect.flip(batches.submit("nightly", settings, broken))
      assert.strictEqual(failure._tag, "Own")
      const incomplete = yield* Effect.flip(batches.resume("nightly"))
      assert.deepInclude(incomplete.reason, { _tag: "InputIncomplete", records: 800 })
      complete(yield* Stream.runCollect(batches.run("nightly", settings, records(950))), 950)
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 3)
    }))

  it.live("have results before their input ends", () =>
    Effect.gen(function*() {
      const { batches } = yield* make()
      const first = yield* Deferred.make<void>()
      const input = Stream.concat(
        records(820),
        Stream.unwrap(Effect.as(Deferred.await(first), records(100, 820)))
      )
      const results = yield* batches.run("endless", settings, input).pipe(
        Stream.tap(() => Deferred.succeed(first, undefined)),
        Stream.runCollect
      )
      complete(results, 920)
    }))

  it.live("of too few records are asked on demand", () =>
    Effect.gen(function*() {
      const { batches, emulator } = yield* make()
      const results = yield* Stream.runCollect(batches.run("few", settings, records(7)))
      complete(results, 7)
      assert.isTrue(results.every((result) => result._tag === "Success" && result.via === "on-demand"))
      assert.strictEqual((yield* emulator.stats).jobs.accepted, 0)
    }))

  it.live("whose jobs never begin are asked on demand in the end, where there is a deadline", () =>
    Effect.gen(function*() {
      const { batches, emulator } = yield* make()
      for (let n = 0; n < 2; n++) yield* emulator.inject(Fault.job("Expired"))
      const patient = { ...settings, rounds: 2, deadline: "1 hour" } as const
      const results = yield* Stream.runCollect(batches.run("nightly", patient, records(50)))
      complete(results, 50)
      assert.isTrue(results.every((result) => result._tag === "Success" && result.via === "on-demand"))
      const { jobs } = yield* emulator.stats
      assert.deepEqual(jobs.statuses, { Expired: 2 })
    }))

  it.live("of nothing are done", () =>
    Effect.gen(function*() {
      const { batches } = yield* make()
      assert.lengthOf(yield* Stream.runCollect(batches.run("none", settings, records(0))), 0)
      assert.deepInclude(yield* batches.status("none"), { state: "done", records: 0 })
    }))

  it.live("that are cancelled stop, and say so of each record that has no answer", () =>
    Effect.gen(function*() {
      const { batches, process } = yield* make({ batches: { limits: { jobs: 1 } } })
      yield* batches.submit("nightly", settings, records(900))
      yield* batches.cancel("nightly")
      const ended = yield* Effect.flatMap(process(), ({ resume }) => resume("nightly"))
      assert.strictEqual(ended.state, "cancelled")
      const results = yield* Stream.runCollect(batches.results("nightly"))
      complete(results, 900)
      const kinds = new Set(results.flatMap((result) => result._tag === "Failure" ? [result.error.kind] : []))
      assert.deepEqual([...kinds], ["cancelled"])
    }))

  it.live("are driven by one process at a time", () =>
    Effect.gen(function*() {
      const { process } = yield* make({ batches: { limits: { jobs: 1, recordsPerJob: 100 } } })
      const scope = yield* Scope.make()
      const first = yield* process()
      yield* first.submit("nightly", settings, records(800))
      const driving = yield* Effect.forkIn(Stream.runDrain(first.run("nightly", settings, records(800))), scope)
      yield* Effect.sleep("50 millis")
      const failure = yield* Effect.flip(Effect.flatMap(process(), ({ resume }) => resume("nightly")))
      assert.strictEqual(failure.reason._tag, "LeaseHeld")
      const patient = yield* process({ patient: true })
      assert.strictEqual((yield* patient.resume("nightly")).state, "done")
      yield* Fiber.await(driving)
      yield* Scope.close(scope, Exit.void)
    }))

  it.live("that ten want to drive are driven by one", () =>
    Effect.gen(function*() {
      const { emulator, process } = yield* make({ batches: { limits: { jobs: 1, recordsPerJob: 100 } } })
      const exits = yield* Effect.forEach(
        upTo(10),
        () =>
          Effect.flatMap(
            process(),
            ({ run }) => Effect.exit(Stream.runCollect(run("nightly", settings, records(500))))
          ),
        { concurrency: "unbounded" }
      )
      // Whoever comes when it is done reads it, too.
      const read = exits.flatMap((exit) => Exit.isSuccess(exit) ? [exit.value] : [])
      assert.isNotEmpty(read)
      for (const results of read) complete(results, 500)
      const reasons = yield* Effect.forEach(
        exits.filter((exit) => Exit.isFailure(exit)),
        (exit) => Effect.map(Effect.flip(exit), ({ reason }) => reason._tag)
      )
      assert.isNotEmpty(reasons)
      assert.isTrue(reasons.every((reason) => reason === "LeaseHeld"))
      const { jobs } = yield* emulator.stats
      assert.deepInclude(jobs, { accepted: 5, repeated: 0 })
      assert.strictEqual(jobs.perInput.max, 1)
    }))

  it.live("are listed", () =>
    Effect.gen(function*() {
      const { batches } = yield* make()
      for (const name of ["a", "b"]) yield* batches.submit(name, settings, records(20))
      const listed = yield* Stream.runCollect(batches.list)
      assert.deepEqual(listed.map(({ name, records, state }) => [name, records, state]), [["a", 20, "running"], [
        "b",
        20,
        "running"
      ]])
    }))

  it.live("say what is wrong with what they are asked", () =>
    Effect.gen(function*() {
      const { batches, process, s3 } = yield* make()
      const reason = <A, E extends { readonly reason: { readonly _tag: string } }>(asked: Effect.Effect<A, E>) =>
        Effect.map(Effect.flip(asked), ({ reason }) => reason._tag)
      assert.strictEqual(yield* reason(batches.resume("none")), "NotFound")
      assert.strictEqual(yield* reason(batches.status("none")), "NotFound")
      assert.strictEqual(yield* reason(batches.cancel("none")), "NotFound")
      assert.strictEqual(yield* reason(Stream.runDrain(batches.results("none"))), "NotFound")
      assert.strictEqual(yield* reason(batches.submit("a/b", settings, records(20))), "InvalidSetting")
      assert.strictEqual(yield* reason(batches.submit("a", { ...settings, rounds: 0 }, records(20))), "InvalidSetting")
      const narrow = yield* process({ limits: { recordsPerJob: 15 } })
      assert.strictEqual(yield* reason(narrow.submit("a", settings, records(20))), "InvalidSetting")
      yield* batches.submit("a", settings, records(20))
      const exists = yield* Effect.flip(batches.submit("a", { ...settings, rounds: 2 }, records(20)))
      assert.deepInclude(exists.reason, { _tag: "Exists", setting: "rounds" })
      assert.strictEqual(yield* reason(batches.submit("a", settings, records(20, 1))), "InputChanged")
      assert.strictEqual(exists.batch, "a")
      assert.isAbove(s3.requests.length, 0)
    }))
})
