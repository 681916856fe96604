/**
 * What Bedrock takes from a token quota for one request: on arrival, and in the end.
 *
 * **Details**
 *
 * Source: "How tokens are counted in Amazon Bedrock" (quotas-token-burndown, Bedrock user guide, copies of 2026).
 * - On arrival: total input + cache writes + `maxTokens` (the model's maximum where the request sets none). The burndown is
 *   **not** applied to `maxTokens`; in AWS's own example 5,250 are deducted first and 9,000 in the end.
 * - In the end: input + cache writes + output × burndown. Cache reads are free. Less than was deducted is refunded.
 *
 * All numbers are tokens, non-negative; what is not a positive number counts as none, so that a missing field of a
 * response can't poison the books.
 *
 * **Example** (AWS's own)
 *
 * ```ts
 * import { Accounting } from "@caprock/quota"
 *
 * const usage = { inputTokens: 4000, outputTokens: 1000 }
 * const reserved = Accounting.reservation({ inputTokens: 4000, maxTokens: 1250 })
 * const charged = Accounting.settlement(usage, 5)
 * console.log(reserved, charged) // => 5250 9000
 * console.log(Accounting.refund(reserved, charged), Accounting.debt(reserved, charged)) // => 0 3750
 * ```
 *
 * @since 0.1.0
 */

/**
 * What an answer says it used. With caching, `inputTokens` is what was neither read from nor written to the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface Usage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadInputTokens?: number | undefined
  readonly cacheWriteInputTokens?: number | undefined
}

/**
 * What is known of a request before it is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly inputTokens: number
  readonly cacheWriteTokens?: number | undefined
  readonly cacheReadTokens?: number | undefined
  /** The request's limit on output, or the model's maximum where it sets none. */
  readonly maxTokens: number
  /**
   * Whether tokens that will be read from the cache are part of the reservation. AWS's worked example leaves them out;
   * aws/agent-toolkit-for-aws (quota-health.md, 2026) says that they are in, and released in the end. Until it is
   * measured, the higher figure is booked.
   *
   * @default "reserved"
   */
  readonly cacheReads?: "reserved" | "free" | undefined
}

/** A count of tokens: what is missing, `NaN` or below zero counts as none. */
const count = (tokens: number | undefined): number => Math.max(0, tokens || 0)

/**
 * Tokens that are deducted when the request arrives.
 *
 * @category accounting
 * @since 0.1.0
 */
export const reservation = (request: Request): number =>
  count(request.inputTokens)
  + count(request.cacheWriteTokens)
  + (request.cacheReads === "free" ? 0 : count(request.cacheReadTokens))
  + count(request.maxTokens)

/**
 * Tokens that the request is charged in the end.
 *
 * @category accounting
 * @since 0.1.0
 */
export const settlement = (usage: Usage, burndown: number): number =>
  count(usage.inputTokens) + count(usage.cacheWriteInputTokens) + count(usage.outputTokens) * burndown

/**
 * The whole prompt in tokens, however it was served: what an estimate of the input is compared with.
 *
 * @category accounting
 * @since 0.1.0
 */
export const promptTokens = (usage: Usage): number =>
  count(usage.inputTokens) + count(usage.cacheReadInputTokens) + count(usage.cacheWriteInputTokens)

/**
 * What comes back when less is charged than was booked.
 *
 * @category accounting
 * @since 0.1.0
 */
export const refund = (booked: number, charged: number): number => count(booked - charged)

/**
 * What is owed when more is charged than was booked.
 *
 * @category accounting
 * @since 0.1.0
 */
export const debt = (booked: number, charged: number): number => count(charged - booked)
