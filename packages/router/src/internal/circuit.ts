// How one circuit stands, and how its target comes back.
import * as Duration from "effect/Duration"
import type { Standing } from "../Decision.ts"
import { Outcomes } from "./outcomes.ts"

/** After the first opening it opens for a fifth of the longest, then for two fifths and so on. */
const firstPart = 0.2

/** No target is left alone for longer than this, whatever it asks for. */
const longest = Duration.hours(1)

/** @internal */
export const longestMillis = Duration.toMillis(longest)

/** So long after its probe was well a target gets nothing yet: one answer does not say how much it can take. */
const settlingMillis = 1_000

/** The part of its calls that it gets then, which grows to all of them. */
const firstShare = 0.1

export const whole: Standing = { _tag: "Closed", share: 1 }

/** How a circuit stood when it was last heard of. */
export class Circuit {
  readonly outcomes = new Outcomes()
  private phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  private until = 0
  private closedAt = -Infinity
  private probing = false
  /** It opened so often. What began before the last time says nothing of what came after. */
  openings = 0

  opened(until: number): void {
    this.phase = "Open"
    this.until = until
    this.probing = false
    this.openings++
    this.outcomes.clear()
  }

  probed(): void {
    this.phase = "HalfOpen"
    this.probing = true
  }

  /** The probe told nothing. */
  freed(): void {
    this.probing = false
  }

  get isClosed(): boolean {
    return this.phase === "Closed"
  }

  /** Was it closed by this? */
  closed(now: number): boolean {
    if (this.phase === "Closed") return false
    this.phase = "Closed"
    this.closedAt = now
    return true
  }

  standing(now: number, comebackMillis: number): Standing {
    switch (this.phase) {
      case "Closed": {
        const since = now - this.closedAt
        return since >= comebackMillis ? whole : {
          _tag: "Closed",
          share: shareAfter(since, comebackMillis),
          untilMillis: this.closedAt + comebackMillis
        }
      }
      case "Open":
        return now < this.until
          ? { _tag: "Open", untilMillis: this.until }
          : { _tag: "HalfOpen", probing: false }
      case "HalfOpen":
        return { _tag: "HalfOpen", probing: this.probing }
    }
  }
}

const shareAfter = (sinceMillis: number, comebackMillis: number): number =>
  sinceMillis < settlingMillis
    ? 0
    : firstShare + (1 - firstShare) * (sinceMillis - settlingMillis) / (comebackMillis - settlingMillis)

/** How long the n-th opening in a row lasts. */
export const openFor = (openings: number, openMillis: number, retryAfter: Duration.Duration | undefined) => {
  const own = Duration.millis(Math.min(openMillis, openMillis * firstPart * 2 ** (openings - 1)))
  return retryAfter === undefined ? own : Duration.max(own, Duration.min(retryAfter, longest))
}
