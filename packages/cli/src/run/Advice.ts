/**
 * What the numbers of a run say about the next one. Every piece of advice is computed from what was measured, and there
 * is none where the numbers don't speak.
 *
 * @since 0.1.0
 */
import * as format from "../internal/format.ts"
import * as Throughput from "./Throughput.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type QuotaNames = Readonly<Partial<Record<Throughput.Meter["unit"], string>>>

/**
 * What was measured.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  readonly elapsedMillis: number
  /** Answers in this run. */
  readonly answered: number
  /** Of those, how many stopped because `maxTokens` was reached. */
  readonly cutAtMaxTokens: number
  readonly meters: ReadonlyArray<Throughput.Meter>
  /** Means over the answered calls. */
  readonly call: {
    /** Tokens that the server deducts on arrival. */
    readonly reserved: number
    /** Tokens that were held while under way. */
    readonly booked: number
    readonly charged: number
    readonly inputTokens: number
    readonly outputTokens: number
    readonly serviceMillis: number
  }
  readonly output: { readonly max: number; readonly p99: number }
  readonly throttles: {
    readonly requests: number
    readonly tokens: number
    readonly tokensPerDay: number
    readonly unknown: number
  }
  /** Calls that cost more than was booked for them: any of them may have cost one throttle for tokens. */
  readonly debts: number
  /** Share of the time in which something waited for quota. */
  readonly waitingShare: number
  /** Share of the time in which every connection was in use. */
  readonly connectionsShare: number
  readonly maxConnections: number
  /** The names under which Service Quotas has the model's quotas per minute, where they are known. */
  readonly quotaNames: QuotaNames
}

/** Less than this is not worth a change, and within what the estimate can be wrong by. */
const worthwhile = 1.15
/** Where charges may grow, many cost more than was booked, as foreseen. No more than this share of the calls is throttled for it. */
const surprising = 0.005
/** A wait that took less of the run than this did not decide how long it took. */
const decisive = 0.3
/** Room above the longest answer so far: the next one may be longer. */
const headroom = 1.2

/**
 * The advice, most worthwhile first.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const advise = (facts: Facts): ReadonlyArray<string> =>
  [unexplainedThrottles(facts), cutAnswers(facts), maxTokens(facts), limit(facts), connections(facts)]
    .filter((advice) => advice !== undefined)

/**
 * The `maxTokens` that would have been enough for a share of the answers, and how much sooner the run would have ended
 * with it.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const betterMaxTokens = (
  facts: Facts,
  enough: number
): { readonly maxTokens: number; readonly sooner: number } | undefined => {
  const { call, meters } = facts
  const now = Throughput.bottleneck(meters, call)
  if (now === undefined || call.outputTokens <= 0) return undefined
  const maxTokens = roundUp(enough * headroom)
  // What is reserved is the input and `maxTokens`; the input stays.
  const reserved = Math.min(call.reserved, call.inputTokens + maxTokens)
  const booked = Math.max(reserved, Math.min(call.booked, call.charged))
  const then = Throughput.bottleneck(meters, { ...call, booked })
  if (then === undefined || then.millisPerCall <= 0) return undefined
  return { maxTokens, sooner: now.millisPerCall / then.millisPerCall }
}

const maxTokens = (facts: Facts): string | undefined => {
  if (facts.answered === 0 || facts.cutAtMaxTokens > 0 || facts.waitingShare < decisive) return undefined
  const used = facts.call.charged
  if (used <= 0) return undefined
  const times = facts.call.reserved / used
  const safe = betterMaxTokens(facts, facts.output.max)
  if (safe !== undefined && safe.sooner >= worthwhile) {
    return `You reserve ${
      format.ratio(times)
    } times the tokens that you use: --max-tokens ${safe.maxTokens} would finish ` +
      `${format.ratio(safe.sooner)} times sooner. (The longest answer had ${format.count(facts.output.max)} tokens.)`
  }
  const most = betterMaxTokens(facts, facts.output.p99)
  if (facts.answered >= 100 && most !== undefined && most.sooner >= worthwhile) {
    return `You reserve ${
      format.ratio(times)
    } times the tokens that you use: --max-tokens ${most.maxTokens} would finish ` +
      `${format.ratio(most.sooner)} times sooner, and cut off at most 1 in 100 answers (the longest had ` +
      `${format.count(facts.output.max)} tokens).`
  }
  return undefined
}

const cutAnswers = (facts: Facts): string | undefined =>
  facts.cutAtMaxTokens === 0
    ? undefined
    : `${format.plural(facts.cutAtMaxTokens, "answer was", "answers were")} cut off at maxTokens ` +
      `(${
        format.percent(facts.cutAtMaxTokens / facts.answered)
      }; "stopReason":"max_tokens"). A higher --max-tokens would ` +
      `let them end.`

const limit = (facts: Facts): string | undefined => {
  if (facts.answered === 0 || facts.waitingShare < decisive || facts.meters.length < 2) return undefined
  const slowest = Throughput.bottleneck(facts.meters, facts.call)
  if (slowest === undefined) return undefined
  const others = facts.meters.filter((meter) => meter.unit !== slowest.meter.unit)
  const next = Throughput.bottleneck(others, facts.call)
  if (next === undefined || next.millisPerCall <= 0) return undefined
  const sooner = slowest.millisPerCall / next.millisPerCall
  if (sooner < worthwhile) return undefined
  const share = format.percent(next.millisPerCall / slowest.millisPerCall)
  return slowest.meter.unit === "requests"
    ? `The requests quota sets the pace, and only ${share} of the token quota can be used at it: more requests per minute ` +
      `would finish up to ${format.ratio(sooner)} times sooner, and longer prompts or answers cost no time.` +
      quotaName(facts, "requests")
    : `The token quota sets the pace, and only ${share} of the requests quota can be used at it: more tokens per minute ` +
      `would finish up to ${format.ratio(sooner)} times sooner, and a higher requests quota nothing.` +
      quotaName(facts, "tokens")
}

const connections = (facts: Facts): string | undefined => {
  if (facts.answered === 0 || facts.connectionsShare < decisive || facts.waitingShare >= decisive) return undefined
  const pace = facts.call.serviceMillis / facts.maxConnections
  const allowed = Throughput.bottleneck(facts.meters, facts.call)
  const sooner = allowed === undefined ? undefined : pace / Math.max(allowed.millisPerCall, pace / 10)
  if (sooner !== undefined && sooner < worthwhile) return undefined
  return `All ${facts.maxConnections} connections were in use ${format.percent(facts.connectionsShare)} of the time: ` +
    (sooner === undefined
      ? "a higher --max-connections would finish sooner."
      : `--max-connections ${roundUp(facts.maxConnections * sooner)} would finish up to ${
        format.ratio(sooner)
      } times sooner.`)
}

const unexplainedThrottles = (facts: Facts): string | undefined => {
  const { requests, tokensPerDay, unknown } = facts.throttles
  const tokens = Math.max(0, facts.throttles.tokens - Math.min(facts.debts, Math.ceil(surprising * facts.answered)))
  const total = requests + tokens + unknown
  if (total === 0 && tokensPerDay === 0) return undefined
  if (total === 0) {
    return `Bedrock's daily token quota of the account is used up. It is raised through AWS Support ("Cross-Model Max Tokens ` +
      `Per Day", Service Quotas code L-E3F10727).`
  }
  const which = requests > 0 && requests >= tokens ? "requests" : tokens > 0 ? "tokens" : undefined
  const known = facts.meters.some((meter) => meter.unit === which)
  const flag = which === "requests" ? "--rpm" : "--tpm"
  const times = `Bedrock throttled ${format.plural(total, "request")}`
  if (which === undefined) {
    return `${times} without saying by which quota: the model's shared capacity was short, or somebody else draws on the ` +
      `quota.`
  }
  return known
    ? `${times} for ${which} while our ledger had room: the real quota is lower than ` +
      `${flag} says, or somebody else draws on it.` + quotaName(facts, which)
    : `${times} for ${which}. Give ${flag}, and no throttle will happen.` + quotaName(facts, which)
}

const quotaName = (facts: Facts, unit: Throughput.Meter["unit"]): string => {
  const name = facts.quotaNames[unit]
  return name === undefined
    ? " See Service Quotas, Amazon Bedrock, in the AWS console."
    : ` See Service Quotas, Amazon Bedrock: "${name}".`
}

/** Up to two digits that count: 812 becomes 820. */
const roundUp = (n: number): number => {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, n))) - 1)
  return Math.ceil(n / step) * step
}
