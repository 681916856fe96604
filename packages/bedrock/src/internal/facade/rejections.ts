// From the error of an Effect to the class that a Promise rejects with.
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Duration from "effect/Duration"
import * as Errors from "./errors.ts"

/** A new one each time: its stack is that of who waits for it, where it is made in the promise's own continuation. */
export const fromEffect = (error: BedrockError): Errors.BedrockError => {
  const { reason } = error
  const failure = failureOf(error)
  // A member that is added to the reasons is a type error here, and what it needs is a class or a kind in `errors.ts`.
  switch (reason._tag) {
    case "ThrottlingError":
      return new Errors.ThrottlingError({ ...failure, limit: reason.limit })
    case "ServerError":
      return new Errors.ServerError({ ...failure, kind: reason.kind, originalStatusCode: reason.originalStatusCode })
    case "ValidationError":
      return new Errors.ValidationError({ ...failure, kind: reason.kind })
    case "AccessError":
      return new Errors.AccessError({ ...failure, kind: reason.kind })
    case "NotFoundError":
      return new Errors.NotFoundError({ ...failure, kind: reason.kind })
    case "ResourceQuotaError":
      return new Errors.ResourceQuotaError(failure)
    case "ConflictError":
      return new Errors.ConflictError(failure)
    case "TransportError":
      return new Errors.TransportError({ ...failure, kind: reason.kind })
    case "TimeoutError":
      return new Errors.TimeoutError({ ...failure, kind: reason.kind })
    case "AdmissionError":
      return new Errors.AdmissionError({
        ...failure,
        kind: reason.kind,
        predictedWaitMillis: reason.predictedWait === undefined ? undefined : Duration.toMillis(reason.predictedWait)
      })
    case "InterruptedStreamError":
      return new Errors.InterruptedStreamError({
        ...failure,
        partial: reason.partial,
        content: reason.content,
        origin: reason.origin === undefined
          ? undefined
          : fromEffect(new BedrockError({ ...envelopeOf(error), reason: reason.origin }))
      })
    case "UnknownError":
      return new Errors.UnknownError({ ...failure, originalName: reason.originalName })
  }
}

/**
 * What a call rejects with whose client was closed under it, or before it.
 *
 * @internal
 */
export const shuttingDown = (
  { attempts, modelId, operation }: {
    readonly operation: string
    readonly modelId: string | undefined
    readonly attempts: number
  }
): Errors.BedrockError =>
  fromEffect(
    new BedrockError({
      operation,
      ...(modelId === undefined ? {} : { modelId }),
      attempts,
      reason: new Reason.AdmissionError({
        kind: "shutting-down",
        message: attempts === 0 ? "The client is closed." : "The client was closed during the call."
      })
    })
  )

const envelopeOf = ({ attempts, gaveUp, httpStatus, modelId, operation, region, requestId }: BedrockError) => ({
  operation,
  attempts,
  ...(modelId === undefined ? {} : { modelId }),
  ...(region === undefined ? {} : { region }),
  ...(requestId === undefined ? {} : { requestId }),
  ...(httpStatus === undefined ? {} : { httpStatus }),
  ...(gaveUp === undefined ? {} : { gaveUp })
})

const failureOf = (error: BedrockError): Errors.Failure => ({
  ...envelopeOf(error),
  message: error.message,
  detail: error.reason.message,
  retryable: error.retryable,
  retryableElsewhere: error.retryableElsewhere,
  ...(error.retryAfter === undefined ? {} : { retryAfterMillis: Duration.toMillis(error.retryAfter) }),
  ...(error.cause === undefined ? {} : { cause: error.cause })
})
