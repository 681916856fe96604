/**
 * What the demo shows: pure functions from what is known to text.
 *
 * @since 0.1.0
 */
import * as LowerBound from "@caprock/emulator/LowerBound"
import * as RateLimiter from "@caprock/rate-limiter/RateLimiter"
import * as Duration from "effect/Duration"
import * as format from "../internal/format.ts"
import type { Progress, Result } from "./Round.ts"

/**
 * The quota that both rounds are held to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quota {
  readonly requests: number
  readonly tokens: number
  readonly windowMillis: number
}

const barWidth = 20

const guard = Duration.toMillis(RateLimiter.defaults.guard)

const failed = (progress: Progress): number => Object.values(progress.failures).reduce((sum, n) => sum + n, 0)

/**
 * What happens, before anything does.
 *
 * @category rendering
 * @since 0.1.0
 */
export const opening = (prompts: number, quota: Quota): string =>
  [
    `A burst of ${format.count(prompts)} prompts of mixed sizes, all at once, to a Bedrock that allows ` +
    `${format.count(quota.requests)} requests and ${format.count(quota.tokens)} tokens a minute.`,
    `It is our emulator on this machine. Everything goes ten times faster than life: ` +
    `${format.duration(quota.windowMillis)} stand for a minute.`
  ].join("\n")

/**
 * The live panel of one round.
 *
 * @category rendering
 * @since 0.1.0
 */
export const panel = (name: string, progress: Progress): ReadonlyArray<string> => {
  const { answered, prompts, stats } = progress
  const lost = failed(progress)
  const [pool] = Object.values(stats.pools)
  const meter = (label: string, use: { readonly used: number; readonly limit: number } | undefined) =>
    use === undefined ? [] : [
      `  ${label.padEnd(8)} ${format.bar(use.used / use.limit, barWidth)} ${format.count(use.used)} of ${
        format.count(use.limit)
      } in this minute`
    ]
  return [
    `${name}, ${format.duration(progress.elapsedMillis)}`,
    `  answered ${format.bar(answered / prompts, barWidth)} ${format.count(answered)} of ${format.count(prompts)}, ` +
    `${format.count(lost)} failed, ${format.count(prompts - answered - lost)} open`,
    ...meter("requests", pool?.usage.requests),
    ...meter("tokens", pool?.usage.tokens),
    `  the server got ${format.plural(stats.requests, "request")} and throttled ${format.count(stats.throttled.total)}`
  ]
}

/**
 * The same on one line, for a log.
 *
 * @category rendering
 * @since 0.1.0
 */
export const line = (name: string, progress: Progress): string =>
  `${name}, ${format.duration(progress.elapsedMillis)}: ${format.count(progress.answered)} of ${
    format.count(progress.prompts)
  } answered, ${format.count(failed(progress))} failed, ${format.plural(progress.stats.requests, "request")} sent, ${
    format.plural(progress.stats.throttled.total, "throttle")
  }`

/**
 * What a round comes to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Figures {
  readonly answered: number
  readonly lost: number
  readonly throttles: number
  readonly sentPerCall: number
  readonly mostPerCall: number
  readonly millis: number
  /** Tokens charged, of what the quota allowed in this time: a window at once, and as much again each window. */
  readonly quotaUsed: number
  /** Time against the bound; `undefined` unless everything was answered. */
  readonly againstLeast: number | undefined
}

/**
 * The figures of a round. `least` is the bound for all prompts, in milliseconds.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const figures = (result: Result, quota: Quota, least: number | undefined): Figures => {
  const { answered, elapsedMillis: millis, prompts, stats } = result
  return {
    answered,
    lost: prompts - answered,
    throttles: stats.throttled.total,
    sentPerCall: stats.requests / prompts,
    mostPerCall: stats.perBody.max,
    millis,
    quotaUsed: stats.tokens.settled / (quota.tokens * (1 + millis / quota.windowMillis)),
    againstLeast: answered < prompts || least === undefined ? undefined : millis / least
  }
}

/**
 * The least time for all prompts, from a round in which all were answered; else `undefined`.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const leastMillis = (result: Result, quota: Quota): number | undefined =>
  result.answered < result.prompts
    ? undefined
    : LowerBound.make(LowerBound.answeredIn(result.log, { adjust: "end" }), quota).millis

/**
 * One table of all rounds, a column for each.
 *
 * @category rendering
 * @since 0.1.0
 */
export const table = (rounds: ReadonlyArray<{ readonly name: string; readonly figures: Figures }>): string => {
  const row = (label: string, cell: (figures: Figures) => string): ReadonlyArray<string> => [
    label,
    ...rounds.map(({ figures }) => cell(figures))
  ]
  const rows = [
    ["", ...rounds.map(({ name }) => name)],
    row("answered", ({ answered }) => format.count(answered)),
    row("failed", ({ lost }) => format.count(lost)),
    row("throttles seen by the server", ({ throttles }) => format.count(throttles)),
    row(
      "requests sent per call",
      ({ mostPerCall, sentPerCall }) => `${sentPerCall.toFixed(2)} (at most ${format.count(mostPerCall)})`
    ),
    row("time", ({ lost, millis }) => `${format.duration(millis)}${lost > 0 ? ", then gave up" : ""}`),
    row("share of the quota used", ({ quotaUsed }) => format.percent(quotaUsed)),
    row(
      "time against the theoretical minimum",
      ({ againstLeast }) => againstLeast === undefined ? "never finished" : `${againstLeast.toFixed(2)} times`
    )
  ]
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)))
  const lines = rows.map((cells) =>
    cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join(
      "   "
    ).trimEnd()
  )
  const rule = "─".repeat(widths.reduce((sum, width) => sum + width, 3 * (widths.length - 1)))
  return [lines[0], rule, ...lines.slice(1)].join("\n")
}

/**
 * What is what in the table.
 *
 * @category rendering
 * @since 0.1.0
 */
export const closing = (
  rounds: ReadonlyArray<{ readonly name: string; readonly result: Result }>,
  least: number | undefined,
  quota: Quota
): string =>
  [
    "Both had a fresh server with the same quota and the same seed: a prompt's answer is equally long and takes equally",
    "long, whoever asks. Neither was told anything of that. Caprock was told the quota, which AWS shows you.",
    "What the clients wait by themselves is as in life, not ten times shorter: the SDK's retries span more of this minute than",
    `of a real one, and the ${format.duration(guard)} by which Caprock keeps each charge longer cost it ${
      format.percent(guard / quota.windowMillis)
    } here and ${format.percent(guard / 60_000)} there.`,
    ...rounds.flatMap(({ name, result }) =>
      Object.entries(result.failures).map(([error, n]) => `${name}: ${format.count(n)} calls ended in ${error}.`)
    ),
    ...(least === undefined ? [] : [
      `The theoretical minimum for all prompts is ${format.duration(least)} (${
        format.duration(least * 60_000 / quota.windowMillis)
      } in life). No client can be faster without`,
      "risking a throttle, not even one that knows each answer's length in advance, unless AWS told it how a minute is cut."
    ])
  ].join("\n")
