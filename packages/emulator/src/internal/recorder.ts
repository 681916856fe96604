/** Counts what happens. Bounded, whatever runs against it. */
import type * as Stats from "../Stats.ts"
import type * as Pool from "./pool.ts"

interface Counters {
  requests: number
  answered: number
  throttled: { requests: number; tokens: number; day: number }
  errors: Map<string, number>
  reserved: number
  settled: number
}

const counters = (): Counters => ({
  requests: 0,
  answered: 0,
  throttled: { requests: 0, tokens: 0, day: 0 },
  errors: new Map(),
  reserved: 0,
  settled: 0
})

/** As many ids are remembered; one that comes again after that many others counts as new. */
const remembered = 100_000

/** Counts occurrences of keys in bounded memory. */
interface Occurrences {
  /** How often it came before. */
  readonly add: (key: string) => number
  readonly stats: () => Stats.PerCall
}

const occurrences = (): Occurrences => {
  const counts = new Map<string, number>()
  let total = 0
  let distinct = 0
  let max = 0
  return {
    add: (key) => {
      const before = counts.get(key) ?? 0
      if (before === 0) {
        distinct++
        if (counts.size >= remembered) {
          for (const oldest of counts.keys()) {
            counts.delete(oldest)
            break
          }
        }
      }
      counts.set(key, before + 1)
      total++
      max = Math.max(max, before + 1)
      return before
    },
    stats: () => ({ distinct, max, mean: distinct === 0 ? 0 : total / distinct })
  }
}

export interface Recorder {
  readonly connection: () => void
  readonly request: (invocationId: string | undefined) => void
  readonly started: () => void
  readonly ended: () => void
  readonly pooled: (pool: string) => void
  readonly answered: (pool: string) => void
  readonly throttled: (pool: string, limit: Pool.Limit) => void
  readonly failed: (pool: string, name: string) => void
  readonly reserved: (pool: string, tokens: number) => void
  readonly settled: (pool: string, tokens: number) => void
  readonly log: (record: Stats.RequestRecord) => void
  readonly logging: boolean
  readonly records: () => ReadonlyArray<Stats.RequestRecord>
  readonly snapshot: (options: {
    readonly now: number
    readonly pools: ReadonlyMap<string, Pool.Pool>
    readonly perBody: Stats.PerCall
    readonly jobs: Stats.JobStats
    readonly open: number
  }) => Stats.Stats
}

const counts = (from: Counters, peak: Stats.Peak): Stats.Counts => ({
  requests: from.requests,
  answered: from.answered,
  throttled: {
    ...from.throttled,
    total: from.throttled.requests + from.throttled.tokens + from.throttled.day
  },
  errors: Object.fromEntries(from.errors),
  tokens: { reserved: from.reserved, settled: from.settled },
  peak
})

const peakOf = (pool: Pool.Pool): Stats.Peak => ({
  requests: pool.peak.requests,
  tokens: pool.peak.tokens,
  tokensPerDay: pool.peak.day
})

const usageOf = (pool: Pool.Pool, now: number): Stats.PoolStats["usage"] => {
  const { day, requests, tokens } = pool.usage(now)
  return {
    ...(requests === undefined ? {} : { requests }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(day === undefined ? {} : { tokensPerDay: day })
  }
}

/** `capacity`: how many requests the log keeps, the latest ones; 0 keeps none. */
export const make = (capacity: number): Recorder => {
  const total = counters()
  const byPool = new Map<string, Counters>()
  const invocations = occurrences()
  const log: Array<Stats.RequestRecord> = []
  let oldest = 0
  let connections = 0
  let inFlight = 0
  const of = (pool: string): Counters => {
    let found = byPool.get(pool)
    if (found === undefined) {
      found = counters()
      byPool.set(pool, found)
    }
    return found
  }
  const both = (pool: string, update: (counters: Counters) => void): void => {
    update(total)
    if (pool !== "") update(of(pool))
  }
  return {
    connection: () => {
      connections++
    },
    request: (invocationId) => {
      total.requests++
      if (invocationId !== undefined) invocations.add(invocationId)
    },
    started: () => {
      inFlight++
    },
    ended: () => {
      inFlight--
    },
    pooled: (pool) => {
      of(pool).requests++
    },
    answered: (pool) =>
      both(pool, (counters) => {
        counters.answered++
      }),
    throttled: (pool, limit) =>
      both(pool, (counters) => {
        counters.throttled[limit]++
      }),
    failed: (pool, name) =>
      both(pool, (counters) => {
        counters.errors.set(name, (counters.errors.get(name) ?? 0) + 1)
      }),
    reserved: (pool, tokens) =>
      both(pool, (counters) => {
        counters.reserved += tokens
      }),
    settled: (pool, tokens) =>
      both(pool, (counters) => {
        counters.settled += tokens
      }),
    logging: capacity > 0,
    log: (record) => {
      if (log.length < capacity) log.push(record)
      else {
        log[oldest] = record
        oldest = (oldest + 1) % capacity
      }
    },
    records: () => [...log.slice(oldest), ...log.slice(0, oldest)],
    snapshot: ({ jobs, now, open, perBody, pools }) => {
      const peak = { requests: 0, tokens: 0, tokensPerDay: 0 }
      const byKey: Record<string, Stats.PoolStats> = {}
      for (const [key, pool] of pools) {
        const own = peakOf(pool)
        peak.requests = Math.max(peak.requests, own.requests)
        peak.tokens = Math.max(peak.tokens, own.tokens)
        peak.tokensPerDay = Math.max(peak.tokensPerDay, own.tokensPerDay)
        byKey[key] = { ...counts(of(key), own), usage: usageOf(pool, now) }
      }
      return {
        ...counts(total, peak),
        connections,
        open,
        inFlight,
        perInvocation: invocations.stats(),
        perBody,
        jobs,
        pools: byKey
      }
    }
  }
}
