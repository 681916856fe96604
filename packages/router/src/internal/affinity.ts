// Which target's cache has which prompt, as far as one knows who sent it there.

/**
 * For each prefix the targets that it was sent to, and until when their caches keep it. Holds so many prefixes; whichever was not sent for the longest time
 * gives way. Nothing ends by itself: what is over is seen when it is asked for.
 */
export class Affinity {
  private readonly prefixes = new Map<string, Map<number, number>>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** A target got the prefix, and keeps it until then: each use begins its time anew, and never ends it sooner. Constant time. */
  touch(prefix: string, index: number, untilMillis: number): void {
    const targets = this.prefixes.get(prefix) ?? new Map<number, number>()
    targets.set(index, Math.max(untilMillis, targets.get(index) ?? 0))
    this.prefixes.delete(prefix)
    this.prefixes.set(prefix, targets)
    if (this.prefixes.size <= this.capacity) return
    for (const oldest of this.prefixes.keys()) {
      this.prefixes.delete(oldest)
      break
    }
  }

  /** Whether a target's cache has it. */
  warm(prefix: string, index: number, nowMillis: number): boolean {
    return (this.prefixes.get(prefix)?.get(index) ?? 0) > nowMillis
  }

  get size(): number {
    return this.prefixes.size
  }
}
