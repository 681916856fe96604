// What a name, a code, a text or a status means. Each row has its source; the order of rows matters only in the lists of
// texts, where the first match wins.
import * as Duration from "effect/Duration"
import * as Reason from "../Reason.ts"
import type { Facts } from "./facts.ts"

/** What the whole chain and the call say, beside the one error that is looked at. */
export interface Hint {
  readonly retryAfter: Duration.Duration | undefined
  readonly status: number | undefined
  /** Whether the operation's answer is a stream: a silence then lies between tokens. */
  readonly streaming: boolean
}

type Build = (facts: Facts, hint: Hint) => Reason.Reason
type Texts<K> = ReadonlyArray<readonly [pattern: RegExp, meaning: K]>

const find = <K>(texts: Texts<K>, message: string): K | undefined =>
  texts.find(([pattern]) => pattern.test(message))?.[1]

const wait = (retryAfter: Duration.Duration | undefined) => retryAfter === undefined ? {} : { retryAfter }

// --- reasons ---------------------------------------------------------------------------------------------------------

const server = (kind: Reason.ServerError["kind"]): Build => ({ message, originalStatusCode }, { retryAfter }) =>
  new Reason.ServerError({
    kind,
    message,
    ...wait(retryAfter),
    ...(originalStatusCode === undefined ? {} : { originalStatusCode })
  })

const limited = (limit: Reason.ThrottlingError["limit"]): Build => ({ message }, { retryAfter }) =>
  new Reason.ThrottlingError({ limit, message, ...wait(retryAfter) })

const validation = (kind: Reason.ValidationError["kind"]): Build => ({ message }) =>
  new Reason.ValidationError({ kind, message })

// "If you have already ..., try again in 15 minutes."
const waitInText = (message: string): Duration.Duration | undefined => {
  const minutes = /try again (?:in|after) (\d{1,4}) minutes?/i.exec(message)?.[1]
  return minutes === undefined ? undefined : Duration.minutes(Number(minutes))
}

const access = (kind: Reason.AccessError["kind"]): Build => ({ message }, { retryAfter }) =>
  new Reason.AccessError({ kind, message, ...wait(retryAfter ?? waitInText(message)) })

const missing = (kind: Reason.NotFoundError["kind"]): Build => ({ message }, { retryAfter }) =>
  new Reason.NotFoundError({ kind, message, ...wait(retryAfter ?? waitInText(message)) })

const transport = (kind: Reason.TransportError["kind"]): Build => ({ message }) =>
  new Reason.TransportError({ kind, message })

const timeout = (kind: Reason.TimeoutError["kind"]): Build => ({ message }) =>
  new Reason.TimeoutError({ kind, message })

const conflict: Build = ({ message }) => new Reason.ConflictError({ message })
const resourceQuota: Build = ({ message }) => new Reason.ResourceQuotaError({ message })

/** The first text that matches decides, else `otherwise`. */
const byMessage = (texts: Texts<Build>, otherwise: Build): Build => (facts, hint) =>
  (find(texts, facts.message) ?? otherwise)(facts, hint)

// --- messages --------------------------------------------------------------------------------------------------------

// Throttling and capacity. Sources: AWS ML blog "Mastering Amazon Bedrock throttling" (2026-02), Bedrock user guide
// (scaling-throughput-best-practices), and threads that quote live messages; collected 2026-11-21.
const capacityTexts: Texts<Build> = [
  // "ApplyGuardrail requestId: ... got throttled for the accountId: ..." and "Too many requests sent to ApplyGuardrail: On-demand
  // ApplyGuardrail content filter policy text units per second limit exceeded" (a post of AWS Enterprise Support on guardrails for
  // high throughput, read 2026-11).
  [/guardrail/i, limited("guardrails")],
  [/tokens per day|daily token/i, limited("tokens-per-day")],
  [/overloaded/i, server("overloaded")],
  [/currently processing too many requests/i, server("overloaded")],
  [/too many connections/i, server("connections")],
  [/too many tokens|tokens per minute/i, limited("tokens")],
  [/too many requests|request rate|rate exceeded|requests per minute/i, limited("requests")]
]
const throttling = byMessage(capacityTexts, limited("unknown"))

const unavailableTexts: Texts<Build> = [
  [/too many connections/i, server("connections")],
  [/overloaded/i, server("overloaded")]
]
const unavailable = byMessage(unavailableTexts, server("unavailable"))

// Requests that no wait cures. "Too many input tokens" is the context window, not a throttle.
const validationTexts: Texts<Build> = [
  [/on-demand throughput isn.?t supported/i, validation("on-demand-unsupported")],
  [/exceed context limit|context window|context length/i, validation("context-overflow")],
  [/(input|prompt) is too long|too many input tokens|input tokens? .*exceeds?/i, validation("context-overflow")],
  [/maximum tokens you requested|max_?tokens\b.*(maximum|exceeds|limit)/i, validation("max-tokens")],
  [
    /model identifier is invalid|at 'modelId' failed to satisfy|could not resolve the foundation model/i,
    validation("unknown-model")
  ]
]
const malformed = byMessage(validationTexts, validation("malformed"))

// "Signature expired: 20261121T080000Z is now earlier than ..." and "Signature not yet current: ..." (SigV4
// troubleshooting, IAM user guide).
const skewed: Build = (facts, hint) =>
  access(facts.clockSkewCorrected ? "clock-skew-corrected" : "clock-skew")(facts, hint)
const skewTexts: Texts<Build> = [[/signature expired|not yet current|too skewed|request has expired/i, skewed]]
const signature = byMessage(skewTexts, access("invalid-credentials"))

const credentialTexts: Texts<Build> = [
  [/agreement.*(being created|in progress)/i, access("agreement-pending")],
  [/signature expired|not yet current/i, skewed],
  [/(token|session|credentials?|key)\b.*\b(is|has|have|are) expired/i, access("expired-credentials")],
  [
    /api key is (not )?valid|(bearer|security) token.*invalid|invalid (bearer|security) token/i,
    access("invalid-credentials")
  ]
]
const denied = byMessage(credentialTexts, access("denied"))
const badToken = byMessage(credentialTexts, access("invalid-credentials"))

// What the SDK's credential providers say (read and run in credential-provider-* and token-providers, 2026-11).
const providerTexts: Texts<Build> = [
  [
    /expired|re-?authenticate|failed to refresh|session associated with this profile is invalid|cannot refresh|session token not found or invalid/i,
    access("expired-credentials")
  ],
  [/command failed|credential_process returned/i, access("provider-failed")],
  [
    /endpoint gave none|\bE(CONN\w+|TIMEDOUT|AI_AGAIN|NOTFOUND|HOSTUNREACH|PIPE)\b|socket hang up|throttl|too ?many ?requests|rate exceeded|service ?unavailable|internal ?(server|failure)/i,
    access("provider-unavailable")
  ],
  // What a source threw, as the SDK quotes it.
  [/^\w+(Error|Exception): /, access("provider-failed")]
]
const provider = byMessage(providerTexts, access("no-credentials"))

/**
 * What a failure means that came of the search for credentials: nothing of it is Bedrock's, neither a throttle nor a refusal. What
 * may pass is worth another try, and what the source says is that of one source, and not of this model.
 */
export const ofCredentials = (said: Reason.Reason): Reason.Reason => {
  const found = (kind: Reason.AccessError["kind"]) =>
    new Reason.AccessError({ kind, message: said.message, ...wait("retryAfter" in said ? said.retryAfter : undefined) })
  if (said._tag === "AccessError") return said.kind === "denied" ? found("provider-failed") : said
  // A time limit of the source's own says nothing about the call's.
  const passes = said._tag === "TimeoutError" || Reason.verdictOf(said).retryable
  return found(passes ? "provider-unavailable" : "provider-failed")
}

const formTexts: Texts<Build> = [[/use case (details|form)/i, missing("form-not-filled")]]
const notFound = byMessage(formTexts, missing("resource"))

// The SDK's own timeouts, all with the name TimeoutError (@smithy/node-http-handler 4.14.2).
const silence: Build = (facts, hint) => timeout(hint.streaming ? "between-tokens" : "first-token")(facts, hint)
const timeoutTexts: Texts<Build> = [
  [/did not establish a connection/i, timeout("connect")],
  [/no activity|inactivity/i, silence],
  [/requestTimeout|did not get a response/i, timeout("first-token")]
]
// NodeHttpHandler gives the name TimeoutError also to resets (its list: ECONNRESET, EPIPE, ETIMEDOUT), so that the code
// has to decide where the text does not.
const timedOut: Build = (facts, hint) =>
  (find(timeoutTexts, facts.message) ?? codeOf(facts.code) ?? timeout("call"))(facts, hint)

// --- names -----------------------------------------------------------------------------------------------------------

// Keys begin in upper case; `byName` raises the first letter, because exceptions inside a stream come in lowerCamel.
const names: Readonly<Record<string, Build>> = {
  // The runtime's exceptions (service model 2023-09-30).
  ThrottlingException: throttling,
  ModelNotReadyException: server("not-ready"),
  ServiceUnavailableException: unavailable,
  InternalServerException: server("internal"),
  ModelTimeoutException: server("model-timeout"),
  ModelErrorException: server("model"),
  ModelStreamErrorException: server("model"),
  ServiceQuotaExceededException: resourceQuota,
  ValidationException: malformed,
  AccessDeniedException: denied,
  ResourceNotFoundException: notFound,
  ConflictException: conflict,

  // Other codes of troubleshooting-api-error-codes, and AWS's common errors.
  FTUFormNotFilled: missing("form-not-filled"),
  MPAgreementBeingCreated: access("agreement-pending"),
  InternalFailure: server("internal"),
  InternalServerError: server("internal"),
  InternalError: server("internal"),
  ServiceUnavailable: unavailable,
  RequestExpired: skewed,
  RequestInTheFuture: skewed,
  RequestTimeTooSkewed: skewed,
  InvalidSignatureException: signature,
  SignatureDoesNotMatch: signature,
  AuthFailure: signature,
  IncompleteSignature: access("invalid-credentials"),
  IncompleteSignatureException: access("invalid-credentials"),
  InvalidClientTokenId: badToken,
  UnrecognizedClientException: badToken,
  UnauthorizedException: badToken,
  ExpiredToken: access("expired-credentials"),
  ExpiredTokenException: access("expired-credentials"),
  // STS could not reach who vouches for the caller: "can be ... a transient error" (AssumeRoleWithWebIdentity, API reference).
  IDPCommunicationErrorException: unavailable,
  MissingAuthenticationToken: access("no-credentials"),
  MissingAuthenticationTokenException: access("no-credentials"),
  AccessDenied: denied,
  BadCScoreException: denied,
  NotAuthorized: denied,
  OptInRequired: denied,
  ResourceNotFound: notFound,
  ValidationError: malformed,
  SerializationException: malformed,
  InvalidAction: malformed,
  RequestEntityTooLargeException: validation("payload-too-large"),

  // What the SDK counts as a throttle (`THROTTLING_ERROR_CODES` of @smithy/core 3.41.0).
  BandwidthLimitExceeded: throttling,
  EC2ThrottledException: throttling,
  LimitExceededException: throttling,
  PriorRequestNotComplete: throttling,
  ProvisionedThroughputExceededException: throttling,
  RequestLimitExceeded: throttling,
  RequestThrottled: throttling,
  RequestThrottledException: throttling,
  SlowDown: throttling,
  ThrottledException: throttling,
  Throttling: throttling,
  TooManyRequestsException: throttling,
  TransactionInProgressException: throttling,

  // Types of the Anthropic Messages API, in bodies with status 529 and 429.
  Overloaded_error: server("overloaded"),
  Rate_limit_error: throttling,
  Api_error: server("internal"),

  // The SDK itself.
  CredentialsProviderError: provider,
  TokenProviderError: provider,
  ProviderError: provider,
  TimeoutError: timedOut,
  RequestTimeout: timeout("first-token"),
  RequestTimeoutException: timeout("first-token")
}

const upperFirst = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)

export const byName = (facts: Facts, hint: Hint): Reason.Reason | undefined => {
  if (facts.name === undefined) return undefined
  return own(names, upperFirst(facts.name))?.(facts, hint)
}

// What the caller gave up is not asked again, whatever the connection said when it was torn down. A signal made by
// `AbortSignal.timeout` is the caller's time limit.
export const byAbort = (facts: Facts, hint: Hint): Reason.Reason | undefined =>
  facts.name === "TimeoutError" ? timeout("call")(facts, hint) : undefined

// --- codes -----------------------------------------------------------------------------------------------------------

const connectOrReset: Build = (facts, hint) =>
  transport(facts.syscall === undefined || facts.syscall === "connect" ? "connect" : "reset")(facts, hint)

// Node's system and HTTP/2 codes (nodejs.org/api/errors.html, Node 24), OpenSSL's verify codes, undici's.
const codes: Readonly<Record<string, Build>> = {
  ECONNREFUSED: transport("connect"),
  EHOSTUNREACH: transport("connect"),
  ENETUNREACH: transport("connect"),
  ENETDOWN: transport("connect"),
  EADDRNOTAVAIL: transport("connect"),
  EMFILE: transport("connect"),
  ENFILE: transport("connect"),
  ENOBUFS: transport("connect"),
  ETIMEDOUT: connectOrReset,
  ENOTFOUND: transport("dns"),
  EAI_AGAIN: transport("dns"),
  ECONNRESET: transport("reset"),
  ECONNABORTED: transport("reset"),
  EPIPE: transport("reset"),
  ERR_HTTP2_STREAM_ERROR: transport("reset"),
  ERR_HTTP2_SESSION_ERROR: transport("reset"),
  ERR_HTTP2_GOAWAY_SESSION: transport("closed"),
  ERR_HTTP2_INVALID_SESSION: transport("closed"),
  ERR_HTTP2_INVALID_STREAM: transport("closed"),
  ERR_STREAM_PREMATURE_CLOSE: transport("closed"),
  ERR_SOCKET_CLOSED: transport("closed"),
  // From OpenSSL: "wrong version number" and the like.
  EPROTO: transport("tls"),
  CERT_HAS_EXPIRED: transport("tls"),
  CERT_NOT_YET_VALID: transport("tls"),
  DEPTH_ZERO_SELF_SIGNED_CERT: transport("tls"),
  SELF_SIGNED_CERT_IN_CHAIN: transport("tls"),
  UNABLE_TO_GET_ISSUER_CERT: transport("tls"),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: transport("tls"),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: transport("tls"),
  // In a key or token that was pasted with its line break; else in a member of the input that is sent as a header.
  ERR_INVALID_CHAR: byMessage(
    [[/"(authorization|x-amz-security-token)"/i, access("invalid-credentials")]],
    validation("malformed")
  ),
  ERR_INVALID_URL: ({ message }) =>
    new Reason.ValidationError({
      kind: "malformed",
      message:
        `${message}. An endpoint is set that is none: by the option, by AWS_ENDPOINT_URL or one of its kind, or by endpoint_url in the AWS profile.`
    }),
  UND_ERR_CONNECT_TIMEOUT: timeout("connect"),
  UND_ERR_HEADERS_TIMEOUT: timeout("first-token"),
  UND_ERR_BODY_TIMEOUT: timeout("between-tokens"),
  UND_ERR_SOCKET: transport("reset")
}

const codePrefixes: Texts<Build> = [
  [/^ERR_(TLS|SSL)_/, transport("tls")],
  [/^ERR_HTTP2_/, transport("protocol")],
  [/^HPE_/, transport("protocol")]
]

// Says only that the stream was given up; its cause says why (the SDK's HTTP/2 handler on a refused connection).
const weakCodes: Readonly<Record<string, Build>> = { ERR_HTTP2_STREAM_CANCEL: transport("closed") }

const own = <A>(table: Readonly<Record<string, A>>, key: string): A | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

const codeOf = (code: string): Build | undefined =>
  Object.hasOwn(weakCodes, code) ? undefined : own(codes, code) ?? find(codePrefixes, code)

export const byCode = (facts: Facts, hint: Hint): Reason.Reason | undefined => codeOf(facts.code)?.(facts, hint)

export const byWeakCode = (facts: Facts, hint: Hint): Reason.Reason | undefined =>
  own(weakCodes, facts.code)?.(facts, hint)

// --- texts of errors without a name of their own -----------------------------------------------------------------------

const texts: Texts<Build> = [
  [/^truncated event message received/i, transport("closed")],
  [/(prelude|message) checksum/i, transport("protocol")],
  [/HTTP\/2 stream is abnormally aborted/i, transport("reset")],
  [/^Frame type id .* has failed/i, transport("protocol")],
  [/socket hang up/i, transport("reset")],
  [/^Region is missing|^Region not accepted|Missing Region/i, validation("no-region")],
  [/^(No|Empty) value provided for input HTTP label/i, validation("malformed")],
  [/credential is missing|resolved credential object is not valid/i, access("no-credentials")]
]

const plainNames: ReadonlySet<string | undefined> = new Set([undefined, "Error", "EndpointError"])

export const byText = (facts: Facts, hint: Hint): Reason.Reason | undefined =>
  plainNames.has(facts.name) ? find(texts, facts.message)?.(facts, hint) : undefined

// --- statuses ----------------------------------------------------------------------------------------------------------

const statuses: Readonly<Record<number, Build>> = {
  400: malformed,
  401: badToken,
  403: denied,
  404: notFound,
  408: server("model-timeout"),
  409: conflict,
  413: validation("payload-too-large"),
  422: malformed,
  424: server("model"),
  429: throttling,
  502: unavailable,
  503: unavailable,
  504: unavailable,
  // "overloaded_error": Bedrock user guide, scaling-throughput-best-practices (2026).
  529: server("overloaded")
}

const parsersNames: ReadonlySet<string | undefined> = new Set([...plainNames, "SyntaxError", "TypeError", "RangeError"])

const statusOf = (facts: Facts, status: number): Build | undefined => {
  if (status >= 500) return server("internal")
  // Bedrock redirects nobody: somebody in between does.
  if (status >= 300 && status < 400) return transport("protocol")
  // An answer that can't be read: cut short, or written by something in between. A name of its own says otherwise: the
  // SDK finds the exception in a stream's first frame while it deserializes.
  // A status that HTTP does not know is no status.
  return !(status >= 300) && facts.unreadable && parsersNames.has(facts.name) ? transport("protocol") : undefined
}

export const byStatus = (facts: Facts, hint: Hint): Reason.Reason | undefined => {
  const status = hint.status ?? Number.NaN
  return (statuses[status] ?? statusOf(facts, status))?.(facts, hint)
}
