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
import * as Quotas from "@caprock/quota/Quotas"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { constants, cpus, setPriority } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
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

/** The emulator says where it is. */
export interface Emulated {
  readonly role: "emulator"
  readonly options: EmulatorOptions.Options
  readonly inject: ReadonlyArray<Fault.Fault>
}

/** A program with live calls, which come whether or not those before have their answers, or with batches, or with both. */
export interface App {
  readonly role: "app"
  readonly s3: Where
  readonly emulator: string
  readonly quota?: { readonly requests: number; readonly tokens: number }
  readonly live?: { readonly model: string; readonly perSecond: number }
  /** Lets others go first, as `nice` does. */
  readonly nice?: boolean
}

/** What each process can be asked once it has said hello. */
export type Question =
  | { readonly ask: "load" }
  | { readonly ask: "seen" }
  | { readonly ask: "calls" }
  | {
    readonly ask: "run"
    readonly settings: BatchSettings
    readonly records: number
    readonly recordsPerJob: number
  }

/** What a process took of the machine since it was asked before. Times are in milliseconds. */
export interface Load {
  readonly seconds: number
  readonly cpu: number
  /** Of all processors, and of all that ran on them, in seconds. */
  readonly machine: number
  /** How much later than it should its event loop came to a timer. */
  readonly late: { readonly p99: number; readonly max: number }
}

export type Seen = Stats.Stats

/** The live calls that were answered since it was asked before: how long each took from when it was due. */
export interface Calls {
  readonly took: ReadonlyArray<number>
  readonly failed: number
}

/** What came of a batch. */
export interface Took {
  readonly seconds: number
  /** Megabytes, at most, of this process. */
  readonly peak: number
  readonly submitted: number
  readonly results: number
  /** Records that had a result, and of those the ones that had more than one. */
  readonly records: number
  readonly repeated: number
  readonly byKind: Readonly<Record<string, number>>
  readonly attempts: number
}

type Answers = {
  readonly [A in Question["ask"]]?: (question: Extract<Question, { ask: A }>) => Effect.Effect<object, unknown>
}

const say = (message: object) => Effect.sync(() => process.send?.(message))

/** Says hello, and then answers one question after the other. */
const serve = Effect.fnUntraced(function*(hello: object, answers: Answers) {
  const questions = yield* Queue.unbounded<Question>()
  process.on("message", (question: Question) => Queue.offerUnsafe(questions, question))
  yield* say(hello)
  return yield* Effect.forever(Effect.gen(function*() {
    const question = yield* Queue.take(questions)
    const answer = answers[question.ask] as ((question: Question) => Effect.Effect<object, unknown>) | undefined
    yield* say(question.ask === "load" ? load() : answer === undefined ? {} : yield* answer(question))
  }))
})

const resolution = 2
const loop = monitorEventLoopDelay({ resolution })
loop.enable()

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)
const machine = () => sum(cpus().map(({ times }) => sum(Object.values(times)) - times.idle)) / 1000

let since = { at: performance.now(), cpu: process.cpuUsage(), machine: machine() }

const load = (): Load => {
  const { system, user } = process.cpuUsage(since.cpu)
  const now = { at: performance.now(), cpu: process.cpuUsage(), machine: machine() }
  const late = (nanos: number) => Math.max(0, nanos / 1e6 - resolution)
  const said: Load = {
    seconds: (now.at - since.at) / 1000,
    cpu: (system + user) / 1e6,
    machine: now.machine - since.machine,
    late: { p99: late(loop.percentile(99)), max: late(loop.max) }
  }
  loop.reset()
  since = now
  return said
}

const s3 = Effect.gen(function*() {
  const { bucket, careless, url } = yield* S3Server.start
  return yield* serve({ bucket, careless, url } satisfies Where, {})
})

const emulator = Effect.fnUntraced(function*({ inject, options }: Emulated) {
  const emulator = yield* Emulator.make(options)
  for (const fault of inject) yield* emulator.inject(fault)
  return yield* serve({ url: emulator.url }, { seen: () => emulator.stats })
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

const batch = Effect.fnUntraced(function*(
  batches: BatchOffload.BatchOffload["Service"],
  { records, settings }: Extract<Question, { ask: "run" }>
) {
  const began = performance.now()
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
  const took: Took = {
    seconds: (performance.now() - began) / 1000,
    peak: process.resourceUsage().maxRSS / 1024,
    submitted,
    results,
    records: sum([...given]),
    repeated,
    byKind,
    attempts
  }
  return took
})

const live = Effect.fnUntraced(
  function*(bedrock: Bedrock.Bedrock["Service"], { model, perSecond }: NonNullable<App["live"]>) {
    let took: Array<number> = []
    let failed = 0
    const call = (due: number) =>
      bedrock.invokeModel({
        modelId: model,
        contentType: "application/json",
        body: JSON.stringify({ inputText: "where is what I wrote on that day?", dimensions: 256 })
      }).pipe(Effect.match({
        onFailure: () => void failed++,
        onSuccess: () => void took.push(performance.now() - due)
      }))
    yield* Effect.forkChild(Effect.gen(function*() {
      const began = performance.now()
      for (let n = 0;; n++) {
        const due = began + n * 1000 / perSecond
        yield* Effect.sleep(Math.max(0, due - performance.now()))
        yield* Effect.forkChild(call(due))
      }
    }))
    return Effect.sync((): Calls => {
      const calls = { took, failed }
      took = []
      failed = 0
      return calls
    })
  }
)

const app = Effect.fnUntraced(function*({ emulator, live: calls, quota, s3 }: App) {
  const made = { endpoint: emulator, region: "us-east-1", credentials }
  const services = yield* Layer.build(Layer.mergeAll(
    ObjectStore.layer({ bucket: s3.bucket, endpoint: s3.url, region: "us-east-1", credentials }),
    JobControl.layer(made),
    Bedrock.layer({
      ...made,
      ...(quota === undefined
        ? {}
        : { quotas: Quotas.uniform({ requestsPerMinute: quota.requests, tokensPerMinute: quota.tokens }) })
    }),
    NodeFileSystem.layer
  ))
  const since = calls === undefined ? undefined : yield* live(Context.get(services, Bedrock.Bedrock), calls)
  return yield* serve({}, {
    ...(since === undefined ? {} : { calls: () => since }),
    run: (question) =>
      Effect.flatMap(
        Effect.provideContext(
          BatchOffload.make({
            limits: { recordsPerJob: question.recordsPerJob },
            poll: { min: "500 millis", max: "2 seconds" }
          }),
          services
        ),
        (batches) => batch(batches, question)
      )
  })
})

process.once("message", (start: S3 | Emulated | App) => {
  // What would be on other machines leaves the processors to what is measured.
  if (start.role === "s3" || (start.role === "app" && start.nice === true)) setPriority(constants.priority.PRIORITY_LOW)
  const program: Effect.Effect<void, unknown, Scope.Scope> = start.role === "s3"
    ? s3
    : start.role === "emulator"
    ? emulator(start)
    : app(start)
  Effect.runFork(Effect.scoped(Effect.catchCause(program, (cause) =>
    Effect.sync(() => {
      console.error(Cause.pretty(cause))
      process.exit(1)
    }))))
})
process.once("disconnect", () => process.exit(0))
