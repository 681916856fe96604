/**
 * The output of a run: which ids it answers already, and the place where results are appended.
 *
 * A run that was killed at any instruction leaves at most one line torn at the end, which the next run cuts off. Lines
 * that ended in an error are taken out when a run begins, since it asks them again: so a finished output has exactly one
 * line per line of the input.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { CliFailure } from "../CliFailure.ts"
import * as bitSet from "../internal/bitSet.ts"
import * as lines from "../internal/lines.ts"
import { codeOf, explain } from "../internal/platformErrors.ts"
import * as IdTable from "./IdTable.ts"
import * as OutputLock from "./OutputLock.ts"
import * as ResultLine from "./ResultLine.ts"

/**
 * What an output held when it was opened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Found {
  /** Answers that are kept and never asked for again. */
  readonly answered: number
  /** Error lines that were taken out, to be asked again. */
  readonly failed: number
  /** Further answers to an id that had one: taken out. */
  readonly repeated: number
  /** Bytes of a torn last line that were cut off. */
  readonly tornBytes: number
  /** The models that gave the answers, with how many each; the first few. */
  readonly models: ReadonlyMap<string, number>
  /** Whose lock was taken over, if a run had died here. */
  readonly tookOverFrom: number | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class Journal extends Context.Service<Journal, {
  readonly found: Found
  /** The ids that have an answer, and the lines of the input on which ids were seen. */
  readonly ids: IdTable.IdTable
  /**
   * Writes lines. They are in the file when the effect ends, whole; when it fails, none of them is. After a failure the
   * journal takes no more.
   */
  readonly append: (results: ReadonlyArray<ResultLine.ResultLine>) => Effect.Effect<void, CliFailure>
  /** Waits until the file is on the disk. */
  readonly sync: Effect.Effect<void, CliFailure>
}>()("@caprock/cli/run/Journal") {
  /**
   * Opens `output` ("-" for standard output, which can't be continued).
   *
   * @since 0.1.0
   */
  static readonly layer = (options: {
    readonly output: string
    readonly input: string
  }): Layer.Layer<Journal, CliFailure, FileSystem.FileSystem | Path.Path | Stdio.Stdio> =>
    options.output === "-" ? Layer.effect(Journal, makeStdout) : Layer.effect(Journal, makeFile(options))
}

/** A result line longer than this is not one of ours: an answer is bounded by the model's output. */
const maxLineBytes = 64 * 1024 * 1024
const maxModels = 8
const chunkBytes = 256 * 1024
const encoder = new TextEncoder()
const lineFeed = encoder.encode("\n")

const nothing: Found = {
  answered: 0,
  failed: 0,
  repeated: 0,
  tornBytes: 0,
  models: new Map(),
  tookOverFrom: undefined
}

/** Writes bytes; fails with how many of them are in the file all the same. */
type Write = (bytes: Uint8Array) => Effect.Effect<void, { readonly failure: CliFailure; readonly written: number }>

/** Cuts the file back to so many of the bytes that were written last. */
type CutBack = (keep: number) => Effect.Effect<void>

interface Entry {
  readonly bytes: Uint8Array
  readonly done: Deferred.Deferred<void, CliFailure>
}

/**
 * One writer at a time; whoever comes while it writes is written by it next, together with all the others that came, in one
 * write of whole lines.
 */
const makeAppend = (write: Write, cutBack: CutBack) => {
  let pending: Array<Entry> = []
  let writing = false
  let failed: CliFailure | undefined

  /** Tells each who waits what came of it; returns how many bytes the entries that are whole take. */
  const settle = (entries: ReadonlyArray<Entry>, written: number, failure: CliFailure | undefined): number => {
    let kept = 0
    let torn = false
    for (const { bytes, done } of entries) {
      torn ||= kept + bytes.length > written
      if (!torn) kept += bytes.length
      Deferred.doneUnsafe(done, torn && failure !== undefined ? Effect.fail(failure) : Effect.void)
    }
    return kept
  }

  const drain = Effect.gen(function*() {
    while (pending.length > 0) {
      const entries = pending
      pending = []
      if (failed !== undefined) {
        settle(entries, 0, failed)
        continue
      }
      const bytes = Buffer.concat(entries.map((entry) => entry.bytes))
      yield* Effect.matchEffect(write(bytes), {
        onSuccess: () => Effect.sync(() => settle(entries, bytes.length, undefined)),
        onFailure: ({ failure, written }) => {
          failed = failure
          return cutBack(settle(entries, written, failure))
        }
      })
    }
    writing = false
  })

  return (results: ReadonlyArray<ResultLine.ResultLine>): Effect.Effect<void, CliFailure> =>
    Effect.uninterruptible(Effect.suspend(() => {
      const done = Deferred.makeUnsafe<void, CliFailure>()
      pending.push({ bytes: encoder.encode(results.map(ResultLine.encode).join("")), done })
      if (writing) return Deferred.await(done)
      writing = true
      return Effect.andThen(drain, Deferred.await(done))
    }))
}

/** Where nothing can be cut back: a pipe, a device. */
const noCutBack: CutBack = () => Effect.void

const makeStdout = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  const append = makeAppend(
    (bytes) =>
      Stream.make(bytes).pipe(
        Stream.run(stdio.stdout({ endOnDone: false })),
        Effect.mapError((error) => {
          const { code, remedy, what } = explain(error)
          const problem = `Can't write to standard output: ${what} (${code}).`
          return { failure: new CliFailure({ problem, remedy: `${remedy}.` }), written: 0 }
        })
      ),
    noCutBack
  )
  return Journal.of({ found: nothing, ids: IdTable.make(), append, sync: Effect.void })
})

const makeFile = Effect.fnUntraced(function*(options: { readonly output: string; readonly input: string }) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { output } = options

  const info = yield* fs.stat(output).pipe(
    Effect.catch((error) => codeOf(error) === "ENOENT" ? Effect.undefined : Effect.fail(cannotWrite(output, error)))
  )
  if (info === undefined) {
    const folder = path.dirname(output)
    if (!(yield* Effect.orElseSucceed(fs.exists(folder), () => false))) {
      return yield* new CliFailure({
        problem: `Can't write ${output}: the folder ${folder} does not exist.`,
        remedy: `Create it with \`mkdir -p ${folder}\`, or choose another --out.`
      })
    }
  } else if (info.type === "Directory") {
    return yield* new CliFailure({
      problem: `Can't write ${output}: it is a folder.`,
      remedy: `Name a file in it, such as --out ${path.join(output, "results.jsonl")}.`
    })
  } else if (info.type !== "File") {
    // A device or a pipe: nothing to continue from, nothing to lock, nothing to cut back.
    const file = yield* Effect.mapError(fs.open(output, { flag: "a" }), (error) => cannotWrite(output, error))
    const append = makeAppend(
      (bytes) =>
        Effect.mapError(file.writeAll(bytes), (error) => ({ failure: cannotWrite(output, error), written: 0 })),
      noCutBack
    )
    return Journal.of({ found: nothing, ids: IdTable.make(), append, sync: Effect.void })
  }

  // A symbolic link is followed once: a rewrite must replace the file, not the link to it.
  const target = info === undefined ? output : yield* Effect.orElseSucceed(fs.realPath(output), () => output)
  if (info !== undefined && options.input !== "-") {
    const input = yield* Effect.orElseSucceed(fs.realPath(options.input), () => undefined)
    if (input === target) {
      return yield* new CliFailure({
        problem: `${output} is the input as well as the output.`,
        remedy: "Choose another --out: results are never written over prompts."
      })
    }
  }

  const lock = yield* OutputLock.take(target)
  const ids = IdTable.make()
  const scan = info === undefined ? emptyScan() : yield* scanExisting(target, output, ids)
  const file = yield* openForAppend(target, output)
  let length = scan.length
  if (scan.tornBytes > 0) {
    yield* Effect.mapError(file.truncate(length), (error) => cannotWrite(output, error))
  }
  if (scan.unterminated) {
    yield* Effect.mapError(file.writeAll(lineFeed), (error) => cannotWrite(output, error))
    length += 1
  }
  let open = file
  if (scan.failed > 0 || scan.repeated > 0) {
    const rewritten = yield* rewrite(target, output, scan.dropped)
    open = rewritten.file
    length = rewritten.length
  }
  const append = makeAppend(
    (bytes) =>
      open.writeAll(bytes).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            length += bytes.length
          })
        ),
        Effect.catch((error) =>
          Effect.flatMap(
            // A full disk takes a part: what is whole in it stays.
            open.stat.pipe(
              Effect.map((info) => Number(ByteSize.toBigInt(info.size)) - length),
              Effect.orElseSucceed(() => 0)
            ),
            (written) => Effect.fail({ failure: diskFailure(path.resolve(output), error), written })
          )
        )
      ),
    (keep) => Effect.ignore(open.truncate(length + keep))
  )
  return Journal.of({
    found: {
      answered: ids.answered(),
      failed: scan.failed,
      repeated: scan.repeated,
      tornBytes: scan.tornBytes,
      models: scan.models,
      tookOverFrom: lock.tookOverFrom
    },
    ids,
    append,
    sync: Effect.suspend(() => Effect.mapError(open.sync, (error) => diskFailure(path.resolve(output), error)))
  })
})

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

const emptyScan = () => ({
  length: 0,
  failed: 0,
  repeated: 0,
  tornBytes: 0,
  unterminated: false,
  dropped: bitSet.make(),
  models: new Map<string, number>()
})

/** Notes each id with an answer, and what is to be taken out. */
const scanExisting = (target: string, output: string, ids: IdTable.IdTable) =>
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
        Effect.catchTag("PlatformError", (error) => {
          const { code, remedy, what } = explain(error)
          return Effect.fail(
            new CliFailure({
              problem: `Can't read the results that are in ${output}: ${what} (${code}).`,
              remedy: `${remedy}.`
            })
          )
        })
      )
    const result: Scan = scan
    return result
  })

/** Beside the output, so that it can take its place; left behind only by a process that was killed while it wrote. */
const temporaryOf = (output: string): string => `${output}.caprock-rewrite`

/** Leaves lines out, in a new file that takes the place of the old one in one step. */
const rewrite = (target: string, output: string, dropped: bitSet.BitSet) =>
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

const openForAppend = (
  target: string,
  output: string
): Effect.Effect<FileSystem.File, CliFailure, FileSystem.FileSystem | Scope.Scope> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.open(target, { flag: "a+" })).pipe(
    Effect.mapError((error) => cannotWrite(output, error))
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

const cannotWrite = (output: string, error: PlatformError) => {
  const { code, remedy, what } = explain(error)
  return new CliFailure({ problem: `Can't write ${output}: ${what} (${code}).`, remedy: `${remedy}.` })
}

const diskFailure = (output: string, error: PlatformError) => {
  const { code, remedy, what } = explain(error)
  return new CliFailure({
    problem: `Stopped: ${output} could not be written any further: ${what} (${code}).`,
    remedy: `${remedy}, then run the same command again. The results up to here are safe and are not asked again.`
  })
}
