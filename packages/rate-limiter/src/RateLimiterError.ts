/**
 * Why the limiter did not admit a request.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** Nanoseconds tell nobody anything. */
const rounded = (wait: Duration.Duration): string =>
  Duration.format(Duration.millis(Math.round(Duration.toMillis(wait))))

/**
 * The request is larger than the whole limit: no wait can cure it.
 *
 * @category errors
 * @since 0.1.0
 */
export class CostExceedsLimit extends Schema.TaggedError<CostExceedsLimit>()("CostExceedsLimit", {
  unit: Schema.String,
  requested: Schema.Finite,
  limit: Schema.Finite
}) {
  override get message(): string {
    return `it needs ${this.requested} ${this.unit} and the limit is ${this.limit}: ask for less, or raise the limit`
  }
}

/**
 * Admission is predicted, or has turned out, to take longer than the cost's `maxWait`.
 *
 * @category errors
 * @since 0.1.0
 */
export class WaitTooLong extends Schema.TaggedError<WaitTooLong>()("WaitTooLong", {
  /** The wait that was predicted when it was asked for, or that it had waited when its time was up. */
  predicted: Schema.DurationFromMillis,
  maxWait: Schema.DurationFromMillis
}) {
  override get message(): string {
    return `it would wait ${rounded(this.predicted)} and may wait ${rounded(this.maxWait)}: ` +
      "allow a longer wait, or send it elsewhere"
  }
}

/**
 * The cost itself makes no sense.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidCost extends Schema.TaggedError<InvalidCost>()("InvalidCost", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `its ${this.field} ${this.problem}`
  }
}

/**
 * A meter that was configured for the pool makes no sense.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidMeter extends Schema.TaggedError<InvalidMeter>()("InvalidMeter", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `a meter's ${this.field} ${this.problem}`
  }
}

/**
 * An option of the limiter makes no sense.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>()("InvalidOption", {
  option: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `the option ${this.option} ${this.problem}`
  }
}

/**
 * So many wait that there is no room for it, or for somebody who came later and goes first.
 *
 * @category errors
 * @since 0.1.0
 */
export class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", {
  /** How many waited. */
  waiting: Schema.Finite,
  /** How long one who came then would have waited. */
  predicted: Schema.DurationFromMillis
}) {
  override get message(): string {
    return `${this.waiting} wait already, the last of them about ${rounded(this.predicted)}: ` +
      "come later, send it elsewhere, or give it a higher priority"
  }
}

/**
 * The pool admits nobody for now: what it was told is used up comes back only later.
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolParked extends Schema.TaggedError<PoolParked>()("PoolParked", {
  /** Until it admits again. */
  remaining: Schema.DurationFromMillis
}) {
  override get message(): string {
    return `it is parked for another ${rounded(this.remaining)}: come later, or send it elsewhere`
  }
}

/**
 * The limiter was shut down while the request waited, or before it asked.
 *
 * @category errors
 * @since 0.1.0
 */
export class LimiterClosed extends Schema.TaggedError<LimiterClosed>()("LimiterClosed", {}) {
  override get message(): string {
    return "the limiter is shut down"
  }
}

/**
 * The store that several processes share the quota through does not answer, so nobody knows what may be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.problem}: nobody is admitted until it answers again. Choose with onLoss whether to fail, to wait, or to go on with a part`
  }
}

/**
 * Why, as a closed union.
 *
 * @category errors
 * @since 0.1.0
 */
export type Reason =
  | CostExceedsLimit
  | WaitTooLong
  | InvalidCost
  | InvalidMeter
  | InvalidOption
  | RoomFull
  | PoolParked
  | LimiterClosed
  | StoreUnavailable

/**
 * The limiter's one error: which pool, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimiterError extends Schema.TaggedError<RateLimiterError>()("RateLimiterError", {
  pool: Schema.String,
  reason: Schema.Union([
    CostExceedsLimit,
    WaitTooLong,
    InvalidCost,
    InvalidMeter,
    InvalidOption,
    RoomFull,
    PoolParked,
    LimiterClosed,
    StoreUnavailable
  ])
}) {
  override get message(): string {
    return `pool ${this.pool} did not admit the request: ${this.reason.message}`
  }
}
