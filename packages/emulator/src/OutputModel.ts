/**
 * How long an answer is.
 *
 * A model draws a wanted length; the answer is cut off at `maxTokens` as the service does it. Each draw depends on the
 * seed and the request's body only.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { normal, type Random } from "./internal/random.ts"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000_000 }))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

/**
 * The models that are plain data.
 *
 * - `Fraction`: `maxTokens` times a share drawn evenly from [`min`, `max`]. A share of 1 or more is cut off at
 *   `maxTokens`, with stop reason `max_tokens`. Where the request set no `maxTokens`, `unset` tokens are used in its
 *   place (1,000 unless given), since models do not write more because they may.
 * - `Fixed`: `tokens`.
 * - `LogNormal`: median `medianTokens`, shape `sigma`, at most `maxTokens`.
 *
 * @category models
 * @since 0.1.0
 */
export const OutputModel = Schema.Union([
  Schema.TaggedStruct("Fraction", { min: Share, max: Share, unset: Schema.optional(Tokens) }).check(
    Schema.makeFilter((model) => model.min <= model.max || "min must not be above max")
  ),
  Schema.TaggedStruct("Fixed", { tokens: Tokens }),
  Schema.TaggedStruct("LogNormal", {
    medianTokens: Tokens,
    sigma: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
    maxTokens: Schema.optional(Tokens)
  })
])

/**
 * An output model that is plain data.
 *
 * @category models
 * @since 0.1.0
 */
export type OutputModel = typeof OutputModel.Type

/**
 * What an output function is told.
 *
 * @category models
 * @since 0.1.0
 */
export interface OutputRequest {
  readonly operation: string
  readonly modelId: string
  /** The text of the last user message, or of the prompt. */
  readonly prompt: string
  readonly inputTokens: number
  /** As the request set it. */
  readonly maxTokens: number | undefined
  /** The decoded body. */
  readonly body: unknown
}

/**
 * What an output function answers. Without `text`, pseudo-text of about `outputTokens` is made; without
 * `outputTokens`, the text is counted. `toolUse` answers with a tool call (Converse operations and Anthropic bodies).
 *
 * `content` is a whole answer of Converse and ConverseStream, block by block, as JSON has it: `{ text }`, `{ toolUse }`,
 * `{ reasoningContent }`, `{ citationsContent }`, `{ image }`, `{ toolResult }`, with bytes as base64. A stream has the events that bring
 * these blocks. It is told whole, whatever `maxTokens` are. `more` are members of such an answer beside its content, such as `trace` or `additionalModelResponseFields`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Output {
  readonly text?: string | undefined
  readonly outputTokens?: number | undefined
  readonly toolUse?: { readonly name: string; readonly input: unknown } | undefined
  readonly content?: ReadonlyArray<Readonly<Record<string, unknown>>> | undefined
  readonly more?: Readonly<Record<string, unknown>> | undefined
  readonly stopReason?: string | undefined
}

/**
 * An output model of your own. `random` gives numbers in [0, 1) that depend on the seed and the request's body.
 *
 * @category models
 * @since 0.1.0
 */
export type OutputFunction = (request: OutputRequest, random: () => number) => Output

/**
 * A share of `maxTokens`, evenly between two bounds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fraction = (min: number, max: number): OutputModel => ({ _tag: "Fraction", min, max })

/**
 * Always the same length.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (tokens: number): OutputModel => ({ _tag: "Fixed", tokens })

/**
 * Mostly near the median, sometimes much longer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const logNormal = (
  medianTokens: number,
  sigma: number,
  bounds: { readonly maxTokens?: number | undefined } = {}
): OutputModel => ({ _tag: "LogNormal", medianTokens, sigma, ...bounds })

/**
 * Draws the wanted length in tokens, before it is cut off at `maxTokens`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const draw = (model: OutputModel, maxTokens: number | undefined, random: Random): number => {
  switch (model._tag) {
    case "Fixed":
      return model.tokens
    case "Fraction":
      return Math.max(
        1,
        Math.round((maxTokens ?? model.unset ?? 1000) * (model.min + random() * (model.max - model.min)))
      )
    case "LogNormal": {
      const drawn = Math.max(1, Math.round(model.medianTokens * Math.exp(model.sigma * normal(random))))
      return Math.min(drawn, model.maxTokens ?? drawn)
    }
  }
}
