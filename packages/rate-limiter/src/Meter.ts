/**
 * What a pool is metered by: so many requests, or tokens, in any window of so long.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * What a meter counts: `"requests"` and `"tokens"`, which each cost tells; `"concurrency"`, the requests in flight, which needs no
 * telling; or any other name, for what a cost has in its `units`.
 *
 * @category models
 * @since 0.1.0
 */
export type Unit = string

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
  /** Counts for nothing where the unit is `"concurrency"`. Beyond an hour, charges leave it by as much as a 1,440th of it late. */
  readonly window: Duration.Duration
  /**
   * Pools whose meters have the same name here, and the same unit, draw on one meter together, such as an account's tokens per
   * day. Each pool has its own unless set.
   */
  readonly shared?: string | undefined
  /**
   * The limit is not known: it begins here, grows with each answer until the server refuses, and stays near what the server took. `limit` is then
   * the most that it may ever be. An infinite start is no limit until the server refuses. Of requests and tokens only, in windows of up to an hour.
   */
  readonly start?: number | undefined
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

/**
 * At most `limit` requests in flight: admitted, and neither settled nor given up.
 *
 * @category constructors
 * @since 0.1.0
 */
export const concurrency = (limit: number): Meter => ({ unit: "concurrency", limit, window: Duration.zero })

/**
 * At most `limit` of a unit of your own in any window (one minute unless told); costs tell how much in `units`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const units = (unit: string, limit: number, window: Duration.Input = "1 minute"): Meter => ({
  unit,
  limit,
  window: Duration.fromInputUnsafe(window)
})

/**
 * Requests or tokens in any window (one minute unless told), of which nobody knows how many there may be: see `start`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const probing = (unit: "requests" | "tokens", start: number, window: Duration.Input = "1 minute"): Meter => ({
  unit,
  limit: Infinity,
  window: Duration.fromInputUnsafe(window),
  start
})

/**
 * The same meter for all pools that have it under this name.
 *
 * @category combinators
 * @since 0.1.0
 */
export const shared = (meter: Meter, name: string): Meter => ({ ...meter, shared: name })
