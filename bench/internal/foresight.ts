/**
 * What a scheduler would do that knows every request, every length and every latency beforehand, and of the server what we know: it keeps
 * a rolling window that holds whether growth is charged right after arrival or when the answer is over. A request is charged its reservation
 * until its answer is over, and its settlement from then on.
 *
 * - **In order**: requests are placed by class, then as they come, each at the first instant that moves none of those placed before it. So
 *   nobody starts later than first come, first served, in its class: the order that the limiter keeps, by somebody who knows all.
 * - **Unrestricted**: the shortest of many such plans, each from another order.
 */
import { generator } from "./chance.ts"
import { reserved, settled, type Traffic } from "./traffic.ts"

export interface Job {
  /** Not before. */
  readonly from: number
  readonly latency: number
  /** Charged until the answer is over, and after. */
  readonly first: number
  readonly then: number
  /** What it grows by. */
  readonly growth: number
}

export interface Limits {
  readonly requests: number
  readonly tokens: number
  readonly window: number
}

/** When growth is counted: right after arrival, or when the answer is over. A plan has to keep to the limit either way. */
type Reading = "early" | "late"

/** What a job is charged so long after its start. */
const chargeOf = ({ first, growth, latency, then }: Job, reading: Reading, window: number, after: number): number => {
  if (reading === "early") return after >= window ? 0 : growth > 0 ? first + growth : after < latency ? first : then
  const own = after >= window ? 0 : after < latency ? first : then
  return after > latency && after < latency + window ? own + growth : own
}

/** Charges over time, in pieces between which nothing changes, and the starts that were planned: what is in use then, each included. */
class Plan {
  readonly #limits: Limits
  readonly #times: Array<number> = [0]
  readonly #early: Array<number> = [0]
  readonly #late: Array<number> = [0]
  readonly #requests: Array<number> = [0]
  readonly #starts: Array<{ readonly at: number; early: number; late: number; requests: number }> = []

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** The last of these times that is not later. */
  #lastOf(count: number, timeOf: (index: number) => number, time: number): number {
    let low = -1
    let high = count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (timeOf(middle) <= time) low = middle
      else high = middle - 1
    }
    return low
  }

  #pieceAt(time: number): number {
    return this.#lastOf(this.#times.length, (index) => this.#times[index] as number, time)
  }

  #cut(time: number): number {
    const piece = this.#pieceAt(time)
    if (this.#times[piece] === time) return piece
    for (const values of [this.#early, this.#late, this.#requests]) {
      values.splice(piece + 1, 0, values[piece] as number)
    }
    this.#times.splice(piece + 1, 0, time)
    return piece + 1
  }

  #charge(values: Array<number>, from: number, to: number, amount: number): void {
    if (to <= from || amount === 0) return
    const first = this.#cut(from)
    const end = this.#cut(to)
    for (let piece = first; piece < end; piece++) values[piece] = (values[piece] as number) + amount
  }

  #startAfter(time: number): number {
    return this.#lastOf(this.#starts.length, (index) => this.#starts[index]?.at as number, time) + 1
  }

  /** Whether those that start later would still be admitted. */
  #movesNobody(job: Job, start: number): boolean {
    const { requests, tokens, window } = this.#limits
    const end = start + window + (job.growth > 0 ? job.latency : 0)
    for (let index = this.#startAfter(start); index < this.#starts.length; index++) {
      const other = this.#starts[index]
      if (other === undefined || other.at >= end) break
      const after = other.at - start
      if (
        other.early + chargeOf(job, "early", window, after) > tokens ||
        other.late + chargeOf(job, "late", window, after) > tokens ||
        (after < window && other.requests + 1 > requests)
      ) return false
    }
    return true
  }

  /** Places a job at the first instant at which it is admitted and moves nobody, and gives that. */
  place(job: Job): number {
    const { requests, tokens } = this.#limits
    let start = job.from
    for (let piece = this.#pieceAt(start);; start = this.#times[++piece] as number) {
      if (
        (this.#early[piece] as number) + job.first <= tokens && (this.#late[piece] as number) + job.first <= tokens &&
        (this.#requests[piece] as number) + 1 <= requests && this.#movesNobody(job, start)
      ) break
    }
    this.#enter(job, start)
    return start
  }

  #enter(job: Job, start: number): void {
    const { window } = this.#limits
    const { first, growth, then } = job
    const held = Math.min(job.latency, window)
    const piece = this.#pieceAt(start)
    const place = this.#startAfter(start)
    this.#starts.splice(place, 0, {
      at: start,
      early: (this.#early[piece] as number) + first,
      late: (this.#late[piece] as number) + first,
      requests: (this.#requests[piece] as number) + 1
    })
    for (let index = place + 1; index < this.#starts.length; index++) {
      const other = this.#starts[index]
      if (other === undefined || other.at >= start + window + job.latency) break
      const after = other.at - start
      other.early += chargeOf(job, "early", window, after)
      other.late += chargeOf(job, "late", window, after)
      if (after < window) other.requests++
    }
    this.#charge(this.#requests, start, start + window, 1)
    if (growth > 0) this.#charge(this.#early, start, start + window, first + growth)
    else {
      this.#charge(this.#early, start, start + held, first)
      this.#charge(this.#early, start + held, start + window, then)
    }
    this.#charge(this.#late, start, start + held, first)
    this.#charge(this.#late, start + held, start + window, then)
    this.#charge(this.#late, start + job.latency + 1, start + job.latency + window, growth)
  }
}

/** When each starts, if they are placed in this order; by their place in `jobs`. */
export const inOrder = (
  jobs: ReadonlyArray<Job>,
  order: ReadonlyArray<number>,
  limits: Limits
): ReadonlyArray<number> => {
  const plan = new Plan(limits)
  const starts: Array<number> = jobs.map(() => 0)
  for (const index of order) starts[index] = plan.place(jobs[index] as Job)
  return starts
}

/** When the last answer is over. */
export const endOf = (jobs: ReadonlyArray<Job>, starts: ReadonlyArray<number>): number =>
  jobs.reduce((last, { latency }, index) => Math.max(last, (starts[index] as number) + latency), 0)

/** The shortest plan of those from an order, from several rules of thumb, and from trials that change the best one a little. */
export const unrestricted = (
  jobs: ReadonlyArray<Job>,
  order: ReadonlyArray<number>,
  limits: Limits,
  trials: number
): ReadonlyArray<number> => {
  const indices = jobs.map((_, index) => index)
  const by = (weigh: (job: Job) => number): ReadonlyArray<number> =>
    indices.toSorted((a, b) => weigh(jobs[b] as Job) - weigh(jobs[a] as Job) || a - b)
  let best = order
  let starts = inOrder(jobs, best, limits)
  let end = endOf(jobs, starts)
  const attempt = (order: ReadonlyArray<number>): void => {
    const found = inOrder(jobs, order, limits)
    const foundEnd = endOf(jobs, found)
    if (foundEnd > end) return
    best = order
    starts = found
    end = foundEnd
  }
  attempt(by(({ latency }) => latency))
  attempt(by(({ first }) => first))
  attempt(by(({ first, growth, latency }) => (first + growth) * latency))
  attempt(by(({ first, growth, then }) => then + growth - first))
  attempt(by(({ first, growth, then }) => first - then - growth))
  attempt(by(({ from, latency }) => latency - from))
  const chance = generator(1)
  for (let trial = 0; trial < trials; trial++) {
    const order = [...best]
    // A few change places, or one of the last to end goes to the front.
    if (trial % 2 === 0) {
      for (let swap = 0; swap < 1 + chance() * Math.min(20, jobs.length / 2); swap++) {
        const a = Math.floor(chance() * order.length)
        const b = Math.floor(chance() * order.length)
        const held = order[a] as number
        order[a] = order[b] as number
        order[b] = held
      }
    } else {
      const late = order.filter((index) => (starts[index] as number) + (jobs[index] as Job).latency >= end * 0.98)
      const chosen = late[Math.floor(chance() * late.length)] as number
      order.splice(order.indexOf(chosen), 1)
      order.splice(Math.floor(chance() * order.length), 0, chosen)
    }
    attempt(order)
  }
  return starts
}

/** Settling and an arrival may come in the same millisecond, in either order. */
const margin = 1

const jobsOf = ({ burndown, prompts }: Traffic): ReadonlyArray<Job> =>
  prompts.map((prompt) => {
    const booked = reserved(prompt)
    const charged = settled(prompt, burndown)
    return {
      from: prompt.at + prompt.way,
      latency: prompt.latency + margin,
      first: booked,
      then: Math.min(booked, charged),
      growth: Math.max(0, charged - booked)
    }
  })

const rank = { interactive: 0, standard: 1, bulk: 2 }

/** When each request of a traffic has to be sent, by the client's clock. */
export const plan = (traffic: Traffic, kind: "in order" | "unrestricted", trials: number): ReadonlyArray<number> => {
  const { prompts, quota, window } = traffic
  const jobs = jobsOf(traffic)
  const limits = { ...quota, window }
  const rankOf = (index: number): number => {
    const priority = prompts[index]?.priority ?? "standard"
    return typeof priority === "number" ? -priority : rank[priority]
  }
  const order = jobs.map((_, index) => index).toSorted((a, b) => rankOf(a) - rankOf(b) || a - b)
  const starts = kind === "in order" ? inOrder(jobs, order, limits) : unrestricted(jobs, order, limits, trials)
  return starts.map((start, index) => start - (prompts[index]?.way ?? 0))
}
