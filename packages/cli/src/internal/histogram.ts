/** Sizes in buckets that are 5 % wide: bounded memory, and quantiles that err high by at most that. */
export interface Histogram {
  readonly add: (value: number) => void
  readonly count: () => number
  readonly max: () => number
  /** The smallest bound that at least this share of the values does not exceed; 0 when there are none. */
  readonly quantile: (share: number) => number
}

const base = Math.log(1.05)
const buckets = 400

export const make = (): Histogram => {
  const counts = new Uint32Array(buckets)
  let total = 0
  let max = 0
  return {
    add: (value) => {
      const bucket = value <= 1 ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(value) / base - 1e-9))
      counts[bucket] = (counts[bucket] ?? 0) + 1
      total += 1
      max = Math.max(max, value)
    },
    count: () => total,
    max: () => max,
    quantile: (share) => {
      const wanted = Math.ceil(share * total)
      let below = 0
      for (let bucket = 0; bucket < buckets; bucket++) {
        below += counts[bucket] ?? 0
        if (below >= wanted && below > 0) return Math.min(max, Math.floor(Math.exp(bucket * base) + 1e-6))
      }
      return max
    }
  }
}
