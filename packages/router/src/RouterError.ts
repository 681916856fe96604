/**
 * Why the router sent a call nowhere.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** Nanoseconds tell nobody anything. */
const rounded = (wait: Duration.Duration): string =>
  Duration.format(Duration.millis(Math.round(Duration.toMillis(wait))))

/**
 * The circuit of a target is open, or its probe is under way: it gets no call now.
 *
 * @category errors
 * @since 0.1.0
 */
export class TargetClosed extends Schema.TaggedError<TargetClosed>()("TargetClosed", {
  target: Schema.String,
  /** Until a probe may be sent. Not known while one is under way. */
  remaining: Schema.optionalKey(Schema.DurationFromMillis)
}) {
  override get message(): string {
    return this.remaining === undefined
      ? `${this.target} is being probed: no other call goes there meanwhile`
      : `${this.target} fails, and gets no call for another ${rounded(this.remaining)}`
  }
}

/**
 * No target of the route can take the call, and none was asked.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoTarget extends Schema.TaggedError<NoTarget>()("NoTarget", {
  /** Why not, for each. */
  targets: Schema.Array(Schema.Struct({ target: Schema.String, why: Schema.String })),
  retryAfter: Schema.optionalKey(Schema.DurationFromMillis)
}) {
  override get message(): string {
    const why = this.targets.map(({ target, why }) => `${target}: ${why}`).join("; ")
    const when = this.retryAfter === undefined ? "" : `. Try again in ${rounded(this.retryAfter)}`
    return `none of its targets can take the call: ${why}${when}`
  }
}

/**
 * There is no route of that name.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownRoute extends Schema.TaggedError<UnknownRoute>()("UnknownRoute", {
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `there is no such route: there are ${this.known.length === 0 ? "none" : this.known.join(", ")}`
  }
}

/**
 * All of the route's targets are outside of the fence that the call has to stay in.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutsideFence extends Schema.TaggedError<OutsideFence>()("OutsideFence", {
  fence: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `all of its targets may process requests outside of the fence ${
      this.fence.join(", ")
    }, which the call has to stay in`
  }
}

/**
 * Why, as a closed union.
 *
 * @category errors
 * @since 0.1.0
 */
export type Reason = NoTarget | UnknownRoute | OutsideFence

/**
 * The router's own error: which route, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class RouterError extends Schema.TaggedError<RouterError>()("RouterError", {
  route: Schema.String,
  reason: Schema.Union([NoTarget, UnknownRoute, OutsideFence])
}) {
  override get message(): string {
    return `route ${this.route}: ${this.reason.message}`
  }

  /** The same may succeed later: what stands in the way of a target passes. */
  get retryable(): boolean {
    return this.reason._tag === "NoTarget"
  }

  get retryableElsewhere(): boolean {
    return this.reason._tag === "NoTarget"
  }

  get retryAfter(): Duration.Duration | undefined {
    return this.reason._tag === "NoTarget" ? this.reason.retryAfter : undefined
  }
}
