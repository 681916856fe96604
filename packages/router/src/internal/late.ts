// Requests that take far longer than those to their target do: when that is, and how many others are sent beside them for it.
import type { Latencies } from "./latencies.ts"

/** What an answer takes at most that nobody calls slow, beside what it takes to be written. */
const slowMillis = 30_000

/** A request takes far longer than usual when it has taken so many times what 99 of 100 answers took at most... */
const farTimes = 3

/** ...and no less than this, which a busy machine takes by itself. */
const leastMillis = 1_000

/** Of the time that the slowest models take to write, 20 tokens a second: quick ones write 100. */
const quickPart = 0.2

/** Where next to nothing is left of its call, it is not asked all the time whether somebody else could take it. */
const soonestMillis = 10

/** So many answers say what is usual. */
const fewestUsual = 20

/**
 * After what time a request is late, so that another one is worth sending beside it: when it has taken far longer than answers of its target do, or all that
 * is `slow` where they are not known; but sooner where its call would not have as much time again for another target.
 */
export const lateAfter = (latencies: Latencies | undefined, writingMillis: number, leftMillis: number): number => {
  const usual = latencies === undefined || latencies.count < fewestUsual ? undefined : latencies.percentile(0.99)
  const slow = slowMillis + writingMillis
  // A long answer is not late before a quick model could have written it, whatever those before it took.
  const far = usual === undefined
    ? slow
    : Math.min(slow, Math.max(leastMillis, farTimes * usual, quickPart * writingMillis))
  return Math.max(soonestMillis, Math.min(far, Math.max(usual ?? 0, leftMillis / 2)))
}

/** A route begins with so many requests that it may send beside late ones for nothing, and never has more: as many failures in a row open a circuit. */
const mostStakes = 10

/** Of so many calls one more may be for nothing: a fiftieth is lost in what calls cost anyway. */
const stakesPerCall = 0.02

/**
 * What is staked on late requests. Where another target answers before a late one does, that was right, and the stake comes back; where the late one
 * answers first it was for nothing, and the stake is gone. So a target that hangs is left by all of its calls, and when all answers become longer than they were
 * some requests are sent in vain, and then no more.
 */
export class Stakes {
  private left = mostStakes
  /** Those for whom there was none. */
  private readonly waiting = new Set<() => void>()

  deposit(): void {
    this.add(stakesPerCall)
  }

  take(): boolean {
    if (this.left < 1) return false
    this.left--
    return true
  }

  giveBack(): void {
    this.add(1)
  }

  /** Calls back when there is one again; what it gives stops that. */
  heed(wake: () => void): () => void {
    this.waiting.add(wake)
    return () => {
      this.waiting.delete(wake)
    }
  }

  private add(stakes: number): void {
    this.left = Math.min(mostStakes, this.left + stakes)
    const [first] = this.waiting
    if (first === undefined || this.left < 1) return
    this.waiting.delete(first)
    first()
  }
}

interface Bell {
  readonly at: number
  readonly ring: () => void
}

/** Calls back at many times, of which most are called off: one timer for all, set for the first of them. */
export class Alarm {
  private readonly bells = new Set<Bell>()
  private readonly now: () => number
  private readonly after: (millis: number, then: () => void) => () => void
  private armed = Infinity
  private disarm: (() => void) | undefined

  constructor(now: () => number, after: (millis: number, then: () => void) => () => void) {
    this.now = now
    this.after = after
  }

  set(at: number, ring: () => void): () => void {
    if (at === Infinity) return () => {}
    const bell = { at, ring }
    this.bells.add(bell)
    // Later ones need none of their own: it is looked again when the first is over.
    if (at < this.armed) this.arm(at)
    return () => {
      this.bells.delete(bell)
    }
  }

  close(): void {
    this.disarm?.()
    this.bells.clear()
  }

  private arm(at: number): void {
    this.disarm?.()
    this.armed = at
    this.disarm = this.after(at - this.now(), () => {
      this.armed = Infinity
      this.disarm = undefined
      const now = this.now()
      let next = Infinity
      for (const bell of this.bells) {
        if (bell.at <= now) {
          this.bells.delete(bell)
          bell.ring()
        } else next = Math.min(next, bell.at)
      }
      if (next < this.armed) this.arm(next)
    })
  }
}
