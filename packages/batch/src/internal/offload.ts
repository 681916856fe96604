// A batch from its records to its results: what the parts of this package do, in their order.
import { Bedrock } from "@caprock/bedrock/Bedrock"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  BatchError,
  type Corrupt,
  Exists,
  type InputChanged,
  InputIncomplete,
  InvalidSetting,
  JobFailed,
  type LeaseHeld,
  type LeaseLost,
  NotFound,
  type Reason,
  ServiceFailed,
  StoppedElsewhere,
  type StoreFailed,
  type StoreUnsafe
} from "../BatchError.ts"
import type { BatchJournal, Problem, Status } from "../BatchJournal.ts"
import * as BatchLimits from "../BatchLimits.ts"
import type { BatchOffload, Options } from "../BatchOffload.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import { type BatchSettings, settle, type Settled } from "../BatchSettings.ts"
import { JobControl } from "../JobControl.ts"
import { ObjectStore } from "../ObjectStore.ts"
import { collect } from "./collect.ts"
import * as driver from "./driver.ts"
import { follow } from "./follow.ts"
import * as journalStore from "./journalStore.ts"
import * as lease from "./lease.ts"
import * as machine from "./machine.ts"
import { onDemand } from "./onDemand.ts"
import { cancelKey, late, type Place } from "./place.ts"
import * as Resubmit from "./resubmit.ts"
import * as Results from "./results.ts"
import { statusOf } from "./status.ts"
import { jobPrefix } from "./tokens.ts"
import { write } from "./write.ts"

export const defaults = {
  prefix: "caprock/",
  /** A process that stops for a garbage collection or a slow disk is back in a tenth of it; and what a dead one left undone waits no longer. */
  lease: Duration.seconds(30),
  patient: false,
  /** A job takes minutes at its quickest; what waits for results that took hours does not mind five minutes. */
  poll: { min: Duration.seconds(30), max: Duration.minutes(5) }
} as const

/** What the caller's own records failed with: it stays what it is. */
class Theirs<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

const errorOf = (batch: string) => (reason: Reason): BatchError => new BatchError({ batch, reason })

const millisOf = (input: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(input))

/** Whoever drives a batch. */
interface Driver {
  readonly hold: lease.Lease["hold"]
  readonly journal: journalStore.Journal
  readonly drive: (
    until: "submitted" | "ended"
  ) => Effect.Effect<BatchJournal, driver.Failure | Corrupt | InputChanged | StoreFailed>
}

/** Part of a key, of a job's name, and of what is typed on a command line. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/

const reasonOf = ({ job, kind, message, status }: Problem): Reason =>
  kind === "stopped" ? new StoppedElsewhere({ job }) : new JobFailed({ job, status, problem: message })

/** The first setting that differs. */
const differs = (a: Settled, b: Settled): string | undefined => {
  const texts = (settled: Settled) =>
    new Map(Object.entries(settled).map(([key, value]) => [key, JSON.stringify(value)]))
  const [one, other] = [texts(a), texts(b)]
  return [...one.keys(), ...other.keys()].find((key) => one.get(key) !== other.get(key))
}

export const make = Effect.fnUntraced(function*(options: Options) {
  const store = yield* ObjectStore
  const jobs = yield* JobControl
  const bedrock = yield* Bedrock
  const disk = yield* FileSystem.FileSystem
  const prefix = options.prefix ?? defaults.prefix
  const leased: lease.Options = {
    millis: millisOf(options.lease ?? defaults.lease),
    patient: options.patient ?? defaults.patient
  }
  const limits = { ...BatchLimits.defaults, ...options.limits }
  let isProven = false

  const placeOf = (name: string): Effect.Effect<Place, InvalidSetting> =>
    namePattern.test(name)
      ? Effect.succeed({ store, prefix: `${prefix}${name}/` })
      : Effect.fail(new InvalidSetting({ problem: `the name ${JSON.stringify(name)} is not ${String(namePattern)}` }))

  /** Once: what is entrusted to the bucket stands on it. */
  const proven = Effect.suspend(() =>
    isProven ? Effect.void : Effect.tap(
      store.prove(prefix),
      Effect.sync(() => {
        isProven = true
      })
    )
  )

  const known = (place: Place) =>
    Effect.flatMap(
      journalStore.read(place),
      (journal) => journal === undefined ? Effect.fail(new NotFound()) : Effect.succeed(journal)
    )

  /** What is asked on demand: each time it is called, what has no answer by then. */
  const asked = (place: Place) => (journal: BatchJournal) =>
    Effect.gen(function*() {
      let files = yield* Stream.runCount(store.list(`${late(place)}${journal.generation}-`))
      yield* onDemand(
        { batch: journal.name, settings: journal.settings },
        Resubmit.leftOver(place, journal),
        (lines) => store.put(`${late(place)}${journal.generation}-${files++}.jsonl.out`, lines)
      ).pipe(Effect.provideService(Bedrock, bedrock))
    })

  /** The one that drives a batch, as long as the scope is open. */
  const held = Effect.fnUntraced(function*(
    place: Place,
    initial: BatchJournal | undefined,
    tell: (journal: BatchJournal) => void
  ): Effect.fn.Return<
    Driver,
    Corrupt | LeaseHeld | LeaseLost | NotFound | StoreFailed | StoreUnsafe,
    Scope.Scope
  > {
    yield* proven
    const hold = yield* lease.take(place, leased)
    const journal = yield* journalStore.open(place, hold, initial, tell)
    // What somebody began to upload, and won't end.
    yield* store.sweep(place.prefix)
    const woken = yield* Queue.sliding<void>(1)
    yield* Effect.forkScoped(Stream.runForEach(options.wake ?? Stream.empty, () => Queue.offer(woken, undefined)))
    const drive: Driver["drive"] = (until) =>
      driver.drive<Corrupt | InputChanged | ServiceFailed | StoreFailed>({
        place,
        journal,
        jobs,
        data: {
          collect: (journal, part) => collect(place, journal, part),
          formRound: (journal, round) => Resubmit.formRound(place, journal, round),
          late: asked(place)
        },
        polling: {
          minMillis: millisOf(options.poll?.min ?? defaults.poll.min),
          maxMillis: millisOf(options.poll?.max ?? defaults.poll.max),
          wake: Queue.take(woken)
        }
      }, until)
    return { hold: hold.hold, journal, drive }
  })

  const initialOf = Effect.fnUntraced(function*(name: string, settings: BatchSettings) {
    const settled = settle(settings)
    if (Result.isFailure(settled)) return yield* new InvalidSetting({ problem: String(settled.failure) })
    if (limits.recordsPerJob < 2 * limits.minimumRecords - 1) {
      const problem =
        `recordsPerJob ${limits.recordsPerJob} is less than twice the minimumRecords ${limits.minimumRecords}`
      return yield* new InvalidSetting({ problem })
    }
    const initial: BatchJournal = {
      format: 1,
      name,
      generation: 0,
      revision: 0,
      createdAt: yield* Clock.currentTimeMillis,
      settings: settled.success,
      limits,
      input: { sealed: false, records: 0, refused: 0, bytes: 0, chain: "" },
      round: 0,
      parts: [],
      state: "open"
    }
    return initial
  })

  /** Uploads what is not there yet, and has jobs created meanwhile. */
  const uploaded = <E, R>(
    place: Place,
    { drive, journal }: Driver,
    { settings }: BatchJournal,
    records: Stream.Stream<BatchRecord, E, R>
  ) =>
    Effect.gen(function*() {
      const before = yield* journal.current
      const setting = differs(before.settings, settings)
      if (setting !== undefined) return yield* new Exists({ setting })
      yield* Stream.runForEach(
        write(place, before, Stream.mapError(records, (error) => new Theirs(error))),
        ({ input, upload }) =>
          Effect.andThen(
            journal.update((now) => machine.step(now, { _tag: "uploaded", input, upload })),
            drive("submitted")
          )
      )
      yield* journal.update((now) => machine.step(now, { _tag: "sealed" }))
      return yield* drive("submitted")
    })

  const ended = (drive: Driver["drive"]) =>
    Effect.flatMap(
      drive("ended"),
      (journal) => journal.problem === undefined ? Effect.succeed(journal) : Effect.fail(reasonOf(journal.problem))
    )

  const service: BatchOffload["Service"] = {
    submit: (name, settings, records) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const initial = yield* initialOf(name, settings)
        const driven = yield* held(place, initial, () => {})
        return statusOf(yield* driven.hold(uploaded(place, driven, initial, records)))
      }).pipe(
        Effect.scoped,
        Effect.mapError((failure) => failure instanceof Theirs ? failure.error : errorOf(name)(failure))
      ),

    resume: (name) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const { drive, hold, journal } = yield* held(place, undefined, () => {})
        const { input } = yield* journal.current
        if (!input.sealed) return yield* new InputIncomplete({ records: input.records })
        return statusOf(yield* hold(ended(drive)))
      }).pipe(Effect.scoped, Effect.mapError(errorOf(name))),

    run: (name, settings, records, { input = true } = {}) =>
      Stream.unwrap(Effect.gen(function*() {
        const place = yield* placeOf(name)
        const initial = yield* initialOf(name, settings)
        type Failure = Reason | Theirs<Stream.Error<typeof records>>
        // Of several journals the last says what the others do.
        const journals = yield* Queue.sliding<BatchJournal, Failure | Cause.Done>(1)
        const driven = yield* held(place, initial, (journal) => Queue.offerUnsafe(journals, journal))
        yield* Effect.forkScoped(
          driven.hold(Effect.andThen(uploaded(place, driven, initial, records), ended(driven.drive))).pipe(
            Effect.matchCauseEffect({
              onFailure: (cause) => Queue.failCause(journals, cause),
              onSuccess: () => Queue.end(journals)
            })
          )
        )
        return Stream.flatMap(Stream.fromQueue(journals), follow(place, { input }))
      })).pipe(
        Stream.provideService(FileSystem.FileSystem, disk),
        Stream.mapError((failure) => failure instanceof Theirs ? failure.error : errorOf(name)(failure))
      ),

    results: (name, { input = true, order = "any" } = {}) =>
      Stream.unwrap(Effect.gen(function*() {
        const place = yield* placeOf(name)
        return Results.results(place, yield* known(place), { input, order })
      })).pipe(Stream.provideService(FileSystem.FileSystem, disk), Stream.mapError(errorOf(name))),

    status: (name) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const journal = yield* known(place)
        const live = yield* Stream.runCollect(jobs.list(jobPrefix(place))).pipe(
          Effect.mapError((error) => new ServiceFailed({ error }))
        )
        return statusOf(journal, new Map(live.map(({ arn, status }) => [arn, status])))
      }).pipe(Effect.mapError(errorOf(name))),

    cancel: (name) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const { parts } = yield* known(place)
        yield* store.put(cancelKey(place), new TextEncoder().encode("{}\n"))
        const arns = parts.flatMap(({ job, phase }) => phase === "running" && job?.arn !== undefined ? [job.arn] : [])
        yield* Effect.forEach(arns, (arn) => jobs.stop(arn), { discard: true }).pipe(
          Effect.mapError((error) => new ServiceFailed({ error }))
        )
      }).pipe(Effect.mapError(errorOf(name))),

    list: store.list(prefix).pipe(
      Stream.filter(({ key }) => key.slice(prefix.length).split("/").slice(1).join("/") === "journal.json"),
      Stream.mapEffect(({ key }) => known({ store, prefix: key.slice(0, -"journal.json".length) })),
      Stream.map((journal): Status => statusOf(journal)),
      Stream.mapError(errorOf("of all"))
    )
  }
  return service
})
