/**
 * The servers that the limiter has to satisfy without knowing which of them it is: one meter each, as naive as can be.
 * A charge is taken on arrival and may be lowered later; what it grows by is a charge of its own, never refused.
 */
interface Arrived {
  amount: number
  readonly at: number
}

export interface Server {
  readonly name: string
  readonly arrive: (amount: number, at: number) => Arrived | undefined
  readonly lower: (charge: Arrived, amount: number, at: number) => void
  readonly grow: (amount: number, at: number) => void
}

/** Counts what arrived in the last window. */
export const rolling = (limit: number, window: number): Server => {
  const charges: Array<Arrived> = []
  return {
    name: "rolling log",
    arrive: (amount, at) => {
      const used = charges.filter((charge) => charge.at > at - window).reduce((sum, charge) => sum + charge.amount, 0)
      if (used + amount > limit) return undefined
      const charge = { amount, at }
      charges.push(charge)
      return charge
    },
    lower: (charge, amount) => {
      charge.amount = amount
    },
    grow: (amount, at) => {
      charges.push({ amount, at })
    }
  }
}

/** Counts anew in each window of the clock, whose phase nobody knows. */
export const fixed = (limit: number, window: number, phase: number): Server => {
  const turn = (at: number) => Math.floor((at + phase) / window)
  const charges: Array<Arrived> = []
  return {
    name: `fixed windows, phase ${phase}`,
    arrive: (amount, at) => {
      const used = charges.filter((charge) => turn(charge.at) === turn(at)).reduce((sum, { amount }) => sum + amount, 0)
      if (used + amount > limit) return undefined
      const charge = { amount, at }
      charges.push(charge)
      return charge
    },
    lower: (charge, amount) => {
      charge.amount = amount
    },
    grow: (amount, at) => {
      charges.push({ amount, at })
    }
  }
}

/** Holds a quota's worth, and refills it within a window. */
export const bucket = (limit: number, window: number): Server => {
  let level = limit
  let last = 0
  const refill = (at: number) => {
    level = Math.min(limit, level + (at - last) * limit / window)
    last = at
  }
  return {
    name: "bucket",
    arrive: (amount, at) => {
      refill(at)
      // Refilling by fractions leaves a rounding error behind.
      if (amount > level + 1e-6) return undefined
      level -= amount
      return { amount, at }
    },
    lower: (charge, amount, at) => {
      refill(at)
      level = Math.min(limit, level + charge.amount - amount)
      charge.amount = amount
    },
    grow: (amount, at) => {
      refill(at)
      level -= amount
    }
  }
}
