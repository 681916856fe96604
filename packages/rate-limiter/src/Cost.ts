/**
 * What a caller asks of a pool.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

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
   * Tokens to book instead of `tokens`, asked while the request is next in line, and the last answer counts: for callers
   * who predict what it will be charged in the end, and learn while it waits. Must return at once. More than the limit
   * is booked as the limit: a prediction alone refuses nobody.
   */
  readonly book?: (() => number) | undefined
  /** Longest wait for admission: over it, the request fails at once with the prediction. No limit unless set. */
  readonly maxWait?: Duration.Duration | undefined
}
