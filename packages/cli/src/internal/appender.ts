/**
 * Appends whole lines, in order: whoever comes while a write is under way is written by the next one, together with all the others
 * that came.
 */
import * as ByteSize from "effect/ByteSize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import type { CliFailure } from "../terminal/CliFailure.ts"

export interface Sink {
  /** Writes bytes; fails with how many of them are there all the same. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, { readonly failure: CliFailure; readonly written: number }>
  /** After a failed write: cuts off all but its first bytes. Where nothing can be cut off, nothing may follow either. */
  readonly cutBack: ((keep: number) => Effect.Effect<void>) | undefined
}

export interface Appender {
  /** The text is there, whole, when the effect ends; when it fails, none of it is. */
  readonly append: (text: string) => Effect.Effect<void, CliFailure>
  /** Whether an append that failed may be tried again. */
  readonly retryable: boolean
}

interface Entry {
  readonly bytes: Uint8Array
  readonly done: Deferred.Deferred<void, CliFailure>
}

const encoder = new TextEncoder()

export const make = ({ cutBack, write }: Sink): Appender => {
  let pending: Array<Entry> = []
  let writing = false
  let broken: CliFailure | undefined

  /** Writes them together; tells each what came of it. */
  const writeAll = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
    Effect.matchEffect(write(Buffer.concat(entries.map((entry) => entry.bytes))), {
      onSuccess: () => Effect.sync(() => settle(entries, entries.length)),
      onFailure: ({ failure, written }) => {
        let whole = 0
        let kept = 0
        for (const { bytes } of entries) {
          if (kept + bytes.length > written) break
          kept += bytes.length
          whole += 1
        }
        if (cutBack === undefined) broken = failure
        // Before anybody hears of it: who tries again must not write behind a torn line.
        return Effect.andThen(cutBack?.(kept) ?? Effect.void, Effect.sync(() => settle(entries, whole, failure)))
      }
    })

  const settle = (entries: ReadonlyArray<Entry>, whole: number, failure?: CliFailure): void => {
    for (const [at, { done }] of entries.entries()) {
      Deferred.doneUnsafe(done, at < whole || failure === undefined ? Effect.void : Effect.fail(failure))
    }
  }

  const drain = Effect.gen(function*() {
    while (pending.length > 0) {
      const entries = pending
      pending = []
      if (broken === undefined) yield* writeAll(entries)
      else settle(entries, 0, broken)
    }
    writing = false
  })

  return {
    retryable: cutBack !== undefined,
    append: (text) =>
      Effect.uninterruptible(Effect.suspend(() => {
        const done = Deferred.makeUnsafe<void, CliFailure>()
        pending.push({ bytes: encoder.encode(text), done })
        if (writing) return Deferred.await(done)
        writing = true
        return Effect.andThen(drain, Deferred.await(done))
      }))
  }
}

/** What can't be cut back: a pipe, a device. */
export const streamSink = (write: (bytes: Uint8Array) => Effect.Effect<void, CliFailure>): Sink => ({
  write: (bytes) => Effect.mapError(write(bytes), (failure) => ({ failure, written: 0 })),
  cutBack: undefined
})

/** A file, `length` bytes long, that is open for appending. */
export const fileSink = (
  file: FileSystem.File,
  length: number,
  failureOf: (error: PlatformError) => CliFailure
): Sink => {
  let end = length
  let torn = false
  const mend = Effect.suspend(() =>
    torn
      ? Effect.tap(file.truncate(end), () =>
        Effect.sync(() => {
          torn = false
        }))
      : Effect.void
  )
  /** A full disk takes a part: how much. */
  const partWritten = file.stat.pipe(
    Effect.map((info) => Math.max(0, Number(ByteSize.toBigInt(info.size)) - end)),
    Effect.orElseSucceed(() => 0)
  )
  return {
    write: (bytes) =>
      mend.pipe(
        Effect.mapError((error) => ({ failure: failureOf(error), written: 0 })),
        Effect.andThen(
          Effect.matchEffect(file.writeAll(bytes), {
            onSuccess: () =>
              Effect.sync(() => {
                end += bytes.length
              }),
            onFailure: (error) =>
              Effect.flatMap(partWritten, (written) => Effect.fail({ failure: failureOf(error), written }))
          })
        )
      ),
    cutBack: (keep) => {
      end += keep
      torn = true
      return Effect.ignore(mend)
    }
  }
}
