import * as ObjectStore from "@caprock/batch/ObjectStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { connect } from "node:net"
import * as cephServer from "./cephServer.ts"
import { start } from "./s3Server.ts"
import { bytesOf, suite, textOf, whole } from "./storeSuite.ts"

const credentials = { accessKeyId: "any", secretAccessKey: "any" }

const optionsOf = (endpoint: string, bucket: string): ObjectStore.Options => ({
  bucket,
  endpoint,
  region: "us-east-1",
  credentials
})

suite("in memory", ObjectStore.layerMemory())

suite(
  "fauxqs, with its conditions kept",
  Layer.effect(
    ObjectStore.ObjectStore,
    Effect.flatMap(start, ({ bucket, url }) => ObjectStore.make(optionsOf(url, bucket)))
  )
)

// A second implementation: what is relied on is tried on the one before too, with its conditions kept by a door of ours.
describe.runIf(cephServer.installed)("with a server", () => {
  suite(
    "Ceph",
    Layer.effect(
      ObjectStore.ObjectStore,
      Effect.gen(function*() {
        const { bucket, credentials, url } = yield* cephServer.start
        const store = yield* ObjectStore.make({ ...optionsOf(url, bucket), credentials })
        yield* store.prove("caprock/")
        return store
      })
    )
  )

  it.live("lets nobody in who signs with another key", () =>
    Effect.gen(function*() {
      const { bucket, credentials, url } = yield* cephServer.start
      const store = yield* ObjectStore.make({
        ...optionsOf(url, bucket),
        credentials: { ...credentials, secretAccessKey: "another" }
      })
      const failure = yield* Effect.flip(store.put("a", bytesOf("one")))
      assert.strictEqual(failure.kind, "denied")
      assert.include(failure.message, "SignatureDoesNotMatch")
    }))
})

/** A bucket at a door that loses what it is told to. */
const lossy = Effect.gen(function*() {
  const server = yield* start
  return { server, store: yield* ObjectStore.make(optionsOf(server.url, server.bucket)) }
})

/** The first request of that kind has a mishap, and no other. */
const once = (mishap: "lost" | "unanswered" | "busy" | "cut", is: (line: string) => boolean) => {
  let pending = true
  return ({ method, path }: { readonly method: string; readonly path: string }) => {
    if (!pending || !is(`${method} ${path}`)) return undefined
    pending = false
    return mishap
  }
}

describe("a bucket that nobody can ask", () => {
  it.effect("is not asked again, and what it lacks is told", () =>
    Effect.gen(function*() {
      // On the test's clock another try would never come.
      const store = yield* ObjectStore.make({ bucket: "nightly", credentials })
      const failure = yield* Effect.flip(store.read("a"))
      assert.deepInclude(failure, { kind: "other", problem: "Error: Region is missing. Give it, or set AWS_REGION" })
    }))
})

describe("a bucket that is out for a moment", () => {
  it.live.each(["lost", "unanswered", "busy"] as const)("is asked again: %s", (mishap) =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      server.mishap = once(mishap, (line) => line.startsWith("PUT") && line.includes("/a"))
      assert.isString(yield* store.put("a", bytesOf("one")))
      server.mishap = once(mishap, (line) => line.startsWith("GET"))
      assert.strictEqual(textOf((yield* store.read("a"))?.bytes), "one")
      server.mishap = once(mishap, (line) => line.includes("list-type=2"))
      assert.lengthOf(yield* Stream.runCollect(store.list("")), 1)
    }))

  it.live("gives a small object whole, though its body broke off", () =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      yield* store.put("a", bytesOf("x".repeat(1000)))
      server.mishap = once("cut", (line) => line.startsWith("GET"))
      assert.lengthOf((yield* store.read("a"))?.bytes ?? [], 1000)
    }))

  it.live("fails a stream that broke off, and goes on from where it was", () =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251))
      yield* store.put("a", bytes)
      server.mishap = once("cut", (line) => line.startsWith("GET"))
      const got: Array<Uint8Array> = []
      const failure = yield* Effect.flip(
        Stream.runForEach(store.get("a"), (chunk) => Effect.sync(() => got.push(chunk)))
      )
      assert.isTrue(failure.retryable)
      const before = Buffer.concat(got)
      assert.isAbove(before.length, 0)
      assert.isBelow(before.length, bytes.length)
      const rest = yield* whole(store.get("a", before.length))
      assert.isTrue(Buffer.concat([before, rest]).equals(bytes))
    }))

  it.live("asks a conditional write once: whether it was written is for its caller to find out", () =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      server.mishap = once("unanswered", (line) => line.startsWith("PUT"))
      const failure = yield* Effect.flip(store.put("a", bytesOf("one"), { absent: true }))
      assert.isTrue(failure.retryable)
      assert.lengthOf(server.requests.filter((line) => line.startsWith("PUT")), 1)
      assert.strictEqual(textOf((yield* store.read("a"))?.bytes), "one")
    }))

  it.live.each(["lost", "unanswered", "busy"] as const)(
    "has the whole of an upload: a part and its end are %s",
    (mishap) =>
      Effect.gen(function*() {
        const { server, store } = yield* lossy
        const mishaps = [
          once(mishap, (line) => line.includes("partNumber=2")),
          once(mishap, (line) => line.startsWith("POST") && line.includes("uploadId="))
        ]
        server.mishap = (request) => mishaps.map((mishap) => mishap(request)).find((one) => one !== undefined)
        yield* Effect.scoped(Effect.gen(function*() {
          const upload = yield* store.upload("a")
          for (let i = 0; i < 3; i++) yield* upload.write(Buffer.alloc(9 * 1024 * 1024, i + 65))
          yield* upload.commit
        }))
        const read = yield* whole(store.get("a"))
        assert.lengthOf(read, 27 * 1024 * 1024)
        assert.deepEqual([read[0], read[read.length / 2], read[read.length - 1]], [65, 66, 67])
      })
  )
})

describe("the door of the tests", () => {
  it.live("lets others write, where somebody is gone in the middle of what it wrote", () =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      yield* Effect.callback<void>((resume) => {
        const writer = connect(Number(new URL(server.url).port), "127.0.0.1", () => {
          const head = ["if-none-match: *", "content-length: 100", "host: caprock", "", ""].join("\r\n")
          writer.write(`PUT /${server.bucket}/a?x-id=PutObject HTTP/1.1\r\n${head}broken`)
        })
        server.mishap = () => {
          writer.destroy()
          return undefined
        }
        writer.once("close", () => resume(Effect.void))
      })
      server.mishap = () => undefined
      assert.isString(yield* store.put("a", bytesOf("one"), { absent: true }))
    }))
})

describe("what can't be", () => {
  it.live("is not tried again, and says what it was", () =>
    Effect.gen(function*() {
      const server = yield* start
      const store = yield* ObjectStore.make(optionsOf(server.url, "caprock-nowhere"))
      for (const asked of [Effect.asVoid(store.read("a")), Effect.asVoid(store.put("a", bytesOf("one")))]) {
        const failure = yield* Effect.flip(asked)
        assert.strictEqual(failure.kind, "missing")
        assert.include(failure.message, "NoSuchBucket")
      }
      assert.lengthOf(server.requests, 2)
    }))
})

describe("the proof", () => {
  it.live("is given by a bucket that keeps its conditions, and leaves nothing there", () =>
    Effect.gen(function*() {
      const { server, store } = yield* lossy
      for (const bucket of [store, ObjectStore.makeMemory()]) {
        yield* bucket.prove("caprock/")
        assert.lengthOf(yield* Stream.runCollect(bucket.list("")), 0)
      }
      assert.lengthOf(server.requests.filter((line) => line.startsWith("PUT")), 4)
    }))

  it.live("is not given by one that ignores them", () =>
    Effect.gen(function*() {
      const server = yield* start
      const store = yield* ObjectStore.make(optionsOf(server.careless, server.bucket))
      const failure = yield* Effect.flip(store.prove("caprock/"))
      assert.strictEqual(failure._tag, "StoreUnsafe")
      assert.include(failure.message, "ignores If-None-Match")
      assert.lengthOf(yield* Stream.runCollect(store.list("")), 0)
    }))
})
