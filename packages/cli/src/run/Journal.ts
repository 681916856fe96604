/**
 * The output of a run: which ids it answers already, and the place where results are appended.
 *
 * A run that was killed at any instruction leaves at most one line torn at the end, which the next run cuts off. Lines
 * that ended in an error are taken out when a run begins, since it asks them again: so a finished output has exactly one
 * line per line of the input.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Appender from "../internal/appender.ts"
import * as existing from "../internal/existingResults.ts"
import { cannotWrite, codeOf, explain } from "../internal/platformErrors.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
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
  /** Writes lines. They are there when the effect ends, whole; when it fails, none of them is. */
  readonly append: (results: ReadonlyArray<ResultLine.ResultLine>) => Effect.Effect<void, CliFailure>
  /** Whether an append that failed may be tried again: a file can be cut back to its whole lines, a pipe can't. */
  readonly retryable: boolean
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

const lineFeed = new TextEncoder().encode("\n")

const nothing: Found = {
  answered: 0,
  failed: 0,
  repeated: 0,
  tornBytes: 0,
  models: new Map(),
  tookOverFrom: undefined
}

const encode = (results: ReadonlyArray<ResultLine.ResultLine>): string => results.map(ResultLine.encode).join("")

/** Nothing to continue from, nothing to lock, nothing to cut back. */
const onward = (write: (bytes: Uint8Array) => Effect.Effect<void, CliFailure>): Journal["Service"] => {
  const { append, retryable } = Appender.make(Appender.streamSink(write))
  return Journal.of({
    found: nothing,
    ids: IdTable.make(),
    append: (results) => append(encode(results)),
    retryable,
    sync: Effect.void
  })
}

const makeStdout = Effect.map(Stdio.Stdio, (stdio) =>
  onward((bytes) =>
    Stream.make(bytes).pipe(
      Stream.run(stdio.stdout({ endOnDone: false })),
      Effect.mapError((error) => cannotWrite("to standard output", error))
    )
  ))

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
    // A device or a named pipe.
    const file = yield* Effect.mapError(fs.open(output, { flag: "a" }), (error) => cannotWrite(output, error))
    return onward((bytes) => Effect.mapError(file.writeAll(bytes), (error) => cannotWrite(output, error)))
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
  const scan = info === undefined ? existing.emptyScan() : yield* existing.scan(target, output, ids)
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
    const rewritten = yield* existing.rewrite(target, output, scan.dropped)
    open = rewritten.file
    length = rewritten.length
  }
  const failureOf = (error: PlatformError) => diskFailure(path.resolve(output), error)
  const { append, retryable } = Appender.make(Appender.fileSink(open, length, failureOf))
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
    append: (results) => append(encode(results)),
    retryable,
    sync: Effect.mapError(open.sync, failureOf)
  })
})

const openForAppend = (
  target: string,
  output: string
): Effect.Effect<FileSystem.File, CliFailure, FileSystem.FileSystem | Scope.Scope> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.open(target, { flag: "a+" })).pipe(
    Effect.mapError((error) => cannotWrite(output, error))
  )

const diskFailure = (output: string, error: PlatformError) => {
  const { code, remedy, what } = explain(error)
  return new CliFailure({
    problem: `Stopped: ${output} could not be written any further: ${what} (${code}).`,
    remedy: `${remedy}, then run the same command again. The results up to here are safe and are not asked again.`
  })
}
