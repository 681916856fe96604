/**
 * The tokens that an answer reports, wherever Bedrock puts them.
 *
 * `inputTokens` excludes what was read from or written to a cache (Bedrock User Guide, "Token burndown", read 2026-11).
 * A count that is missing, negative, no whole number, or a billion and more is treated as not reported. All functions are pure and O(1).
 *
 * @since 0.1.0
 */
import type { TokenUsage } from "@aws-sdk/client-bedrock-runtime"
import type * as Reason from "@caprock/errors/Reason"
import * as Predicate from "effect/Predicate"

/**
 * Tokens as Bedrock counts them: the same shape that a `BedrockError` carries for an interrupted stream.
 *
 * @category models
 * @since 0.1.0
 */
export type Usage = typeof Reason.Usage.Type

/**
 * The usage of a Converse answer, or of the `metadata` event that ends a ConverseStream.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromTokenUsage = (usage: TokenUsage | undefined): Usage | undefined =>
  usage === undefined ? undefined : make({
    input: usage.inputTokens,
    output: usage.outputTokens,
    cacheRead: usage.cacheReadInputTokens,
    cacheWrite: usage.cacheWriteInputTokens
  })

/**
 * The usage in the response headers of InvokeModel, with lower-case names: `x-amzn-bedrock-input-token-count`,
 * `-output-token-count`, `-cache-read-input-token-count`, `-cache-write-input-token-count`. The headers are not in the
 * service model. In answers that public test suites recorded (2024-01 to 2026-10) models that generate text send both counts,
 * embedding models the first alone (which is whole only if told that nothing is `generated`), and rerankers none.
 *
 * **Example** (Reading the usage of InvokeModel)
 *
 * ```ts
 * import { Usage } from "@caprock/client"
 *
 * const usage = Usage.fromHeaders({
 *   "x-amzn-bedrock-input-token-count": "12",
 *   "x-amzn-bedrock-output-token-count": "34"
 * })
 * console.log(usage) // => { inputTokens: 12, outputTokens: 34 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromHeaders = (
  headers: Readonly<Record<string, string>>,
  options?: {
    /** Whether the model answers in tokens: without, a missing count of them is 0. @default true */
    readonly generates?: boolean | undefined
  }
): Usage | undefined => {
  const count = (name: string): number | undefined => {
    const text = headers[`x-amzn-bedrock-${name}-token-count`]
    return text === undefined || !/^\d{1,15}$/.test(text) ? undefined : Number(text)
  }
  const none = options?.generates === false && headers["x-amzn-bedrock-output-token-count"] === undefined
  return make({
    input: count("input"),
    output: none ? 0 : count("output"),
    cacheRead: count("cache-read-input"),
    cacheWrite: count("cache-write-input")
  })
}

/**
 * The usage in the last chunk of InvokeModelWithResponseStream: the value under `amazon-bedrock-invocationMetrics`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromInvocationMetrics = (metrics: unknown): Usage | undefined => {
  if (!Predicate.isObject(metrics)) return undefined
  return make({
    input: property(metrics, "inputTokenCount"),
    output: property(metrics, "outputTokenCount"),
    cacheRead: property(metrics, "cacheReadInputTokenCount"),
    cacheWrite: property(metrics, "cacheWriteInputTokenCount")
  })
}

/**
 * The usage in a `usageEvent` of Nova Sonic: the value under that name. Its totals are those of the session so far, speech and
 * text together, and each event has them all; the last one counts (Nova User Guide, "Handling output events with the bidirectional
 * API", read 2026-11). Where the sums are missing, they are made of the parts in `details.total`.
 *
 * **Example** (What a session has cost so far)
 *
 * ```ts
 * import { Usage } from "@caprock/client"
 *
 * const usage = Usage.fromUsageEvent({
 *   details: { total: { input: { speechTokens: 288, textTokens: 12 }, output: { speechTokens: 94, textTokens: 20 } } }
 * })
 * console.log(usage) // => { inputTokens: 300, outputTokens: 114 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromUsageEvent = (event: unknown): Usage | undefined => {
  if (!Predicate.isObject(event)) return undefined
  const details = property(event, "details")
  const total = Predicate.isObject(details) ? property(details, "total") : undefined
  const sum = (side: string): unknown => {
    const parts = Predicate.isObject(total) ? property(total, side) : undefined
    if (!Predicate.isObject(parts)) return undefined
    const speechTokens = property(parts, "speechTokens")
    const textTokens = property(parts, "textTokens")
    return isCount(speechTokens) && isCount(textTokens) ? speechTokens + textTokens : undefined
  }
  return make({
    input: property(event, "totalInputTokens") ?? sum("input"),
    output: property(event, "totalOutputTokens") ?? sum("output"),
    cacheRead: undefined,
    cacheWrite: undefined
  })
}

const property = (u: object, key: string): unknown => Predicate.hasProperty(u, key) ? u[key] : undefined

/** A hundred times what the largest context windows hold (ten million tokens in 2026): such a count is damage, and no cost. */
const mostTokens = 1e9

const isCount = (u: unknown): u is number => Number.isSafeInteger(u) && Number(u) >= 0 && Number(u) < mostTokens

const make = (
  counts: {
    readonly input: unknown
    readonly output: unknown
    readonly cacheRead: unknown
    readonly cacheWrite: unknown
  }
): Usage | undefined =>
  isCount(counts.input) && isCount(counts.output)
    ? {
      inputTokens: counts.input,
      outputTokens: counts.output,
      ...(isCount(counts.cacheRead) ? { cacheReadInputTokens: counts.cacheRead } : {}),
      ...(isCount(counts.cacheWrite) ? { cacheWriteInputTokens: counts.cacheWrite } : {})
    }
    : undefined
