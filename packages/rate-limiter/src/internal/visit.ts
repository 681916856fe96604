// One call's wait for admission. What a waiter takes up is mostly this, so it is one object and no functions of its own.
import type { Booking, Cost } from "../Cost.ts"
import type { LimiterStoreError } from "../LimiterStore.ts"
import type { RateLimiterError } from "../RateLimiterError.ts"
import type { Held } from "./books.ts"
import type { Door } from "./door.ts"
import { ownerOf, type Pool } from "./pool.ts"
import type { Request, Waiter } from "./waitingRoom.ts"

/** It may go on, or why it is not admitted. */
type Resume = (refused: RateLimiterError | undefined) => void

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
  private gone = false
  private resume: Resume = unheard
  readonly cost: Cost
  readonly pool: Pool
  private readonly door: Door

  constructor(cost: Cost, pool: Pool, door: Door) {
    const { priority, requests, tenant, tokens, units } = ownerOf(cost)
    this.priority = priority
    this.tenant = tenant
    this.requests = requests
    this.tokens = tokens
    this.units = units
    this.cost = cost
    this.pool = pool
    this.door = door
  }

  /** Waits from now on, if there is room. */
  begin(resume: Resume): void {
    this.resume = resume
    const waiter = this.pool.enter(this)
    this.waiter = waiter
    if (waiter === undefined) return this.shed()
    // Whoever was shed for it may have ended it in the same step.
    if (this.gone) this.pool.leave(waiter)
    else this.pool.wait(waiter)
  }

  /** It is likely to be served here with this part of it. */
  reweigh(part: number): void {
    if (this.waiter !== undefined) this.pool.reweigh(this.waiter, part)
  }

  /** Waits no longer, and gives back what it was admitted with. */
  leave(): void {
    this.gone = true
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
    this.resume(undefined)
  }

  close(): void {
    this.resume(this.door.shut(this.cost))
  }

  park(): void {
    this.resume(this.door.parked(this.cost, this.pool))
  }

  lose(error: LimiterStoreError): void {
    this.resume(this.door.lost(this.cost, error))
  }

  shed(): void {
    this.resume(this.door.full(this.cost, this.pool))
  }
}
