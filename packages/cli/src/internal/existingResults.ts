/**
 * What an output holds from earlier runs: which lines stay, which are taken out, and where a torn one begins. Nothing that no run
 * has written is touched.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Stream from "effect/Stream"
import type { IdTable } from "../run/IdTable.ts"
import * as ResultLine from "../run/ResultLine.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import * as bitSet from "./bitSet.ts"
import * as lines from "./lines.ts"
import { cannotRead, cannotWrite } from "./platformErrors.ts"

/** A result line longer than this is not one of ours: an answer is bounded by the model's output. */
const maxLineBytes = 64 * 1024 * 1024
const maxModels = 8
const chunkBytes = 256 * 1024
const lineFeed = new TextEncoder().encode("\n")

interface Scan {
  /** Bytes up to the end of the last whole line. */
  readonly length: number
  readonly failed: number
  readonly repeated: number
  readonly tornBytes: number
  /** The last line is whole, and only its line feed was lost. */
  readonly unterminated: boolean
  /** The numbers of the lines to take out: errors, and further answers. */
  readonly dropped: bitSet.BitSet
  readonly models: ReadonlyMap<string, number>
}

export const emptyScan = () => ({
  length: 0,
  failed: 0,
  repeated: 0,
  tornBytes: 0,
  unterminated: false,
  dropped: bitSet.make(),
  models: new Map<string, number>()
})

/** Notes each id with an answer, and what is to be taken out. */
export const scan = (target: string, output: string, ids: IdTable) =>
  Effect.gen(function*() {
    const scan = emptyScan()
    yield* Stream.runForEachArray(readLines(yield* FileSystem.FileSystem, target), (chunk) =>
      Effect.suspend(() => {
        for (const line of chunk) {
          const text = line.bytes === undefined ? undefined : lines.decode(line.bytes)
          const known = text === undefined ? undefined : ResultLine.decode(text)
          if (known === undefined) {
            if (!line.terminated && isTorn(line.bytes, text)) {
              scan.tornBytes = line.length
              return Effect.void
            }
            return Effect.fail(foreign(output, line.number, text))
          }
          scan.length = line.end
          scan.unterminated = !line.terminated
          if (known._tag === "Failed") {
            scan.failed += 1
            scan.dropped.add(line.number)
          } else if (ids.answer(known.id, known.digest)) {
            const count = scan.models.get(known.model)
            if (count !== undefined || scan.models.size < maxModels) scan.models.set(known.model, (count ?? 0) + 1)
          } else {
            scan.repeated += 1
            scan.dropped.add(line.number)
          }
        }
        return Effect.void
      })).pipe(
        Effect.catchTag("PlatformError", (error) => Effect.fail(cannotRead(`the results that are in ${output}`, error)))
      )
    const result: Scan = scan
    return result
  })

/** Beside the output, so that it can take its place; left behind only by a process that was killed while it wrote. */
const temporaryOf = (output: string): string => `${output}.caprock-rewrite`

/** Leaves lines out, in a new file that takes the place of the old one in one step. */
export const rewrite = (target: string, output: string, dropped: bitSet.BitSet) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const temporary = temporaryOf(target)
    const { mode } = yield* fs.stat(target)
    yield* Effect.ignore(fs.remove(temporary))
    const file = yield* fs.open(temporary, { flag: "ax", mode: mode & 0o777 })
    let length = 0
    yield* Stream.runForEachArray(readLines(fs, target), (chunk) =>
      Effect.suspend(() => {
        const keep: Array<Uint8Array> = []
        for (const line of chunk) {
          if (!dropped.has(line.number) && line.bytes !== undefined) keep.push(line.bytes, lineFeed)
        }
        if (keep.length === 0) return Effect.void
        const bytes = Buffer.concat(keep)
        length += bytes.length
        return file.writeAll(bytes)
      }))
    yield* file.sync
    yield* fs.rename(temporary, target)
    const path = yield* Path.Path
    // The new name is on the disk as well; not every system can do that for a folder.
    yield* Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(path.dirname(target)), (folder) => folder.sync)))
    return { file, length }
  }).pipe(
    Effect.tapError(() => Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.ignore(fs.remove(temporaryOf(target))))),
    Effect.mapError((error) => cannotWrite(temporaryOf(output), error))
  )

const readLines = (fs: FileSystem.FileSystem, target: string) =>
  lines.split(fs.stream(target, { chunkSize: chunkBytes, offset: ByteSize.bytes(0) }), { maxBytes: maxLineBytes })

/** Whether a last line without a line feed may be one of ours that was cut: never cut what isn't. */
const isTorn = (bytes: Uint8Array | undefined, text: string | undefined): boolean => {
  // Longer than any line that is kept in memory: then it began as one of ours or was refused before.
  if (bytes === undefined) return false
  // A part of an object is never JSON, so this is a whole line of somebody else: of prompts, for one, which begin like ours.
  if (text !== undefined && isJson(text)) return false
  // A file system that lost power may leave zeros where the rest of the line would have been.
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1
  const head = new TextDecoder().decode(bytes.subarray(0, Math.min(end, ResultLine.prefix.length)))
  return ResultLine.prefix.startsWith(head)
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const foreign = (output: string, line: number, text: string | undefined) =>
  new CliFailure({
    problem: `Line ${line} of ${output} is no result of caprock run: ${
      text === undefined ? "it is not text, or too long" : text.slice(0, 60)
    }`,
    remedy: "Choose another --out: a run only continues what a run has written. If the line was damaged, delete it."
  })
