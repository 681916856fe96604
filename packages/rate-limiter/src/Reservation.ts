/**
 * The grant to send now, and what is told of it afterwards.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

/**
 * What a request cost in the end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settlement {
  /**
   * Tokens charged. Fewer than booked are refunded at once; more become a debt that later admissions wait for. What is no
   * finite number of 0 or more, here and below, says nothing: it stays as booked.
   */
  readonly tokens: number
  /**
   * How many of them the charge grew by, beyond what the server reserved when the request arrived. They were counted later,
   * by now at the latest, and leave the window that much later. 0 unless told.
   */
  readonly growth?: number | undefined
  /** The server refused it, over a limit: what stays counted says nothing of how much it takes. False unless told. */
  readonly refused?: boolean | undefined
  /** Requests counted; as booked unless told. */
  readonly requests?: number | undefined
  /** What was charged on meters of other units, by their names; as booked unless told. */
  readonly units?: Readonly<Record<string, number>> | undefined
  /**
   * How long ago the server had the request at the latest: the latency that it reports, or the time since the first
   * byte of its answer, whichever is longer. Not at all unless told.
   */
  readonly servedFor?: Duration.Duration | undefined
}

/**
 * The grant to send now. It belongs to the scope it was reserved in: when that closes without `settle` or `release`,
 * what was booked stays charged until it leaves the window, since the server may have counted it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reservation {
  readonly pool: string
  /** Tokens booked. */
  readonly booked: number
  /** How long it waited for admission. */
  readonly waited: Duration.Duration
  /** The request is on its way: the server may count it from now on. Callable from any callback; the first call tells. */
  readonly sentUnsafe: () => void
  /** Settles with the real cost. The first of `settle` and `release` counts. */
  readonly settle: (settlement: Settlement) => Effect.Effect<void>
  /** It was never sent: everything is given back at once. */
  readonly release: Effect.Effect<void>
}
