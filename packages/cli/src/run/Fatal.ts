/**
 * Which errors mean that the lines after this one would end the same way, so that going on only burns requests.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { AccessError } from "@caprock/errors/Reason"

/**
 * - `now`: no line can be answered before somebody does something.
 * - `repeated`: it may be this line alone (its model, its time); several in a row are not.
 *
 * @category models
 * @since 0.1.0
 */
export type Severity = "now" | "repeated" | undefined

/**
 * Errors in a row, with no answer in between, that stop a run.
 *
 * @category constants
 * @since 0.1.0
 */
export const inARow = 5

const access: Record<AccessError["kind"], Severity> = {
  "no-credentials": "now",
  "expired-credentials": "now",
  "invalid-credentials": "now",
  "provider-failed": "now",
  "provider-unavailable": "repeated",
  "clock-skew": "now",
  denied: "repeated",
  "agreement-pending": "repeated",
  "clock-skew-corrected": "repeated"
}

/**
 * @category arithmetic
 * @since 0.1.0
 */
export const severityOf = (error: BedrockError): Severity => {
  const { reason } = error
  switch (reason._tag) {
    case "AccessError":
      return access[reason.kind]
    case "ThrottlingError":
      return reason.limit === "tokens-per-day" ? "now" : undefined
    case "NotFoundError":
      return "repeated"
    case "ValidationError":
      if (reason.kind === "no-region") return "now"
      return reason.kind === "unknown-model" || reason.kind === "on-demand-unsupported" ? "repeated" : undefined
    case "TimeoutError":
      return reason.kind === "connect" || reason.kind === "credentials" ? "repeated" : undefined
    case "TransportError":
      return reason.kind === "dns" || reason.kind === "connect" || reason.kind === "tls" ? "repeated" : undefined
    default:
      return undefined
  }
}

/**
 * What to do besides what the error itself says.
 *
 * @category rendering
 * @since 0.1.0
 */
export const remedyOf = (error: BedrockError): string => {
  const { reason } = error
  if (reason._tag === "AccessError" && reason.kind === "no-credentials") {
    return "To try without an account: --emulate needs no credentials."
  }
  if (reason._tag === "ThrottlingError" && reason.limit !== "tokens-per-day") {
    return "Nothing was answered for over a minute: the quota may be 0, or somebody else uses it up. See Service Quotas, then run " +
      "the same command again: it goes on where it stopped."
  }
  if (reason._tag === "ThrottlingError") return "Go on tomorrow with the same command: it continues where it stopped."
  return "Every line would end like this. Then run the same command again: it goes on where it stopped."
}

/**
 * Counts errors in a row, and tells when a run must stop.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeBreaker = (): {
  readonly answered: () => void
  /**
   * `common`: whether the line was asked of the model that all lines share. `givenUp`: whether its model was throttled for so
   * long that nothing more can be expected.
   */
  readonly failed: (error: BedrockError, common: boolean, givenUp: boolean) => boolean
} => {
  let row = 0
  let anyAnswer = false
  return {
    answered: () => {
      row = 0
      anyAnswer = true
    },
    failed: (error, common, givenUp) => {
      const severity = severityOf(error)
      if (severity === "now" || (givenUp && (common || !anyAnswer))) return true
      // Lines that name a model of their own stop nothing once others were answered.
      if (severity === undefined || (!common && anyAnswer)) return false
      row += 1
      return row >= inARow
    }
  }
}
