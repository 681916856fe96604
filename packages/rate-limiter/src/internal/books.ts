// The books of a pool as one: requests and tokens, and whatever other meters it has. All of them together or not at all.
import * as Duration from "effect/Duration"
import type { Booking } from "../Cost.ts"
import { type Charge, type Fullest, Ledger, type Level } from "../Ledger.ts"
import type { Meter, Unit } from "../Meter.ts"
import { CostExceedsLimit, InvalidCost, InvalidMeter } from "../RateLimiterError.ts"
import type { Settlement } from "../Reservation.ts"
import { LearnedLimit } from "./learnedLimit.ts"
import { concurrency, type Holding, isPlain, type Part } from "./parts.ts"
import type { SharedMeter } from "./share.ts"
import type { Owner } from "./waitingRoom.ts"

/** @internal */
export const checkMeters = (meters: ReadonlyArray<Meter>): InvalidMeter | undefined => {
  for (const meter of meters) {
    const { limit, start, unit, window } = meter
    if (Number.isNaN(limit) || limit < 0) {
      return new InvalidMeter({ field: "limit", problem: `is ${limit}: it must be 0 or more` })
    }
    const millis = Duration.toMillis(window)
    if (start !== undefined && !(start >= 1)) {
      return new InvalidMeter({ field: "start", problem: `is ${start}: it must be 1 or more` })
    }
    if (start !== undefined && !isPlain(meter)) {
      return new InvalidMeter({
        field: "start",
        problem: "is for requests and tokens that are not shared, in windows of up to an hour"
      })
    }
    if (unit === concurrency) continue
    if (!Number.isFinite(millis) || millis <= 0) {
      return new InvalidMeter({ field: "window", problem: `is ${millis} ms: it must be finite and more than 0` })
    }
  }
  return undefined
}

/** One number that is none would stay in the sums for good, and admit nobody again. */
export const isAmount = (amount: number | undefined): amount is number =>
  amount !== undefined && Number.isFinite(amount) && amount >= 0

/** What was admitted: its charge, and whose it is. */
export interface Held {
  readonly charge: Charge
  readonly owner: Owner
  /** Whether it waited for its turn. */
  readonly queued: boolean
  /** When it was admitted. */
  readonly at: number
  /** What it holds of the further meters, in their order. */
  readonly holdings: ReadonlyArray<Holding>
}

/** So much on each meter; of the further ones in their order, where there are any. */
export interface Amount {
  readonly requests: number
  readonly tokens: number
  readonly parts?: ReadonlyArray<number> | undefined
}

export interface MutableAmount extends Amount {
  requests: number
  tokens: number
  parts?: Array<number> | undefined
}

export const copyOf = ({ parts, requests, tokens }: Amount): MutableAmount =>
  parts === undefined ? { requests, tokens } : { requests, tokens, parts: [...parts] }

/** On each meter to what another amount has of it, if that is less. */
export const lower = (amount: MutableAmount, by: Amount): void => {
  amount.requests = Math.min(amount.requests, by.requests)
  amount.tokens = Math.min(amount.tokens, by.tokens)
  const { parts } = amount
  if (by.parts !== undefined) amount.parts = by.parts.map((part, index) => Math.min(part, parts?.[index] ?? Infinity))
}

/** A start, and what is left then, and later, on each meter. */
export interface Start extends Amount {
  /** `Infinity` when nobody can tell. */
  readonly at: number
}

export class Books {
  readonly requestLimit: number
  readonly tokenLimit: number
  /** Admitted, and neither settled nor given up. */
  inFlight = 0
  /**
   * No limit that is learned is lower. Of requests, it would never let the largest in; of tokens, the server has taken so much, and others
   * with it.
   */
  private readonly largest = { requests: 1, tokens: 1 }
  /** What was asked for lately, and what the quota was short of for it: the older, the less it counts. */
  private readonly lately = { asked: 0, taken: 0 }
  /** Of the tokens, the shortest window. */
  private readonly windowMillis: number
  private readonly ledger: Ledger
  private readonly parts: ReadonlyArray<Part>
  private readonly learned: ReadonlyArray<{
    readonly unit: "requests" | "tokens"
    readonly windowMillis: number
    readonly limit: LearnedLimit
    /** Where processes share it, the smallest that any of them knows. */
    ofAll: number
  }>

  /** Nothing may be used but what a share allows. */
  private readonly shared: boolean

  constructor(meters: ReadonlyArray<Meter>, parts: ReadonlyArray<Part>, guardMillis: number, shared: boolean) {
    this.ledger = new Ledger(meters.filter(isPlain), guardMillis, shared)
    this.parts = parts
    this.shared = shared
    // Without a limit and without a start there is nothing to learn: it was said to be none.
    this.learned = meters.filter(isPlain).filter(({ limit, start }) => limit < Infinity || start !== undefined).map(
      ({ limit, start, unit, window }) => {
        const windowMillis = Duration.toMillis(window)
        const own = { unit: unit === "requests" ? unit : "tokens", windowMillis } as const
        const learned = new LearnedLimit(limit, start, windowMillis)
        if (learned.isLearned) this.limited(own, learned.limit)
        return { ...own, limit: learned, ofAll: Infinity }
      }
    )
    const limitOf = (unit: string) =>
      meters.reduce((least, meter) => meter.unit === unit ? Math.min(least, meter.limit) : least, Infinity)
    this.windowMillis = meters.reduce(
      (least, { unit, window }) => unit === "tokens" ? Math.min(least, Duration.toMillis(window)) : least,
      Infinity
    )
    this.requestLimit = limitOf("requests")
    this.tokenLimit = limitOf("tokens")
  }

  /** What the tokens of one request can be at most, for now: a limit that was learned refuses nobody, who goes when all else has left. */
  get mostTokens(): number {
    if (!this.shared) return Math.min(this.tokenLimit, this.ledger.limitOf("tokens"))
    return this.learned.reduce(
      (most, { limit, ofAll, unit }) => unit === "tokens" ? Math.min(most, limit.limit, ofAll) : most,
      this.tokenLimit
    )
  }

  get guardMillis(): number {
    return this.ledger.guardMillis
  }

  setGuard(millis: number): void {
    this.ledger.setGuard(millis)
  }

  levels(now: number): ReadonlyArray<Level> {
    const levels = this.ledger.levels(now).map((level) => {
      const learned = this.learnedOf(level.unit, level.windowMillis)
      return learned?.isLearned === true ? { ...level, told: learned.told } : level
    })
    return [...levels, ...this.parts.map((part) => part.level(now))]
  }

  sharesWith(other: Books): boolean {
    return this.parts.some((part) => other.parts.includes(part))
  }

  /** Why a cost can never be admitted; `undefined` when it can. */
  refusal(cost: Owner): CostExceedsLimit | InvalidCost | undefined {
    const { requests, tokens } = cost
    if (!isAmount(requests)) {
      return new InvalidCost({ field: "requests", problem: `are ${requests}: 0 or more are needed` })
    }
    if (!isAmount(tokens)) return new InvalidCost({ field: "tokens", problem: `are ${tokens}: 0 or more are needed` })
    if (Number.isNaN(cost.priority)) {
      return new InvalidCost({
        field: "priority",
        problem: "is neither a number nor one of interactive, standard, bulk"
      })
    }
    // A limit of 0 admits nothing, not even what costs nothing.
    if (requests > this.requestLimit || this.requestLimit === 0) {
      return new CostExceedsLimit({ unit: "requests", requested: requests, limit: this.requestLimit })
    }
    if (tokens > this.tokenLimit || this.tokenLimit === 0) {
      return new CostExceedsLimit({ unit: "tokens", requested: tokens, limit: this.tokenLimit })
    }
    for (const { limit, unit } of this.parts) {
      const amount = amountOf(unit, cost, tokens)
      if (!isAmount(amount)) return new InvalidCost({ field: unit, problem: `are ${amount}: 0 or more are needed` })
      if (amount > limit || limit === 0) return new CostExceedsLimit({ unit, requested: amount, limit })
    }
    return undefined
  }

  fits(owner: Owner, { growth, tokens }: Booking, now: number): boolean {
    return this.ledger.fits(owner.requests, tokens, now, growth) &&
      (this.parts.length === 0 || this.parts.every((part) => part.fits(amountOf(part.unit, owner, tokens), now)))
  }

  book(owner: Owner, { tokens }: Booking, queued: boolean, now: number): Held {
    this.inFlight++
    this.largest.requests = Math.max(this.largest.requests, owner.requests)
    const { parts } = this
    return {
      charge: this.ledger.book(owner.requests, tokens),
      owner,
      queued,
      at: now,
      holdings: parts.length === 0 ? none : parts.map((part) => part.book(amountOf(part.unit, owner, tokens), now))
    }
  }

  /** When a request starts, with the amount to book for it, if so much starts with it. */
  startOf(owner: Owner, { growth, tokens }: Booking, beside: Amount = zero, now: number): Start {
    const plan = this.ledger.plan(beside.requests + owner.requests, beside.tokens + tokens, now, growth)
    if (this.parts.length === 0) return plan
    let { at } = plan
    const parts = this.parts.map((part, index) => {
      const own = part.plan((beside.parts?.[index] ?? 0) + amountOf(part.unit, owner, tokens), now)
      at = Math.max(at, own.at)
      return own.left
    })
    return { at, requests: plan.requests, tokens: plan.tokens, parts }
  }

  /** When the next charge leaves, or may do so; `Infinity` when none is known to. */
  get nextLeavingAt(): number {
    return this.ledger.nextLeavingAt
  }

  /** What is left now on each meter. */
  left(now: number): Amount {
    const left = this.ledger.left(now)
    return this.parts.length === 0 ? left : { ...left, parts: this.parts.map((part) => part.left(now)) }
  }

  /** The part that is left now, of the meter that has the least of it. */
  free(now: number): number {
    return this.parts.reduce(
      (least, { left, limit }) => limit < Infinity ? Math.min(least, limit > 0 ? left(now) / limit : 0) : least,
      this.ledger.free(now)
    )
  }

  isWithin(spare: Amount, owner: Owner, tokens: number): boolean {
    if (owner.requests > spare.requests || tokens > spare.tokens) return false
    const { parts } = spare
    return parts === undefined ||
      this.parts.every(({ unit }, index) => amountOf(unit, owner, tokens) <= (parts[index] ?? Infinity))
  }

  /** Adds to an amount, so many times, what a request takes. */
  add(amount: MutableAmount, owner: Owner, tokens: number, times: 1 | -1): void {
    amount.requests += times * owner.requests
    amount.tokens += times * tokens
    if (this.parts.length === 0) return
    const { parts } = amount
    amount.parts = this.parts.map(({ unit }, index) => (parts?.[index] ?? 0) + times * amountOf(unit, owner, tokens))
  }

  /**
   * When the last of so much is admitted, of which the last part is what the owner needs, if all before it come one after the other. They are
   * taken to use as much of what they ask for as those before them did.
   */
  forecast(owner: Owner, ahead: { readonly requests: number; readonly tokens: number }, now: number): number {
    const requests = ahead.requests + owner.requests
    const { asked, taken } = this.lately
    const tokens = ahead.tokens * (asked > 0 ? taken / asked : 1) + owner.tokens
    // Of other units it is taken that those before it need as much as it does.
    const alike = owner.requests > 0 ? requests / owner.requests : 1
    return this.parts.reduce((latest, part) => {
      const amount = part.unit === "requests"
        ? requests
        : part.unit === "tokens"
        ? tokens
        : amountOf(part.unit, owner, 0) * alike
      return Math.max(latest, part.forecast(amount, now))
    }, this.ledger.forecast(requests, tokens, now))
  }

  sent({ charge, holdings }: Held, now: number): void {
    this.ledger.send(charge, now)
    for (const holding of holdings) holding.sent(now)
  }

  arrived({ charge, holdings }: Held, at: number): void {
    this.ledger.arrive(charge, at)
    for (const holding of holdings) holding.arrived(at)
  }

  /** Nobody will settle it. The server may have counted it. */
  abandon({ charge, holdings }: Held, now: number): void {
    this.inFlight--
    this.ledger.send(charge, now)
    for (const holding of holdings) holding.abandon(now)
  }

  /** Gives what it was charged. */
  settle(held: Held, settlement: Settlement, now: number): Pick<Amount, "requests" | "tokens"> {
    const { charge, holdings, owner } = held
    this.inFlight--
    // Nothing charged is no answer, unless nothing ever is. Before it is given back: what was booked is what filled a meter.
    if (isAnswer(held, settlement)) this.answered(held, now)
    const requests = isAmount(settlement.requests) ? settlement.requests : charge.requests
    const tokens = isAmount(settlement.tokens) ? settlement.tokens : charge.tokens
    if (isAnswer(held, settlement)) this.learn(held, tokens, now)
    // What is beyond the booking of its arrival can't be told to have been counted then.
    const late = Math.min(tokens, Math.max(isAmount(settlement.growth) ? settlement.growth : 0, tokens - charge.tokens))
    this.ledger.shrink(charge, requests, tokens - late)
    if (settlement.refused === true) this.ledger.refuse(charge)
    if (late > 0) this.ledger.owe(late, now)
    for (const [index, { unit }] of this.parts.entries()) {
      const told = settlement.units?.[unit]
      const units = isAmount(told) ? { [unit]: told } : owner.units
      holdings[index]?.settle(amountOf(unit, { requests, units }, tokens), now)
    }
    return { requests, tokens }
  }

  release({ charge, holdings }: Held, now: number): void {
    this.inFlight--
    this.ledger.remove(charge)
    for (const holding of holdings) holding.release(now)
  }

  /** The server refused what was admitted. Nothing when the books explain it; else the meter that is taken to be drawn on by somebody else, if any is. */
  refused(unit: Unit | undefined, now: number): { readonly drawnOn: string | undefined } | undefined {
    const refusal = this.ledger.unexplained(unit, now)
    if (refusal === undefined) return undefined
    const { fullest } = refusal
    if (fullest === undefined) return { drawnOn: undefined }
    const limit = this.learnedOf(fullest.unit, fullest.windowMillis)
    const used = fullest.own * this.sharers(fullest, now)
    if (limit?.refused(used, this.largest[fullest.unit], now) === true) {
      this.limited(fullest, limit.limit)
      return { drawnOn: undefined }
    }
    this.ledger.fill(fullest, now)
    return { drawnOn: meterName(fullest) }
  }

  /** The limit of a meter is another from now on. Where it is shared, the share follows when the others know. */
  private limited(meter: Pick<Fullest, "unit" | "windowMillis">, limit: number): void {
    if (!this.shared) this.ledger.setLimit(meter, limit)
  }

  /** How often what is used here fits into what all use, if they all use as much of their share. */
  private sharers(meter: Pick<Fullest, "unit" | "windowMillis">, now: number): number {
    const limit = this.learnedOf(meter.unit, meter.windowMillis)?.limit
    if (!this.shared || limit === undefined) return 1
    return Math.max(1, limit / Math.max(1, this.ledger.used(meter, now) + this.ledger.room(meter)))
  }

  /** The meters of which this process has but a share. Those that several pools draw on are not among them. */
  sharedMeters(meters: ReadonlyArray<Meter>): ReadonlyArray<SharedMeter> {
    const plain = this.learned.filter(({ limit }) => limit.told < Infinity).map(
      (learned): SharedMeter => {
        const { limit, unit, windowMillis } = learned
        const meter = { unit, windowMillis } as const
        return {
          name: meterName(meter),
          unit,
          told: limit.told,
          limit: () => limit.limit,
          staysMillis: () => windowMillis + this.ledger.guardMillis,
          setShare: (share) => this.ledger.setLimit(meter, share),
          setLimitOfAll: (limit) => {
            learned.ofAll = limit
          },
          used: (now) => this.ledger.used(meter, now),
          leaving: (now) => this.ledger.leaving(meter, now),
          nextLeaving: () => this.ledger.nextLeavingAt,
          kept: (growth, now) => unit === "tokens" ? this.ledger.kept(windowMillis, growth, now) : 0,
          amountOf: (owner, tokens) => amountOf(unit, owner, tokens)
        }
      }
    )
    const others = meters.filter((meter) => !isPlain(meter))
    return [
      ...plain,
      ...this.parts.flatMap((part, index) =>
        others[index]?.shared === undefined && part.limit < Infinity ? [sharedPart(part)] : []
      )
    ]
  }

  /** What is given back was held until now, and what is charged is held for a window: so much of the quota did a request use. */
  private learn({ at, charge, owner }: Held, tokens: number, now: number): void {
    const { lately } = this
    const heldFor = Math.min(1, (now - at) / this.windowMillis)
    lately.asked = lately.asked * remembered + owner.tokens
    lately.taken = lately.taken * remembered + tokens + Math.max(0, charge.tokens - tokens) * heldFor
  }

  /** The server answered what was admitted: a limit that was learned may rise. */
  private answered({ charge, owner }: Held, now: number): void {
    this.largest.tokens = Math.max(this.largest.tokens, owner.tokens * besideTheLargest)
    for (const { limit, unit, windowMillis } of this.learned) {
      if (!limit.isLearned) continue
      const meter = { unit, windowMillis }
      const full = this.ledger.used(meter, now) * this.sharers(meter, now) >= limit.limit * fullFrom
      // What was booked and not what it was charged: so much the server had room for.
      if (limit.answered(charge[unit], full, now)) this.limited(meter, limit.limit)
    }
  }

  private learnedOf(unit: string, windowMillis: number): LearnedLimit | undefined {
    return this.learned.find((one) => one.unit === unit && one.windowMillis === windowMillis)?.limit
  }
}

/** Whether the server served it. */
export const isAnswer = ({ owner }: Held, { refused, tokens }: Settlement): boolean =>
  refused !== true && (tokens > 0 || owner.tokens === 0)

/** Beside the largest request there is room for what others were charged: else it would wait for an empty window each time. */
const besideTheLargest = 1.25

/** Some hundred answers are remembered. */
const remembered = 0.99

/** From this part of a limit on it counts as in use: what is given back leaves gaps, and whoever waits may be too large for the rest. */
const fullFrom = 0.5

const none: ReadonlyArray<never> = []
const zero: Amount = { requests: 0, tokens: 0 }

/** What of a unit a request takes for which so many tokens are booked. */
const amountOf = (unit: Unit, { requests, units }: Pick<Owner, "requests" | "units">, tokens: number): number =>
  unit === "requests" ? requests : unit === "tokens" ? tokens : unit === concurrency ? 1 : units?.[unit] ?? 0

/** What the meter of a shared quota is called. */
export const meterName = ({ unit, windowMillis }: { readonly unit: string; readonly windowMillis: number }): string =>
  `${unit}/${windowMillis}`

/** A meter of a kind that the ledger does not keep, as one of which this process has but a share. */
export const sharedPart = (part: Part): SharedMeter => ({
  name: meterName(part),
  unit: part.unit,
  told: part.limit,
  limit: () => part.limit,
  staysMillis: () => part.staysMillis,
  setShare: part.setShare,
  // Nobody books less of it than it needs.
  setLimitOfAll: () => undefined,
  used: part.used,
  leaving: part.leaving,
  nextLeaving: part.nextLeaving,
  kept: () => 0,
  amountOf: (owner, tokens) => amountOf(part.unit, owner, tokens)
})

/** Which time of the whole quota an amount takes, in milliseconds, on the meter that is the scarcest for it. */
export const sizesOf = (meters: ReadonlyArray<Meter>) => {
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
export const savedUpMillis = (meters: ReadonlyArray<Meter>): number =>
  Math.min(3_600_000, meters.reduce((longest, { window }) => Math.max(longest, Duration.toMillis(window)), 0))
