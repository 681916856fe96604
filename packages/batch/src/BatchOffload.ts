/**
 * Bulk work as batch jobs: records of any number go in, and each comes out with one result.
 *
 * **When to use**
 *
 * Use for what nobody waits for: a batch costs half of what calls cost, draws on no real-time quota, and takes hours.
 *
 * **Details**
 *
 * A batch has a name, and is in a bucket: its records, its journal and its answers. What drives it may die at any moment; any machine goes on with it, by
 * its name alone. One process drives it at a time, by a lease; everybody may read it.
 *
 * **Gotchas**
 *
 * While nobody drives a batch (`run`, `resume`), its jobs go on, and nothing else: no job after those, nothing again that failed, and no end.
 *
 * @since 0.1.0
 */
import type { Bedrock } from "@caprock/bedrock/Bedrock"
import * as Settings from "@caprock/client/Settings"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { BatchError } from "./BatchError.ts"
import type { Status } from "./BatchJournal.ts"
import * as BatchLimits from "./BatchLimits.ts"
import type * as BatchPlan from "./BatchPlan.ts"
import type { BatchRecord, BatchResult } from "./BatchRecord.ts"
import type { BatchSettings } from "./BatchSettings.ts"
import * as deciding from "./internal/auto.ts"
import * as offload from "./internal/offload.ts"
import type { JobControl } from "./JobControl.ts"
import type { ObjectStore } from "./ObjectStore.ts"

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * The default of each option.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = offload.defaults

/**
 * Options of {@link make}.
 *
 * - `prefix` (`"caprock/"`): of all keys in the bucket.
 * - `limits`: of jobs, where the account's differ from `BatchLimits.defaults`. A batch keeps those that it began with.
 * - `lease` (30 seconds): how long who drives a batch may be silent, until another may take over.
 * - `patient` (false): waits for a lease that another holds, instead of failing with `LeaseHeld`.
 * - `poll` (30 seconds to 5 minutes): how often jobs are looked at.
 * - `wake`: has them looked at now, once a second at most, such as events of EventBridge that came through a queue. What an element says is not believed.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly prefix?: string | undefined
  readonly limits?: Partial<BatchLimits.BatchLimits> | undefined
  readonly lease?: Duration.Input | undefined
  readonly patient?: boolean | undefined
  readonly poll?: { readonly min?: Duration.Input | undefined; readonly max?: Duration.Input | undefined } | undefined
  readonly wake?: Stream.Stream<unknown> | undefined
}

/**
 * What is allowed for each option, as {@link layerConfig} holds them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  prefix: Schema.optionalKey(
    Settings.name.check(
      Schema.isPattern(/^[^/].*\/$/, { message: "it has to end in a slash, and not to begin with one" })
    )
  ),
  limits: Schema.optionalKey(Schema.Struct({
    minimumRecords: Schema.optionalKey(Settings.count),
    recordsPerJob: Schema.optionalKey(Settings.count),
    recordsPerFile: Schema.optionalKey(Settings.count),
    bytesPerFile: Schema.optionalKey(Settings.count),
    bytesPerJob: Schema.optionalKey(Settings.count),
    jobs: Schema.optionalKey(Settings.count)
  })),
  lease: Schema.optionalKey(Settings.span),
  patient: Schema.optionalKey(Settings.flag),
  poll: Schema.optionalKey(
    Schema.Struct({ min: Schema.optionalKey(Settings.span), max: Schema.optionalKey(Settings.span) })
  ),
  wake: Schema.optionalKey(Schema.Unknown)
})

/**
 * The variables that {@link layerConfig} reads.
 *
 * @category configuration
 * @since 0.1.0
 */
export const variables: ReadonlyArray<Settings.Variable> = [
  { name: "CAPROCK_BATCH_PREFIX", option: "prefix", read: Settings.readers.text, example: "caprock/" },
  { name: "CAPROCK_BATCH_LIMITS", option: "limits", read: Settings.readers.json, example: "{\"jobs\":20}" },
  { name: "CAPROCK_BATCH_LEASE", option: "lease", read: Settings.readers.text, example: "30 seconds" },
  { name: "CAPROCK_BATCH_PATIENT", option: "patient", read: Settings.readers.json, example: "true" },
  { name: "CAPROCK_BATCH_POLL_MIN", option: "poll.min", read: Settings.readers.text, example: "30 seconds" },
  { name: "CAPROCK_BATCH_POLL_MAX", option: "poll.max", read: Settings.readers.text, example: "5 minutes" }
]

/**
 * The options that are given, and for all others what is found in {@link variables} by the current `ConfigProvider`. Fails with all that is wrong with
 * them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config = (options: Options = {}): Effect.Effect<Options, Settings.OptionsError> =>
  Settings.load(Options, variables, options)

/**
 * How results are read.
 *
 * - `order` (`"any"`): `"input"` gives them in the order of the input, by way of the disk, which holds the answers of one part.
 * - `input` (true): whether each result has what was asked.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface ResultOptions {
  readonly order?: "any" | "input" | undefined
  readonly input?: boolean | undefined
}

/**
 * How a batch is driven.
 *
 * - `onChange`: hears how the batch stands, each time that its journal says something else, and at once. It is called in the middle of the driving, and must
 *   return at once.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface DriveOptions {
  readonly onChange?: ((status: Status) => void) | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * Batches, by their names.
 *
 * - `submit`: uploads the records, and creates as many jobs as there may be. With a name that is there it goes on: the same records are not uploaded
 *   again, and others fail with `InputChanged`.
 * - `resume`: drives a batch to its end.
 * - `run`: both, and gives results as jobs end, in any order. Who takes them slowly delays their reading, and no job.
 * - `results`: what is final so far, as often as it is asked for, from any machine. Of a batch that has ended that is everything.
 * - `status`: from the journal, and one listing of jobs where any is under way.
 * - `cancel`: stops the jobs that run. Whoever drives the batch, or resumes it, brings it to its end.
 * - `list`: all batches below the prefix. Fails with the first that can't be read, after all that can.
 *
 * @category services
 * @since 0.1.0
 */
export class BatchOffload extends Context.Service<BatchOffload, {
  readonly submit: <E, R>(
    name: string,
    settings: BatchSettings,
    records: Stream.Stream<BatchRecord, E, R>,
    options?: DriveOptions
  ) => Effect.Effect<Status, BatchError | E, R>
  readonly resume: (name: string, options?: DriveOptions) => Effect.Effect<Status, BatchError>
  readonly run: <E, R>(
    name: string,
    settings: BatchSettings,
    records: Stream.Stream<BatchRecord, E, R>,
    options?: Pick<ResultOptions, "input">
  ) => Stream.Stream<BatchResult, BatchError | E, R>
  readonly results: (name: string, options?: ResultOptions) => Stream.Stream<BatchResult, BatchError>
  readonly status: (name: string) => Effect.Effect<Status, BatchError>
  readonly cancel: (name: string) => Effect.Effect<void, BatchError>
  readonly list: Stream.Stream<Status, BatchError>
}>()("@caprock/batch/BatchOffload") {}

// -----------------------------------------------------------------------------
// Constructors and layers
// -----------------------------------------------------------------------------

/**
 * Batches in a bucket. `Bedrock` is for what is asked on demand.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<BatchOffload["Service"], never, ObjectStore | JobControl | Bedrock | FileSystem.FileSystem> =>
  offload.make(options)

/**
 * Batches in a bucket. `Bedrock` is for what is asked on demand.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<BatchOffload, never, ObjectStore | JobControl | Bedrock | FileSystem.FileSystem> =>
  Layer.effect(BatchOffload, make(options))

/**
 * {@link layer}, with what is not given read from {@link variables}. Its bucket, its jobs and `Bedrock` have a `layerConfig` of their own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Options = {}
): Layer.Layer<BatchOffload, Settings.OptionsError, ObjectStore | JobControl | Bedrock | FileSystem.FileSystem> =>
  Layer.effect(BatchOffload, Effect.flatMap(config(options), make))

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/**
 * What {@link auto} decides by.
 *
 * - `urgency`: until when the last answer has to be there. Without it there is no hurry.
 * - `prices`: on demand, to say what it costs.
 * - `limits`: of jobs, where they differ from `BatchLimits.defaults`.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface AutoOptions {
  readonly urgency?: Duration.Input | undefined
  readonly prices?: BatchPlan.Prices | undefined
  readonly limits?: Partial<BatchLimits.BatchLimits> | undefined
  readonly input?: boolean | undefined
}

/**
 * Reads as many records as decide between a batch and on demand (at most 10,000), by size, by urgency and what the quota has left, and by price, and says why.
 * Then it is a batch like any other, by its name: on demand means that it has no job, and that its records are asked at once, behind all other calls. One of that
 * name that is there goes on as it was begun, whatever would be decided now.
 *
 * @category deciding
 * @since 0.1.0
 */
export const auto = Effect.fnUntraced(function*<E, R>(
  name: string,
  settings: BatchSettings,
  records: Stream.Stream<BatchRecord, E, R>,
  options: AutoOptions = {}
) {
  const { run, status } = yield* BatchOffload
  const peeked = yield* deciding.peeked(settings, records, {
    limits: { ...BatchLimits.defaults, ...options.limits },
    prices: options.prices,
    urgency: options.urgency,
    quota: yield* deciding.quotaOf(settings.model)
  })
  const begun = yield* Effect.catchIf(status(name), ({ reason }) => reason._tag === "NotFound", () => Effect.undefined)
  const decision = begun === undefined ? peeked.decision : deciding.begun(begun.settings, peeked.decision)
  const now = decision.path === "batch" ? {} : deciding.onDemand
  return { decision, results: run(name, { ...settings, ...now }, peeked.records, { input: options.input }) }
})
