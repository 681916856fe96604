/**
 * What a pool is metered by: so many requests, or tokens, in any window of so long.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * What a meter counts.
 *
 * @category models
 * @since 0.1.0
 */
export type Unit = "requests" | "tokens"

/**
 * One limit of a pool: in every rolling window of length `window`, at most `limit` of `unit`.
 *
 * A pool has any number of them, and a request is admitted on all of them together or not at all. A pool with none is
 * not limited. Several meters may count the same unit over windows of different length: a *burst* meter is a small
 * share of the quota over a short window, for servers that meter more finely than they say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter {
  readonly unit: Unit
  /** Most of `unit` in any window; at least 0, where 0 means that nothing is ever admitted. */
  readonly limit: number
  readonly window: Duration.Duration
}

/**
 * At most `limit` requests in any window (one minute unless told).
 *
 * @category constructors
 * @since 0.1.0
 */
export const requests = (limit: number, window: Duration.Input = "1 minute"): Meter => ({
  unit: "requests",
  limit,
  window: Duration.fromInputUnsafe(window)
})

/**
 * At most `limit` tokens in any window (one minute unless told).
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokens = (limit: number, window: Duration.Input = "1 minute"): Meter => ({
  unit: "tokens",
  limit,
  window: Duration.fromInputUnsafe(window)
})
