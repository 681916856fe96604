/**
 * What the router does, as it happens: for metrics, logs and screens.
 *
 * @since 0.1.0
 */
import type { Account } from "./Account.ts"
import type { Why } from "./Decision.ts"
import type { Judgement } from "./Sending.ts"

/**
 * One event of a target's health.
 *
 * - `Opened`: it failed, or was slow, too often: it gets no call for so long. `times`: how often in a row.
 * - `Probed`: it gets one call, which decides.
 * - `Closed`: that call was well. The target gets more and more of its calls back.
 *
 * @category models
 * @since 0.1.0
 */
export type HealthEvent =
  | { readonly _tag: "Opened"; readonly target: string; readonly forMillis: number; readonly times: number }
  | { readonly _tag: "Probed"; readonly target: string }
  | { readonly _tag: "Closed"; readonly target: string }

/**
 * How a call ends.
 *
 * @category models
 * @since 0.1.0
 */
export type Ending = "answered" | "failed" | "interrupted" | "died"

/**
 * One event of a call.
 *
 * - `Sent`: a request goes to a target, because `why`. `hedge`: beside another one that takes long.
 * - `Failed`: it failed, and what that was taken for.
 * - `Held`: no target takes the call now; it waits for so long before it asks again.
 * - `Ended`: it is over, and how: `answered`, if only by the last resort; `failed`; `interrupted`; or `died` of a defect. Each call by a route ends in one.
 *
 * @category models
 * @since 0.1.0
 */
export type RouterEvent =
  | {
    readonly _tag: "Sent"
    readonly route: string
    readonly target: string
    readonly attempt: number
    readonly why: Why
    readonly waitedMillis: number
    readonly hedge: boolean
  }
  | {
    readonly _tag: "Failed"
    readonly route: string
    readonly target: string
    readonly attempt: number
    readonly failed: string
    readonly message: string
    readonly judgement: Judgement
  }
  | { readonly _tag: "Held"; readonly route: string; readonly forMillis: number }
  | { readonly _tag: "Ended"; readonly how: Ending; readonly account: Account }
