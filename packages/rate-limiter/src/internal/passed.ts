// Who is passed while it waits for a later start, and what those who pass may take.
import type { Booking } from "../Cost.ts"
import type { Amount, Books, Start } from "./books.ts"
import type { Owner } from "./waitingRoom.ts"

/**
 * Those who wait for a later start than now, in their order: for each it is worked out when it starts if nothing is given back, and what is left
 * then and later. Of all of them only what they leave together is kept, and when the first starts.
 *
 * @internal
 */
export class Passed {
  count = 0
  /** When the first of them starts; `Infinity` when nobody can tell. */
  at = Infinity
  private isForeseen = true
  private left: Amount = unlimited
  private sum: Amount = zero
  private readonly books: Books

  constructor(books: Books) {
    this.books = books
  }

  /** One more, who starts beside those before it if there is room for all of them, else after them. */
  add(owner: Owner, booking: Booking, now: number): void {
    const { books } = this
    const tokens = mostOf(booking)
    let start: Start | undefined
    if (this.count > 0 && books.isWithin(this.left, owner, tokens)) {
      const alone = books.startOf(owner, booking, zero, now)
      if (alone.at <= this.at) {
        this.pass(owner, tokens)
        start = alone
      }
    }
    start ??= books.startOf(owner, booking, this.sum, now)
    this.count++
    this.isForeseen &&= start.at < Infinity
    this.at = Math.min(this.at, start.at)
    this.left = this.count === 1 ? start : books.least(this.left, start)
    this.sum = books.plus(this.sum, owner, owner.tokens, 1)
  }

  /** One more, of whom nobody can tell when it starts. */
  addBlocked(): void {
    this.count++
    this.isForeseen = false
  }

  /** Somebody goes before them. */
  pass(owner: Owner, tokens: number): void {
    this.left = this.books.plus(this.left, owner, tokens, -1)
  }

  /** What may go now without moving the start of any of them. */
  spare(now: number): Amount {
    if (this.count === 0) return unlimited
    return this.isForeseen ? this.books.least(this.books.left(now), this.left) : nothing
  }
}

/** What a request may take, with all that is foreseen to grow. */
export const mostOf = ({ growth, tokens }: Booking): number =>
  growth.length === 0 ? tokens : tokens + growth.reduce((most, { tokens }) => Math.max(most, tokens), 0)

export const nothing: Amount = { requests: -1, tokens: -1, parts: [] }
const unlimited: Amount = { requests: Infinity, tokens: Infinity, parts: [] }
const zero: Amount = { requests: 0, tokens: 0, parts: [] }
