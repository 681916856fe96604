/**
 * Why a batch could not go on: an envelope that says which batch, around a `reason`.
 *
 * What went wrong with a single record is no error, but that record's result.
 *
 * @since 0.1.0
 */
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Schema from "effect/Schema"

/**
 * There is no batch of that name in the bucket.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {}) {
  override get message(): string {
    return "there is none of that name in the bucket: look at the prefix, or submit it"
  }
}

/**
 * There is a batch of that name, with other settings.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Exists extends Schema.TaggedError<Exists>()("Exists", {
  /** The setting that differs. */
  setting: Schema.String
}) {
  override get message(): string {
    return `there is one of that name with another ${this.setting}: submit it with the same settings, or under another name`
  }
}

/**
 * A setting makes no sense.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidSetting extends Schema.TaggedError<InvalidSetting>()("InvalidSetting", {
  problem: Schema.String
}) {
  override get message(): string {
    return `its settings make no sense: ${this.problem}`
  }
}

/**
 * The records differ from those that were submitted under that name before.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InputChanged extends Schema.TaggedError<InputChanged>()("InputChanged", {
  /** The first record of the part that differs. */
  index: Schema.Int
}) {
  override get message(): string {
    return `its records differ from those that were submitted before, from record ${this.index} or soon after: ` +
      "submit the same records, or these under another name"
  }
}

/**
 * Whoever submitted it died before the input came to its end.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InputIncomplete extends Schema.TaggedError<InputIncomplete>()("InputIncomplete", {
  /** How many records are safe in the bucket. */
  records: Schema.Int
}) {
  override get message(): string {
    return `its input never came to an end, and ${this.records} records of it are in the bucket: submit the same records again, which uploads only the others`
  }
}

/**
 * Batch inference can't do what is asked.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unsupported extends Schema.TaggedError<Unsupported>()("Unsupported", {
  model: Schema.String,
  feature: Schema.String
}) {
  override get message(): string {
    return `batch inference with ${this.model} has no ${this.feature}: send it on demand`
  }
}

/**
 * A record can't be sent, and the batch is `strict`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RecordRefused extends Schema.TaggedError<RecordRefused>()("RecordRefused", {
  id: Schema.String,
  index: Schema.Int,
  problem: Schema.String
}) {
  override get message(): string {
    return `record ${this.index} (${this.id}) can't be sent: ${this.problem}`
  }
}

/**
 * A job failed for a reason that another try won't cure.
 *
 * @category reasons
 * @since 0.1.0
 */
export class JobFailed extends Schema.TaggedError<JobFailed>()("JobFailed", {
  job: Schema.String,
  status: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `job ${this.job} is ${this.status}: ${this.problem}. Mend that, and do the same again: what was answered stays, and the rest is submitted again`
  }
}

/**
 * Somebody stopped a job by other means than this batch's cancel.
 *
 * @category reasons
 * @since 0.1.0
 */
export class StoppedElsewhere extends Schema.TaggedError<StoppedElsewhere>()("StoppedElsewhere", {
  job: Schema.String
}) {
  override get message(): string {
    return `somebody stopped job ${this.job}: resume to submit again what it did not answer, or cancel`
  }
}

/**
 * Another process drives it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class LeaseHeld extends Schema.TaggedError<LeaseHeld>()("LeaseHeld", {
  owner: Schema.String,
  /** How long its holder was watched, and gave signs of life. */
  watched: Schema.DurationFromMillis
}) {
  override get message(): string {
    return `another process drives it (${this.owner}): read its results from anywhere, or stop that one first`
  }
}

/**
 * Another process took it over, because this one gave no sign of life for too long.
 *
 * @category reasons
 * @since 0.1.0
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {}) {
  override get message(): string {
    return "another process took it over, because this one was silent for too long: nothing is lost, and the other goes on"
  }
}

/**
 * The bucket does not keep what it promises, and so nothing may be entrusted to it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class StoreUnsafe extends Schema.TaggedError<StoreUnsafe>()("StoreUnsafe", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the bucket's server ${this.problem}: two processes could drive one batch, and pay twice. Use one that honours conditional writes`
  }
}

/**
 * The bucket could not be read or written.
 *
 * @category reasons
 * @since 0.1.0
 */
export class StoreFailed extends Schema.TaggedError<StoreFailed>()("StoreFailed", {
  operation: Schema.String,
  key: Schema.String,
  kind: Schema.Literals(["missing", "denied", "unavailable", "other"]),
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.operation} of ${this.key === "" ? "the bucket" : this.key} failed: ${this.problem}`
  }

  /** The same may succeed later. */
  get retryable(): boolean {
    return this.kind === "unavailable"
  }

  /** There is one bucket. */
  get retryableElsewhere(): boolean {
    return false
  }
}

/**
 * An object of the batch does not say what it has to.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Corrupt extends Schema.TaggedError<Corrupt>()("Corrupt", {
  key: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.key} is not what was written there: ${this.problem}`
  }
}

/**
 * Bedrock refused, or could not be asked. `error` says what, and whether it is worth another try.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServiceFailed extends Schema.TaggedError<ServiceFailed>()("ServiceFailed", {
  error: BedrockError
}) {
  override get message(): string {
    return this.error.message
  }
}

/**
 * The disk that results wait on for their turn failed.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SpillFailed extends Schema.TaggedError<SpillFailed>()("SpillFailed", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the disk that results wait on for their turn failed: ${this.problem}. Read them in any order, which needs none`
  }
}

/**
 * Why, as a closed union.
 *
 * @category errors
 * @since 0.1.0
 */
export const Reason = Schema.Union([
  NotFound,
  Exists,
  InvalidSetting,
  InputChanged,
  InputIncomplete,
  Unsupported,
  RecordRefused,
  JobFailed,
  StoppedElsewhere,
  LeaseHeld,
  LeaseLost,
  StoreUnsafe,
  StoreFailed,
  Corrupt,
  ServiceFailed,
  SpillFailed
])

/**
 * Why, as a closed union.
 *
 * @category errors
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * The one error of a batch: its name, and why it could not go on.
 *
 * @category errors
 * @since 0.1.0
 */
export class BatchError extends Schema.TaggedError<BatchError>()("BatchError", {
  batch: Schema.String,
  reason: Reason
}) {
  override get message(): string {
    return `batch ${this.batch}: ${this.reason.message}`
  }
}
