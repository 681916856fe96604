// One pool: its books, who waits for it, and its one timer.
import type { Booking, Cost, Growth } from "../Cost.ts"
import type { Level } from "../Ledger.ts"
import type { LimiterStoreError } from "../LimiterStore.ts"
import type { Meter, Unit } from "../Meter.ts"
import * as Priority from "../Priority.ts"
import type { CostExceedsLimit, InvalidCost } from "../RateLimiterError.ts"
import type { Settlement } from "../Reservation.ts"
import { Accuracy } from "./accuracy.ts"
import { type Amount, Books, type Held, isAmount, isAnswer, meterName, savedUpMillis, sizesOf } from "./books.ts"
import { Ceiling } from "./ceiling.ts"
import type { Part } from "./parts.ts"
import { mostOf, nothing, Passed } from "./passed.ts"
import type { Queue, Share, SharedMeter, Sharer } from "./share.ts"
import { type Order, type Owner, type Request, type Turn, type Waiter, WaitingRoom } from "./waitingRoom.ts"

/** The guard never widens beyond this: it costs a thirtieth of a minute, and no network is slower. */
const widestGuardMillis = 2_000

/** So long without a refusal that the books can't explain, in milliseconds: whatever held requests up is over. */
const narrowsAfterMillis = 600_000

/** What a pool tells. */
export interface Hooks {
  /** Others who share a meter may find room there. */
  readonly freed: () => void
  /** Nobody waits any more, and nothing is in flight. */
  readonly idle: () => void
}

/** So many, at most, are passed while they wait. */
const passedAtMost = 16

/**
 * A pool's books, its waiting room and its one timer: everything that is shared between callers, and its only owner.
 *
 * @internal
 */
export class Pool implements Sharer {
  private readonly books: Books
  /** Where other processes draw on the same meters: what this one may use of them. */
  private readonly shared: ReadonlyArray<Share>
  private readonly hooks: Hooks
  private readonly shares: boolean
  private readonly room: WaitingRoom
  private readonly now: () => number
  private readonly wakeAfter: (millis: number, wake: () => void) => () => void
  private widenedAt = -Infinity
  private readonly guardAtFirst: number
  private readonly ceiling = new Ceiling()
  readonly accuracy = new Accuracy()
  private parked = -Infinity
  /** Who would come if there were room, and waits elsewhere meanwhile. */
  private readonly others = new Set<() => void>()
  /** Those who were admitted are told, and something ended meanwhile. */
  private telling = false
  private again = false
  /** What one who comes now may take without moving the start of anybody before it. */
  private spare: Amount = nothing
  /** The same of one who goes some time before them. */
  private later: Amount = nothing
  private timer: { readonly at: number; readonly stop: () => void } | undefined
  /** What may grow of what is in flight, as it was when the last was admitted: by when, and how much. */
  private grows: ReadonlyArray<{ readonly at: number; readonly tokens: number }> = []

  constructor(
    meters: ReadonlyArray<Meter>,
    parts: ReadonlyArray<Part>,
    order: Order,
    guardMillis: number,
    now: () => number,
    wakeAfter: (millis: number, wake: () => void) => () => void,
    hooks: Hooks,
    sharing?: (own: ReadonlyArray<SharedMeter>) => ReadonlyArray<Share>
  ) {
    this.books = new Books(meters, parts, guardMillis, sharing !== undefined)
    this.shared = sharing === undefined ? [] : sharing(this.books.sharedMeters(meters))
    for (const share of this.shared) share.add(this)
    this.guardAtFirst = guardMillis
    this.now = now
    this.wakeAfter = wakeAfter
    this.hooks = hooks
    this.shares = meters.some(({ shared }) => shared !== undefined)
    this.room = new WaitingRoom(order, sizesOf(meters), savedUpMillis(meters), now())
  }

  get waiting(): number {
    return this.room.size
  }

  get waitingTokens(): number {
    return this.room.tokens
  }

  get hasSeveral(): boolean {
    return this.shared.length > 1
  }

  get highest(): number {
    return this.room.highest
  }

  growth(now: number): ReadonlyArray<Growth> {
    // What has grown is not in the books before it is settled: until then it is still to come.
    if (this.books.inFlight === 0) return []
    return this.grows.map(({ at, tokens }) => ({ withinMillis: Math.max(0, at - now), tokens }))
  }

  queues(now: number): ReadonlyArray<Queue> {
    const next = this.room.head(now)
    return Array.from(this.room.waiting(), ({ line, priority, since }): Queue => {
      const { request } = line.head as Waiter
      return {
        priority,
        tenant: line.tenant,
        weight: line.weight,
        sinceMillis: now - since,
        count: line.count,
        requests: line.likely.requests,
        tokens: line.likely.tokens,
        first: request,
        // Who is asked what to book is taken to go now.
        booking: line.head === next ? request.amount() : this.plainAmount(request)
      }
    })
  }

  /** A share is another now. */
  admit(): void {
    this.pump()
  }

  lose(error: LimiterStoreError): void {
    this.sendAway((request) => request.lose(error))
  }

  /** Why nobody is admitted, since the store of a share is lost. */
  get lost(): LimiterStoreError | undefined {
    for (const { lost } of this.shared) if (lost !== undefined) return lost
    return undefined
  }

  /** Nobody waits, and nothing is in flight. */
  get isIdle(): boolean {
    return this.room.size === 0 && this.books.inFlight === 0
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
    return this.books.guardMillis
  }

  levels(): ReadonlyArray<Level> {
    const now = this.now()
    const levels = this.books.levels(now)
    if (this.shared.length === 0) return levels
    return levels.map((level) => {
      const name = meterName(level)
      return { ...level, ...this.shared.map((share) => share.levelOf(name, now)).find((known) => known !== undefined) }
    })
  }

  /** The processes that share its quota; `undefined` where none do. */
  get sharing(): { readonly members: number; readonly reachable: boolean } | undefined {
    return this.shared[0]?.state
  }

  sharesWith(other: Pool): boolean {
    return this.books.sharesWith(other.books)
  }

  /** Why a cost can never be admitted; `undefined` when it can. */
  refusal(cost: Cost): CostExceedsLimit | InvalidCost | undefined {
    return this.books.refusal(ownerOf(cost))
  }

  /** There may be room where there was none. */
  poke(): void {
    const now = this.now()
    if (this.room.size > 0) this.wakeAt(now, now)
    else this.tellOthers()
  }

  /** Hears of it whenever there may be room that nobody here waits for. Gives what ends that. */
  onRoom(heard: () => void): () => void {
    this.others.add(heard)
    return () => this.others.delete(heard)
  }

  private tellOthers(): void {
    for (const heard of this.others) heard()
  }

  /** What to book for a cost, as things are now. Asked of one who may be next: who foresees growth takes it to be under way from then on. */
  amountToBook({ book, tokens }: Cost): Booking {
    const asked = book?.()
    const { inFlight, mostTokens } = this.books
    if (asked === undefined) return { tokens: Math.min(tokens, mostTokens), growth: none }
    const atOnce = Math.min(isAmount(asked.tokens) ? asked.tokens : tokens, mostTokens)
    // More than a whole quota: once nothing else is in flight, an empty window has to do.
    const most = inFlight === 0 ? mostTokens - atOnce : Infinity
    // Growth of no amount says nothing, and at no time may come at once.
    const growth = asked.growth.flatMap(({ tokens, withinMillis }) =>
      isAmount(tokens)
        ? [{ withinMillis: isAmount(withinMillis) ? withinMillis : 0, tokens: Math.min(tokens, most) }]
        : []
    )
    return { tokens: atOnce, growth }
  }

  /** What it asks for, where nobody asks what to book: without growth. */
  private plainAmount({ tokens }: Owner): Booking {
    return { tokens: Math.min(tokens, this.books.mostTokens), growth: none }
  }

  private fits(owner: Owner, amount: Booking, now: number): boolean {
    return this.mayAdmit(now) && this.books.inFlight < this.ceiling.at(now) && this.books.fits(owner, amount, now)
  }

  private mayAdmit(now: number): boolean {
    for (const share of this.shared) if (!share.mayAdmit(now)) return false
    return true
  }

  /** What is here is another now, and the processes that share the quota may have to know. */
  private changed(): void {
    for (const share of this.shared) share.changed()
  }

  private booked(owner: Owner, amount: Booking, queued: boolean, now: number): Held {
    for (const share of this.shared) share.took(owner, amount.tokens)
    if (this.shared.length > 0) {
      this.grows = amount.growth.map(({ tokens, withinMillis }) => ({ at: now + withinMillis, tokens }))
    }
    return this.books.book(owner, amount, queued, now)
  }

  /** Books it if nobody waits and it fits. */
  admitNow(cost: Cost): Held | undefined {
    if (this.room.size > 0) return undefined
    const amount = this.amountToBook(cost)
    const owner = ownerOf(cost)
    const now = this.now()
    if (!this.fits(owner, amount, now)) return undefined
    this.room.had(owner)
    const held = this.booked(owner, amount, false, now)
    this.changed()
    return held
  }

  /** The part of its quota that is free, on the meter that has the least of it: of all processes, where they share it. */
  free(now: number): number {
    const free = this.shared.length === 0
      ? this.books.free(now)
      : this.levels().reduce((least, { limit, used }) => Math.min(least, limit > 0 ? 1 - used / limit : 0), 1)
    return Math.max(0, free)
  }

  /** When one who came now would be admitted. */
  forecast(cost: Cost, now: number): number {
    const { books, room } = this
    const owner = ownerOf(cost)
    const passes = room.size === 0 || books.isWithin(this.spare, owner, cost.tokens)
    const booking = passes ? this.amountToBook(cost) : this.plainAmount(owner)
    if (passes && this.fits(owner, booking, now)) return now
    // By what it would book now: with less, it would seem to fit where it does not.
    return this.startOf(owner, Math.max(owner.tokens, booking.tokens), now)
  }

  /** When one is admitted that has to wait for what goes before it, here or in all processes that share the quota. */
  private startOf(owner: Owner, tokens: number, now: number): number {
    const ahead = this.room.ahead(owner)
    return this.shared.length === 0
      ? this.books.forecast({ ...owner, tokens }, ahead, now)
      : this.shared.reduce((at, share) => Math.max(at, share.forecast(owner, ahead, tokens, now)), now)
  }

  /** Lets it in to wait; `undefined` when there is no room for it. */
  enter(request: Request): Waiter | undefined {
    if (!this.room.makeRoom(request)) return undefined
    const now = this.now()
    const foretold = !this.mayPass(request, this.room.size) && this.accuracy.isDue(now)
      ? { since: now, millis: this.startOf(request, request.tokens, now) - now }
      : undefined
    const waiter = this.room.add(request, now)
    waiter.foretold = foretold
    return waiter
  }

  /** It was let in, and may be next, or go before those who are. */
  wait(waiter: Waiter): void {
    const { request } = waiter
    const now = this.now()
    if (this.mayPass(request, this.room.size - 1) || this.room.head(now) === waiter) this.pump()
    else if (this.books.isWithin(this.later, request, request.tokens)) this.wakeAtNextLeaving(now)
    this.changed()
  }

  /** One who waits is likely to be served here with this part of it. */
  reweigh(waiter: Waiter, part: number): void {
    this.room.reweigh(waiter, part)
  }

  /** The time of the whole quota that a cost takes, in milliseconds: 0 where no rate limits it. */
  sizeOf({ requests, tokens }: Cost): number {
    return this.room.sizeOf(requests, tokens)
  }

  /** Whether it may go before so many who wait without moving the start of any of them. */
  private mayPass(request: Request, waiting: number): boolean {
    return waiting > 0 && this.books.isWithin(this.spare, request, request.tokens)
  }

  /** Books for one who waited. */
  book(owner: Owner, amount: Booking): Held {
    return this.booked(owner, amount, true, this.now())
  }

  /**
   * Someone stops waiting. Those behind may fit now. They are asked in the same instant, but after it could tell that it is over:
   * until then its growth is foreseen.
   */
  leave(waiter: Waiter): void {
    if (!this.room.remove(waiter)) return
    const now = this.now()
    this.wakeAt(this.room.size > 0 ? now : Infinity, now)
    this.changed()
    if (this.room.size === 0) this.tellOthers()
    if (this.isIdle) this.hooks.idle()
  }

  sent(held: Held): void {
    this.books.sent(held, this.now())
    this.rearm()
  }

  arrived(held: Held, agoMillis: number): void {
    this.books.arrived(held, this.now() - agoMillis)
    this.rearm()
  }

  /** Nobody will settle it. The server may have counted it. */
  abandon(held: Held): void {
    this.books.abandon(held, this.now())
    this.ended()
  }

  settle(held: Held, settlement: Settlement): void {
    const { owner, queued } = held
    const now = this.now()
    if (isAnswer(held, settlement)) this.ceiling.answered()
    this.narrow(now)
    const { requests, tokens } = this.books.settle(held, settlement, now)
    this.room.refund({ ...owner, requests: owner.requests - requests, tokens: owner.tokens - tokens }, queued)
    this.ended()
  }

  release(held: Held): void {
    this.books.release(held, this.now())
    this.room.refund(held.owner, held.queued)
    this.ended()
  }

  /** What the end of a request taught may let the next in order book less, after a debt too. */
  private ended(): void {
    // Who was just admitted may end in the same step, and so may the next: as many steps within each other as there are who wait.
    if (this.telling) this.again = true
    else this.pump()
    if (this.shares) this.hooks.freed()
    this.changed()
    if (this.isIdle) this.hooks.idle()
  }

  /** A guard that has not been needed for long is halved, down to what it was at first. */
  private narrow(now: number): void {
    if (this.books.guardMillis <= this.guardAtFirst || now - this.widenedAt < narrowsAfterMillis) return
    this.widenedAt = now
    this.books.setGuard(Math.max(this.guardAtFirst, this.books.guardMillis / 2))
  }

  /** For how long nobody is admitted; 0 or less when it is open. */
  get parkedMillis(): number {
    return this.parkedAfter(this.now())
  }

  parkedAfter(now: number): number {
    return this.parked - now
  }

  /** Nobody is admitted for so long, and who waits is told. */
  park(millis: number): void {
    if (millis <= this.parkedMillis) return
    this.parked = Math.max(this.parked, this.now() + millis)
    this.sendAway((request) => request.park())
  }

  /** The same in all processes that share its quota. */
  parkEverywhere(millis: number): void {
    this.park(millis)
    for (const share of this.shared) share.parks(millis)
  }

  /** The server is short of capacity. */
  overloaded(): void {
    // What failed is still in flight.
    this.ceiling.overloaded(this.books.inFlight, this.now())
  }

  /** The server refused what was admitted. True when the books explain it. */
  throttled(unit: Unit | undefined): boolean {
    const now = this.now()
    const refusal = this.books.refused(unit, now)
    if (refusal === undefined) return true
    const { drawnOn } = refusal
    if (drawnOn !== undefined) { for (const share of this.shared) share.drawnOn(drawnOn) }
    // What was sent before the guard was widened, and refused with the first, says nothing of the wider one.
    if (now - this.widenedAt < widestGuardMillis) return false
    this.widenedAt = now
    this.books.setGuard(Math.min(Math.max(1, this.books.guardMillis) * 2, widestGuardMillis))
    return false
  }

  close(): void {
    this.sendAway((request) => request.close())
  }

  private sendAway(end: (request: Waiter["request"]) => void): void {
    this.timer?.stop()
    this.timer = undefined
    const now = this.now()
    const away: Array<Waiter["request"]> = []
    for (let head = this.room.head(now); head !== undefined; head = this.room.head(now)) {
      this.room.remove(head)
      away.push(head.request)
    }
    for (const request of away) end(request)
    if (this.isIdle) this.hooks.idle()
  }

  /**
   * Admits in order all that fit. Behind one that does not fit yet, those who leave its start where it is: for each who is passed
   * it is worked out when it would start and what would be left then and later, and whoever passes takes no more than that. The timer is set for
   * the first start.
   */
  private pump(): void {
    this.round()
    while (this.again && !this.telling) {
      this.again = false
      this.round()
    }
  }

  private round(): void {
    const { books, room } = this
    const now = this.now()
    // It is all given back, and comes again in the order of all.
    if (!this.mayAdmit(now)) return
    const passed = new Passed(books)
    const waiting: Array<Turn> = []
    const admitted: Array<Turn["waiter"]["request"]> = []
    let spare = passed.spare(now)
    for (let turn = room.take(now); turn !== undefined; turn = room.take(now)) {
      const { request } = turn.waiter
      const plain = this.plainAmount(request)
      // Who can't go now all the same is not asked.
      const mayGo = passed.count === 0 ||
        (books.isWithin(spare, request, plain.tokens) && this.fits(request, plain, now))
      const amount = mayGo ? request.amount() : plain
      if (mayGo && books.isWithin(spare, request, mostOf(amount)) && this.fits(request, amount, now)) {
        room.served(turn, now)
        if (turn.waiter.foretold !== undefined) this.accuracy.admitted(turn.waiter.foretold, now)
        request.admit(amount)
        admitted.push(request)
        if (passed.count === 0) continue
        passed.pass(request, mostOf(amount))
      } else {
        waiting.push(turn)
        // When one of those in flight is over, nobody can tell.
        if (books.inFlight >= this.ceiling.at(now)) passed.addBlocked()
        else passed.add(request, amount, now)
      }
      spare = passed.spare(now)
      if (passed.count === passedAtMost || !room.mayHold(spare.requests, spare.tokens)) break
    }
    for (const turn of waiting.toReversed()) room.putBack(turn)
    this.spare = spare
    this.later = passed.later
    // A time that has come by rounding alone is asked for again, but not at once.
    this.wakeAt(passed.at === Infinity ? Infinity : Math.max(passed.at, now + 1), now)
    // Behind those who are passed somebody may go before them.
    if (room.size > waiting.length && room.mayHold(this.later.requests, this.later.tokens)) this.wakeAtNextLeaving(now)
    this.tell(admitted)
    if (room.size === 0) this.tellOthers()
  }

  /** Whoever goes on may come back here in the same step, and finds everything in its place. */
  private tell(admitted: ReadonlyArray<Request>): void {
    if (this.telling) {
      for (const request of admitted) request.proceed()
      return
    }
    this.telling = true
    try {
      for (const request of admitted) request.proceed()
    } finally {
      this.telling = false
    }
  }

  /** Whoever waits for a charge that was not sent knows only now when it leaves. */
  private rearm(): void {
    if (this.room.size > 0 && this.timer === undefined) this.pump()
  }

  /** As soon as there is more room than now, if anybody knows when. */
  private wakeAtNextLeaving(now: number): void {
    const at = this.books.nextLeavingAt
    if (at < Infinity) this.wakeAt(Math.max(at, now + 1), now)
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

const none: ReadonlyArray<never> = []

/** @internal */
export const ownerOf = ({ priority, requests, tenant, tokens, units }: Cost): Owner => ({
  priority: Priority.toNumber(priority),
  tenant: tenant ?? "",
  requests,
  tokens,
  units
})
