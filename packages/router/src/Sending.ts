/**
 * What a caller gives the router: how its request is sent to any target, and what its errors mean.
 *
 * @since 0.1.0
 */
import type { Retryable } from "@caprock/backoff/Backoff"
import type { Cost } from "@caprock/rate-limiter/Cost"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Adapted } from "./Account.ts"
import type { Ask, Why } from "./Decision.ts"
import type { Exhausted } from "./LastResort.ts"
import type { RouterError } from "./RouterError.ts"
import type { BuiltTarget } from "./Target.ts"

/**
 * What an error says of the target that it came from.
 *
 * - `limited`: a limit is reached. The target is well, and its wait tells when to come back.
 * - `sick`: it failed. That counts against its health, and the call goes elsewhere first.
 * - `caller`: the request itself is wrong, or its time is over: nobody else can do it, and the call ends.
 *
 * @category models
 * @since 0.1.0
 */
export type Judgement = "limited" | "sick" | "caller"

/**
 * Makes a part of an effect interruptible again that is run where nothing else is.
 *
 * @category models
 * @since 0.1.0
 */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * With what a request is sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Granted {
  readonly reservation: Reservation
  /** Which of the call's requests it is, from 1. */
  readonly attempt: number
  /** Why it goes to this target. */
  readonly why: Why
  /** It is sent beside another one that takes long. */
  readonly hedge: boolean
  /** What takes long has to be wrapped in this, where the offer has `withdrawn`. */
  readonly restore: Restore
}

/**
 * A request to one target, ready to be sent.
 *
 * - `cost`: what it is charged, to whichever pool the target belongs to. Its `maxWait` is for each request of the call, from when the call came to the first
 *   line that it stands in for it: who comes to a second line later waits no longer for that.
 * - `send`: sends it, and settles the reservation. For a stream: until its first content; what follows lives in the scope. What is interrupted has to end.
 * - `withdrawn`: it will not be sent: what the offer holds open is to be let go. Must return at once. Where it is given, exactly one of the two follows, and of
 *   `send` its first step at least: nothing interrupts it but within `granted.restore`, which what takes long has to be wrapped in. Where it
 *   is not, nothing is held open, and `send` may be interrupted at any step.
 * - `usd`: what it cost, when it is known. Asked for when the call is over, of each that was sent.
 * - `adapted`: what of the request was changed for the target.
 *
 * @category models
 * @since 0.1.0
 */
export interface Offer<A, E, R> {
  readonly cost: Cost
  readonly send: (granted: Granted) => Effect.Effect<A, E, R | Scope.Scope>
  readonly withdrawn?: (() => void) | undefined
  readonly usd?: (() => number | undefined) | undefined
  readonly adapted?: ReadonlyArray<Adapted> | undefined
}

/**
 * A call for the router.
 *
 * - `ask`: what of it decides where it goes.
 * - `deadline`: after this moment of the clock's monotonic time, in milliseconds, no request is sent. It does not end one that is under way.
 * - `offer`: the request for a target. Asked once each time that the call begins to wait for the target's pool.
 * - `refused`: the error for what the limiter refused.
 * - `judge`: what an error means. Unless given: an error that is not worth another try anywhere is the caller's; one with a `retryAfter`, or not worth a try
 *   elsewhere, is a limit; any other is the target's.
 * - `goes`: whether another target may do what failed with this error at this one. Unless given, as the error's `retryableElsewhere` says.
 * - `check`: whether an answer is good enough. One that is not goes on to the next level of difficulty, where the route has levels. What it sends
 *   stays inside the route's fence.
 * - `lastResort`: what is done when no target can answer. It stays inside the route's fence.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sending<A, E extends Retryable, R> {
  readonly ask: Ask
  readonly deadline?: number | undefined
  readonly offer: (target: BuiltTarget) => Offer<A, E, R>
  readonly refused: (target: BuiltTarget, error: RateLimiterError) => E
  readonly judge?: ((error: E, failed: BuiltTarget) => Judgement) | undefined
  readonly goes?: ((error: E, failed: BuiltTarget, other: BuiltTarget) => boolean) | undefined
  readonly check?: ((answer: A) => Effect.Effect<boolean, E, R>) | undefined
  readonly lastResort?: ((reason: Exhausted<E>) => Effect.Effect<A, E | RouterError, R>) | undefined
}
