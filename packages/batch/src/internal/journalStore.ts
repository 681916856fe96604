// The journal in the bucket: read by anybody, written by the holder of the lease, one write after the other.
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { type Corrupt, LeaseLost, NotFound, type StoreFailed } from "../BatchError.ts"
import { BatchJournal } from "../BatchJournal.ts"
import { written } from "./conditional.ts"
import * as document from "./document.ts"
import type { Lease } from "./lease.ts"
import { journalKey, type Place } from "./place.ts"

const file = document.make(BatchJournal)

/** What is known of a batch, to whoever asks. */
export const read = (place: Place): Effect.Effect<BatchJournal | undefined, StoreFailed | Corrupt> =>
  Effect.map(file.read(place.store, journalKey(place)), (found) => found?.value)

/** The journal of who holds the lease. */
export interface Journal {
  readonly current: Effect.Effect<BatchJournal>
  /** What it says now is written before this ends; one change after the other. A change to the same writes nothing. */
  readonly update: (
    change: (journal: BatchJournal) => BatchJournal
  ) => Effect.Effect<BatchJournal, LeaseLost | StoreFailed>
}

/**
 * Opens it, and with that shuts everybody out who held the lease before: their writes are refused from now on, since this one has changed its version.
 * Where there is none, it begins with `initial`, if there is one.
 */
export const open = Effect.fnUntraced(function*(
  place: Place,
  { generation }: Lease,
  initial?: BatchJournal,
  /** Is told what it says, each time that it says something else. */
  tell: (journal: BatchJournal) => void = () => {}
): Effect.fn.Return<Journal, LeaseLost | NotFound | StoreFailed | Corrupt> {
  const key = journalKey(place)
  const turn = yield* Semaphore.make(1)

  const first = Effect.gen(function*() {
    while (true) {
      const found = yield* file.read(place.store, key)
      const before = found?.value ?? initial
      if (before === undefined) return yield* new NotFound()
      if (before.generation > generation) return yield* new LeaseLost()
      const value = { ...before, generation, revision: before.revision + 1 }
      const etag = yield* written(
        place.store,
        key,
        yield* file.bytesOf(value),
        found === undefined ? { absent: true } : { etag: found.etag }
      )
      // Refused: who held the lease before wrote once more, and what it wrote counts.
      if (etag !== undefined) return { value, etag }
    }
  })
  let { etag, value } = yield* first
  tell(value)

  return {
    current: Effect.sync(() => value),
    update: (change) =>
      // Whoever is interrupted in it would not know what stands there.
      turn.withPermits(1)(Effect.uninterruptible(Effect.gen(function*() {
        const changed = change(value)
        if (changed === value) return value
        const next = { ...changed, generation, revision: value.revision + 1 }
        const version = yield* written(place.store, key, yield* file.bytesOf(next), { etag })
        if (version === undefined) return yield* new LeaseLost()
        value = next
        etag = version
        tell(next)
        return next
      })))
  }
})
