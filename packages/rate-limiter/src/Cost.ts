/**
 * What a caller asks of a pool.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Priority } from "./Priority.ts"

/**
 * Tokens by which charges may grow within some time from now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Growth {
  readonly withinMillis: number
  readonly tokens: number
}

/**
 * What to book for a request, and what must have room beside it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Booking {
  /** Tokens that the server reserves when the request arrives. */
  readonly tokens: number
  /**
   * What the charges of all requests in flight, this one among them, may grow by beyond what is booked for them, by when: in
   * order of time, each step with all before it. It is not booked, but the request is admitted only if at each of these times
   * there is room for it, by what will have left the window by then. None where charges never grow.
   */
  readonly growth: ReadonlyArray<Growth>
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
   * What to book instead of `tokens`, asked while the request is next in line, or may pass those who are, and the last answer counts: for
   * callers who predict what is charged, and learn while it waits. Must return at once. What is more than the limit counts as the limit: a
   * prediction alone refuses nobody.
   */
  readonly book?: (() => Booking) | undefined
  /** What it takes of meters of other units, by their names. Nothing of those that are not told. */
  readonly units?: Readonly<Record<string, number>> | undefined
  /** Its class: higher ones go first. `"standard"` unless set. */
  readonly priority?: Priority | undefined
  /** On whose behalf: within a class, tenants share fairly. All without one are one tenant. */
  readonly tenant?: string | undefined
  /**
   * Longest wait for admission: over it, the request fails at once with the prediction. No limit unless set. What charges
   * may grow by is no part of the prediction: a request that waits for that fails when its time is over.
   */
  readonly maxWait?: Duration.Duration | undefined
}
