import { Effect, Stream } from "effect"
import { type Place, type Store, StoreError } from "../src/internal/store.ts"

/** A store that is a map of keys, hands its objects out in chunks of so many bytes, and takes its time to find them. */
export const make = (objects: Map<string, string>, chunkBytes = 64 * 1024, millis = 0): Store => {
  const nameOf = ({ bucket, key }: Place) => `${bucket}/${key}`
  return {
    list: (prefix) =>
      Effect.sync(() =>
        [...objects].filter(([name]) => name.startsWith(nameOf(prefix))).toSorted(([a], [b]) => a < b ? -1 : 1).map((
          [name, text]
        ) => ({ key: name.slice(prefix.bucket.length + 1), bytes: Buffer.byteLength(text) }))
      ).pipe((list) => millis === 0 ? list : Effect.delay(list, millis)),
    read: (object) =>
      Stream.suspend(() => {
        const text = objects.get(nameOf(object))
        if (text === undefined) return Stream.fail(new StoreError({ kind: "NoSuchKey", message: nameOf(object) }))
        const bytes = Buffer.from(text)
        const chunks = Array.from(
          { length: Math.ceil(bytes.length / chunkBytes) },
          (_, i) => bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)
        )
        return Stream.rechunk(Stream.fromIterable(chunks), 1)
      }),
    write: (object) =>
      Effect.sync(() => {
        const texts: Array<string> = []
        return {
          write: (text) => Effect.sync(() => texts.push(text)),
          end: Effect.sync(() => objects.set(nameOf(object), texts.join("")))
        }
      })
  }
}
