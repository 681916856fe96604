/**
 * Where the prompts come from.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { cannotRead } from "../internal/platformErrors.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly bytes: Stream.Stream<Uint8Array, CliFailure>
  /** Of the whole; `undefined` where the end is not known. */
  readonly size: number | undefined
}

const chunkBytes = 64 * 1024

/**
 * Opens a file, or standard input for "-". Nothing is read before the stream runs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = (path: string): Effect.Effect<Input, CliFailure, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    if (path === "-") {
      const stdio = yield* Stdio.Stdio
      return {
        bytes: Stream.mapError(stdio.stdin, (error) => cannotRead("prompts from standard input", error)),
        size: undefined
      }
    }
    const fs = yield* FileSystem.FileSystem
    const info = yield* Effect.mapError(fs.stat(path), (error) => cannotRead(`prompts from ${path}`, error))
    if (info.type === "Directory") {
      return yield* new CliFailure({
        problem: `Can't read prompts from ${path}: it is a folder.`,
        remedy: "Name a file of JSON Lines in it, or - for standard input."
      })
    }
    yield* Effect.mapError(fs.access(path, { readable: true }), (error) => cannotRead(`prompts from ${path}`, error))
    return {
      bytes: Stream.mapError(
        fs.stream(path, { chunkSize: chunkBytes }),
        (error) => cannotRead(`prompts from ${path}`, error)
      ),
      size: info.type === "File" ? Number(ByteSize.toBigInt(info.size)) : undefined
    }
  })

/**
 * An input in which nothing stands.
 *
 * @category errors
 * @since 0.1.0
 */
export const empty = (path: string): CliFailure =>
  new CliFailure({
    problem: `There is no prompt in ${path === "-" ? "standard input" : path}: it is empty.`,
    remedy: `Write one JSON object on each line, such as {"id":"a","prompt":"Hello"}`
  })
