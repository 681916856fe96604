/** Where batch jobs read and write, as they see it. */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

/** `kind` is what the store calls it, such as `NoSuchBucket`. */
export class StoreError extends Data.TaggedError("StoreError")<{
  readonly kind: string
  readonly message: string
}> {}

/** An object, or all whose keys begin so. */
export interface Place {
  readonly bucket: string
  readonly key: string
}

export interface Listed {
  readonly key: string
  readonly bytes: number
}

/** An object that is being written. It is there when `end` has ended, and not at all when its scope closes before. */
export interface Sink {
  readonly write: (text: string) => Effect.Effect<void, StoreError>
  readonly end: Effect.Effect<void, StoreError>
}

export interface Store {
  /** In the order of their keys. */
  readonly list: (prefix: Place) => Effect.Effect<ReadonlyArray<Listed>, StoreError>
  readonly read: (object: Place) => Stream.Stream<Uint8Array, StoreError>
  readonly write: (object: Place) => Effect.Effect<Sink, never, Scope.Scope>
}

const uri = /^s3:\/\/([^/]+)\/?(.*)$/

/** What an `s3://` URI names. */
export const placeOf = (text: string): Place => {
  const [, bucket = "", key = ""] = uri.exec(text) ?? []
  return { bucket, key }
}
