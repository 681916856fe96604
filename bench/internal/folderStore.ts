// A bucket as a folder: the disk in place of a network, for what moves large files. It honours no conditions, and one process writes.
import { StoreFailed } from "@caprock/batch/BatchError"
import type { ObjectStore } from "@caprock/batch/ObjectStore"
import { Effect, Stream } from "effect"
import { createReadStream, globSync, mkdirSync, rmSync, statSync } from "node:fs"
import { open, readFile, rename, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"

const failed = (operation: string, key: string) => (cause: unknown) =>
  new StoreFailed({ operation, key, kind: "other", problem: String(cause), cause })

/** As S3's client hands them out. */
const chunkBytes = 64 * 1024

export const make = (root: string): ObjectStore["Service"] => {
  const pathOf = (key: string): string => {
    const path = join(root, key)
    mkdirSync(dirname(path), { recursive: true })
    return path
  }
  const attempt = <A>(operation: string, key: string, run: () => Promise<A>) =>
    Effect.tryPromise({ try: run, catch: failed(operation, key) })

  return {
    bucket: root,
    get: (key, from = 0, to = Infinity) =>
      Stream.suspend(() =>
        Stream.fromAsyncIterable<Uint8Array, StoreFailed>(
          createReadStream(pathOf(key), { start: from, end: to - 1, highWaterMark: chunkBytes }),
          failed("get", key)
        )
      ),
    read: (key) =>
      attempt("read", key, () => readFile(pathOf(key))).pipe(
        Effect.map((bytes) => ({ bytes, etag: "" })),
        Effect.orElseSucceed(() => undefined)
      ),
    put: (key, bytes) => Effect.as(attempt("put", key, () => writeFile(pathOf(key), bytes)), ""),
    upload: (key) =>
      Effect.map(
        Effect.acquireRelease(
          attempt("upload", key, () => open(`${pathOf(key)}.part`, "w")),
          (file) => Effect.promise(() => file.close())
        ),
        (file) => ({
          write: (bytes) => Effect.asVoid(attempt("upload", key, () => file.write(bytes))),
          commit: attempt("upload", key, () => rename(`${pathOf(key)}.part`, pathOf(key)))
        })
      ),
    list: (prefix) =>
      Stream.suspend(() =>
        Stream.fromIterable(
          globSync(`${prefix}**`, { cwd: root }).toSorted().flatMap((key) => {
            const stat = statSync(join(root, key))
            return stat.isFile() ? [{ key, bytes: stat.size, etag: "" }] : []
          })
        )
      ),
    folders: (prefix) =>
      Stream.suspend(() =>
        Stream.fromIterable(globSync("*/", { cwd: join(root, prefix) }).toSorted().map((name) => name.replace("/", "")))
      ),
    remove: (keys) => Effect.sync(() => keys.forEach((key) => rmSync(pathOf(key), { force: true }))),
    prove: () => Effect.void,
    sweep: () => Effect.succeed(0)
  }
}
