/**
 * Learns how long a model's answers are, and says how many tokens to book for a request while it is in flight.
 *
 * **Details**
 *
 * On arrival Bedrock deducts the reservation R = input + `maxTokens`. In the end it charges S = input + burndown × output,
 * which may be more. A client that books R alone finds itself over the quota when the answers come; one that books the
 * worst case, input + burndown × `maxTokens`, leaves most of the quota idle. What the server compares with its limit is the **sum** over
 * what is in flight. So it is the sum that is kept covered, anew at each admission:
 *
 *     Σ booked  ≥  Σ m·E[y | age]  +  z · √( Σ m²·Var[y | age] + (Σ m·error)² )  +  skewness term
 *
 * where m is `maxTokens` and y = max(1, burndown × output / m), learned from the last answers of the model. A request
 * books what the sum lacks, and at least its own expectation, which is never below R.
 *
 * - **Age counts.** Of requests that were sent together the short ones are answered first, and give back what they had booked too
 *   much. That must not be spent: those still in flight are the long ones. So the expectation is that of the answers which took
 *   at least as long as this request has taken by now (in time per `maxTokens`), and what they lack is booked by the next
 *   that is admitted. Requests that have run for longer than any answer are at their worst case.
 * - The margin over the mean shrinks as 1/√n with n in flight. The means themselves are uncertain by their standard error,
 *   alike for all in flight. The skewness term (Cornish–Fisher) covers rare long answers, whose sums are far from normal.
 * - Before {@link minimumSamples} answers: the worst case. With a burndown of 1: always exactly R.
 * - One imaginary answer, at the worst case and of endless duration, is always among those learned from: what has not been
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
 * long summaries after a morning of short chats) is not. It shows as soon as they run for longer than what was known; what was
 * booked too little by then is paid by later admissions.
 *
 * @since 0.1.0
 */
import * as Answers from "./internal/answers.ts"
import * as LengthTable from "./internal/lengthTable.ts"
import * as Statistics from "./internal/statistics.ts"

/**
 * Answers that must have been learned from before a booking is below the worst case. Fewer say little of the spread, and the
 * imaginary answer among them then weighs enough to keep the booking well above their mean.
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
 * Probability, unless told, with which the sum stays within its bookings: at each admission, as if all that is in flight had
 * been charged in full already. The server's own sum is behind that by what is not generated yet, so that throttles are far
 * rarer than the rest to 1. In simulations of a full pool (docs/decisions/0007) there were none for lengths without a second peak, and at
 * most 1 in 100 with one; 0.95 had none of these either and took 1 to 4 % longer.
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
  /** Sums over what is in flight, as of its last assessment. @internal */
  readonly sums: Sums
  /** When all in flight were last assessed, and the changes since. @internal */
  assessedAt: number
  /** @internal */
  changes: number
}

interface Sums {
  booked: number
  worst: number
  mean: number
  variance: number
  third: number
  error: number
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
  /** Its place among those in flight; -1 while it is not. @internal */
  index: number
  /** @internal */
  since: number
  /** What is booked for its output, and what is expected of it: mean, variance, third moment, standard error. @internal */
  booked: number
  /** @internal */
  mean: number
  /** @internal */
  variance: number
  /** @internal */
  third: number
  /** @internal */
  error: number
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
  sums: { booked: 0, worst: 0, mean: 0, variance: 0, third: 0, error: 0 },
  assessedAt: Number.NEGATIVE_INFINITY,
  changes: 0
})

/**
 * A request that wants to be admitted. It counts from its first {@link book} on.
 *
 * @category booking
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
  index: -1,
  since: 0,
  booked: 0,
  mean: 0,
  variance: 0,
  third: 0,
  error: 0
})

/**
 * Tokens to book for a request that is admitted at `now`, `inputTokens` of them for its input; a whole number. The
 * request is in flight from now. Asked again while it still waits, the last answer counts. Whoever books must {@link end},
 * however the request ends, sent or not.
 *
 * **Details**
 *
 * Amortised constant time: what is in flight is assessed anew when an eighth of it has changed, or an eighth of the time of an answer
 * has passed.
 *
 * **Example** (From admission to answer)
 *
 * ```ts
 * import * as OutputPredictor from "@caprock/quota/OutputPredictor"
 *
 * const lengths = OutputPredictor.empty()
 * const flight = OutputPredictor.begin({ maxTokens: 1000, burndown: 5 })
 * // Nothing is known yet: the worst case.
 * console.log(OutputPredictor.book(lengths, flight, { inputTokens: 400, now: 0 })) // => 5400
 * OutputPredictor.end(lengths, flight, { outputTokens: 180, now: 2500 })
 * ```
 *
 * @category booking
 * @since 0.1.0
 */
export const book = (
  lengths: Lengths,
  flight: Flight,
  options: { readonly inputTokens: number; readonly now: number }
): number => {
  const { inputTokens, now } = options
  const { burndown, maxTokens } = flight
  // What is charged can't exceed what is reserved: nothing to predict.
  if (burndown <= 1 || maxTokens <= 0) {
    flight.since = now
    return Math.ceil(inputTokens + maxTokens)
  }
  if (flight.index >= 0) leave(lengths, flight)
  assessAll(lengths, now)
  flight.since = now
  assess(lengths, flight, now)
  const { sums } = lengths
  const margin = marginOf(
    lengths.z,
    sums.variance + flight.variance,
    sums.third + flight.third,
    sums.error + flight.error
  )
  const needed = Math.min(sums.worst + burndown * maxTokens, sums.mean + flight.mean + margin)
  flight.booked = Math.max(flight.mean, needed - sums.booked)
  flight.index = lengths.flights.push(flight) - 1
  count(sums, flight, 1)
  lengths.changes++
  return Math.ceil(inputTokens + flight.booked)
}

/**
 * A request has ended: with so many output tokens, or `undefined` where they are not known (never sent, failed, cut short,
 * interrupted). Learns from it. Constant time.
 *
 * @category booking
 * @since 0.1.0
 */
export const end = (
  lengths: Lengths,
  flight: Flight,
  options: { readonly outputTokens: number | undefined; readonly now: number }
): void => {
  if (flight.index >= 0) leave(lengths, flight)
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
  /** Requests that have booked and not ended, of models with a burndown above 1. */
  readonly requests: number
  /** What they booked for their output, what is expected of it, and what it can come to at most. */
  readonly booked: number
  readonly expected: number
  readonly worst: number
}

/**
 * What is known and what is in flight as of the last booking. Constant time.
 *
 * @category accessors
 * @since 0.1.0
 */
export const snapshot: (lengths: Lengths) => Snapshot = ({ answers, flights, sums }) => ({
  samples: Answers.known(answers),
  requests: flights.length,
  booked: sums.booked,
  expected: sums.mean,
  worst: sums.worst
})

// -----------------------------------------------------------------------------
// What is in flight
// -----------------------------------------------------------------------------

const count = (sums: Sums, flight: Flight, sign: 1 | -1): void => {
  sums.booked += sign * flight.booked
  sums.worst += sign * flight.burndown * flight.maxTokens
  sums.mean += sign * flight.mean
  sums.variance += sign * flight.variance
  sums.third += sign * flight.third
  sums.error += sign * flight.error
}

const leave = (lengths: Lengths, flight: Flight): void => {
  const last = lengths.flights.pop()
  if (last !== undefined && last !== flight) {
    lengths.flights[flight.index] = last
    last.index = flight.index
  }
  flight.index = -1
  count(lengths.sums, flight, -1)
  lengths.changes++
}

const tableOf = (lengths: Lengths, maxTokens: number, burndown: number): LengthTable.Table | undefined => {
  const { answers, tables, z } = lengths
  if (answers.count < minimumSamples) return undefined
  const size = Answers.classOf(maxTokens)
  const known = tables.get(size)
  // A thirty-second part of new answers is not worth a new table.
  if (
    known !== undefined && known.burndown === burndown && answers.count - known.count <= Answers.known(answers) / 32
  ) {
    return known
  }
  const table = LengthTable.make(answers, size, burndown, z)
  tables.set(size, table)
  return table
}

/** Assesses a request by the answers that took at least as long as it has. */
const assess = (lengths: Lengths, flight: Flight, now: number): void => {
  const { maxTokens } = flight
  const table = tableOf(lengths, maxTokens, flight.burndown)
  const bucket = table === undefined ? 0 : Answers.bucketOf((now - flight.since) / maxTokens)
  flight.mean = maxTokens * (table?.mean[bucket] ?? flight.burndown)
  flight.variance = maxTokens * maxTokens * (table?.variance[bucket] ?? 0)
  flight.third = maxTokens * maxTokens * maxTokens * (table?.third[bucket] ?? 0)
  flight.error = maxTokens * (table?.error[bucket] ?? 0)
}

/** The part that may change, and of an answer's duration that may pass, before all are assessed anew. */
const tolerance = 1 / 8

const assessAll = (lengths: Lengths, now: number): void => {
  const { answers, flights, sums } = lengths
  // Before there is anything to assess by, age tells nothing.
  const aged = answers.count >= minimumSamples && now - lengths.assessedAt > tolerance * answers.millis
  if (!aged && lengths.changes < tolerance * flights.length) return
  lengths.assessedAt = now
  lengths.changes = 0
  // From nothing, so that no rounding adds up either.
  sums.booked =
    sums.worst =
    sums.mean =
    sums.variance =
    sums.third =
    sums.error =
      0
  for (const flight of flights) {
    assess(lengths, flight, now)
    count(sums, flight, 1)
  }
}

/** What is booked above the mean of a sum with these moments and standard error. */
const marginOf = (z: number, variance: number, third: number, error: number): number =>
  z * Math.sqrt(Math.max(0, variance) + error * error) +
  (variance > 0 ? Math.max(0, third / variance) * (z * z - 1) / 6 : 0)

// -----------------------------------------------------------------------------
// What else they say
// -----------------------------------------------------------------------------

/**
 * Tokens that each of `inFlight` like requests must book, so that their sum is covered at the level: what {@link book}
 * comes to when all are admitted at once. For plans and reports.
 *
 * @category predicting
 * @since 0.1.0
 */
export const predict = (lengths: Lengths, question: {
  readonly maxTokens: number
  readonly burndown: number
  readonly inputTokens: number
  /** @default 1 */
  readonly inFlight?: number | undefined
}): number => {
  const { burndown, inputTokens, maxTokens } = question
  if (burndown <= 1 || maxTokens <= 0) return Math.ceil(inputTokens + maxTokens)
  const flight = begin({ maxTokens, burndown })
  assess(lengths, flight, 0)
  const n = Math.max(1, question.inFlight ?? 1)
  const margin = marginOf(lengths.z, n * flight.variance, n * flight.third, n * flight.error) / n
  return Math.ceil(inputTokens + Math.min(burndown * maxTokens, flight.mean + margin))
}

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
 * @category predicting
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
