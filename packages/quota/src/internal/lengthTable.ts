/**
 * What the answers say about the charge of a request, by its size class and by how long it has run.
 */
import * as Answers from "./answers.ts"

/** Answers without which nothing is said. */
export const minimumSamples = 12
/** Answers of a size class that are enough to leave others aside: the imaginary one weighs little among them. */
const enough = 64

/**
 * Moments of y = max(1, burndown × output / maxTokens) for requests of one size class, over the answers that took at least as long
 * as bucket k says.
 */
export interface Table {
  readonly burndown: number
  /** Answers ever when it was made, and answers in it. */
  readonly count: number
  readonly samples: number
  readonly mean: Float64Array
  readonly variance: Float64Array
  readonly third: Float64Array
  /** Standard error of the mean. */
  readonly error: Float64Array
}

/** What the answers say of a size class. Two passes over them, one over those that count, one over the buckets. */
export const make = (answers: Answers.Answers, size: number, burndown: number, z: number): Table => {
  const chosen = choose(answers, sourceFor(answers, size, burndown))
  const samples = newestThatCount(chosen)
  const n = new Float64Array(Answers.bucketCount)
  const sums = new Float64Array(Answers.bucketCount)
  const squares = new Float64Array(Answers.bucketCount)
  const cubes = new Float64Array(Answers.bucketCount)
  for (let index = 0; index < samples; index++) {
    const bucket = chosen.buckets[index] ?? 0
    const excess = chosen.excesses[index] ?? 0
    n[bucket] = (n[bucket] ?? 0) + 1
    sums[bucket] = (sums[bucket] ?? 0) + excess
    squares[bucket] = (squares[bucket] ?? 0) + excess * excess
    cubes[bucket] = (cubes[bucket] ?? 0) + excess * excess * excess
  }
  return { burndown, count: answers.count, samples, ...suffixes(n, sums, squares, cubes, burndown, z) }
}

/** Which answers speak for requests of a size class: those of classes up to so far away, and how. */
interface Source {
  readonly size: number
  readonly burndown: number
  readonly distance: number
  /** By their ratio alone; else those of larger classes by their length, where that gives more. */
  readonly byRatio: boolean
}

const everywhere = 64
/** Answers of a size class from which its mean can be compared with that of the others. */
const comparable = 8
/** Standard errors within which they are taken for the same. */
const sameErrors = 2

/**
 * All answers, by their ratio, where those of the same size class agree with that. Else those of the class, where there are enough;
 * else those of the nearest classes that have enough between them.
 */
const sourceFor = (answers: Answers.Answers, size: number, burndown: number): Source => {
  const known = Answers.known(answers)
  const near = [0, 0, 0]
  const own = { n: 0, sum: 0, squares: 0 }
  const rest = { n: 0, sum: 0, squares: 0 }
  for (let slot = 0; slot < known; slot++) {
    const steps = Math.abs((answers.classes[slot] ?? 0) - size)
    if (steps < near.length) near[steps] = (near[steps] ?? 0) + 1
    const excess = Math.max(0, burndown * (answers.ratios[slot] ?? 0) - 1)
    const side = steps === 0 ? own : rest
    side.n++
    side.sum += excess
    side.squares += excess * excess
  }
  if (rest.n === 0 || (own.n >= comparable && agree(own, rest))) {
    return { size, burndown, distance: everywhere, byRatio: true }
  }
  let found = 0
  for (let distance = 0; distance < near.length; distance++) {
    found += near[distance] ?? 0
    if (found >= enough) return { size, burndown, distance, byRatio: false }
  }
  return { size, burndown, distance: everywhere, byRatio: false }
}

interface Side {
  readonly n: number
  readonly sum: number
  readonly squares: number
}

/** The squared standard error of a mean, and nothing for one value. */
const errorOf = ({ n, squares, sum }: Side): number => Math.max(0, squares - sum * sum / n) / (n * Math.max(1, n - 1))

const agree = (own: Side, rest: Side): boolean =>
  Math.abs(own.sum / own.n - rest.sum / rest.n) <= sameErrors * Math.sqrt(errorOf(own) + errorOf(rest)) + 1e-9

/** The answers of a source, the newest first: y - 1, and the duration bucket. */
interface Chosen {
  readonly n: number
  readonly excesses: Float64Array
  readonly buckets: Uint8Array
}

const choose = (answers: Answers.Answers, { burndown, byRatio, distance, size }: Source): Chosen => {
  const known = Answers.known(answers)
  const excesses = new Float64Array(known)
  const buckets = new Uint8Array(known)
  let n = 0
  for (let back = 1; back <= known; back++) {
    const slot = Answers.newest(answers, back)
    const steps = (answers.classes[slot] ?? 0) - size
    if (steps > distance || steps < -distance) continue
    let ratio = answers.ratios[slot] ?? 0
    let bucket = answers.buckets[slot] ?? 0
    if (!byRatio && steps > 0) {
      // The length and the duration as they were, at half the limit and half again.
      ratio = Math.min(1, ratio * 2 ** steps)
      bucket = Math.min(Answers.bucketCount - 1, bucket + steps * Answers.bucketsPerOctave)
    }
    excesses[n] = Math.max(0, burndown * ratio - 1)
    buckets[n++] = bucket
  }
  return { n, excesses, buckets }
}

/** Newest answers that are compared with all, and by how many standard errors they must differ to be no chance. */
const spans = [16, 64] as const
const fallSpan = 128
const changeErrors = 4

/** How many of the newest answers are to be learned from: all, or those since a change. */
const newestThatCount = ({ excesses, n }: Chosen): number => {
  let sum = 0
  let squares = 0
  const means = [0, 0, 0]
  for (let index = 0; index < n;) {
    const excess = excesses[index++] ?? 0
    sum += excess
    squares += excess * excess
    if (index === spans[0]) means[0] = sum / index
    if (index === spans[1]) means[1] = sum / index
    if (index === fallSpan) means[2] = sum / index
  }
  const mean = sum / n
  const deviation = Math.sqrt(Math.max(0, squares / n - mean * mean))
  for (let index = 0; index < spans.length; index++) {
    const span = spans[index] ?? 0
    if (n >= 2 * span && (means[index] ?? 0) - mean > changeErrors * deviation / Math.sqrt(span)) return span
  }
  if (n >= 2 * fallSpan && mean - (means[2] ?? 0) > changeErrors * deviation / Math.sqrt(fallSpan)) return fallSpan
  return n
}

/** Sums by bucket to moments from each bucket on, with the imaginary answer beyond the last. */
const suffixes = (
  n: Float64Array,
  sums: Float64Array,
  squares: Float64Array,
  cubes: Float64Array,
  burndown: number,
  z: number
): Pick<Table, "mean" | "variance" | "third" | "error"> => {
  const error = new Float64Array(Answers.bucketCount)
  let samples = 1
  let sum = burndown - 1
  let square = sum ** 2
  let cube = sum ** 3
  for (let bucket = Answers.bucketCount - 1; bucket >= 0; bucket--) {
    samples += n[bucket] ?? 0
    sum += sums[bucket] ?? 0
    square += squares[bucket] ?? 0
    cube += cubes[bucket] ?? 0
    const mean = sum / samples
    const variance = samples < 2 ? 0 : Math.max(0, square - samples * mean * mean) / (samples - 1)
    // The spread is itself an estimate: widened to Student's t, to first order.
    const widened = (1 + (z * z + 1) / (4 * samples)) ** 2 * variance
    n[bucket] = 1 + mean
    squares[bucket] = widened
    cubes[bucket] = cube / samples - 3 * mean * square / samples + 2 * mean * mean * mean
    error[bucket] = Math.sqrt(widened / samples)
  }
  return { mean: n, variance: squares, third: cubes, error }
}
