// How long a target took for the last calls that it answered: so many of them, and what part of them took at most how long.

/** Enough for a 99th percentile that two of them stand above, and a copy that is sorted in some microseconds. */
const kept = 256

/** The last ones are sorted anew after so many more: a sixteenth of them moves no percentile far. */
const between = 16

export class Latencies {
  private readonly ring: Array<number> = []
  private next = 0
  private sorted: ArrayLike<number> = []
  private unsorted = 0
  /** How many are known. */
  get count(): number {
    return this.ring.length
  }

  add(millis: number): void {
    this.ring[this.next] = millis
    this.next = (this.next + 1) % kept
    this.unsorted++
  }

  /** What a part of them took at most: the smallest time for which that is so. `undefined` while none is known. */
  percentile(part: number): number | undefined {
    if (this.unsorted >= between || this.sorted.length < Math.min(this.ring.length, between)) {
      // As numbers, without a function that is asked for each two of them.
      this.sorted = new Float64Array(this.ring).sort()
      this.unsorted = 0
    }
    return this.sorted[Math.max(0, Math.ceil(part * this.sorted.length) - 1)]
  }
}
