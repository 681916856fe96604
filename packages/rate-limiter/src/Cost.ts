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
   * Tokens that it is predicted to be charged in the end, where that may be more than `tokens`. The larger of the two
   * is booked, but never more than the limit: a prediction alone refuses nobody.
   */
  readonly expected?: number | undefined
  /** Longest wait for admission: over it, the request fails at once with the prediction. No limit unless set. */
  readonly maxWait?: Duration.Duration | undefined
}
