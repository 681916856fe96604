/**
 * What can go wrong with a call to Bedrock: a closed union of reasons, each a tagged error of its own.
 *
 * A {@link Reason} lives in the `reason` field of a `BedrockError`. Catch one with
 * `Effect.catchReason("BedrockError", "ThrottlingError", ...)`, or turn all of them into the error channel with
 * `Effect.unwrapReason("BedrockError")`. Whether another try makes sense is not written on the classes: it is looked
 * up in the one table of `Verdict` ({@link verdictOf}).
 *
 * Every `message` is what the service or the system said, with secrets taken out.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Verdict from "./Verdict.ts"

// As text ("3000 millis", "Infinity"): JSON has no infinite number, and this loses nothing.
const optionalDuration = Schema.optionalKey(Schema.DurationFromString)
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Bedrock refused because a quota is used up (HTTP 429, or the same inside a stream).
 *
 * `limit` says which one, by the message; `"unknown"` when the message does not tell. `"guardrails"` are the account's quotas of
 * guardrails per second, in requests and in text units: also of a model's call that has a guardrail. `retryAfter` is what the response
 * asked for; Bedrock rarely does.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ThrottlingError extends Schema.TaggedError<ThrottlingError>()(
  "ThrottlingError",
  {
    limit: Schema.Literals(["requests", "tokens", "tokens-per-day", "guardrails", "unknown"]),
    message: Schema.String,
    retryAfter: optionalDuration
  }
) {}

/**
 * The service or the model failed.
 *
 * - `internal`: HTTP 500.
 * - `unavailable`: HTTP 503, shared capacity.
 * - `overloaded`: this model's shared capacity (429 with "overloaded", or 529).
 * - `model`: the model failed (ModelErrorException, ModelStreamErrorException); `originalStatusCode` is the model's own.
 * - `model-timeout`: the model exceeded its own time limit (HTTP 408).
 * - `not-ready`: the model is being loaded (ModelNotReadyException, HTTP 429).
 * - `connections`: too many connections (HTTP 503).
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServerError extends Schema.TaggedError<ServerError>()(
  "ServerError",
  {
    kind: Schema.Literals([
      "internal",
      "unavailable",
      "overloaded",
      "model",
      "model-timeout",
      "not-ready",
      "connections"
    ]),
    message: Schema.String,
    retryAfter: optionalDuration,
    originalStatusCode: Schema.optionalKey(Schema.Int)
  }
) {}

/**
 * The request itself is wrong, and will be wrong again.
 *
 * - `exceeds-quota`: it needs more than the whole quota of its pool (found by our own limiter, never sent).
 * - `context-overflow`: the input does not fit the context window. Not a throttle, although some messages say "too many
 *   tokens".
 * - `max-tokens`: more output tokens requested than the model allows.
 * - `on-demand-unsupported`: the model is served through inference profiles only.
 * - `unknown-model`: no such model identifier.
 * - `payload-too-large`: more bytes than the endpoint takes.
 * - `no-region`: the SDK was given no Region.
 * - `malformed`: everything else.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ValidationError extends Schema.TaggedError<ValidationError>()(
  "ValidationError",
  {
    kind: Schema.Literals([
      "exceeds-quota",
      "context-overflow",
      "max-tokens",
      "on-demand-unsupported",
      "unknown-model",
      "payload-too-large",
      "no-region",
      "malformed"
    ]),
    message: Schema.String
  }
) {}

/**
 * Who asks, or how it is signed, is not accepted.
 *
 * - `denied`: the identity is known and lacks permission, or the account has no access to the model.
 * - `no-credentials`, `expired-credentials`, `invalid-credentials`: the credentials are missing, too old, or wrong.
 * - `provider-failed`: a source of credentials that is configured gave none: a process that failed, a role that may not be
 *   assumed, a provider of the program's own that threw.
 * - `provider-unavailable`: the same, because it could not be reached, was overloaded, or failed itself: STS, SSO, the
 *   container's endpoint.
 * - `clock-skew`: the signature's time is too far from the server's.
 * - `clock-skew-corrected`: the same, and the SDK has measured the difference: the next request will be signed right.
 *   The SDK leaves this try to its own retries, which are off under ours.
 * - `agreement-pending`: the Marketplace agreement is being created; try again after 15 minutes.
 *
 * @category reasons
 * @since 0.1.0
 */
export class AccessError extends Schema.TaggedError<AccessError>()(
  "AccessError",
  {
    kind: Schema.Literals([
      "denied",
      "no-credentials",
      "expired-credentials",
      "invalid-credentials",
      "provider-failed",
      "provider-unavailable",
      "clock-skew",
      "clock-skew-corrected",
      "agreement-pending"
    ]),
    message: Schema.String,
    retryAfter: optionalDuration
  }
) {}

/**
 * There is no such resource (`resource`), or the provider's use case form has not been submitted (`form-not-filled`).
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFoundError extends Schema.TaggedError<NotFoundError>()(
  "NotFoundError",
  { kind: Schema.Literals(["resource", "form-not-filled"]), message: Schema.String, retryAfter: optionalDuration }
) {}

/**
 * A quota of a resource or of the payload is exceeded (ServiceQuotaExceededException, HTTP 400): not a throttle.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ResourceQuotaError
  extends Schema.TaggedError<ResourceQuotaError>()("ResourceQuotaError", { message: Schema.String })
{}

/**
 * The request conflicts with another one (ConflictException, HTTP 400 or 409).
 *
 * @category reasons
 * @since 0.1.0
 */
export class ConflictError extends Schema.TaggedError<ConflictError>()(
  "ConflictError",
  { message: Schema.String }
) {}

/**
 * The connection failed.
 *
 * - `connect`: no connection could be opened.
 * - `dns`: the host's name could not be resolved.
 * - `reset`: the connection was cut by the other side or in between.
 * - `protocol`: what arrived was not what the protocol allows.
 * - `closed`: the connection or stream ended before the answer was complete.
 * - `tls`: the certificate or the handshake was not accepted.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TransportError extends Schema.TaggedError<TransportError>()(
  "TransportError",
  { kind: Schema.Literals(["connect", "dns", "reset", "protocol", "closed", "tls"]), message: Schema.String }
) {}

/**
 * Something took longer than this program allows: finding credentials (`credentials`), opening a connection (`connect`), the first sign of an answer
 * (`first-token`), the silence within one (`between-tokens`), all waiting for one request (`call`), or everything that was
 * done for the call, its waits and retries included (`deadline`).
 *
 * @category reasons
 * @since 0.1.0
 */
export class TimeoutError extends Schema.TaggedError<TimeoutError>()(
  "TimeoutError",
  {
    kind: Schema.Literals(["credentials", "connect", "first-token", "between-tokens", "call", "deadline"]),
    message: Schema.String
  }
) {}

/**
 * This program did not let the call go: its predicted wait was longer than it may wait (`wait-too-long`), too many were
 * waiting (`room-full`), the store that processes share the quota through did not answer (`store-unavailable`), no target of its route could
 * take it (`no-target`), or the client or limiter was closed (`shutting-down`). Nothing was sent, but for a call that was
 * under way when its client was closed: the envelope's `attempts` tell.
 *
 * @category reasons
 * @since 0.1.0
 */
export class AdmissionError extends Schema.TaggedError<AdmissionError>()(
  "AdmissionError",
  {
    kind: Schema.Literals(["wait-too-long", "room-full", "store-unavailable", "no-target", "shutting-down"]),
    predictedWait: optionalDuration,
    message: Schema.String
  }
) {}

/**
 * Nothing that this package knows. `originalName` is the name that the error carried, if it had one; `"AbortError"` when the
 * caller cancelled the call.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnknownError extends Schema.TaggedError<UnknownError>()(
  "UnknownError",
  { originalName: Schema.optionalKey(Schema.String), message: Schema.String }
) {}

/**
 * Tokens that Bedrock reported, where it had reported any.
 *
 * @category models
 * @since 0.1.0
 */
export const Usage = Schema.Struct({
  inputTokens: Count,
  outputTokens: Count,
  cacheReadInputTokens: Schema.optionalKey(Count),
  cacheWriteInputTokens: Schema.optionalKey(Count)
})

/**
 * What had arrived of an answer when its stream was cut. `toolInput` is the unfinished JSON of a tool call.
 *
 * @category models
 * @since 0.1.0
 */
export const PartialAnswer = Schema.Struct({
  text: Schema.String,
  toolInput: Schema.optionalKey(Schema.String),
  usage: Schema.optionalKey(Usage),
  stopReason: Schema.optionalKey(Schema.String)
})

const origins = [
  ThrottlingError,
  ServerError,
  ValidationError,
  AccessError,
  NotFoundError,
  ResourceQuotaError,
  ConflictError,
  TransportError,
  TimeoutError,
  AdmissionError,
  UnknownError
] as const

/**
 * A stream ended before its `messageStop` and `metadata`.
 *
 * `content` says whether any of it had reached the caller. If so, nothing asks again by itself: the caller has a part
 * of one answer, in `partial`, and a second answer would be another one. `origin` is the reason that cut it, when one is
 * known; a clean early end has none.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InterruptedStreamError extends Schema.TaggedError<InterruptedStreamError>()("InterruptedStreamError", {
  partial: PartialAnswer,
  content: Schema.Boolean,
  message: Schema.String,
  origin: Schema.optionalKey(Schema.Union(origins))
}) {}

/**
 * Schema of {@link Reason}.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Reason = Schema.Union([...origins, InterruptedStreamError])

/**
 * Everything that can be in the `reason` of a `BedrockError`.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

// A model's own server that says 4xx will say so again; 408 and 429 are the two that pass.
const refusedByModel = (status = 0): boolean => status >= 400 && status < 500 && status !== 408 && status !== 429

/**
 * The row of `Verdict.table` that a reason falls under.
 *
 * A stream that was cut before any content falls under the row of what cut it.
 *
 * @category verdicts
 * @since 0.1.0
 */
export const rowOf = (reason: Reason): Verdict.Row => {
  switch (reason._tag) {
    case "ThrottlingError":
      return `${reason._tag}/${reason.limit}`
    case "ServerError":
      return reason.kind === "model" && refusedByModel(reason.originalStatusCode)
        ? "ServerError/model-refused"
        : `${reason._tag}/${reason.kind}`
    // Stryker disable ConditionalExpression: a case that falls through to the next gives the same text
    case "ValidationError":
      return `${reason._tag}/${reason.kind}`
    case "AccessError":
      return `${reason._tag}/${reason.kind}`
    case "NotFoundError":
      return `${reason._tag}/${reason.kind}`
    case "TransportError":
      return `${reason._tag}/${reason.kind}`
    case "TimeoutError":
      return `${reason._tag}/${reason.kind}`
    case "AdmissionError":
      return `${reason._tag}/${reason.kind}`
    // Stryker restore ConditionalExpression
    case "ResourceQuotaError":
    case "ConflictError":
      return reason._tag
    case "UnknownError":
      return reason.originalName === "AbortError" ? "UnknownError/aborted" : "UnknownError"
    case "InterruptedStreamError":
      if (reason.content) return "InterruptedStreamError/content"
      return reason.origin === undefined ? "InterruptedStreamError/empty" : rowOf(reason.origin)
  }
}

/**
 * The answers for a reason, from the one table. Pure, O(1).
 *
 * @category verdicts
 * @since 0.1.0
 */
export const verdictOf = (reason: Reason): Verdict.Verdict => Verdict.table[rowOf(reason)]

/**
 * How long to wait at least before the same is tried again: what the response asked for, else what the service
 * documents for this reason, else nothing known.
 *
 * @category verdicts
 * @since 0.1.0
 */
export const retryAfterOf = (reason: Reason): Duration.Duration | undefined => {
  let said: Duration.Duration | undefined
  switch (reason._tag) {
    case "ThrottlingError":
    case "ServerError":
    case "AccessError":
    case "NotFoundError":
      said = reason.retryAfter
      break
    case "AdmissionError":
      said = reason.predictedWait
      break
    case "InterruptedStreamError":
      said = reason.content || reason.origin === undefined ? undefined : retryAfterOf(reason.origin)
  }
  return said ?? verdictOf(reason).notBefore
}
