/** The S3 that batch jobs read and write: the one file that knows its client. It is loaded only where there is an S3. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import type * as Batch from "../Batch.ts"
import { type Listed, type Place, type Sink, type Store, StoreError } from "./store.ts"

/** Of every part of an upload but the last: S3 takes none below 5 MiB, and some servers that speak it none above 11. */
const partBytes = 8 * 1024 * 1024

const failed = (error: unknown): StoreError =>
  new StoreError({
    kind: error instanceof Error ? error.name : "Unknown",
    message: error instanceof Error ? error.message : String(error)
  })

export const make = (options: typeof Batch.S3.Type): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new S3Client({
          endpoint: options.endpoint,
          region: options.region ?? "us-east-1",
          forcePathStyle: true,
          // Not every server that speaks S3 knows the checksums that the client would send by itself.
          requestChecksumCalculation: "WHEN_REQUIRED",
          responseChecksumValidation: "WHEN_REQUIRED",
          credentials: {
            accessKeyId: options.accessKeyId ?? "emulated",
            secretAccessKey: options.secretAccessKey ?? "emulated"
          }
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    ),
    storeOf
  )

const storeOf = (client: S3Client): Store => {
  const sent = <A>(send: (abortSignal: AbortSignal) => Promise<A>): Effect.Effect<A, StoreError> =>
    Effect.tryPromise({ try: send, catch: failed })

  const list = ({ bucket, key }: Place): Effect.Effect<ReadonlyArray<Listed>, StoreError> =>
    Effect.gen(function*() {
      const found: Array<Listed> = []
      let token: string | undefined
      do {
        const page = yield* sent((abortSignal) =>
          client.send(
            new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token }),
            { abortSignal }
          )
        )
        for (const { Key, Size } of page.Contents ?? []) found.push({ key: Key ?? "", bytes: Size ?? 0 })
        token = page.NextContinuationToken
      } while (token !== undefined)
      return found
    })

  const read = ({ bucket, key }: Place): Stream.Stream<Uint8Array, StoreError> =>
    Stream.unwrap(
      Effect.map(
        sent((abortSignal) => client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal })),
        ({ Body }) =>
          Body instanceof Readable
            ? Stream.fromAsyncIterable<Uint8Array, StoreError>(Body, failed)
            : Stream.fail(new StoreError({ kind: "Unknown", message: `${key} came without a body that can be read` }))
      )
    )

  const write = ({ bucket, key }: Place): Effect.Effect<Sink, never, Scope.Scope> =>
    Effect.gen(function*() {
      const object = { Bucket: bucket, Key: key }
      const etags: Array<string | undefined> = []
      let chunks: Array<Buffer> = []
      let length = 0
      let uploadId: string | undefined
      const taken = (bytes: number): Buffer => {
        const all = Buffer.concat(chunks, length)
        chunks = [all.subarray(bytes)]
        length = Math.max(0, length - bytes)
        return all.subarray(0, bytes)
      }
      const flush = Effect.gen(function*() {
        uploadId ??= (yield* sent((abortSignal) =>
          client.send(new CreateMultipartUploadCommand(object), { abortSignal })
        )).UploadId
        const part = { ...object, UploadId: uploadId, PartNumber: etags.length + 1, Body: taken(partBytes) }
        etags.push((yield* sent((abortSignal) => client.send(new UploadPartCommand(part), { abortSignal }))).ETag)
      })
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() =>
          uploadId === undefined
            ? Effect.void
            : Effect.ignore(
              sent((abortSignal) =>
                client.send(new AbortMultipartUploadCommand({ ...object, UploadId: uploadId }), { abortSignal })
              )
            )
        )
      )
      return {
        write: (text) =>
          Effect.suspend(() => {
            const bytes = Buffer.from(text)
            chunks.push(bytes)
            length += bytes.length
            return Effect.whileLoop({ while: () => length >= partBytes, body: () => flush, step: () => {} })
          }),
        end: Effect.gen(function*() {
          if (uploadId === undefined) {
            const Body = taken(length)
            yield* sent((abortSignal) => client.send(new PutObjectCommand({ ...object, Body }), { abortSignal }))
            return
          }
          if (length > 0) yield* flush
          const MultipartUpload = { Parts: etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 })) }
          const whole = { ...object, UploadId: uploadId, MultipartUpload }
          yield* sent((abortSignal) => client.send(new CompleteMultipartUploadCommand(whole), { abortSignal }))
          uploadId = undefined
        })
      }
    })

  return { list, read, write }
}
