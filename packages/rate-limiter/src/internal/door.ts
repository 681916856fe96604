// Who is let in to wait, and what is said to those who are not.
import * as Duration from "effect/Duration"
import type { Headroom } from "../Choice.ts"
import type { Cost } from "../Cost.ts"
import type { LimiterStoreError } from "../LimiterStore.ts"
import {
  LimiterClosed,
  PoolParked,
  RateLimiterError,
  RoomFull,
  StoreUnavailable,
  WaitTooLong
} from "../RateLimiterError.ts"
import type { Held } from "./books.ts"
import type { Tell } from "./listeners.ts"
import { OpenReservation } from "./openReservation.ts"
import type { Pool } from "./pool.ts"

/** What all who come to a limiter pass. */
export class Door {
  /** Nobody is let in any more. */
  closed = false
  readonly now: () => number
  readonly tell: Tell
  /** Calls back after so many milliseconds, never in the same step; what it gives stops that. */
  readonly after: (millis: number, wake: () => void) => () => void
  private readonly poolOf: (name: string) => Pool | RateLimiterError

  constructor(
    poolOf: (name: string) => Pool | RateLimiterError,
    now: () => number,
    tell: Tell,
    after: (millis: number, wake: () => void) => () => void
  ) {
    this.poolOf = poolOf
    this.now = now
    this.tell = tell
    this.after = after
  }

  /** The pool of a cost, if it may come in now: to be admitted, or to wait. */
  enter(cost: Cost): Pool | RateLimiterError {
    if (this.closed) return this.shut(cost)
    const pool = this.poolOf(cost.pool)
    if (pool instanceof RateLimiterError) return pool
    const reason = reasonAgainst(pool, cost, this.now())
    return reason === undefined ? pool : this.refuse(cost, reason)
  }

  /** The pool of a cost that is only asked about: nobody hears of it. */
  look(cost: Cost, now: number): Pool | RateLimiterError {
    const pool = this.poolOf(cost.pool)
    if (pool instanceof RateLimiterError) return pool
    const reason = this.closed ? new LimiterClosed() : reasonAgainst(pool, cost, now)
    return reason === undefined ? pool : new RateLimiterError({ pool: cost.pool, reason })
  }

  /** How a pool stands for a cost, in numbers. */
  headroom(cost: Cost): Headroom {
    const now = this.now()
    const pool = this.look(cost, now)
    if (pool instanceof RateLimiterError) {
      const { reason } = pool
      const waitMillis = reason._tag === "PoolParked" ? Duration.toMillis(reason.remaining) : Infinity
      return { waitMillis, free: 0, refused: reason._tag }
    }
    return { waitMillis: pool.forecast(cost, now) - now, free: pool.free(now), refused: undefined }
  }

  /** Why it does not wait, where it would wait for too long. */
  tooLate(cost: Cost, pool: Pool, now: number): RateLimiterError | undefined {
    const { maxWait } = cost
    if (maxWait === undefined) return undefined
    const predicted = pool.forecast(cost, now) - now
    return predicted > Duration.toMillis(maxWait) ? this.tooLong(cost, predicted, maxWait) : undefined
  }

  waits({ pool, priority = "standard", tenant = "", tokens }: Cost): void {
    this.tell(() => ({ _tag: "Waiting", pool, priority, tenant, tokens }))
  }

  left({ pool }: Cost, since: number): void {
    this.tell(() => ({ _tag: "Left", pool, waited: Duration.millis(this.now() - since) }))
  }

  admitted(cost: Cost, pool: Pool, held: Held, millis: number): OpenReservation {
    const waited = Duration.millis(millis)
    this.tell(() => ({
      _tag: "Admitted",
      pool: cost.pool,
      priority: cost.priority ?? "standard",
      tenant: held.owner.tenant,
      booked: held.charge.tokens,
      waited
    }))
    return new OpenReservation(pool, cost.pool, held, waited, this.tell)
  }

  // What becomes of those who wait and are not admitted.

  shut(cost: Cost): RateLimiterError {
    return this.refuse(cost, new LimiterClosed())
  }

  lost(cost: Cost, error: LimiterStoreError): RateLimiterError {
    return this.refuse(cost, unavailable(error))
  }

  parked(cost: Cost, pool: Pool): RateLimiterError {
    return this.refuse(cost, new PoolParked({ remaining: Duration.millis(pool.parkedMillis) }))
  }

  full(cost: Cost, pool: Pool): RateLimiterError {
    const now = this.now()
    const predicted = Duration.millis(pool.forecast(cost, now) - now)
    return this.refuse(cost, new RoomFull({ waiting: pool.waiting, predicted }))
  }

  tooLong(cost: Cost, millis: number, maxWait: Duration.Duration): RateLimiterError {
    return this.refuse(cost, new WaitTooLong({ predicted: Duration.millis(millis), maxWait }))
  }

  private refuse({ pool }: Cost, reason: RateLimiterError["reason"]): RateLimiterError {
    this.tell(() => ({ _tag: "Refused", pool, reason }))
    return new RateLimiterError({ pool, reason })
  }
}

/** Why a pool takes nobody in, or not for this. */
const reasonAgainst = (pool: Pool, cost: Cost, now: number): RateLimiterError["reason"] | undefined => {
  const refusal = pool.refusal(cost)
  if (refusal !== undefined) return refusal
  const parked = pool.parkedAfter(now)
  if (parked > 0) return new PoolParked({ remaining: Duration.millis(parked) })
  const { lost } = pool
  return lost === undefined ? undefined : unavailable(lost)
}

const unavailable = ({ cause, message }: LimiterStoreError) =>
  new StoreUnavailable(cause === undefined ? { problem: message } : { problem: message, cause })
