// A limit that is not known, or is not true: found by what the server refuses.

/**
 * Each answer while nothing was refused yet lets so much more in, as a part of what it took: itself again, and half as much on top, so what is in
 * flight grows by half in the time of an answer, and no more than that is refused in the end.
 */
const growthInSlowStart = 1.5

/** What is left of a limit, or of what was used, when the server refuses: what was in flight then was too much as well. */
const keptWhenRefused = 0.9

/** Of a limit no more is given up at once. */
const keptAtLeast = 0.5

/** The first step up after a refusal, as a part of the limit; each further one is twice as high, until the server refuses again. */
const firstStep = 0.05

/** After each refusal that a step up has met with, it takes twice as many windows until the next, up to these. */
const longestHold = 32

/** So many times the server has to refuse before a limit that was told is doubted, and over such a part of a window: somebody may come and go. */
const doubtAfter = 3
const doubtWithin = 0.5

/**
 * The limit of one meter: slow start, additive increase that grows while nothing is refused, multiplicative decrease. Plain arithmetic on times
 * that the caller passes in.
 *
 * - Where nobody told a limit, it begins at `start`, none where that is infinite, and grows with each answer until the server refuses.
 * - Where one was told, it holds until the server has refused for half a window, three times at least, what the books had room for: so a burst of
 *   somebody else's is waited out, and a limit that is wrong is lowered. It comes back as steps up go well.
 *
 * A step up that is refused is not tried again for twice as long: at most one refusal in half an hour remains, in a window of a minute.
 */
export class LearnedLimit {
  readonly told: number
  private readonly windowMillis: number
  private current: number
  /** Until the server refuses. A limit that was told does not grow then. */
  private slowStart = true
  private refusals: Array<{ readonly at: number; readonly used: number }> = []
  private holdWindows = 1
  private raised = false
  private cutAt = -Infinity
  private nextStepAt = Infinity
  private step = 0

  constructor(told: number, start: number | undefined, windowMillis: number) {
    this.told = told
    this.windowMillis = windowMillis
    this.current = start === undefined ? told : Math.min(start, told)
  }

  /** What the meter allows now. */
  get limit(): number {
    return this.current
  }

  /** Whether it is another than was told. */
  get isLearned(): boolean {
    return this.current !== this.told
  }

  /** The server refused, and of the limit so much was used. True when the limit is lower now; it never is lower than `least`. */
  refused(used: number, least: number, now: number): boolean {
    const part = this.windowMillis / 12
    // What was sent before the last cut, and is refused after it, says nothing new.
    if (now - this.cutAt < part) return false
    let taken = used
    if (!this.isLearned) {
      const last = this.refusals.at(-1)
      if (last === undefined || now - last.at >= part) this.refusals.push({ at: now, used })
      this.refusals = this.refusals.filter(({ at }) => now - at <= 2 * this.windowMillis)
      const first = Math.min(...this.refusals.map(({ at }) => at))
      if (this.refusals.length < doubtAfter || now - first < this.windowMillis * doubtWithin) return false
      // Since the first of them less was sent than the server would have taken.
      taken = Math.max(...this.refusals.map(({ used }) => used))
      this.refusals = []
    }
    this.slowStart = false
    this.holdWindows = this.raised ? Math.min(longestHold, this.holdWindows * 2) : this.holdWindows
    this.raised = false
    this.cutAt = now
    // Who had sent next to nothing was refused for what others sent: that says little of the limit.
    const half = this.current === Infinity ? 0 : this.current * keptAtLeast
    this.current = Math.max(least, half, Math.min(this.current, taken) * keptWhenRefused)
    this.step = firstStep * this.current
    this.nextStepAt = now + this.holdWindows * this.windowMillis
    return true
  }

  /** The server answered a request that took so much, while the limit was in use to the full or not. True when the limit is higher now. */
  answered(amount: number, full: boolean, now: number): boolean {
    if (!this.isLearned || !full) return false
    if (this.slowStart) {
      this.current = Math.min(this.told, this.current + amount * growthInSlowStart)
      return true
    }
    if (now < this.nextStepAt) return false
    this.current = Math.min(this.told, this.current + this.step)
    this.raised = true
    this.step *= 2
    this.nextStepAt = now + this.windowMillis
    if (!this.isLearned) this.holdWindows = 1
    return true
  }
}
