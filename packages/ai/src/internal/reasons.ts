// The one table from what Bedrock's errors mean to what `effect/ai` calls it. A row is one of the table of verdicts, and its
// reason is retryable just where the verdict is: a test goes through all of them.
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as Verdict from "@caprock/errors/Verdict"
import * as AiError from "effect/ai/AiError"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type { EncodedError } from "../BedrockOptions.ts"

/** What there is to say of an error, in the words that the reasons share. */
interface Said {
  readonly error: BedrockError
  readonly description: string
  readonly bedrock: EncodedError
  readonly metadata: { readonly bedrock: EncodedError }
  readonly retryAfter: Duration.Duration | undefined
  readonly resetAt: DateTime.Utc | undefined
  readonly http: typeof AiError.HttpContext.Type | undefined
}

type Build = (said: Said) => AiError.AiErrorReason

const rateLimit: Build = ({ http, metadata, retryAfter }) => new AiError.RateLimitError({ retryAfter, metadata, http })

const exhausted: Build = ({ http, metadata, resetAt }) => new AiError.QuotaExhaustedError({ resetAt, metadata, http })

const provider: Build = ({ description, http, metadata }) =>
  new AiError.InternalProviderError({ description, metadata, http })

const unknown: Build = ({ description, http, metadata }) => new AiError.UnknownError({ description, metadata, http })

const response: Build = ({ description, http, metadata }) =>
  new AiError.InvalidResponseError({ description, metadata, http })

const policy: Build = ({ description, http, metadata }) =>
  new AiError.ContentPolicyError({ description, metadata, http })

const access = (kind: AiError.AuthenticationError["kind"]): Build => ({ description, http, metadata }) =>
  new AiError.AuthenticationError({ kind, description, metadata, http })

const request = (parameter?: string, constraint?: string): Build => ({ description, http, metadata }) =>
  new AiError.InvalidRequestError({ parameter, constraint, description, metadata, http })

// It has no metadata, and its cause is kept as JSON. Which host it was, nobody knows here.
const network: Build = ({ bedrock, description, error: { modelId = "" } }) =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: "POST",
    url: `/model/${encodeURIComponent(modelId.toWellFormed())}`,
    description,
    cause: bedrock
  })

// Bedrock has no exception of its own for this. "Output blocked by content filtering policy" is what Anthropic's models say
// (anthropics/claude-code#58367), "blocked by our content filters" those of Amazon that make images.
const refused = /blocked by (our )?content filter/i
const malformed: Build = (said) => (refused.test(said.error.reason.message) ? policy : request())(said)

export const table = {
  "ThrottlingError/requests": rateLimit,
  "ThrottlingError/tokens": rateLimit,
  "ThrottlingError/tokens-per-day": exhausted,
  "ThrottlingError/guardrails": rateLimit,
  "ThrottlingError/unknown": rateLimit,
  "ServerError/internal": provider,
  "ServerError/unavailable": provider,
  "ServerError/overloaded": provider,
  "ServerError/model": provider,
  "ServerError/model-refused": malformed,
  "ServerError/model-timeout": provider,
  "ServerError/not-ready": provider,
  "ServerError/connections": provider,
  "ValidationError/exceeds-quota": request("inferenceConfig.maxTokens", "exceeds the quota"),
  "ValidationError/context-overflow": request("messages", "exceeds the context window"),
  "ValidationError/max-tokens": request("inferenceConfig.maxTokens", "exceeds the model's maximum"),
  "ValidationError/on-demand-unsupported": request("modelId", "needs an inference profile"),
  "ValidationError/unknown-model": request("modelId", "is unknown"),
  "ValidationError/payload-too-large": request("messages", "exceeds the size of a request"),
  "ValidationError/no-region": request("region", "is missing"),
  "ValidationError/malformed": malformed,
  "AccessError/denied": access("InsufficientPermissions"),
  "AccessError/no-credentials": access("MissingKey"),
  "AccessError/expired-credentials": access("ExpiredKey"),
  "AccessError/invalid-credentials": access("InvalidKey"),
  "AccessError/provider-failed": access("Unknown"),
  "AccessError/provider-unavailable": provider,
  "AccessError/clock-skew": access("Unknown"),
  "AccessError/clock-skew-corrected": provider,
  "AccessError/agreement-pending": access("InsufficientPermissions"),
  "NotFoundError/resource": request("modelId", "is not found"),
  "NotFoundError/form-not-filled": access("InsufficientPermissions"),
  ResourceQuotaError: exhausted,
  ConflictError: request(),
  "TransportError/connect": network,
  "TransportError/dns": network,
  "TransportError/reset": network,
  "TransportError/protocol": network,
  "TransportError/closed": network,
  "TransportError/tls": unknown,
  "TimeoutError/credentials": unknown,
  "TimeoutError/connect": network,
  "TimeoutError/first-token": network,
  "TimeoutError/between-tokens": network,
  "TimeoutError/call": unknown,
  "TimeoutError/deadline": unknown,
  "InterruptedStreamError/content": response,
  "InterruptedStreamError/empty": network,
  "AdmissionError/wait-too-long": exhausted,
  "AdmissionError/room-full": exhausted,
  "AdmissionError/store-unavailable": provider,
  "AdmissionError/no-target": unknown,
  "AdmissionError/shutting-down": unknown,
  "UnknownError/aborted": unknown,
  UnknownError: unknown
} as const satisfies Record<Verdict.Row, Build>
