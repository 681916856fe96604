/**
 * A decision in words, for people who want to know where a call would go, and why.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Candidate, Decision, Exclusion, Why } from "./Decision.ts"
import { anywhere } from "./Fence.ts"

/**
 * A line for the level of difficulty, where the route asks for one; a line for each target that may be used, in the order in which they are; and one for
 * each that is not.
 *
 * **Example** (Why not the first?)
 *
 * ```ts
 * import { Decision, Describe, RouteTable } from "@caprock/router"
 * import { Result } from "effect"
 *
 * const { route } = Result.getOrThrow(RouteTable.make({
 *   targets: { small: { model: "acme.twig", able: { images: false } }, large: { model: "acme.oak" } },
 *   routes: { chat: { policy: { ordered: ["small", "large"] } } }
 * }))
 * const chat = route("chat")
 * if (chat !== undefined) {
 *   const ask: Decision.Ask = { input: 1_000, output: 300, needs: ["images"], leftMillis: Infinity }
 *   const decision = Decision.decide(chat, ask, [], Decision.untried, 0, 0)
 *   console.log(Describe.toLines(decision).join("\n"))
 *   // => 1. large  at once  the policy prefers it
 *   // =>  - small  not      it can't do images
 * }
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const toLines = ({ candidates, excluded, level }: Decision): ReadonlyArray<string> => {
  const rows = [
    ...candidates.map((candidate, index) => [`${index + 1}. ${candidate.target.name}`, due(candidate), why(candidate)]),
    ...excluded.map((exclusion) => [` - ${exclusion.target.name}`, "not", whyNot(exclusion)])
  ]
  const width = (column: number): number => Math.max(0, ...rows.map((row) => (row[column] ?? "").length))
  const [first, second] = [width(0), width(1)]
  return [
    ...(level === undefined
      ? []
      : [
        `difficulty: ${level.name}, level ${level.index + 1} of ${level.of}` +
        (level.unknown === undefined ? "" : `, since no level is called ${JSON.stringify(level.unknown)}`)
      ]),
    ...rows.map(([name = "", when = "", reason = ""]) => `${name.padEnd(first)}  ${when.padEnd(second)}  ${reason}`)
  ]
}

const span = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))

const percent = (share: number): string => `${Number((100 * share).toFixed(1))} %`

const due = ({ afterMillis }: Candidate): string =>
  afterMillis === 0 ? "at once" : afterMillis === Infinity ? "only where others fail" : `after ${span(afterMillis)}`

const why = (candidate: Candidate): string =>
  candidate.waitMillis === 0
    ? sentence(candidate.why)
    : candidate.waitMillis === Infinity
    ? `${sentence(candidate.why)}; nobody can tell when it has room`
    : `${sentence(candidate.why)}; its wait is ${span(candidate.waitMillis)}`

const sentence = (why: Why): string => {
  switch (why._tag) {
    case "Preferred":
      return "the policy prefers it"
    case "Overflow":
      return `for what ${why.of} can't take${why.waitMillis === 0 ? "" : `, where it is ${span(why.waitMillis)}`}`
    case "Drawn":
      return `drawn by weight: ${percent(why.share)}`
    case "LeastWait":
      return "by its wait"
    case "MostFree":
      return "nobody has a shorter wait; by its room"
    case "Cheapest":
      return `by its price: $${Number(why.usd.toPrecision(3))}`
    case "Warm":
      return "its cache has the prompt"
    case "Level":
      return `for work that is ${why.name}`
    case "Chosen":
      return "the function chose it"
    case "Probe":
      return "it was sick: this call shows whether it is back"
    case "Recovering":
      return `it comes back and takes ${percent(why.share)} of calls, but nobody else can take this one`
    case "LastTry":
      return `once more, though it failed: ${why.after}`
  }
}

const whyNot = ({ why }: Exclusion): string => {
  switch (why._tag) {
    case "Outside":
      return why.place === undefined
        ? "it does not say where it processes requests, and the call has a fence"
        : `outside of the call's fence: it may process requests at ${why.place === anywhere ? "any place" : why.place}`
    case "Lacks":
      return `it can't do ${why.needs.join(", ")}`
    case "TooLong":
      return `the request has ${why.tokens} tokens, and it takes ${why.most}`
    case "Failed":
      return `it failed for this call: ${why.why}`
    case "Refused":
      return `its pool refuses the call: ${why.tag}`
    case "Open":
      return `sick for another ${span(why.forMillis)}`
    case "Probing":
      return "it was sick, and another call shows whether it is back"
    case "Recovering":
      return `it comes back, and takes ${percent(why.share)} of calls: not this one${
        why.forMillis === undefined ? "" : ` for another ${span(why.forMillis)}`
      }`
    case "TooLate":
      return `its answer would be there in ${span(why.predictedMillis)}, and ${
        span(Math.max(0, why.leftMillis))
      } are left`
    case "Level":
      return `for work that is ${why.name}, and the call is harder`
    case "NotChosen":
      return "the policy leaves it out"
  }
}
