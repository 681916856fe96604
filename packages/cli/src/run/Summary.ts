/**
 * What a run says of itself when it ends: pure functions from what is known to text.
 *
 * @since 0.1.0
 */
import * as format from "../internal/format.ts"
import * as Advice from "./Advice.ts"
import type { Found } from "./Journal.ts"
import type { View } from "./Panel.ts"
import { derivedId } from "./PromptLine.ts"
import type { Outcome } from "./Runner.ts"
import { type Tally, throttles } from "./Tally.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Context {
  readonly output: string
  readonly maxConnections: number
  readonly quotaNames: Advice.QuotaNames
}

/**
 * What was found in the output before the run, and is worth a word.
 *
 * @category rendering
 * @since 0.1.0
 */
export const renderFound = (found: Found, output: string, model: string | undefined): ReadonlyArray<string> => [
  ...(found.tookOverFrom === undefined
    ? []
    : [`An earlier run on ${output} (process ${found.tookOverFrom}) did not end by itself; its lock was taken over.`]),
  ...(found.tornBytes === 0 ? [] : [`Its last line was torn and was cut off (${format.bytes(found.tornBytes)}).`]),
  ...(found.repeated === 0
    ? []
    : [`${format.plural(found.repeated, "further answer")} to ids that had one: only the first of each was kept.`]),
  ...(found.answered === 0 && found.failed === 0
    ? []
    : [
      `Continuing ${output}: ${format.plural(found.answered, "answer is", "answers are")} kept` +
      (found.failed === 0 ? "." : `, ${format.plural(found.failed, "line")} that failed will be asked again.`)
    ]),
  ...(model === undefined || found.models.size === 0 || (found.models.size === 1 && found.models.has(model))
    ? []
    : [
      `Warning: answers in ${output} are by ${
        [...found.models].map(([name, n]) => `${name} (${format.count(n)})`).join(", ")
      }; this run asks ${model}.`
    ])
]

/**
 * The end of a run.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (
  view: View,
  outcome: Outcome,
  tally: Tally,
  found: Found,
  context: Context
): ReadonlyArray<string> => {
  const { counts } = view
  const orphans = outcome.stop === undefined ? found.answered - counts.skipped : 0
  const reasons = [...tally.failures].map(([name, n]) => `${name} ${format.count(n)}`).join(", ")
  return [
    `${format.count(counts.answered)} answered` +
    (counts.failed === 0 ? "" : `, ${format.count(counts.failed)} failed (${reasons})`) +
    (counts.skipped === 0 ? "" : `, ${format.count(counts.skipped)} answered before`) +
    (outcome.stop === undefined ? "" : `, the rest without a result yet`) +
    `, in ${format.duration(view.elapsedMillis)}.`,
    ...(counts.requests === 0 ? [] : [requests(view, outcome)]),
    ...(counts.answered === 0 ? [] : [tokens(view)]),
    ...(outcome.lost.length === 0 ? [] : [lost(outcome.lost)]),
    ...(counts.changed === 0 ? [] : [changed(counts.changed, outcome.changedLines, context.output)]),
    ...(orphans <= 0
      ? []
      : [
        `${format.plural(orphans, "answer")} in ${context.output} without a line in this input: left there.`
      ]),
    ...(outcome.stop?._tag === "Signal"
      ? [`Stopped by ${outcome.stop.signal}. Run the same command again: it goes on where it stopped.`]
      : []),
    ...(outcome.stop !== undefined ? [] : again(counts, context.output)),
    ...Advice.advise(facts(view, tally, context)).map((advice) => `Advice: ${advice}`)
  ]
}

const maxNamed = 20

const lost = (lines: Outcome["lost"]): string => {
  const named = [...lines].sort((a, b) => a.line - b.line).slice(0, maxNamed).map(({ id, line }) =>
    id === derivedId(line) ? `${line}` : `${line} (${JSON.stringify(id)})`
  )
  const more = lines.length - named.length
  return `${format.plural(lines.length, "answer")} could not be written and ${
    lines.length === 1 ? "is" : "are"
  } lost: ${lines.length === 1 ? "line" : "lines"} ${named.join(", ")}${
    more === 0 ? "" : ` and ${format.count(more)} more`
  }. The same command asks ${lines.length === 1 ? "this" : "these"} again, with those that had no answer yet.`
}

const requests = ({ counts }: View, { stop }: Outcome): string => {
  const { requests: byRequests, tokens: byTokens, tokensPerDay, unknown } = counts.throttles
  const total = throttles(counts)
  const done = counts.answered + counts.failed - counts.badLines
  return `${format.plural(counts.requests, "request")} sent` +
    // After a failure many were sent whose lines have no result.
    (done === 0 || stop?._tag === "Failure" ? "" : ` (${(counts.requests / done).toFixed(2)} per line)`) +
    `, ${format.plural(total, "throttle")}` +
    (total === 0
      ? ""
      : ` (requests ${byRequests}, tokens ${byTokens}, per day ${tokensPerDay}, unknown ${unknown})`) +
    (counts.otherFailures === 0 ? "" : `, ${format.plural(counts.otherFailures, "other failed attempt")}`) + "."
}

const tokens = ({ counts }: View): string => {
  const { booked, calls, charged, reserved } = counts.settled
  return `${format.count(counts.inputTokens)} input and ${format.count(counts.outputTokens)} output tokens` +
    (calls === 0 ? "" : `; charged to the quota ${format.count(charged)}, reserved ${format.count(reserved)}`) +
    (calls === 0 || booked <= reserved ? "" : `, booked ${format.count(booked)}`) + "."
}

const again = (counts: View["counts"], output: string): ReadonlyArray<string> => {
  const { curable, failed } = counts
  const wrong = failed - curable
  return [
    ...(wrong === 0
      ? []
      : [
        `${format.plural(wrong, "line")} would fail again as ${wrong === 1 ? "it is: its" : "they are: each one's"} ` +
        `"error" in ${output} says what to change.`
      ]),
    ...(curable === 0 ? [] : [`Run the same command again to ask ${format.plural(curable, "failed line")} again.`])
  ]
}

const changed = (n: number, lines: ReadonlyArray<number>, output: string): string =>
  `Warning: ${
    format.plural(n, "line asks", "lines ask")
  } something else than what ${output} answers under the same id ` +
  `(${lines.length === 1 ? "line" : "lines"} ${lines.join(", ")}${
    n > lines.length ? ", ..." : ""
  }). The old answers were ` +
  `kept. To ask again, give the lines new ids, delete those answers from ${output}, or choose another --out.`

const facts = (view: View, tally: Tally, context: Context): Advice.Facts => {
  const { counts } = view
  const { booked, calls, charged, reserved } = counts.settled
  const perCall = (sum: number) => calls === 0 ? 0 : sum / calls
  const perAnswer = (sum: number) => counts.answered === 0 ? 0 : sum / counts.answered
  const share = (millis: number) => view.elapsedMillis <= 0 ? 0 : millis / view.elapsedMillis
  return {
    elapsedMillis: view.elapsedMillis,
    answered: counts.answered,
    cutAtMaxTokens: counts.cutAtMaxTokens,
    meters: view.pool?.meters ?? [],
    call: {
      reserved: perCall(reserved),
      booked: perCall(booked),
      charged: perCall(charged),
      inputTokens: perAnswer(counts.inputTokens),
      outputTokens: perAnswer(counts.outputTokens),
      serviceMillis: perAnswer(counts.serviceMillis)
    },
    output: { max: tally.outputs.max(), p99: tally.outputs.quantile(0.99) },
    throttles: counts.throttles,
    debts: counts.settled.debts,
    waitingShare: share(counts.timeWaiting),
    connectionsShare: share(counts.timeConnectionsFull),
    maxConnections: context.maxConnections,
    quotaNames: context.quotaNames
  }
}
