// What a call without Effect rejects with. Nothing here knows Effect: a program that has none reads these declarations.

/**
 * What had arrived of an answer when its stream was cut. `toolInput` is the unfinished JSON of a tool call.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartialAnswer {
  readonly text: string
  readonly toolInput?: string
  readonly usage?: {
    readonly inputTokens: number
    readonly outputTokens: number
    readonly cacheReadInputTokens?: number
    readonly cacheWriteInputTokens?: number
  }
  readonly stopReason?: string
}

/**
 * What all errors of a call say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** What happened, what to do about it, and the data to find it again. One line, no secrets. */
  readonly message: string
  /** What the service or the system said, with secrets taken out. */
  readonly detail: string
  /** The operation as the service calls it, such as `"ConverseStream"`. */
  readonly operation: string
  readonly modelId?: string
  readonly region?: string
  /** What AWS Support asks for. */
  readonly requestId?: string
  readonly httpStatus?: number
  /** Requests that were sent for this call. */
  readonly attempts: number
  /** What ended the retries, where it is worth another try. */
  readonly gaveUp?: "attempts" | "elapsed" | "budget" | "deadline"
  /** Whether the same request to the same model may succeed after a wait. The client has tried that already. */
  readonly retryable: boolean
  /** Whether the request may succeed on any other model. */
  readonly retryableElsewhere: boolean
  /** The shortest wait before the same is tried again, where one is known. */
  readonly retryAfterMillis?: number
  /** The original error; if its text held a secret, a copy without it. */
  readonly cause?: unknown
}

/**
 * A failed call. Each of its classes is one reason, and {@link Failure} says what all of them tell.
 *
 * The constructors are for your own tests: what calls reject with is made here.
 *
 * @category errors
 * @since 0.1.0
 */
export class BedrockError extends Error implements Failure {
  declare readonly detail: string
  declare readonly operation: string
  declare readonly modelId?: string
  declare readonly region?: string
  declare readonly requestId?: string
  declare readonly httpStatus?: number
  declare readonly attempts: number
  declare readonly gaveUp?: "attempts" | "elapsed" | "budget" | "deadline"
  declare readonly retryable: boolean
  declare readonly retryableElsewhere: boolean
  declare readonly retryAfterMillis?: number

  constructor({ cause, message, ...failure }: Failure) {
    super(message, cause === undefined ? {} : { cause })
    Object.assign(this, failure)
  }

  override get name(): string {
    return "BedrockError"
  }
}

/**
 * Bedrock refused because a quota is used up (HTTP 429, or the same inside a stream). `limit` says which one, as far as the
 * message tells; `"guardrails"` are the account's quotas of guardrails per second.
 *
 * @category errors
 * @since 0.1.0
 */
export class ThrottlingError extends BedrockError {
  readonly limit: "requests" | "tokens" | "tokens-per-day" | "guardrails" | "unknown"

  constructor({ limit, ...failure }: Failure & Pick<ThrottlingError, "limit">) {
    super(failure)
    this.limit = limit
  }

  override get name() {
    return "ThrottlingError" as const
  }
}

/**
 * The service or the model failed: `internal` (HTTP 500), `unavailable` (503, shared capacity), `overloaded` (this model's
 * shared capacity), `model` (with the model's own status in `originalStatusCode`), `model-timeout` (408), `not-ready` (the model
 * is being loaded), `connections` (too many of them).
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerError extends BedrockError {
  readonly kind: "internal" | "unavailable" | "overloaded" | "model" | "model-timeout" | "not-ready" | "connections"
  readonly originalStatusCode: number | undefined

  constructor(
    { kind, originalStatusCode, ...failure }:
      & Failure
      & Pick<ServerError, "kind">
      & Partial<Pick<ServerError, "originalStatusCode">>
  ) {
    super(failure)
    this.kind = kind
    this.originalStatusCode = originalStatusCode
  }

  override get name() {
    return "ServerError" as const
  }
}

/**
 * The request itself is wrong, and will be wrong again. `exceeds-quota` needs more than the whole quota, and was never sent;
 * `context-overflow` does not fit the context window; `on-demand-unsupported` has to go through an inference profile.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationError extends BedrockError {
  readonly kind:
    | "exceeds-quota"
    | "context-overflow"
    | "max-tokens"
    | "on-demand-unsupported"
    | "unknown-model"
    | "payload-too-large"
    | "no-region"
    | "malformed"

  constructor({ kind, ...failure }: Failure & Pick<ValidationError, "kind">) {
    super(failure)
    this.kind = kind
  }

  override get name() {
    return "ValidationError" as const
  }
}

/**
 * Who asks, or how it is signed, is not accepted.
 *
 * @category errors
 * @since 0.1.0
 */
export class AccessError extends BedrockError {
  readonly kind:
    | "denied"
    | "no-credentials"
    | "expired-credentials"
    | "invalid-credentials"
    | "provider-failed"
    | "provider-unavailable"
    | "clock-skew"
    | "clock-skew-corrected"
    | "agreement-pending"

  constructor({ kind, ...failure }: Failure & Pick<AccessError, "kind">) {
    super(failure)
    this.kind = kind
  }

  override get name() {
    return "AccessError" as const
  }
}

/**
 * There is no such resource, or the provider's use case form has not been submitted (`form-not-filled`).
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFoundError extends BedrockError {
  readonly kind: "resource" | "form-not-filled"

  constructor({ kind, ...failure }: Failure & Pick<NotFoundError, "kind">) {
    super(failure)
    this.kind = kind
  }

  override get name() {
    return "NotFoundError" as const
  }
}

/**
 * A quota of a resource or of the payload is exceeded (ServiceQuotaExceededException): not a throttle.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResourceQuotaError extends BedrockError {
  override get name() {
    return "ResourceQuotaError" as const
  }
}

/**
 * The request conflicts with another one.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConflictError extends BedrockError {
  override get name() {
    return "ConflictError" as const
  }
}

/**
 * The connection failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class TransportError extends BedrockError {
  readonly kind: "connect" | "dns" | "reset" | "protocol" | "closed" | "tls"

  constructor({ kind, ...failure }: Failure & Pick<TransportError, "kind">) {
    super(failure)
    this.kind = kind
  }

  override get name() {
    return "TransportError" as const
  }
}

/**
 * Something took longer than this program allows: finding credentials, opening a connection, the first sign of an answer, the silence within one, all
 * waiting for one request (`call`), or everything that was done for the call (`deadline`).
 *
 * @category errors
 * @since 0.1.0
 */
export class TimeoutError extends BedrockError {
  readonly kind: "credentials" | "connect" | "first-token" | "between-tokens" | "call" | "deadline"

  constructor({ kind, ...failure }: Failure & Pick<TimeoutError, "kind">) {
    super(failure)
    this.kind = kind
  }

  override get name() {
    return "TimeoutError" as const
  }
}

/**
 * This program did not let the call go: its predicted wait was longer than it may wait (`wait-too-long`), too many were waiting
 * (`room-full`), the store that processes share the quota through did not answer (`store-unavailable`), no target of its route could take it (`no-target`), or the client was closed (`shutting-down`). Nothing was sent, but for a call that was under way when its client
 * was closed: `attempts` tells.
 *
 * @category errors
 * @since 0.1.0
 */
export class AdmissionError extends BedrockError {
  readonly kind: "wait-too-long" | "room-full" | "store-unavailable" | "no-target" | "shutting-down"
  readonly predictedWaitMillis: number | undefined

  constructor(
    { kind, predictedWaitMillis, ...failure }:
      & Failure
      & Pick<AdmissionError, "kind">
      & Partial<Pick<AdmissionError, "predictedWaitMillis">>
  ) {
    super(failure)
    this.kind = kind
    this.predictedWaitMillis = predictedWaitMillis
  }

  override get name() {
    return "AdmissionError" as const
  }
}

/**
 * A stream ended before its answer was whole. Some of it had been given when `content` is `true`; it is in `partial`, and
 * nothing asks again by itself. `origin` is what cut the stream, where that is known.
 *
 * @category errors
 * @since 0.1.0
 */
export class InterruptedStreamError extends BedrockError {
  readonly partial: PartialAnswer
  readonly content: boolean
  readonly origin: BedrockError | undefined

  constructor(
    { partial, content, origin, ...failure }:
      & Failure
      & Pick<InterruptedStreamError, "partial" | "content">
      & Partial<Pick<InterruptedStreamError, "origin">>
  ) {
    super(failure)
    this.partial = partial
    this.content = content
    this.origin = origin
  }

  override get name() {
    return "InterruptedStreamError" as const
  }
}

/**
 * Nothing that this package knows. `originalName` is the name that the error carried, if it had one.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownError extends BedrockError {
  readonly originalName: string | undefined

  constructor({ originalName, ...failure }: Failure & Partial<Pick<UnknownError, "originalName">>) {
    super(failure)
    this.originalName = originalName
  }

  override get name() {
    return "UnknownError" as const
  }
}

/**
 * Options that can't be used: all that is wrong with them, at once. Each problem has the `name` under which it was set, of the option
 * (`timeouts.call`) or of the variable, and says what it was and what is allowed.
 *
 * @category errors
 * @since 0.1.0
 */
export class OptionsError extends Error {
  readonly problems: ReadonlyArray<{ readonly name: string; readonly message: string }>

  constructor(problems: OptionsError["problems"]) {
    super(problems.map(({ message }) => message).join("\n"))
    this.problems = problems
  }

  override get name() {
    return "OptionsError" as const
  }
}
