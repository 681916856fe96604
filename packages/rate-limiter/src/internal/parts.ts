// The meters that few pools have: what is in flight, units of the user's own, long windows, and meters that several pools share.
import * as Duration from "effect/Duration"
import { type Charge, Ledger, type Level } from "../Ledger.ts"
import type { Meter } from "../Meter.ts"
import { InvalidMeter } from "../RateLimiterError.ts"

/** What one request holds of such a meter. The first of `settle`, `abandon` and `release` ends it. */
export interface Holding {
  readonly sent: (at: number) => void
  readonly arrived: (at: number) => void
  /** What it was charged in the end. */
  readonly settle: (amount: number, now: number) => void
  /** Nobody will say. */
  readonly abandon: (now: number) => void
  /** It was never sent. */
  readonly release: (now: number) => void
}

/** A meter beside the two that each call has. */
export interface Part {
  readonly unit: string
  readonly limit: number
  readonly fits: (amount: number, now: number) => boolean
  /** When so much would start, `Infinity` where nobody can tell, and what would be left then and later. */
  readonly plan: (amount: number, now: number) => { readonly at: number; readonly left: number }
  readonly left: (now: number) => number
  /** When the last of so much would start, one after the other. */
  readonly forecast: (amount: number, now: number) => number
  readonly book: (amount: number, now: number) => Holding
  readonly level: (now: number) => Level
  /** Of the limit, what may be used here. All of it until somebody sets it. */
  readonly setShare: (share: number) => void
  readonly used: (now: number) => number
  /** How much leaves within what time, in order. */
  readonly leaving: (now: number) => ReadonlyArray<readonly [inMillis: number, amount: number]>
  /** When something may leave next; `Infinity` when nobody can tell. */
  readonly nextLeaving: () => number
  /** How long a charge stays; 0 where it goes with the request's end. */
  readonly staysMillis: number
  readonly windowMillis: number
}

/** Beyond an hour a window is kept in parts of itself, so that a day of charges takes no more memory than an hour of them. */
const longestPlainMillis = 3_600_000

/** The unit of what is in flight. */
export const concurrency = "concurrency"

/** Whether a meter is one of those that the books of each pool keep themselves. */
export const isPlain = ({ shared, unit, window }: Meter): boolean =>
  shared === undefined && (unit === "requests" || unit === "tokens") && Duration.toMillis(window) <= longestPlainMillis

/** All such meters of a limiter: those with a name are there once for all pools. */
export class SharedParts {
  private readonly named = new Map<string, { readonly meter: Meter; readonly part: Part }>()
  private readonly guardMillis: number

  constructor(guardMillis: number) {
    this.guardMillis = guardMillis
  }

  partsOf(meters: ReadonlyArray<Meter>): ReadonlyArray<Part> | InvalidMeter {
    const parts: Array<Part> = []
    for (const meter of meters) {
      if (isPlain(meter)) continue
      if (meter.shared === undefined) {
        parts.push(partOf(meter, this.guardMillis))
        continue
      }
      const name = JSON.stringify([meter.shared, meter.unit])
      const known = this.named.get(name)
      if (known === undefined) {
        const part = partOf(meter, this.guardMillis)
        this.named.set(name, { meter, part })
        parts.push(part)
      } else if (known.meter.limit === meter.limit && Duration.equals(known.meter.window, meter.window)) {
        parts.push(known.part)
      } else {
        return new InvalidMeter({
          field: "shared",
          problem: `is ${meter.shared}, of which another pool has ${known.meter.limit} ${meter.unit} in ` +
            `${Duration.format(known.meter.window)}, and this one ${meter.limit} in ${Duration.format(meter.window)}`
        })
      }
    }
    return parts
  }
}

const partOf = (meter: Meter, guardMillis: number): Part =>
  meter.unit === concurrency
    ? inFlight(meter.limit)
    : Duration.toMillis(meter.window) > longestPlainMillis
    ? long(meter, guardMillis)
    : rolling(meter, guardMillis)

/** A rolling window like those of requests and tokens. */
const rolling = ({ limit, unit, window }: Meter, guardMillis: number): Part => {
  const ledger = new Ledger([{ unit: "tokens", limit, window }], guardMillis)
  const windowMillis = Duration.toMillis(window)
  const meter = { unit: "tokens", windowMillis } as const
  const used = (now: number) => ledger.used(meter, now)
  const holding = (charge: Charge): Holding => ({
    sent: (at) => ledger.send(charge, at),
    arrived: (at) => ledger.arrive(charge, at),
    settle: (amount, now) => {
      const more = amount - charge.tokens
      ledger.shrink(charge, 0, amount)
      // Stryker disable next-line EqualityOperator: a debt of nothing changes nothing
      if (more > 0) ledger.owe(more, now)
    },
    abandon: (now) => ledger.send(charge, now),
    release: () => ledger.remove(charge)
  })
  return {
    unit,
    limit,
    fits: (amount, now) => ledger.fits(0, amount, now),
    plan: (amount, now) => {
      const { at, tokens } = ledger.plan(0, amount, now)
      return { at, left: tokens }
    },
    left: (now) => ledger.left(now).tokens,
    forecast: (amount, now) => ledger.forecast(0, amount, now),
    book: (amount) => holding(ledger.book(0, amount)),
    level: (now) => ({ unit, limit, windowMillis, used: used(now), foreign: 0 }),
    setShare: (share) => ledger.setLimit(meter, share),
    used,
    leaving: (now) => ledger.leaving(meter, now),
    nextLeaving: () => ledger.nextLeavingAt,
    staysMillis: windowMillis + guardMillis,
    windowMillis
  }
}

/** Requests in flight: what is admitted holds its place until it is over. */
const inFlight = (limit: number): Part => {
  let used = 0
  let share = limit
  /** How long a place is held, as the last ones were. */
  let meanMillis = 0
  const book = (amount: number, since: number): Holding => {
    used += amount
    const end = (now: number) => {
      used -= amount
      meanMillis += (now - since - meanMillis) / (meanMillis === 0 ? 1 : 16)
    }
    return {
      sent: () => {},
      arrived: () => {},
      settle: (_, now) => end(now),
      abandon: end,
      release: () => {
        used -= amount
      }
    }
  }
  return {
    unit: concurrency,
    limit,
    fits: (amount) => used + amount <= share,
    plan: (amount, now) => ({ at: used + amount <= share ? now : Infinity, left: share - used - amount }),
    left: () => share - used,
    forecast: (amount, now) => now + Math.max(0, used + amount - limit) / limit * meanMillis,
    book,
    level: () => ({ unit: concurrency, limit, windowMillis: 0, used, foreign: 0 }),
    setShare: (amount) => {
      share = amount
    },
    used: () => used,
    leaving: () => [],
    nextLeaving: () => Infinity,
    staysMillis: 0,
    windowMillis: 0
  }
}

/** Into so many parts a long window is divided: a day into minutes. */
const partsOfLong = 1_440

/**
 * A long window: charges are kept by the part of it that they were sent in, and leave with the last of that part, which is later by at most a
 * 1,440th of the window. Any number of charges takes the same memory.
 */
const long = ({ limit, unit, window }: Meter, guardMillis: number): Part => {
  const windowMillis = Duration.toMillis(window)
  const partMillis = windowMillis / partsOfLong
  const sums = new Map<number, number>()
  let used = 0
  let share = limit
  let oldest = Infinity
  const leavesAt = (part: number) => (part + 1) * partMillis + windowMillis + guardMillis
  const advance = (now: number): void => {
    // Stryker disable next-line all: without it all of them are looked at each time, and none has left
    if (sums.size === 0 || leavesAt(oldest) > now) return
    for (const [part, sum] of sums) {
      if (leavesAt(part) > now) continue
      used -= sum
      sums.delete(part)
    }
    oldest = Math.min(Infinity, ...sums.keys())
  }
  const add = (part: number, amount: number): void => {
    sums.set(part, (sums.get(part) ?? 0) + amount)
    oldest = Math.min(oldest, part)
  }
  const book = (booked: number): Holding => {
    let amount = booked
    let part: number | undefined
    used += booked
    const stamp = (at: number): void => {
      const later = Math.floor(at / partMillis)
      if (part !== undefined) {
        const sum = sums.get(part)
        // It has left already, or is there.
        if (later <= part || sum === undefined) return
        sums.set(part, sum - amount)
      }
      part = later
      add(later, amount)
    }
    return {
      sent: (at) => part === undefined && stamp(at),
      arrived: stamp,
      settle: (charged, now) => {
        if (part === undefined) stamp(now)
        const sum = sums.get(part as number)
        if (sum === undefined) return
        sums.set(part as number, sum + charged - amount)
        used += charged - amount
        amount = charged
      },
      abandon: (now) => part === undefined && stamp(now),
      release: () => {
        if (part === undefined) used -= amount
        // Stryker disable next-line ConditionalExpression: what has left leaves again at once
        else if (sums.has(part)) {
          add(part, -amount)
          used -= amount
        }
        amount = 0
      }
    }
  }
  const startOf = (amount: number): number => {
    let free = share - used - amount
    for (const [part, sum] of [...sums].toSorted(([a], [b]) => a - b)) {
      free += sum
      if (free >= 0) return leavesAt(part)
    }
    return Infinity
  }
  const fits = (amount: number, now: number): boolean => {
    advance(now)
    return used + amount <= share
  }
  return {
    unit,
    limit,
    fits,
    plan: (amount, now) => ({
      at: fits(amount, now) ? now : startOf(amount),
      left: Math.max(0, share - used - amount)
    }),
    left: (now) => {
      advance(now)
      return share - used
    },
    forecast: (amount, now) => {
      const turns = Math.max(0, Math.ceil(amount / limit) - 1)
      const rest = amount - turns * limit
      const start = fits(rest, now) ? now : startOf(rest)
      return (start === Infinity ? now + windowMillis : start) + turns * windowMillis
    },
    book,
    level: (now) => {
      advance(now)
      return { unit, limit, windowMillis, used, foreign: 0 }
    },
    setShare: (amount) => {
      share = amount
    },
    used: (now) => {
      advance(now)
      return used
    },
    leaving: (now) => {
      advance(now)
      return [...sums].map(([part, amount]) => [leavesAt(part) - now, amount] as const).toSorted(([a], [b]) => a - b)
    },
    nextLeaving: () => oldest === Infinity ? Infinity : leavesAt(oldest),
    staysMillis: windowMillis + partMillis + guardMillis,
    windowMillis
  }
}
