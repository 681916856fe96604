/**
 * The one error of a call to Bedrock: an envelope that says which call it was, around a `reason` that says what went
 * wrong.
 *
 * It is a schema, so that it survives a process boundary: encode it with `Schema.encodeEffect(BedrockError)` and the
 * result is plain JSON. It has the shape `{ retryable, retryableElsewhere, retryAfter }` that `@caprock/backoff` and the
 * router understand.
 *
 * **Example** (Catching one reason)
 *
 * ```ts
 * import { BedrockError, Reason } from "@caprock/errors"
 * import { Console, Effect } from "effect"
 *
 * const call = Effect.fail(
 *   new BedrockError.BedrockError({
 *     operation: "Converse",
 *     attempts: 1,
 *     reason: new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens, please wait before trying again." })
 *   })
 * )
 *
 * export const main = call.pipe(
 *   Effect.catchReason("BedrockError", "ThrottlingError", (reason) => Console.log(`throttled by ${reason.limit}`))
 * ) // => throttled by tokens
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { describe } from "./internal/describe.ts"
import { read } from "./internal/read.ts"
import * as Reason from "./Reason.ts"
import type * as Verdict from "./Verdict.ts"

const TypeId = "~@caprock/errors/BedrockError"

/**
 * A request of a call that had several targets to go to, and how it failed: its target's name, the tag of the reason, and what was said.
 *
 * @category models
 * @since 0.1.0
 */
export const Tried = Schema.Struct({ target: Schema.String, reason: Schema.String, message: Schema.String })

/**
 * A request of a call that had several targets to go to, and how it failed.
 *
 * @category models
 * @since 0.1.0
 */
export type Tried = typeof Tried.Type

/**
 * A failed call to Bedrock.
 *
 * - `operation`: the API operation, such as `"Converse"`.
 * - `attempts`: requests sent for this call so far; 0 when none was.
 * - `httpStatus`: where there was a response. An exception inside a stream has none of its own.
 * - `gaveUp`: what ended the retries, where the reason is worth another try: their number (`attempts`), their time
 *   (`elapsed`), the budget of all calls together (`budget`), or the call's own `deadline`, which the next wait would have passed.
 * - `tried`: of a call by a route, all of its requests that failed, in their order; the error is the most telling of them.
 * - `cause`: the original error; if its text held a secret, a copy without it.
 *
 * @category errors
 * @since 0.1.0
 */
export class BedrockError extends Schema.TaggedError<BedrockError>()("BedrockError", {
  operation: Schema.String,
  modelId: Schema.optionalKey(Schema.String),
  region: Schema.optionalKey(Schema.String),
  requestId: Schema.optionalKey(Schema.String),
  attempts: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  httpStatus: Schema.optionalKey(Schema.Int),
  gaveUp: Schema.optionalKey(Schema.Literals(["attempts", "elapsed", "budget", "deadline"])),
  reason: Reason.Reason,
  tried: Schema.optionalKey(Schema.Array(Tried)),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** @since 0.1.0 */
  readonly [TypeId] = TypeId

  /**
   * What happened, what to do about it, and the data to find it again. One line, no secrets.
   *
   * @since 0.1.0
   */
  override get message(): string {
    return describe(this)
  }

  /**
   * The answers for this error's reason, from the one table.
   *
   * @since 0.1.0
   */
  get verdict(): Verdict.Verdict {
    return Reason.verdictOf(this.reason)
  }

  /**
   * Whether the same request to the same target may succeed within this call, after a wait.
   *
   * @since 0.1.0
   */
  get retryable(): boolean {
    return this.verdict.retryable
  }

  /**
   * Whether the request may succeed on any other target. `false` also where only another account or Region would do
   * (`verdict.elsewhere === "region"`), because whoever asks this question cannot tell the targets apart.
   *
   * @since 0.1.0
   */
  get retryableElsewhere(): boolean {
    return this.verdict.elsewhere === "target"
  }

  /**
   * The shortest wait before the same is tried again, where one is known. Given also when it is not worth trying within
   * this call.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    return Reason.retryAfterOf(this.reason)
  }
}

/**
 * Whether a value is a {@link BedrockError}, from whichever copy of this package.
 *
 * @category guards
 * @since 0.1.0
 */
export const isBedrockError = (u: unknown): u is BedrockError => read(u, TypeId) === TypeId
