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
