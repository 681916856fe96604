import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as BatchFiles from "../src/internal/batchFiles.ts"
import * as Random from "../src/internal/random.ts"
import * as MemoryStore from "./memoryStore.ts"

const bucket = "bucket"
const unlimited = {
  minimumRecords: 0,
  recordsPerJob: 1e9,
  recordsPerFile: 1e9,
  bytesPerFile: 1e9,
  bytesPerJob: 1e9,
  jobs: 1
}

const Count = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** How many records each file has; up to some hundreds, more than a window of lines. */
const Sizes = Schema.Array(Schema.Union([Count(3), Count(700)])).check(Schema.isMinLength(1), Schema.isMaxLength(4))

const text = (id: string, filling: string) => JSON.stringify({ recordId: id, modelInput: { filling } })

/** Files with so many records each, whose ids tell where they stand, and with blank lines here and there. */
const filesOf = (sizes: ReadonlyArray<number>, filling: string) => {
  const objects = new Map<string, string>()
  const ids: Array<ReadonlyArray<string>> = []
  for (const [file, size] of sizes.entries()) {
    const own = Array.from({ length: size }, (_, i) => `f${file}r${i}`)
    ids.push(own)
    const lines = own.flatMap((id, i) => i % 7 === 3 ? ["", text(id, filling)] : [text(id, filling)])
    objects.set(`${bucket}/in/${file}.jsonl`, lines.join("\n") + (file % 2 === 0 ? "\n" : ""))
  }
  return { objects, ids }
}

const from = { bucket, key: "in/" }
const to = { bucket, key: "out/job" }

describe("the files of a batch job", () => {
  it.effect.prop(
    "are answered record by record, the first ones of them, whatever chunks they come in",
    [Sizes, Schema.Natural, Schema.Literals(["plain", "über", "漢字 😀", "\\\" \u2028"]), Count(70), Schema.String],
    ([sizes, drawn, filling, chunk, seed]) =>
      Effect.gen(function*() {
        const { ids, objects } = filesOf(sizes, filling)
        const store = MemoryStore.make(objects, chunk + 1)
        const input = yield* BatchFiles.check(store, from, unlimited)
        const all = ids.flat()
        assert.strictEqual(input.records, all.length)
        const most = drawn % (all.length + 1)
        const answered = new Set<string>()
        const dues: Array<number> = []
        const counts = yield* BatchFiles.answer({
          store,
          input,
          to,
          due: (n) =>
            Effect.sync(() => {
              dues.push(n)
              return Math.min(n, most)
            }),
          random: Random.fromSeed(Random.seedOf(seed)),
          answerTo: ({ modelInput, recordId, text: line }) => {
            assert.deepStrictEqual(JSON.parse(line), { recordId, modelInput })
            answered.add(recordId)
            const failed = answered.size % 3 === 0
            return { json: failed ? "\"error\":1" : "\"modelOutput\":2", failed, input: 2, output: failed ? 0 : 3 }
          }
        })
        assert.deepStrictEqual([...answered], all.slice(0, most))
        // Each is due once, and the first that is not is the last that is asked for.
        assert.deepStrictEqual(dues, [...new Set(dues)].toSorted((a, b) => a - b))
        assert.isTrue(dues.slice(0, -1).every((n) => n <= most))
        const failed = Math.floor(most / 3)
        assert.deepStrictEqual(counts, {
          processed: most,
          succeeded: most - failed,
          failed,
          input: 2 * most,
          output: 3 * (most - failed)
        })
        let left = most
        for (const [file, own] of ids.entries()) {
          const output = objects.get(`${bucket}/out/job/${file}.jsonl.out`)
          const lines = (output ?? "").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
          assert.deepStrictEqual(
            lines.map(({ recordId }) => recordId).toSorted(),
            own.slice(0, left).toSorted()
          )
          assert.isTrue(lines.every(({ modelInput }) => modelInput.filling === filling))
          // A file of whose records none was answered has no output.
          if (left === 0 && own.length > 0) assert.isUndefined(output)
          left = Math.max(0, left - own.length)
        }
        assert.deepStrictEqual(JSON.parse(objects.get(`${bucket}/out/job/manifest.json.out`) ?? ""), {
          totalRecordCount: all.length,
          processedRecordCount: most,
          successRecordCount: most - failed,
          errorRecordCount: failed,
          inputTokenCount: 2 * most,
          outputTokenCount: 3 * (most - failed)
        })
      })
  )

  it.effect("leave turns to others while they are answered", () =>
    Effect.gen(function*() {
      const store = MemoryStore.make(filesOf([700], "x").objects)
      const input = yield* BatchFiles.check(store, from, unlimited)
      let since = 0
      let most = 0
      const others = Effect.forever(Effect.andThen(
        Effect.sync(() => {
          since = 0
        }),
        Effect.yieldNow
      ))
      const answering = BatchFiles.answer({
        store,
        input,
        to,
        due: Effect.succeed,
        random: Random.fromSeed(Random.seedOf("seed")),
        answerTo: () => {
          most = Math.max(most, ++since)
          return { json: "\"modelOutput\":2", failed: false, input: 2, output: 3 }
        }
      })
      const { processed } = yield* Effect.raceFirst(answering, others)
      assert.strictEqual(processed, 700)
      assert.isAtMost(most, 16)
    }))

  it.effect.prop(
    "pass exactly when nothing of them is more, or less, than is allowed",
    [Sizes, Count(800), Count(800), Count(1500), Count(60_000), Count(120_000)],
    ([sizes, minimumRecords, recordsPerFile, recordsPerJob, bytesPerFile, bytesPerJob]) =>
      Effect.gen(function*() {
        const { objects } = filesOf(sizes, "x")
        const limits = { ...unlimited, minimumRecords, recordsPerFile, recordsPerJob, bytesPerFile, bytesPerJob }
        const checked = yield* Effect.result(BatchFiles.check(MemoryStore.make(objects), from, limits))
        const bytes = [...objects.values()].map((file) => file.length)
        const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((sum, n) => sum + n, 0)
        const allowed = sum(sizes) >= minimumRecords && sum(sizes) <= recordsPerJob &&
          sizes.every((size) => size <= recordsPerFile) && bytes.every((size) => size <= bytesPerFile) &&
          sum(bytes) <= bytesPerJob
        assert.strictEqual(Result.isSuccess(checked), allowed)
      })
  )

  it.effect.prop(
    "are equal by their digests when their records are, and not when one is another",
    [Sizes, Schema.Natural],
    ([sizes, drawn]) =>
      Effect.gen(function*() {
        const digestOf = (objects: Map<string, string>) =>
          Effect.map(BatchFiles.check(MemoryStore.make(objects), from, unlimited), ({ digest }) => digest)
        const { ids, objects } = filesOf(sizes, "x")
        const digest = yield* digestOf(objects)
        assert.strictEqual(yield* digestOf(filesOf(sizes, "x").objects), digest)
        const all = ids.flat()
        const one = all[drawn % Math.max(1, all.length)]
        if (one === undefined) return
        for (const [key, file] of objects) objects.set(key, file.replace(text(one, "x"), text(one, "y")))
        assert.notStrictEqual(yield* digestOf(objects), digest)
      })
  )

  it.effect("come in another order, and in the same one for the same seed", () =>
    Effect.gen(function*() {
      const { objects } = filesOf([2000], "x")
      const store = MemoryStore.make(objects)
      const input = yield* BatchFiles.check(store, from, unlimited)
      const order = (seed: string) =>
        Effect.map(
          BatchFiles.answer({
            store,
            input,
            to,
            due: Effect.succeed,
            random: Random.fromSeed(Random.seedOf(seed)),
            answerTo: () => ({ json: "\"modelOutput\":1", failed: false, input: 0, output: 0 })
          }),
          () =>
            (objects.get(`${bucket}/out/job/0.jsonl.out`) ?? "").trim().split("\n").map((line): string =>
              JSON.parse(line).recordId
            )
        )
      const first = yield* order("a")
      const moved = first.filter((id, i) => id !== `f0r${i}`).length
      assert.isAbove(moved, 1900)
      assert.deepStrictEqual(yield* order("a"), first)
      assert.notDeepEqual(yield* order("b"), first)
    }))
})
