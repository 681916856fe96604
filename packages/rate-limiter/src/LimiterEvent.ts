/**
 * What a limiter does, as it happens: for metrics, logs and screens.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Priority } from "./Priority.ts"
import type { Reason } from "./RateLimiterError.ts"

/**
 * One event of a pool.
 *
 * - `Waiting`: there is no room for it yet.
 * - `Admitted`: it may be sent, after a wait or at once.
 * - `Refused`: it was not admitted, and why.
 * - `Left`: it waits there no longer: it was interrupted, or stood in several pools' rooms and another admitted it.
 * - `Settled`: it is over, and was charged so much of what had been booked. `undefined` where nobody told.
 * - `Throttled`: the server refused what was admitted; `explained` by a debt in the books, or not.
 *
 * @category models
 * @since 0.1.0
 */
export type LimiterEvent =
  | {
    readonly _tag: "Waiting"
    readonly pool: string
    readonly priority: Priority
    readonly tenant: string
    readonly tokens: number
  }
  | {
    readonly _tag: "Admitted"
    readonly pool: string
    readonly priority: Priority
    readonly tenant: string
    readonly booked: number
    readonly waited: Duration.Duration
  }
  | { readonly _tag: "Refused"; readonly pool: string; readonly reason: Reason }
  | { readonly _tag: "Left"; readonly pool: string; readonly waited: Duration.Duration }
  | { readonly _tag: "Settled"; readonly pool: string; readonly booked: number; readonly charged: number | undefined }
  | {
    readonly _tag: "Throttled"
    readonly pool: string
    readonly unit: string | undefined
    readonly explained: boolean
  }
