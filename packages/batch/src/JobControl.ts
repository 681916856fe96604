/**
 * Bedrock's side of batch jobs: create one, look at one or at all, stop one.
 *
 * @since 0.1.0
 */
import * as Settings from "@caprock/client/Settings"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Counts } from "./BatchJournal.ts"
import * as aws from "./internal/awsJobs.ts"
import * as states from "./internal/jobStates.ts"
import * as polling from "./internal/polling.ts"
import * as scripted from "./internal/scriptedJobs.ts"
import * as Test from "./JobControlTest.ts"
import type { Credentials } from "./ObjectStore.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * What a job is created from.
 *
 * - `token`: Bedrock takes two requests with one token for one job.
 * - `input`: the folder whose `.jsonl` files it reads; `output`: the folder that it makes one of its own in. Both are URLs, `s3://bucket/folder/`.
 * - `hours`: how long it may take, from 24 to 168.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewJob {
  readonly name: string
  readonly token: string
  readonly model: string
  readonly invocationType: "Converse" | "InvokeModel"
  readonly roleArn: string
  readonly input: string
  readonly output: string
  readonly hours: number
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly kmsKeyId?: string | undefined
  readonly bucketOwner?: string | undefined
}

/**
 * A job as Bedrock shows it. `status` is Bedrock's own word, and may be one that nobody has heard of yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface Job {
  readonly arn: string
  readonly name: string
  readonly status: string
  readonly message?: string | undefined
  readonly token?: string | undefined
  /** Milliseconds since 1970. */
  readonly submittedAt: number
  /** When it ends, whether or not all is answered. */
  readonly expiresAt?: number | undefined
  readonly input: string
  readonly output: string
}

/**
 * All that Bedrock says of one job. A list does not have the counts, and they come with time.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobDetail extends Job {
  readonly counts?: typeof Counts.Type | undefined
}

/**
 * Whether a job is in its last state. A word that nobody knows is none: it would be a mistake to pay for a job twice, and none to wait.
 *
 * @category models
 * @since 0.1.0
 */
export const isOver: (status: string) => boolean = states.isOver

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * How often jobs are looked at, unless it is said otherwise.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** A job takes minutes at its quickest, and the listing is asked of a control plane that allows few requests. */
  min: Duration.seconds(30),
  /** What waits for results that took hours does not mind five minutes. */
  max: Duration.minutes(5)
} as const

/**
 * Options of {@link make}. What is left out is found by the SDK as it always does, and `AWS_ENDPOINT_URL_BEDROCK` is looked at, too.
 *
 * - `region`: such as `"us-east-1"`.
 * - `endpoint`: a URL, of a VPC endpoint or an emulator.
 * - `credentials`: for signing.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly credentials?: Credentials | undefined
}

/**
 * What is allowed for each option, as {@link layerConfig} holds them.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  region: Schema.optionalKey(Settings.region),
  endpoint: Schema.optionalKey(Settings.endpoint),
  credentials: Schema.optionalKey(Settings.credentials)
})

/**
 * The variables that {@link layerConfig} reads, ours before those of AWS. Credentials the SDK reads itself, as its documentation says.
 *
 * @category configuration
 * @since 0.1.0
 */
export const variables: ReadonlyArray<Settings.Variable> = [
  ...Settings.regionVariables,
  ...Settings.endpointVariables("CAPROCK_JOBS_ENDPOINT", "BEDROCK")
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
 * Options of {@link watch}.
 *
 * - `min`, `max`: between two looks. Default 30 seconds, and 5 minutes.
 * - `wake`: looks as soon as it gives something, at most once a second. What it gives is not looked at, since an event may be late, lost, or somebody else's.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface WatchOptions {
  readonly min?: Duration.Input | undefined
  readonly max?: Duration.Input | undefined
  readonly wake?: Stream.Stream<unknown> | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * Batch jobs of an account in a Region. What may pass is tried four times within some ten seconds, but for `create`, which sends one request. A request without an
 * answer fails after a minute.
 *
 * - `create`: gives the job's ARN. When it fails, there may be a job all the same: ask again with the same token, or look for its name.
 * - `get`: one job; fails with a `NotFoundError` where there is none.
 * - `list`: all jobs whose name contains the text, the newest first; one request for each thousand.
 * - `stop`: one that is over already is left as it is.
 *
 * @category services
 * @since 0.1.0
 */
export class JobControl extends Context.Service<JobControl, {
  readonly create: (job: NewJob) => Effect.Effect<string, BedrockError>
  readonly get: (arn: string) => Effect.Effect<JobDetail, BedrockError>
  readonly list: (nameContains: string) => Stream.Stream<Job, BedrockError>
  readonly stop: (arn: string) => Effect.Effect<void, BedrockError>
}>()("@caprock/batch/JobControl") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Bedrock itself. Sends nothing until it is asked to.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<JobControl["Service"], never, Scope.Scope> =>
  aws.make(options)

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Bedrock itself.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<JobControl> => Layer.effect(JobControl, make(options))

/**
 * {@link layer}, with what is not given read from {@link variables}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Options = {}): Layer.Layer<JobControl, Settings.OptionsError> =>
  Layer.effect(JobControl, Effect.flatMap(config(options), make))

/**
 * Jobs in memory, for tests: they pass through their states as the clock goes, and read and write nothing.
 *
 * @see `JobControlTest` for scripts and an example.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (script: Test.Script = {}): Layer.Layer<JobControl | Test.JobControlTest> =>
  Layer.effectContext(Effect.sync(() => {
    const { control, test } = scripted.make(script)
    return Context.make(JobControl, control).pipe(Context.add(Test.JobControlTest, test))
  }))

// -----------------------------------------------------------------------------
// Accessors
// -----------------------------------------------------------------------------

/**
 * All jobs whose name contains the text, again and again: at once, and then after a wait that grows from `min` to `max` as long as nothing changes, and is
 * drawn anew each time. Each look is one listing, which is given whether or not it has news; the next is due once it was taken.
 *
 * A look that fails, and that is worth another try, is left out, with a warning: jobs don't mind. Any other ends the stream.
 *
 * @category accessors
 * @since 0.1.0
 */
export const watch = (
  nameContains: string,
  options: WatchOptions = {}
): Stream.Stream<ReadonlyArray<Job>, BedrockError, JobControl> =>
  Stream.unwrap(Effect.map(JobControl, ({ list }) =>
    polling.beats(
      Stream.runCollect(list(nameContains)),
      {
        min: Duration.toMillis(Duration.fromInputUnsafe(options.min ?? defaults.min)),
        max: Duration.toMillis(Duration.fromInputUnsafe(options.max ?? defaults.max))
      },
      options.wake ?? Stream.empty
    )))
