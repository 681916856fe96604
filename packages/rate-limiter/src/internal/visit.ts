// One call's wait for admission. What a waiter takes up is mostly this, so it is one object and no functions of its own.
import * as Effect from "effect/Effect"
import type { Booking, Cost } from "../Cost.ts"
import type { LimiterStoreError } from "../LimiterStore.ts"
import type { RateLimiterError } from "../RateLimiterError.ts"
import type { Held } from "./books.ts"
import { ownerOf, type Pool } from "./pool.ts"
import type { Request, Waiter } from "./waitingRoom.ts"

/** What becomes of those who are not admitted. */
export interface Refusals {
  readonly closed: (cost: Cost) => Effect.Effect<never, RateLimiterError>
  readonly parked: (cost: Cost, pool: Pool) => Effect.Effect<never, RateLimiterError>
  readonly lost: (cost: Cost, error: LimiterStoreError) => Effect.Effect<never, RateLimiterError>
  readonly full: (cost: Cost, pool: Pool) => Effect.Effect<never, RateLimiterError>
}

type Resume = (end: Effect.Effect<void, RateLimiterError>) => void

/** Nobody is told anything before it begins to wait. */
const unheard: Resume = () => {}

/** @internal */
export class Visit implements Request {
  readonly priority: number
  readonly tenant: string
  readonly requests: number
  readonly tokens: number
  readonly units: Cost["units"]
  /** What was booked when it was admitted. */
  granted: Held | undefined
  private waiter: Waiter | undefined
  private resume: Resume = unheard
  private readonly cost: Cost
  private readonly pool: Pool
  private readonly refusals: Refusals

  constructor(cost: Cost, pool: Pool, refusals: Refusals) {
    const { priority, requests, tenant, tokens, units } = ownerOf(cost)
    this.priority = priority
    this.tenant = tenant
    this.requests = requests
    this.tokens = tokens
    this.units = units
    this.cost = cost
    this.pool = pool
    this.refusals = refusals
  }

  /** Waits from now on, if there is room. */
  begin(resume: Resume): void {
    this.resume = resume
    this.waiter = this.pool.wait(this)
    if (this.waiter === undefined) this.shed()
  }

  /** Waits no longer, and gives back what it was admitted with. */
  leave(): void {
    if (this.waiter !== undefined) this.pool.leave(this.waiter)
    // Admitted, and interrupted before it could take it: a scheduler may put the two this close.
    if (this.granted !== undefined) this.pool.release(this.granted)
  }

  amount(): Booking {
    return this.pool.amountToBook(this.cost)
  }

  admit(amount: Booking): void {
    this.granted = this.pool.book(this, amount)
  }

  proceed(): void {
    this.resume(Effect.void)
  }

  close(): void {
    this.resume(this.refusals.closed(this.cost))
  }

  park(): void {
    this.resume(this.refusals.parked(this.cost, this.pool))
  }

  lose(error: LimiterStoreError): void {
    this.resume?.(this.refusals.lost(this.cost, error))
  }

  shed(): void {
    this.resume(this.refusals.full(this.cost, this.pool))
  }
}
