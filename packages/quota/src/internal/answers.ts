/**
 * The last answers of a pool: how long each was, of how long it might have been, and how long it took.
 */

/** A ring, the newest over the oldest. */
export interface Answers {
  /** Answers ever. */
  count: number
  readonly outputs: Float64Array
  readonly limits: Float64Array
  /** Output over limit, at most 1. */
  readonly ratios: Float64Array
  /** Size class of the limit, and duration bucket. */
  readonly classes: Uint8Array
  readonly buckets: Uint8Array
  /** How long an answer takes: a running mean of the last 64. */
  millis: number
}

/** Size classes of `maxTokens`: powers of 2, to the nearest. */
export const classOf = (maxTokens: number): number => Math.min(63, Math.max(0, Math.round(Math.log2(maxTokens))))

/** Durations are told apart to a fourth of an octave, from a thousandth of a millisecond per token up. */
export const bucketsPerOctave = 4
export const bucketCount = 128
export const bucketOf = (millisPerToken: number): number =>
  // Stryker disable next-line EqualityOperator: the logarithm of 0 is below every bucket
  millisPerToken > 0
    ? Math.min(bucketCount - 1, Math.max(0, Math.floor(bucketsPerOctave * Math.log2(millisPerToken)) + 40))
    : 0

/** The middle of a bucket, in milliseconds per token. */
export const durationOf = (bucket: number): number => 2 ** ((bucket + 0.5 - 40) / bucketsPerOctave)

/** How many buckets have their middle no later. */
export const endedBy = (millisPerToken: number): number =>
  // Stryker disable next-line EqualityOperator: the logarithm of 0 is below every bucket
  millisPerToken > 0
    ? Math.min(bucketCount, Math.max(0, Math.floor(bucketsPerOctave * Math.log2(millisPerToken) + 40.5)))
    : 0

/** No answers. */
export const empty = (size: number): Answers => ({
  count: 0,
  outputs: new Float64Array(size),
  limits: new Float64Array(size),
  ratios: new Float64Array(size),
  classes: new Uint8Array(size),
  buckets: new Uint8Array(size),
  millis: 0
})

/** Answers that the running mean of their durations follows. */
const followed = 64

/** One more answer, over the oldest. */
export const add = (answers: Answers, maxTokens: number, outputTokens: number, millis: number): void => {
  const slot = answers.count++ % answers.outputs.length
  answers.outputs[slot] = outputTokens
  answers.limits[slot] = maxTokens
  answers.ratios[slot] = Math.min(1, outputTokens / maxTokens)
  answers.classes[slot] = classOf(maxTokens)
  answers.buckets[slot] = bucketOf(millis / maxTokens)
  answers.millis += (millis - answers.millis) / Math.min(answers.count, followed)
}

/** How many are remembered. */
export const known = (answers: Answers): number => Math.min(answers.count, answers.outputs.length)

/** The place of the newest but `back - 1`. */
export const newest = (answers: Answers, back: number): number => (answers.count - back) % answers.outputs.length
