// Who waits in which lines, and who would come to another one. What happens wakes those whose decision it may change, and nobody else.
import type { Cost } from "@caprock/rate-limiter/Cost"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as Effect from "effect/Effect"
import type { HealthEvent } from "../RouterEvent.ts"

/** A call that waits. */
export interface Waiter {
  /** What it asks a pool for, as far as is known without an offer. */
  readonly asks: Pick<Cost, "requests" | "tokens" | "priority">
  /** It decides again. `pool`: there is room, and {@link Lookout.answered} is to be told what came of it. */
  wake(pool?: string): void
}

/** Of those who would come, so many are asked for one piece of room that nobody takes: the others hear of the next. */
const mostAsked = 16

/** So many are woken in one step: a few milliseconds, in which nothing else goes on. */
const atOnce = 128

class Place {
  /** Who stands in the line. */
  readonly line = new Set<Waiter>()
  /** Who waits elsewhere, and would come if there were room: whoever was not asked for the longest first. */
  readonly aside = new Set<Waiter>()
  asked = 0
  pending = false
  unheed: (() => void) | undefined
}

export class Lookout {
  private readonly places = new Map<string, Place>()
  private readonly limiter: RateLimiter["Service"]
  private readonly after: (millis: number, then: () => void) => () => void

  /** `after` calls back later, never in the same step, and gives what stops that. */
  constructor(limiter: RateLimiter["Service"], after: (millis: number, then: () => void) => () => void) {
    this.limiter = limiter
    this.after = after
  }

  stands(waiter: Waiter, pool: string): void {
    this.placeOf(pool).line.add(waiter)
  }

  left(waiter: Waiter, pool: string): void {
    this.places.get(pool)?.line.delete(waiter)
  }

  /** It sleeps from now on, and would come to these pools too. */
  sleeps(waiter: Waiter, aside: ReadonlyArray<string>): void {
    for (const pool of aside) {
      const place = this.placeOf(pool)
      place.aside.add(waiter)
      place.unheed ??= this.limiter.onRoomUnsafe(pool, () => this.room(pool))
    }
  }

  wakes(waiter: Waiter, aside: ReadonlyArray<string>): void {
    for (const pool of aside) this.places.get(pool)?.aside.delete(waiter)
  }

  /** There may be room that nobody waits for in a pool. Heard in the midst of other things: nobody is woken in the same step. */
  room(pool: string): void {
    const place = this.places.get(pool)
    if (place === undefined) return
    place.asked = 0
    this.askLater(pool, place)
  }

  /** Whether who was told that there is room took it. There may be more of it, or somebody else may want it. */
  answered(pool: string, took: boolean): void {
    const place = this.places.get(pool)
    if (place === undefined) return
    if (took) place.asked = 0
    this.askLater(pool, place)
  }

  /**
   * A target's health has changed. Who stands in its line decides again when it is not well any more, a few at a time; when it is, one of those who wait
   * elsewhere does.
   */
  changed(event: HealthEvent, pool: string): Effect.Effect<void> {
    const place = this.places.get(pool)
    switch (event._tag) {
      case "Opened":
      case "Probed":
        return place === undefined ? Effect.void : wakeAll(place.line)
      case "Closed":
        return Effect.sync(() => this.room(pool))
    }
  }

  /** Nothing is heard any more. */
  close(): void {
    for (const { unheed } of this.places.values()) unheed?.()
    this.places.clear()
  }

  private askLater(pool: string, place: Place): void {
    if (place.pending || place.aside.size === 0 || place.asked >= mostAsked) return
    place.pending = true
    this.after(0, () => {
      place.pending = false
      this.askNext(pool, place)
    })
  }

  private askNext(pool: string, place: Place): void {
    let left = Math.min(place.aside.size, mostAsked)
    for (const waiter of place.aside) {
      if (left-- === 0) return
      const { refused, waitMillis } = this.limiter.headroomUnsafe({ pool, ...waiter.asks })
      if (refused === undefined && waitMillis <= 0) {
        place.asked++
        // It comes back behind the others if it sleeps again.
        return waiter.wake(pool)
      }
      // It is not enough for this one, and may be for one behind it.
      place.aside.delete(waiter)
      place.aside.add(waiter)
    }
  }

  private placeOf(pool: string): Place {
    const known = this.places.get(pool)
    if (known !== undefined) return known
    const place = new Place()
    this.places.set(pool, place)
    return place
  }
}

const wakeAll = (waiters: ReadonlySet<Waiter>): Effect.Effect<void> => {
  const woken = [...waiters]
  const from = (start: number): Effect.Effect<void> => {
    for (const waiter of woken.slice(start, start + atOnce)) if (waiters.has(waiter)) waiter.wake()
    const next = start + atOnce
    return next < woken.length ? Effect.flatMap(Effect.yieldNow, () => from(next)) : Effect.void
  }
  return Effect.suspend(() => from(0))
}
