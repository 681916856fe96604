/**
 * Estimates the input tokens of a request without a network call, and learns from the answers.
 *
 * **Details**
 *
 * The *base* estimate comes from the request alone: words, numbers, marks and scripts of texts, the pixel size of images
 * (never the length of their base64), pages of PDFs, keys and marks of tool schemas. Tokenizers differ from it, mostly by a factor and
 * a constant (the chat template). Both are learned per model from the last {@link windowSize} answers, weighted so that relative errors
 * count alike for small and large requests.
 *
 * - `likely` is the best guess.
 * - `upper` is what to book: the level (0.99 unless told) at which the sum over `inFlight` like requests stays below its
 *   bookings. For one request it is the upper quantile of what was seen; for n the margin shrinks as 1/√n.
 * - Before {@link minimumSamples} answers `upper` is {@link caution} times the base, or times the highest ratio seen where that was
 *   above 1. It is never more later.
 * - When the newest 8 answers are above what the rest explains, their excess counts at once.
 *
 * **Gotchas**
 *
 * The tokens of an answer to learn from are those of the whole prompt, cached or not: `Accounting.promptTokens(usage)`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Family from "./Family.ts"
import * as Lru from "./internal/lru.ts"
import * as Request from "./internal/request.ts"
import * as Statistics from "./internal/statistics.ts"
import * as Text from "./internal/text.ts"

/**
 * The part of a Converse request that is input to the model. The SDK's `ConverseCommandInput` and `ConverseStreamCommandInput`
 * have this shape.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConverseRequest {
  readonly messages?: ReadonlyArray<unknown> | undefined
  readonly system?: ReadonlyArray<unknown> | undefined
  readonly toolConfig?: unknown
  readonly promptVariables?: unknown
}

/**
 * What the body of an InvokeModel request says.
 *
 * @category models
 * @since 0.1.0
 */
export interface Body {
  /** The family that it was read as. */
  readonly family: Family.Family
  /** The base estimate of its input. */
  readonly tokens: number
  /**
   * The limit on output that it sets, under whatever name its family has for it; 0 where its family generates nothing, and
   * `undefined` where it leaves it to the model.
   */
  readonly maxTokens: number | undefined
}

/**
 * The base estimate of a text. A few nanoseconds per character.
 *
 * @category estimating
 * @since 0.1.0
 */
export const text = (value: string): number => Math.ceil(Text.tokensOf(value))

/**
 * The base estimate of a Converse request: a whole number, at least 1. Costs one walk over the request. `model`, a bare
 * model id, says what its images cost.
 *
 * @category estimating
 * @since 0.1.0
 */
export const converse = (request: ConverseRequest, model?: string): number => {
  const { messages, promptVariables, system, toolConfig } = request
  const { image } = Family.of(model ?? "", undefined)
  return Math.ceil(
    Request.tokensOf({ messages, system, toolConfig, promptVariables }, { image, known: true, parsed: false })
  )
}

/**
 * Reads the body of an InvokeModel request, once: whether it is JSON, and which. What it costs depends on the model:
 * {@link body}.
 *
 * @category estimating
 * @since 0.1.0
 */
export const read = (value: Uint8Array | string): Read => {
  if (value.length > largestBody) return { json: undefined, text: undefined, length: value.length }
  const text = typeof value === "string" ? value : new TextDecoder().decode(value)
  try {
    return { json: JSON.parse(text), text: undefined, length: value.length }
  } catch {
    return { json: undefined, text, length: value.length }
  }
}

/**
 * An InvokeModel body that was read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Read {
  /** The parsed body, for what else is to be read from it; `undefined` when it is not JSON, or larger than any that Bedrock takes. */
  readonly json: unknown
  /** What is not JSON. @internal */
  readonly text: string | undefined
  /** Bytes, or characters of a string. @internal */
  readonly length: number
}

/** Bedrock takes 25 MB (service model of August 2026). What is larger it refuses, so that nothing is to be known of it. */
const largestBody = 25_000_000

/**
 * What an InvokeModel body asks for, in the form of its model's family (`Family.of`). `model` is a bare model id, or the id of what is
 * invoked. Costs one walk, linear in its size, and never fails:
 * - a body of an unknown family counts with all that is in it, keys and numbers too;
 * - what is not JSON counts as text, and what is too large to be taken as a token for each byte, which is more than any tokenizer makes.
 *
 * @category estimating
 * @since 0.1.0
 */
export const body = (value: Uint8Array | string | Read, model = ""): Body => {
  const { json, length, text } = typeof value === "string" || value instanceof Uint8Array ? read(value) : value
  const family = Family.of(model, json)
  const maxTokens = Family.maxTokens(family, json)
  const tokens = json !== undefined
    ? Request.tokensOf(json, { image: family.image, known: family !== Family.unknown, parsed: true })
    : text === undefined
    ? length
    : Text.tokensOf(text)
  return { family, tokens: Math.ceil(tokens), maxTokens }
}

/**
 * Answers that are remembered per model.
 *
 * @category constants
 * @since 0.1.0
 */
export const windowSize = 256

/**
 * Answers before which the base estimate, times {@link caution}, is all there is.
 *
 * @category constants
 * @since 0.1.0
 */
export const minimumSamples = 16

/**
 * What `upper` is of the base estimate before anything was learned. Measured over prose, chat, code, JSON and tables in 20 languages
 * with four public tokenizers (o200k, cl100k, Llama 3, Claude 2; November 2026): actual/base is 0.8 to 1.2 for English, code and data,
 * 0.4 to 1.9 for the rest, and below 1.75 for all but Polish, Greek and Thai with the oldest of the four.
 *
 * @category constants
 * @since 0.1.0
 */
export const caution = 1.75

const recentSize = 8
const defaultLevel = 0.99
const defaultQuantile = Statistics.normalQuantile(defaultLevel)

/**
 * What is known of one model's tokenizer. Owned by one caller, changed in place; deterministic.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ratios {
  /** 1 / base and actual / base of the answers, the newest over the oldest. @internal */
  readonly inverses: Float64Array
  /** @internal */
  readonly values: Float64Array
  /** actual / fitted of each, as of the last fit. @internal */
  readonly residuals: Float64Array
  /** Answers ever, and those that the following was fitted to. @internal */
  count: number
  /** @internal */
  fitted: number
  /** actual ≈ slope × base + constant. @internal */
  slope: number
  /** @internal */
  constant: number
  /** Bounds of actual / base that were seen. @internal */
  lowest: number
  /** @internal */
  highest: number
  /** Of actual / fitted: mean, variance, and the excess of the newest. @internal */
  mean: number
  /** @internal */
  variance: number
  /** @internal */
  excess: number
  /** The upper quantile of actual / fitted, and the level that it was found for since the last fit; NaN: none. @internal */
  quantile: number
  /** @internal */
  quantileLevel: number
}

/**
 * Nothing known yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty = (): Ratios => ({
  inverses: new Float64Array(windowSize),
  values: new Float64Array(windowSize),
  residuals: new Float64Array(windowSize),
  count: 0,
  fitted: 0,
  slope: 1,
  constant: 0,
  lowest: 1,
  highest: 1,
  mean: 1,
  variance: 0,
  excess: 1,
  quantile: 1,
  quantileLevel: Number.NaN
})

/**
 * Learns from an answer: what the base estimate was and what the whole prompt really took. Answers without either are
 * ignored. Constant time: the next estimate fits, and answers that come together are fitted together.
 *
 * @category learning
 * @since 0.1.0
 */
export const observe = (ratios: Ratios, answer: { readonly base: number; readonly actual: number }): void => {
  if (!(answer.base > 0) || !(answer.actual > 0)) return
  const slot = ratios.count % windowSize
  ratios.inverses[slot] = 1 / answer.base
  ratios.values[slot] = answer.actual / answer.base
  ratios.count++
}

const samplesOf = (ratios: Ratios): number => Math.min(ratios.count, windowSize)

/** Fits actual/base = slope + constant/base: least squares of the relative error. */
const fit = (ratios: Ratios): void => {
  const { inverses, residuals, values } = ratios
  const n = samplesOf(ratios)
  let inverseSum = 0
  let sum = 0
  let squares = 0
  let products = 0
  let lowest = Number.POSITIVE_INFINITY
  let highest = 0
  for (let index = 0; index < n; index++) {
    const inverse = inverses[index] ?? 0
    const value = values[index] ?? 0
    inverseSum += inverse
    sum += value
    squares += inverse * inverse
    products += inverse * value
    if (value < lowest) lowest = value
    if (value > highest) highest = value
  }
  const spread = squares - inverseSum * inverseSum / n
  // Requests of nearly one size say nothing of the constant: a coefficient of variation below 5 % is taken for one size.
  // Stryker disable next-line EqualityOperator: at 5 % to the last bit either will do
  const telling = n >= minimumSamples && spread > 0.0025 * inverseSum * inverseSum / n
  const constant = telling ? (products - inverseSum * sum / n) / spread : 0
  const slope = (sum - constant * inverseSum) / n
  ratios.constant = constant
  ratios.slope = slope
  ratios.lowest = lowest
  ratios.highest = highest
  let residualSum = 0
  let residualSquares = 0
  for (let index = 0; index < n; index++) {
    const residual = (values[index] ?? 0) / within(lowest, slope + constant * (inverses[index] ?? 0), highest)
    residuals[index] = residual
    residualSum += residual
    residualSquares += residual * residual
  }
  ratios.mean = residualSum / n
  // The fit took one degree of freedom, or two.
  ratios.variance = Math.max(0, residualSquares - residualSum * residualSum / n) / (n - (telling ? 2 : 1))
  ratios.excess = excessOf(ratios, n)
  ratios.quantileLevel = Number.NaN
  ratios.fitted = ratios.count
}

const within = (lowest: number, value: number, highest: number): number =>
  value < lowest ? lowest : value > highest ? highest : value

/** Actual over base that is expected for a base estimate: the fit, kept within what was seen. */
const expected = ({ constant, highest, lowest, slope }: Ratios, base: number): number =>
  within(lowest, slope + constant / base, highest)

/** By how much the newest answers exceed the others, where chance does not explain it (3 standard errors); else 1, the least. */
const excessOf = (ratios: Ratios, n: number): number => {
  let sum = 0
  for (let back = 1; back <= recentSize; back++) sum += ratios.residuals[(ratios.count - back) % windowSize] ?? 0
  const newest = sum / recentSize
  const older = (ratios.mean * n - sum) / (n - recentSize)
  // Stryker disable next-line EqualityOperator: at three to the last bit either will do
  return newest - older > 3 * Math.sqrt(ratios.variance / recentSize) ? newest / ratios.mean : 1
}

/**
 * An estimate of a request's input, in tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Estimate {
  /** The best guess. */
  readonly likely: number
  /** What to book. */
  readonly upper: number
  /** Answers that it was learned from. */
  readonly samples: number
}

/**
 * How sure an estimate is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface EstimateOptions {
  /** Like requests in flight, this one included. @default 1 */
  readonly inFlight?: number | undefined
  /** Probability with which their sum stays within its bookings. @default 0.99 */
  readonly level?: number | undefined
}

/**
 * The estimate for a request, from its base estimate and what was learned. Constant time; the first after an answer takes two passes
 * over at most 256 numbers, and a third for the only request in flight.
 *
 * @category estimating
 * @since 0.1.0
 */
export const estimate = (ratios: Ratios, base: number, options?: EstimateOptions): Estimate => {
  if (ratios.fitted !== ratios.count) fit(ratios)
  const samples = samplesOf(ratios)
  const most = Math.ceil(base * caution * Math.max(1, ratios.highest))
  if (samples < minimumSamples) return { likely: Math.ceil(base * ratios.slope), upper: most, samples }
  const fitted = base * expected(ratios, base)
  const level = options?.level ?? defaultLevel
  const inFlight = Math.max(1, options?.inFlight ?? 1)
  const factor = inFlight === 1
    ? largestResidual(ratios, level)
    : ratios.mean
      + Statistics.widened(level === defaultLevel ? defaultQuantile : Statistics.normalQuantile(level), samples - 2)
        * Math.sqrt(ratios.variance * (1 / inFlight + 1 / samples))
  const likely = Math.ceil(fitted * ratios.mean)
  const upper = Math.ceil(fitted * factor * ratios.excess)
  return { likely, upper: Math.max(likely, Math.min(most, upper)), samples }
}

const largestResidual = (ratios: Ratios, level: number): number => {
  // Stryker disable next-line ConditionalExpression: found anew it is the same, only slower
  if (ratios.quantileLevel !== level) {
    ratios.quantile = Statistics.upperQuantile(ratios.residuals, level, samplesOf(ratios))
    ratios.quantileLevel = level
  }
  return ratios.quantile
}

/**
 * The ratios of all models that a program uses, at most 64 at a time (the least recently used is forgotten). Plain functions that
 * return at once: a limiter may ask in the middle of an admission.
 *
 * **Example** (From estimate to answer)
 *
 * ```ts
 * import { Accounting, TokenEstimator } from "@caprock/quota"
 * import { Console, Effect } from "effect"
 *
 * export const main = Effect.gen(function*() {
 *   const estimator = yield* TokenEstimator.TokenEstimator
 *   const model = "amazon.nova-lite-v1:0"
 *   const base = TokenEstimator.converse({ messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }] })
 *   const before = estimator.estimate(model, base)
 *   // The answers that it learns from.
 *   const usage = { inputTokens: 10, outputTokens: 80 }
 *   for (let n = 0; n < 50; n++) estimator.observe(model, { base, actual: Accounting.promptTokens(usage) })
 *   const after = estimator.estimate(model, base)
 *   yield* Console.log(before.upper > usage.inputTokens, after.upper < before.upper) // => true true
 * }).pipe(Effect.provide(TokenEstimator.layer))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class TokenEstimator extends Context.Service<TokenEstimator, {
  readonly estimate: (model: string, base: number, options?: EstimateOptions) => Estimate
  readonly observe: (
    model: string,
    answer: { readonly base: number; readonly actual: number }
  ) => void
}>()("@caprock/quota/TokenEstimator") {}

/** More models than a program uses at once; 6 kB each. */
const maximumModels = 64

/**
 * An estimator that has learned nothing yet.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<TokenEstimator["Service"]> = Effect.sync(() => {
  const models = Lru.make(maximumModels, empty)
  return {
    estimate: (model, base, options) => estimate(models.get(model), base, options),
    observe: (model, answer) => observe(models.get(model), answer)
  }
})

/**
 * An estimator that has learned nothing yet, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TokenEstimator> = Layer.effect(TokenEstimator, make)
