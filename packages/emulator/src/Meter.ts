/**
 * How Bedrock counts, under each plausible reading.
 *
 * AWS documents the accounting (what a request is charged) and a 60-second period, but not the shape of the period
 * (a rolling log, fixed minutes, a bucket). Each shape is a `Meter` here: a plain list of timestamps or a level, that
 * takes the time as an argument and so runs in virtual time. Nothing is shared with the limiter that it judges.
 *
 * Time is in milliseconds on any clock that does not go back; amounts are tokens or requests.
 *
 * @since 0.1.0
 */

/**
 * The shape of the metering period.
 *
 * - `rolling`: charges whose stamp is later than `now - window` count.
 * - `fixed`: consecutive windows that begin at `phase`; each starts from nothing.
 * - `bucket`: a capacity of `limit`, refilled continuously at `limit / window`.
 *
 * @category models
 * @since 0.1.0
 */
export type Shape = "rolling" | "fixed" | "bucket"

/**
 * One charge. A refund shrinks `amount` in place.
 *
 * @category models
 * @since 0.1.0
 */
export interface Charge {
  /** When it was charged, in milliseconds. */
  readonly at: number
  /** What it still counts for. */
  amount: number
}

/**
 * One quota's record of charges.
 *
 * @category models
 * @since 0.1.0
 */
export interface Meter {
  /** Whether `amount` more can be charged now without exceeding the limit. A limit of 0 admits nothing. */
  readonly fits: (now: number, amount: number) => boolean
  /** Charges, whether it fits or not: admission asks `fits` first, growth and rejected requests do not. */
  readonly charge: (now: number, amount: number) => Charge
  /** Counts a rejected request. Like `charge`, but a bucket is emptied at most, never overdrawn. */
  readonly penalise: (now: number, amount: number) => void
  /** Gives `amount` of a charge back, as far as that charge still counts. */
  readonly refund: (now: number, charge: Charge, amount: number) => void
  /** What counts now. */
  readonly used: (now: number) => number
  /** Sets another limit from now on (a capacity dip). */
  readonly resize: (now: number, limit: number) => void
  /** The limit in force. */
  readonly limit: () => number
}

/**
 * Makes a meter. `phase` (milliseconds) is where fixed windows begin; the other shapes ignore it.
 *
 * Costs O(1) amortised per operation.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly shape: Shape
  readonly limit: number
  readonly window: number
  readonly phase?: number | undefined
}): Meter => {
  switch (options.shape) {
    case "rolling":
      return rolling(options.limit, options.window)
    case "fixed":
      return fixed(options.limit, options.window, options.phase ?? 0)
    case "bucket":
      return bucket(options.limit, options.window)
  }
}

const rolling = (initial: number, window: number): Meter => {
  let limit = initial
  let entries: Array<Charge> = []
  let head = 0
  let sum = 0
  const expire = (now: number): void => {
    for (let entry = entries[head]; entry !== undefined && entry.at <= now - window; entry = entries[head]) {
      sum -= entry.amount
      head++
    }
    // The departed are cut off in large pieces, so that each is moved at most once.
    if (head > 1024 && head * 2 > entries.length) {
      entries = entries.slice(head)
      head = 0
    }
    // Whatever rounding fractional amounts have left behind ends with the last entry.
    if (head === entries.length) sum = 0
  }
  const charge = (now: number, amount: number): Charge => {
    const entry: Charge = { at: now, amount }
    entries.push(entry)
    sum += amount
    return entry
  }
  return {
    fits: (now, amount) => {
      expire(now)
      return limit > 0 && sum + amount <= limit
    },
    charge,
    penalise: (now, amount) => {
      charge(now, amount)
    },
    refund: (now, entry, amount) => {
      expire(now)
      const given = Math.min(amount, entry.amount)
      entry.amount -= given
      if (entry.at > now - window) sum -= given
    },
    used: (now) => {
      expire(now)
      return sum
    },
    resize: (_now, next) => {
      limit = next
    },
    limit: () => limit
  }
}

const fixed = (initial: number, window: number, phase: number): Meter => {
  let limit = initial
  let current = Number.NEGATIVE_INFINITY
  let sum = 0
  const windowOf = (time: number): number => Math.floor((time - phase) / window)
  const roll = (now: number): void => {
    const index = windowOf(now)
    if (index !== current) {
      current = index
      sum = 0
    }
  }
  const charge = (now: number, amount: number): Charge => {
    roll(now)
    sum += amount
    return { at: now, amount }
  }
  return {
    fits: (now, amount) => {
      roll(now)
      return limit > 0 && sum + amount <= limit
    },
    charge,
    penalise: (now, amount) => {
      charge(now, amount)
    },
    refund: (now, entry, amount) => {
      roll(now)
      const given = Math.min(amount, entry.amount)
      entry.amount -= given
      // What was charged in an earlier window corrects that window's books, which nobody asks for any more.
      if (windowOf(entry.at) === current) sum -= given
    },
    used: (now) => {
      roll(now)
      return sum
    },
    resize: (_now, next) => {
      limit = next
    },
    limit: () => limit
  }
}

/** The refill is a fraction of a token per tick: a request that fits to within this much fits. */
const grain = 1e-6

const bucket = (initial: number, window: number): Meter => {
  let limit = initial
  let level = initial
  let last = Number.NaN
  const refill = (now: number): void => {
    if (now > last) level = Math.min(limit, level + (now - last) * limit / window)
    last = now
  }
  return {
    fits: (now, amount) => {
      refill(now)
      return limit > 0 && level + grain >= amount
    },
    charge: (now, amount) => {
      refill(now)
      level -= amount
      return { at: now, amount }
    },
    penalise: (now, amount) => {
      refill(now)
      if (level > 0) level = Math.max(0, level - amount)
    },
    refund: (now, entry, amount) => {
      refill(now)
      const given = Math.min(amount, entry.amount)
      entry.amount -= given
      level = Math.min(limit, level + given)
    },
    used: (now) => {
      refill(now)
      return limit - level
    },
    resize: (now, next) => {
      refill(now)
      limit = next
      level = Math.min(level, next)
    },
    limit: () => limit
  }
}
