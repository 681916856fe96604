// A batch from its records to its results: what the parts of this package do, in their order.
import { Bedrock } from "@caprock/bedrock/Bedrock"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
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
import { isLast } from "./jobStatus.ts"
import * as journalStore from "./journalStore.ts"
import * as lease from "./lease.ts"
import * as machine from "./machine.ts"
import { onDemand } from "./onDemand.ts"
import * as Orphans from "./orphans.ts"
import { cancelKey, late, type Place, uploadsOf } from "./place.ts"
import { alarm } from "./polling.ts"
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
  /** Has whoever drives look again. */
  readonly wake: Effect.Effect<unknown>
  readonly drive: (
    until: "submitted" | "ended"
  ) => Effect.Effect<BatchJournal, driver.Failure | Corrupt | InputChanged | StoreFailed>
}

/** Part of a key, of a job's name, and of what is typed on a command line. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/

/** Journals are a few hundred kilobytes at most. */
const listedAtOnce = 8

const reasonOf = ({ job, kind, message, status }: Problem): Reason =>
  kind === "stopped" ? new StoppedElsewhere({ job }) : new JobFailed({ job, status, problem: message })

/** Whether more of its input is of no use. */
const isOff = ({ problem, state }: BatchJournal): boolean =>
  problem !== undefined || state === "cancelling" || state === "cancelled"

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
      : Effect.fail(
        new InvalidSetting({
          problem: `the name ${
            JSON.stringify(name)
          } has to be 1 to 128 letters, digits, dots, dashes and underscores, and to begin with a letter or a digit`
        })
      )

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

  /** All jobs that the batch has, by what Bedrock says. */
  const listed = (place: Place) =>
    Effect.mapError(Stream.runCollect(jobs.list(jobPrefix(place))), (error) => new ServiceFailed({ error }))

  /** What is asked on demand: each time it is called, what has no answer by then. */
  const asked = (place: Place, sure: Effect.Effect<void>) => (journal: BatchJournal) =>
    Effect.gen(function*() {
      let files = yield* Stream.runCount(store.list(`${late(place)}${journal.generation}-`))
      yield* onDemand(
        { batch: journal.name, settings: journal.settings, sure },
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
    // What was in the batch's way is tried again by whoever comes next.
    yield* journal.update((now) => machine.step(now, { _tag: "resumed" }))
    // Whoever follows uploads, too.
    yield* hold.hold(Effect.gen(function*() {
      yield* hold.sure
      // What somebody began to upload, and won't end. Nothing else: below the prefix Bedrock uploads, too.
      for (const uploads of uploadsOf(place)) yield* store.sweep(uploads)
      yield* Orphans.remove(place, yield* journal.current, hold.generation - 1)
    }))
    const woken = yield* alarm(options.wake ?? Stream.empty)
    const drive: Driver["drive"] = (until) =>
      driver.drive<Corrupt | InputChanged | ServiceFailed | StoreFailed>({
        place,
        journal,
        jobs,
        data: {
          collect: (journal, part) => collect(place, journal, part),
          formRound: (journal, round) => Resubmit.formRound(place, journal, round),
          late: asked(place, hold.sure)
        },
        sure: hold.sure,
        polling: {
          min: millisOf(options.poll?.min ?? defaults.poll.min),
          max: millisOf(options.poll?.max ?? defaults.poll.max),
          wake: Queue.take(woken)
        }
      }, until)
    return { hold: hold.hold, journal, drive, wake: Queue.offer(woken, undefined) }
  })

  const initialOf = Effect.fnUntraced(function*(name: string, settings: BatchSettings) {
    const settled = settle(settings)
    if (Result.isFailure(settled)) {
      return yield* new InvalidSetting({ problem: settled.failure.message.replace(/\s+/g, " ") })
    }
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

  /** Whether it is the batch that is meant: with the same settings, or with others while nothing has been asked by them. */
  const agreed = Effect.fnUntraced(function*(place: Place, { journal }: Driver, { settings }: BatchJournal) {
    // How the input is read is nothing that was asked: it may be strict one time, and not the next.
    const now = yield* journal.update((now) =>
      now.settings.strict === settings.strict
        ? now
        : { ...now, settings: { ...now.settings, strict: settings.strict } }
    )
    const setting = differs(now.settings, settings)
    if (setting === undefined) return
    // What Bedrock refused may be a setting.
    const isAsked = now.parts.some(({ attempt, job, phase, round }) =>
      round > 0 || attempt > 0 || job !== undefined || phase !== "uploaded"
    )
    if (isAsked || (yield* listed(place)).length > 0) return yield* new Exists({ setting })
    yield* journal.update((now) => ({ ...now, settings }))
  })

  /** Uploads what is not there yet, and tells so each time: until there is a problem, or somebody cancels it. */
  const uploaded = <E, R, E2>(
    place: Place,
    { journal }: Driver,
    records: Stream.Stream<BatchRecord, E, R>,
    told: Effect.Effect<unknown, E2>
  ) =>
    Effect.gen(function*() {
      yield* told
      const before = yield* journal.current
      if (isOff(before)) return
      yield* write(place, before, Stream.mapError(records, (error) => new Theirs(error))).pipe(
        Stream.mapEffect(({ input, upload }) =>
          journal.update((now) => machine.step(now, { _tag: "uploaded", input, upload })).pipe(
            Effect.andThen(told),
            Effect.andThen(journal.current)
          )
        ),
        Stream.takeUntil(isOff),
        Stream.runDrain
      )
      if (isOff(yield* journal.current)) return
      yield* journal.update((now) => machine.step(now, { _tag: "sealed" }))
      yield* told
    })

  /** Once nothing is uploaded any more. */
  const cleared = (place: Place, { journal }: Driver) =>
    Effect.flatMap(journal.current, (now) => Orphans.remove(place, now, now.generation))

  const ended = (drive: Driver["drive"]) =>
    Effect.flatMap(
      drive("ended"),
      (journal) =>
        journal.state === "failed" && journal.problem !== undefined
          ? Effect.fail(reasonOf(journal.problem))
          : Effect.succeed(journal)
    )

  const service: BatchOffload["Service"] = {
    submit: (name, settings, records, { onChange = () => {} } = {}) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const initial = yield* initialOf(name, settings)
        const driven = yield* held(place, initial, (journal) => onChange(statusOf(journal)))
        return yield* driven.hold(Effect.gen(function*() {
          yield* agreed(place, driven, initial)
          yield* uploaded(place, driven, records, driven.drive("submitted"))
          const now = yield* driven.journal.current
          return now.problem === undefined ? statusOf(now) : yield* reasonOf(now.problem)
        }))
      }).pipe(
        Effect.scoped,
        Effect.mapError((failure) => failure instanceof Theirs ? failure.error : errorOf(name)(failure))
      ),

    resume: (name, { onChange = () => {} } = {}) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        const driven = yield* held(place, undefined, (journal) => onChange(statusOf(journal)))
        const { input } = yield* driven.journal.current
        // One that is to end needs no more input.
        const isUnwanted = (yield* store.read(cancelKey(place))) !== undefined
        if (!input.sealed && !isUnwanted) return yield* new InputIncomplete({ records: input.records })
        return statusOf(yield* driven.hold(Effect.tap(ended(driven.drive), cleared(place, driven))))
      }).pipe(Effect.scoped, Effect.mapError(errorOf(name))),

    run: (name, settings, records, { input = true } = {}) =>
      Stream.unwrap(Effect.gen(function*() {
        const place = yield* placeOf(name)
        const initial = yield* initialOf(name, settings)
        type Failure = Reason | Theirs<Stream.Error<typeof records>>
        // Of several journals the last says what the others do.
        const journals = yield* Queue.sliding<BatchJournal, Failure | Cause.Done>(1)
        const driven = yield* held(place, initial, (journal) => Queue.offerUnsafe(journals, journal))
        // What is uploaded is driven at once: an input without an end has results, too.
        // Of a batch that was done before all of it is compared all the same; where nothing more is wanted nobody waits for the input.
        const read = yield* Deferred.make<void>()
        const both = Effect.raceFirst(
          uploaded(place, driven, records, driven.wake).pipe(
            Effect.andThen(Deferred.succeed(read, undefined)),
            Effect.andThen(Effect.never)
          ),
          Effect.flatMap(ended(driven.drive), (journal) => isOff(journal) ? Effect.void : Deferred.await(read))
        )
        yield* Effect.forkScoped(
          driven.hold(
            agreed(place, driven, initial).pipe(
              Effect.andThen(both),
              Effect.andThen(cleared(place, driven))
            )
          ).pipe(
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
        const isLive = journal.parts.some(({ phase }) => phase === "running")
        const live = isLive ? yield* listed(place) : []
        return statusOf(journal, new Map(live.map(({ arn, status }) => [arn, status])))
      }).pipe(Effect.mapError(errorOf(name))),

    cancel: (name) =>
      Effect.gen(function*() {
        const place = yield* placeOf(name)
        yield* known(place)
        yield* store.put(cancelKey(place), new TextEncoder().encode("{}\n"))
        // All that there are, those too that no journal has yet.
        const live = (yield* listed(place)).filter(({ status }) => !isLast(status))
        const stops = yield* Effect.forEach(live, ({ arn }) => Effect.result(jobs.stop(arn)))
        const refused = stops.find(Result.isFailure)
        if (refused !== undefined) return yield* new ServiceFailed({ error: refused.failure })
      }).pipe(Effect.mapError(errorOf(name))),

    list: Stream.suspend(() => {
      const broken: Array<BatchError> = []
      // A journal that can't be read is no reason to keep quiet about the others.
      const statuses = store.folders(prefix).pipe(
        Stream.filter((name) => namePattern.test(name)),
        Stream.mapEffect((name) =>
          journalStore.read({ store, prefix: `${prefix}${name}/` }).pipe(
            Effect.map((journal) => journal === undefined ? [] : [statusOf(journal)]),
            Effect.catchTag("Corrupt", (reason) =>
              Effect.sync((): ReadonlyArray<Status> => {
                broken.push(errorOf(name)(reason))
                return []
              }))
          ), { concurrency: listedAtOnce }),
        Stream.flattenIterable,
        Stream.mapError(errorOf("of all"))
      )
      const said = Stream.suspend(() => {
        const [first] = broken
        return first === undefined ? Stream.empty : Stream.fail(first)
      })
      return Stream.concat(statuses, said)
    })
  }
  return service
})
