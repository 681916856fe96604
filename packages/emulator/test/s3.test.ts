import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as S3 from "../src/internal/s3.ts"

/** A server that answers as it is told, and what it was asked. */
const server = (
  answer: (asked: string) => string | undefined,
  options: Omit<Parameters<typeof S3.make>[0], "endpoint"> = {}
) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const signed = new Set<string | undefined>()
    const http = yield* Effect.acquireRelease(
      Effect.promise(() =>
        new Promise<Http.Server>((resolve) => {
          const http = Http.createServer((request, response) => {
            const name = `${request.method} ${request.url}`
            signed.add(/Credential=([^/]+)\/\d+\/([^/]+)/.exec(request.headers.authorization ?? "")?.slice(1).join(" "))
            let bytes = 0
            request.on("data", (chunk: Buffer) => {
              bytes += chunk.length
            })
            request.on("end", () => {
              asked.push(bytes === 0 ? name : `${name} ${bytes}`)
              const body = answer(name)
              response.writeHead(body === undefined ? 404 : 200, { etag: "\"e\"", "content-type": "application/xml" })
              response.end(body ?? "<Error><Code>NoSuchBucket</Code><Message>None.</Message></Error>")
            })
          })
          http.listen(0, "127.0.0.1", () => resolve(http))
        })
      ),
      (http) => Effect.sync(() => http.close())
    )
    const { port } = http.address() as AddressInfo
    return { asked, signed, store: yield* S3.make({ endpoint: `http://127.0.0.1:${port}`, ...options }) }
  })

const object = { bucket: "books", key: "out/a.jsonl.out" }

describe("the S3 of batch jobs", () => {
  it.live("is listed to the end", () =>
    Effect.gen(function*() {
      const { store } = yield* server((asked) =>
        asked.includes("continuation-token=more")
          ? "<ListBucketResult><Contents><Key>in/b</Key><Size>2</Size></Contents></ListBucketResult>"
          : "<ListBucketResult><Contents><Key>in/a</Key><Size>1</Size></Contents>" +
            "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken></ListBucketResult>"
      )
      assert.deepStrictEqual(yield* store.list({ bucket: "books", key: "in/" }), [
        { key: "in/a", bytes: 1 },
        { key: "in/b", bytes: 2 }
      ])
    }))

  it.live("is asked with the keys, and in the Region, that were given", () =>
    Effect.gen(function*() {
      const signedBy = (options: Parameters<typeof server>[1]) =>
        Effect.flatMap(server(() => "<ListBucketResult></ListBucketResult>", options), ({ signed, store }) =>
          Effect.map(store.list(object), () => [...signed]))
      assert.deepStrictEqual(yield* signedBy({}), ["emulated us-east-1"])
      assert.deepStrictEqual(
        yield* signedBy({ region: "eu-west-1", accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" }),
        ["AKIDEXAMPLE eu-west-1"]
      )
    }))

  const uploads = (asked: string) => {
    if (asked.includes("?uploads")) {
      return "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    }
    return asked.startsWith("POST") ? "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>" : ""
  }
  // Of characters of two bytes.
  const megabytes = (n: number) => "é".repeat(n * 512 * 1024)

  it.live("takes what is small in one piece, and what is large in parts", () =>
    Effect.gen(function*() {
      const { asked, store } = yield* server(uploads)
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* store.write(object)
        yield* sink.write("small")
        yield* sink.end
      }))
      assert.deepStrictEqual(asked.splice(0), ["PUT /books/out/a.jsonl.out?x-id=PutObject 5"])
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* store.write(object)
        for (const n of [5, 5, 1]) yield* sink.write(megabytes(n))
        yield* sink.end
      }))
      assert.deepStrictEqual(asked.map((line) => line.replace(/ \d{2,3}$/, "")), [
        "POST /books/out/a.jsonl.out?uploads=",
        "PUT /books/out/a.jsonl.out?partNumber=1&uploadId=u&x-id=UploadPart 8388608",
        "PUT /books/out/a.jsonl.out?partNumber=2&uploadId=u&x-id=UploadPart 3145728",
        "POST /books/out/a.jsonl.out?uploadId=u"
      ])
    }))

  it.live("is left without the parts of what did not come to its end", () =>
    Effect.gen(function*() {
      const { asked, store } = yield* server(uploads)
      yield* Effect.scoped(Effect.flatMap(store.write(object), (sink) => sink.write(megabytes(9))))
      assert.strictEqual(asked.at(-1), "DELETE /books/out/a.jsonl.out?uploadId=u&x-id=AbortMultipartUpload")
    }))

  it.live("says by name what it refuses", () =>
    Effect.gen(function*() {
      const { store } = yield* server(() => undefined)
      const refused = [
        store.list(object),
        Stream.runDrain(store.read(object)),
        Effect.scoped(Effect.flatMap(store.write(object), ({ end }) => end))
      ]
      for (const call of refused) {
        const { kind, message } = yield* Effect.flip(Effect.asVoid(call))
        assert.deepStrictEqual([kind, message], ["NoSuchBucket", "None."])
      }
    }))
})
