/**
 * How long an answer takes: plain data, so that a run can be written down and repeated.
 *
 * Each draw depends on the seed and the request's body only, so that the same prompt takes equally long whichever
 * client sends it. Milliseconds throughout.
 *
 * **Example** (A fifth of a second to the first token, then 8 ms for each)
 *
 * ```ts
 * import { Emulator, LatencyModel, OutputModel } from "@caprock/emulator"
 *
 * export const EmulatorLive = Emulator.layer({
 *   latency: LatencyModel.perToken(200, 8, { jitter: 0.3 }),
 *   output: OutputModel.fraction(0.1, 0.6)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { normal, type Random } from "./internal/random.ts"

const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 86_400_000 }))
const Positive = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 86_400_000, exclusiveMinimum: true }))

/**
 * The models of latency.
 *
 * - `Fixed`: always `millis`.
 * - `Uniform`: between `minMillis` and `maxMillis`.
 * - `LogNormal`: median `medianMillis`, shape `sigma`, kept within `minMillis` and `maxMillis` (without them, within
 *   a hundredth and a hundred times the median).
 * - `PerToken`: `firstTokenMillis`, then `perTokenMillis` for each output token, at most `maxMillis` in all; `jitter`
 *   (0 to 1) varies both by up to that share in either direction.
 *
 * For all but `PerToken` the first token comes after a quarter of the time.
 *
 * @category models
 * @since 0.1.0
 */
export const LatencyModel = Schema.Union([
  Schema.TaggedStruct("Fixed", { millis: Millis }),
  Schema.TaggedStruct("Uniform", { minMillis: Millis, maxMillis: Millis }).check(
    Schema.makeFilter((model) => model.minMillis <= model.maxMillis || "minMillis must not be above maxMillis")
  ),
  Schema.TaggedStruct("LogNormal", {
    medianMillis: Positive,
    sigma: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
    minMillis: Schema.optional(Millis),
    maxMillis: Schema.optional(Millis)
  }),
  Schema.TaggedStruct("PerToken", {
    firstTokenMillis: Millis,
    perTokenMillis: Millis,
    jitter: Schema.optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
    maxMillis: Schema.optional(Millis)
  })
])

/**
 * A latency model.
 *
 * @category models
 * @since 0.1.0
 */
export type LatencyModel = typeof LatencyModel.Type

/**
 * Always the same.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (millis: number): LatencyModel => ({ _tag: "Fixed", millis })

/**
 * Evenly between two bounds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const uniform = (minMillis: number, maxMillis: number): LatencyModel => ({
  _tag: "Uniform",
  minMillis,
  maxMillis
})

/**
 * Mostly near the median, sometimes much longer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const logNormal = (
  medianMillis: number,
  sigma: number,
  bounds: { readonly minMillis?: number | undefined; readonly maxMillis?: number | undefined } = {}
): LatencyModel => ({ _tag: "LogNormal", medianMillis, sigma, ...bounds })

/**
 * A time to the first token and a time per token.
 *
 * @category constructors
 * @since 0.1.0
 */
export const perToken = (
  firstTokenMillis: number,
  perTokenMillis: number,
  options: { readonly jitter?: number | undefined; readonly maxMillis?: number | undefined } = {}
): LatencyModel => ({ _tag: "PerToken", firstTokenMillis, perTokenMillis, ...options })

/**
 * When the first and when the last token of one answer is there, in milliseconds from the start of generation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Timing {
  readonly first: number
  readonly total: number
}

const whole = (total: number): Timing => ({ first: total / 4, total })

/**
 * Draws the timing of an answer of `outputTokens`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const draw = (model: LatencyModel, outputTokens: number, random: Random): Timing => {
  switch (model._tag) {
    case "Fixed":
      return whole(model.millis)
    case "Uniform":
      return whole(model.minMillis + random() * (model.maxMillis - model.minMillis))
    case "LogNormal": {
      const drawn = model.medianMillis * Math.exp(model.sigma * normal(random))
      const min = model.minMillis ?? model.medianMillis / 100
      const max = model.maxMillis ?? model.medianMillis * 100
      return whole(Math.min(Math.max(drawn, min), max))
    }
    case "PerToken": {
      const factor = 1 + (model.jitter ?? 0) * (2 * random() - 1)
      const limit = model.maxMillis ?? Number.POSITIVE_INFINITY
      const first = Math.min(model.firstTokenMillis * factor, limit)
      return { first, total: Math.min(first + model.perTokenMillis * factor * outputTokens, limit) }
    }
  }
}
