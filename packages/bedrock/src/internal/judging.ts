// What an error of Bedrock's says of the target that it came from.
import type { BedrockError } from "@caprock/errors/BedrockError"
import { type Reason, verdictOf } from "@caprock/errors/Reason"
import type { Judgement } from "@caprock/router/Sending"

/**
 * What is wrong for one target may be right for another: a model that is not offered in this Region, or not by its own id. Of a single target these
 * are its caller's, which is why the table of reasons sends them nowhere else.
 */
const isOfTarget = (reason: Reason): boolean =>
  reason._tag === "ValidationError" && (reason.kind === "unknown-model" || reason.kind === "on-demand-unsupported")

/** What it says of the target's health. */
export const judge = ({ reason }: BedrockError): Judgement => judged(reason)

/** What a stream that was cut after its first content says of it: what cut it, if that is known. */
export const judgeCut = ({ reason }: BedrockError): Judgement =>
  reason._tag !== "InterruptedStreamError"
    ? judged(reason)
    : reason.origin === undefined
    ? "sick"
    : judged(reason.origin)

const judged = (reason: Reason): Judgement => {
  const verdict = verdictOf(reason)
  if (reason._tag === "ThrottlingError" || reason._tag === "ResourceQuotaError") return "limited"
  if (isOfTarget(reason) || verdict.elsewhere !== "none") return "sick"
  // As of credentials that could not be had: no target is to blame, and none has others.
  return verdict.retryable ? "limited" : "caller"
}

/** Whether a target of this Region may do what failed at one of that Region. */
export const goes = (
  { reason, verdict }: BedrockError,
  failed: string | undefined,
  other: string | undefined
): boolean =>
  verdict.elsewhere === "target" || (verdict.elsewhere === "region" && failed !== other) || isOfTarget(reason)
