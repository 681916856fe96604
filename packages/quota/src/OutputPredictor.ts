/**
 * Learns how long a model's answers are, and says by how much the charges of what is in flight may yet grow.
 *
 * **Details**
 *
 * On arrival Bedrock deducts the reservation R = input + `maxTokens`. In the end it charges S = input + burndown × output,
 * which may be more. A client that books R alone finds itself over the quota when the answers come; one that books the
 * worst case, input + burndown × `maxTokens`, leaves most of the quota idle. What the server compares with its limit is a **sum**, over
 * what is in flight and what was charged in the last minute; and a charge grows while the output is generated, or in the end, when
 * others have left the minute again. So it is foreseen for the sum, and for several times from now:
 *
 *     growth(t)  =  Σ m·E[g(t)]  +  z · √( Σ m²·Var[g(t)] + (Σ m·error)² )  +  skewness term
 *
 * where m is `maxTokens`, and g(t) what the charge has grown by at t, beyond the reservation and per token of m: in the end
 * max(0, burndown × output / m - 1), learned from the last answers of the model; until then as much of it as has passed of the time that an
 * answer takes. A limiter that keeps room for each of these sums, by what will have left its window at that time, never
 * charges more than the quota in any window, as long as the prediction holds.
 *
 * - **Age counts.** Of requests that were sent together the short ones are answered first. Those still in flight are the long ones.
 *   So the expectation is that of the answers which took at least as long as this request has taken by now (in time per
 *   `maxTokens`). Requests that have run for longer than any answer are at their worst case.
 * - The margin over the mean shrinks as 1/√n with n in flight. The means themselves are uncertain by their standard error,
 *   alike for all in flight. The skewness term (Cornish–Fisher) covers rare long answers, whose sums are far from normal.
 * - Before {@link minimumSamples} answers: the worst case of all, at once; but none for one that is alone in flight. With a burndown of
 *   1: none.
 * - One imaginary answer, at the worst case and no shorter than the longest, is always among those learned from: what has not been
 *   seen in N answers may still have a share of about 1/N.
 * - All answers count by their ratio output/`maxTokens`, where those of the same power of 2 of `maxTokens` agree with the others
 *   in that. Where they don't, these count alone; while there are too few of them, their neighbours too, by ratio or by length,
 *   whichever gives more.
 * - When the newest 16 or 64 answers are longer than chance explains, they alone decide; likewise the newest 128 when they
 *   are shorter.
 *
 * **Gotchas**
 *
 * The square root assumes that the lengths of what is in flight are independent of each other. A burst of one new kind (a thousand
 * long summaries after a morning of short chats) is not. It shows as soon as they run for longer than what was known.
 *
 * @since 0.1.0
 */
import type { Growth } from "@caprock/rate-limiter/Cost"
import * as Answers from "./internal/answers.ts"
import * as LengthTable from "./internal/lengthTable.ts"
import * as Statistics from "./internal/statistics.ts"

/**
 * Answers that must have been learned from before less than the worst case is foreseen. Fewer say little of the spread, and the
 * imaginary answer among them then weighs enough to keep it well above their mean.
 *
 * @category constants
 * @since 0.1.0
 */
export const minimumSamples: number = LengthTable.minimumSamples

/**
 * Answers that are remembered: a few minutes of a busy client, and 1 % precision of the mean at sd/mean 0.25.
 *
 * @category constants
 * @since 0.1.0
 */
export const windowSize = 512

/**
 * Probability, unless told, with which the sum stays within what is foreseen. That growth begins at once, and not when the reservation
 * is used up, is a margin on top of it. What it costs and what it saves: docs/decisions/0007.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultLevel = 0.8

/**
 * What is known of one pool's answers, and what is in flight. Owned by one caller, changed in place; deterministic: times are
 * what the caller says, in milliseconds of one monotonic clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lengths {
  /** @internal */
  readonly z: number
  /** @internal */
  readonly answers: Answers.Answers
  /** What the answers say, by size class of `maxTokens`. @internal */
  readonly tables: Map<number, LengthTable.Table>
  /** @internal */
  readonly flights: Array<Flight>
  /** What they may grow by at most, in tokens. @internal */
  worst: number
  /** Sums of what is foreseen of each, as of its last assessment. @internal */
  readonly sums: Array<number>
  /** When all in flight were last assessed, and how many have left since. @internal */
  assessedAt: number
  /** @internal */
  left: number
  /** The horizons, in milliseconds from now. @internal */
  readonly within: Float64Array
}

/**
 * One request, from when it asks to be admitted until its output is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flight {
  readonly maxTokens: number
  readonly burndown: number
  /** Its size class. @internal */
  readonly size: number
  /** Its place among those in flight; -1 while it is not. @internal */
  index: number
  /** @internal */
  since: number
  /** Moments of what its charge grows by at each horizon, as of its last assessment. @internal */
  readonly foreseen: Array<number>
}

/**
 * Nothing known yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty = (options?: {
  /** Probability with which the sum over what is in flight stays within its bookings. @default 0.8 */
  readonly level?: number | undefined
}): Lengths => ({
  z: Statistics.normalQuantile(options?.level ?? defaultLevel),
  answers: Answers.empty(windowSize),
  tables: new Map(),
  flights: [],
  worst: 0,
  sums: nothing(),
  assessedAt: Number.NEGATIVE_INFINITY,
  left: 0,
  within: new Float64Array([...horizons, Infinity])
})

/**
 * A request that wants to be admitted. It is in flight from its first {@link growth} on.
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const begin = (request: {
  /** The request's limit on output, or the model's maximum where it sets none. */
  readonly maxTokens: number
  /** Quota tokens per output token. */
  readonly burndown: number
}): Flight => ({
  maxTokens: request.maxTokens,
  burndown: request.burndown,
  size: Answers.classOf(request.maxTokens),
  index: -1,
  since: 0,
  foreseen: nothing()
})

/**
 * By how much the charges of all in flight may grow by when, if this request is admitted at `now`: whole tokens, from now to when
 * everything has ended. None where nothing can grow.
 *
 * The request is in flight from now. Asked again while it still waits, the last time counts. Whoever asks must {@link end},
 * however the request ends, sent or not.
 *
 * **Details**
 *
 * Amortised constant time: what is in flight is assessed anew when an eighth of it has ended, or an eighth of the time of an answer
 * has passed.
 *
 * **Example** (From admission to answer)
 *
 * ```ts
 * import { OutputPredictor } from "@caprock/quota"
 *
 * const lengths = OutputPredictor.empty()
 * const flight = OutputPredictor.begin({ maxTokens: 1000, burndown: 5 })
 * // Alone, it may grow as it likes. Nothing is known yet: beside another, the worst case of both, at any time.
 * console.log(OutputPredictor.growth(lengths, flight, 0)) // => []
 * const other = OutputPredictor.begin({ maxTokens: 500, burndown: 5 })
 * console.log(OutputPredictor.growth(lengths, other, 0)) // => [ { withinMillis: 0, tokens: 6000 } ]
 * OutputPredictor.end(lengths, flight, { outputTokens: 180, now: 2500 })
 * ```
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const growth = (lengths: Lengths, flight: Flight, now: number): ReadonlyArray<Growth> => {
  const { answers, sums, within } = lengths
  for (let step = 0; step < horizons.length; step++) within[step] = (horizons[step] ?? 0) * answers.millis
  assessAll(lengths, now)
  flight.since = now
  // What is charged can't exceed what is reserved: nothing to foresee.
  if (!(flight.burndown > 1) || !(flight.maxTokens > 0)) return none
  if (flight.index < 0) enter(lengths, flight)
  else count(sums, flight.foreseen, -1)
  assess(lengths, flight, now)
  count(sums, flight.foreseen, 1)
  if (answers.count < minimumSamples) {
    // Or the first answers would come a window apart where the worst case of one is more than the quota.
    return lengths.flights.length === 1 ? none : [{ withinMillis: 0, tokens: Math.ceil(lengths.worst) }]
  }
  const steps: Array<Growth> = []
  for (let step = 0; step < within.length; step++) {
    // All that ends later is foreseen for the last time: what leaves a window after it is not counted on.
    const withinMillis = Math.min(within[step] ?? 0, latest * answers.millis)
    steps.push({ withinMillis, tokens: Math.ceil(Math.max(0, Math.min(lengths.worst, sumAt(lengths, step)))) })
  }
  return steps
}

const none: ReadonlyArray<Growth> = []

/**
 * What the charge of a request in flight is expected to grow by in the end, as of when it was last assessed: what to book for one that
 * ended without telling. Tokens, rounded up.
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const expected = (flight: Flight): number =>
  flight.index < 0 ? 0 : Math.ceil(meanAt(flight.foreseen, horizons.length))

/**
 * What the charge of a request can have grown by at most, as far as answers tell: with as many output tokens as the longest that is
 * remembered, and with `maxTokens` where one was cut off by its own, or where there are too few. For one that was given up while it
 * was answered. Tokens, rounded up; O({@link windowSize}).
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const most = (lengths: Lengths, { burndown, maxTokens }: Flight): number => {
  const { answers } = lengths
  let longest = answers.count < minimumSamples ? maxTokens : 0
  for (let i = 0; i < Answers.known(answers); i++) {
    longest = Math.max(longest, (answers.ratios[i] ?? 1) < 1 ? answers.outputs[i] ?? 0 : maxTokens)
  }
  return Math.max(0, Math.ceil(burndown * Math.min(longest, maxTokens) - maxTokens))
}

/**
 * A request has ended: with so many output tokens, or `undefined` where they are not known (never sent, failed, cut short,
 * interrupted). Learns from it. Constant time.
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const end = (
  lengths: Lengths,
  flight: Flight,
  options: { readonly outputTokens: number | undefined; readonly now: number }
): void => {
  if (flight.index >= 0) leave(lengths, flight)
  // Stryker disable next-line ConditionalExpression: nothing is learned from what is no number either
  if (options.outputTokens === undefined) return
  observe(lengths, {
    maxTokens: flight.maxTokens,
    outputTokens: options.outputTokens,
    millis: options.now - flight.since
  })
}

/**
 * Learns from an answer. Constant time.
 *
 * @category learning
 * @since 0.1.0
 */
export const observe = (
  lengths: Lengths,
  answer: {
    readonly maxTokens: number
    readonly outputTokens: number
    /** From admission to the end of the answer. */
    readonly millis: number
  }
): void => {
  if (!(answer.maxTokens > 0) || !(answer.outputTokens >= 0)) return
  Answers.add(lengths.answers, answer.maxTokens, answer.outputTokens, Math.max(0, answer.millis))
}

/**
 * What is known and what is in flight, for displays and tests.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  /** Answers that are remembered. */
  readonly samples: number
  /** Requests in flight, of models with a burndown above 1. */
  readonly requests: number
  /** What their charges are expected to grow by in the end, and what they can grow by at most. */
  readonly expected: number
  readonly worst: number
}

/**
 * What is known and what is in flight, as it was last assessed. Constant time.
 *
 * @category accessors
 * @since 0.1.0
 */
export const snapshot: (lengths: Lengths) => Snapshot = ({ answers, flights, sums, worst }) => ({
  samples: Answers.known(answers),
  requests: flights.length,
  expected: meanAt(sums, horizons.length),
  worst
})

// -----------------------------------------------------------------------------
// What is in flight
// -----------------------------------------------------------------------------

/** Times for which growth is foreseen, in parts of the time that an answer takes. After these comes the end of all. */
const horizons = [0, 0.25, 0.5, 1] as const
/** When that end is taken to be. */
const latest = 2

const zeros: ReadonlyArray<number> = Array.from(new Float64Array(LengthTable.moments * (horizons.length + 1)))
// For each request: a copy takes a hundredth of what it takes to make them.
const nothing = (): Array<number> => zeros.slice()

const worstOf = ({ burndown, maxTokens }: Flight): number => (burndown - 1) * maxTokens

const enter = (lengths: Lengths, flight: Flight): void => {
  flight.index = lengths.flights.push(flight) - 1
  lengths.worst += worstOf(flight)
}

const leave = (lengths: Lengths, flight: Flight): void => {
  const last = lengths.flights.pop() ?? flight
  if (last !== flight) {
    lengths.flights[flight.index] = last
    last.index = flight.index
  }
  flight.index = -1
  lengths.worst -= worstOf(flight)
  count(lengths.sums, flight.foreseen, -1)
  lengths.left++
}

const count = (sums: Array<number>, foreseen: ReadonlyArray<number>, sign: 1 | -1): void => {
  for (let index = 0; index < sums.length; index++) sums[index] = (sums[index] ?? 0) + sign * (foreseen[index] ?? 0)
}

const tableOf = ({ answers, tables }: Lengths, { burndown, size }: Flight): LengthTable.Table | undefined => {
  if (answers.count < minimumSamples) return undefined
  const known = tables.get(size)
  // A thirty-second part of new answers is not worth a new table.
  if (
    known !== undefined && known.burndown === burndown && answers.count - known.count <= Answers.known(answers) / 32
  ) {
    return known
  }
  const table = LengthTable.make(answers, size, burndown)
  tables.set(size, table)
  return table
}

/** Assesses a request by the answers that took at least as long as it has. */
const assess = (lengths: Lengths, flight: Flight, now: number): void => {
  const { foreseen, maxTokens, since } = flight
  const table = tableOf(lengths, flight)
  if (table !== undefined) return LengthTable.growth(table, maxTokens, now - since, lengths.within, lengths.z, foreseen)
  for (let step = 0; step <= horizons.length; step++) foreseen[LengthTable.moments * step] = worstOf(flight)
}

/** The part of them that may leave, and of an answer's duration that may pass, before all are assessed anew. */
const tolerance = 1 / 8

const assessAll = (lengths: Lengths, now: number): void => {
  const { answers, flights, sums } = lengths
  // Before there is anything to assess by, age tells nothing.
  const aged = answers.count >= minimumSamples && now - lengths.assessedAt > tolerance * answers.millis
  if (!aged && lengths.left <= tolerance * flights.length) return
  lengths.assessedAt = now
  lengths.left = 0
  // From nothing, so that no rounding adds up either.
  sums.fill(0)
  lengths.worst = 0
  for (const flight of flights) {
    assess(lengths, flight, now)
    count(sums, flight.foreseen, 1)
    lengths.worst += worstOf(flight)
  }
}

const meanAt = (foreseen: ReadonlyArray<number>, step: number): number => foreseen[LengthTable.moments * step] ?? 0

/** What the sum at a horizon stays within. */
const sumAt = ({ sums, z }: Lengths, step: number): number => {
  const variance = sums[LengthTable.moments * step + 1] ?? 0
  const third = sums[LengthTable.moments * step + 2] ?? 0
  const error = sums[LengthTable.moments * step + 3] ?? 0
  // Less than a token is what rounding left of those that have ended.
  // Stryker disable next-line EqualityOperator: at a token to the last bit either will do
  if (variance < 1) return meanAt(sums, step)
  return meanAt(sums, step) + z * Math.sqrt(variance + error * error) + Math.max(0, third / variance) * (z * z - 1) / 6
}

// -----------------------------------------------------------------------------
// What else they say
// -----------------------------------------------------------------------------

/**
 * What the answers say about `maxTokens`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Advice {
  /** Answers that it rests on. */
  readonly samples: number
  readonly median: number
  readonly p99: number
  readonly largest: number
  /** Part of the answers that ended at their limit, and would have been longer. */
  readonly truncated: number
  /** Output tokens reserved per output token used. */
  readonly reservedPerUsed: number
  /** p99 × 1.2, rounded up: the limit that the numbers support. */
  readonly maxTokens: number
}

/**
 * The limit on output that the answers support, or `undefined` before {@link minimumSamples} of them. Sorts the window:
 * for reports, not for every call.
 *
 * @category foreseeing
 * @since 0.1.0
 */
export const advice = (lengths: Lengths): Advice | undefined => {
  const { limits, outputs } = lengths.answers
  const samples = Answers.known(lengths.answers)
  const sorted = outputs.slice(0, samples).sort()
  let reserved = 0
  let used = 0
  let truncated = 0
  for (let slot = 0; slot < samples; slot++) {
    const output = outputs[slot] ?? 0
    const limit = limits[slot] ?? 0
    reserved += limit
    used += output
    if (output >= limit) truncated++
  }
  if (samples < minimumSamples || used === 0) return undefined
  const at = (share: number) => sorted[Math.min(samples - 1, Math.floor(share * samples))] ?? 0
  return {
    samples,
    median: at(0.5),
    p99: at(0.99),
    largest: at(1),
    truncated: truncated / samples,
    reservedPerUsed: reserved / used,
    maxTokens: Math.ceil(at(0.99) * 1.2)
  }
}
