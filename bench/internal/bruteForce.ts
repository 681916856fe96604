/**
 * The judge of the anchors: every schedule of a few requests in whole instants, under the rules once more and as naively as can be. A request
 * fits if what counts at that instant, itself included, is within the limits, whether growth is charged right after arrival or in the end.
 */
import type { Job, Limits } from "./foresight.ts"

interface Sent {
  readonly job: Job
  readonly at: number
}

const counts = (sent: ReadonlyArray<Sent>, now: number, { window }: Limits, early: boolean) => {
  let tokens = 0
  let requests = 0
  const newest = sent.at(-1)
  for (const one of sent) {
    const { at, job } = one
    if (at > now - window) {
      requests++
      tokens += at + job.latency <= now ? job.then : job.first
    }
    const grown = early ? at : at + job.latency
    if (one !== newest && (early ? grown <= now : grown < now) && grown > now - window) tokens += job.growth
  }
  return { requests, tokens }
}

const accepts = (sent: ReadonlyArray<Sent>, now: number, limits: Limits): boolean =>
  [false, true].every((early) => {
    const { requests, tokens } = counts(sent, now, limits, early)
    return requests <= limits.requests && tokens <= limits.tokens
  })

/** In order, each at the first instant at which it fits. */
export const firstCome = (jobs: ReadonlyArray<Job>, limits: Limits): ReadonlyArray<number> => {
  const sent: Array<Sent> = []
  let at = 0
  for (const job of jobs) {
    while (!accepts([...sent, { job, at }], at, limits)) at++
    sent.push({ job, at })
  }
  return sent.map(({ at }) => at)
}

/** The least time of any schedule in which the request at each place starts by `latest`, or `below` where none is shorter. */
export const shortest = (
  jobs: ReadonlyArray<Job>,
  limits: Limits,
  below: number,
  latest: (place: number) => number = () => Infinity
): number => {
  let best = below
  const ofJob = jobs.map((job, place) => ({ job, latest: latest(place), key: JSON.stringify([job, latest(place)]) }))
  // Whose growth is not counted yet depends on the order within an instant; without growth nothing does.
  const anyOrder = jobs.some(({ growth }) => growth > 0)
  type Left = (typeof ofJob)[number]
  /** Whether so many windows as are left can hold what is left: a bound, to give up early. */
  const mayDo = (left: ReadonlyArray<Left>, at: number): boolean => {
    const shortestLeft = left.reduce((least, { job }) => Math.min(least, job.latency), Infinity)
    const windows = Math.ceil((best - shortestLeft - at) / limits.window)
    const kept = left.reduce((sum, { job }) => sum + job.then, 0)
    return left.length <= windows * limits.requests && kept <= windows * limits.tokens &&
      left.every((one) => at + one.job.latency < best && at <= one.latest)
  }
  const visit = (left: ReadonlyArray<Left>, sent: ReadonlyArray<Sent>, at: number, from: number, end: number): void => {
    if (left.length === 0) {
      best = Math.min(best, end)
      return
    }
    if (!mayDo(left, at)) return
    for (const [index, { job, key }] of left.entries()) {
      // Of two that are alike the order does not matter.
      if (index < from || left.slice(0, index).some((other) => other.key === key)) continue
      const next = [...sent, { job, at }]
      if (!accepts(next, at, limits)) continue
      const rest = [...left.slice(0, index), ...left.slice(index + 1)]
      visit(rest, next, at, anyOrder ? 0 : index, Math.max(end, at + job.latency))
    }
    visit(left, sent, at + 1, 0, end)
  }
  visit(ofJob, [], 0, 0, 0)
  return best
}
