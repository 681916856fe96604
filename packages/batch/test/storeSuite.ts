import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Option, Scope, Stream } from "effect"

const utf8 = new TextEncoder()
export const bytesOf = (text: string): Uint8Array => utf8.encode(text)
export const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes)

/** All bytes of an object. */
export const whole = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => Buffer.concat(chunks))

const listed = (store: ObjectStore.ObjectStore["Service"], prefix: string) =>
  Effect.map(Stream.runCollect(store.list(prefix)), (found) => found.map(({ key }) => key))

/** What every bucket has to do, whoever serves it. The keys of a test begin with a name of its own. */
export const suite = <E>(name: string, layer: Layer.Layer<ObjectStore.ObjectStore, E>) =>
  describe(`a bucket: ${name}`, () => {
    it.layer(layer, { timeout: "2 minutes", excludeTestServices: true })((it) => {
      it.effect("has nothing where nothing was written", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          assert.isUndefined(yield* store.read("nothing/a"))
          assert.deepEqual(yield* listed(store, "nothing/"), [])
          const failure = yield* Effect.flip(Stream.runDrain(store.get("nothing/a")))
          assert.strictEqual(failure.kind, "missing")
          assert.isFalse(failure.retryable)
          assert.include(failure.message, "nothing/a")
          yield* store.remove(["nothing/a"])
        }))

      it.effect("gives back what was put, and a version of it", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          const etag = yield* store.put("put/a", bytesOf("one"))
          const read = yield* store.read("put/a")
          assert.strictEqual(textOf(read?.bytes), "one")
          assert.strictEqual(read?.etag, etag)
          const other = yield* store.put("put/a", bytesOf("two"))
          assert.notStrictEqual(other, etag)
          assert.strictEqual(textOf((yield* store.read("put/a"))?.bytes), "two")
          const [object] = yield* Stream.runCollect(store.list("put/"))
          assert.deepEqual(object, { key: "put/a", bytes: 3, etag: other ?? "" })
        }))

      it.effect("writes only where there is none, if asked", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          assert.isString(yield* store.put("absent/a", bytesOf("one"), { absent: true }))
          assert.isUndefined(yield* store.put("absent/a", bytesOf("two"), { absent: true }))
          assert.strictEqual(textOf((yield* store.read("absent/a"))?.bytes), "one")
        }))

      it.effect("writes only over the version that it is told, if asked", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          const first = (yield* store.put("version/a", bytesOf("one"))) ?? ""
          const second = (yield* store.put("version/a", bytesOf("two"), { etag: first })) ?? ""
          assert.notStrictEqual(second, "")
          assert.isUndefined(yield* store.put("version/a", bytesOf("three"), { etag: first }))
          assert.strictEqual(textOf((yield* store.read("version/a"))?.bytes), "two")
          yield* store.remove(["version/a"])
          assert.isUndefined(yield* store.put("version/a", bytesOf("four"), { etag: second }))
          assert.isUndefined(yield* store.read("version/a"))
        }))

      it.effect("has one winner among those who write at once", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          for (const when of [undefined, "etag"]) {
            const key = `race/${when}`
            const etag = when === undefined ? "" : yield* store.put(key, bytesOf("before"))
            const written = yield* Effect.forEach(
              Array.from({ length: 12 }, (_, i) => i),
              (i) =>
                store.put(
                  key,
                  bytesOf(`racer ${i}`),
                  when === undefined ? { absent: true } : { etag: etag ?? "" }
                ).pipe(
                  // Ceph tells some of those who lose that it has failed: nobody has to be told in time who may ask again.
                  Effect.catchIf(({ retryable }) => retryable, () => Effect.undefined)
                ),
              { concurrency: "unbounded" }
            )
            const winners = written.flatMap((etag, i) => etag === undefined ? [] : [i])
            assert.lengthOf(winners, 1)
            assert.strictEqual(textOf((yield* store.read(key))?.bytes), `racer ${winners[0]}`)
          }
        }))

      it.effect("streams a large object, from any byte to any other", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
          yield* Effect.scoped(Effect.gen(function*() {
            const upload = yield* store.upload("large/a")
            for (let i = 0; i < bytes.length; i += 70_000) {
              yield* upload.write(Buffer.from(bytes.subarray(i, i + 70_000)))
            }
            assert.isUndefined(yield* store.read("large/a"))
            yield* upload.commit
          }))
          assert.isTrue(bytes.equals(yield* whole(store.get("large/a"))))
          assert.isTrue(bytes.subarray(123_457).equals(yield* whole(store.get("large/a", 123_457))))
          assert.lengthOf(yield* whole(store.get("large/a", 300_000)), 0)
          assert.isTrue(bytes.subarray(0, 70_001).equals(yield* whole(store.get("large/a", 0, 70_001))))
          assert.isTrue(bytes.subarray(123_457, 200_000).equals(yield* whole(store.get("large/a", 123_457, 200_000))))
          assert.isTrue(bytes.subarray(299_999).equals(yield* whole(store.get("large/a", 299_999, 400_000))))
        }))

      it.effect("uploads in parts that go over the wire one by one", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          const piece = Buffer.alloc(3 * 1024 * 1024)
          const digest = yield* Effect.scoped(Effect.gen(function*() {
            const upload = yield* store.upload("parts/a")
            for (let i = 0; i < 7; i++) yield* upload.write(Buffer.from(piece.fill(i + 65)))
            yield* upload.commit
            return piece.length * 7
          }))
          const read = yield* whole(store.get("parts/a"))
          assert.lengthOf(read, digest)
          assert.deepEqual(
            Array.from({ length: 7 }, (_, i) => read[i * piece.length + 12_345]),
            Array.from({ length: 7 }, (_, i) => i + 65)
          )
        }))

      it.effect("keeps nothing of an upload that was not committed", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          yield* Effect.scoped(Effect.gen(function*() {
            const upload = yield* store.upload("dropped/a")
            yield* upload.write(Buffer.alloc(9 * 1024 * 1024))
          }))
          assert.deepEqual(yield* listed(store, "dropped/"), [])
          assert.strictEqual(yield* store.sweep("dropped/"), 0)
        }))

      it.effect("sweeps uploads that somebody left behind, and those alone", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          // A scope that is never closed is a process that was killed.
          const killed = yield* Scope.make()
          const other = yield* Scope.make()
          const upload = yield* Scope.provide(store.upload("swept/in/a"), killed)
          yield* upload.write(Buffer.alloc(9 * 1024 * 1024))
          const alive = yield* Scope.provide(store.upload("swept/out/a"), other)
          yield* alive.write(Buffer.alloc(9 * 1024 * 1024))
          assert.strictEqual(yield* store.sweep("swept/in/"), 1)
          // Ceph says of an upload that is gone that it has failed, and is asked for seconds: it may still be.
          const committed = yield* Effect.timeoutOption(Effect.exit(upload.commit), "500 millis")
          assert.isFalse(Option.exists(committed, Exit.isSuccess))
          yield* alive.commit
          yield* Scope.close(other, Exit.void)
          assert.deepEqual(yield* listed(store, "swept/"), ["swept/out/a"])
        }))

      it.effect("lists what begins with a prefix, in the order of the keys", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          for (const key of ["list/b", "list/a/2", "list/a/1", "lists"]) yield* store.put(key, bytesOf(key))
          assert.deepEqual(yield* listed(store, "list/"), ["list/a/1", "list/a/2", "list/b"])
          assert.deepEqual(yield* listed(store, "list/a"), ["list/a/1", "list/a/2"])
          yield* store.remove(["list/a/1", "list/b", "list/c"])
          assert.deepEqual(yield* listed(store, "list"), ["list/a/2", "lists"])
        }))

      it.effect("has a folder once, whatever is in it", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore.ObjectStore
          const keys = ["folders/b/1", "folders/a/1", "folders/a/2/3", "folders/a/2/4", "folders/c", "foldersd/1"]
          for (const key of keys) yield* store.put(key, bytesOf(key))
          assert.deepEqual(yield* Stream.runCollect(store.folders("folders/")), ["a", "b"])
          assert.deepEqual(yield* Stream.runCollect(store.folders("folders/none/")), [])
        }))
    })
  })
