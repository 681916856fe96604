/** A Bedrock, a bucket and the data of a batch, all in memory and on the test's clock; and processes that drive the batch, and are killed. */
import type { StoreFailed } from "@caprock/batch/BatchError"
import type { BatchJournal, Part, Tally, Upload } from "@caprock/batch/BatchJournal"
import * as BatchLimits from "@caprock/batch/BatchLimits"
import type { Settled } from "@caprock/batch/BatchSettings"
import type * as JobControl from "@caprock/batch/JobControl"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { Clock, Effect, Exit, Fiber, Scope, Stream } from "effect"
import * as driver from "../src/internal/driver.ts"
import { isLast } from "../src/internal/jobStatus.ts"
import * as journalStore from "../src/internal/journalStore.ts"
import * as lease from "../src/internal/lease.ts"
import * as machine from "../src/internal/machine.ts"
import { cancelKey, type Place } from "../src/internal/place.ts"

/** How a job ends: `part` of its records are answered, and `failing` of those by the service's error, `wrong` by the model's. */
export interface Fate {
  readonly end:
    | "Completed"
    | "PartiallyCompleted"
    | "Failed"
    | "Expired"
    | "Gone"
    | "Stopped"
  readonly message?: string | undefined
  readonly part: number
  readonly failing: number
  readonly wrong: number
}

/** What becomes of one question to the control plane. */
export type Luck = "well" | "lost" | "unanswered" | "throttled" | "full" | "conflict"

type Outcome = "answered" | "rejected" | "failed"

interface FakeJob {
  readonly arn: string
  readonly request: JobControl.NewJob
  readonly fate: Fate
  readonly created: number
  stopped: number | undefined
  /** It stands in the journal: until then it is not forgotten. */
  heard: boolean
  outcomes: Map<number, Outcome> | undefined
}

export interface Lab {
  readonly place: Place
  readonly jobs: Map<string, FakeJob>
  /** What was to be created, as often as it was asked. */
  readonly asked: Array<JobControl.NewJob>
  /** Whoever answered a record, by its place in the input. */
  readonly answers: Map<number, Array<string>>
  readonly indices: (part: Upload) => ReadonlyArray<number>
  readonly statusOf: (job: FakeJob, now: number) => string
  /** Has all jobs done what they do, those too that nobody asks any more. */
  readonly finish: () => void
  readonly cancel: Effect.Effect<void, StoreFailed>
  /** One process, from its start to its end: it finishes, or dies at its `operations`th operation. */
  readonly process: (
    operations: number,
    until?: "submitted" | "ended"
  ) => Effect.Effect<Exit.Exit<BatchJournal, unknown>>
}

const minute = 60_000

const settings: Settled = {
  model: "m",
  invocationType: "Converse",
  roleArn: "arn:aws:iam::111122223333:role/r",
  timeoutHours: 24,
  rounds: 3,
  small: "on-demand",
  strict: false
}

export const failed = (reason: Reason.Reason) =>
  new BedrockError({ operation: "CreateModelInvocationJob", attempts: 1, reason })

export const make = (
  {
    fates,
    lag = 0,
    limits = {},
    listing = () => Effect.void,
    luck = () => "well",
    pace = { min: minute, max: 10 * minute },
    records,
    settings: more = {},
    stopping = () => Effect.void,
    wake = Effect.never
  }: {
    readonly records: number
    /** Of the nth job that is created; the last for all that follow. */
    readonly fates: ReadonlyArray<Fate>
    readonly luck?: () => Luck
    readonly pace?: { readonly min: number; readonly max: number }
    /** Minutes until Bedrock shows a job that it created. */
    readonly lag?: number
    /** What becomes of a listing. */
    readonly listing?: () => Effect.Effect<void, BedrockError>
    /** What becomes of a request to stop. */
    readonly stopping?: () => Effect.Effect<void, BedrockError>
    readonly wake?: Effect.Effect<unknown>
    readonly limits?: Partial<BatchLimits.BatchLimits>
    readonly settings?: Partial<Settled>
  }
): Effect.Effect<Lab> =>
  Effect.gen(function*() {
    const store = ObjectStore.makeMemory()
    const place: Place = { store, prefix: "caprock/nightly/" }
    const limited = { ...BatchLimits.defaults, minimumRecords: 4, recordsPerJob: 10, ...limits }
    const jobs = new Map<string, FakeJob>()
    const asked: Array<JobControl.NewJob> = []
    const answers = new Map<number, Array<string>>()
    const folders = new Map<string, ReadonlyArray<number>>()
    const folder = ({ generation, part, round }: Upload) => `caprock/nightly/in/${round}-${part}-${generation}/`
    const indices = (part: Upload) => folders.get(folder(part)) ?? []

    const uploadsOf = (round: number, generation: number, all: ReadonlyArray<number>): ReadonlyArray<Upload> => {
      const count = Math.max(1, Math.ceil(all.length / limited.recordsPerJob))
      return Array.from({ length: count }, (_, part) => {
        const some = all.slice(Math.floor(part * all.length / count), Math.floor((part + 1) * all.length / count))
        const upload: Upload = {
          round,
          part,
          generation,
          first: some[0] ?? 0,
          last: some.at(-1) ?? 0,
          records: some.length,
          refused: 0,
          bytes: some.length,
          files: [],
          digest: `d${some.join("-")}`
        }
        folders.set(folder(upload), some)
        return upload
      })
    }

    const note = (index: number, who: string) => answers.set(index, [...answers.get(index) ?? [], who])

    /** What a job has done by now, once and for all when it has ended. */
    const outcomesOf = (job: FakeJob): Map<number, Outcome> => {
      if (job.outcomes !== undefined) return job.outcomes
      const all = folders.get(job.request.input.replace("s3://memory/", "")) ?? []
      const share = job.stopped === undefined ? job.fate.part : Math.min(job.fate.part, 0.5)
      const outcomes = new Map<number, Outcome>()
      for (const index of all.slice(0, Math.round(all.length * share))) {
        const place = (index * 7919 % 100) / 100
        const outcome = place < job.fate.failing ? "failed" : place > 1 - job.fate.wrong ? "rejected" : "answered"
        outcomes.set(index, outcome)
        if (outcome === "answered") note(index, job.request.name)
      }
      job.outcomes = outcomes
      return outcomes
    }

    const statusOf = (job: FakeJob, now: number): string => {
      if (job.stopped !== undefined) return now - job.stopped < minute ? "Stopping" : "Stopped"
      const age = now - job.created
      if (age < minute) return "Submitted"
      if (age < 3 * minute) return "SomethingNew"
      if (age < 10 * minute || (job.fate.end === "Gone" && !job.heard)) return "InProgress"
      return job.fate.end
    }

    const described = (job: FakeJob, now: number) => ({
      arn: job.arn,
      name: job.request.name,
      status: statusOf(job, now),
      ...(job.fate.message === undefined ? {} : { message: job.fate.message }),
      submittedAt: job.created,
      input: job.request.input,
      output: job.request.output
    })

    const known = (now: number) => [...jobs.values()].filter((job) => statusOf(job, now) !== "Gone")
    const shown = (now: number) => known(now).filter(({ created }) => now >= created + lag * minute)

    const control: JobControl.JobControl["Service"] = {
      create: (request) =>
        Effect.gen(function*() {
          const now = yield* Clock.currentTimeMillis
          asked.push(request)
          const lucky = luck()
          if (lucky === "lost") return yield* failed(new Reason.ServerError({ kind: "unavailable", message: "503" }))
          if (lucky === "throttled") {
            return yield* failed(new Reason.ThrottlingError({ limit: "unknown", message: "slowly" }))
          }
          if (lucky === "conflict") return yield* failed(new Reason.ConflictError({ message: "the name is taken" }))
          const live = known(now).filter((job) => !isLast(statusOf(job, now)))
          const found = [...jobs.values()].find((job) => job.request.token === request.token)
          if (lucky === "full" || (found === undefined && live.length >= limited.jobs)) {
            return yield* failed(new Reason.ResourceQuotaError({ message: "too many jobs" }))
          }
          const fate = fates[Math.min(jobs.size, fates.length - 1)]
          if (fate === undefined) return yield* Effect.die("no fate")
          const arn = found?.arn ?? `arn:job/${jobs.size}`
          if (found === undefined) {
            jobs.set(arn, { arn, request, fate, created: now, stopped: undefined, heard: false, outcomes: undefined })
          }
          if (lucky === "unanswered") {
            return yield* failed(new Reason.ServerError({ kind: "internal", message: "500" }))
          }
          return arn
        }),
      get: (arn) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const job = shown(now).find((job) => job.arn === arn)
          return job === undefined
            ? Effect.fail(failed(new Reason.NotFoundError({ kind: "resource", message: "no such job" })))
            : Effect.succeed(described(job, now))
        }),
      list: (nameContains) =>
        Stream.unwrap(Effect.map(Effect.andThen(Effect.suspend(listing), Clock.currentTimeMillis), (now) =>
          Stream.fromIterable(
            shown(now).filter(({ request }) => request.name.includes(nameContains)).map((job) => described(job, now))
          ))),
      stop: (arn) =>
        Effect.map(Effect.andThen(Effect.suspend(stopping), Clock.currentTimeMillis), (now) => {
          const job = jobs.get(arn)
          if (job !== undefined && !isLast(statusOf(job, now))) {
            job.stopped ??= now
          }
        })
    }

    const outcomesFor = (part: Part, now: number): Map<number, Outcome> => {
      const job = jobs.get(part.job?.arn ?? "")
      return job === undefined || !isLast(statusOf(job, now)) ? new Map() : outcomesOf(job)
    }

    const wanted = (journal: BatchJournal, now: number) => {
      const final = new Set<number>()
      for (const part of journal.parts) {
        for (const [index, outcome] of outcomesFor(part, now)) {
          if (outcome !== "failed") {
            final.add(index)
          }
        }
      }
      return Array.from({ length: records }, (_, i) =>
        i).filter((index) => !final.has(index))
    }

    const data: driver.Data<never> = {
      collect: (_, part) =>
        Effect.map(Clock.currentTimeMillis, (now): Tally => {
          const outcomes = [...outcomesFor(part, now).values()]
          const count = (one: Outcome) => outcomes.filter((outcome) => outcome === one).length
          return {
            succeeded: count("answered"),
            rejected: count("rejected"),
            failed: count("failed"),
            missing: part.records - outcomes.length,
            foreign: 0,
            repeated: 0,
            inputTokens: 0,
            outputTokens: 0
          }
        }),
      formRound: (journal, round) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const rested = new Set(journal.parts.filter(({ rest }) => rest !== undefined).flatMap(indices))
          const before = journal.parts.filter((part) => part.round === round - 1 && machine.mayAgain(journal, part))
            .flatMap(indices)
          const left = new Set(wanted(journal, now))
          return uploadsOf(round, journal.generation, before.filter((index) => left.has(index) && !rested.has(index)))
        }),
      late: (journal) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          for (const index of wanted(journal, now)) if (!answers.has(index)) note(index, "late")
        })
    }

    const initial: BatchJournal = {
      format: 1,
      name: "nightly",
      generation: 0,
      revision: 0,
      createdAt: yield* Clock.currentTimeMillis,
      settings: { ...settings, ...more },
      limits: limited,
      input: { sealed: true, records, refused: 0, bytes: records, chain: "" },
      round: 0,
      parts: [],
      state: "running"
    }
    const uploaded = uploadsOf(0, 1, Array.from({ length: records }, (_, i) => i)).reduce(
      (journal, upload) => machine.step(journal, { _tag: "uploaded", upload, input: initial.input }),
      initial
    )

    const process: Lab["process"] = (operations, until = "ended") =>
      Effect.gen(function*() {
        let left = operations
        // What is dead asks for nothing any more, and hears nothing.
        const alive = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
          Effect.suspend(() => left-- > 0 ? effect : Effect.never).pipe(
            Effect.tap(Effect.suspend(() => left-- > 0 ? Effect.void : Effect.never))
          )
        const mine: Place = {
          ...place,
          store: {
            ...store,
            put: (key, bytes, when) =>
              alive(Effect.tap(store.put(key, bytes, when), (etag) =>
                Effect.sync(() => {
                  const text = etag === undefined ? "" : new TextDecoder().decode(bytes)
                  for (const job of jobs.values()) job.heard ||= text.includes(`"${job.arn}"`)
                }))),
            read: (key) => alive(store.read(key))
          }
        }
        const scope = yield* Scope.make()
        const work = Effect.gen(function*() {
          const held = yield* Scope.provide(lease.take(mine, { millis: 30 * minute, patient: true }), scope)
          const journal = yield* journalStore.open(mine, held, uploaded)
          yield* journal.update((now) => machine.step(now, { _tag: "resumed" }))
          return yield* held.hold(driver.drive({
            place: mine,
            journal,
            jobs: {
              create: (request) => alive(control.create(request)),
              get: (arn) => alive(control.get(arn)),
              list: (text) => Stream.unwrap(alive(Effect.succeed(control.list(text)))),
              stop: (arn) => alive(control.stop(arn))
            },
            data: {
              collect: (...args) => alive(data.collect(...args)),
              formRound: (...args) => alive(data.formRound(...args)),
              late: (...args) => alive(data.late(...args))
            },
            polling: { ...pace, wake }
          }, until))
        })
        const dead = Effect.repeat(Effect.sleep(minute), { until: () => left <= 0 })
        // What is killed is not asked to end: it just does nothing any more.
        const fiber = yield* Effect.forkDetach(work)
        const exit = yield* Effect.exit(
          Effect.raceFirst(Fiber.join(fiber), Effect.andThen(dead, Effect.fail("killed")))
        )
        yield* Effect.forkDetach(Scope.close(scope, Exit.void))
        return exit
      })

    return {
      place,
      jobs,
      asked,
      answers,
      indices,
      statusOf,
      finish: () => jobs.forEach((job) => outcomesOf(job)),
      cancel: Effect.asVoid(store.put(cancelKey(place), new Uint8Array())),
      process
    }
  })
