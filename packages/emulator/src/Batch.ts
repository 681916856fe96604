/**
 * Batch inference: what the emulator can be told about jobs that read their records from S3 and write the answers there.
 *
 * Jobs take their time: each state lasts as long as is drawn for it from the seed and from what the job was asked. They pass no quota of the
 * real-time operations. Record errors, jobs that fail, expire or end half done are faults: see `Fault.job`, and the target `BatchRecord`.
 * The client of S3 is a package that only batch jobs need: install `@aws-sdk/client-s3` beside this one.
 *
 * **Example** (An emulator with batch jobs, on any server that speaks S3)
 *
 * ```ts
 * import { Emulator, Fault, LatencyModel } from "@caprock/emulator"
 *
 * export const EmulatorLive = Emulator.layer({
 *   batch: {
 *     s3: { endpoint: "http://127.0.0.1:9000" },
 *     delays: { inProgress: LatencyModel.uniform(500, 2000) },
 *     hour: "1 second"
 *   },
 *   faults: [
 *     { fault: Fault.error("InternalServerException"), rate: 0.01, operation: "BatchRecord" },
 *     { fault: Fault.job("Expired"), rate: 0.1 }
 *   ]
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { DurationInput } from "./internal/durationInput.ts"
import * as LatencyModel from "./LatencyModel.ts"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1e15 }))
const Minimum = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))

/**
 * Where `s3://` leads: any server that speaks S3, with buckets in the path. Without keys, it is asked as `emulated`, with
 * the secret `emulated`.
 *
 * @category models
 * @since 0.1.0
 */
export const S3 = Schema.Struct({
  endpoint: Schema.String.check(Schema.isPattern(/^https?:\/\//, { message: "Expected a URL" })),
  region: Schema.optional(Schema.NonEmptyString),
  accessKeyId: Schema.optional(Schema.NonEmptyString),
  secretAccessKey: Schema.optional(Schema.NonEmptyString)
})

/**
 * How long a job stays in each state, in milliseconds. What is per token is not counted.
 *
 * @category models
 * @since 0.1.0
 */
export const Delays = Schema.Struct({
  submitted: Schema.optional(LatencyModel.LatencyModel),
  validating: Schema.optional(LatencyModel.LatencyModel),
  scheduled: Schema.optional(LatencyModel.LatencyModel),
  inProgress: Schema.optional(LatencyModel.LatencyModel),
  stopping: Schema.optional(LatencyModel.LatencyModel)
})

/**
 * What the service allows. A job beyond the first five fails its validation; one too many is refused.
 *
 * @category models
 * @since 0.1.0
 */
export const Limits = Schema.Struct({
  minimumRecords: Schema.optional(Minimum),
  recordsPerJob: Schema.optional(Count),
  recordsPerFile: Schema.optional(Count),
  bytesPerFile: Schema.optional(Count),
  bytesPerJob: Schema.optional(Count),
  /** Jobs of one model that have not ended, of an account and Region. */
  jobs: Schema.optional(Minimum)
})

/**
 * The options as a schema.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  s3: S3,
  delays: Schema.optional(Delays),
  hour: Schema.optional(DurationInput),
  limits: Schema.optional(Limits)
})

/**
 * What the emulator can be told about batch jobs.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** Where `s3://` leads. */
  readonly s3: typeof S3.Type
  /** @default 250 milliseconds each, and a second in progress */
  readonly delays?: typeof Delays.Type | undefined
  /** How long an hour of `timeoutDurationInHours` is. @default 1 hour */
  readonly hour?: Duration.Input | undefined
  /** @default those of Bedrock */
  readonly limits?: typeof Limits.Type | undefined
}

/**
 * The defaults, named once. Limits: "Amazon Bedrock endpoints and quotas", AWS General Reference, copy of 2026-04. The timeout is the
 * service's own choice and not documented: here it is a day, the least that can be asked for.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  // Long enough to be seen, and short enough for a test.
  delays: {
    submitted: LatencyModel.fixed(250),
    validating: LatencyModel.fixed(250),
    scheduled: LatencyModel.fixed(250),
    inProgress: LatencyModel.fixed(1000),
    stopping: LatencyModel.fixed(250)
  },
  hour: "1 hour",
  timeoutHours: 24,
  limits: {
    minimumRecords: 100,
    recordsPerJob: 100_000,
    recordsPerFile: 100_000,
    bytesPerFile: 1_000_000_000,
    bytesPerJob: 5_000_000_000,
    jobs: 100
  }
} as const
