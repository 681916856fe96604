// Who is passed while it waits for a later start, and what those who pass may take.
import type { Booking } from "../Cost.ts"
import { type Amount, type Books, copyOf, lower, type MutableAmount } from "./books.ts"
import type { Owner } from "./waitingRoom.ts"

/**
 * Those who wait for a later start than now, in their order: for each it is worked out when it starts if nothing is given back, and what is left
 * then and later. Of all of them only what they leave together is kept, and when the first starts.
 */
export class Passed {
  count = 0
  /** When the first of them starts; `Infinity` when nobody can tell. */
  at = Infinity
  private isForeseen = true
  /** What is left now, and when they start. */
  private now: Amount | undefined
  private readonly left: MutableAmount = { requests: Infinity, tokens: Infinity }
  /** What they take together. */
  private readonly sum: MutableAmount = { requests: 0, tokens: 0 }
  private readonly books: Books

  constructor(books: Books) {
    this.books = books
  }

  /**
   * One more: beside those before it where it takes no more than they leave, since that is left when the first of them starts, and later; else after
   * them.
   */
  add(owner: Owner, booking: Booking, now: number): void {
    const { books } = this
    const taken = mostOf(booking)
    const isBeside = books.isWithin(this.left, owner, taken)
    const start = books.startOf(owner, booking, isBeside ? undefined : this.sum, now)
    if (isBeside) books.add(this.left, owner, taken, -1)
    this.count++
    this.isForeseen &&= start.at < Infinity
    this.at = Math.min(this.at, start.at)
    lower(this.left, start)
    books.add(this.sum, owner, owner.tokens, 1)
  }

  /** One more, of whom nobody can tell when it starts. */
  addBlocked(): void {
    this.count++
    this.isForeseen = false
  }

  /** Somebody goes before them. */
  pass(owner: Owner, taken: number): void {
    this.now = undefined
    this.books.add(this.left, owner, taken, -1)
  }

  /** What may go some time before them without moving the start of any of them. */
  get later(): Amount {
    return this.isForeseen ? this.left : nothing
  }

  /** What may go now without moving the start of any of them. */
  spare(now: number): Amount {
    if (this.count === 0) return unlimited
    if (!this.isForeseen) return nothing
    this.now ??= this.books.left(now)
    const spare = copyOf(this.left)
    lower(spare, this.now)
    return spare
  }
}

/** What a request may take, with all that is foreseen to grow. */
export const mostOf = ({ growth, tokens }: Booking): number => {
  let most = 0
  for (const step of growth) most = Math.max(most, step.tokens)
  return tokens + most
}

export const nothing: Amount = { requests: -1, tokens: -1 }
const unlimited: Amount = { requests: Infinity, tokens: Infinity }
