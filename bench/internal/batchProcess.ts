// One step of bench/batch.ts, in a process of its own, whose highest memory is its own too.
import type { BatchJournal, Part, Upload } from "@caprock/batch/BatchJournal"
import * as BatchLimits from "@caprock/batch/BatchLimits"
import type { BatchRecord } from "@caprock/batch/BatchRecord"
import * as BatchSettings from "@caprock/batch/BatchSettings"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Result, Stream } from "effect"
import {
  createReadStream,
  createWriteStream,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { pipeline } from "node:stream/promises"
import { collect } from "../../packages/batch/src/internal/collect.ts"
import type { Place } from "../../packages/batch/src/internal/place.ts"
import { results } from "../../packages/batch/src/internal/results.ts"
import { write } from "../../packages/batch/src/internal/write.ts"
import * as FolderStore from "./folderStore.ts"

export type Step =
  | "write"
  | "copy-input"
  | "write-whole"
  | "answer"
  | "copy-outputs"
  | "collect"
  | "read-any"
  | "read-input"
  | "read-whole"

export interface Measured {
  readonly bytes: number
  readonly seconds: number
  /** Seconds of CPU, of all of the process's threads. */
  readonly cpu: number
  /** The process's highest. */
  readonly peak: number
}

const [, , step, folder = "", given = "", promptBytes = ""] = process.argv
const count = Number(given)
const filling = "All work and no play makes a long prompt. ".repeat(Math.ceil(Number(promptBytes) / 42)).slice(
  0,
  Number(promptBytes)
)

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

const place: Place = { store: FolderStore.make(folder), prefix: "batch/" }
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

const files = (pattern: string) => globSync(`batch/${pattern}`, { cwd: folder }).map((path) => join(folder, path))
const sizeOf = (paths: ReadonlyArray<string>) => paths.reduce((sum, path) => sum + statSync(path).size, 0)

const copy = async (pattern: string) => {
  const all = files(pattern)
  const target = join(folder, "copy")
  mkdirSync(target)
  for (const [i, path] of all.entries()) await pipeline(createReadStream(path), createWriteStream(join(target, `${i}`)))
  rmSync(target, { recursive: true })
  return sizeOf(all)
}

const outputs = "out/**/records-*.out"

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
  "copy-input": () => copy("in/**/*.jsonl"),
  "write-whole": async () => {
    const lines: Array<string> = []
    for (let i = 0; i < count; i++) {
      const { id, input } = recordOf(i)
      lines.push(JSON.stringify({ recordId: id, modelInput: input }))
    }
    const whole = lines.join("\n")
    writeFileSync(join(folder, "whole.jsonl"), whole)
    return Buffer.byteLength(whole)
  },
  answer: async () => {
    for (const part of parts()) {
      for (const { key } of part.files) {
        const path = join(folder, `batch/out/job${part.part}`, `${key.split("/").at(-1)}.out`)
        mkdirSync(dirname(path), { recursive: true })
        const out = createWriteStream(path)
        const held: Array<string> = []
        let n = part.first
        for await (const line of createInterface({ input: createReadStream(join(folder, key)) })) {
          held.push(`${line.slice(0, -1)},${answerOf(n++)}}\n`)
          // In another order, as the service's.
          if (held.length > 256 && !out.write(held.splice((n * 7919) % held.length, 1)[0])) {
            await new Promise<void>((resolve) => out.once("drain", () => resolve()))
          }
        }
        await new Promise<void>((resolve) => out.end(held.join(""), () => resolve()))
      }
    }
    return 0
  },
  "copy-outputs": () => copy(outputs),
  collect: () =>
    Effect.runPromise(Effect.forEach(parts(), (part) => collect(place, journalOf(parts()), part))).then((tallies) => {
      const succeeded = tallies.reduce((sum, tally) => sum + tally.succeeded, 0)
      if (succeeded !== count - Math.floor(count / 100)) throw new Error(`${succeeded} answers`)
      return sizeOf(files(outputs))
    }),
  "read-any": () => read("any"),
  "read-input": () => read("input"),
  "read-whole": async () => {
    const all = files(outputs)
    const byId = new Map<string, unknown>()
    for (const path of all) {
      for (const line of readFileSync(path, "utf8").split("\n")) {
        if (line === "") continue
        const parsed = JSON.parse(line) as { readonly recordId: string }
        byId.set(parsed.recordId, parsed)
      }
    }
    const records = Array.from({ length: count }, (_, i) => recordOf(i))
    const joined = records.map((record, i) => ({ record, answer: byId.get(`r${i.toString(36).padStart(10, "0")}`) }))
    if (joined.some(({ answer }) => answer === undefined)) throw new Error("an answer is missing")
    return sizeOf(all)
  }
}

const read = (order: "any" | "input") =>
  Effect.runPromise(
    Stream.runFold(
      results(place, journalOf(parts()), { order, input: true }),
      () => 0,
      (n) => n + 1
    ).pipe(Effect.provide(NodeFileSystem.layer))
  ).then((n) => {
    if (n !== count) throw new Error(`${n} results`)
    return sizeOf(files(outputs))
  })

const started = performance.now()
const before = process.cpuUsage()
const bytes = await steps[step as Step]()
const { system, user } = process.cpuUsage(before)
const measured: Measured = {
  bytes,
  cpu: (system + user) / 1e6,
  seconds: (performance.now() - started) / 1000,
  peak: process.resourceUsage().maxRSS * 1024
}
console.log(JSON.stringify(measured))
