/**
 * The one table that answers, for every reason and kind: is another try worth it on the same target, on another
 * target, not before when, and what should the reader of the message do next?
 *
 * Everything else that asks one of these questions (`BedrockError.retryable`, the router, the batch journal) reads it
 * here, so that two parts of a program can never disagree.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * How far away another try must go to have a chance.
 *
 * - `"target"`: any other target may do (another model, profile or Region).
 * - `"region"`: only a target of another account or another Region, because what refused is shared by all models
 *   of this account in this Region.
 * - `"none"`: nowhere: the request, the credentials or this process is what is wrong.
 *
 * @category models
 * @since 0.1.0
 */
export type Elsewhere = "target" | "region" | "none"

/**
 * The answers for one row of the table.
 *
 * - `retryable`: the same request to the same target may succeed within this call, after a wait.
 * - `elsewhere`: see {@link Elsewhere}.
 * - `notBefore`: the shortest wait that the service documents for this row, when it states one. What a response said
 *   (`retryAfter` of the reason) goes before it.
 * - `advice`: the next step for whoever reads the message. Two sentences at most, no data of the request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verdict {
  readonly retryable: boolean
  readonly elsewhere: Elsewhere
  readonly notBefore?: Duration.Duration
  readonly advice: string
}

const again = (advice: string): Verdict => ({ retryable: true, elsewhere: "target", advice })
const hereOnly = (advice: string): Verdict => ({ retryable: true, elsewhere: "none", advice })
const onlyElsewhere = (advice: string): Verdict => ({ retryable: false, elsewhere: "target", advice })
const never = (advice: string): Verdict => ({ retryable: false, elsewhere: "none", advice })

/**
 * The table. A row is the tag of a reason, followed by its kind where it has one.
 *
 * Decisions that are not obvious:
 *
 * - `ThrottlingError/tokens-per-day` is not retried: waiting minutes does not help. Since 2026-09-21 the quota is one
 *   per account and Region, across all models (quotas-runtime in the Bedrock user guide), so another model in the same
 *   Region is refused as well: `elsewhere` is `"region"`.
 * - `ServerError/model-timeout` is retried although the SDK does not: the model had no answer in its own time limit,
 *   which is more often load than length. The attempts and the elapsed limit of the call bound the cost.
 * - `ServerError/model-refused` is a `ServerError` of kind `"model"` whose `originalStatusCode` is a client error
 *   (4xx but 408 and 429): the model's own server refused the request, and will again.
 * - Validation errors never fall over to another target: the request has to change, and a fallback would hide that.
 * - `AccessError/denied` may fall over: permissions are given per model, profile and Region. What concerns the
 *   credentials themselves may not: every target would be asked with the same ones.
 * - `AccessError/expired-credentials` is not retried. What expires at a known time the SDK renews five minutes before
 *   (`EXPIRATION_MS`, @smithy/core 3.41.0); what has none it takes for constant, and would send the same again. An expired token retried ten times
 *   is what others do (anthropics/claude-code#28032).
 * - `AccessError/provider-unavailable` is retried: Bedrock was not asked, so it costs no quota, and STS throttles too.
 *   `TimeoutError/credentials` is not: the SDK goes on waiting for the same answer, and a retry would wait with it.
 * - `TimeoutError/call` ends the call: it is the limit that the caller set for all of it. So does `TimeoutError/deadline`,
 *   and no other target has more time.
 * - `AdmissionError` is our own refusal. Asking the limiter again at once would defeat it; another pool may have room.
 *   What is shutting down has room nowhere.
 *
 * **Example** (What is worth another try)
 *
 * ```ts
 * import { Verdict } from "@caprock/errors"
 *
 * const daily = Verdict.table["ThrottlingError/tokens-per-day"]
 * console.log(daily.retryable, daily.elsewhere) // => false region
 * console.log(Verdict.table["ThrottlingError/tokens"].retryable) // => true
 * ```
 *
 * @category table
 * @since 0.1.0
 */
export const table = {
  "ThrottlingError/requests": again(
    "The pool's requests per minute are used up. Give the limiter this quota, or send less often."
  ),
  "ThrottlingError/tokens": again(
    "The pool's tokens per minute are used up, counting maxTokens of each request in flight. Lower maxTokens towards the real output length, or give the limiter this quota. The context window is not the problem."
  ),
  "ThrottlingError/tokens-per-day": {
    retryable: false,
    elsewhere: "region",
    advice:
      "The account's tokens per day in this Region are used up, across all models. Wait for the day to end, use another account or Region, or ask AWS Support to raise \"Cross-Model Max Tokens Per Day\" (L-E3F10727)."
  },
  "ThrottlingError/guardrails": {
    retryable: true,
    elsewhere: "region",
    advice:
      "What guardrails may check per second in this account and Region is used up: requests, or text units of 1,000 characters for one of the policies. The model's quota is not the reason. Put several contents into one request, check less, or raise the quota."
  },
  "ThrottlingError/unknown": again(
    "Bedrock did not say which quota it was. Compare requests and tokens per minute with the quotas of this account and Region."
  ),
  "ServerError/internal": again("The service failed by itself. If it lasts, give AWS Support the request id."),
  "ServerError/unavailable": again(
    "Shared capacity is short; your quotas are not the reason. Stop adding load, or use another profile, Region or model."
  ),
  "ServerError/overloaded": again(
    "This model's shared capacity is short; your quotas are not the reason. Stop adding load, or use another profile, Region or model."
  ),
  "ServerError/model": again(
    "The model failed while it answered. If it lasts, use another model or give AWS Support the request id."
  ),
  "ServerError/model-refused": onlyElsewhere(
    "The model's own server refused the request. Look at its status and message, and change the request or the model."
  ),
  "ServerError/model-timeout": again(
    "The model did not finish within its own time limit. Ask for less output (maxTokens), send less input, or stream."
  ),
  "ServerError/not-ready": again(
    "The model is being loaded. The first calls to a custom or imported model may have to wait some minutes."
  ),
  "ServerError/connections": again(
    "Too many connections at once. Use one client with pooled connections, and bound the number in flight."
  ),
  "ValidationError/exceeds-quota": never(
    "No wait can help: lower maxTokens, shorten the input, or raise the quota."
  ),
  "ValidationError/context-overflow": never(
    "The input does not fit the model's context window. Shorten it, or use a model with a larger one."
  ),
  "ValidationError/max-tokens": never(
    "The model allows fewer output tokens than were asked for. Lower maxTokens to the model's maximum."
  ),
  "ValidationError/on-demand-unsupported": never(
    "This model is served through inference profiles only. Put the profile's id in place of the model's (such as \"us.\" or \"global.\" and the model id)."
  ),
  "ValidationError/unknown-model": never(
    "Check the model id, and that the model is offered in this Region (aws bedrock list-foundation-models)."
  ),
  "ValidationError/payload-too-large": never(
    "The request body is larger than Bedrock takes. Send less, or refer to the data in S3 where the model allows it."
  ),
  "ValidationError/no-region": never("Set a Region: the region option, or AWS_REGION, or region in the AWS profile."),
  "ValidationError/malformed": never("Correct the request as the message says; sending it again will not help."),
  "AccessError/denied": onlyElsewhere(
    "Check that the identity may call this operation on this model, profile and every Region that the profile routes to, and that the account has access to the model."
  ),
  "AccessError/no-credentials": never(
    "No credentials were found. Looked at: AWS_BEARER_TOKEN_BEDROCK; AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); the profile in AWS_PROFILE of the files AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE (default ~/.aws); AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN; the container's and the instance's role. Set one of these, or sign in with \"aws sso login\" or \"aws login\"."
  ),
  "AccessError/expired-credentials": never(
    "The credentials have expired. Renew them: \"aws sso login\" or \"aws login\" for a profile, a new session from STS for AWS_SESSION_TOKEN, a new API key for AWS_BEARER_TOKEN_BEDROCK."
  ),
  "AccessError/invalid-credentials": never(
    "AWS does not accept the credentials. Check AWS_BEARER_TOKEN_BEDROCK (it goes before all others), or the key id, secret and session token that belong together; an API key is good for its own Region only."
  ),
  "AccessError/provider-failed": never(
    "A configured source of credentials gave none. Look at what it said: the credential_process, the role and its trust policy, the web identity token, or the provider in the program's own code."
  ),
  "AccessError/provider-unavailable": hereOnly(
    "The source of the credentials (STS, SSO, the container's endpoint) could not be reached or failed itself; Bedrock was not asked. Check the way to it."
  ),
  "AccessError/clock-skew": never("The machine's clock is wrong by minutes. Set it (NTP), and try again."),
  "AccessError/clock-skew-corrected": hereOnly(
    "The machine's clock is wrong by minutes. The client has measured by how much and signs with the corrected time; set the clock (NTP)."
  ),
  "AccessError/agreement-pending": {
    ...onlyElsewhere("AWS is creating the Marketplace agreement for this model. Try again after 15 minutes."),
    // Bedrock user guide, troubleshooting-api-error-codes, MPAgreementBeingCreated (read 2026-11-21).
    notBefore: Duration.minutes(15)
  },
  "NotFoundError/resource": onlyElsewhere(
    "Check the id or ARN, its Region and account, and that the model has not been retired; and the endpoint, where one is set."
  ),
  "NotFoundError/form-not-filled": onlyElsewhere(
    "Submit the provider's use case form for this account (Bedrock console, model catalogue). It takes some minutes to have effect."
  ),
  ResourceQuotaError: onlyElsewhere(
    "A quota of a resource or of the payload is exceeded. Look in Service Quotas, or use another Region."
  ),
  ConflictError: never(
    "Another request with the same token or on the same resource is under way. Look at its outcome first."
  ),
  "TransportError/connect": again("Check the endpoint, proxy and firewall, and the process's limit of open files."),
  "TransportError/dns": again("Check the Region's name, the endpoint and the name server."),
  "TransportError/reset": again(
    "The connection was cut. If it happens after some minutes of silence, turn TCP keep-alive on (NAT and load balancers cut at 350 s) or stream."
  ),
  "TransportError/protocol": again(
    "What arrived was not the protocol that was expected. Check the endpoint and proxies."
  ),
  "TransportError/closed": again("The connection was closed before the answer was complete."),
  "TransportError/tls": never(
    "Check the certificate of the endpoint, the proxy, NODE_EXTRA_CA_CERTS and the machine's clock."
  ),
  "TimeoutError/credentials": never(
    "No credentials within the time limit. Look at their source: a credential_process that waits for input, or an endpoint of the container or of STS that does not answer."
  ),
  "TimeoutError/connect": again("No connection within the time limit. Check the endpoint, proxy and firewall."),
  "TimeoutError/first-token": again(
    "Nothing was answered within the time limit. Raise it if the model is slow to begin: large inputs take long."
  ),
  "TimeoutError/between-tokens": again("The answer stopped in the middle for longer than the time limit."),
  "TimeoutError/call": never("The call's whole time limit has passed. Raise it, ask for less output, or stream."),
  "TimeoutError/deadline": never(
    "The time that the caller gave the whole call, its waits and retries included, is over. Give it more, or ask for less output."
  ),
  "InterruptedStreamError/content": never(
    "Part of the answer had already been handed over, and is in this error. Ask again if a second answer is acceptable."
  ),
  "InterruptedStreamError/empty": again("The stream ended before any content."),
  "AdmissionError/wait-too-long": onlyElsewhere(
    "Allow a longer wait, send less, or use another pool."
  ),
  "AdmissionError/room-full": onlyElsewhere(
    "Too many calls are waiting already. Slow the producer down, or allow more to wait."
  ),
  "AdmissionError/store-unavailable": again(
    "The store that processes share the quota through does not answer. Look at it; `onLoss` says what happens meanwhile."
  ),
  "AdmissionError/no-target": never(
    "No target of the route can take the call now; the message says why of each. Give the route another target, or a last resort."
  ),
  "AdmissionError/shutting-down": never(
    "The layer that made this call is closed, and sends nothing more. Keep it open until its calls have ended."
  ),
  "UnknownError/aborted": never("The call was cancelled by an AbortSignal of the caller."),
  UnknownError: never(
    "The cause holds the original error. If it comes from Bedrock, please report it so that it gets a name."
  )
} as const satisfies Record<string, Verdict>

/**
 * The name of a row: the tag of a reason, followed by its kind where it has one.
 *
 * @category models
 * @since 0.1.0
 */
export type Row = keyof typeof table
