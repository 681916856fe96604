// Whether a bucket keeps its conditions: a server that ignores them says yes to everybody.
import * as Effect from "effect/Effect"
import { type StoreFailed, StoreUnsafe } from "../BatchError.ts"
import type { ObjectStore } from "../ObjectStore.ts"
import { unique } from "./unique.ts"

const one = new Uint8Array([49])
const two = new Uint8Array([50])

/** Of `prove`, by the other operations. An object below the prefix comes and goes. */
export const proof = (
  { put, remove }: Pick<ObjectStore["Service"], "put" | "remove">,
  prefix: string
): Effect.Effect<void, StoreFailed | StoreUnsafe> =>
  Effect.gen(function*() {
    const key = `${prefix}probe/${yield* unique}`
    const fails = (problem: string) => new StoreUnsafe({ problem })
    yield* Effect.gen(function*() {
      const etag = yield* put(key, one, { absent: true })
      if (etag === undefined) return yield* fails("refuses to write where nothing is (If-None-Match)")
      if ((yield* put(key, two, { absent: true })) !== undefined) return yield* fails("ignores If-None-Match")
      const other = `"${"0".repeat(32)}"`
      if ((yield* put(key, two, { etag: other })) !== undefined) return yield* fails("ignores If-Match")
      if ((yield* put(key, two, { etag })) === undefined) {
        return yield* fails("refuses to write over the version that is there (If-Match)")
      }
    }).pipe(Effect.ensuring(Effect.ignore(remove([key]))))
  })
