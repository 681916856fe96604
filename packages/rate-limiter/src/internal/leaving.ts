// What leaves a window, in the order in which it does.
import { type Place, SortedList } from "./sortedList.ts"

/** What a window is asked of a charge that was sent. */
export interface Leaver {
  readonly requests: number
  readonly tokens: number
  /** Its time in the window runs from here. It may become later while it is in the window. */
  readonly stamp: number
}

/** So many sums may stand before the first that still counts. */
const mostPast = 1_024

/**
 * The charges of a window that were sent, in the order in which they leave it. A charge whose stamp moves stays where it is, and is put right when it
 * is looked at.
 *
 * **Looking ahead** is remembered: what the first of them free together, by sums, each with all before it. So each charge is looked at once, and to
 * find when there is room for something takes O(log n), or one step for each that was not looked at.
 *
 * Times are those at which charges leave, less the guard.
 */
export class Leaving<C extends Leaver> {
  private readonly millis: number
  private readonly charges = new SortedList<C>()
  /** The first that was not looked at. */
  private readonly next: Place = { piece: 0, index: 0 }
  /** Of those that were looked at: when each leaves, and what is free then. What is before `past` has left. */
  private looked: Array<C> = []
  private times: Array<number> = []
  private requests: Array<number> = []
  private tokens: Array<number> = []
  private past = 0

  constructor(windowMillis: number) {
    this.millis = windowMillis
  }

  /** No charge leaves before; `Infinity` when there are none. */
  get firstAt(): number {
    return this.charges.firstKey
  }

  /** A charge was sent. Of those that leave together it is the last. */
  add(charge: C): void {
    const leaves = charge.stamp + this.millis
    if (leaves < (this.times.at(-1) ?? -Infinity)) this.forget()
    this.charges.add(leaves, charge)
  }

  /** A charge has changed that was to leave at this time. */
  changed(charge: C, leaves: number): void {
    const { looked, times } = this
    let last = times.length - 1
    // A burst leaves in one instant, and what changes is often of its end.
    while (last >= 0 && times[last] === leaves && looked[last] !== charge) last--
    if (last >= 0 && leaves <= (times[last] as number)) this.forget()
  }

  /** Takes out a charge that has left, with the guard, by now; `undefined` when there is none. */
  shift(guard: number, now: number): C | undefined {
    while (this.charges.firstKey + guard <= now) {
      const charge = this.charges.shift(this.next)
      if (this.times.length > 0) this.passed()
      const leaves = charge.stamp + this.millis
      if (leaves + guard <= now) return charge
      this.charges.add(leaves, charge)
    }
    return undefined
  }

  /**
   * When as much is free as `room` lacks, not before the first of them leaves, and `room` is what there is then; `Infinity` when that is never. Where
   * there are as many as `all`, the last of them frees whatever is asked for: sums of fractions drift.
   *
   * Who asks far ahead does not `remember` what it looked at: what changes there each time would make all of it be forgotten.
   */
  freeAt(room: { requests: number; tokens: number }, all: number, remember = true): number {
    const { past, requests, times, tokens } = this
    const known = times.length
    const before = past - 1
    const neededRequests = (requests[before] ?? 0) - room.requests
    const neededTokens = (tokens[before] ?? 0) - room.tokens
    let found = times.length - 1
    let isEnough = false
    while (true) {
      isEnough = found > before && (requests[found] as number) >= neededRequests &&
        (tokens[found] as number) >= neededTokens
      if (isEnough || !this.look()) break
      found++
    }
    if (found === before) return Infinity
    const isNever = !isEnough && found - before < all
    for (let low = past; low < found;) {
      const middle = (low + found) >> 1
      if ((requests[middle] as number) >= neededRequests && (tokens[middle] as number) >= neededTokens) found = middle
      else low = middle + 1
    }
    room.requests = (requests[found] as number) - neededRequests
    room.tokens = (tokens[found] as number) - neededTokens
    const at = isNever ? Infinity : times[found] as number
    if (!remember) this.unlook(known)
    return at
  }

  /** Forgets what was looked at after so many. */
  private unlook(known: number): void {
    const { charges, looked, next, requests, times, tokens } = this
    charges.back(next, times.length - known)
    for (const values of [looked, requests, times, tokens]) values.length = known
  }

  /** Looks at one more; false when there is none. */
  private look(): boolean {
    const { charges, looked, next, requests, times, tokens } = this
    for (let charge = charges.at(next); charge !== undefined; charge = charges.at(next)) {
      const leaves = charge.stamp + this.millis
      if (leaves > charges.keyAt(next)) {
        charges.later(next, leaves)
        continue
      }
      next.index++
      looked.push(charge)
      times.push(leaves)
      requests.push((requests.at(-1) ?? 0) + charge.requests)
      tokens.push((tokens.at(-1) ?? 0) + charge.tokens)
      return true
    }
    return false
  }

  /** The first that was looked at has left. */
  private passed(): void {
    this.past++
    if (this.past === this.times.length) return this.forget()
    if (this.past < mostPast || this.past * 2 < this.times.length) return
    const requests = this.requests[this.past - 1] as number
    const tokens = this.tokens[this.past - 1] as number
    this.looked = this.looked.slice(this.past)
    this.times = this.times.slice(this.past)
    this.requests = this.requests.slice(this.past).map((sum) => sum - requests)
    this.tokens = this.tokens.slice(this.past).map((sum) => sum - tokens)
    this.past = 0
  }

  private forget(): void {
    this.looked = []
    this.times = []
    this.requests = []
    this.tokens = []
    this.past = 0
    this.next.piece = 0
    this.next.index = 0
  }
}
