/**
 * Where a batch is, and as whom it is asked for: the flags that all of `caprock batch` have, and the services that they lead to.
 *
 * @since 0.1.0
 */
import * as BatchOffload from "@caprock/batch/BatchOffload"
import * as JobControl from "@caprock/batch/JobControl"
import * as JobEvents from "@caprock/batch/JobEvents"
import * as ObjectStore from "@caprock/batch/ObjectStore"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import type { OptionsError } from "@caprock/client/Settings"
import type * as Quotas from "@caprock/quota/Quotas"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Flags from "../commands/Flags.ts"
import { CliFailure } from "../terminal/CliFailure.ts"

/**
 * @category flags
 * @since 0.1.0
 */
export const flags = {
  bucket: Flag.String("bucket").pipe(
    Flag.withMetavar("name"),
    Flag.withDescription(
      "The bucket that batches are in: their records, their answers and their journals; else CAPROCK_BUCKET"
    ),
    Flag.withFallbackConfig(Config.String("CAPROCK_BUCKET"))
  ),
  prefix: Flag.String("prefix").pipe(
    Flag.withMetavar("text"),
    Flag.filter((text) => text.endsWith("/") && !text.startsWith("/"), () => "a text that ends in a slash"),
    Flag.withDescription("What all keys of batches begin with (caprock/)"),
    Flag.withDefault(BatchOffload.defaults.prefix)
  ),
  region: Flags.region(),
  endpoint: Flags.endpoint,
  s3Endpoint: Flag.String("s3-endpoint").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("Another S3 than that of AWS, which honours conditional writes"),
    Flag.optional
  )
}

/**
 * @category flags
 * @since 0.1.0
 */
export const model = Flag.String("model").pipe(
  Flag.withAlias("m"),
  Flag.withMetavar("id"),
  Flag.withDescription("Model id, inference profile or ARN")
)

/**
 * @category flags
 * @since 0.1.0
 */
export const role = Flag.String("role").pipe(
  Flag.withMetavar("arn"),
  Flag.withDescription("The role that Bedrock reads and writes the bucket as")
)

/** Of a queue of SQS: its account and its name end it. */
const queueUrl = /^https?:\/\/[^/]+\/(\d{12})\/([\w.-]+)$/

/**
 * The queue of events.
 *
 * @category flags
 * @since 0.1.0
 */
export const events = Flag.String("events").pipe(
  Flag.withMetavar("queue-url"),
  Flag.filter(
    (url) => queueUrl.test(url),
    () => "the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/111122223333/batch-jobs"
  ),
  Flag.withDescription("A queue of SQS that EventBridge puts the jobs' changes into: they are heard of within seconds"),
  Flag.optional
)

/**
 * What policies call the queue.
 *
 * @category flags
 * @since 0.1.0
 */
export const queueArn = (url: string, partition: string, region: string): string => {
  const [, account, name] = queueUrl.exec(url) ?? []
  return `arn:${partition}:sqs:${region}:${account}:${name}`
}

/**
 * @category flags
 * @since 0.1.0
 */
export const roleArn = /^arn:([a-z-]+):iam::(\d{12}):role\/./

/**
 * What to say where it is none.
 *
 * @category flags
 * @since 0.1.0
 */
export const notRole = "the ARN of a role, such as arn:aws:iam::111122223333:role/batch"

/**
 * What the flags say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place {
  readonly bucket: string
  readonly prefix: string
  readonly region: Option.Option<string>
  readonly endpoint: Option.Option<string>
  readonly s3Endpoint: Option.Option<string>
}

/**
 * How another command on a batch there is written.
 *
 * @category rendering
 * @since 0.1.0
 */
export const command = ({ bucket, endpoint, prefix, region, s3Endpoint }: Place) => (name: string): string =>
  [
    `caprock batch ${name} --bucket ${bucket}`,
    ...(prefix === BatchOffload.defaults.prefix ? [] : [`--prefix ${prefix}`]),
    ...Option.toArray(Option.map(region, (name) => `--region ${name}`)),
    ...Option.toArray(Option.map(endpoint, (url) => `--endpoint ${url}`)),
    ...Option.toArray(Option.map(s3Endpoint, (url) => `--s3-endpoint ${url}`))
  ].join(" ")

/**
 * The bucket, and Bedrock's side of jobs.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  place: Place
): Layer.Layer<JobControl.JobControl | ObjectStore.ObjectStore, CliFailure> => {
  const region = Option.getOrUndefined(place.region)
  return explained(Layer.merge(
    ObjectStore.layerConfig({ bucket: place.bucket, region, endpoint: Option.getOrUndefined(place.s3Endpoint) }),
    JobControl.layerConfig({ region, endpoint: Option.getOrUndefined(place.endpoint) })
  ))
}

const explained = <A, R>(layer: Layer.Layer<A, OptionsError, R>): Layer.Layer<A, CliFailure, R> =>
  Layer.catchTag(layer, "OptionsError", ({ message }) =>
    Layer.effectContext(
      Effect.fail(
        new CliFailure({
          problem: message,
          remedy: "Correct the flag of that name, or the variable that stands in for it."
        })
      )
    ))

/**
 * - `every`: how often jobs are looked at.
 * - `events`: the URL of a queue that tells when to look now.
 * - `quota`: of calls on demand.
 *
 * @category models
 * @since 0.1.0
 */
export interface Driving {
  readonly every?: Duration.Duration | undefined
  readonly events?: string | undefined
  readonly quota?: Quotas.Quota | undefined
}

/**
 * Batches in the bucket.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOffload = (
  place: Place,
  { events, every, quota = {} }: Driving = {}
): Layer.Layer<
  BatchOffload.BatchOffload | JobControl.JobControl | ObjectStore.ObjectStore,
  CliFailure,
  FileSystem.FileSystem
> =>
  BatchOffload.layer({
    prefix: place.prefix,
    ...(every === undefined ? {} : { poll: { min: every } }),
    ...(events === undefined
      ? {}
      : { wake: JobEvents.fromQueue({ queueUrl: events, region: Option.getOrUndefined(place.region) }) })
  }).pipe(
    Layer.provide(
      explained(Bedrock.layer({
        region: Option.getOrUndefined(place.region),
        endpoint: Option.getOrUndefined(place.endpoint),
        ...(Object.keys(quota).length === 0 ? {} : { quotas: { default: quota } })
      }))
    ),
    Layer.provideMerge(layer(place))
  )
