/**
 * What a request can be sent to, as data: a model in a Region, what it is able to do, what it costs, and where it may process a
 * request.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))

const Usd = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1e9 }))

/**
 * What a request may need of a target.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Capability = Schema.Literals(["tools", "images", "documents", "streaming", "caching"])

/**
 * What a request may need of a target.
 *
 * @category models
 * @since 0.1.0
 */
export type Capability = typeof Capability.Type

/**
 * What a target is able to do. What is not said is not known to be lacking: a request that needs it is sent.
 *
 * - `input`, `output`: the most tokens of each that it takes and gives.
 * - the others: whether it is.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Able = Schema.Struct({
  input: Schema.optionalKey(Tokens),
  output: Schema.optionalKey(Tokens),
  tools: Schema.optionalKey(Schema.Boolean),
  images: Schema.optionalKey(Schema.Boolean),
  documents: Schema.optionalKey(Schema.Boolean),
  streaming: Schema.optionalKey(Schema.Boolean),
  caching: Schema.optionalKey(Schema.Boolean)
})

/**
 * What a target is able to do.
 *
 * @category models
 * @since 0.1.0
 */
export type Able = typeof Able.Type

/**
 * Prices in US dollars for a million tokens; 0 where what is used is paid for already. Tokens that are read from a cache, or written to one, cost
 * as input does unless they have a price of their own.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Price = Schema.Struct({
  input: Usd,
  output: Usd,
  cacheRead: Schema.optionalKey(Usd),
  cacheWrite: Schema.optionalKey(Usd)
})

/**
 * Prices in US dollars for a million tokens.
 *
 * @category models
 * @since 0.1.0
 */
export type Price = typeof Price.Type

/**
 * A target, as a file has it under its name.
 *
 * - `model`: what the API is asked for: the id of a model, of a profile, of capacity that was bought.
 * - `region`: where the request is sent to. Whoever sends it has one where none is said.
 * - `residency`: every place at which it may be processed; `["*"]` for anywhere. Where it is not said, no fence admits the target.
 * - `able`, `price`: see {@link Able} and {@link Price}.
 * - `drop`: fields of a request that it does not take, which are left out of what is sent to it, such as `inferenceConfig.topP`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Target = Schema.Struct({
  model: Schema.NonEmptyString,
  region: Schema.optionalKey(Schema.NonEmptyString),
  residency: Schema.optionalKey(Schema.NonEmptyArray(Schema.NonEmptyString)),
  able: Schema.optionalKey(Able),
  price: Schema.optionalKey(Price),
  drop: Schema.optionalKey(Schema.Array(Schema.NonEmptyString))
})

/**
 * A target.
 *
 * @category models
 * @since 0.1.0
 */
export type Target = typeof Target.Type

/**
 * A target of a table of routes, under its name and at its place in the table.
 *
 * @category models
 * @since 0.1.0
 */
export interface BuiltTarget extends Target {
  readonly name: string
  readonly index: number
}

/**
 * Tokens that a call used, or is thought to use. `input` has none of those that a cache read or wrote.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage {
  readonly input: number
  readonly output: number
  readonly cacheRead?: number | undefined
  readonly cacheWrite?: number | undefined
}

/**
 * What a call costs, in US dollars.
 *
 * **Example** (A prompt that was in the cache)
 *
 * ```ts
 * import { Target } from "@caprock/router"
 *
 * const price = { input: 3, output: 15, cacheRead: 0.3 }
 * console.log(Target.usd(price, { input: 1_000, output: 200 })) // => 0.006
 * console.log(Target.usd(price, { input: 0, output: 200, cacheRead: 1_000 })) // => 0.0033
 * ```
 *
 * @category accounting
 * @since 0.1.0
 */
export const usd = (price: Price, { cacheRead = 0, cacheWrite = 0, input, output }: Usage): number =>
  (input * price.input + output * price.output + cacheRead * (price.cacheRead ?? price.input) +
    cacheWrite * (price.cacheWrite ?? price.input)) / 1e6
