// One pool: its books, who waits for it, and its one timer.
import * as Duration from "effect/Duration"
import type { Booking, Cost } from "../Cost.ts"
import { type Charge, Ledger, type Level } from "../Ledger.ts"
import type { Meter, Unit } from "../Meter.ts"
import * as Priority from "../Priority.ts"
import type { Settlement } from "../RateLimiter.ts"
import { CostExceedsLimit, InvalidCost, InvalidMeter } from "../RateLimiterError.ts"
import { type Order, type Owner, type Turn, type Waiter, WaitingRoom } from "./waitingRoom.ts"

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

/** What was admitted: its charge, and whose it is. */
export interface Held {
  readonly charge: Charge
  readonly owner: Owner
}

/** Who waits for a later start than now, and what is left beside it. */
interface Planned {
  readonly turn: Turn
  readonly at: number
  requests: number
  tokens: number
}

/** Of so many who wait, at most, it is worked out when they start, so that others can pass them. */
const plannedAtMost = 16

/**
 * A pool's books, its waiting room and its one timer: everything that is shared between callers, and its only owner.
 *
 * @internal
 */
export class Pool {
  private readonly ledger: Ledger
  private readonly room: WaitingRoom
  private readonly now: () => number
  private readonly wakeAfter: (millis: number, wake: () => void) => () => void
  private readonly requestLimit: number
  private readonly tokenLimit: number
  /** Admitted, and neither settled nor given up. */
  private inFlight = 0
  private widenedAt = -Infinity
  /** What one who comes now may take without moving the start of anybody before it. */
  private spare: Amount = nothing
  private timer: { readonly at: number; readonly stop: () => void } | undefined

  constructor(
    meters: ReadonlyArray<Meter>,
    order: Order,
    guardMillis: number,
    now: () => number,
    wakeAfter: (millis: number, wake: () => void) => () => void
  ) {
    this.ledger = new Ledger(meters, guardMillis)
    this.now = now
    this.wakeAfter = wakeAfter
    this.requestLimit = this.ledger.limitOf("requests")
    this.tokenLimit = this.ledger.limitOf("tokens")
    this.room = new WaitingRoom(order, sizesOf(meters), savedUpMillis(meters), now())
  }

  get waiting(): number {
    return this.room.size
  }

  get waitingTokens(): number {
    return this.room.tokens
  }

  /** How many wait, by class and tenant. */
  line(): ReadonlyArray<
    { readonly priority: number; readonly tenant: string; readonly requests: number; readonly tokens: number }
  > {
    return Array.from(this.room.waiting(), ({ line, priority }) => ({
      priority,
      tenant: line.tenant,
      requests: line.requests,
      tokens: line.tokens
    }))
  }

  /** When the next is expected to be admitted; `undefined` when nobody waits, or nobody can tell. */
  get nextAt(): number | undefined {
    return this.timer?.at
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

  private book(owner: Owner, { tokens }: Booking): Held {
    this.inFlight++
    return { charge: this.ledger.book(owner.requests, tokens), owner }
  }

  /** Books it if nobody waits and it fits. */
  admitNow(cost: Cost): Held | undefined {
    if (this.room.size > 0) return undefined
    const amount = this.amountToBook(cost)
    if (!this.fits(cost.requests, amount, this.now())) return undefined
    const owner = ownerOf(cost)
    this.room.had(owner)
    return this.book(owner, amount)
  }

  /** When one who came now would be admitted. */
  forecast(cost: Cost): number {
    const ahead = this.room.ahead(ownerOf(cost))
    return this.ledger.forecast(ahead.requests + cost.requests, ahead.tokens + cost.tokens, this.now())
  }

  /** Lets it wait; `undefined` when there is no room for it. */
  wait(
    cost: Cost,
    ends: Pick<Waiter["request"], "proceed" | "close" | "shed"> & { readonly admit: (held: Held) => void }
  ): Waiter | undefined {
    const owner = ownerOf(cost)
    if (!this.room.makeRoom(owner)) return undefined
    const now = this.now()
    const waiter = this.room.add({
      ...owner,
      amount: () => this.amountToBook(cost),
      admit: (amount) => ends.admit(this.book(owner, amount)),
      proceed: ends.proceed,
      close: ends.close,
      shed: ends.shed
    }, now)
    const { requests, tokens } = this.spare
    if (this.room.head(now) === waiter || (owner.requests <= requests && owner.tokens <= tokens)) this.pump()
    return waiter
  }

  /**
   * Someone stops waiting. Those behind may fit now. They are asked in the same instant, but after it could tell that it is over:
   * until then its growth is foreseen.
   */
  leave(waiter: Waiter): void {
    if (!this.room.remove(waiter)) return
    const now = this.now()
    this.wakeAt(this.room.size > 0 ? now : Infinity, now)
  }

  sent({ charge }: Held): void {
    this.ledger.send(charge, this.now())
    this.rearm()
  }

  arrived({ charge }: Held, agoMillis: number): void {
    this.ledger.arrive(charge, this.now() - agoMillis)
    this.rearm()
  }

  /** Nobody will settle it. The server may have counted it. */
  abandon({ charge }: Held): void {
    this.inFlight--
    this.ledger.send(charge, this.now())
    // What its end taught may let the next in order book less.
    this.pump()
  }

  settle({ charge, owner }: Held, settlement: Settlement): void {
    this.inFlight--
    const requests = isAmount(settlement.requests) ? settlement.requests : charge.requests
    const tokens = isAmount(settlement.tokens) ? settlement.tokens : charge.tokens
    // What is beyond the booking of its arrival can't be told to have been counted then.
    const late = Math.min(tokens, Math.max(isAmount(settlement.growth) ? settlement.growth : 0, tokens - charge.tokens))
    this.ledger.shrink(charge, requests, tokens - late)
    if (late > 0) this.ledger.owe(late, this.now())
    this.room.refund({ ...owner, requests: owner.requests - requests, tokens: owner.tokens - tokens })
    // After a debt too: what it taught may let the next in order book less.
    this.pump()
  }

  release({ charge, owner }: Held): void {
    this.inFlight--
    this.ledger.remove(charge)
    this.room.refund(owner)
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
    const now = this.now()
    for (let head = this.room.head(now); head !== undefined; head = this.room.head(now)) {
      this.room.remove(head)
      head.request.close()
    }
  }

  /**
   * Admits in order all that fit. Behind one that does not fit yet, those who leave its start where it is: for each who is passed
   * it is worked out when it would start and what would be left then and later, and whoever passes takes no more than that. The timer is set for
   * the first start.
   */
  private pump(): void {
    const { room } = this
    const now = this.now()
    const planned: Array<Planned> = []
    const admitted: Array<Turn["waiter"]["request"]> = []
    let spare: Amount = unlimited
    let wake = Infinity
    for (let turn = room.take(now); turn !== undefined; turn = room.take(now)) {
      const { request } = turn.waiter
      const amount = request.amount()
      const passes = request.requests <= spare.requests && amount.tokens + most(amount) <= spare.tokens
      if (passes && this.fits(request.requests, amount, now)) {
        room.served(turn, now)
        request.admit(amount)
        admitted.push(request)
        if (planned.length === 0) continue
        for (const plan of planned) lower(plan, request.requests, amount.tokens + most(amount))
        spare = this.spareBeside(planned, now)
      } else {
        const plan = this.planFor(turn, amount, planned, now)
        planned.push(plan)
        wake = Math.min(wake, plan.at)
        spare = this.spareBeside(planned, now)
      }
      if (
        planned.length > 0 && (planned.length === plannedAtMost || !room.mayHold(spare.requests, spare.tokens))
      ) break
    }
    for (const { turn } of planned.toReversed()) room.putBack(turn)
    this.spare = spare
    // A time that has come by rounding alone is asked for again, but not at once.
    this.wakeAt(wake === Infinity ? Infinity : Math.max(wake, now + 1), now)
    // Whoever goes on may come back here in the same step, and finds everything in its place.
    for (const request of admitted) request.proceed()
  }

  /** When a request starts that can't start now: beside those planned before it if there is room for both, else after them. */
  private planFor(turn: Turn, amount: Booking, planned: ReadonlyArray<Planned>, now: number): Planned {
    const { ledger } = this
    const { requests } = turn.waiter.request
    const alone = ledger.plan(requests, amount.tokens, now, amount.growth)
    const tokens = amount.tokens + most(amount)
    if (planned.every((plan) => alone.at <= plan.at && requests <= plan.requests && tokens <= plan.tokens)) {
      for (const plan of planned) lower(plan, requests, tokens)
      return { turn, ...alone }
    }
    let allRequests = requests
    let allTokens = amount.tokens
    for (const { turn: { waiter } } of planned) {
      allRequests += waiter.requests
      allTokens += waiter.tokens
    }
    return { turn, ...ledger.plan(allRequests, allTokens, now, amount.growth) }
  }

  private spareBeside(planned: ReadonlyArray<Planned>, now: number): Amount {
    let { requests, tokens } = this.ledger.left(now)
    for (const plan of planned) {
      // It waits for what nobody can foresee.
      if (plan.at === Infinity) return nothing
      requests = Math.min(requests, plan.requests)
      tokens = Math.min(tokens, plan.tokens)
    }
    return { requests, tokens }
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

interface Amount {
  readonly requests: number
  readonly tokens: number
}

const nothing: Amount = { requests: -1, tokens: -1 }
const unlimited: Amount = { requests: Infinity, tokens: Infinity }

/** What is foreseen to grow at most. */
const most = ({ growth }: Booking): number => growth.reduce((most, { tokens }) => Math.max(most, tokens), 0)

const lower = (plan: Planned, requests: number, tokens: number): void => {
  plan.requests -= requests
  plan.tokens -= tokens
}

const ownerOf = ({ priority, requests, tenant, tokens }: Cost): Owner => ({
  priority: Priority.toNumber(priority),
  tenant: tenant ?? "",
  requests,
  tokens
})

/** Which time of the whole quota an amount takes, in milliseconds, on the meter that is the scarcest for it. */
const sizesOf = (meters: ReadonlyArray<Meter>) => {
  const slowest = (unit: Unit) =>
    meters.filter((meter) => meter.unit === unit).reduce(
      (most, { limit, window }) => Math.max(most, Duration.toMillis(window) / limit),
      0
    )
  const request = slowest("requests")
  const token = slowest("tokens")
  return (requests: number, tokens: number): number => Math.max(requests * request, tokens * token)
}

/** A guarantee is saved up for no longer than the longest window, and never for more than an hour. */
const savedUpMillis = (meters: ReadonlyArray<Meter>): number =>
  Math.min(3_600_000, meters.reduce((longest, { window }) => Math.max(longest, Duration.toMillis(window)), 0))
