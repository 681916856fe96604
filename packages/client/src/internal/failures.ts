// The errors of one call, whoever ended it: the SDK, a time limit, the stream or the client.
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as Reason from "@caprock/errors/Reason"
import { Unreadable } from "./bounds.ts"
import type { Call } from "./call.ts"
import { NoCredentials } from "./credentials.ts"
import type { Expired } from "./patience.ts"
import type { Progress } from "./progress.ts"

/**
 * Makes the errors of one call.
 *
 * @internal
 */
export class Failures {
  readonly #operation: string
  readonly #modelId: string | undefined
  readonly #region: string | undefined
  readonly #call: Call

  constructor(operation: string, modelId: string | undefined, region: string | undefined, call: Call) {
    this.#operation = operation
    this.#modelId = modelId
    this.#region = region
    this.#call = call
  }

  /** Where `unknown` ends: whatever the SDK rejected with. */
  readonly fromUnknown = (cause: unknown): BedrockError => {
    if (this.#call.closed) {
      return this.#make(
        new Reason.AdmissionError({
          kind: "shutting-down",
          message: this.#call.sent
            ? "The client was closed during the call, and the answer is lost."
            : "The client was closed before the request was sent."
        }),
        undefined,
        cause
      )
    }
    if (this.#call.connectTimedOut) {
      return this.#make(
        new Reason.TimeoutError({ kind: "connect", message: messageOf(cause, "No connection in time.") }),
        undefined,
        cause
      )
    }
    if (cause instanceof Unreadable) {
      return this.#make(new Reason.TransportError({ kind: cause.kind, message: cause.problem }), undefined, cause)
    }
    const credentials = cause instanceof NoCredentials
    const error = Classification.fromUnknown(credentials ? cause.cause : cause, {
      operation: this.#operation,
      modelId: this.#modelId,
      region: this.#region,
      attempts: this.#attempts,
      credentials
    })
    // What breaks off within a response does not say whose it was.
    const named = error.requestId !== undefined || this.#call.requestId === undefined
    return named ? error : this.#make(error.reason, undefined, error.cause)
  }

  /**
   * What opening or reading a stream threw. The SDK has no name for what it can't decode: it trips over it, or throws what it
   * took for an exception.
   */
  readonly whileReading = (cause: unknown): BedrockError => {
    const error = this.fromUnknown(cause)
    if (error.reason._tag !== "UnknownError" || !this.#call.accepted || !isTrip(cause)) return error
    const message = `The stream holds what is no event of it: ${error.reason.message}`
    return this.#make(new Reason.TransportError({ kind: "protocol", message }), undefined, cause)
  }

  readonly expired = ({ kind, millis }: Expired): BedrockError =>
    this.#make(
      new Reason.TimeoutError({
        kind,
        message: (kind === "deadline"
          ? `The call was not over at its deadline, which had left it ${millis} ms.`
          : `${waitedFor[kind]} did not come within ${millis} ms.`) +
          (this.#call.queued ? " It waited for a free connection all the time: maxConnections are in use." : "")
      })
    )

  /** The server said that it succeeded, and nothing of an answer came. */
  readonly empty = (): BedrockError =>
    this.#make(new Reason.TransportError({ kind: "protocol", message: "The response holds no answer." }))

  /** The stream broke off; `cut` is the error that did it, if it was one. */
  readonly interrupted = <Event>(progress: Progress<Event>, cut?: BedrockError): BedrockError => {
    const content = progress.content()
    // Nothing had reached the caller: what went wrong is still the whole story.
    if (cut !== undefined && !content) return cut
    const origin = cut === undefined || cut.reason._tag === "InterruptedStreamError" ? undefined : cut.reason
    const partial = progress.partial()
    return this.#make(
      new Reason.InterruptedStreamError({
        partial,
        content,
        message: `The stream ended before the answer was complete, after ${partial.text.length} characters of text${
          origin === undefined ? "; the server ended it without an error" : `: ${origin.message}`
        }`,
        ...(origin === undefined ? {} : { origin })
      }),
      cut?.requestId,
      cut?.cause
    )
  }

  get #attempts(): number {
    return this.#call.sent ? 1 : 0
  }

  #make(reason: Reason.Reason, requestId?: string, cause?: unknown): BedrockError {
    const id = requestId ?? this.#call.requestId
    return new BedrockError({
      operation: this.#operation,
      attempts: this.#attempts,
      reason,
      ...(this.#modelId === undefined ? {} : { modelId: this.#modelId }),
      ...(this.#region === undefined ? {} : { region: this.#region }),
      ...(id === undefined ? {} : { requestId: id }),
      ...(cause === undefined ? {} : { cause })
    })
  }
}

const waitedFor = {
  "credentials": "Credentials",
  "connect": "A connection",
  "first-token": "The first token",
  "between-tokens": "The next token",
  "call": "The end of the call"
} as const

const messageOf = (cause: unknown, otherwise: string): string => cause instanceof Error ? cause.message : otherwise

// An exception of the stream has a name of its own.
const isTrip = (cause: unknown): boolean =>
  !(cause instanceof Error) || cause.name === "Error" || cause instanceof SyntaxError || cause instanceof RangeError ||
  cause instanceof TypeError
