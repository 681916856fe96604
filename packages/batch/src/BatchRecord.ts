/**
 * What goes into a batch, and what comes out: a record, and the one result that it ends in.
 *
 * @since 0.1.0
 */
import * as Reason from "@caprock/errors/Reason"
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * One question. `id` is the caller's own: any text, and two records may have the same, since a record is known by its place in the input.
 * `input` is a Converse request or a body of InvokeModel, without the model's id.
 *
 * One that is `refused` has its result, and is not sent: the caller knows what is wrong with it, and says so in this text.
 *
 * @category models
 * @since 0.1.0
 */
export const BatchRecord = Schema.Struct({
  id: Schema.String,
  input: Schema.Json,
  refused: Schema.optionalKey(Schema.NonEmptyString)
})

/**
 * One question.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchRecord = typeof BatchRecord.Type

/**
 * Why a record has no answer.
 *
 * - `refused`: by us or by the caller, before anything was uploaded: what is wrong with it is in the `message`.
 * - `rejected`: the model refused it, and would again.
 * - `service`: the service or the model failed, and the rounds are used up.
 * - `missing`: no output has it, and the rounds are used up.
 * - `cancelled`: the batch was cancelled before it was answered.
 * - `job`: its job never began, or failed for good.
 *
 * `code` is what the output gave, or the name of the error.
 *
 * @category models
 * @since 0.1.0
 */
export const RecordError = Schema.Struct({
  kind: Schema.Literals(["refused", "rejected", "service", "missing", "cancelled", "job"]),
  code: Schema.optionalKey(Schema.String),
  message: Schema.String
})

/**
 * Why a record has no answer.
 *
 * @category models
 * @since 0.1.0
 */
export type RecordError = typeof RecordError.Type

const common = {
  id: Schema.String,
  /** The record's place in the input, from 0. */
  index: Count,
  /** Left out where the reader asked for results without them. */
  input: Schema.optionalKey(Schema.Json),
  /** How often it was sent: by jobs, and on demand. */
  attempts: Count
}

/**
 * A record was answered. `via` says where, which is what it cost.
 *
 * @category models
 * @since 0.1.0
 */
export const Success = Schema.TaggedStruct("Success", {
  ...common,
  output: Schema.Json,
  usage: Schema.optionalKey(Reason.Usage),
  via: Schema.Literals(["batch", "on-demand"])
})

/**
 * A record was not answered.
 *
 * @category models
 * @since 0.1.0
 */
export const Failure = Schema.TaggedStruct("Failure", { ...common, error: RecordError })

/**
 * What a record ended in. Each record of a batch ends in exactly one.
 *
 * @category models
 * @since 0.1.0
 */
export const BatchResult = Schema.Union([Success, Failure])

/**
 * What a record ended in.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchResult = typeof BatchResult.Type
