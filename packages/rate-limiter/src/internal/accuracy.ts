// How well waits are foretold.

/** Of so many who begin to wait one is foretold its wait, or one a second: it takes longer the more charges there are, and tenants who wait. */
const oneIn = 1_024
const seldomMillis = 1_000

/** So many waits are remembered, the older the less. */
const remembered = 64

/** What was foretold to one who waits. */
export interface Foretold {
  readonly since: number
  readonly millis: number
}

/** @internal */
export class Accuracy {
  /** Waits that were held against what had been foretold. */
  count = 0
  /** Milliseconds, of the last of them. */
  meanWait = 0
  meanError = 0
  private began = 0
  private lastAt = -Infinity

  /** Whether one that begins to wait now is to be foretold its wait. */
  isDue(now: number): boolean {
    const isDue = ++this.began % oneIn === 0 || now - this.lastAt >= seldomMillis
    if (isDue) this.lastAt = now
    return isDue
  }

  admitted({ millis, since }: Foretold, now: number): void {
    this.count++
    const weight = 1 / Math.min(this.count, remembered)
    this.meanWait += weight * (now - since - this.meanWait)
    this.meanError += weight * (Math.abs(now - since - millis) - this.meanError)
  }
}
