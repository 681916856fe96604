// Who does what the machine says: the one process that holds a batch's lease.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Corrupt, type LeaseLost, ServiceFailed, type StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Late, Part, Tally, Upload } from "../BatchJournal.ts"
import type { Job, JobControl } from "../JobControl.ts"
import { isKnown } from "./jobStatus.ts"
import type { Journal } from "./journalStore.ts"
import * as machine from "./machine.ts"
import { cancelKey, type Place } from "./place.ts"
import { looks, type Pace } from "./polling.ts"
import { jobPrefix, requestOf } from "./tokens.ts"

/** What is done with the data of a batch. */
export interface Data<E> {
  readonly collect: (journal: BatchJournal, part: Part) => Effect.Effect<Tally, E>
  readonly formRound: (journal: BatchJournal, round: number) => Effect.Effect<ReadonlyArray<Upload>, E>
  /** Asks on demand what is left, and ends when each of it has an answer or none is to be had. */
  readonly late: (journal: BatchJournal, late: typeof Late.Type) => Effect.Effect<void, E>
}

interface Polling extends Pace {
  /** Ends when something may have changed. */
  readonly wake: Effect.Effect<unknown>
}

export interface World<E> {
  readonly place: Place
  readonly journal: Journal
  readonly jobs: JobControl["Service"]
  readonly data: Data<E>
  readonly polling: Polling
  /** Ends while nobody else drives the batch. */
  readonly sure: Effect.Effect<void>
}

export type Failure = LeaseLost | StoreFailed | Corrupt | ServiceFailed

/** What is asked of Bedrock. */
const ofJobs: ReadonlySet<machine.Command["_tag"]> = new Set(["submit", "stop"])

/** Errors of a request that created nothing. */
const notCreated: ReadonlySet<string> = new Set(["ResourceQuotaError", "ThrottlingError"])

/** Of a job that the looks between do not show. */
const mostConflicts = 3

const conflicting = (message: string): string =>
  `Bedrock has another job of its name or its token, and lists none that is this one (${message}). ` +
  "The same records under another name of the batch are another job"

/** `submitted`: until all is asked that the jobs allow. `ended`: until nothing is left to do. */
export const drive = <E>(
  { data, journal, jobs, place, polling, sure }: World<E>,
  until: "submitted" | "ended"
): Effect.Effect<BatchJournal, E | Failure> =>
  Effect.gen(function*() {
    const prefix = jobPrefix(place)
    const told = new Set<string>()
    const settle = (event: machine.Event) => Effect.asVoid(journal.update((now) => machine.step(now, event)))
    // Until jobs are looked at again, none is asked for, and none is stopped: there is no room, or nothing is heard.
    let isHeldUp = false
    const conflicts = new Map<string, number>()

    const listed = Effect.map(
      Stream.runCollect(jobs.list(prefix)),
      (found) => found.filter(({ name }) => name.startsWith(prefix))
    )
    const listing = until === "ended" ? looks(listed, polling, polling.wake) : Effect.catchIf(
      listed,
      ({ retryable }) => retryable,
      // Whoever uploads does not wait for it: the next part looks again, and so does who resumes.
      ({ message }) =>
        Effect.as(Effect.logWarning("The batch's jobs could not be listed", { error: message }), undefined)
    )
    /** Who waits for days outlasts an hour without an answer: what may pass waits for the next look. */
    const later = (what: string, { job }: Part) => (error: BedrockError) => {
      if (!error.retryable) return Effect.fail(new ServiceFailed({ error }))
      isHeldUp = true
      return Effect.logWarning(what, { job: job?.arn, error: error.message })
    }

    const isCancelled = Effect.map(place.store.read(cancelKey(place)), (found) => found !== undefined)

    /** Ends when somebody cancels the batch. */
    const unwanted = isCancelled.pipe(
      // What is being asked is not given up for it.
      Effect.catchTag("StoreFailed", ({ message }) =>
        Effect.as(Effect.logWarning("Whether the batch is cancelled could not be read", { message }), false)),
      Effect.delay(polling.min),
      Effect.repeat({
        until: (isSo) =>
          isSo
      })
    )

    /** `isFirst`: nobody asked for this job before. */
    const submit = Effect.fnUntraced(function*(part: Part, isFirst: boolean) {
      const request = requestOf(place, yield* journal.current, part)
      const { name, token } = request
      yield* settle({ _tag: "submitting", of: part, job: { name, token } })
      // It may have been given up meanwhile by who follows: then nobody would read what it does.
      yield* sure
      yield* jobs.create(request).pipe(
        Effect.flatMap((arn) => settle({ _tag: "created", of: part, arn })),
        Effect.catchTag("BedrockError", (error) => {
          const { message, reason, retryable } = error
          if (reason._tag === "ConflictError") {
            const count = (conflicts.get(token) ?? 0) + 1
            conflicts.set(token, count)
            if (count >= mostConflicts) return settle({ _tag: "refused", of: part, message: conflicting(message) })
          } else if (reason._tag !== "ResourceQuotaError" && !retryable) {
            return settle({ _tag: "refused", of: part, message })
          }
          isHeldUp = true
          // There was no room in the account, which others use too. It was not created, unless by a request of which nothing was heard.
          if (isFirst && notCreated.has(reason._tag)) return settle({ _tag: "crowded", of: part })
          // Whether it was created is not known: the same is asked again, after a look at what is there. So too where Bedrock says that it is.
          return Effect.logWarning("A job could not be created yet", { job: name, error: message })
        })
      )
    })

    const run = Effect.fnUntraced(function*(command: machine.Command) {
      if (isHeldUp && ofJobs.has(command._tag)) return
      switch (command._tag) {
        case "submit":
          // One before it may have been refused.
          if (!machine.isAsking(yield* journal.current)) return
          return yield* submit(command.part, true)
        case "stop":
          return yield* jobs.stop(command.part.job?.arn ?? "").pipe(
            // One that Bedrock has forgotten needs no stop: the next look finds that out.
            Effect.catchIf(({ reason }) => reason._tag === "NotFoundError", () => Effect.void),
            Effect.andThen(settle({ _tag: "seen", of: command.part, status: "Stopping" })),
            Effect.catchTag("BedrockError", later("A job could not be stopped yet", command.part))
          )
        case "collect":
          return yield* settle({
            _tag: "collected",
            of: command.part,
            tally: yield* data.collect(yield* journal.current, command.part)
          })
        case "form":
          return yield* settle({
            _tag: "formed",
            round: command.round,
            uploads: yield* data.formRound(yield* journal.current, command.round)
          })
        case "late": {
          yield* settle({ _tag: "late", late: command.late })
          return yield* settle(
            yield* Effect.raceFirst(
              Effect.as(data.late(yield* journal.current, command.late), { _tag: "answered" } as const),
              Effect.as(unwanted, { _tag: "cancelled" } as const)
            )
          )
        }
        case "settle":
          return yield* settle(command.event)
        case "wait":
        case "over":
      }
    })

    const seen = Effect.fnUntraced(function*(part: Part, { message, status }: Job) {
      if (!isKnown(status) && !told.has(status)) {
        told.add(status)
        yield* Effect.logWarning("A job has a status that is not known, and is waited for", { status })
      }
      yield* settle({ _tag: "seen", of: part, status, message })
    })

    const missed = (part: Part) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => settle({ _tag: "missed", of: part, at }))

    const asked = Effect.gen(function*() {
      const { createdAt, settings, state } = yield* journal.current
      if (state === "open" || state === "running") {
        if (yield* isCancelled) yield* settle({ _tag: "cancelled" })
      }
      const { deadline } = settings
      if (deadline === undefined) return
      if ((yield* Clock.currentTimeMillis) >= createdAt + Duration.toMillis(deadline)) {
        yield* settle({ _tag: "overdue" })
      }
    })

    /** What was written down, and not heard of. */
    const find = Effect.fnUntraced(function*(part: Part, all: ReadonlyArray<Job>) {
      // Not one of a batch that was there before, under the same name.
      const found = all.find(({ name, token = part.job?.token }) =>
        name === part.job?.name && token === part.job?.token
      )
      if (found !== undefined) return yield* settle({ _tag: "created", of: part, arn: found.arn })
      if (!machine.isAsking(yield* journal.current)) yield* missed(part)
      else if (!isHeldUp) yield* submit(part, false)
    })

    /** A job that is in no listing. */
    const get = (part: Part, arn: string) =>
      jobs.get(arn).pipe(
        Effect.catchIf(({ reason }) => reason._tag === "NotFoundError", () => Effect.undefined),
        Effect.flatMap((job) => job === undefined ? missed(part) : seen(part, job)),
        Effect.catchTag("BedrockError", later("A job could not be looked at", part))
      )

    /** One look at all jobs. */
    const look = Effect.gen(function*() {
      const all = yield* Effect.mapError(listing, (error) => new ServiceFailed({ error }))
      isHeldUp = all === undefined
      if (all === undefined) return
      yield* asked
      const byArn = new Map(all.map((job) => [job.arn, job]))
      for (const part of (yield* journal.current).parts) {
        const { job, phase } = part
        if (phase === "submitting") yield* find(part, all)
        if (phase !== "running" || job?.arn === undefined) continue
        const listed = byArn.get(job.arn)
        yield* listed === undefined ? get(part, job.arn) : seen(part, listed)
      }
    })

    // What others began is looked at before anything is asked for.
    const { parts } = yield* journal.current
    if (parts.some(({ phase }) => phase === "submitting" || (phase === "running" && until === "ended"))) yield* look
    while (true) {
      yield* asked
      const commands = machine.next(yield* journal.current)
      if (commands.some(({ _tag }) => _tag === "over")) return yield* journal.current
      const now = commands.filter(({ _tag }) =>
        _tag !== "wait" && (until === "ended" || _tag === "submit") && !(isHeldUp && ofJobs.has(_tag))
      )
      for (const command of now) yield* run(command)
      if (now.length > 0) continue
      if (until === "submitted") return yield* journal.current
      yield* look
    }
  })
