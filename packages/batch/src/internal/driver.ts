// Who does what the machine says: the one process that holds a batch's lease.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Corrupt, type LeaseLost, ServiceFailed, type StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Late, Part, Tally, Upload } from "../BatchJournal.ts"
import type { Job, JobControl } from "../JobControl.ts"
import { gone, isKnown } from "./jobStatus.ts"
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
}

export type Failure = LeaseLost | StoreFailed | Corrupt | ServiceFailed

/** `submitted`: until all is asked that the jobs allow. `ended`: until nothing is left to do. */
export const drive = <E>(
  { data, journal, jobs, place, polling }: World<E>,
  until: "submitted" | "ended"
): Effect.Effect<BatchJournal, E | Failure> =>
  Effect.gen(function*() {
    const prefix = jobPrefix(place)
    const told = new Set<string>()
    const settle = (event: machine.Event) => journal.update((now) => machine.step(now, event))
    // Until jobs are looked at again, no more are asked for: there is no room, or nothing is heard.
    let isHeldUp = false

    const listed = Effect.map(
      Stream.runCollect(jobs.list(prefix)),
      (found) => found.filter(({ name }) => name.startsWith(prefix))
    )
    const listing = looks(listed, polling, polling.wake)
    const service = <A>(asked: Effect.Effect<A, BedrockError>) =>
      Effect.mapError(asked, (error) => new ServiceFailed({ error }))

    const create = Effect.fnUntraced(function*(part: Part) {
      const now = yield* journal.current
      const request = requestOf(place, now, part)
      yield* jobs.create(request).pipe(
        Effect.flatMap((arn) => settle({ _tag: "created", of: part, arn })),
        Effect.catchTag("BedrockError", (error) => {
          const { reason } = error
          // There was no room in the account, which others use too.
          if (reason._tag === "ResourceQuotaError") {
            isHeldUp = true
            return settle({ _tag: "crowded", of: part })
          }
          // Whether it was created is not known: the same is asked again, after a look at what is there. So too where Bedrock says that it is.
          if (error.retryable || reason._tag === "ConflictError") {
            isHeldUp = true
            return Effect.logWarning("A job could not be created yet", { job: request.name, error: error.message })
          }
          return settle({ _tag: "refused", of: part, message: error.message })
        })
      )
    })

    const submit = Effect.fnUntraced(function*(part: Part) {
      const { name, token } = requestOf(place, yield* journal.current, part)
      yield* settle({ _tag: "submitting", of: part, job: { name, token } })
      yield* create(part)
    })

    const run = Effect.fnUntraced(function*(command: machine.Command) {
      switch (command._tag) {
        case "submit":
          return isHeldUp ? undefined : yield* submit(command.part)
        case "stop": {
          // One that Bedrock has forgotten needs no stop: the next look finds that out.
          yield* service(
            Effect.catchIf(
              jobs.stop(command.part.job?.arn ?? ""),
              ({ reason }) => reason._tag === "NotFoundError",
              () => Effect.void
            )
          )
          return yield* settle({ _tag: "seen", of: command.part, status: "Stopping" })
        }
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
          yield* data.late(yield* journal.current, command.late)
          return yield* settle({ _tag: "answered" })
        }
        case "settle":
          return yield* settle(command.event)
        case "wait":
        case "over":
          return undefined
      }
    })

    const watched = Effect.fnUntraced(function*(part: Part, job: Job | undefined) {
      const { message, status } = job ?? { status: gone, message: "Bedrock does not know it any more" }
      if (!isKnown(status) && !told.has(status)) {
        told.add(status)
        yield* Effect.logWarning("A job has a status that is not known, and is waited for", { status })
      }
      yield* settle({ _tag: "seen", of: part, status, message })
    })

    const asked = Effect.gen(function*() {
      const { createdAt, settings, state } = yield* journal.current
      if (state === "open" || state === "running") {
        if ((yield* place.store.read(cancelKey(place))) !== undefined) yield* settle({ _tag: "cancelled" })
      }
      const { deadline } = settings
      if (deadline === undefined) return
      if ((yield* Clock.currentTimeMillis) >= createdAt + Duration.toMillis(deadline)) {
        yield* settle({ _tag: "overdue" })
      }
    })

    /** What was written down, and not heard of. */
    const found = Effect.fnUntraced(function*(part: Part, all: ReadonlyArray<Job>) {
      // Not one of a batch that was there before, under the same name.
      const mine = all.find(({ name, token = part.job?.token }) => name === part.job?.name && token === part.job?.token)
      if (mine !== undefined) return yield* settle({ _tag: "created", of: part, arn: mine.arn })
      if (machine.isAsking(yield* journal.current)) return isHeldUp ? undefined : yield* create(part)
      return yield* settle({ _tag: "crowded", of: part })
    })

    /** A job that is in no listing. */
    const missed = (part: Part, arn: string) =>
      jobs.get(arn).pipe(
        Effect.map((job): Job | undefined => job),
        Effect.catchIf(({ reason }) => reason._tag === "NotFoundError", () => Effect.undefined),
        Effect.flatMap((job) => watched(part, job)),
        // Who waits for days outlasts an hour without an answer.
        Effect.catchTag("BedrockError", (error) =>
          error.retryable
            ? Effect.logWarning("A job could not be looked at", { job: arn, error: error.message })
            : Effect.fail(new ServiceFailed({ error })))
      )

    /** One look at all jobs. */
    const look = Effect.gen(function*() {
      const all = yield* service(listing)
      isHeldUp = false
      yield* asked
      const byArn = new Map(all.map((job) => [job.arn, job]))
      for (const part of (yield* journal.current).parts) {
        const { job, phase } = part
        if (phase === "submitting") yield* found(part, all)
        if (phase !== "running" || job?.arn === undefined) continue
        const listed = byArn.get(job.arn)
        yield* listed === undefined ? missed(part, job.arn) : watched(part, listed)
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
        _tag !== "wait" && (until === "ended" || _tag === "submit") && !(isHeldUp && _tag === "submit")
      )
      for (const command of now) yield* run(command)
      if (now.length > 0) continue
      if (until === "submitted") return yield* journal.current
      yield* look
    }
  })
