/**
 * What a caller asks of a pool.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * What to book for a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Booking {
  /** Tokens that the server reserves when the request arrives. */
  readonly tokens: number
  /**
   * Tokens by which the charge may grow beyond that while the request is served. The server counts them later than the
   * rest, nobody knows when: so they stay booked until the answer is there, and leave a window after that.
   */
  readonly growth: number
}

/**
 * The cost of one request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cost {
  /** The pool that it is charged to; any string, as long as what shares a quota shares the string. */
  readonly pool: string
  /** Requests that the server will count: 1 for a call. */
  readonly requests: number
  /**
   * Tokens that the server reserves when the request arrives. More than the smallest limit can never be admitted and
   * fails at once.
   */
  readonly tokens: number
  /**
   * What to book instead of `tokens`, asked while the request is next in line, and the last answer counts: for callers who
   * predict what it will be charged in the end, and learn while it waits. Must return at once. More than the limit is
   * booked as the limit: a prediction alone refuses nobody.
   */
  readonly book?: (() => Booking) | undefined
  /** Longest wait for admission: over it, the request fails at once with the prediction. No limit unless set. */
  readonly maxWait?: Duration.Duration | undefined
}
