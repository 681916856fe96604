// The line that people read. Kept apart from the class so that its order of parts is in one place.
import * as Duration from "effect/Duration"
import * as Reason from "../Reason.ts"

const ends = {
  attempts: "no attempts left",
  elapsed: "no time left for retries",
  budget: "no retries left in the budget",
  deadline: "no time left for another try before its deadline"
} as const

interface Described {
  readonly operation: string
  readonly modelId?: string
  readonly region?: string
  readonly requestId?: string
  readonly attempts: number
  readonly httpStatus?: number
  readonly gaveUp?: keyof typeof ends
  readonly reason: Reason.Reason
  readonly tried?: ReadonlyArray<{ readonly target: string; readonly reason: string }>
}

const detailOf = (reason: Reason.Reason): string | undefined => {
  if (reason._tag === "ThrottlingError") return reason.limit
  if (reason._tag === "UnknownError") return reason.originalName
  if (reason._tag === "InterruptedStreamError") return reason.origin && nameOf(reason.origin)
  return "kind" in reason ? reason.kind : undefined
}

const nameOf = (reason: Reason.Reason): string => {
  const detail = detailOf(reason)
  return detail === undefined ? reason._tag : `${reason._tag} (${detail})`
}

// A signature error quotes the whole canonical request. The reason keeps all of it; a line to read does not.
const longest = 500

const sentence = (text: string): string => {
  const short = text.length > longest ? `${text.slice(0, longest)}...` : text
  return short === "" || /[.!?]$/.test(short) ? short : `${short}.`
}

export const describe = (error: Described): string => {
  const retryAfter = Reason.retryAfterOf(error.reason)
  const what = [
    error.operation,
    ...(error.modelId === undefined ? [] : [`of ${error.modelId}`]),
    ...(error.region === undefined ? [] : [`in ${error.region}`]),
    `failed: ${nameOf(error.reason)}`
  ].join(" ")
  const data = [
    ...(error.httpStatus === undefined ? [] : [`HTTP ${error.httpStatus}`]),
    ...(error.requestId === undefined ? [] : [`request id ${error.requestId}`]),
    ...(retryAfter === undefined
      ? []
      : [`not before ${Duration.format(Duration.millis(Math.ceil(Duration.toMillis(retryAfter))))}`]),
    error.attempts === 1 ? "1 request sent" : `${error.attempts} requests sent`,
    ...(error.gaveUp === undefined ? [] : [ends[error.gaveUp]]),
    ...(error.tried === undefined || error.tried.length === 0
      ? []
      : [`tried ${error.tried.map(({ reason, target }) => `${target}: ${reason}`).join("; ")}`])
  ].join(", ")
  return [
    `${what}.`,
    sentence(error.reason.message),
    Reason.verdictOf(error.reason).advice,
    `[${data}]`
  ].filter((part) => part !== "").join(" ")
}
