/**
 * Where results go: a file that is there whole, or is as it was before; or whatever else can be written.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import { cannotWrite } from "../internal/platformErrors.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface ResultFile {
  /** As messages name it. */
  readonly name: string
  readonly sink: Sink.Sink<void, Uint8Array, never, PlatformError>
  /** All is written. */
  readonly commit: Effect.Effect<void, CliFailure>
}

/**
 * A file, or standard output for "-". What was written is gone when the scope ends without a commit, but for what can't be taken back: of a pipe, a device.
 *
 * @category constructors
 * @since 0.1.0
 */
export const open = Effect.fnUntraced(function*(
  out: string
): Effect.fn.Return<ResultFile, CliFailure, FileSystem.FileSystem | Scope.Scope | Stdio.Stdio> {
  const fs = yield* FileSystem.FileSystem
  if (out === "-") {
    const stdio = yield* Stdio.Stdio
    return { name: "to standard output", sink: stdio.stdout({ endOnDone: false }), commit: Effect.void }
  }
  const written = <A, R>(effect: Effect.Effect<A, PlatformError, R>) =>
    Effect.mapError(effect, (error) => cannotWrite(out, error))
  const before = yield* written(
    Effect.catchIf(fs.stat(out), ({ reason }) => reason._tag === "NotFound", () => Effect.undefined)
  )
  if (before?.type === "Directory") {
    return yield* new CliFailure({ problem: `Can't write ${out}: it is a folder.`, remedy: "Name a file in it." })
  }
  if (before !== undefined && before.type !== "File") return { name: out, sink: fs.sink(out), commit: Effect.void }
  // Not the link, but what it leads to.
  const target = before === undefined ? out : yield* written(fs.realPath(out))
  // Nobody else's: neither a user's own file, nor that of another process that writes the same results.
  const words = yield* Effect.replicateEffect(Random.nextIntBetween(0, 2 ** 32 - 1), 2)
  const beside = `${target}.${words.map((word) => word.toString(16).padStart(8, "0")).join("")}.partial`
  // Whoever may not read the old one may not read the new one.
  const mode = before === undefined ? {} : { mode: before.mode & 0o777 }
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(beside)))
  return {
    name: out,
    sink: fs.sink(beside, { flag: "wx", ...mode }),
    commit: written(fs.rename(beside, target))
  }
})
