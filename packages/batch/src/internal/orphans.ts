// Files of parts that no journal names: whoever uploaded them lost the lease, or died, before they were written down.
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BatchJournal } from "../BatchJournal.ts"
import { nameOf, partOf, type Place, uploadsOf } from "./place.ts"

/** Of one request. */
const atOnce = 1000

/**
 * Removes what was uploaded under the generation `last` or one before, and is not in the journal. Who holds the lease now has a later one, and who held it then
 * writes no journal any more: so nobody will ever read them. What it writes after this stays until the next time.
 *
 * Costs a listing of all that was uploaded. Where the bucket can't be listed, or does not let us remove, it keeps them.
 */
export const remove = (place: Place, { parts }: BatchJournal, last: number): Effect.Effect<void> => {
  const named = new Set(parts.map(nameOf))
  return Stream.fromIterable(uploadsOf(place)).pipe(
    Stream.flatMap((uploads) => place.store.list(uploads)),
    Stream.map(({ key }) => key),
    Stream.filter((key) => {
      const part = partOf(place, key)
      return part !== undefined && part.generation <= last && !named.has(nameOf(part))
    }),
    Stream.grouped(atOnce),
    Stream.runForEach((keys) => place.store.remove(keys)),
    Effect.catchTag(
      "StoreFailed",
      ({ message }) => Effect.logWarning("Files that nobody reads any more could not be removed", { message })
    )
  )
}
