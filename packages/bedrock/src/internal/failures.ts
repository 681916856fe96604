// What fails between the caller and the client, as a `BedrockError`.
import type { Limit } from "@caprock/backoff/Backoff"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"
import * as Duration from "effect/Duration"

/** Which call failed. */
export interface Subject {
  readonly operation: string
  readonly modelId: string
  readonly region: string | undefined
}

/** @internal */
export const failure = (subject: Subject, reason: Reason.Reason): BedrockError =>
  new BedrockError({
    operation: subject.operation,
    ...(subject.modelId === "" ? {} : { modelId: subject.modelId }),
    ...(subject.region === undefined ? {} : { region: subject.region }),
    attempts: 0,
    reason
  })

/**
 * The limiter's refusal in the words of Bedrock's callers. The envelope names the model and Region, and gives the advice; the
 * pool's key is no word of theirs. `bound` says what it is that allows no longer wait.
 *
 * @internal
 */
export const fromLimiter = (subject: Subject, error: RateLimiterError, bound = "maxWait is"): BedrockError =>
  failure(subject, reasonOf(error, bound))

const reasonOf = ({ reason }: RateLimiterError, bound: string): Reason.Reason => {
  switch (reason._tag) {
    case "CostExceedsLimit":
      return new Reason.ValidationError({
        kind: "exceeds-quota",
        message: reason.unit === "tokens"
          ? `Its input with maxTokens (the model's maximum where that is not set) needs ${
            count(reason.requested)
          } tokens at once, and the whole quota is ${count(reason.limit)}.`
          : `The whole quota is ${count(reason.limit)} requests.`
      })
    case "WaitTooLong":
      return new Reason.AdmissionError({
        kind: "wait-too-long",
        predictedWait: reason.predicted,
        message: `It would wait ${rounded(reason.predicted)} for quota, and ${bound} ${rounded(reason.maxWait)}.`
      })
    case "PoolParked":
      return new Reason.ThrottlingError({
        limit: "tokens-per-day",
        retryAfter: reason.remaining,
        message: `The tokens of the day are used up; it is tried again in ${
          rounded(reason.remaining)
        }. Nothing was sent.`
      })
    case "LimiterClosed":
      return new Reason.AdmissionError({
        kind: "shutting-down",
        message: "The limiter was closed before the request was admitted."
      })
    case "StoreUnavailable":
      return new Reason.AdmissionError({ kind: "store-unavailable", message: `${reason.message}.` })
    case "RoomFull":
      return new Reason.AdmissionError({
        kind: "room-full",
        predictedWait: reason.predicted,
        message: `${count(reason.waiting)} wait for this quota already, and no more may.`
      })
    case "InvalidCost":
    case "InvalidMeter":
    case "InvalidOption":
      return new Reason.ValidationError({
        kind: "malformed",
        message: `The limiter can't count it: ${reason.message}.`
      })
  }
}

const count = (n: number): string => Math.ceil(n).toLocaleString("en-US")

const rounded = (wait: Duration.Duration): string =>
  Duration.format(Duration.millis(Math.round(Duration.toMillis(wait))))

/** The same error, with the number of requests that were sent for the whole call, what ended its retries, and what was tried of a route. */
export const withAttempts = (
  error: BedrockError,
  attempts: number,
  gaveUp?: Limit,
  tried?: BedrockError["tried"]
): BedrockError =>
  error.attempts === attempts && gaveUp === undefined && tried === undefined ? error : new BedrockError({
    ...error,
    // The one field of an error that is not enumerable.
    ...(error.cause === undefined ? {} : { cause: error.cause }),
    ...(gaveUp === undefined ? {} : { gaveUp }),
    ...(tried === undefined ? {} : { tried }),
    attempts
  })
