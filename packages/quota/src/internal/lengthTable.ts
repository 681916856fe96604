/**
 * What the answers say about the charge of a request, by its size class and by how long it has run.
 */
import * as Answers from "./answers.ts"

/** Answers without which nothing is said. */
export const minimumSamples = 12
/** Answers of a size class that are enough to leave others aside: the imaginary one weighs little among them. */
const enough = 64

/**
 * What charges grow by beyond their reservation, per token of `maxTokens`: g = max(0, burndown × output / maxTokens - 1), in the
 * answers that count, by the bucket of their duration. Among them is an imaginary answer: it grows by all it can, and takes as long as
 * the longest, except for a request that has run for longer still: then it is the only one.
 */
export interface Table {
  readonly burndown: number
  /** Answers ever when it was made, and answers in it. */
  readonly count: number
  readonly samples: number
  /** The bucket of the longest. */
  readonly longest: number
  /** How many took at least as long as each bucket says, the imaginary one among them, however long. */
  readonly n: Float64Array
  /** Sums of the powers of g over those in the buckets before each, without the imaginary one. */
  readonly before: Powers
  /** Sums of the powers of g over the duration, over those from each bucket on, with the imaginary one. */
  readonly paces: Powers
}

/** Of the first, the second and the third power. */
type Powers = readonly [Float64Array, Float64Array, Float64Array]

/** One place beyond the buckets, for the sums of all and of none. */
const places = Answers.bucketCount + 1
const powers = (): Powers => [new Float64Array(places), new Float64Array(places), new Float64Array(places)]

/** What the answers say of a size class. Two passes over them, one over those that count, two over the buckets. */
export const make = (answers: Answers.Answers, size: number, burndown: number): Table => {
  const { buckets, excesses, n: found } = choose(answers, sourceFor(answers, size, burndown))
  const samples = newestThatCount(excesses, found)
  const n = new Float64Array(places)
  const [firsts, squares, cubes] = powers()
  let longest = 0
  for (let index = 0; index < samples; index++) {
    const bucket = buckets[index] ?? 0
    const excess = excesses[index] ?? 0
    longest = Math.max(longest, bucket)
    n[bucket] = (n[bucket] ?? 0) + 1
    firsts[bucket] = (firsts[bucket] ?? 0) + excess
    squares[bucket] = (squares[bucket] ?? 0) + excess * excess
    cubes[bucket] = (cubes[bucket] ?? 0) + excess * excess * excess
  }
  const most = burndown - 1
  const paces: Powers = [
    pacesOf(firsts, longest, most, inverses[0]),
    pacesOf(squares, longest, most * most, inverses[1]),
    pacesOf(cubes, longest, most * most * most, inverses[2])
  ]
  for (const sums of [firsts, squares, cubes]) accumulate(sums)
  let from = 1
  for (let bucket = Answers.bucketCount; bucket >= 0; bucket--) n[bucket] = from += n[bucket] ?? 0
  return { burndown, count: answers.count, samples, longest, n, before: [firsts, squares, cubes], paces }
}

/** One over the duration of each bucket, to a power. */
const inverseOf = (power: number): Float64Array =>
  Float64Array.from({ length: places }, (_, bucket) => Answers.durationOf(bucket) ** -power)
const inverses: Powers = [inverseOf(1), inverseOf(2), inverseOf(3)]

/** From sums by bucket to those over the duration, from each bucket on. */
const pacesOf = (sums: Float64Array, longest: number, imaginary: number, inverse: Float64Array): Float64Array => {
  const paces = new Float64Array(places)
  let pace = imaginary * (inverse[longest] ?? 0)
  for (let bucket = longest; bucket >= 0; bucket--) {
    paces[bucket] = pace += (sums[bucket] ?? 0) * (inverse[bucket] ?? 0)
  }
  return paces
}

/** From sums by bucket to sums over the buckets before each, in place. */
const accumulate = (sums: Float64Array): void => {
  let before = 0
  // Stryker disable next-line EqualityOperator: nothing is written beyond the end
  for (let bucket = 0; bucket < places; bucket++) {
    const own = sums[bucket] ?? 0
    sums[bucket] = before
    before += own
  }
}

/** Numbers that tell of a growth: its mean, variance, third central moment, and the standard error of the mean. */
export const moments = 4

/**
 * What the charge of a request for `maxTokens` that has run for `age` has grown by within each time from now on, both in milliseconds,
 * `Infinity` for its end: in tokens, the moments of one time after those of the other into `into`.
 *
 * It grows evenly over the time that the answer takes: no later than on any server, which charges when the reservation is
 * used up, or in the end.
 */
export const growth = (
  { before, burndown, longest, n, paces }: Table,
  maxTokens: number,
  age: number,
  within: Float64Array,
  z: number,
  into: Array<number>
): void => {
  const [firsts, squares, cubes] = before
  const [pace, pace2, pace3] = paces
  const most = burndown - 1
  // To the nearest bucket; but those of the longest do not count as over before all of it has passed.
  const nearest = Answers.endedBy(age / maxTokens)
  // Stryker disable next-line EqualityOperator: of the longest it is the same either way
  const from = nearest > longest ? Math.max(longest, Answers.bucketOf(age / maxTokens)) : nearest
  const samples = n[from] ?? 1
  // The spread is itself an estimate: without bias, and widened to Student's t, to first order.
  const widening = samples > 1 ? (1 + (z * z + 1) / (4 * samples)) ** 2 * samples / (samples - 1) : 0
  const first = firsts[from] ?? 0
  const second = squares[from] ?? 0
  const third = cubes[from] ?? 0
  for (let index = 0; index < within.length; index++) {
    const by = (age + (within[index] ?? 0)) / maxTokens
    const to = Answers.endedBy(by)
    // Those that have ended by then with all they grew by, the others with their pace. After the longest all have ended.
    const over = to > longest
    const mean = ((firsts[to] ?? 0) - first + (over ? most : by * (pace[to] ?? 0))) / samples
    const square = ((squares[to] ?? 0) - second + (over ? most * most : by * by * (pace2[to] ?? 0))) / samples
    const cube = ((cubes[to] ?? 0) - third + (over ? most * most * most : by * by * by * (pace3[to] ?? 0))) / samples
    const variance = Math.max(0, square - mean * mean) * widening * maxTokens * maxTokens
    const place = moments * index
    into[place] = mean * maxTokens
    into[place + 1] = variance
    into[place + 2] = (cube - 3 * mean * square + 2 * mean * mean * mean) * maxTokens * maxTokens * maxTokens
    into[place + 3] = Math.sqrt(variance / samples)
  }
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
    // Stryker disable next-line AssignmentOperator: with both means below 0 they differ by the same
    side.sum += excess
    side.squares += excess * excess
  }
  // Where there are no others, nothing agrees with them, and what follows takes all as well.
  if (own.n >= comparable && agree(own, rest)) {
    return { size, burndown, distance: everywhere, byRatio: true }
  }
  let found = 0
  for (const [distance, n] of near.entries()) {
    found += n
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
  // Stryker disable next-line EqualityOperator: at two errors to the last bit either will do
  Math.abs(own.sum / own.n - rest.sum / rest.n) <= sameErrors * Math.sqrt(errorOf(own) + errorOf(rest)) + 1e-9

/** The answers of a source, the newest first: g, and the duration bucket. */
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
    // Stryker disable next-line EqualityOperator: the same class stays as it is
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
const newestThatCount = (excesses: Float64Array, n: number): number => {
  let sum = 0
  let squares = 0
  const means = new Float64Array(spans.length + 1)
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
  // Stryker disable next-line EqualityOperator: a span of none is exceeded by nothing
  for (let index = 0; index < spans.length; index++) {
    const span = spans[index] ?? 0
    if (n >= 2 * span && (means[index] ?? 0) - mean > changeErrors * deviation / Math.sqrt(span)) return span
  }
  if (n >= 2 * fallSpan && mean - (means[2] ?? 0) > changeErrors * deviation / Math.sqrt(fallSpan)) return fallSpan
  return n
}
