/**
 * A pool in simulation: more requests than its quota, a client that books what the predictor says, and a server with a rolling log. Time is virtual.
 */
import { OutputPredictor } from "@caprock/quota"
import { type Random, seeded } from "./random.ts"

export interface Setup {
  readonly seed: number
  readonly requests: number
  /** Tokens per minute. */
  readonly limit: number
  readonly burndown: number
  /** Part of `maxTokens` that is used. */
  readonly share: (random: Random) => number
  /** Whether the server charges output as it is generated, or all in the end. */
  readonly charged: "during" | "end"
  /** Whether long answers take long, or all take alike. */
  readonly latency: "by-length" | "alike"
  readonly book?: "predicted" | "worst" | "reservation"
}

export interface Outcome {
  readonly throttled: number
  /** Time over the least that the settled tokens need at this quota. */
  readonly slowness: number
}

interface Entry {
  readonly at: number
  charge: number
  /** While it is generated. */
  growth: { readonly since: number; readonly perMilli: number; readonly final: number } | undefined
}

interface Event {
  readonly at: number
  readonly run: (now: number) => void
}

const minute = 60_000
const guard = 250
const way = 10

export const run = (setup: Setup): Outcome => {
  const random = seeded(setup.seed)
  const events: Array<Event> = []
  const schedule = (at: number, task: (now: number) => void) => {
    let low = 0
    let high = events.length
    // Kept in order, the next one last.
    while (low < high) {
      const middle = (low + high) >> 1
      if ((events[middle]?.at ?? 0) > at) low = middle + 1
      else high = middle
    }
    events.splice(low, 0, { at, run: task })
  }
  const lengths = OutputPredictor.empty()
  const server: Array<Entry> = []
  const ledger = new Set<{ readonly leaves: number; charge: number }>()
  let booked = 0
  let settled = 0
  let throttled = 0
  let ended = 0
  let waking = Number.POSITIVE_INFINITY
  const queue = Array.from({ length: setup.requests }, () => ({
    input: Math.floor(random.between(50, 550)),
    maxTokens: Math.floor(random.between(300, 2000)),
    share: setup.share(random),
    pace: random.between(0.5, 1.5)
  }))

  const current = ({ charge, growth }: Entry, now: number): number =>
    growth === undefined || setup.charged === "end"
      ? charge
      : Math.max(charge, Math.min(growth.final, (now - growth.since) * growth.perMilli))

  const admit = (now: number): void => {
    for (const entry of ledger) {
      if (entry.leaves > now) continue
      ledger.delete(entry)
      booked -= entry.charge
    }
    for (let request = queue[0]; request !== undefined; request = queue[0]) {
      const { input, maxTokens, pace, share } = request
      const { burndown } = setup
      const flight = OutputPredictor.begin({ maxTokens, burndown })
      const cost = Math.min(
        setup.limit,
        setup.book === "worst"
          ? input + burndown * maxTokens
          : setup.book === "reservation"
          ? input + maxTokens
          : OutputPredictor.book(lengths, flight, { inputTokens: input, now })
      )
      if (booked + cost > setup.limit) {
        OutputPredictor.end(lengths, flight, { outputTokens: undefined, now })
        break
      }
      queue.shift()
      const entry = { leaves: now + minute + guard + way, charge: cost }
      ledger.add(entry)
      booked += cost
      schedule(now + way, (arrived) => {
        const alive = server.filter((it) => it.at + minute > arrived)
        server.splice(0, server.length, ...alive)
        const sum = alive.reduce((total, it) => total + current(it, arrived), 0)
        if (sum + input + maxTokens > setup.limit + 1e-6) {
          throttled++
          schedule(arrived + way + 1000, (known) => {
            OutputPredictor.end(lengths, flight, { outputTokens: undefined, now: known })
            if (ledger.delete(entry)) booked -= entry.charge
            queue.push(request)
            admit(known)
          })
          return
        }
        const output = Math.max(1, Math.floor(maxTokens * share))
        const final = input + burndown * output
        const lasts = 300 + 20 * (setup.latency === "alike" ? 350 * pace : output)
        const charge: Entry = {
          at: arrived,
          charge: input + maxTokens,
          growth: { since: arrived, perMilli: final / lasts, final }
        }
        server.push(charge)
        schedule(arrived + lasts, (done) => {
          charge.growth = undefined
          charge.charge = final
          schedule(done + way, (known) => {
            OutputPredictor.end(lengths, flight, { outputTokens: output, now: known })
            settled += final
            ended = known
            const owed = final - entry.charge
            if (owed > 0) {
              // A debt is a charge of its own, from when it is learned.
              ledger.add({ leaves: known + minute + guard, charge: owed })
              booked += owed
            } else if (ledger.has(entry)) {
              entry.charge = final
              booked += owed
            }
            admit(known)
          })
        })
      })
    }
    let next = Number.POSITIVE_INFINITY
    for (const { leaves } of ledger) next = Math.min(next, leaves)
    if (queue.length > 0 && next < waking) {
      waking = next
      schedule(next, (at) => {
        waking = Number.POSITIVE_INFINITY
        admit(at)
      })
    }
  }

  admit(0)
  for (let event = events.pop(); event !== undefined; event = events.pop()) event.run(event.at)
  return { throttled, slowness: ended / ((settled / setup.limit - 1) * minute) }
}
