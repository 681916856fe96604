// How a target's last calls ended.

/** So many calls are remembered. Twenty are some seconds of a busy program, and few enough to open within them. */
const remembered = 20

/** Fewer outcomes than this say nothing: one failure of one call would be a rate of 1. */
const fewest = 5

/**
 * What is older says nothing of now. Five calls that are further apart than this need no circuit: one that opens for ten seconds would be due for a probe
 * at nearly each of them.
 */
const recentMillis = 60_000

interface Outcome {
  readonly at: number
  readonly sick: boolean
}

/** @internal */
export class Outcomes {
  private all: Array<Outcome> = []

  add(sick: boolean, now: number): void {
    this.all.push({ at: now, sick })
    if (this.all.length > remembered) this.all.shift()
  }

  /** A call that was taken to be well has turned out not to be. It counts once: the last that was well gives it its place. */
  turned(now: number): void {
    const place = this.all.findLastIndex(({ sick }) => !sick)
    if (place >= 0) this.all.splice(place, 1)
    this.add(true, now)
  }

  /** Whether so large a part of them failed, if there are enough that tell. */
  failed(threshold: number, now: number): boolean {
    this.all = this.all.filter(({ at }) => now - at < recentMillis)
    const failures = this.all.reduce((sum, { sick }) => sick ? sum + 1 : sum, 0)
    return this.all.length >= fewest && failures / this.all.length >= threshold
  }

  clear(): void {
    this.all = []
  }
}
