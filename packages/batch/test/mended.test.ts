// What somebody has to mend, cancel or clean up: batches over a bucket in memory and scripted jobs, in virtual time.
import { StoreFailed } from "@caprock/batch/BatchError"
import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import { JobControlTest } from "@caprock/batch/JobControlTest"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { records, settings } from "./offloadLab.ts"

const make = (
  options: BatchOffload.Options = {},
  { bedrock = Bedrock.layer({ region: "us-east-1" }), wrap = (store) => store }: {
    readonly bedrock?: ReturnType<typeof Bedrock.layer>
    /** Of the bucket that batches have; the test has the other. */
    readonly wrap?: (store: ObjectStore.ObjectStore["Service"]) => ObjectStore.ObjectStore["Service"]
  } = {}
) =>
  Effect.gen(function*() {
    const store = ObjectStore.makeMemory("bucket")
    const services = yield* Layer.build(Layer.mergeAll(
      Layer.succeed(ObjectStore.ObjectStore, wrap(store)),
      JobControl.layerTest(),
      bedrock,
      NodeFileSystem.layer
    ))
    const batches = yield* BatchOffload.make({ limits: { minimumRecords: 10, recordsPerJob: 100 }, ...options }).pipe(
      Effect.provideContext(services)
    )
    const test = yield* Effect.provideContext(JobControlTest, services)
    return { batches, store, test }
  })

/** Lets virtual time pass until it ends. */
const ending = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let hours = 0; hours < 24 * 30 && fiber.pollUnsafe() === undefined; hours++) yield* TestClock.adjust("1 hour")
    assert.isDefined(fiber.pollUnsafe(), "it never ends")
    return yield* Fiber.join(fiber)
  })

const denied = new BedrockError({
  operation: "CreateModelInvocationJob",
  attempts: 1,
  reason: new Reason.AccessError({ kind: "denied", message: "may not pass the role" })
})
const crowded = new BedrockError({
  operation: "CreateModelInvocationJob",
  attempts: 1,
  reason: new Reason.ResourceQuotaError({ message: "too many jobs" })
})
const unheard = new BedrockError({
  operation: "CreateModelInvocationJob",
  attempts: 1,
  reason: new Reason.ServerError({ kind: "internal", message: "no answer" })
})

const answer = {
  $metadata: {},
  output: { message: { role: "assistant" as const, content: [{ text: "Yes." }] } },
  stopReason: "end_turn" as const,
  usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
  metrics: { latencyMs: 1 }
}

class Own extends Data.TaggedError("Own")<{}> {}

describe("a batch that Bedrock refuses", () => {
  it.effect("says so at once, and uploads no more; mended, it goes on", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", [denied])
      let read = 0
      const counted = Stream.tap(records(1000), () => Effect.sync(() => read++))
      const { reason } = yield* Effect.flip(ending(batches.submit("nightly", settings, counted)))
      assert.deepInclude(reason, { _tag: "JobFailed", status: "refused" })
      assert.isBelow(read, 600)
      const submitted = yield* ending(batches.submit("nightly", settings, records(1000)))
      assert.isUndefined(submitted.problem)
      assert.lengthOf(yield* test.created, 10)
    }))
})

describe("a batch of which Bedrock refuses one job", () => {
  it.effect("asks for no other", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", Array.from({ length: 4 }, () => crowded))
      yield* ending(batches.submit("nightly", settings, records(300)))
      assert.isEmpty(yield* test.jobs)
      yield* test.fail("create", [denied])
      const { reason } = yield* Effect.flip(ending(batches.resume("nightly")))
      assert.deepInclude(reason, { _tag: "JobFailed", status: "refused" })
      assert.isEmpty(yield* test.jobs)
    }))
})

describe("a batch whose jobs can't be listed", () => {
  it.effect("is uploaded all the same", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", [unheard])
      yield* test.fail("list", Array.from({ length: 50 }, () => unheard))
      const { parts, sealed } = yield* ending(batches.submit("nightly", settings, records(1000)))
      assert.isTrue(sealed)
      assert.lengthOf(parts, 10)
      assert.isBelow((yield* test.requests).list, 20)
    }))

  it.effect("fails, where it won't pass", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", [unheard])
      yield* test.fail("list", [denied])
      const { reason } = yield* Effect.flip(ending(batches.submit("nightly", settings, records(1000))))
      assert.strictEqual(reason._tag, "ServiceFailed")
    }))
})

describe("the settings of a batch", () => {
  const other = { ...settings, roleArn: "arn:aws:iam::111122223333:role/right" }

  it.effect("may be mended while no job has been created by them", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", [denied])
      yield* Effect.flip(ending(batches.submit("nightly", settings, records(300))))
      yield* ending(batches.submit("nightly", other, records(300)))
      assert.deepEqual((yield* test.created).map(({ roleArn }) => roleArn), Array(3).fill(other.roleArn))
    }))

  it.effect("stay what they are once there may be one, though nobody heard of it", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      const unknown = new BedrockError({
        operation: "CreateModelInvocationJob",
        attempts: 1,
        reason: new Reason.UnknownError({ message: "a page of a proxy" })
      })
      yield* test.fail("create", [unknown], { after: true })
      yield* Effect.flip(ending(batches.submit("nightly", settings, records(100))))
      const { reason } = yield* Effect.flip(ending(batches.submit("nightly", other, records(100))))
      assert.deepInclude(reason, { _tag: "Exists", setting: "roleArn" })
      assert.lengthOf(yield* test.jobs, 1)
    }))
})

describe("a batch whose jobs complete, and leave nothing", () => {
  it.effect("is a problem, and is not paid again by itself", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(100)))
      const { reason } = yield* Effect.flip(ending(batches.resume("nightly")))
      assert.deepInclude(reason, { _tag: "JobFailed", status: "Completed" })
      assert.lengthOf(yield* test.created, 1)
    }))
})

describe("a batch whose job somebody stopped", () => {
  it.effect("submits what it did not answer when it is resumed, though all rounds are used up, and nothing else", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      const once = { ...settings, rounds: 1, small: "fail" } as const
      yield* ending(batches.submit("nightly", once, records(250)))
      const became = ["Stopped", "PartiallyCompleted", "PartiallyCompleted"]
      for (const [n, { arn }] of (yield* test.jobs).entries()) yield* test.become(arn, became[n] ?? "")
      const { reason } = yield* Effect.flip(ending(batches.resume("nightly")))
      assert.strictEqual(reason._tag, "StoppedElsewhere")
      yield* Effect.flip(ending(batches.resume("nightly")))
      const { parts } = yield* batches.status("nightly")
      assert.deepEqual(parts.map(({ records, round }) => [round, records]), [[0, 100], [0, 100], [0, 50], [1, 100]])
    }))
})

describe("a batch that is cancelled", () => {
  it.effect("ends, though its input never did", () =>
    Effect.gen(function*() {
      const { batches } = yield* make()
      const broken = Stream.concat(records(250), Stream.fail(new Own()))
      yield* Effect.flip(ending(batches.submit("nightly", settings, broken)))
      yield* batches.cancel("nightly")
      assert.strictEqual((yield* ending(batches.resume("nightly"))).state, "cancelled")
      const results = yield* Stream.runCollect(batches.results("nightly"))
      assert.isTrue(results.every((result) => result._tag === "Failure" && result.error.kind === "cancelled"))
    }))

  it.effect("uploads no more, and nothing by another submit", () =>
    Effect.gen(function*() {
      const { batches, store, test } = yield* make()
      let read = 0
      const counted = Stream.tap(records(1000), ({ id }) => {
        read++
        return id === "doc-300" ? Effect.orDie(batches.cancel("nightly")) : Effect.void
      })
      const ended = yield* ending(batches.submit("nightly", settings, counted))
      assert.include(["cancelling", "cancelled"], ended.state)
      assert.isBelow(read, 1000)
      const keys = Stream.runCollect(Stream.map(store.list("caprock/nightly/in/"), ({ key }) => key))
      const before = yield* keys
      yield* ending(batches.resume("nightly"))
      yield* ending(batches.submit("nightly", settings, records(1000)))
      const after = yield* keys
      assert.isEmpty(after.filter((key) => !before.includes(key)))
      for (const { status } of yield* test.jobs) assert.strictEqual(status, "Stopped")
    }))

  it.effect("ends, though its input gives nothing more and does not end", () =>
    Effect.gen(function*() {
      const { batches } = yield* make()
      const running = yield* Effect.forkChild(
        Stream.runCollect(batches.run("nightly", settings, Stream.concat(records(250), Stream.never)))
      )
      yield* TestClock.adjust("5 minutes")
      yield* batches.cancel("nightly")
      yield* ending(Fiber.join(running))
      assert.strictEqual((yield* batches.status("nightly")).state, "cancelled")
    }))

  it.effect("asks no more on demand, and keeps what was answered", () =>
    Effect.gen(function*() {
      let calls = 0
      const bedrock = Layer.mock(Bedrock.Bedrock, {
        converse: () =>
          Effect.sync(() => {
            calls++
          }).pipe(Effect.andThen(Effect.sleep("10 minutes")), Effect.as(answer))
      })
      const { batches } = yield* make({ limits: { minimumRecords: 2000, recordsPerJob: 4000 } }, { bedrock })
      yield* ending(batches.submit("nightly", settings, records(1500)))
      const driving = yield* Effect.forkChild(batches.resume("nightly"))
      yield* TestClock.adjust("25 minutes")
      yield* batches.cancel("nightly")
      assert.strictEqual((yield* ending(Fiber.join(driving))).state, "cancelled")
      assert.strictEqual(calls, 3 * 64)
      const results = yield* Stream.runCollect(batches.results("nightly"))
      assert.lengthOf(results, 1500)
      assert.lengthOf(results.filter(({ _tag }) => _tag === "Success"), 2 * 64)
    }))

  it.effect("ends, though Bedrock has forgotten one of its jobs", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(250)))
      const [first] = yield* test.jobs
      yield* test.forget(first?.arn ?? "")
      yield* batches.cancel("nightly")
      assert.strictEqual((yield* ending(batches.resume("nightly"))).state, "cancelled")
    }))

  it.effect("stops a job that nobody heard of", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* test.fail("create", [unheard], { after: true })
      yield* ending(batches.submit("nightly", settings, records(100)))
      yield* batches.cancel("nightly")
      assert.deepEqual((yield* test.jobs).map(({ status }) => status), ["Stopping"])
    }))

  it.effect("stops all its jobs that can be stopped, and says so of the other", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(250)))
      yield* test.fail("stop", [denied])
      const { reason } = yield* Effect.flip(batches.cancel("nightly"))
      assert.strictEqual(reason._tag, "ServiceFailed")
      assert.lengthOf((yield* test.jobs).filter(({ status }) => status === "Stopping"), 2)
    }))

  it.effect("is cancelled, though there was a problem before", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(250)))
      for (const [n, { arn }] of (yield* test.jobs).entries()) {
        yield* test.become(arn, n === 0 ? "Failed" : "InProgress", {
          message: "Access denied: the role can't be assumed"
        })
      }
      const driving = yield* Effect.forkChild(batches.resume("nightly"))
      yield* TestClock.adjust("10 minutes")
      yield* batches.cancel("nightly")
      assert.strictEqual((yield* ending(Fiber.join(driving))).state, "cancelled")
    }))
})

describe("the status of a batch", () => {
  it.effect("asks Bedrock only where a job is under way", () =>
    Effect.gen(function*() {
      const { batches, test } = yield* make()
      yield* ending(batches.submit("small", settings, records(5)))
      const { settings: asked } = yield* batches.status("small")
      assert.deepInclude(asked, { model: settings.model, rounds: 3 })
      assert.strictEqual((yield* test.requests).list, 0)
      yield* ending(batches.submit("large", settings, records(50)))
      yield* batches.status("large")
      assert.strictEqual((yield* test.requests).list, 1)
    }))
})

describe("the list of batches", () => {
  const listed = Effect.fnUntraced(function*({ list }: BatchOffload.BatchOffload["Service"]) {
    const names: Array<string> = []
    const exit = yield* Effect.exit(Stream.runForEach(list, ({ name }) => Effect.sync(() => void names.push(name))))
    return { names, exit }
  })

  it.effect("has all that can be read, and then says which can't", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make()
      for (const name of ["a", "b", "c"]) yield* ending(batches.submit(name, settings, records(20)))
      yield* store.put("caprock/b/journal.json", Buffer.from("{}"))
      yield* store.put("caprock/d/notes.txt", Buffer.from("no batch"))
      const { exit, names } = yield* listed(batches)
      assert.deepEqual(names, ["a", "c"])
      const error = yield* Effect.flip(exit)
      assert.strictEqual(error.batch, "b")
      assert.strictEqual(error.reason._tag, "Corrupt")
    }))

  it.effect("costs one object of each, however many it has", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make()
      for (const name of ["a", "b"]) yield* ending(batches.submit(name, settings, records(1000)))
      const read: Array<string> = []
      const counting: typeof store = {
        ...store,
        read: (key) => Effect.suspend(() => (read.push(key), store.read(key))),
        list: () => Stream.die("nobody lists all keys")
      }
      const services = yield* Layer.build(Layer.mergeAll(
        Layer.succeed(ObjectStore.ObjectStore, counting),
        JobControl.layerTest(),
        Bedrock.layer({ region: "us-east-1" }),
        NodeFileSystem.layer
      ))
      const reader = yield* Effect.provideContext(BatchOffload.make(), services)
      assert.deepEqual((yield* listed(reader)).names, ["a", "b"])
      assert.deepEqual(read, ["caprock/a/journal.json", "caprock/b/journal.json"])
    }))
})

describe("a batch's bucket", () => {
  it.effect("may be emptied, and the name used anew: jobs of before are not taken for its own", () =>
    Effect.gen(function*() {
      const { batches, store, test } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(100)))
      const keys = yield* Stream.runCollect(Stream.map(store.list("caprock/"), ({ key }) => key))
      yield* store.remove(keys)
      yield* test.fail("create", [unheard])
      yield* ending(batches.submit("nightly", settings, records(100, 100)))
      const { parts } = yield* ending(batches.submit("nightly", settings, records(100, 100)))
      const [, second] = yield* test.jobs
      assert.isDefined(second)
      assert.strictEqual(parts[0]?.arn, second?.arn)
    }))

  it.effect("is swept of what nobody ends, and not of what Bedrock is writing", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(100)))
      const theirs = yield* store.upload("caprock/nightly/out/000000000000/records-0.jsonl.out")
      const ours = yield* store.upload("caprock/nightly/in/0-1-1/records-0.jsonl")
      yield* ending(batches.submit("nightly", settings, records(100)))
      yield* theirs.write(new Uint8Array(1))
      yield* theirs.commit
      assert.strictEqual((yield* Effect.flip(ours.write(new Uint8Array(1)))).kind, "missing")
    }))

  it.effect("may keep what nobody reads: no batch fails by it", () =>
    Effect.gen(function*() {
      let listings = 0
      const broken = new StoreFailed({ operation: "list", key: "", kind: "unavailable", problem: "503" })
      const { batches } = yield* make({}, {
        wrap: (store) => ({
          ...store,
          list: (prefix) =>
            prefix === "caprock/nightly/in/"
              ? Stream.suspend(() => (listings++, Stream.fail(broken)))
              : store.list(prefix)
        })
      })
      yield* ending(batches.submit("nightly", settings, records(250)))
      yield* batches.cancel("nightly")
      assert.strictEqual((yield* ending(batches.resume("nightly"))).state, "cancelled")
      assert.strictEqual(listings, 3)
    }))

  it.effect("is not swept by who has lost the lease", () =>
    Effect.gen(function*() {
      const swept: Array<string> = []
      let isTaken = false
      const { batches } = yield* make({}, {
        wrap: (store) => {
          const other = { generation: 2, owner: "other", beat: 0, released: false }
          const takenOver = Effect.suspend(() => {
            if (isTaken) return Effect.void
            isTaken = true
            return Effect.andThen(
              store.put("caprock/nightly/lease.json", Buffer.from(JSON.stringify(other))),
              Effect.sleep("2 minutes")
            )
          })
          return {
            ...store,
            put: (key, bytes, when) =>
              Effect.tap(store.put(key, bytes, when), key.endsWith("/journal.json") ? takenOver : Effect.void),
            sweep: (prefix) => Effect.sync(() => swept.push(prefix))
          }
        }
      })
      const { reason } = yield* Effect.flip(ending(batches.submit("nightly", settings, records(100))))
      assert.strictEqual(reason._tag, "LeaseLost")
      assert.isTrue(isTaken)
      assert.isEmpty(swept)
    }))

  it.effect("is cleared of parts that no journal names, and of nobody else's", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make()
      yield* ending(batches.submit("nightly", settings, records(100)))
      const keys = Stream.runCollect(Stream.map(store.list("caprock/nightly/"), ({ key }) => key))
      const before = yield* keys
      const orphans = ["in/0-1-1/records-0.jsonl", "in/1-0-0/records-7.jsonl", "ids/0-1-1.jsonl"]
      const others = [
        "ids/0-1-9.jsonl",
        "ids/notes.txt",
        "in/0-1-9/records-0.jsonl",
        "late/0-1-1.jsonl.out",
        "out/0-1-1/records-0.jsonl.out"
      ]
      // Of the generation that the next but one will have: it may be uploading them.
      const own = ["in/0-2-3/records-0.jsonl"]
      for (const key of [...orphans, ...others, ...own]) yield* store.put(`caprock/nightly/${key}`, new Uint8Array(1))
      yield* ending(batches.submit("nightly", settings, records(100)))
      const left = (...more: ReadonlyArray<string>) =>
        [...before, ...more.map((key) => `caprock/nightly/${key}`)].toSorted()
      assert.deepEqual(yield* keys, left(...others, ...own))
      yield* batches.cancel("nightly")
      yield* ending(batches.resume("nightly"))
      assert.deepEqual(yield* keys, left("cancel.json", ...others))
    }))

  it.effect("is cleared of what an input left that broke off", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make({ limits: { minimumRecords: 10, recordsPerJob: 100, recordsPerFile: 20 } })
      const broken = Stream.concat(records(270), Stream.fail(new Own()))
      yield* Effect.flip(ending(batches.submit("nightly", settings, broken)))
      const files = Effect.map(Stream.runCollect(store.list("caprock/nightly/in/")), (found) => found.length)
      assert.isAbove(yield* files, 10)
      yield* ending(batches.submit("nightly", settings, records(300)))
      assert.strictEqual(yield* files, 15)
    }))

  it.effect("may lose the lease: who comes next goes on", () =>
    Effect.gen(function*() {
      const { batches, store } = yield* make()
      for (const _ of [1, 2, 3]) yield* ending(batches.submit("nightly", settings, records(100)))
      yield* store.remove(["caprock/nightly/lease.json"])
      assert.strictEqual((yield* ending(batches.submit("nightly", settings, records(100)))).records, 100)
    }))
})
