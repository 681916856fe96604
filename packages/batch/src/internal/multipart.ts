// A large object in parts, a few of which are on their way at one time.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { StoreFailed } from "../BatchError.ts"
import type { Upload } from "../ObjectStore.ts"

/** S3 takes no part below 5 MiB but for the last, and 10,000 of them: enough for 80 GB. */
const partBytes = 8 * 1024 * 1024
/** What is not yet acknowledged is held in memory: 40 MiB at most, the part that is being filled included. */
const inFlight = 4

/** How the parts of one object get to where they belong. */
export interface Wire {
  readonly begin: Effect.Effect<string, StoreFailed>
  readonly send: (id: string, part: number, bytes: Uint8Array) => Effect.Effect<string, StoreFailed>
  readonly complete: (id: string, etags: ReadonlyArray<string>, bytes: number) => Effect.Effect<void, StoreFailed>
  readonly abort: (id: string) => Effect.Effect<void, StoreFailed>
  /** The whole object at once, where it is smaller than a part. */
  readonly put: (bytes: Uint8Array) => Effect.Effect<void, StoreFailed>
}

/** For one fiber: it writes, and commits. */
export const make = Effect.fnUntraced(function*(wire: Wire): Effect.fn.Return<Upload, never, Scope.Scope> {
  const permits = yield* Semaphore.make(inFlight)
  const failed = yield* Deferred.make<never, StoreFailed>()
  const etags: Array<string> = []
  let parts = 0
  let chunks: Array<Uint8Array> = []
  let waiting = 0
  let total = 0
  let id: string | undefined
  yield* Effect.addFinalizer(() => Effect.suspend(() => id === undefined ? Effect.void : Effect.ignore(wire.abort(id))))
  // After that finalizer: what is on its way ends before the upload is given up.
  const fibers = yield* FiberSet.make<void>()

  const taken = (): Uint8Array => {
    const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
    chunks = []
    waiting = 0
    return bytes
  }

  const flush = Effect.gen(function*() {
    const upload = id ?? (yield* wire.begin)
    id = upload
    // Interrupted between these two, it is never committed, and a permit is of no use any more.
    yield* Effect.raceFirst(permits.take(1), Deferred.await(failed))
    const bytes = taken()
    const part = parts++
    yield* FiberSet.run(
      fibers,
      wire.send(upload, part + 1, bytes).pipe(
        Effect.matchEffect({
          onFailure: (failure) => Effect.asVoid(Deferred.fail(failed, failure)),
          onSuccess: (etag) =>
            Effect.sync(() => {
              etags[part] = etag
            })
        }),
        Effect.ensuring(permits.release(1))
      )
    )
  })

  return {
    write: (bytes) =>
      Effect.suspend(() => {
        chunks.push(bytes)
        waiting += bytes.length
        total += bytes.length
        return waiting < partBytes ? Effect.void : flush
      }),
    commit: Effect.gen(function*() {
      if (id === undefined) return yield* wire.put(taken())
      if (waiting > 0) yield* flush
      yield* Effect.raceFirst(FiberSet.awaitEmpty(fibers), Deferred.await(failed))
      if (yield* Deferred.isDone(failed)) return yield* Deferred.await(failed)
      yield* wire.complete(id, etags, total)
      id = undefined
    })
  }
})
