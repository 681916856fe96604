/** One batch job, from when it is submitted to its end: which state it is in, for how long, and what comes next. */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Fault from "../Fault.ts"
import * as LatencyModel from "../LatencyModel.ts"
import * as BatchFiles from "./batchFiles.ts"
import type { BatchConfig } from "./config.ts"
import type * as Jobs from "./jobs.ts"
import type * as ModelId from "./modelId.ts"
import type * as Random from "./random.ts"
import type * as Store from "./store.ts"

/** In the order in which a job passes them; the last five are ends. */
export const statuses = [
  "Submitted",
  "Validating",
  "Scheduled",
  "InProgress",
  "Stopping",
  "Stopped",
  "Completed",
  "PartiallyCompleted",
  "Failed",
  "Expired"
] as const

type Status = typeof statuses[number]

const ends: ReadonlySet<Status> = new Set(["Stopped", "Completed", "PartiallyCompleted", "Failed", "Expired"])

/** Times are milliseconds since the epoch. */
export interface BatchJob extends Jobs.Job {
  readonly name: string
  readonly region: string
  readonly ref: ModelId.ModelRef
  /** The inputs of the request that a description gives back. */
  readonly echoed: Readonly<Record<string, unknown>>
  readonly type: "InvokeModel" | "Converse"
  readonly from: Store.Place
  /** With its own id at the end. */
  readonly to: Store.Place
  readonly expiresAt: number
  readonly fate: Extract<Fault.Fault, { _tag: "Job" }> | undefined
  /** Of what was asked: its delays and faults are drawn from it. */
  readonly digest: Random.Seed
  /** Done when somebody stops it. */
  readonly stopping: Deferred.Deferred<void>
  status: Status
  message: string | undefined
  modifiedAt: number
  records: number | undefined
  progress: { readonly startedAt: number; readonly span: number } | undefined
  counts: BatchFiles.Counts | undefined
  /** Of the records that were answered so far. */
  failed: number
}

export const hasEnded = ({ status }: BatchJob): boolean => ends.has(status)

/** How many records were answered by then. */
export const processedAt = ({ counts, progress, records = 0 }: BatchJob, now: number): number | undefined => {
  if (counts !== undefined) return counts.processed
  if (progress === undefined) return undefined
  const { span, startedAt } = progress
  return span === 0 ? records : Math.round(records * Math.min(Math.max(0, (now - startedAt) / span), 1))
}

/** What the life of a job needs. */
export interface Surroundings {
  readonly clock: Clock.Clock
  readonly config: BatchConfig
  readonly store: Store.Store
  readonly answerTo: Parameters<typeof BatchFiles.answer>[0]["answerTo"]
  /** A generator for each purpose, from the seed and what was asked. */
  readonly random: (purpose: number) => Random.Random
  /** Called before a model is asked for the first time. */
  readonly asking: (input: BatchFiles.Input) => void
}

const purposes = { submitted: 0, validating: 1, scheduled: 2, inProgress: 3, stopping: 4, order: 5 } as const

// What the API reference says of these states (2026-10).
const inTime = "Not all of your records could be processed in time. View the output files in the output S3 location."
const notBegun =
  "This job timed out because it was scheduled but didn't begin before the set timeout duration. Submit a new job request."

/** Stops a job that has not ended. It is in `Stopping` from now on. */
export const stop = (job: BatchJob, now: number): void => {
  job.status = "Stopping"
  job.modifiedAt = now
  Deferred.doneUnsafe(job.stopping, Effect.void)
}

/** Lives a job to its end. */
export const live = (job: BatchJob, surroundings: Surroundings): Effect.Effect<void> => {
  const { answerTo, asking, clock, config, random, store } = surroundings
  const now = (): number => clock.currentTimeMillisUnsafe()
  const drawn = (state: keyof BatchConfig["delays"]): number =>
    Math.ceil(LatencyModel.draw(config.delays[state], 0, random(purposes[state])).total)
  const sleepUntil = (time: number): Effect.Effect<void> =>
    Effect.suspend(() => time > now() ? clock.sleep(Duration.millis(time - now())) : Effect.void)

  const enter = (status: Status, message?: string): void => {
    job.status = status
    job.message = message
    job.modifiedAt = now()
  }
  /** False: it was stopped before, or is by now. */
  const waitUntil = (time: number): Effect.Effect<boolean> =>
    Effect.suspend(() =>
      Deferred.isDoneUnsafe(job.stopping)
        ? Effect.succeed(false)
        : Effect.raceFirst(Effect.as(sleepUntil(time), true), Effect.as(Deferred.await(job.stopping), false))
    )
  const stay = (status: Status, until: number): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      enter(status)
      return waitUntil(until)
    })

  /** Comes to its end in `Stopping`. */
  const stopped = Effect.suspend(() =>
    Effect.map(sleepUntil(job.modifiedAt + drawn("stopping")), () => enter("Stopped"))
  )

  return Effect.gen(function*() {
    const { fate } = job
    if (!(yield* stay("Submitted", job.submittedAt + drawn("submitted")))) return yield* stopped
    if (!(yield* stay("Validating", now() + drawn("validating")))) return yield* stopped
    const checked = yield* Effect.result(BatchFiles.check(store, job.from, config.limits))
    // Somebody stopped it while its input was read: its state does not go on from there.
    if (Deferred.isDoneUnsafe(job.stopping)) return yield* stopped
    if (Result.isFailure(checked)) return enter("Failed", checked.failure.message)
    if (fate?.status === "Failed" && fate.at === undefined) {
      return enter("Failed", fate.message ?? "The input of the job could not be validated.")
    }
    const input = checked.success
    job.records = input.records

    const begins = now() + drawn("scheduled")
    const expires = fate?.status === "Expired" || begins >= job.expiresAt
    if (!(yield* stay("Scheduled", expires ? job.expiresAt : begins))) return yield* stopped
    if (expires) return enter("Expired", fate?.message ?? notBegun)

    const startedAt = now()
    const span = drawn("inProgress")
    const share = fate === undefined ? 1 : fate.at ?? 0.5
    job.progress = { startedAt, span }
    const planned = Math.ceil(startedAt + span * share)
    const late = planned > job.expiresAt
    const endsAt = late ? job.expiresAt : planned
    // By the plan and not by the clock, which is as late as this process is busy.
    const most = late ? processedAt(job, endsAt) ?? 0 : Math.round(input.records * share)
    enter("InProgress")
    // Little by little, and not all at the end: who shares this process with a job should not notice it.
    const due = (records: number): Effect.Effect<number> =>
      Effect.map(
        waitUntil(Math.min(endsAt, Math.ceil(startedAt + span * records / input.records))),
        (undisturbed) => Math.min(records, most, undisturbed ? most : processedAt(job, job.modifiedAt) ?? 0)
      )
    let asked = false
    const answered = yield* Effect.result(BatchFiles.answer({
      store,
      input,
      to: job.to,
      random: random(purposes.order),
      due,
      answerTo: (line) => {
        if (!asked) asking(input)
        asked = true
        return answerTo(line)
      }
    }))
    if (Result.isFailure(answered)) return enter("Failed", answered.failure.message)
    const undisturbed = yield* waitUntil(endsAt)
    job.counts = answered.success
    if (!undisturbed) return yield* stopped
    if (late || fate?.status === "PartiallyCompleted") return enter("PartiallyCompleted", fate?.message ?? inTime)
    if (fate === undefined) return enter("Completed")
    if (fate.status === "Stopped") {
      stop(job, now())
      return yield* stopped
    }
    enter("Failed", fate.message ?? "The system encountered an unexpected error during processing.")
  })
}
