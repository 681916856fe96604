/**
 * What is asked of a batch. It stands in the batch's journal: the same name with other settings is another batch.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const Hours = Schema.Int.check(Schema.isBetween({ minimum: 24, maximum: 168 }))
const Rounds = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 }))

/**
 * - `model`: a model id, a profile or an ARN. Provisioned throughput has no batch.
 * - `invocationType`: what the records' inputs are.
 * - `roleArn`: whom Bedrock reads and writes the bucket as.
 * - `timeoutHours` (72): how long a job may take, from 24 to 168. One that has not begun by then expires, and is submitted again.
 * - `rounds` (3): how often a record is sent in jobs, at most: what failed is sent again, alone. What a job left that was stopped by hand, or that failed for what
 *   had to be mended, is sent again by whoever resumes, however often that was.
 * - `small` (`"on-demand"`): what becomes of records that are too few for a job.
 * - `deadline`: since the batch was made; what has no answer then is asked on demand. Without one nothing is.
 * - `strict` (false): a record that can't be sent fails the batch, instead of being a result of its own.
 * - `tags`, `kmsKeyId`, `bucketOwner`: of the jobs.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchSettings {
  readonly model: string
  readonly invocationType: "Converse" | "InvokeModel"
  readonly roleArn: string
  readonly timeoutHours?: number | undefined
  readonly rounds?: number | undefined
  readonly small?: "on-demand" | "fail" | undefined
  readonly deadline?: Duration.Input | undefined
  readonly strict?: boolean | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly kmsKeyId?: string | undefined
  readonly bucketOwner?: string | undefined
}

/**
 * The same with every default filled in, as it stands in the journal.
 *
 * @category models
 * @since 0.1.0
 */
export const Settled = Schema.Struct({
  model: Schema.NonEmptyString,
  invocationType: Schema.Literals(["Converse", "InvokeModel"]),
  roleArn: Schema.String.check(
    Schema.isPattern(/^arn:aws(-[^:]+)?:iam::(\d{12})?:role\/.+$/, { message: "Expected the ARN of a role" })
  ),
  timeoutHours: Hours,
  rounds: Rounds,
  small: Schema.Literals(["on-demand", "fail"]),
  deadline: Schema.optionalKey(Schema.DurationFromMillis),
  strict: Schema.Boolean,
  tags: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  kmsKeyId: Schema.optionalKey(Schema.NonEmptyString),
  bucketOwner: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^\d{12}$/, { message: "Expected 12 digits" })))
})

/**
 * The same with every default filled in.
 *
 * @category models
 * @since 0.1.0
 */
export type Settled = typeof Settled.Type

/**
 * The default of each setting.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** Three days: jobs wait their turn for hours on busy days, and what expires is asked again. */
  timeoutHours: 72,
  /** Of ten thousand records that fail one in a hundred times, one fails in all of two; in three, next to none. */
  rounds: 3,
  small: "on-demand",
  strict: false
} as const

const decode = Schema.decodeUnknownResult(Schema.toType(Settled))

/**
 * The settings as they will stand in the journal, or what is wrong with them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settle = (settings: BatchSettings) => {
  const { bucketOwner, deadline, kmsKeyId, tags } = settings
  return decode({
    model: settings.model,
    invocationType: settings.invocationType,
    roleArn: settings.roleArn,
    timeoutHours: settings.timeoutHours ?? defaults.timeoutHours,
    rounds: settings.rounds ?? defaults.rounds,
    small: settings.small ?? defaults.small,
    strict: settings.strict ?? defaults.strict,
    ...(deadline === undefined ? {} : { deadline: Duration.fromInputUnsafe(deadline) }),
    ...(tags === undefined ? {} : { tags }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
    ...(bucketOwner === undefined ? {} : { bucketOwner })
  })
}
