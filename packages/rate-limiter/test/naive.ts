/**
 * The limiter's rules once more, written to be obviously right and nothing else: lists, and a step for each millisecond.
 */
import type { Cost, Meter } from "@caprock/rate-limiter"
import { Duration } from "effect"

export interface NaiveCharge {
  requests: number
  tokens: number
  stamp: number | undefined
  /** The one meter that it counts on; on all of them unless set. */
  readonly only?: Meter.Meter
  /** Not what the server took from us: refused, or put in for others. */
  foreign?: boolean
}

export class NaiveLedger {
  charges: Array<NaiveCharge> = []
  readonly meters: ReadonlyArray<Meter.Meter>
  readonly guard: number
  constructor(meters: ReadonlyArray<Meter.Meter>, guard: number) {
    this.meters = meters
    this.guard = guard
  }
  leaves(charge: NaiveCharge, meter: Meter.Meter): number {
    return charge.stamp === undefined ? Infinity : charge.stamp + Duration.toMillis(meter.window) + this.guard
  }
  countsOn(meter: Meter.Meter, now: number): ReadonlyArray<NaiveCharge> {
    return this.charges.filter((charge) =>
      (charge.only === undefined || charge.only === meter) && this.leaves(charge, meter) > now
    )
  }
  used(meter: Meter.Meter, now: number): number {
    return this.countsOn(meter, now).reduce((sum, charge) => sum + charge[meter.unit as "requests" | "tokens"], 0)
  }
  foreign(meter: Meter.Meter, now: number): number {
    const foreign = this.countsOn(meter, now).filter((charge) => charge.foreign === true)
    return foreign.reduce((sum, charge) => sum + charge[meter.unit as "requests" | "tokens"], 0)
  }
  fits(requests: number, tokens: number, now: number): boolean {
    return this.meters.every((meter) =>
      this.used(meter, now) + (meter.unit === "requests" ? requests : tokens) <= meter.limit
    )
  }
  /** What is left on the fullest meter of a unit. */
  left(unit: "requests" | "tokens", now: number): number {
    const meters = this.meters.filter((meter) => meter.unit === unit)
    return Math.min(Infinity, ...meters.map((meter) => meter.limit - this.used(meter, now)))
  }
  /**
   * What is left of tokens at some time beside what charges grow by, when it comes. What leaves after now is known so much too late, as a
   * share of its window.
   */
  leftBeside(growth: ReadonlyArray<Cost.Growth>, now: number, at: number, late: number): number {
    const meters = this.meters.filter((meter) => meter.unit === "tokens")
    const left = meters.flatMap((meter) =>
      growth.map((step) => {
        const known = at + step.withinMillis - late * Duration.toMillis(meter.window)
        return meter.limit - this.used(meter, Math.max(now, known)) - step.tokens
      })
    )
    return Math.min(Infinity, ...left)
  }
  /** Whether what charges grow by has room too. */
  hasRoomFor(growth: ReadonlyArray<Cost.Growth>, tokens: number, now: number, late: number): boolean {
    return this.leftBeside(growth, now, now, late) >= tokens
  }
  nextLeaving(meter: Meter.Meter, now: number): number {
    return Math.min(Infinity, ...this.countsOn(meter, now).map((charge) => this.leaves(charge, meter)))
  }
  refused(unit: Meter.Unit | undefined, now: number): boolean {
    const meters = this.meters.filter((meter) => unit === undefined || meter.unit === unit)
    const shares = meters.map((meter) => this.used(meter, now) / meter.limit)
    const most = Math.max(0, ...shares)
    const fullest = meters[shares.indexOf(most)]
    if (most > 1) return false
    if (unit === undefined || fullest === undefined || most === 0) return true
    // Of what is missing, so many twelfths have left after as many twelfths of the window.
    const missing = fullest.limit - this.used(fullest, now) + 1
    const parts = Math.min(missing, 12)
    const millis = Duration.toMillis(fullest.window)
    let left = missing
    for (let part = 1; part <= parts; part++) {
      const stays = missing - Math.round(missing * part / parts)
      const stamp = now - this.guard - millis + millis * part / parts
      this.charges.push({ requests: 0, tokens: 0, [fullest.unit]: left - stays, stamp, only: fullest, foreign: true })
      left = stays
    }
    return true
  }
  book(requests: number, tokens: number): NaiveCharge {
    const charge = { requests, tokens, stamp: undefined }
    this.charges.push(charge)
    return charge
  }
  raise(charge: NaiveCharge, at: number): void {
    charge.stamp = Math.max(charge.stamp ?? at, at)
  }
  settle(charge: NaiveCharge, requests: number, tokens: number, growth: number, now: number): void {
    const inTime = Math.min(charge.tokens, Math.max(0, tokens - growth))
    this.charges.push({ requests: 0, tokens: tokens - inTime, stamp: now })
    charge.tokens = inTime
    charge.requests = Math.min(charge.requests, requests)
  }
  remove(charge: NaiveCharge): void {
    this.charges = this.charges.filter((other) => other !== charge)
  }
}

/** A request and what becomes of it. Times are even, but for interruptions, so that no two can meet by chance. */
export interface Scripted {
  readonly arrives: number
  readonly tokens: number
  /** Tokens to book: the first when it is next in line before that time, then the second. */
  readonly books: readonly [first: number, second: number]
  readonly changes: number
  readonly sendAfter: number
  readonly latency: number
  readonly charged: number
  /** Of these, what the server counted only in the end. */
  readonly grew: number
  /** What must have room beside it, not booked. */
  readonly growth: number
  readonly end: "settle" | "release" | "abandon"
  /** Interrupts it this long after it arrived, when that is before its end. */
  readonly interruptAfter: number | undefined
}

export interface Told {
  readonly admitted: number | undefined
  readonly interruptedWaiting: boolean
}

/**
 * When each request of a script is admitted, first come first served, by stepping through every millisecond. Where that
 * depends on the order of events in one millisecond, it does not say.
 */
export const simulate = (
  script: ReadonlyArray<Scripted>,
  meters: ReadonlyArray<Meter.Meter>,
  guard: number,
  until: number
): ReadonlyArray<Told> | "ambiguous" => {
  const ledger = new NaiveLedger(meters, guard)
  const tokenLimit = Math.min(...meters.filter((meter) => meter.unit === "tokens").map((meter) => meter.limit))
  const state = script.map((request) => ({
    request,
    admitted: undefined as number | undefined,
    charge: undefined as NaiveCharge | undefined,
    over: false,
    interruptedWaiting: false
  }))
  const line: Array<number> = []
  for (let now = 0; now <= until; now++) {
    let debt = false
    for (const [index, one] of state.entries()) {
      const { request } = one
      if (one.over) continue
      if (request.arrives === now) line.push(index)
      const interrupted = request.interruptAfter !== undefined && now === request.arrives + request.interruptAfter
      if (one.admitted === undefined || one.charge === undefined) {
        if (interrupted) {
          one.over = true
          one.interruptedWaiting = true
          line.splice(line.indexOf(index), 1)
        }
        continue
      }
      const sent = one.admitted + request.sendAfter
      if (interrupted) {
        // Whoever is interrupted never says that it was not sent.
        if (one.charge.stamp === undefined) ledger.raise(one.charge, now)
        one.over = true
        continue
      }
      if (now === sent && request.end !== "release") ledger.raise(one.charge, now)
      if (now === sent + request.latency) {
        one.over = true
        if (request.end === "release") ledger.remove(one.charge)
        if (request.end === "settle") {
          ledger.raise(one.charge, now - request.latency)
          debt ||= request.grew > 0 || request.charged > one.charge.tokens
          ledger.settle(one.charge, 1, request.charged, request.grew, now)
        }
      }
    }
    while (line.length > 0) {
      const head = state[line[0] as number]
      if (head === undefined) break
      // Somebody who waits may be admitted just before the debt is learned, or not: both are right.
      if (debt) return "ambiguous"
      const amount = Math.min(tokenLimit, head.request.books[now < head.request.changes ? 0 : 1])
      const inFlight = state.some((one) => one.admitted !== undefined && !one.over)
      const growth = Math.min(inFlight ? Infinity : tokenLimit - amount, head.request.growth)
      if (!ledger.fits(1, amount + growth, now)) break
      line.shift()
      head.admitted = now
      head.charge = ledger.book(1, amount)
      if (head.request.sendAfter === 0 && head.request.end !== "release") ledger.raise(head.charge, now)
    }
  }
  return state.map(({ admitted, interruptedWaiting }) => ({ admitted, interruptedWaiting }))
}
