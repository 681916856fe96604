import {
  BedrockClient,
  CreateModelInvocationJobCommand,
  type CreateModelInvocationJobCommandInput,
  GetModelInvocationJobCommand,
  type GetModelInvocationJobCommandOutput,
  ListModelInvocationJobsCommand,
  type ListModelInvocationJobsCommandInput,
  StopModelInvocationJobCommand
} from "@aws-sdk/client-bedrock"
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client
} from "@aws-sdk/client-s3"
import type * as Batch from "@caprock/emulator/Batch"
import * as Emulator from "@caprock/emulator/Emulator"
import type * as Options from "@caprock/emulator/Options"
import { Effect, type Scope } from "effect"
import { buildApp } from "fauxqs"
import { modelId, sent, until } from "./helpers.ts"

export const bucket = "caprock-batch"

/** An S3 in this process, with one bucket. */
const s3: Effect.Effect<{ readonly url: string; readonly client: S3Client }, never, Scope.Scope> = Effect.gen(
  function*() {
    const app = yield* Effect.acquireRelease(
      Effect.sync(() => buildApp({ logger: false })),
      (app) => Effect.promise(() => app.close())
    )
    const url = yield* Effect.promise(() => app.listen({ port: 0, host: "127.0.0.1" }))
    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new S3Client({
          endpoint: url,
          region: "us-east-1",
          forcePathStyle: true,
          credentials: { accessKeyId: "any", secretAccessKey: "any" }
        })
      ),
      (client) => Effect.sync(() => client.destroy())
    )
    yield* Effect.promise(() => client.send(new CreateBucketCommand({ Bucket: bucket })))
    return { url, client }
  }
)

/** One line of an output. */
export interface OutputLine {
  readonly recordId: string
  readonly modelInput: unknown
  readonly modelOutput?: Record<string, unknown>
  readonly error?: { readonly errorCode: number; readonly errorMessage: string }
}

export const converseInput = (text: string, maxTokens = 20) => ({
  messages: [{ role: "user", content: [{ text }] }],
  inferenceConfig: { maxTokens }
})

/** So many records, each with its number in its prompt. */
export const records = (n: number, prompt = (i: number) => `Document ${i}.`): ReadonlyArray<unknown> =>
  Array.from({ length: n }, (_, i) => ({ recordId: `r${i}`, modelInput: converseInput(prompt(i)) }))

/** An emulator with an S3 beside it, the unmodified clients of both, and what tests do with them. */
export const start = (
  options: Omit<Options.Options, "batch"> & { readonly batch?: Omit<Batch.Options, "limits" | "s3"> } = {},
  limits: Batch.Options["limits"] = { minimumRecords: 1 }
) =>
  Effect.gen(function*() {
    const { client: store, url } = yield* s3
    const emulator = yield* Emulator.make({
      ...options,
      batch: { ...options.batch, s3: { endpoint: url }, limits }
    })
    return { emulator, store, ...yield* clientOf(emulator, store) }
  })

export const clientOf = (emulator: Emulator.Service, store: S3Client, accessKeyId = "AKIDEXAMPLE") =>
  Effect.gen(function*() {
    const sdk = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new BedrockClient({
          endpoint: emulator.url,
          region: "us-east-1",
          credentials: { accessKeyId, secretAccessKey: "secret" },
          maxAttempts: 1
        })
      ),
      (sdk) => Effect.sync(() => sdk.destroy())
    )
    const get = (jobIdentifier: string | undefined) =>
      sent((abortSignal) => sdk.send(new GetModelInvocationJobCommand({ jobIdentifier }), { abortSignal }))
    const objects = (Prefix: string) =>
      Effect.promise(async () =>
        ((await store.send(new ListObjectsV2Command({ Bucket: bucket, Prefix }))).Contents ?? []).map(({ Key }) =>
          Key ?? ""
        )
      )
    const text = (Key: string) =>
      Effect.promise(async () =>
        (await (await store.send(new GetObjectCommand({ Bucket: bucket, Key }))).Body?.transformToString()) ?? ""
      )
    return {
      sdk,
      get,
      objects,
      text,
      put: (Key: string, lines: ReadonlyArray<unknown>) =>
        Effect.promise(() =>
          store.send(
            new PutObjectCommand({
              Bucket: bucket,
              Key,
              Body: Buffer.from(
                lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("")
              )
            })
          )
        ),
      create: (input: Partial<CreateModelInvocationJobCommandInput> = {}) =>
        sent((abortSignal) =>
          sdk.send(
            new CreateModelInvocationJobCommand({
              jobName: "nightly",
              roleArn: "arn:aws:iam::111122223333:role/batch",
              modelId,
              modelInvocationType: "Converse",
              inputDataConfig: { s3InputDataConfig: { s3Uri: `s3://${bucket}/in/` } },
              outputDataConfig: { s3OutputDataConfig: { s3Uri: `s3://${bucket}/out/` } },
              ...input
            }),
            { abortSignal }
          )
        ),
      list: (input: ListModelInvocationJobsCommandInput = {}) =>
        sent((abortSignal) => sdk.send(new ListModelInvocationJobsCommand(input), { abortSignal })),
      stop: (jobIdentifier: string | undefined) =>
        sent((abortSignal) => sdk.send(new StopModelInvocationJobCommand({ jobIdentifier }), { abortSignal })),
      /** Lets the event loop turn until the job has a status; virtual time does not pass meanwhile. */
      reaches: (jobArn: string | undefined, ...statuses: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          let job: GetModelInvocationJobCommandOutput | undefined
          yield* until(
            statuses.join(" or "),
            Effect.map(Effect.orDie(get(jobArn)), (found) => {
              job = found
              return statuses.includes(found.status ?? "")
            })
          )
          if (job === undefined) return yield* Effect.die(new Error("no job"))
          return job
        }),
      /** The lines of all outputs of a job, as they stand there. */
      output: (jobArn: string | undefined) =>
        Effect.gen(function*() {
          const keys = yield* objects(`out/${jobArn?.split("/").at(-1)}/`)
          const lines: Array<OutputLine> = []
          for (const key of keys.filter((key) => key.endsWith(".jsonl.out"))) {
            for (const line of (yield* text(key)).split("\n")) if (line !== "") lines.push(JSON.parse(line))
          }
          return lines
        }),
      manifest: (jobArn: string | undefined) =>
        Effect.map(text(`out/${jobArn?.split("/").at(-1)}/manifest.json.out`), (json): unknown => JSON.parse(json))
    }
  })
