import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"

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
    modelId: subject.modelId,
    ...(subject.region === undefined ? {} : { region: subject.region }),
    attempts: 0,
    reason
  })

/** The limiter's refusal in the words of Bedrock's callers. @internal */
export const fromLimiter = (subject: Subject, error: RateLimiterError): BedrockError =>
  failure(subject, reasonOf(error))

const reasonOf = (error: RateLimiterError): Reason.Reason => {
  const { message, reason } = error
  switch (reason._tag) {
    case "CostExceedsLimit":
      return new Reason.ValidationError({ kind: "exceeds-quota", message })
    case "WaitTooLong":
      return new Reason.AdmissionError({ kind: "wait-too-long", predictedWait: reason.predicted, message })
    case "LimiterClosed":
      return new Reason.AdmissionError({ kind: "shutting-down", message })
    case "InvalidCost":
    case "InvalidMeter":
      return new Reason.ValidationError({ kind: "malformed", message })
  }
}

/** The same error, with the number of requests that were sent for the whole call. @internal */
export const withAttempts = (error: BedrockError, attempts: number): BedrockError =>
  error.attempts === attempts ? error : new BedrockError({
    operation: error.operation,
    ...(error.modelId === undefined ? {} : { modelId: error.modelId }),
    ...(error.region === undefined ? {} : { region: error.region }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
    attempts,
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    reason: error.reason,
    ...(error.cause === undefined ? {} : { cause: error.cause })
  })
