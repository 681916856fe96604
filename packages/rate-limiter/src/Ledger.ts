/**
 * The books of one pool: what has been charged inside its rolling windows, and when it leaves them. Plain arithmetic on
 * times that the caller passes in (milliseconds of one monotonic clock); it neither reads a clock nor waits.
 *
 * **Details**
 *
 * A charge is *booked* when it is admitted and *sent* when the request is on its way. From the latest moment at which
 * the server may have counted it, it stays for the length of the window and a *guard* on top. Until it is sent it
 * never leaves, because the server may count it at any time after now. A refund shrinks a charge in place; what is
 * owed beyond what was booked is a charge of its own, from when it is learned.
 *
 * **Gotchas**
 *
 * Times must not run backwards between calls. Amounts are whole numbers in practice; fractions are added as they are, and
 * what should fit to the last digit may have to wait for one charge more.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Growth } from "./Cost.ts"
import { Leaving } from "./internal/leaving.ts"
import { StampedTokens } from "./internal/stampedTokens.ts"
import type { Meter } from "./Meter.ts"

/**
 * One charge in the books. The ledger owns it; others only hold it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Charge {
  /** Requests that it holds now. */
  readonly requests: number
  /** Tokens that it holds now. */
  readonly tokens: number
  /** Latest time at which the server may have counted it; `Infinity` until it is sent. */
  readonly stamp: number
}

/**
 * How full a meter is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Level {
  readonly unit: string
  readonly limit: number
  /** 0 for what is in flight. */
  readonly windowMillis: number
  /** What is charged inside the window now; above `limit` only by debt, or for a moment after a refusal. */
  readonly used: number
  /** What of it is booked for somebody else, since the server refused what should have fitted, or for what was refused. */
  readonly foreign: number
  /** What this process may use of it, its own use included, where several share it: `limit` and `used` are those of all then. */
  readonly share?: number | undefined
  /** The limit that was told, where `limit` is one that was learned from what the server refused. */
  readonly told?: number | undefined
}

/**
 * When a request would start if nothing else happened, and what there would be left then, and later, on the fullest meter of each unit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  /** `Infinity` when that waits for charges that are not sent yet, or can never be. */
  readonly at: number
  readonly requests: number
  readonly tokens: number
}

/**
 * The fullest meter of a unit, and what of it was used by whom the books are for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fullest {
  readonly unit: "requests" | "tokens"
  readonly windowMillis: number
  readonly own: number
}

/** The units that the books of a pool know. */
type Unit = "requests" | "tokens"

interface MutableCharge extends Charge {
  requests: number
  tokens: number
  stamp: number
  /** Bit i is set while the charge counts in window i. */
  counted: number
  /** It was booked for somebody else, or refused: the server took nothing of it, as far as is known. */
  foreign: boolean
}

/** What is left of a window. */
interface Room {
  requests: number
  tokens: number
}

interface RollingWindow {
  readonly bit: number
  readonly millis: number
  requestLimit: number
  tokenLimit: number
  requests: number
  tokens: number
  /** What of these was booked for somebody else, or refused. */
  readonly foreign: { requests: number; tokens: number }
  /** How many charges count in it, sent or not. */
  charges: number
  /** Sent charges. */
  readonly leaving: Leaving<MutableCharge>
  /** The tokens of sent charges. */
  readonly stamped: StampedTokens
  /** Their requests, where somebody asks for them. */
  readonly stampedRequests: StampedTokens | undefined
}

/**
 * The books of one pool. See the module for what it keeps.
 *
 * **Details**
 *
 * With n charges in the window: `book`, `shrink`, `send`, `fits` (times the steps of growth) and the leaving of a charge cost O(1), `plan`
 * O(log n), `forecast` O(n); a charge that is told of in another order O(log n) too. Times any number of windows of different length,
 * which is one or two.
 *
 * @category models
 * @since 0.1.0
 */
export class Ledger {
  private readonly windows: ReadonlyArray<RollingWindow>
  private guard: number

  /** With `profiled`, what leaves when is kept of requests too: see `leaving`. */
  constructor(meters: ReadonlyArray<Meter>, guardMillis: number, profiled = false) {
    const byMillis = Map.groupBy(meters, (meter) => Duration.toMillis(meter.window))
    const limit = (meters: ReadonlyArray<Meter>, unit: Unit) =>
      Math.min(...meters.filter((meter) => meter.unit === unit).map((meter) => meter.limit))
    this.windows = Array.from(byMillis, ([millis, meters], index) => ({
      bit: 1 << index,
      millis,
      requestLimit: limit(meters, "requests"),
      tokenLimit: limit(meters, "tokens"),
      requests: 0,
      tokens: 0,
      foreign: { requests: 0, tokens: 0 },
      charges: 0,
      leaving: new Leaving<MutableCharge>(millis),
      stamped: new StampedTokens(millis),
      stampedRequests: profiled ? new StampedTokens(millis) : undefined
    }))
    this.guard = guardMillis
  }

  /** Milliseconds that a charge stays beyond its window. */
  get guardMillis(): number {
    return this.guard
  }

  /** Keeps every charge, those in the books too, this much longer than its window from now on. */
  setGuard(millis: number): void {
    this.guard = millis
  }

  /** The smallest limit of a unit, over all windows; `Infinity` where there is none. */
  limitOf(unit: Unit): number {
    let smallest = Infinity
    for (const window of this.windows) {
      smallest = Math.min(smallest, limitIn(window, unit))
    }
    return smallest
  }

  /**
   * Whether so much can be charged now, on every meter, without passing a limit: now, and at each of the times by which
   * charges may have grown, when others will have left.
   */
  fits(requests: number, tokens: number, now: number, growth: ReadonlyArray<Growth> = []): boolean {
    this.advance(now)
    return this.windows.every((window) =>
      hasRoom(window, requests, tokens) && growth.every((step) => {
        const over = overBy(window, tokens, step)
        return over <= 0 || over <= window.stamped.before(this.stampedBy(window, now + step.withinMillis))
      })
    )
  }

  /** Charges it, whether or not it fits. It stays until it is sent and its windows have passed, or it is removed. */
  book(requests: number, tokens: number): Charge {
    const charge: MutableCharge = { requests, tokens, stamp: Infinity, counted: 0, foreign: false }
    for (const window of this.windows) count(charge, window)
    return charge
  }

  /**
   * The server may count the charge from `at` on, and has done so by `at` as far as is known: its time in the windows
   * runs from here.
   */
  send(charge: Charge, at: number): void {
    const mine = charge as MutableCharge
    if (mine.stamp !== Infinity || mine.counted === 0) return
    mine.stamp = at
    for (const window of this.windows) if ((mine.counted & window.bit) !== 0) stamp(mine, window)
  }

  /**
   * The server had counted the charge by `at` at the latest. Later than what was known, it moves the charge's leaving;
   * earlier, it changes nothing, since the server can't have counted what was not yet sent.
   */
  arrive(charge: Charge, at: number): void {
    const mine = charge as MutableCharge
    if (mine.stamp === Infinity) return this.send(mine, at)
    // Stryker disable next-line EqualityOperator: the same time again changes nothing
    if (at <= mine.stamp) return
    const before = mine.stamp
    mine.stamp = at
    // What had left by the old stamp comes back; what has left by the new one too goes again when it is next looked at.
    for (const window of this.windows) {
      if ((mine.counted & window.bit) === 0) {
        count(mine, window)
        stamp(mine, window)
      } else {
        window.leaving.changed(mine, before + window.millis)
        window.stamped.remove(before, mine.tokens)
        window.stamped.add(at, mine.tokens)
        window.stampedRequests?.remove(before, mine.requests)
        window.stampedRequests?.add(at, mine.requests)
      }
    }
  }

  /** Lowers a charge to what is left of it. Amounts above what it holds change nothing: that is a debt, see `owe`. */
  shrink(charge: Charge, requests: number, tokens: number): void {
    const mine = charge as MutableCharge
    const lessRequests = Math.max(0, mine.requests - requests)
    const lessTokens = Math.max(0, mine.tokens - tokens)
    mine.requests -= lessRequests
    mine.tokens -= lessTokens
    for (const window of this.windows) {
      if ((mine.counted & window.bit) !== 0) {
        window.requests -= lessRequests
        window.tokens -= lessTokens
        if (mine.foreign) countForeign(window, { requests: lessRequests, tokens: lessTokens }, -1)
        window.leaving.changed(mine, mine.stamp + window.millis)
        window.stamped.remove(mine.stamp, lessTokens)
        window.stampedRequests?.remove(mine.stamp, lessRequests)
      }
    }
  }

  /** The server refused it: what is left of it is not what the server took. */
  refuse(charge: Charge): void {
    const mine = charge as MutableCharge
    if (mine.foreign) return
    mine.foreign = true
    for (const window of this.windows) if ((mine.counted & window.bit) !== 0) countForeign(window, mine, 1)
  }

  /** Charges a debt: tokens that the server took beyond what was booked, from when that is learned. */
  owe(tokens: number, now: number): void {
    this.send(this.book(0, tokens), now)
  }

  /**
   * The server refused what should have fitted, over its limit of `unit` where that is known: it counts more than is in the books.
   * Gives the fullest meter of that unit, or none where there is nothing to say of any; nothing when a meter is in debt: that explains it.
   */
  unexplained(unit: string | undefined, now: number): { readonly fullest: Fullest | undefined } | undefined {
    this.advance(now)
    const inDebt = (unit: Unit) => this.windows.some((window) => window[unit] > limitIn(window, unit))
    // Without a unit of these it may have been no quota at all, but a server that is short of capacity.
    // Stryker disable next-line ObjectLiteral: what is not there says as much
    if (unit !== "requests" && unit !== "tokens") return units.some(inDebt) ? undefined : { fullest: undefined }
    if (inDebt(unit)) return undefined
    // Where nobody knows a limit, the use is all there is to go by.
    const share = (window: RollingWindow) =>
      Math.max(window[unit] / limitIn(window, unit), window[unit] > 0 ? Number.MIN_VALUE : 0)
    const window = this.windows.toSorted((a, b) => share(b) - share(a))[0]
    return {
      fullest: window === undefined || share(window) === 0 ? undefined : {
        unit,
        windowMillis: window.millis,
        own: window[unit] - window.foreign[unit]
      }
    }
  }

  /**
   * Fills a meter up until there is no room for what was refused, with charges that leave evenly over its window: somebody else draws on the
   * pool, or charges have grown by more than was foreseen, and nobody knows since when.
   */
  fill({ unit, windowMillis }: Fullest, now: number): void {
    const window = this.windowOf(windowMillis)
    if (window !== undefined) this.fillWindow(window, unit, now)
  }

  /** What a meter allows from now on. */
  setLimit({ unit, windowMillis }: Pick<Fullest, "unit" | "windowMillis">, limit: number): void {
    const window = this.windowOf(windowMillis)
    if (window === undefined) return
    if (unit === "requests") window.requestLimit = limit
    else window.tokenLimit = limit
  }

  /** How much of a meter is left, without a look at the time. */
  room({ unit, windowMillis }: Pick<Fullest, "unit" | "windowMillis">): number {
    const window = this.windowOf(windowMillis)
    return window === undefined ? 0 : Math.max(0, limitIn(window, unit) - window[unit])
  }

  /** How much of a meter is used. */
  used({ unit, windowMillis }: Pick<Fullest, "unit" | "windowMillis">, now: number): number {
    this.advance(now)
    return this.windowOf(windowMillis)?.[unit] ?? 0
  }

  /**
   * Of a meter, how much leaves within what time from now, part by part of its window, in order: later than it does by a part at most. What
   * was not sent yet is none of it. Of requests only where the ledger is `profiled`.
   */
  leaving(
    { unit, windowMillis }: Pick<Fullest, "unit" | "windowMillis">,
    now: number
  ): ReadonlyArray<readonly [inMillis: number, amount: number]> {
    const window = this.windowOf(windowMillis)
    const stamped = unit === "tokens" ? window?.stamped : window?.stampedRequests
    if (stamped === undefined) return []
    return Array.from(stamped.parts(), ([end, amount]) => [end + windowMillis + this.guard - now, amount] as const)
      .filter(([inMillis]) => inMillis > 0)
      .toSorted(([a], [b]) => a - b)
  }

  /** How many tokens of a window must be free beside what is booked, for growth: what will not have left by then. */
  kept(windowMillis: number, growth: ReadonlyArray<Growth>, now: number): number {
    const window = this.windowOf(windowMillis)
    return window === undefined ? 0 : growth.reduce(
      (most, { tokens, withinMillis }) =>
        Math.max(most, tokens - window.stamped.before(this.stampedBy(window, now + withinMillis))),
      0
    )
  }

  private windowOf(millis: number): RollingWindow | undefined {
    return this.windows.find((window) => window.millis === millis)
  }

  private fillWindow(window: RollingWindow, unit: Unit, now: number): void {
    // One more than there is room for, as whole numbers.
    const missing = Math.floor(limitIn(window, unit) - window[unit]) + 1
    const parts = Math.min(missing, fillings)
    for (let part = 1; part <= parts; part++) {
      const amount = Math.round(missing * part / parts) - Math.round(missing * (part - 1) / parts)
      const charge: MutableCharge = {
        requests: 0,
        tokens: 0,
        stamp: Infinity,
        counted: 0,
        foreign: true,
        [unit]: amount
      }
      count(charge, window)
      this.send(charge, now - this.guard - window.millis + window.millis * part / parts)
    }
  }

  /** Takes out a charge that was never sent. One that was sent is lowered to nothing. */
  remove(charge: Charge): void {
    const mine = charge as MutableCharge
    if (mine.stamp !== Infinity) return this.shrink(charge, 0, 0)
    for (const window of this.windows) if ((mine.counted & window.bit) !== 0) uncount(mine, window)
  }

  /** When the next charge leaves a window, or may: never later than it does. `Infinity` when none was sent. */
  get nextLeavingAt(): number {
    return this.windows.reduce((first, { leaving }) => Math.min(first, leaving.firstAt + this.guard), Infinity)
  }

  /** What is left now on the fullest meter of each unit. */
  left(now: number): { readonly requests: number; readonly tokens: number } {
    this.advance(now)
    let requests = Infinity
    let tokens = Infinity
    for (const window of this.windows) {
      requests = Math.min(requests, window.requestLimit - window.requests)
      tokens = Math.min(tokens, window.tokenLimit - window.tokens)
    }
    return { requests, tokens }
  }

  /** The part of a limit that is left now, of the one that has the least of it: 1 where nothing is used, less than 0 in debt. */
  free(now: number): number {
    this.advance(now)
    let free = 1
    for (const { requestLimit, requests, tokenLimit, tokens } of this.windows) {
      // Of no limit all is left, and of one of 0 nothing.
      if (requestLimit < Infinity) free = Math.min(free, requestLimit > 0 ? 1 - requests / requestLimit : 0)
      if (tokenLimit < Infinity) free = Math.min(free, tokenLimit > 0 ? 1 - tokens / tokenLimit : 0)
    }
    return free
  }

  /**
   * The first time, `now` or later, at which so much fits if nothing else happens, and what is left then. With growth the time may be too
   * early, when a charge leaves. What is left is never told too high.
   */
  plan(requests: number, tokens: number, now: number, growth: ReadonlyArray<Growth> = []): Plan {
    let at = now
    let leftRequests = Infinity
    let leftTokens = Infinity
    for (const window of this.windows) {
      const room = roomBeside(window, requests, tokens)
      if (!hasRoom(window, requests, tokens)) at = Math.max(at, this.roomAt(window, requests, tokens, room))
      leftRequests = Math.min(leftRequests, room.requests)
      leftTokens = Math.min(leftTokens, room.tokens)
      for (const step of growth) {
        const over = overBy(window, tokens, step)
        if (over > 0) at = Math.max(at, this.growthAt(window, over, step.withinMillis, now))
      }
    }
    if (at < Infinity) {
      for (const window of this.windows) {
        for (const step of growth) {
          const gone = window.stamped.before(this.stampedBy(window, at + step.withinMillis))
          leftTokens = Math.min(leftTokens, gone - overBy(window, tokens, step))
        }
      }
    }
    return { at, requests: leftRequests, tokens: leftTokens }
  }

  /**
   * When a request would be admitted that has `requests` and `tokens` before it and with it in line, were every charge
   * to stay as it is and each admitted at its first instant: the line is taken as a fluid, so sizes that don't pack
   * make it later, and refunds earlier. Charges not yet sent count as sent now.
   */
  forecast(requests: number, tokens: number, now: number): number {
    this.advance(now)
    let latest = now
    for (const window of this.windows) latest = Math.max(latest, this.fluidRoomAt(window, requests, tokens, now))
    return latest
  }

  /** How full each meter is. */
  levels(now: number): ReadonlyArray<Level> {
    this.advance(now)
    const levels: Array<Level> = []
    for (const { foreign, millis, requestLimit, requests, tokenLimit, tokens } of this.windows) {
      if (requestLimit !== Infinity) {
        levels.push({
          unit: "requests",
          limit: requestLimit,
          windowMillis: millis,
          used: requests,
          foreign: foreign.requests
        })
      }
      if (tokenLimit !== Infinity) {
        levels.push({ unit: "tokens", limit: tokenLimit, windowMillis: millis, used: tokens, foreign: foreign.tokens })
      }
    }
    return levels
  }

  /** Lets go of what has left its window by now. */
  private advance(now: number): void {
    for (const window of this.windows) {
      for (;;) {
        const charge = window.leaving.shift(this.guard, now)
        if (charge === undefined) break
        uncount(charge, window)
      }
    }
  }

  private roomAt(window: RollingWindow, requests: number, tokens: number, room: Room): number {
    const isWhole = requests <= window.requestLimit && tokens <= window.tokenLimit
    return window.leaving.freeAt(room, isWhole ? window.charges : Infinity) + this.guard
  }

  /** The stamps of what has left a window by then are before this. */
  private stampedBy({ millis }: RollingWindow, leftBy: number): number {
    return leftBy - millis - this.guard
  }

  /**
   * When so much will leave within some time: that time goes on too, so this may be long before anything leaves. What has been forgotten
   * of the stamps is asked for as it leaves.
   */
  private growthAt(window: RollingWindow, over: number, withinMillis: number, now: number): number {
    // Stryker disable next-line ArithmeticOperator: from an earlier time on it finds the same, or a time that is past
    const stamped = window.stamped.reached(over, this.stampedBy(window, now + withinMillis))
    // Only of its own window: what leaves another later would set the timer beyond what is not sent yet, and leaves this one earlier.
    return Math.min(stamped + window.millis + this.guard - withinMillis, window.leaving.firstAt + this.guard)
  }

  private fluidRoomAt(window: RollingWindow, requests: number, tokens: number, now: number): number {
    // What fills a whole quota leaves one window after it was admitted, and the pattern repeats.
    const turn = window.millis + this.guard
    const turns = Math.max(wholeTurns(requests, window.requestLimit), wholeTurns(tokens, window.tokenLimit))
    const restRequests = afterTurns(requests, window.requestLimit, turns)
    const restTokens = afterTurns(tokens, window.tokenLimit, turns)
    const start = now + turns * turn
    if (hasRoom(window, restRequests, restTokens)) return start
    const room = roomBeside(window, restRequests, restTokens)
    const free = window.leaving.freeAt(room, Infinity, false)
    return free === Infinity ? start + turn : free + this.guard + turns * turn
  }
}

const count = (charge: MutableCharge, window: RollingWindow): void => {
  charge.counted |= window.bit
  window.requests += charge.requests
  window.tokens += charge.tokens
  window.charges++
  if (charge.foreign) countForeign(window, charge, 1)
}

const countForeign = (
  { foreign }: RollingWindow,
  { requests, tokens }: Pick<Charge, "requests" | "tokens">,
  sign: 1 | -1
): void => {
  foreign.requests += sign * requests
  foreign.tokens += sign * tokens
}

/** Its time in a window that counts it begins. */
const stamp = (charge: MutableCharge, { leaving, stamped, stampedRequests }: RollingWindow): void => {
  leaving.add(charge)
  stamped.add(charge.stamp, charge.tokens)
  stampedRequests?.add(charge.stamp, charge.requests)
}

/** Takes a charge out. Sums of fractions drift, so an empty window is set right: or it might never have room for all. */
const uncount = (charge: MutableCharge, window: RollingWindow): void => {
  charge.counted &= ~window.bit
  window.charges--
  window.stamped.remove(charge.stamp, charge.tokens)
  window.stampedRequests?.remove(charge.stamp, charge.requests)
  if (charge.foreign) countForeign(window, charge, -1)
  window.requests = window.charges === 0 ? 0 : window.requests - charge.requests
  window.tokens = window.charges === 0 ? 0 : window.tokens - charge.tokens
}

const units = ["requests", "tokens"] as const

const limitIn = (window: RollingWindow, unit: Unit): number =>
  unit === "requests" ? window.requestLimit : window.tokenLimit

/** In so many parts does it leave that a refusal was about: as often is the server asked again within a window. */
const fillings = 12

/** What is left now beside so much; less than nothing where that does not fit. */
const roomBeside = (window: RollingWindow, requests: number, tokens: number): Room => ({
  requests: window.requestLimit - window.requests - requests,
  tokens: window.tokenLimit - window.tokens - tokens
})

const hasRoom = (window: RollingWindow, requests: number, tokens: number): boolean =>
  window.requests + requests <= window.requestLimit && window.tokens + tokens <= window.tokenLimit

/**
 * By how much growth is more than there is room for now. Taken from the room that is left, so that growth of just that room is not over
 * it by a rounding.
 */
const overBy = (window: RollingWindow, tokens: number, growth: Growth): number =>
  growth.tokens - (window.tokenLimit - window.tokens - tokens)

/** How many whole limits, each more than 0, go before the last part of an amount; the last part is never empty. */
const wholeTurns = (amount: number, limit: number): number => Math.max(0, Math.ceil(amount / limit) - 1)

/** What is left of an amount after so many whole limits. Without a limit, nothing that matters. */
const afterTurns = (amount: number, limit: number, turns: number): number =>
  limit === Infinity ? 0 : amount - turns * limit
