// Which target's cache has which part of a prompt, as far as one knows who sent it there.
import type { Prefix } from "../Decision.ts"

/**
 * For each prefix the targets that it was sent to, and until when their caches keep it. Holds so many prefixes; whichever was not sent for the longest time
 * gives way. Nothing ends by itself: what is over is seen when it is asked for.
 */
export class Affinity {
  private readonly targets = new Map<string, Map<number, number>>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** A target got a prompt with these, and its cache keeps each: a use begins its time anew, and never ends it sooner. */
  touch(prefixes: ReadonlyArray<Prefix>, index: number, nowMillis: number): void {
    for (const { key, millis } of prefixes) {
      if (millis <= 0) continue
      const targets = this.targets.get(key) ?? new Map<number, number>()
      targets.set(index, Math.max(nowMillis + millis, targets.get(index) ?? 0))
      this.targets.delete(key)
      this.targets.set(key, targets)
    }
    for (const oldest of this.targets.keys()) {
      if (this.targets.size <= this.capacity) return
      this.targets.delete(oldest)
    }
  }

  /** How many of them, which are from the shortest to the longest, are in a target's cache: a longer one has the shorter in it. */
  warm(prefixes: ReadonlyArray<Prefix>, index: number, nowMillis: number): number {
    const longest = prefixes.findLastIndex(({ key }) => (this.targets.get(key)?.get(index) ?? 0) > nowMillis)
    return longest + 1
  }

  get size(): number {
    return this.targets.size
  }
}
