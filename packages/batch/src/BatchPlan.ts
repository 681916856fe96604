/**
 * Whether records are better sent as a batch or on demand, with the reasons in words and numbers. Pure: nothing is asked of anyone.
 *
 * **Example** (Too urgent for a batch)
 *
 * ```ts
 * import { BatchLimits, BatchPlan } from "@caprock/batch"
 *
 * const decision = BatchPlan.decide({
 *   records: 1_200,
 *   limits: BatchLimits.defaults,
 *   urgency: "1 hour",
 *   perRecord: { inputTokens: 400, outputTokens: 100, reservation: 600 },
 *   quota: { tokensPerMinute: 60_000 }
 * })
 * console.log(decision.path)
 * for (const reason of decision.because) console.log(reason)
 * // => on-demand
 * // => On demand, 1,200 records take about 12 minutes, by 60,000 tokens per minute: that is within the 1 hour that is asked for.
 * // => As a batch they may take 24 hours and more: AWS promises nothing sooner.
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { BatchLimits } from "./BatchLimits.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * What tokens cost on demand, for a million of them, in whatever currency.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prices {
  readonly input: number
  readonly output: number
}

/**
 * What is known of a quota, of what others leave of it. Without any, {@link assumedRequestsPerMinute}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quota {
  readonly requestsPerMinute?: number | undefined
  readonly tokensPerMinute?: number | undefined
}

/**
 * What a record is taken to need, in tokens: `reservation` is what the quota deducts when it is sent on demand.
 *
 * @category models
 * @since 0.1.0
 */
export interface PerRecord {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly reservation: number
}

/**
 * What is to be decided.
 *
 * - `records`: how many there are; `more`: there are more, and nobody knows how many.
 * - `urgency`: until when the last answer has to be there. Without it there is no hurry.
 *
 * @category models
 * @since 0.1.0
 */
export interface Question {
  readonly records: number
  readonly more?: boolean | undefined
  readonly limits: BatchLimits
  readonly urgency?: Duration.Input | undefined
  readonly perRecord: PerRecord
  readonly quota?: Quota | undefined
  readonly prices?: Prices | undefined
}

/**
 * What was decided, and why, each reason a sentence. Costs are there where there are prices, and the number of records is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decision {
  readonly path: "batch" | "on-demand"
  readonly because: readonly [string, ...ReadonlyArray<string>]
  /** How long the records take on demand, at least. */
  readonly onDemandTime: Duration.Duration
  readonly batchCost?: number | undefined
  readonly onDemandCost?: number | undefined
}

// -----------------------------------------------------------------------------
// Constants
// -----------------------------------------------------------------------------

/**
 * What a batch costs of the price on demand (Bedrock pricing: "50% lower price when compared to on-demand", read 2026-11).
 *
 * @category constants
 * @since 0.1.0
 */
export const batchShare = 0.5

/**
 * The least that can be asked of a job as its time (API reference, CreateModelInvocationJob, read 2026-11): nothing is promised sooner.
 *
 * @category constants
 * @since 0.1.0
 */
export const batchTime: Duration.Duration = Duration.hours(24)

/**
 * Where no quota is known: where the limiter begins to look for it.
 *
 * @category constants
 * @since 0.1.0
 */
export const assumedRequestsPerMinute = 100

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/**
 * Decides by size first, then by urgency, then by price.
 *
 * Fewer records than a job needs go on demand. So do those that are wanted within 24 hours, if the quota lets them through in time. All others go as a batch.
 *
 * @category deciding
 * @since 0.1.0
 */
export const decide = (question: Question): Decision => {
  const { limits, more = false, perRecord, prices, records } = question
  const time = onDemandTime(question)
  const costs = prices === undefined || more ? {} : costsOf(records, perRecord, prices)
  const decided = (path: Decision["path"], first: string, ...rest: ReadonlyArray<string>): Decision => ({
    path,
    because: [first, ...rest, ...priceOf(path, costs)],
    onDemandTime: time,
    ...costs
  })
  const all = `${more ? "more than " : ""}${number(records)} records`

  if (!more && records < limits.minimumRecords) {
    return decided(
      "on-demand",
      `${capital(all)} are fewer than the ${number(limits.minimumRecords)} that a job needs at least.`
    )
  }
  const urgency = question.urgency === undefined ? Duration.infinity : Duration.fromInputUnsafe(question.urgency)
  if (Duration.isGreaterThanOrEqualTo(urgency, batchTime)) {
    return decided(
      "batch",
      Duration.isFinite(urgency)
        ? `${capital(all)} have ${words(urgency)}, and a batch takes nothing of the quota of other calls.`
        : `${capital(all)} are in no hurry, and a batch takes nothing of the quota of other calls.`
    )
  }
  const forecast = `On demand, ${all} take about ${words(time)}, by ${quotaOf(question)}`
  const promise = "As a batch they may take 24 hours and more: AWS promises nothing sooner."
  if (!more && records < enough(question)) {
    return decided("on-demand", `${forecast}: that is within the ${words(urgency)} that is asked for.`, promise)
  }
  return decided(
    "batch",
    more
      ? `How many records there are is not known: there are ${all}, and whether the quota lets them through within ${
        words(urgency)
      } can't be told.`
      : `${forecast}: longer than the ${words(urgency)} that is asked for.`,
    `A batch may be late, too: AWS promises nothing within 24 hours.`
  )
}

/**
 * How many records have to be seen to decide: those that a job needs at least, and those that the quota could let through in time, and one more.
 *
 * @category deciding
 * @since 0.1.0
 */
export const enough = (
  { limits, quota, perRecord, urgency }: Omit<Question, "more" | "prices" | "records">
): number => {
  const least = limits.minimumRecords
  if (urgency === undefined || Duration.isGreaterThanOrEqualTo(Duration.fromInputUnsafe(urgency), batchTime)) {
    return least
  }
  const minutes = Duration.toMillis(Duration.fromInputUnsafe(urgency)) / 60_000
  return Math.max(least, Math.floor(minutes / minutesEach(quota, perRecord)) + 1)
}

/**
 * What so many tokens cost.
 *
 * @category money
 * @since 0.1.0
 */
export const cost = (
  tokens: { readonly inputTokens: number; readonly outputTokens: number },
  prices: Prices,
  path: Decision["path"]
): number =>
  (tokens.inputTokens * prices.input + tokens.outputTokens * prices.output) / 1_000_000 *
  (path === "batch" ? batchShare : 1)

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

const minutesEach = (quota: Quota | undefined, { reservation }: PerRecord): number => {
  const { requestsPerMinute, tokensPerMinute } = known(quota)
  return Math.max(
    requestsPerMinute === undefined ? 0 : 1 / requestsPerMinute,
    tokensPerMinute === undefined ? 0 : reservation / tokensPerMinute
  )
}

/** A quota that says nothing is as none. */
const known = (quota: Quota = {}): Quota =>
  quota.requestsPerMinute === undefined && quota.tokensPerMinute === undefined
    ? { requestsPerMinute: assumedRequestsPerMinute }
    : quota

const onDemandTime = ({ perRecord, quota, records }: Question): Duration.Duration =>
  Duration.minutes(records * minutesEach(quota, perRecord))

const costsOf = (records: number, perRecord: PerRecord, prices: Prices) => {
  const tokens = { inputTokens: records * perRecord.inputTokens, outputTokens: records * perRecord.outputTokens }
  return { batchCost: cost(tokens, prices, "batch"), onDemandCost: cost(tokens, prices, "on-demand") }
}

const priceOf = (
  path: Decision["path"],
  { batchCost, onDemandCost }: Pick<Decision, "batchCost" | "onDemandCost">
): ReadonlyArray<string> =>
  batchCost === undefined || onDemandCost === undefined
    ? []
    : [
      path === "batch"
        ? `It costs about ${money(batchCost)}, and on demand it would be ${money(onDemandCost)}.`
        : `It costs about ${money(onDemandCost)}.`
    ]

const quotaOf = ({ perRecord, quota }: Question): string => {
  const { requestsPerMinute, tokensPerMinute } = known(quota)
  const requests = requestsPerMinute === undefined ? 0 : 1 / requestsPerMinute
  const tokens = tokensPerMinute === undefined ? 0 : perRecord.reservation / tokensPerMinute
  if (tokens > requests) return `${number(tokensPerMinute ?? 0)} tokens per minute`
  return quota?.requestsPerMinute === undefined
    ? `the ${number(assumedRequestsPerMinute)} requests per minute that are taken for a quota that nobody told`
    : `${number(requestsPerMinute ?? 0)} requests per minute`
}

const number = (value: number): string => Math.round(value).toLocaleString("en-US")

const money = (value: number): string => value.toLocaleString("en-US", { maximumSignificantDigits: 3 })

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const units = [["hour", 3_600_000], ["minute", 60_000], ["second", 1_000]] as const

/** In the largest unit of which there are some. */
const words = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const [unit, size] = units.find(([, size]) => millis >= size) ?? ["second", 1_000]
  const count = Number((millis / size).toPrecision(2))
  return `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`
}
