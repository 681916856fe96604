// What bench/offload.ts starts, each in a process of its own: S3, the emulator over it, and what drives a batch. The first message says which.
import * as BatchOffload from "@caprock/batch/BatchOffload"
import type { BatchRecord, BatchResult } from "@caprock/batch/BatchRecord"
import type { BatchSettings } from "@caprock/batch/BatchSettings"
import * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as Emulator from "@caprock/emulator/Emulator"
import type * as Fault from "@caprock/emulator/Fault"
import type * as EmulatorOptions from "@caprock/emulator/Options"
import type * as Stats from "@caprock/emulator/Stats"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { constants, setPriority } from "node:os"
import * as S3Server from "../../packages/batch/test/s3Server.ts"

const credentials = { accessKeyId: "AKIDBENCH", secretAccessKey: "bench" }

/** S3 says where it is. */
export interface S3 {
  readonly role: "s3"
}
export interface Where {
  readonly url: string
  readonly careless: string
  readonly bucket: string
}

/** The emulator says where it is, and then what it counted, as often as it is asked. */
export interface Emulated {
  readonly role: "emulator"
  readonly options: EmulatorOptions.Options
  readonly inject: ReadonlyArray<Fault.Fault>
}
export type Seen = Stats.Stats

/** A batch says when it has ended, and what came of it. */
export interface Batch {
  readonly role: "batch"
  readonly s3: Where
  readonly emulator: string
  readonly settings: BatchSettings
  readonly records: number
  readonly recordsPerJob: number
}
export interface Took {
  readonly seconds: number
  /** Megabytes, at most, of this process. */
  readonly peak: number
  readonly cpu: number
  readonly submitted: number
  readonly results: number
  /** Records that had a result, and of those the ones that had more than one. */
  readonly records: number
  readonly repeated: number
  readonly byKind: Readonly<Record<string, number>>
  readonly attempts: number
}

const say = (message: object) => Effect.sync(() => process.send?.(message))
const heard = Effect.callback<void>((resume) => {
  process.once("message", () => resume(Effect.void))
})

const s3 = Effect.gen(function*() {
  const { bucket, careless, url } = yield* S3Server.start
  yield* say({ bucket, careless, url } satisfies Where)
  return yield* Effect.never
})

const emulator = Effect.fnUntraced(function*({ inject, options }: Emulated) {
  const emulator = yield* Emulator.make(options)
  for (const fault of inject) yield* emulator.inject(fault)
  yield* say({ url: emulator.url })
  return yield* Effect.forever(Effect.gen(function*() {
    yield* heard
    yield* say(yield* emulator.stats)
  }))
})

const recordOf = ({ invocationType }: BatchSettings) => (i: number): BatchRecord => {
  const text =
    `Document ${i}: all that somebody wrote about one thing on one day, in thirty words or so, which is found again by what it means.`
  return {
    id: `document-${i}`,
    input: invocationType === "InvokeModel"
      ? { inputText: text, dimensions: 256 }
      : { messages: [{ role: "user", content: [{ text }] }], inferenceConfig: { maxTokens: 50 } }
  }
}

const batch = Effect.fnUntraced(function*({ emulator, records, recordsPerJob, s3, settings }: Batch) {
  const began = performance.now()
  const made = { endpoint: emulator, region: "us-east-1", credentials }
  const services = yield* Layer.build(Layer.mergeAll(
    ObjectStore.layer({ bucket: s3.bucket, endpoint: s3.url, region: "us-east-1", credentials }),
    JobControl.layer(made),
    Bedrock.layer(made),
    NodeFileSystem.layer
  ))
  const batches = yield* BatchOffload.make({
    limits: { recordsPerJob },
    poll: { min: "500 millis", max: "2 seconds" }
  }).pipe(Effect.provideContext(services))
  const given = new Uint8Array(records)
  const byKind: Record<string, number> = {}
  let results = 0
  let repeated = 0
  let attempts = 0
  let submitted = 0
  const take = (result: BatchResult) => {
    results++
    attempts = Math.max(attempts, result.attempts)
    const kind = result._tag === "Success" ? result.via : result.error.kind
    byKind[kind] = (byKind[kind] ?? 0) + 1
    if (given[result.index] === 1) repeated++
    if (result.id === `document-${result.index}`) given[result.index] = 1
  }
  const input = Stream.map(Stream.range(0, records - 1), recordOf(settings)).pipe(
    Stream.onEnd(Effect.sync(() => {
      submitted = (performance.now() - began) / 1000
    }))
  )
  yield* Stream.runForEachArray(
    batches.run("nightly", settings, input, { input: false }),
    (some) => Effect.sync(() => some.forEach(take))
  )
  const { maxRSS, systemCPUTime, userCPUTime } = process.resourceUsage()
  yield* say(
    {
      seconds: (performance.now() - began) / 1000,
      peak: maxRSS / 1024,
      cpu: (systemCPUTime + userCPUTime) / 1e6,
      submitted,
      results,
      records: given.reduce((sum, one) => sum + one, 0),
      repeated,
      byKind,
      attempts
    } satisfies Took
  )
})

process.once("message", (start: S3 | Emulated | Batch) => {
  // What would be on other machines leaves the processors to what is measured.
  if (start.role !== "emulator") setPriority(constants.priority.PRIORITY_LOW)
  const program: Effect.Effect<void, unknown, Scope.Scope> = start.role === "s3"
    ? s3
    : start.role === "emulator"
    ? emulator(start)
    : batch(start)
  Effect.runFork(Effect.scoped(Effect.catchCause(program, (cause) =>
    Effect.sync(() => {
      console.error(Cause.pretty(cause))
      process.exit(1)
    }))))
})
process.once("disconnect", () => process.exit(0))
