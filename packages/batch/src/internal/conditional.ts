// A write on a condition, whose outcome is found out where no answer came.
import * as Backoff from "@caprock/backoff/Backoff"
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../BatchError.ts"
import type { ObjectStore, Stored, When } from "../ObjectStore.ts"

/** Whoever waits for it holds a lease meanwhile, which is watched apart: the waits are short, and the lease ends them. */
const patience: Backoff.Options = { base: "200 millis", attempts: 6 }

const isAs = (when: When, found: Stored | undefined): boolean =>
  "absent" in when ? found === undefined : found?.etag === when.etag

/**
 * The version that was written, or nothing where somebody else wrote first. The bytes must be such that nobody else writes the same: where no answer
 * came, what is there is held against them.
 */
export const written = (
  store: ObjectStore["Service"],
  key: string,
  bytes: Uint8Array,
  when: When
): Effect.Effect<string | undefined, StoreFailed> =>
  Effect.suspend(() => {
    // A try of which nothing was heard may still arrive, and have the next one refused.
    let isUnsure = false
    const mine = Effect.map(
      store.read(key),
      (found) => ({
        found,
        etag: found !== undefined && Buffer.compare(found.bytes, bytes) === 0 ? found.etag : undefined
      })
    )
    const tried = store.put(key, bytes, when).pipe(
      Effect.flatMap((etag) =>
        etag === undefined && isUnsure ? Effect.map(mine, ({ etag }) => etag) : Effect.succeed(etag)
      ),
      Effect.catchIf(({ retryable }) => retryable, (failure) => {
        isUnsure = true
        return Effect.flatMap(mine, ({ etag, found }) =>
          etag === undefined && isAs(when, found) ? Effect.fail(failure) : Effect.succeed(etag))
      })
    )
    return Backoff.retry(tried, patience)
  })
