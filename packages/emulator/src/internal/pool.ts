/** One pool's books: requests, tokens and tokens per day (its own, and those of its account), by Bedrock's accounting. */
import * as Meter from "../Meter.ts"

export interface Quota {
  readonly requests?: number | undefined
  readonly tokens?: number | undefined
  readonly tokensPerDay?: number | undefined
}

export type Limit = "requests" | "tokens" | "day"

/** What one admitted request is charged, until it is settled. */
export interface Reservation {
  readonly tokens: Meter.Charge | undefined
  readonly days: ReadonlyArray<Meter.Charge>
  readonly reserved: number
  /** The reservation and the growth so far. */
  charged: number
}

export interface Pool {
  readonly key: string
  readonly burndown: number
  /** Charges the reservation, or names the quota it would exceed: requests first, then tokens, then the day's. */
  readonly admit: (now: number, tokens: number) => Reservation | Limit
  /** While generating: raises the charge to `target` where that is more. The growth is stamped now. */
  readonly raise: (now: number, reservation: Reservation, target: number) => void
  /** At the end: refunds in place what was reserved too much, or charges the debt now. */
  readonly settle: (now: number, reservation: Reservation, final: number) => void
  /** Multiplies every quota from now on. */
  readonly scale: (now: number, factor: number) => void
  /** The highest use of each meter right after any admission, as a share of its limit then. */
  readonly peak: Readonly<Record<Limit, number>>
  readonly usage: (now: number) => Readonly<Record<Limit, Usage | undefined>>
}

interface Usage {
  readonly used: number
  readonly limit: number
}

const meterOf = (
  options: { readonly shape: Meter.Shape; readonly phase: number },
  limit: number | undefined,
  window: number
): Meter.Meter | undefined =>
  limit === undefined
    ? undefined
    : Meter.make({ shape: options.shape, limit, window, phase: options.phase * window })

/** The day is as long relative to the window as a day is to a minute. */
const windowsPerDay = 1440

/** What all models of an account and Region may use in a day together. */
export interface AccountDay {
  readonly meter: Meter.Meter
  readonly limit: number
}

export const accountDay = (options: {
  readonly tokensPerDay: number | undefined
  readonly shape: Meter.Shape
  readonly window: number
  readonly phase: number
}): AccountDay | undefined => {
  const { tokensPerDay: limit, window } = options
  const meter = meterOf(options, limit, window * windowsPerDay)
  return meter === undefined || limit === undefined ? undefined : { meter, limit }
}

export const make = (options: {
  readonly key: string
  readonly quota: Quota
  readonly account: AccountDay | undefined
  readonly burndown: number
  readonly shape: Meter.Shape
  readonly window: number
  /** Where fixed windows begin, as a share of the window. */
  readonly phase: number
  readonly countRejected: boolean
}): Pool => {
  const { account, quota } = options
  const requests = meterOf(options, quota.requests, options.window)
  const tokens = meterOf(options, quota.tokens, options.window)
  const day = meterOf(options, quota.tokensPerDay, options.window * windowsPerDay)
  const days = [day, account?.meter].filter((meter) => meter !== undefined)
  /** The one with the least left of it. */
  const scarcest = (now: number): Meter.Meter | undefined =>
    days.toSorted((a, b) => b.used(now) / b.limit() - a.used(now) / a.limit())[0]
  const peak = { requests: 0, tokens: 0, day: 0 }
  const note = (limit: Limit, meter: Meter.Meter | undefined, now: number): void => {
    if (meter !== undefined) peak[limit] = Math.max(peak[limit], meter.used(now) / meter.limit())
  }
  const usageOf = (meter: Meter.Meter | undefined, now: number): Usage | undefined =>
    meter === undefined ? undefined : { used: meter.used(now), limit: meter.limit() }
  const refuse = (now: number, limit: Limit): Limit => {
    if (options.countRejected) requests?.penalise(now, 1)
    return limit
  }
  return {
    key: options.key,
    burndown: options.burndown,
    admit: (now, amount) => {
      if (requests?.fits(now, 1) === false) return refuse(now, "requests")
      if (tokens?.fits(now, amount) === false) return refuse(now, "tokens")
      if (!days.every((day) => day.fits(now, amount))) return refuse(now, "day")
      requests?.charge(now, 1)
      const reservation: Reservation = {
        tokens: tokens?.charge(now, amount),
        days: days.map((day) => day.charge(now, amount)),
        reserved: amount,
        charged: amount
      }
      note("requests", requests, now)
      note("tokens", tokens, now)
      for (const day of days) note("day", day, now)
      return reservation
    },
    raise: (now, reservation, target) => {
      const growth = target - reservation.charged
      if (growth <= 0) return
      tokens?.charge(now, growth)
      for (const day of days) day.charge(now, growth)
      reservation.charged = target
    },
    settle: (now, reservation, final) => {
      const growth = final - reservation.charged
      if (growth > 0) {
        tokens?.charge(now, growth)
        for (const day of days) day.charge(now, growth)
      } else if (growth < 0) {
        if (reservation.tokens !== undefined) tokens?.refund(now, reservation.tokens, -growth)
        for (const [index, charge] of reservation.days.entries()) days[index]?.refund(now, charge, -growth)
      }
      reservation.charged = final
    },
    scale: (now, factor) => {
      if (quota.requests !== undefined) requests?.resize(now, quota.requests * factor)
      if (quota.tokens !== undefined) tokens?.resize(now, quota.tokens * factor)
      if (quota.tokensPerDay !== undefined) day?.resize(now, quota.tokensPerDay * factor)
    },
    peak,
    usage: (now) => ({
      requests: usageOf(requests, now),
      tokens: usageOf(tokens, now),
      day: usageOf(scarcest(now), now)
    })
  }
}
