// One pool: its books, who waits for it, and its one timer.
import * as Duration from "effect/Duration"
import type { Booking, Cost } from "../Cost.ts"
import { type Charge, Ledger, type Level } from "../Ledger.ts"
import type { Meter, Unit } from "../Meter.ts"
import type { Settlement } from "../RateLimiter.ts"
import { CostExceedsLimit, InvalidCost, InvalidMeter } from "../RateLimiterError.ts"
import { type Waiter, WaitingRoom } from "./waitingRoom.ts"

/** The guard never widens beyond this: it costs a thirtieth of a minute, and no network is slower. */
const widestGuardMillis = 2_000

/** @internal */
export const checkMeters = (meters: ReadonlyArray<Meter>): InvalidMeter | undefined => {
  for (const { limit, window } of meters) {
    if (Number.isNaN(limit) || limit < 0) {
      return new InvalidMeter({ field: "limit", problem: `is ${limit}: it must be 0 or more` })
    }
    const millis = Duration.toMillis(window)
    if (!Number.isFinite(millis) || millis <= 0) {
      return new InvalidMeter({ field: "window", problem: `is ${millis} ms: it must be finite and more than 0` })
    }
  }
  return undefined
}

/** One number that is none would stay in the sums for good, and admit nobody again. */
const isAmount = (amount: number | undefined): amount is number =>
  amount !== undefined && Number.isFinite(amount) && amount >= 0

/**
 * A pool's books, its waiting room and its one timer: everything that is shared between callers, and its only owner.
 *
 * @internal
 */
export class Pool {
  private readonly ledger: Ledger
  private readonly room = new WaitingRoom()
  private readonly now: () => number
  private readonly wakeAfter: (millis: number, wake: () => void) => () => void
  private readonly requestLimit: number
  private readonly tokenLimit: number
  /** Admitted, and neither settled nor given up. */
  private inFlight = 0
  private widenedAt = -Infinity
  private timer: { readonly at: number; readonly stop: () => void } | undefined

  constructor(
    meters: ReadonlyArray<Meter>,
    guardMillis: number,
    now: () => number,
    wakeAfter: (millis: number, wake: () => void) => () => void
  ) {
    this.ledger = new Ledger(meters, guardMillis)
    this.now = now
    this.wakeAfter = wakeAfter
    this.requestLimit = this.ledger.limitOf("requests")
    this.tokenLimit = this.ledger.limitOf("tokens")
  }

  get waiting(): number {
    return this.room.size
  }

  get waitingTokens(): number {
    return this.room.tokens
  }

  get guardMillis(): number {
    return this.ledger.guardMillis
  }

  levels(): ReadonlyArray<Level> {
    return this.ledger.levels(this.now())
  }

  /** Why a cost can never be admitted; `undefined` when it can. */
  refusal(cost: Cost): CostExceedsLimit | InvalidCost | undefined {
    const { requests, tokens } = cost
    if (!isAmount(requests)) {
      return new InvalidCost({ field: "requests", problem: `are ${requests}: 0 or more are needed` })
    }
    if (!isAmount(tokens)) return new InvalidCost({ field: "tokens", problem: `are ${tokens}: 0 or more are needed` })
    // A limit of 0 admits nothing, not even what costs nothing.
    if (requests > this.requestLimit || this.requestLimit === 0) {
      return new CostExceedsLimit({ unit: "requests", requested: requests, limit: this.requestLimit })
    }
    if (tokens > this.tokenLimit || this.tokenLimit === 0) {
      return new CostExceedsLimit({ unit: "tokens", requested: tokens, limit: this.tokenLimit })
    }
    return undefined
  }

  private amountToBook({ book, tokens }: Cost): Booking {
    const asked = book?.()
    if (asked === undefined) return { tokens, growth: [] }
    const atOnce = isAmount(asked.tokens) ? Math.min(asked.tokens, this.tokenLimit) : tokens
    // More than a whole quota: once nothing else is in flight, an empty window has to do.
    const most = this.inFlight === 0 ? this.tokenLimit - atOnce : Infinity
    // Growth of no amount says nothing, and at no time may come at once.
    const growth = asked.growth.flatMap(({ tokens, withinMillis }) =>
      isAmount(tokens)
        ? [{ withinMillis: isAmount(withinMillis) ? withinMillis : 0, tokens: Math.min(tokens, most) }]
        : []
    )
    return { tokens: atOnce, growth }
  }

  private fits(requests: number, { growth, tokens }: Booking, now: number): boolean {
    return this.ledger.fits(requests, tokens, now, growth)
  }

  private book(requests: number, { tokens }: Booking): Charge {
    this.inFlight++
    return this.ledger.book(requests, tokens)
  }

  /** Books it if nobody waits and it fits. */
  admitNow(cost: Cost): Charge | undefined {
    if (this.room.size > 0) return undefined
    const amount = this.amountToBook(cost)
    return this.fits(cost.requests, amount, this.now()) ? this.book(cost.requests, amount) : undefined
  }

  /** When the next to come would be admitted with so much. */
  forecast(requests: number, tokens: number): number {
    const { room } = this
    return this.ledger.forecast(room.requests + requests, room.tokens + tokens, this.now())
  }

  wait(cost: Cost, admit: (charge: Charge) => void, close: () => void): Waiter {
    const { requests, tokens } = cost
    const waiter: Waiter = {
      requests,
      tokens,
      amount: () => this.amountToBook(cost),
      admit: (amount) => admit(this.book(requests, amount)),
      close,
      previous: undefined,
      next: undefined,
      waiting: false
    }
    this.room.add(waiter)
    if (this.room.head === waiter) this.pump()
    return waiter
  }

  /**
   * Someone stops waiting. Those behind may fit now. They are asked in the same instant, but after it could tell that it is over:
   * until then its growth is foreseen.
   */
  leave(waiter: Waiter): void {
    const wasHead = this.room.head === waiter
    if (!this.room.remove(waiter) || !wasHead) return
    const now = this.now()
    this.wakeAt(this.room.size > 0 ? now : Infinity, now)
  }

  sent(charge: Charge): void {
    this.ledger.send(charge, this.now())
    this.rearm()
  }

  arrived(charge: Charge, agoMillis: number): void {
    this.ledger.arrive(charge, this.now() - agoMillis)
    this.rearm()
  }

  /** Nobody will settle it. The server may have counted it. */
  abandon(charge: Charge): void {
    this.inFlight--
    this.ledger.send(charge, this.now())
    // What its end taught may let the next in order book less.
    this.pump()
  }

  settle(charge: Charge, settlement: Settlement): void {
    this.inFlight--
    const requests = isAmount(settlement.requests) ? settlement.requests : charge.requests
    const tokens = isAmount(settlement.tokens) ? settlement.tokens : charge.tokens
    // What is beyond the booking of its arrival can't be told to have been counted then.
    const late = Math.min(tokens, Math.max(isAmount(settlement.growth) ? settlement.growth : 0, tokens - charge.tokens))
    this.ledger.shrink(charge, requests, tokens - late)
    if (late > 0) this.ledger.owe(late, this.now())
    // After a debt too: what it taught may let the next in order book less.
    this.pump()
  }

  release(charge: Charge): void {
    this.inFlight--
    this.ledger.remove(charge)
    this.pump()
  }

  throttled(unit: Unit | undefined): void {
    const now = this.now()
    if (!this.ledger.refused(unit, now)) return
    // What was sent before the guard was widened, and refused with the first, says nothing of the wider one.
    if (now - this.widenedAt < widestGuardMillis) return
    this.widenedAt = now
    this.ledger.setGuard(Math.min(Math.max(1, this.ledger.guardMillis) * 2, widestGuardMillis))
  }

  close(): void {
    this.timer?.stop()
    this.timer = undefined
    for (let head = this.room.head; head !== undefined; head = this.room.head) {
      this.room.remove(head)
      head.close()
    }
  }

  /** Admits from the head of the line all that fit, and sets the timer for the first that does not. */
  private pump(): void {
    const now = this.now()
    for (let head = this.room.head; head !== undefined; head = this.room.head) {
      const amount = head.amount()
      if (!this.fits(head.requests, amount, now)) {
        // A time that has come by rounding alone is asked for again, but not at once.
        this.wakeAt(Math.max(this.ledger.nextFit(head.requests, amount.tokens, now, amount.growth), now + 1), now)
        return
      }
      this.room.remove(head)
      head.admit(amount)
    }
    this.wakeAt(Infinity, now)
  }

  /** Whoever waits for a charge that was not sent knows only now when it leaves. */
  private rearm(): void {
    if (this.room.size > 0 && this.timer === undefined) this.pump()
  }

  private wakeAt(at: number, now: number): void {
    if (this.timer !== undefined) {
      // A timer that rings too early finds nobody and is set anew: cheaper than to stop it at every refund.
      if (this.timer.at <= at && at !== Infinity) return
      this.timer.stop()
      this.timer = undefined
    }
    if (at === Infinity) return
    // Whole milliseconds, upwards: a timer that rings a fraction too early has to be set again.
    const stop = this.wakeAfter(Math.max(0, Math.ceil(at - now)), () => {
      this.timer = undefined
      this.pump()
    })
    this.timer = { at, stop }
  }
}
