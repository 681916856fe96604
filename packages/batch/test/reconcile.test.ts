import type { BatchRecord, BatchResult } from "@caprock/batch/BatchRecord"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as Follow from "../src/internal/follow.ts"
import * as Results from "../src/internal/results.ts"
import * as World from "./world.ts"

const Count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Some are refused, and some have the same id. */
const recordsOf = (n: number): ReadonlyArray<BatchRecord> =>
  Array.from({ length: n }, (_, i) => ({
    id: `id ${i % 7}`,
    input: i % 11 === 5 ? { toolConfig: {} } : { messages: [{ role: "user", content: [{ text: `über ${i}` }] }] }
  }))

const limits = { minimumRecords: 2, recordsPerJob: 12, recordsPerFile: 5 }

const worldOf = (n: number, seed: number) =>
  Effect.tap(World.make({ records: recordsOf(n), limits, seed }), ({ known }) =>
    Effect.sync(() => {
      for (const [i, record] of known.entries()) record.refused = i % 11 === 5
    }))

const kindOf = ({ code, fate, refused }: World.Known) =>
  refused
    ? "refused"
    : fate === "rejected"
    ? "rejected"
    : fate === "failed" || code !== undefined
    ? "service"
    : "missing"

/** Compares results with the model: each record has exactly one, if it is final. */
const agree = (
  known: ReadonlyArray<World.Known>,
  results: ReadonlyArray<BatchResult>,
  { final, input }: { readonly final: (record: World.Known) => boolean; readonly input: boolean }
) => {
  const expected = [...known.entries()].filter(([, record]) => final(record)).map(([index]) => index)
  assert.deepStrictEqual(results.map(({ index }) => index).toSorted((a, b) => a - b), expected)
  for (const result of results) {
    const record = known[result.index]
    if (record === undefined) return assert.fail("nobody asked this")
    assert.strictEqual(result.id, record.id)
    assert.strictEqual(result.attempts, record.attempts)
    // What was never sent is not in the bucket.
    assert.deepStrictEqual(result.input, input && !record.refused ? record.input : undefined)
    assert.strictEqual(result._tag, record.fate === "answered" && !record.refused ? "Success" : "Failure")
    if (result._tag === "Success") {
      assert.deepInclude(record.output as ReadonlyArray<unknown>, result.output)
      assert.deepStrictEqual(result.usage, World.usage)
      assert.strictEqual(result.via, record.onDemand ? "on-demand" : "batch")
    } else {
      assert.strictEqual(result.error.kind, kindOf(record))
    }
  }
}

/** Lives a batch of so many rounds to its end, and compares what is known of it with the model on the way. */
const lived = Effect.fnUntraced(function*(n: number, seed: number, rounds: number, order: Results.Options["order"]) {
  const world = yield* worldOf(n, seed)
  const { known } = world
  const results = (journal: ReturnType<typeof world.journal>, options: Results.Options) =>
    Stream.runCollect(Results.results(world.place, journal, options))
  for (let round = 0; round <= rounds; round++) {
    if (round > 0) {
      const open = world.open()
      const uploads = yield* world.again(round)
      // Of those of the round before, what has no answer is asked again, and nothing else.
      assert.deepStrictEqual((yield* Effect.forEach(uploads, world.sentOf)).flat(), open)
      assert.deepStrictEqual(yield* world.again(round), uploads)
      world.forget(uploads.length)
    }
    // Nothing is final of what is under way, but answers and refusals.
    agree(known, yield* results(world.journal({ state: "running" }), { order: "any", input: false }), {
      final: ({ fate, refused }) => refused || fate === "answered" || fate === "rejected",
      input: false
    })
    yield* world.answer(round)
  }
  const open = world.open()
  const left = yield* world.onDemand()
  assert.deepStrictEqual(left.map(({ index }) => index), open)
  for (const { id, index, input } of left) {
    assert.deepStrictEqual([id, input], [known[index]?.id, known[index]?.input])
  }
  for (const input of [true, false]) {
    const found = yield* results(world.journal({ state: "done" }), { input, order })
    agree(known, found, { final: () => true, input })
    if (order === "input") assert.deepStrictEqual(found.map(({ index }) => index), known.map((_, i) => i))
  }
}, Effect.provide(NodeFileSystem.layer))

const drawn = [Count(1, 40), Count(0, 1_000_000), Count(0, 2)] as const

describe("reconciling", () => {
  it.effect.prop(
    "ends each record in one result, whatever lines come, in whatever order, how often, or not at all",
    [...drawn],
    ([n, seed, rounds]) => lived(n, seed, rounds, "any")
  )

  it.effect.prop(
    "does so in the order of the input, if asked",
    [...drawn],
    ([n, seed, rounds]) => lived(n, seed, rounds, "input"),
    // Each makes files.
    { arbitrary: { runs: 15 } }
  )

  it.effect.prop(
    "gives each result once, as soon as it is final, to whoever follows the journal",
    [...drawn, Schema.Boolean],
    ([n, seed, rounds, input]) =>
      Effect.gen(function*() {
        const world = yield* worldOf(n, seed)
        const { known } = world
        const next = Follow.follow(world.place, { input })
        const found: Array<BatchResult> = []
        const look = (state: "running" | "done") =>
          Effect.map(Stream.runCollect(next(world.journal({ state }))), (news) => {
            found.push(...news)
            return news.length
          })
        // Nothing is collected.
        assert.strictEqual(yield* look("running"), 0)
        yield* world.answer(0)
        yield* look("running")
        const settled = ({ fate, refused }: World.Known) => refused || fate === "answered" || fate === "rejected"
        agree(known, found, { final: settled, input })
        assert.strictEqual(yield* look("running"), 0)
        for (let round = 1; round <= rounds; round++) {
          yield* world.again(round)
          yield* look("running")
          yield* world.answer(round)
        }
        yield* look("done")
        agree(known, found, { final: () => true, input })
        assert.strictEqual(yield* look("done"), 0)
      }).pipe(Effect.provide(NodeFileSystem.layer)),
    { arbitrary: { runs: 40 } }
  )

  it.effect.each(["any", "input"] as const)(
    "gives a record that a job and a call on demand both answered the one result of the job: order %s",
    (order) =>
      Effect.gen(function*() {
        const { answer, journal, known, place } = yield* worldOf(40, 7)
        yield* answer(0)
        const lines = known.map((_, index) =>
          JSON.stringify({
            recordId: `r${index.toString(36).padStart(10, "0")}`,
            modelOutput: { text: "on demand" },
            via: "on-demand"
          })
        )
        yield* place.store.put("caprock/nightly/late/1-0.jsonl.out", Buffer.from(`${lines.join("\n")}\n`))
        const late = { why: "deadline", records: 40, done: true } as const
        const found = yield* Stream.runCollect(
          Results.results(place, journal({ state: "done", late }), { order, input: false })
        )
        assert.deepStrictEqual(found.map(({ index }) => index).toSorted((a, b) => a - b), known.map((_, i) => i))
        for (const result of found) {
          const { fate, output, refused } = known[result.index] ?? assert.fail("nobody asked this")
          if (refused) assert.strictEqual(result._tag, "Failure")
          else if (result._tag === "Failure") assert.fail(`record ${result.index} was answered`)
          else if (fate !== "answered") assert.strictEqual(result.via, "on-demand")
          else assert.deepInclude(output as ReadonlyArray<unknown>, result.output)
        }
      }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.effect("reads what was answered on demand once, and again only for the parts that have something of it", () =>
    Effect.gen(function*() {
      const { answer, journal, onDemand, place } = yield* worldOf(60, 7)
      yield* answer(0)
      yield* onDemand()
      const late = { why: "deadline", records: 0, done: true } as const
      const ended = journal({ state: "done", late })
      const line = (index: number) =>
        JSON.stringify({ recordId: `r${index.toString(36).padStart(10, "0")}`, modelOutput: {} })
      yield* place.store.remove(["caprock/nightly/late/1-0.jsonl.out", "caprock/nightly/late/1-1.jsonl.out"])
      yield* place.store.put("caprock/nightly/late/2-0.jsonl.out", Buffer.from(`${line(13)}\n${line(25)}\n`))
      const read: Array<string> = []
      const store: typeof place.store = {
        ...place.store,
        get: (key, from, to) => {
          read.push(key)
          return place.store.get(key, from, to)
        }
      }
      yield* Stream.runDrain(Results.results({ ...place, store }, ended, { order: "any", input: false }))
      const parts = ended.parts.filter(({ first, last }) => first <= 25 && last >= 13)
      assert.isBelow(parts.length, ended.parts.length)
      assert.strictEqual(read.filter((key) => key.includes("/late/")).length, 1 + parts.length)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
