/**
 * From anything that was thrown to a `BedrockError`: by tables, not by a ladder of conditions.
 *
 * The order is: the name of the error (or of one of its causes), without regard to the case of its first letter; then
 * the system's code; then the text of errors that have neither; and last the HTTP status. Where a name does not decide,
 * the message does: which quota, which kind of wrong request. What none of them knows becomes an `UnknownError`.
 *
 * Nothing of the SDK is imported: an error is read by its shape (`name`, `message`, `$metadata`, `$response`, `code`,
 * `cause`), so that it does not matter which copy of the SDK made it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { BedrockError, isBedrockError } from "./BedrockError.ts"
import { causeOf } from "./internal/cause.ts"
import * as facts from "./internal/facts.ts"
import * as tables from "./internal/tables.ts"
import * as Reason from "./Reason.ts"

/**
 * What the caller knows about the call.
 *
 * - `operation`: the API operation, such as `"ConverseStream"`.
 * - `attempts`: requests sent for this call so far. Without it, what the SDK counted, or 1; less one where the reason
 *   shows that the last of them never left this machine.
 * - `credentials`: it was thrown while credentials were looked for, by whoever has them (STS, SSO, a process, the program's own
 *   provider), and not by Bedrock. Then it is an `AccessError`, whatever it says.
 * - `now`: milliseconds since the epoch, to turn a `Retry-After` date into a wait where the response has no `Date`.
 *   Without it such a date is not used.
 *
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly operation: string
  readonly modelId?: string | undefined
  readonly region?: string | undefined
  readonly attempts?: number | undefined
  readonly credentials?: boolean | undefined
  readonly now?: number | undefined
}

// Nothing had left this machine when these were found, unless there was a response all the same.
const neverSent: ReadonlySet<string> = new Set([
  "ValidationError/no-region",
  "AccessError/no-credentials",
  "AccessError/provider-failed",
  "AccessError/provider-unavailable",
  "TransportError/connect",
  "TransportError/dns",
  "TransportError/tls",
  "TimeoutError/connect"
])

const lookUps = [tables.byName, tables.byCode, tables.byWeakCode, tables.byText, tables.byStatus]

const classify = (chain: ReadonlyArray<facts.Facts>, hint: tables.Hint): Reason.Reason | undefined => {
  const aborted = chain.some(({ name }) => name === "AbortError")
  for (const lookUp of aborted ? [tables.byAbort] : lookUps) {
    for (const one of chain) {
      const reason = lookUp(one, hint)
      if (reason !== undefined) return reason
    }
  }
  return undefined
}

const attemptsOf = (reason: Reason.Reason, { attempts = 1, status }: facts.Response): number =>
  status === undefined && neverSent.has(Reason.rowOf(reason)) ? Math.max(0, attempts - 1) : attempts

/**
 * Classifies anything that was thrown by the SDK, by Node or by anyone else. Never throws. A value that is a
 * `BedrockError` already is returned as it is.
 *
 * Cost: a few table look-ups, and two dozen regular expressions over the message to take secrets out of it; some tens of
 * microseconds.
 *
 * **Example** (At the boundary of the SDK)
 *
 * ```ts
 * import { Classification } from "@caprock/errors"
 * import { Console, Effect } from "effect"
 *
 * const send = (call: () => Promise<string>) =>
 *   Effect.tryPromise({
 *     try: call,
 *     catch: (error) => Classification.fromUnknown(error, { operation: "Converse", region: "us-east-1" })
 *   })
 *
 * const thrown = Object.assign(new Error("Too many requests"), { name: "ThrottlingException" })
 * export const main = send(() => Promise.reject(thrown)).pipe(
 *   Effect.catchTag("BedrockError", ({ reason, retryable }) => Console.log(reason._tag, retryable))
 * ) // => ThrottlingError true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromUnknown = (error: unknown, context: Context): BedrockError => {
  if (isBedrockError(error)) return error
  const chain = facts.chainOf(error)
  const known = chain.map(facts.factsOf)
  const response = facts.responseOf(chain, known, context.now)
  const said = classify(known, {
    retryAfter: response.retryAfter,
    status: response.status,
    streaming: /stream/i.test(context.operation)
  }) ?? unknown(facts.factsOf(error))
  const reason = context.credentials === true ? tables.ofCredentials(said) : said
  return new BedrockError({
    operation: context.operation,
    attempts: context.attempts ?? attemptsOf(reason, response),
    reason,
    ...present("modelId", context.modelId),
    ...present("region", context.region),
    ...present("requestId", response.requestId),
    ...present("httpStatus", response.status),
    ...present("cause", causeOf(error))
  })
}

const present = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  value === undefined ? {} : { [key]: value } as { readonly [P in K]?: A }

const unknown = ({ message, name }: facts.Facts): Reason.Reason =>
  new Reason.UnknownError({ message, ...present("originalName", name) })

/**
 * Reads how long a response asks to wait, from `retry-after` (seconds, or a date) and `x-amz-retry-after`
 * (milliseconds), whichever is longer. `undefined` where it says nothing, or nothing that can be understood.
 *
 * `now` is in milliseconds since the epoch, and is used for a date where the response has no `date` header.
 *
 * @category headers
 * @since 0.1.0
 */
export const retryAfterFromHeaders = (
  headers: Readonly<Record<string, string>>,
  now?: number
): Duration.Duration | undefined => facts.retryAfterOf(headers, now)
