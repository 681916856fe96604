/** A bucket whose operations take their time, on the test's clock, and may be lost on their way there or back. */
import * as BatchError from "@caprock/batch/BatchError"
import type * as ObjectStore from "@caprock/batch/ObjectStore"
import { Effect } from "effect"

type Store = ObjectStore.ObjectStore["Service"]

export interface Weather {
  /** Of the next operation: milliseconds there, milliseconds back, and whether the way there or back is lost. */
  readonly next: () => { readonly there: number; readonly back: number; readonly lost?: "there" | "back" | undefined }
}

const lost = (operation: string, key: string) =>
  new BatchError.StoreFailed({ operation, key, kind: "unavailable", problem: "lost" })

/** What a write did, at the moment it did it. */
export type Wrote = (key: string, bytes: Uint8Array) => void

export const slow = (store: Store, weather: Weather, wrote: Wrote = () => {}): Store => {
  const travelled = <A>(operation: string, key: string, effect: Effect.Effect<A, BatchError.StoreFailed>) =>
    Effect.suspend(() => {
      const { back, lost: isLost, there } = weather.next()
      return Effect.sleep(there).pipe(
        Effect.andThen(isLost === "there" ? Effect.fail(lost(operation, key)) : effect),
        Effect.tap(Effect.sleep(back)),
        Effect.tap(isLost === "back" ? Effect.fail(lost(operation, key)) : Effect.void)
      )
    })
  return {
    ...store,
    read: (key) => travelled("read", key, store.read(key)),
    put: (key, bytes, when) =>
      travelled(
        "put",
        key,
        Effect.tap(store.put(key, bytes, when), (etag) =>
          Effect.sync(() => {
            if (etag !== undefined) wrote(key, bytes)
          }))
      )
  }
}
