// A bucket as a map of keys.
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { hash } from "node:crypto"
import { StoreFailed } from "../BatchError.ts"
import type { ObjectStore, When } from "../ObjectStore.ts"
import { proof } from "./proof.ts"

/** As S3 hands a body out: in pieces that end anywhere. */
const chunkBytes = 64 * 1024

/** Of the content alone, as S3's: the same bytes written twice are one version. */
const etagOf = (bytes: Uint8Array): string => `"${hash("md5", bytes)}"`

export const make = (bucket: string): ObjectStore["Service"] => {
  const objects = new Map<string, Uint8Array>()
  const uploads = new Map<symbol, string>()

  const missing = (operation: string, key: string): StoreFailed =>
    new StoreFailed({ operation, key, kind: "missing", problem: "there is no such object" })

  const holds = (key: string, when: When): boolean => {
    const bytes = objects.get(key)
    return "absent" in when ? bytes === undefined : bytes !== undefined && etagOf(bytes) === when.etag
  }

  const put: ObjectStore["Service"]["put"] = (key, bytes, when) =>
    Effect.sync(() => {
      if (when !== undefined && !holds(key, when)) return undefined
      objects.set(key, bytes.slice())
      return etagOf(bytes)
    })

  const remove: ObjectStore["Service"]["remove"] = (keys) =>
    Effect.sync(() => keys.forEach((key) => objects.delete(key)))

  return {
    bucket,
    get: (key, from = 0, to) =>
      Stream.suspend(() => {
        const bytes = objects.get(key)?.subarray(0, to)
        if (bytes === undefined) return Stream.fail(missing("get", key))
        const chunks = Array.from(
          { length: Math.ceil(Math.max(0, bytes.length - from) / chunkBytes) },
          (_, i) => bytes.subarray(from + i * chunkBytes, Math.min(bytes.length, from + (i + 1) * chunkBytes))
        )
        return Stream.rechunk(Stream.fromIterable(chunks), 1)
      }),
    read: (key) =>
      Effect.sync(() => {
        const bytes = objects.get(key)
        return bytes === undefined ? undefined : { bytes: bytes.slice(), etag: etagOf(bytes) }
      }),
    put,
    upload: (key) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const id = Symbol(key)
            uploads.set(id, key)
            return id
          }),
          (id) => Effect.sync(() => uploads.delete(id))
        ),
        (id) => {
          const written: Array<Uint8Array> = []
          const open = Effect.suspend(() => uploads.has(id) ? Effect.void : Effect.fail(missing("upload", key)))
          return {
            write: (bytes) => Effect.andThen(open, Effect.sync(() => void written.push(bytes))),
            commit: Effect.andThen(
              open,
              Effect.sync(() => {
                objects.set(key, Buffer.concat(written))
                uploads.delete(id)
              })
            )
          }
        }
      ),
    list: (prefix) =>
      Stream.suspend(() =>
        Stream.fromIterable(
          [...objects].filter(([key]) => key.startsWith(prefix)).toSorted(([a], [b]) => a < b ? -1 : 1)
            .map(([key, bytes]) => ({ key, bytes: bytes.length, etag: etagOf(bytes) }))
        )
      ),
    folders: (prefix) =>
      Stream.suspend(() => {
        const after = [...objects.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
        const names = after.filter((rest) => rest.includes("/")).map((rest) => rest.slice(0, rest.indexOf("/")))
        return Stream.fromIterable([...new Set(names)].toSorted())
      }),
    remove,
    prove: (prefix) => proof({ put, remove }, prefix),
    sweep: (prefix) =>
      Effect.sync(() => {
        const left = [...uploads].filter(([, key]) => key.startsWith(prefix))
        for (const [id] of left) uploads.delete(id)
        return left.length
      })
  }
}
