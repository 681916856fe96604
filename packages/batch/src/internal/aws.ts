// The one file that knows the SDK's client of S3.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  S3Client,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Backoff from "@caprock/backoff/Backoff"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { StoreFailed } from "../BatchError.ts"
import type { ObjectStore, Options, When } from "../ObjectStore.ts"
import * as multipart from "./multipart.ts"
import { proof } from "./proof.ts"

/** A server that says nothing for so long is asked again: S3 answers within a second, and a part of 8 MiB takes that long at 2 Mbit/s. */
const silentMillis = 30_000
const connectMillis = 5_000
/** S3 asks for a second try at once, and after more than one for patience: 0.2, 0.4, 0.8, 1.6 and 3.2 seconds, less jitter. */
const patience: Backoff.Options = { base: "200 millis", attempts: 6 }
/** Of one `DeleteObjects` (API reference, read 2026-11). */
const removedAtOnce = 1000

const fact = (error: unknown, name: "name" | "message" | "code"): string => {
  const value: unknown = typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined
  return typeof value === "string" ? value : ""
}

const statusOf = (error: unknown): number | undefined => {
  const metadata: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "$metadata") : undefined
  const status: unknown = typeof metadata === "object" && metadata !== null
    ? Reflect.get(metadata, "httpStatusCode")
    : undefined
  return typeof status === "number" ? status : undefined
}

// Both are answers of S3 to a request that another one crossed: asked again, it goes through.
const crossed = new Set(["ConditionalRequestConflict", "OperationAborted"])

/** What the SDK can't find before it sends anything, and where it looks. */
const unfound = (error: unknown): { readonly kind: StoreFailed["kind"]; readonly advice: string } | undefined =>
  fact(error, "name") === "CredentialsProviderError"
    ? {
      kind: "denied",
      advice:
        "S3 needs credentials of AWS: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, a profile, or the role of the machine (a Bedrock API key is not enough)"
    }
    : fact(error, "message") === "Region is missing"
    ? { kind: "other", advice: "Give it, or set AWS_REGION" }
    : undefined

const kindOf = (error: unknown): StoreFailed["kind"] => {
  const status = statusOf(error)
  const never = unfound(error)
  if (never !== undefined) return never.kind
  // No answer: a connection that could not be made, was cut, or fell silent.
  if (status === undefined || status >= 500 || status === 429 || status === 408) return "unavailable"
  if (crossed.has(fact(error, "name"))) return "unavailable"
  if (status === 404) return "missing"
  return status === 401 || status === 403 ? "denied" : "other"
}

const failed = (operation: string, key: string) => (error: unknown): StoreFailed => {
  const said = [fact(error, "name"), fact(error, "message") || fact(error, "code")].filter((text) => text !== "")
  return new StoreFailed({
    operation,
    key,
    kind: kindOf(error),
    problem: [said.join(": ") || String(error), unfound(error)?.advice ?? []].flat().join(". "),
    cause: error
  })
}

const nameOf = ({ cause }: StoreFailed): string => fact(cause, "name")

/** S3, or any server that speaks it. */
export const bucket = (options: Options): Effect.Effect<ObjectStore["Service"], never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new S3Client({
          ...(options.region === undefined ? {} : { region: options.region }),
          ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint, forcePathStyle: true }),
          ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
          maxAttempts: 1,
          requestHandler: { connectionTimeout: connectMillis, socketTimeout: silentMillis },
          // Not every server that speaks S3 knows the checksums that the client would send by itself; the signature covers the body.
          requestChecksumCalculation: "WHEN_REQUIRED",
          responseChecksumValidation: "WHEN_REQUIRED"
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client) => storeOf(client, options.bucket)
  )

const storeOf = (client: S3Client, Bucket: string): ObjectStore["Service"] => {
  // Ceph 16 knows a version only without the quotes that belong to it: which it is, `prove` finds out.
  let quoted = true

  const once = <A>(operation: string, key: string, send: (abortSignal: AbortSignal) => Promise<A>) =>
    Effect.tryPromise({ try: send, catch: failed(operation, key) })
  const sent = <A>(operation: string, key: string, send: (abortSignal: AbortSignal) => Promise<A>) =>
    Backoff.retry(once(operation, key, send), patience)

  const bodyOf = (key: string, from = 0, to?: number) =>
    Effect.map(
      once("get", key, (abortSignal) => {
        const part = from > 0 || to !== undefined ? { Range: `bytes=${from}-${to === undefined ? "" : to - 1}` } : {}
        return client.send(new GetObjectCommand({ Bucket, Key: key, ...part }), { abortSignal })
      }),
      ({ Body, ETag }) => ({ body: Body instanceof Readable ? Body : Readable.from([]), etag: ETag ?? "" })
    )

  const streamed = (key: string, body: Readable): Stream.Stream<Uint8Array, StoreFailed> =>
    Stream.ensuring(
      Stream.fromAsyncIterable<Uint8Array, StoreFailed>(body, failed("get", key)),
      Effect.sync(() => body.destroy())
    )

  const conditionOf = (when: When | undefined) =>
    when === undefined
      ? {}
      : "absent" in when
      ? { IfNoneMatch: "*" }
      : { IfMatch: quoted ? when.etag : when.etag.replaceAll("\"", "") }

  const put: ObjectStore["Service"]["put"] = (key, bytes, when) => {
    const send = (abortSignal: AbortSignal) =>
      client.send(new PutObjectCommand({ Bucket, Key: key, Body: bytes, ...conditionOf(when) }), { abortSignal })
    // What was written on a condition, and not answered, would be refused the second time: who asked finds out which it was.
    const asked = when === undefined ? sent("put", key, send) : once("put", key, send)
    return asked.pipe(
      Effect.map(({ ETag }): string | undefined => ETag ?? ""),
      // To write over what is not there is refused as if there were nobody to ask.
      Effect.catchIf(
        (failure) => when !== undefined && (statusOf(failure.cause) === 412 || nameOf(failure) === "NoSuchKey"),
        () => Effect.undefined
      )
    )
  }

  const remove: ObjectStore["Service"]["remove"] = (keys) =>
    Effect.forEach(
      Array.from(
        { length: Math.ceil(keys.length / removedAtOnce) },
        (_, i) => keys.slice(i * removedAtOnce, (i + 1) * removedAtOnce)
      ),
      (some) =>
        Effect.flatMap(
          sent("remove", some[0] ?? "", (abortSignal) => {
            const Delete = { Objects: some.map((Key) => ({ Key })), Quiet: true }
            return client.send(new DeleteObjectsCommand({ Bucket, Delete }), { abortSignal })
          }),
          ({ Errors = [] }) =>
            Effect.forEach(Errors, ({ Code, Key = "", Message }) =>
              Effect.fail(
                new StoreFailed({
                  operation: "remove",
                  key: Key,
                  kind: Code === "AccessDenied" ? "denied" : "other",
                  problem: `${Code}: ${Message}`
                })
              ), { discard: true })
        ),
      { discard: true }
    )

  const abort = (key: string, UploadId: string | undefined) =>
    Effect.asVoid(
      sent("abort", key, (abortSignal) =>
        client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }), { abortSignal }))
    )

  const wireOf = (key: string): multipart.Wire => ({
    begin: Effect.flatMap(
      sent(
        "upload",
        key,
        (abortSignal) => client.send(new CreateMultipartUploadCommand({ Bucket, Key: key }), { abortSignal })
      ),
      ({ UploadId }) =>
        UploadId === undefined ? Effect.fail(failed("upload", key)("no upload began")) : Effect.succeed(UploadId)
    ),
    send: (UploadId, PartNumber, Body) =>
      Effect.map(
        sent("upload", key, (abortSignal) =>
          client.send(new UploadPartCommand({ Bucket, Key: key, UploadId, PartNumber, Body }), { abortSignal })),
        ({ ETag }) =>
          ETag ?? ""
      ),
    complete: (UploadId, etags, bytes) => {
      const Parts = etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 }))
      const whole = new CompleteMultipartUploadCommand({ Bucket, Key: key, UploadId, MultipartUpload: { Parts } })
      return sent("commit", key, (abortSignal) => client.send(whole, { abortSignal })).pipe(
        Effect.asVoid,
        // It may be complete since the first try, of which nothing was heard.
        Effect.catchIf(({ kind }) => kind === "missing", (failure) =>
          Effect.flatMap(
            sent("commit", key, (abortSignal) =>
              client.send(new HeadObjectCommand({ Bucket, Key: key }), { abortSignal })),
            ({ ContentLength }) =>
              ContentLength === bytes ? Effect.void : Effect.fail(failure)
          ))
      )
    },
    abort: (id) => abort(key, id),
    put: (bytes) => Effect.asVoid(put(key, bytes))
  })

  const pages = <A>(Prefix: string, of: (page: ListObjectsV2CommandOutput) => Array<A>, Delimiter?: string) =>
    Stream.paginate<string | undefined, A, StoreFailed>(
      undefined,
      (ContinuationToken) =>
        Effect.map(
          sent("list", Prefix, (abortSignal) =>
            client.send(new ListObjectsV2Command({ Bucket, Prefix, Delimiter, ContinuationToken }), { abortSignal })),
          (page) => [of(page), Option.fromNullishOr(page.NextContinuationToken)]
        )
    )

  const abandoned = (Prefix: string) =>
    Stream.paginate<{ KeyMarker?: string; UploadIdMarker?: string }, readonly [string, string], StoreFailed>(
      {},
      (marker) =>
        Effect.map(
          sent("sweep", Prefix, (abortSignal) =>
            client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, ...marker }), { abortSignal })),
          ({ IsTruncated, NextKeyMarker, NextUploadIdMarker, Uploads = [] }) => [
            Uploads.map(({ Key = "", UploadId = "" }) =>
              [Key, UploadId] as const
            ),
            IsTruncated === true && NextKeyMarker !== undefined
              ? Option.some({
                KeyMarker: NextKeyMarker,
                ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker })
              })
              : Option.none()
          ]
        )
    )

  return {
    bucket: Bucket,
    get: (key, from, to) =>
      Backoff.retry(bodyOf(key, from, to), patience).pipe(
        Effect.map(({ body }) => streamed(key, body)),
        // From its last byte on there is nothing.
        Effect.catchIf(({ cause }) => statusOf(cause) === 416, () => Effect.succeed(Stream.empty)),
        Stream.unwrap
      ),
    read: (key) =>
      Effect.flatMap(bodyOf(key), ({ body, etag }) =>
        Effect.map(
          Stream.runCollect(streamed(key, body)),
          (chunks) => ({ bytes: new Uint8Array(Buffer.concat(chunks)), etag })
        )).pipe(
          Backoff.retry(patience),
          Effect.catchIf((failure) => nameOf(failure) === "NoSuchKey", () => Effect.undefined)
        ),
    put,
    upload: (key) => multipart.make(wireOf(key)),
    list: (Prefix) =>
      pages(
        Prefix,
        ({ Contents = [] }) =>
          Contents.map(({ ETag = "", Key = "", Size = 0 }) => ({ key: Key, bytes: Size, etag: ETag }))
      ),
    folders: (prefix) =>
      pages(
        prefix,
        ({ CommonPrefixes = [] }) => CommonPrefixes.map(({ Prefix = "" }) => Prefix.slice(prefix.length, -1)),
        "/"
      ),
    remove,
    sweep: (prefix) =>
      Stream.runFold(
        Stream.mapEffect(abandoned(prefix), ([key, id]) => abort(key, id)),
        () => 0,
        (swept) => swept + 1
      ),
    prove: (prefix) => {
      const tried = proof({ put, remove }, prefix)
      return Effect.catchTag(tried, "StoreUnsafe", (asItShouldBe) =>
        Effect.andThen(
          Effect.sync(() => {
            quoted = false
          }),
          tried
        ).pipe(
          Effect.catchTag("StoreUnsafe", () =>
            Effect.andThen(
              Effect.sync(() => {
                quoted = true
              }),
              Effect.fail(asItShouldBe)
            ))
        ))
    }
  }
}
