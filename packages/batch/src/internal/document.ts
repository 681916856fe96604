// A small object of JSON, held to its Schema.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Corrupt, type StoreFailed } from "../BatchError.ts"
import type { ObjectStore } from "../ObjectStore.ts"

export interface Document<A> {
  readonly value: A
  readonly etag: string
}

/** How documents of a kind are read and written. */
export const make = <A, I>(schema: Schema.Codec<A, I>) => {
  const json = Schema.fromJsonString(schema)
  const decode = Schema.decodeUnknownEffect(json)
  const encode = Schema.encodeEffect(json)
  return {
    read: (
      store: ObjectStore["Service"],
      key: string
    ): Effect.Effect<Document<A> | undefined, StoreFailed | Corrupt> =>
      Effect.flatMap(
        store.read(key),
        (found) =>
          found === undefined ? Effect.undefined : decode(new TextDecoder().decode(found.bytes)).pipe(
            Effect.map((value) => ({ value, etag: found.etag })),
            Effect.mapError(({ message }) => new Corrupt({ key, problem: message }))
          )
      ),
    /** What is written is ours: that it can't be is a mistake of ours. */
    bytesOf: (value: A): Effect.Effect<Uint8Array> =>
      Effect.map(Effect.orDie(encode(value)), (text) => new TextEncoder().encode(text))
  }
}
