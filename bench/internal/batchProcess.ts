// One step of bench/batch.ts, in a process of its own, whose highest memory is its own too. The bucket is a folder, or behind sockets.
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { Upload as Uploading } from "@aws-sdk/lib-storage"
import type { BatchJournal, Part, Upload } from "@caprock/batch/BatchJournal"
import * as BatchLimits from "@caprock/batch/BatchLimits"
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as BatchSettings from "@caprock/batch/BatchSettings"
import type { Listed } from "@caprock/batch/ObjectStore"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Result, Scope, Stream } from "effect"
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { collect } from "../../packages/batch/src/internal/collect.ts"
import type { Place } from "../../packages/batch/src/internal/place.ts"
import * as Reading from "../../packages/batch/src/internal/reading.ts"
import { results } from "../../packages/batch/src/internal/results.ts"
import { write } from "../../packages/batch/src/internal/write.ts"
import * as FolderStore from "./folderStore.ts"

export type Step =
  | "write"
  | "copy-input"
  | "write-whole"
  | "fetch-input"
  | "answer"
  | "copy-outputs"
  | "collect"
  | "read-any"
  | "read-input"
  | "read-whole"
  | "read-langchain"

/** What a process is told, as JSON. Without `s3` the bucket is the folder. */
export interface Told {
  readonly step: Step
  readonly folder: string
  readonly records: number
  readonly promptBytes: number
  readonly s3?: { readonly careless: string; readonly bucket: string }
}

export interface Measured {
  readonly bytes: number
  readonly seconds: number
  /** Seconds of CPU, of all of the process's threads. */
  readonly cpu: number
  /** The process's highest. */
  readonly peak: number
}

const { folder, promptBytes, records: count, s3, step }: Told = JSON.parse(process.argv[2] ?? "")
const filling = "All work and no play makes a long prompt. ".repeat(Math.ceil(promptBytes / 42)).slice(0, promptBytes)

const recordOf = (i: number): BatchRecord => ({
  id: `document-${i}`,
  input: { messages: [{ role: "user", content: [{ text: `${i}: ${filling}` }] }], inferenceConfig: { maxTokens: 500 } }
})

const answerOf = (i: number): string =>
  i % 100 === 99
    ? "\"error\":{\"errorCode\":400,\"errorMessage\":\"bad request\"}"
    : `"modelOutput":${
      JSON.stringify({
        output: { message: { role: "assistant", content: [{ text: `Answer ${i}: ${filling.slice(0, 300)}` }] } },
        stopReason: "end_turn",
        usage: { inputTokens: 150, outputTokens: 80, totalTokens: 230 },
        metrics: { latencyMs: 900 }
      })
    }`

const bucket = s3?.bucket ?? folder
const access = {
  endpoint: s3?.careless ?? "",
  region: "us-east-1",
  credentials: { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" }
}
const place: Place = {
  // Its scope lasts as long as the process.
  store: s3 === undefined
    ? FolderStore.make(folder)
    : Effect.runSync(Scope.provide(ObjectStore.make({ ...access, bucket }), Scope.makeUnsafe())),
  prefix: "batch/"
}
/** As scripts have it. */
const client = new S3Client({ ...access, forcePathStyle: true })
const partsPath = join(folder, "parts.json")

const journalOf = (parts: ReadonlyArray<Part>): BatchJournal => ({
  format: 1,
  name: "bench",
  generation: 1,
  revision: 1,
  createdAt: 0,
  settings: Result.getOrThrow(BatchSettings.settle({
    model: "amazon.nova-lite-v1:0",
    invocationType: "Converse",
    roleArn: "arn:aws:iam::111122223333:role/batch"
  })),
  limits: BatchLimits.defaults,
  input: { sealed: false, records: 0, refused: 0, bytes: 0, chain: "" },
  round: 0,
  parts,
  state: "done"
})

const parts = (): ReadonlyArray<Part> =>
  (JSON.parse(readFileSync(partsPath, "utf8")) as ReadonlyArray<Upload>).map((upload): Part => ({
    ...upload,
    attempt: 0,
    phase: "collected",
    job: {
      name: "bench",
      token: "bench",
      arn: `arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/job${upload.part}`
    }
  }))

const listed = (prefix: string): Promise<ReadonlyArray<Listed>> =>
  Effect.runPromise(Stream.runCollect(place.store.list(prefix)))
const inputs = () => listed("batch/in/")
const outputs = async () => (await listed("batch/out/")).filter(({ key }) => key.endsWith(".out"))
const sizeOf = (objects: ReadonlyArray<{ readonly bytes: number }>) =>
  objects.reduce((sum, { bytes }) => sum + bytes, 0)

/** Files of their own, which are in no bucket. */
const local = join(folder, "local")
const localFiles = () => readdirSync(local).map((name) => join(local, name))

/** An object's bytes, as who has the SDK or a folder gets them. */
const streamOf = async (key: string): Promise<Readable> => {
  if (s3 === undefined) return createReadStream(join(folder, key))
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
  return Body instanceof Readable ? Body : Readable.from([])
}
const textOf = async (key: string): Promise<string> => {
  if (s3 === undefined) return readFileSync(join(folder, key), "utf8")
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
  return Body?.transformToString() ?? ""
}

/** As the SDK's own helper uploads, in as many parts of the same size at once as we do. */
const sent = (Key: string, Body: Readable | string) =>
  new Uploading({ client, params: { Bucket: bucket, Key, Body }, partSize: 8 * 1024 * 1024, queueSize: 4 }).done()

/** One file after the other. */
const fetched = async (objects: ReadonlyArray<Listed>): Promise<number> => {
  rmSync(local, { recursive: true, force: true })
  mkdirSync(local)
  for (const [i, { key }] of objects.entries()) {
    await pipeline(await streamOf(key), createWriteStream(join(local, `${i}`)))
  }
  return sizeOf(objects)
}

const steps: Readonly<Record<Step, () => Promise<number>>> = {
  write: () => {
    const records = Stream.fromIterable((function*() {
      for (let i = 0; i < count; i++) yield recordOf(i)
    })())
    return Effect.runPromise(Effect.map(
      Stream.runCollect(write(place, journalOf([]), records)),
      (written) => {
        writeFileSync(partsPath, JSON.stringify(written.map(({ upload }) => upload)))
        return written.reduce((sum, { upload }) => sum + upload.bytes, 0)
      }
    ))
  },
  "fetch-input": async () => fetched(await inputs()),
  "copy-input": async () => {
    if (s3 === undefined) return fetched(await inputs())
    let sum = 0
    for (const [i, path] of localFiles().entries()) {
      await sent(`copy/${i}`, createReadStream(path))
      sum += statSync(path).size
    }
    return sum
  },
  "write-whole": async () => {
    const lines: Array<string> = []
    for (let i = 0; i < count; i++) {
      const { id, input } = recordOf(i)
      lines.push(JSON.stringify({ recordId: id, modelInput: input }))
    }
    const whole = lines.join("\n")
    if (s3 === undefined) writeFileSync(join(folder, "whole.jsonl"), whole)
    else await sent("whole.jsonl", whole)
    return Buffer.byteLength(whole)
  },
  answer: () =>
    Effect.runPromise(Effect.as(
      Effect.forEach(parts(), (part) =>
        Effect.forEach(part.files, (file) =>
          Effect.scoped(Effect.gen(function*() {
            const name = `${file.key.split("/").at(-1)}.out`
            const upload = yield* place.store.upload(`batch/out/job${part.part}/${name}`)
            const held: Array<string> = []
            let n = part.first
            yield* Stream.runForEachArray(Reading.lines(place, file), (lines) => {
              let text = ""
              for (const line of lines) {
                held.push(`${line.toString().slice(0, -1)},${answerOf(n++)}}\n`)
                // In another order, as the service's.
                if (held.length > 256) text += held.splice((n * 7919) % held.length, 1)[0]
              }
              return upload.write(Buffer.from(text))
            })
            yield* upload.write(Buffer.from(held.join("")))
            yield* upload.commit
          })))),
      0
    )),
  "copy-outputs": async () => fetched(await outputs()),
  collect: async () => {
    const tallies = await Effect.runPromise(Effect.forEach(parts(), (part) => collect(place, journalOf(parts()), part)))
    const succeeded = tallies.reduce((sum, tally) => sum + tally.succeeded, 0)
    if (succeeded !== count - Math.floor(count / 100)) throw new Error(`${succeeded} answers`)
    return sizeOf(await outputs())
  },
  "read-any": () => read("any"),
  "read-input": () => read("input"),
  "read-whole": async () => {
    const all = await outputs()
    const byId = new Map<string, unknown>()
    for (const { key } of all) {
      for (const line of (await textOf(key)).split("\n")) {
        if (line === "") continue
        const parsed = JSON.parse(line) as { readonly recordId: string }
        byId.set(parsed.recordId, parsed)
      }
    }
    const records = Array.from({ length: count }, (_, i) => recordOf(i))
    const joined = records.map((record, i) => ({ record, answer: byId.get(`r${i.toString(36).padStart(10, "0")}`) }))
    if (joined.some(({ answer }) => answer === undefined)) throw new Error("an answer is missing")
    return sizeOf(all)
  },
  "read-langchain": async () => {
    // Loaded here, since the others' memory is measured too.
    const { JSONLinesLoader } = await import("@langchain/classic/document_loaders/fs/json")
    const all = await outputs()
    if (s3 !== undefined) await fetched(all)
    const documents: Array<unknown> = []
    for (const path of s3 === undefined ? all.map(({ key }) => join(folder, key)) : localFiles()) {
      documents.push(...await new JSONLinesLoader(path, "/recordId").load())
    }
    if (documents.length !== count) throw new Error(`${documents.length} documents`)
    return sizeOf(all)
  }
}

const read = async (order: "any" | "input") => {
  const n = await Effect.runPromise(
    Stream.runFold(
      results(place, journalOf(parts()), { order, input: true }),
      () => 0,
      (n) => n + 1
    ).pipe(Effect.provide(NodeFileSystem.layer))
  )
  if (n !== count) throw new Error(`${n} results`)
  return sizeOf(await outputs())
}

const started = performance.now()
const before = process.cpuUsage()
const bytes = await steps[step]()
const { system, user } = process.cpuUsage(before)
const measured: Measured = {
  bytes,
  cpu: (system + user) / 1e6,
  seconds: (performance.now() - started) / 1000,
  peak: process.resourceUsage().maxRSS * 1024
}
console.log(JSON.stringify(measured))
// The SDK's sockets would keep it.
process.exit()
