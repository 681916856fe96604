// How many may be in flight at a server that is short of capacity.

/** What is left of what was in flight when the server was overloaded. */
const keptWhenOverloaded = 0.7

/** What was sent before, and fails after, says nothing new for so long, in milliseconds. */
const settlesAfterMillis = 1_000

/** So long after the last failure the ceiling is gone, in milliseconds. */
const forgottenAfterMillis = 600_000

/**
 * A bound on what is in flight, while the server is short of capacity: it needs fewer at once and not fewer a minute. None until it says so; then
 * less by three tenths, and one more for as many answers as it is high.
 *
 * @internal
 */
export class Ceiling {
  private bound = Infinity
  private loweredAt = -Infinity

  at(now: number): number {
    return now - this.loweredAt >= forgottenAfterMillis ? Infinity : Math.max(1, Math.floor(this.bound))
  }

  overloaded(inFlight: number, now: number): void {
    if (now - this.loweredAt < settlesAfterMillis) return
    this.bound = Math.max(1, Math.min(this.at(now), inFlight) * keptWhenOverloaded)
    this.loweredAt = now
  }

  answered(): void {
    this.bound += 1 / this.bound
  }
}
