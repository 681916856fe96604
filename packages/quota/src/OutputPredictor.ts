/**
 * Learns how long a model's answers are, and says how many tokens to book for a request while it is in flight.
 *
 * **Details**
 *
 * On arrival Bedrock deducts the reservation R = input + `maxTokens`. In the end it charges S = input + burndown × output,
 * which may be more. A client that books R alone finds itself over the quota when the answers come; one that books the
 * worst case, input + burndown × `maxTokens`, leaves most of the quota idle. What matters is the **sum** over what is in flight:
 * with n like requests in flight the margin over the mean that keeps the sum below its bookings shrinks as 1/√n. So the booking is
 *
 *     input + maxTokens × ( mean + z · sd · √(1/n + 1/N) + skewness term / n )      of max(1, burndown × output / maxTokens)
 *
 * for n in flight and N answers learned from, never below R, never above the worst case. The mean of N answers is itself
 * uncertain by sd/√N, alike for all in flight, which is the 1/N. The skewness term (Cornish–Fisher) covers rare long
 * answers, whose sums are far from normal for small n. For n = 1 it is the plain upper quantile of what was seen.
 *
 * - Before {@link minimumSamples} answers: the worst case. With a burndown of 1: always exactly R.
 * - Answers to requests of like `maxTokens` (within a factor of 2) are used by their ratio output/`maxTokens`. While there
 *   are too few of these, all are used, by ratio or by length, whichever gives more.
 * - One imaginary answer at the worst case is always among those learned from: what has not been seen in N answers may
 *   still have a share of about 1/N.
 * - **Short answers come first.** Of requests that were sent together the short ones are answered first, and an average of the
 *   first answers is far too low. So answers are learned from in the order in which their requests were *sent*: up to the
 *   last request below which at most 2 % are unanswered, and these count as the longest seen. This needs {@link begin} and {@link end}.
 * - **What is in flight is long.** At any moment the long ones are over-represented among what is in flight. Where outputs vary so
 *   much (by more than their mean) that the charges run up so far exceed the mean final charge, that figure is used instead.
 * - The newest 8 and 32 answers are watched: when they are longer than the rest can explain, they decide at once. When
 *   the newest 128 are shorter, the older ones are dropped.
 *
 * **Gotchas**
 *
 * The 1/√n assumes that the lengths of what is in flight are independent of each other. A burst of one kind (a thousand
 * long summaries after a morning of short chats) is not, and is over its bookings until the first 8 of them were answered; the
 * debt is paid by later admissions. For requests of unlike sizes pass the effective number (Σm)² / Σm² as `inFlight`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Lru from "./internal/lru.ts"
import * as Statistics from "./internal/statistics.ts"

/**
 * Answers that must have been learned from before a booking is below the worst case. Below it, a spread can't be told from
 * chance.
 *
 * @category constants
 * @since 0.1.0
 */
export const minimumSamples = 32

/** Requests whose answers are remembered per model: a few minutes of a busy client, and 1 % precision of the mean at sd/mean 0.25. */
const windowSize = 512
/** Part of the window that may still be unanswered. */
const unansweredShare = 0.02
/** Newest answers that are watched for a rise. */
const recentSize = 32
/** Requests beyond the window that may wait to be learned from; over it, order gives way. 2 MB per model at most. */
const maximumSpan = 65_536

const unanswered = Number.NaN
const discarded = -1

/**
 * What is known of one model. Owned by one caller, changed in place by {@link begin} and {@link end}; deterministic.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lengths {
  /** @internal */
  outputs: Float64Array
  /** @internal */
  limits: Float64Array
  /** The number of the next request. @internal */
  next: number
  /** The first request that is not learned from yet. @internal */
  frontier: number
  /** Unanswered requests within the window below the frontier. @internal */
  pending: number
  /** The newest answers in the order in which they came. @internal */
  readonly recentOutputs: Float64Array
  /** @internal */
  readonly recentLimits: Float64Array
  /** Answers ever. @internal */
  answers: number
}

/**
 * Nothing known yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty = (): Lengths => ({
  outputs: new Float64Array(2 * windowSize),
  limits: new Float64Array(2 * windowSize),
  next: 0,
  frontier: 0,
  pending: 0,
  recentOutputs: new Float64Array(recentSize),
  recentLimits: new Float64Array(recentSize),
  answers: 0
})

/**
 * A request is being sent. The number goes to {@link end}. Amortised constant time.
 *
 * @category learning
 * @since 0.1.0
 */
export const begin = (lengths: Lengths, maxTokens: number): number => {
  const ticket = lengths.next
  const span = ticket - windowStart(lengths)
  if (span >= lengths.outputs.length) grow(lengths)
  const slot = ticket % lengths.outputs.length
  lengths.outputs[slot] = unanswered
  lengths.limits[slot] = maxTokens
  lengths.next = ticket + 1
  while (lengths.next - lengths.frontier > maximumSpan) advance(lengths)
  return ticket
}

/**
 * A request has ended: with so many output tokens, or `undefined` where they are not known (it failed, was cut short or
 * interrupted). A ticket ends once; ending it again, or after it left the window, does nothing. Amortised constant time.
 *
 * @category learning
 * @since 0.1.0
 */
export const end = (lengths: Lengths, ticket: number, outputTokens: number | undefined): void => {
  if (ticket < windowStart(lengths) || ticket >= lengths.next) return
  const slot = ticket % lengths.outputs.length
  if (!Number.isNaN(lengths.outputs[slot])) return
  const known = outputTokens !== undefined && outputTokens >= 0
  lengths.outputs[slot] = known ? outputTokens : discarded
  if (ticket < lengths.frontier) lengths.pending--
  if (known) {
    const recent = lengths.answers++ % recentSize
    lengths.recentOutputs[recent] = outputTokens
    lengths.recentLimits[recent] = lengths.limits[slot] ?? 0
  }
  while (lengths.frontier < lengths.next && mayAdvance(lengths)) advance(lengths)
}

/**
 * Learns from an answer whose request was not announced with {@link begin}.
 *
 * @category learning
 * @since 0.1.0
 */
export const observe = (
  lengths: Lengths,
  answer: { readonly maxTokens: number; readonly outputTokens: number }
): void => end(lengths, begin(lengths, answer.maxTokens), answer.outputTokens)

const windowStart = (lengths: Lengths): number => Math.max(0, lengths.frontier - windowSize)

const outputAt = (lengths: Lengths, index: number): number =>
  lengths.outputs[index % lengths.outputs.length] ?? discarded

const mayAdvance = (lengths: Lengths): boolean => {
  if (!Number.isNaN(outputAt(lengths, lengths.frontier))) return true
  const size = lengths.frontier + 1 - windowStart(lengths)
  return lengths.pending + 1 <= unansweredShare * size
}

const advance = (lengths: Lengths): void => {
  const start = windowStart(lengths)
  if (Number.isNaN(outputAt(lengths, lengths.frontier))) lengths.pending++
  lengths.frontier++
  // The window moves on: what is still unanswered at its end is given up.
  if (windowStart(lengths) > start && Number.isNaN(outputAt(lengths, start))) lengths.pending--
}

const grow = (lengths: Lengths): void => {
  const { limits, outputs } = lengths
  lengths.outputs = new Float64Array(2 * outputs.length)
  lengths.limits = new Float64Array(2 * limits.length)
  for (let index = windowStart(lengths); index < lengths.next; index++) {
    lengths.outputs[index % lengths.outputs.length] = outputs[index % outputs.length] ?? discarded
    lengths.limits[index % lengths.limits.length] = limits[index % limits.length] ?? 0
  }
}

/**
 * What is to be booked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Question {
  /** The request's limit on output, or the model's maximum where it sets none. */
  readonly maxTokens: number
  /** Quota tokens per output token. */
  readonly burndown: number
  /** Input and cache-write tokens, as they are reserved. */
  readonly inputTokens: number
  /** Like requests in flight, this one included. For unlike sizes the effective number, (Σm)² / Σm². @default 1 */
  readonly inFlight?: number | undefined
  /** Probability with which the sum over what is in flight stays within its bookings. @default 0.999 */
  readonly level?: number | undefined
}

/**
 * A booking, between the reservation and the worst case.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prediction {
  /** Tokens to book while the request is in flight, input included; a whole number. */
  readonly booked: number
  /** Answers that it was learned from; 0 while it is the worst case for want of answers. */
  readonly samples: number
}

/** What {@link predict} assumes unless told. A throttle costs a second's wait; 1 in 1,000 keeps them rare without idling much. */
const defaultLevel = 0.999

/**
 * Tokens to book for a request until it is answered. Costs one pass over at most 544 numbers.
 *
 * @category predicting
 * @since 0.1.0
 */
export const predict = (lengths: Lengths, question: Question): Prediction => {
  const { burndown, inputTokens, maxTokens } = question
  // What is charged can't exceed what is reserved: nothing to predict.
  if (burndown <= 1 || maxTokens <= 0) return { booked: Math.ceil(inputTokens + maxTokens), samples: lengths.answers }
  const multiple = chargeMultiple(lengths, maxTokens, burndown, question.inFlight ?? 1, question.level ?? defaultLevel)
  return { booked: Math.ceil(inputTokens + maxTokens * multiple.value), samples: multiple.samples }
}

/** Sums over charges y = max(1, burndown × output / maxTokens), less 1 for the precision of the powers. */
interface Moments {
  n: number
  sum: number
  squares: number
  cubes: number
}

const add = (moments: Moments, excess: number, times: number): void => {
  moments.n += times
  moments.sum += times * excess
  moments.squares += times * excess * excess
  moments.cubes += times * excess * excess * excess
}

const mean = (moments: Moments): number => moments.sum / moments.n
const variance = (moments: Moments): number =>
  moments.n < 2 ? 0 : Math.max(0, moments.squares - moments.sum * moments.sum / moments.n) / (moments.n - 1)

/** The third central moment. */
const third = (moments: Moments): number => {
  const m = mean(moments)
  return moments.cubes / moments.n - 3 * m * moments.squares / moments.n + 2 * m * m * m
}

/** Newest requests that are compared with those before, to drop the older ones when answers have become shorter. */
const fallSize = 128
/** Standard errors that are taken for a change rather than for chance: one in 700, and one in 30,000 for a fall, which costs safety. */
const riseErrors = 3
const fallErrors = 4

const chargeMultiple = (
  lengths: Lengths,
  maxTokens: number,
  burndown: number,
  inFlight: number,
  level: number
): { readonly value: number; readonly samples: number } => {
  const { limits, outputs } = lengths
  const capacity = outputs.length
  const start = windowStart(lengths)
  const low = maxTokens / 2
  const high = maxTokens * 2
  let like = 0
  let answered = 0
  for (let index = start; index < lengths.frontier; index++) {
    const slot = index % capacity
    const output = outputs[slot] ?? discarded
    if (!(output >= 0)) continue
    answered++
    const limit = limits[slot] ?? 0
    if (limit >= low && limit <= high) like++
  }
  const onlyLike = like >= minimumSamples
  if (answered < minimumSamples) return { value: burndown, samples: 0 }
  const all: Moments = { n: 0, sum: 0, squares: 0, cubes: 0 }
  let newest: Moments | undefined = undefined
  let largest = 0
  // What charges have run up to among what is in flight, weighted by how long each is: see `runningUp`.
  let duration = 0
  let running = 0
  for (let index = lengths.frontier - 1; index >= start; index--) {
    const slot = index % capacity
    const output = outputs[slot] ?? discarded
    if (!(output >= 0)) continue
    const limit = limits[slot] ?? 0
    if (onlyLike && !(limit >= low && limit <= high)) continue
    const share = shareOf(output, limit, maxTokens)
    const charge = burndown * share
    add(all, charge > 1 ? charge - 1 : 0, 1)
    if (charge > largest) largest = charge
    duration += share
    running += share * runningUp(charge)
    if (all.n === fallSize) newest = { ...all }
  }
  const samples = all.n
  const used = newest !== undefined && fell(newest, all) ? newest : all
  // What is unanswered for longest is long; and what was never seen may have a share of 1/N.
  if (lengths.pending > 0) add(used, Math.max(0, largest - 1), lengths.pending)
  add(used, burndown - 1, 1)
  const level1 = inFlight <= 1
    ? upperCharge(lengths, maxTokens, burndown, onlyLike, level)
    : 0
  const average = Math.max(1 + mean(used), duration > 0 ? running / duration : 1)
  const z = Statistics.normalQuantile(level)
  const value = level1 > 0
    ? Math.max(level1, average)
    : average + margin(used, used.n, inFlight, z)
  const risen = recentCharge(lengths, maxTokens, burndown, 1 + mean(used), variance(used), inFlight, z)
  return { value: Math.min(burndown, Math.max(1, value, risen)), samples }
}

/**
 * The part of `maxTokens` that an answer seen under another limit suggests: by ratio where the limits are alike, else by
 * ratio or by length, whichever is more.
 */
const shareOf = (output: number, limit: number, maxTokens: number): number => {
  const alike = limit >= maxTokens / 2 && limit <= maxTokens * 2
  return Math.min(1, output / (alike ? limit : Math.min(limit, maxTokens)))
}

/** The average over a request's life of what it has been charged so far, when charges follow the output. */
const runningUp = (charge: number): number => charge > 1 ? charge / 2 + 1 / (2 * charge) : 1

const fell = (newest: Moments, all: Moments): boolean => {
  const older = all.n - newest.n
  if (older < minimumSamples) return false
  const drop = (all.sum - newest.sum) / older - mean(newest)
  return drop > fallErrors * Math.sqrt(variance(all) * (1 / newest.n + 1 / older))
}

const margin = (moments: Moments, samples: number, inFlight: number, z: number): number => {
  const v = variance(moments)
  if (v === 0) return 0
  const t = Statistics.widened(z, samples)
  const skewness = Math.max(0, third(moments) / v)
  return t * Math.sqrt(v * (1 / inFlight + 1 / samples)) + skewness * (z * z - 1) / (6 * inFlight)
}

const upperCharge = (
  lengths: Lengths,
  maxTokens: number,
  burndown: number,
  onlyLike: boolean,
  level: number
): number => {
  const charges = new Float64Array(windowSize)
  let n = 0
  for (let index = windowStart(lengths); index < lengths.frontier; index++) {
    const slot = index % lengths.outputs.length
    const output = lengths.outputs[slot] ?? discarded
    const limit = lengths.limits[slot] ?? 0
    if (!(output >= 0) || (onlyLike && !(limit >= maxTokens / 2 && limit <= maxTokens * 2))) continue
    charges[n++] = burndown * shareOf(output, limit, maxTokens)
  }
  return Math.max(1, Statistics.upperQuantile(charges.subarray(0, n), level))
}

/** The booking that the newest answers alone ask for, where they are longer than chance allows; else 0. */
const recentCharge = (
  lengths: Lengths,
  maxTokens: number,
  burndown: number,
  expected: number,
  spread: number,
  inFlight: number,
  z: number
): number => {
  const recent: Moments = { n: 0, sum: 0, squares: 0, cubes: 0 }
  const known = Math.min(lengths.answers, recentSize)
  let booking = 0
  for (let back = 1; back <= known; back++) {
    const slot = (lengths.answers - back) % recentSize
    const share = shareOf(lengths.recentOutputs[slot] ?? 0, lengths.recentLimits[slot] ?? 0, maxTokens)
    add(recent, Math.max(0, burndown * share - 1), 1)
    if (back !== 8 && back !== recentSize) continue
    const average = 1 + mean(recent)
    if (average <= expected + riseErrors * Math.sqrt(spread / back)) continue
    booking = Math.max(booking, average + margin(recent, back, inFlight, z))
  }
  return booking
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
  const values = new Float64Array(windowSize)
  let samples = 0
  let reserved = 0
  let used = 0
  let truncated = 0
  for (let index = windowStart(lengths); index < lengths.frontier; index++) {
    const slot = index % lengths.outputs.length
    const output = lengths.outputs[slot] ?? discarded
    if (!(output >= 0)) continue
    const limit = lengths.limits[slot] ?? 0
    values[samples++] = output
    reserved += limit
    used += output
    if (output >= limit) truncated++
  }
  if (samples < minimumSamples || used === 0) return undefined
  const sorted = values.subarray(0, samples).sort()
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

/**
 * A request that was announced to the service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticket {
  /** To be called once, with the output tokens of the answer, or `undefined` where they are not known. */
  readonly end: (outputTokens: number | undefined) => void
}

/**
 * The lengths of all models that a program uses, at most 64 at a time (the least recently used is forgotten). Plain functions that
 * return at once: a limiter may ask in the middle of an admission.
 *
 * **Example** (From admission to answer)
 *
 * ```ts
 * import * as OutputPredictor from "@caprock/quota/OutputPredictor"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const predictor = yield* OutputPredictor.OutputPredictor
 *   const model = "anthropic.claude-sonnet-4-6"
 *   const { booked } = predictor.predict(model, { maxTokens: 1000, burndown: 5, inputTokens: 400, inFlight: 20 })
 *   const ticket = predictor.begin(model, 1000)
 *   ticket.end(180)
 *   return booked
 * }).pipe(Effect.provide(OutputPredictor.layer))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class OutputPredictor extends Context.Service<OutputPredictor, {
  readonly predict: (model: string, question: Question) => Prediction
  readonly begin: (model: string, maxTokens: number) => Ticket
  readonly observe: (
    model: string,
    answer: { readonly maxTokens: number; readonly outputTokens: number }
  ) => void
  readonly advice: (model: string) => Advice | undefined
}>()("@caprock/quota/OutputPredictor") {}

/** More models than a program uses at once; 17 kB each. */
const maximumModels = 64

/**
 * A predictor that knows nothing yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<OutputPredictor["Service"]> = Effect.sync(() => {
  const models = Lru.make(maximumModels, empty)
  return {
    predict: (model, question) => predict(models.get(model), question),
    begin: (model, maxTokens) => {
      const lengths = models.get(model)
      const ticket = begin(lengths, maxTokens)
      return { end: (outputTokens) => end(lengths, ticket, outputTokens) }
    },
    observe: (model, answer) => observe(models.get(model), answer),
    advice: (model) => {
      const lengths = models.peek(model)
      return lengths === undefined ? undefined : advice(lengths)
    }
  }
})

/**
 * A predictor that knows nothing yet, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<OutputPredictor> = Layer.effect(OutputPredictor, make)
