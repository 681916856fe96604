/**
 * A `BedrockError` as an `AiError`, and back.
 *
 * Nothing is lost: the reason of the `AiError` carries the whole `BedrockError` as JSON, so that {@link toBedrock} has it also in
 * another process. `isRetryable` is true for exactly those errors that `@caprock/errors` calls worth another try.
 *
 * **Gotchas**
 *
 * Some of what a `BedrockError` says has no place in the shape of an `AiError`, and is seen by {@link toBedrock} alone: a `retryAfter` of anything
 * but a `RateLimitError`, whether another target would do, and what of the `ValidationError` kinds `parameter` and `constraint` can't say. A
 * `RateLimitError` is retryable by definition, so that a call which our own limiter refused, and which is not to be asked again at
 * once, is a `QuotaExhaustedError`.
 *
 * **Example** (Telling a rate limit from an exhausted quota)
 *
 * ```ts
 * import { AiErrors } from "@caprock/ai"
 * import { BedrockError, Reason } from "@caprock/errors"
 * import { Option } from "effect"
 *
 * const error = AiErrors.fromBedrock(
 *   new BedrockError.BedrockError({
 *     operation: "Converse",
 *     attempts: 1,
 *     httpStatus: 429,
 *     reason: new Reason.ThrottlingError({ limit: "tokens-per-day", message: "Too many tokens per day" })
 *   }),
 *   { module: "Docs", method: "generateText" }
 * )
 *
 * console.log(error.reason._tag, error.isRetryable) // => QuotaExhaustedError false
 * console.log(Option.getOrThrow(AiErrors.toBedrock(error)).verdict.elsewhere) // => region
 * ```
 *
 * @since 0.1.0
 */
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { EncodedError } from "./BedrockOptions.ts"
import { table } from "./internal/reasons.ts"

/**
 * The `AiError` of a `BedrockError`. Pure.
 *
 * - `module`, `method`: who asked, as every `AiError` says.
 * - `now`: milliseconds since the epoch; with it, an exhausted quota says when it will be free, where that is known.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromBedrock = (
  error: BedrockError,
  { method, module, now }: { readonly module: string; readonly method: string; readonly now?: number | undefined }
): AiError.AiError => {
  const { httpStatus, message, reason, requestId, retryAfter } = error
  const bedrock = encoded(error)
  return AiError.make({
    module,
    method,
    reason: table[Reason.rowOf(reason)]({
      error,
      description: message,
      bedrock,
      metadata: { bedrock },
      retryAfter,
      // None where the wait is longer than dates go.
      resetAt: retryAfter === undefined || now === undefined
        ? undefined
        : Option.getOrUndefined(DateTime.make(now + Math.ceil(Duration.toMillis(retryAfter)))),
      http: httpStatus === undefined
        ? undefined
        : {
          response: { status: httpStatus, headers: requestId === undefined ? {} : { "x-amzn-requestid": requestId } }
        }
    })
  })
}

/**
 * The `BedrockError` that an `AiError` was made of; none if it was made of something else. Its `cause` is a copy: what of the original
 * can be written as JSON.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toBedrock = ({ reason }: AiError.AiError): Option.Option<BedrockError> =>
  reason._tag === "NetworkError"
    ? decode(reason.cause)
    : "metadata" in reason
    ? decode(reason.metadata["bedrock"])
    : Option.none()

const encode = Schema.encodeSync(BedrockError)
const decodeError = Schema.decodeUnknownOption(BedrockError)

const decode = (json: unknown): Option.Option<BedrockError> =>
  Predicate.isObject(json) ? decodeError(json) : Option.none()

/** What can't be written is the cause alone: it may be anything. */
const encoded = (error: BedrockError): EncodedError => {
  const { cause: _, ...rest } = error
  const json = Result.getOrElse(Result.try(() => encode(error)), () => encode(new BedrockError(rest)))
  // What a schema writes is new and its own, so it may be called mutable.
  return json as EncodedError
}
