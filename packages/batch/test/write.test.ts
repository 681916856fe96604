import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Item } from "../src/internal/item.ts"
import * as PartWriter from "../src/internal/partWriter.ts"
import type { Place } from "../src/internal/place.ts"
import * as Write from "../src/internal/write.ts"
import { journalOf, uploaded } from "./journals.ts"

const Count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Some are refused, and some have the same id. */
const recordOf = (i: number, filling = "x"): BatchRecord => ({
  id: `id ${i % 7}`,
  input: i % 11 === 5 ? { toolConfig: {} } : { messages: [{ role: "user", content: [{ text: `${filling} ${i}` }] }] }
})

const recordsOf = (n: number, filling?: string) => Array.from({ length: n }, (_, i) => recordOf(i, filling))

const placeOf = (): Place => ({ store: ObjectStore.makeMemory(), prefix: "caprock/nightly/" })

const keysOf = ({ store }: Place) =>
  Effect.map(Stream.runCollect(store.list("")), (found) => found.map(({ key }) => key))

const textOf = (place: Place, key: string) =>
  Effect.map(place.store.read(key), (stored) => stored === undefined ? "" : Buffer.from(stored.bytes).toString())

const jsonLines = (text: string): ReadonlyArray<unknown> => {
  if (text !== "") assert.isTrue(text.endsWith("\n"))
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line))
}

const written = (place: Place, journal: Parameters<typeof Write.write>[1], records: ReadonlyArray<BatchRecord>) =>
  Stream.runCollect(Write.write(place, journal, Stream.fromIterable(records)))

const small = { minimumRecords: 3, recordsPerJob: 10, recordsPerFile: 4 }

describe("writing the input", () => {
  it.effect.prop(
    "puts each record once into a part, with its name beside it, and says what stands where",
    [Count(0, 60), Count(1, 4), Count(0, 12), Count(1, 9), Count(0, 3)],
    ([n, minimumRecords, more, recordsPerFile, chunk]) =>
      Effect.gen(function*() {
        const place = placeOf()
        const limits = { minimumRecords, recordsPerJob: 2 * minimumRecords - 1 + more, recordsPerFile }
        const records = recordsOf(n)
        const parts = yield* Stream.runCollect(
          Write.write(
            place,
            journalOf({ limits, generation: 4 }),
            Stream.rechunk(Stream.fromIterable(records), chunk + 1)
          )
        )
        const lines: Array<unknown> = []
        const names: Array<unknown> = []
        const keys: Array<string> = []
        for (const [i, { upload }] of parts.entries()) {
          const { bytes, digest, files, first, generation, last, part, records, refused, round } = upload
          assert.deepStrictEqual([round, part, generation, first], [0, i, 4, names.length])
          const ids = `caprock/nightly/ids/0-${part}-4.jsonl`
          const own = jsonLines(yield* textOf(place, ids))
          assert.strictEqual(own.length, records + refused)
          assert.strictEqual(last, first + own.length - 1)
          names.push(...own)
          keys.push(ids)
          let inFiles = 0
          for (const [k, file] of files.entries()) {
            assert.strictEqual(file.key, `caprock/nightly/in/0-${part}-4/records-${k}.jsonl`)
            const text = yield* textOf(place, file.key)
            assert.strictEqual(Buffer.byteLength(text), file.bytes)
            assert.lengthOf(jsonLines(text), file.records)
            assert.isAtMost(file.records, recordsPerFile)
            lines.push(...jsonLines(text))
            keys.push(file.key)
            inFiles += file.records
          }
          assert.strictEqual(inFiles, records)
          assert.strictEqual(bytes, files.reduce((sum, file) => sum + file.bytes, 0))
          assert.match(digest, /^[0-9a-f]{64}$/)
        }
        // Nothing else was written.
        assert.deepStrictEqual(yield* keysOf(place), keys.toSorted())
        const sent = records.flatMap(({ input }, i) =>
          i % 11 === 5 ? [] : [{ recordId: `r${i.toString(36).padStart(10, "0")}`, modelInput: input }]
        )
        assert.deepStrictEqual(lines, sent)
        assert.deepStrictEqual(
          names,
          records.map(({ id }, i) =>
            i % 11 === 5 ? [i, id, "its input has toolConfig: batch inference has no tools"] : [i, id]
          )
        )
        const last = parts.at(-1)
        if (last !== undefined) {
          assert.deepStrictEqual(last.input, {
            sealed: false,
            records: n,
            refused: n - sent.length,
            bytes: parts.reduce((sum, { upload }) => sum + upload.bytes, 0),
            chain: last.input.chain
          })
          assert.strictEqual(new Set(parts.map(({ input }) => input.chain)).size, parts.length)
        }
      })
  )

  it.effect.prop(
    "goes on behind the parts that are there, whatever generation they are of, and ends as if it had never stopped",
    [Count(1, 60), Schema.Natural],
    ([n, drawn]) =>
      Effect.gen(function*() {
        const all = yield* written(placeOf(), journalOf({ limits: small, generation: 9 }), recordsOf(n))
        const before = all.slice(0, drawn % (all.length + 1)).map(({ upload }) =>
          uploaded({ ...upload, generation: 2 })
        )
        const place = placeOf()
        const rest = yield* written(place, journalOf({ limits: small, generation: 9, parts: before }), recordsOf(n))
        assert.deepStrictEqual(rest, all.slice(before.length))
        // What is there is not written again.
        const own = rest.flatMap((
          { upload }
        ) => [`caprock/nightly/ids/0-${upload.part}-9.jsonl`, ...upload.files.map(({ key }) => key)])
        assert.deepStrictEqual(yield* keysOf(place), own.toSorted())
      })
  )

  it.effect.prop(
    "fails where a record is another, has another name, is one too many or is missing",
    [Count(1, 60), Schema.Natural, Schema.Literals(["input", "id", "more", "fewer"])],
    ([n, drawn, change]) =>
      Effect.gen(function*() {
        const all = yield* written(placeOf(), journalOf({ limits: small }), recordsOf(n))
        const parts = all.map(({ upload }) => uploaded(upload))
        const input = { sealed: true, records: n, refused: 0, bytes: 0, chain: "" }
        const sealed = journalOf({ limits: small, parts, input })
        assert.deepStrictEqual(yield* written(placeOf(), sealed, recordsOf(n)), [])
        const at = drawn % n
        const changed = recordsOf(n)
        const record = recordOf(at)
        if (change === "input") changed[at] = { ...record, input: { messages: [] } }
        if (change === "id") changed[at] = { ...record, id: "another" }
        if (change === "more") changed.push(...recordsOf(20))
        if (change === "fewer") changed.splice(at)
        const place = placeOf()
        const failure = yield* Effect.flip(written(place, sealed, changed))
        assert.strictEqual(failure._tag, "InputChanged")
        assert.deepStrictEqual(yield* keysOf(place), [])
        if (failure._tag === "InputChanged" && (change === "input" || change === "id")) {
          const part = parts.find(({ first, last }) => first <= at && at <= last)
          assert.strictEqual(failure.index, part?.first)
        }
      })
  )

  it.effect("digests what was refused, and not in which words", () =>
    Effect.gen(function*() {
      const digestsOf = (refused: (index: number) => string | undefined) =>
        Effect.gen(function*() {
          const place = placeOf()
          const items = Array.from({ length: 30 }, (_, index): Item => {
            const why = refused(index)
            return why === undefined
              ? { index, id: `id ${index}`, text: `{"n":${index}}`, bytes: 7 + String(index).length }
              : { index, id: `id ${index}`, refused: why }
          })
          const { limits } = journalOf({ limits: small })
          const options = { limits, round: 0, generation: 1, known: [], sealed: false }
          const parts = yield* Stream.runCollect(PartWriter.write(place, options, Stream.fromIterable(items)))
          const names = yield* Effect.forEach(
            parts,
            ({ part }) => textOf(place, `caprock/nightly/ids/0-${part}-1.jsonl`)
          )
          return { digests: parts.map(({ digest }) => digest), names: names.flatMap(jsonLines) }
        })
      const some = (why: string) => (index: number) => index % 7 === 3 ? `${why} ${index}` : undefined
      const one = yield* digestsOf(some("no"))
      const other = yield* digestsOf(some("in other words"))
      assert.deepStrictEqual(one.digests, other.digests)
      assert.deepStrictEqual(one.names[3], [3, "id 3", "no 3"])
      assert.deepStrictEqual(other.names[10], [10, "id 10", "in other words 10"])
      assert.lengthOf(one.names, 30)
      const more = yield* digestsOf((index) => index === 4 ? "no" : some("no")(index))
      assert.notStrictEqual(more.digests[0], one.digests[0])
    }))

  it.effect("uploads no part of a record that a strict batch refuses", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const failure = yield* Effect.flip(
        written(place, journalOf({ settings: { strict: true } }), recordsOf(20))
      )
      assert.strictEqual(failure._tag, "RecordRefused")
      assert.match(failure.message, /record 5 \(id 5\) can't be sent: its input has toolConfig/)
      assert.deepStrictEqual(yield* keysOf(place), [])
    }))

  it.effect("asks no bucket for a model that has no batch inference", () =>
    Effect.gen(function*() {
      const model = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abc123def456"
      const failure = yield* Effect.flip(written(placeOf(), journalOf({ settings: { model } }), recordsOf(1)))
      assert.strictEqual(failure._tag, "Unsupported")
    }))

  it.effect("leaves no upload behind when the records fail, or nobody wants more", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const many = Stream.concat(Stream.fromIterable(recordsOf(500)), Stream.fail("no more"))
      const failed = yield* Effect.exit(Stream.runDrain(Write.write(place, journalOf({ limits: small }), many)))
      assert.isTrue(Exit.isFailure(failed))
      assert.strictEqual(yield* place.store.sweep(""), 0)
      const first = yield* Stream.runCollect(
        Stream.take(Write.write(place, journalOf({ limits: small }), Stream.fromIterable(recordsOf(500))), 1)
      )
      assert.lengthOf(first, 1)
      assert.strictEqual(yield* place.store.sweep(""), 0)
    }))

  it.effect("takes lines that are longer than its buffers, and of bytes that are more than characters", () =>
    Effect.gen(function*() {
      const place = placeOf()
      const records = [
        recordOf(0),
        recordOf(1, "漢".repeat(700_000)),
        recordOf(2),
        recordOf(3, "é".repeat(400_000)),
        recordOf(4)
      ]
      const [part] = yield* written(place, journalOf({ limits: { minimumRecords: 1 } }), records)
      const [file] = part?.upload.files ?? []
      const text = yield* textOf(place, file?.key ?? "")
      assert.strictEqual(Buffer.byteLength(text), file?.bytes)
      assert.deepStrictEqual(
        jsonLines(text).map((line) => (line as { modelInput: unknown }).modelInput),
        records.map(({ input }) => input)
      )
    }))

  it.effect("begins a part while the one before is on its way, and gives each when it is there", () =>
    Effect.gen(function*() {
      const memory = ObjectStore.makeMemory()
      const seen: Array<string> = []
      const place: Place = {
        prefix: "",
        store: {
          ...memory,
          upload: (key) =>
            Effect.map(memory.upload(key), (upload) => {
              seen.push(`begun ${key}`)
              const there = Effect.sync(() => seen.push(`there ${key}`))
              return { ...upload, commit: Effect.andThen(Effect.delay(upload.commit, "1 second"), there) }
            })
        }
      }
      const parts = Stream.runForEach(
        Write.write(place, journalOf({ limits: small }), Stream.fromIterable(recordsOf(30))),
        ({ upload: { part } }) => Effect.sync(() => seen.push(`part ${part}`))
      )
      const fiber = yield* Effect.forkChild(parts, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      const at = (what: string) => {
        assert.include(seen, what)
        return seen.indexOf(what)
      }
      const last = (part: number) => at(`there ids/0-${part}-1.jsonl`)
      assert.isBelow(at("begun in/0-1-1/records-0.jsonl"), last(0))
      assert.isBelow(last(0), at("part 0"))
      // And no more than that one.
      assert.isBelow(last(0), at("begun in/0-2-1/records-0.jsonl"))
      assert.deepStrictEqual(seen.filter((what) => what.startsWith("part")), ["part 0", "part 1", "part 2"])
    }))
})
