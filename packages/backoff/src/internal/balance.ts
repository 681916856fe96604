// The arithmetic of the budget: no clock, no Effect. A balance grows with calls and with time, up to its capacity, and
// each retry costs one.

export interface Terms {
  /** Retries that one call pays for. */
  readonly ratio: number
  /** Retries per second that are there without any call. */
  readonly perSecond: number
  readonly capacity: number
}

export interface Balance {
  readonly available: number
  /** Milliseconds since the epoch, when `available` was right. */
  readonly at: number
  readonly calls: number
  readonly granted: number
  readonly refused: number
}

export const full = (terms: Terms, now: number): Balance => ({
  available: terms.capacity,
  at: now,
  calls: 0,
  granted: 0,
  refused: 0
})

/** Brings the balance to `now`. A clock that went backwards adds nothing. */
export const accrue = (terms: Terms, balance: Balance, now: number): Balance => {
  const seconds = Math.max(0, now - balance.at) / 1000
  return {
    ...balance,
    available: Math.min(terms.capacity, balance.available + seconds * terms.perSecond),
    at: Math.max(now, balance.at)
  }
}

export const deposit = (terms: Terms, balance: Balance, now: number): Balance => {
  const accrued = accrue(terms, balance, now)
  return {
    ...accrued,
    available: Math.min(terms.capacity, accrued.available + terms.ratio),
    calls: accrued.calls + 1
  }
}

export const withdraw = (terms: Terms, balance: Balance, now: number): readonly [granted: boolean, Balance] => {
  const accrued = accrue(terms, balance, now)
  // Ten deposits of 0.1 are a little less than 1 in floating point, and shall pay for a retry.
  // Stryker disable next-line EqualityOperator: a billionth below one, to the last bit, is on neither side of the rule
  return accrued.available >= 1 - 1e-9
    ? [true, { ...accrued, available: Math.max(0, accrued.available - 1), granted: accrued.granted + 1 }]
    : [false, { ...accrued, refused: accrued.refused + 1 }]
}
