/**
 * What became of a call: who answered, what was tried before and why, what was waited, what it cost.
 *
 * @since 0.1.0
 */
import type { Why } from "./Decision.ts"
import type { RouterError } from "./RouterError.ts"

/**
 * One request that was sent for a call.
 *
 * - `why`: why it was sent there.
 * - `attempt`: which of the call's requests it was, from 1.
 * - `waitedMillis`: how long it waited to be admitted; `tookMillis`: how long the target took.
 * - `outcome`: it answered; it answered and the caller's check rejected that; it was given up because another had answered (`lost`), or the caller
 *   did not wait for it; likewise, where it had taken so long that the call went on without it (`late`); or how it failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Trial {
  readonly target: string
  readonly why: Why
  readonly attempt: number
  readonly waitedMillis: number
  readonly tookMillis: number
  readonly outcome: "answered" | "rejected" | "lost" | "late" | { readonly failed: string; readonly message: string }
}

/**
 * A field of the request that was changed for a target.
 *
 * @category models
 * @since 0.1.0
 */
export interface Adapted {
  readonly field: string
  readonly from: unknown
  /** `undefined` where it was left out. */
  readonly to: unknown
  readonly why: string
}

/**
 * What became of a call.
 *
 * - `target`: who answered; `undefined` where nobody did, or the last resort.
 * - `trials`: the requests that were sent for it, in the order in which they ended.
 * - `waitedMillis`: what it waited in all to be admitted anywhere, or for a target to be well again.
 * - `usd`: what all of its requests cost, as far as it is known. `undefined` where nothing of it is.
 * - `adapted`: what was changed in the request for who answered.
 * - `hedged`: a second request was sent because the first took longer than most, as the route says.
 * - `rejected`: the caller's check rejected the answer, and nobody was left who might give a better one.
 * - `lastResort`: no target answered, and the last resort did, or failed to.
 * - `attempts`: requests sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  readonly route: string
  readonly target: string | undefined
  readonly trials: ReadonlyArray<Trial>
  readonly waitedMillis: number
  readonly usd: number | undefined
  readonly adapted: ReadonlyArray<Adapted>
  readonly hedged: boolean
  readonly rejected: boolean
  readonly lastResort: boolean
  readonly attempts: number
}

/**
 * An answer, and how it came to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Routed<A> {
  readonly value: A
  readonly account: Account
}

/**
 * Why a call has no answer, and what was tried.
 *
 * `error` is the most telling of all that went wrong: the caller's own before what was wrong with a target, that before a limit that was
 * reached, and that before what our own limiter refused; of several alike the first. The others are in `account.trials`.
 *
 * @category errors
 * @since 0.1.0
 */
export interface RouteFailure<E> {
  readonly _tag: "RouteFailure"
  readonly error: E | RouterError
  readonly account: Account
}
