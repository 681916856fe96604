import * as BatchLimits from "@caprock/batch/BatchLimits"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Splitter from "../src/internal/splitter.ts"

const Count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

interface Sized {
  readonly index: number
  readonly bytes: number
}

/** All that the splitter places of lines with these sizes; 0 is one that is not sent. */
const placedOf = (limits: BatchLimits.BatchLimits, sizes: ReadonlyArray<number>) => {
  const splitter = Splitter.make<Sized>(limits, ({ bytes }) => bytes)
  const placed: Array<Splitter.Placed<Sized>> = []
  let held = 0
  for (const [index, bytes] of sizes.entries()) {
    placed.push(...splitter.push({ index, bytes }))
    held = Math.max(held, index + 1 - placed.length)
  }
  return { placed: [...placed, ...splitter.end()], held }
}

const sum = (sizes: ReadonlyArray<number>) => sizes.reduce((sum, n) => sum + n, 0)

/** The sizes of each file of each part, in their order. */
const partsOf = (limits: BatchLimits.BatchLimits, sizes: ReadonlyArray<number>) => {
  const parts: Array<Array<Array<number>>> = []
  for (const { file, item, part } of placedOf(limits, sizes).placed) {
    const files = parts[part] ??= []
    const lines = files[file] ??= []
    lines.push(item.bytes)
  }
  return parts
}

/** As few as there can be, were there no least. */
const fewest = ({ bytesPerJob, recordsPerJob }: BatchLimits.BatchLimits, sizes: ReadonlyArray<number>) => {
  let parts = 0
  let records = Infinity
  let bytes = 0
  for (const size of sizes) {
    if (records + 1 > recordsPerJob || bytes + size > bytesPerJob) {
      parts++
      records = bytes = 0
    }
    records++
    bytes += size
  }
  return parts
}

const limitsOf = (minimum: number, more: number, perFile: number, bytesPerFile: number, perLine: number) => ({
  ...BatchLimits.defaults,
  minimumRecords: minimum,
  recordsPerJob: 2 * minimum - 1 + more,
  recordsPerFile: perFile,
  bytesPerFile,
  bytesPerJob: (2 * minimum - 1) * perLine
})

describe("splitting", () => {
  it.effect.prop(
    "keeps every line in its order, and every limit, in as few parts as there can be",
    [Schema.Array(Count(1, 60)), Count(1, 6), Count(0, 20), Count(1, 12), Count(20, 200), Count(10, 80)],
    ([drawn, minimum, more, perFile, bytesPerFile, perLine]) =>
      Effect.sync(() => {
        const limits = limitsOf(minimum, more, perFile, bytesPerFile, perLine)
        const sizes = drawn.map((size) => Math.min(size, Splitter.longestLine(limits)))
        const parts = partsOf(limits, sizes)
        assert.deepStrictEqual(parts.flat(2), sizes)
        for (const files of parts) {
          const records = files.flat()
          if (sizes.length >= minimum) assert.isAtLeast(records.length, minimum)
          assert.isAtMost(records.length, limits.recordsPerJob)
          assert.isAtMost(sum(records), limits.bytesPerJob)
          for (const file of files) {
            assert.isAtMost(file.length, perFile)
            assert.isAtMost(sum(file), bytesPerFile)
          }
          // A file is left only when the next line is too much for it.
          for (const [i, file] of files.slice(1).entries()) {
            const before = files[i] ?? []
            assert.isTrue(before.length === perFile || sum(before) + (file[0] ?? 0) > bytesPerFile)
          }
        }
        assert.strictEqual(parts.length, fewest(limits, sizes))
      })
  )

  it.effect.prop(
    "holds no more back than the least that a part may have",
    [Schema.Array(Count(1, 60)), Count(1, 6), Count(0, 20)],
    ([sizes, minimum, more]) =>
      Effect.sync(() => assert.isAtMost(placedOf(limitsOf(minimum, more, 5, 60, 60), sizes).held, minimum))
  )

  it.effect.prop(
    "counts what is not sent towards the most, so that a part is never more than memory holds",
    [Schema.Array(Count(0, 3)), Count(1, 4), Count(0, 9)],
    ([sizes, minimum, more]) =>
      Effect.sync(() => {
        const limits = limitsOf(minimum, more, 100, 1000, 100)
        const { held, placed } = placedOf(limits, sizes)
        assert.deepStrictEqual(placed.map(({ item }) => item.bytes), sizes)
        assert.isAtMost(held, limits.recordsPerJob)
        const byPart = Map.groupBy(placed, ({ part }) => part)
        for (const items of byPart.values()) assert.isAtMost(items.length, limits.recordsPerJob)
        // In files are only lines.
        assert.isTrue(placed.filter(({ item }) => item.bytes === 0).every(({ file }) => file === 0))
      })
  )

  it("takes lines of up to 25 MB by the limits of Bedrock, which is what it takes on demand", () => {
    assert.strictEqual(Splitter.longestLine(BatchLimits.defaults), 25_125_628)
    assert.strictEqual(Splitter.longestLine({ ...BatchLimits.defaults, bytesPerFile: 1000 }), 1000)
  })
})
