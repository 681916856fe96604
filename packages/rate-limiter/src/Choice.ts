/**
 * One call that any of several pools may serve: it waits for all of them at once, and goes to the first that admits it.
 *
 * **When to use**
 *
 * Use where the same work can be sent to several places whose quotas are apart: Regions, models, accounts. Who waits for one of
 * them while another has room leaves quota unused; who reserves in several at once takes what it does not need.
 *
 * **Details**
 *
 * `join` asks a pool at once and waits in its room where there is no room for it yet, in the same order as anybody else there. The pool that
 * admits it takes it out of all other rooms in the same step, and books nothing there. So the order in which pools are joined is
 * the order of preference while there is room, and when all are full the first that frees serves it.
 *
 * **Example** (Two Regions, and one quota full)
 *
 * ```ts
 * import { Meter, RateLimiter } from "@caprock/rate-limiter"
 * import { Console, Effect } from "effect"
 *
 * const call = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.RateLimiter
 *   const choice = yield* limiter.choice
 *   for (const pool of ["us-east-1", "us-west-2"]) choice.join({ pool, requests: 1, tokens: 600 })
 *   const answer = yield* choice.next
 *   if (answer._tag === "Admitted") {
 *     yield* Console.log(answer.reservation.pool)
 *     answer.reservation.sentUnsafe()
 *   }
 * }).pipe(Effect.scoped)
 *
 * export const main = Effect.andThen(call, call).pipe(
 *   Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(1000)] }))
 * )
 * // => us-east-1
 * // => us-west-2
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type { Cost } from "./Cost.ts"
import type { RateLimiterError } from "./RateLimiterError.ts"
import type { Reservation } from "./Reservation.ts"

/**
 * What came of the rooms that were joined: one of them admitted it, which ends the choice, or one of them will not, and the others go on.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "Admitted"; readonly reservation: Reservation }
  | { readonly _tag: "Refused"; readonly pool: string; readonly error: RateLimiterError }

/**
 * How a pool stands for a cost that may be sent to it, for who chooses among pools.
 *
 * @category models
 * @since 0.1.0
 */
export interface Headroom {
  /** The wait that it would have, as `estimate` tells it; where it would be refused, until the pool is open again, or `Infinity`. */
  readonly waitMillis: number
  /** The part of the quota that is not in use, from 0 to 1, on the meter that has the least of it. 1 where there is no quota. */
  readonly free: number
  /** The tag of the reason for which it would be refused at once. */
  readonly refused: RateLimiterError["reason"]["_tag"] | undefined
}

/**
 * One wait in the rooms of several pools, until the first admits it. It belongs to the scope that it was made in: when that closes it
 * leaves every room. An admission that nobody has taken is given back then; one that was taken is a reservation of that scope, as if it
 * had been reserved there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Choice {
  /**
   * Asks for admission in one more pool, at once, or else waits there. What comes of it `next` tells. Nothing happens where it waits there already,
   * or has been admitted anywhere.
   */
  readonly join: (cost: Cost) => void
  /** Waits no longer in a pool. What it was refused there is not told any more. */
  readonly leave: (pool: string) => void
  /**
   * Waits for what comes next: the admission, if there is one, before refusals in their order. Each refusal is told once, the admission each time.
   * Interrupting it while it waits changes nothing: it can be asked for again.
   */
  readonly next: Effect.Effect<Outcome>
  /**
   * Calls back, in the same step, whenever there is something new for `nextUnsafe` to give: for who waits for something else as well. One at a time: the last
   * that was given hears it.
   */
  readonly heedUnsafe: (hear: () => void) => void
  /** What `next` would give at once, in the same step; `undefined` while it would wait. */
  readonly nextUnsafe: () => Outcome | undefined
}
