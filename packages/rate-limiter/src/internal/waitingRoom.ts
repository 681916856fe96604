// Who waits for a pool, in the order of admission.
import type { Booking } from "../Cost.ts"

/**
 * Who waits for a pool, in the order in which they are admitted: first come, first served. What that order is, and only
 * this, changes when classes and tenants come in.
 *
 * @internal
 */
export interface Waiter {
  readonly requests: number
  readonly tokens: number
  /** What to book, as things are now. */
  readonly amount: () => Booking
  readonly admit: (amount: Booking) => void
  readonly close: () => void
  previous: Waiter | undefined
  next: Waiter | undefined
  waiting: boolean
}

/** @internal */
export class WaitingRoom {
  private first: Waiter | undefined
  private last: Waiter | undefined
  private count = 0
  private totalRequests = 0
  private totalTokens = 0

  /** How many wait. */
  get size(): number {
    return this.count
  }

  /** Requests of all who wait. */
  get requests(): number {
    return this.totalRequests
  }

  /** Tokens of all who wait. */
  get tokens(): number {
    return this.totalTokens
  }

  /** The next in order. */
  get head(): Waiter | undefined {
    return this.first
  }

  add(waiter: Waiter): void {
    waiter.waiting = true
    waiter.previous = this.last
    waiter.next = undefined
    if (this.last === undefined) this.first = waiter
    else this.last.next = waiter
    this.last = waiter
    this.count++
    this.totalRequests += waiter.requests
    this.totalTokens += waiter.tokens
  }

  /** Takes a waiter out, wherever it stands; O(1). False when it is not in the room. */
  remove(waiter: Waiter): boolean {
    if (!waiter.waiting) return false
    waiter.waiting = false
    if (waiter.previous === undefined) this.first = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === undefined) this.last = waiter.previous
    else waiter.next.previous = waiter.previous
    waiter.previous = undefined
    waiter.next = undefined
    this.count--
    this.totalRequests -= waiter.requests
    this.totalTokens -= waiter.tokens
    return true
  }
}
