// The circuits of the targets. Effect's breaker counts, opens and lets probes through; here is what has to be known of them at once,
// without an Effect: how each stands.
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Scope from "effect/Scope"
import type { Standing } from "../Decision.ts"
import { TargetClosed } from "../RouterError.ts"
import type { HealthEvent } from "../RouterEvent.ts"
import type { Tell } from "./listeners.ts"

/** What the end of an attempt says of its target: that it is well, that it is not, or nothing. */
export type Judged = "well" | "sick" | "ignore"

export interface Terms {
  /** From 0 to 1: a circuit opens when so large a part of the last calls failed. */
  readonly threshold: number
  /** The longest time that it stays open, unless the target asks for more. */
  readonly openMillis: number
  /** After it closed again, it takes so long until the target gets all of its calls. */
  readonly comebackMillis: number
}

/** A call that was let through. It has to be ended once. */
export interface Permit {
  readonly end: (judged: Judged, retryAfter: Duration.Duration | undefined) => Effect.Effect<void>
}

export interface Circuits {
  readonly admit: (target: string) => Effect.Effect<Permit, TargetClosed>
  readonly standingUnsafe: (target: string) => Standing
}

/** So many calls are remembered. Twenty are some seconds of a busy program, and few enough to open within them. */
const remembered = 20

/** Fewer outcomes than this say nothing: one failure of one call would be a rate of 1. */
const fewest = 5

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

/** A circuit that nobody asked for this long is forgotten: failures of the day before say nothing of today. */
const forgottenAfter = Duration.minutes(10)

const whole: Standing = { _tag: "Closed", share: 1 }

const outcomes = { well: "Success", sick: "Failure", ignore: "Ignored" } as const

/** How a circuit stood when it was last heard of. */
class Circuit {
  private phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  private until = 0
  private closedAt = -Infinity
  private probing = false

  opened(until: number): void {
    this.phase = "Open"
    this.until = until
    this.probing = false
  }

  probed(): void {
    this.phase = "HalfOpen"
    this.probing = true
  }

  /** The probe told nothing. */
  freed(): void {
    this.probing = false
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
        return since >= comebackMillis ? whole : { _tag: "Closed", share: shareAfter(since, comebackMillis) }
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
const openFor = (openings: number, openMillis: number, retryAfter: Duration.Duration | undefined) => {
  const own = Duration.millis(Math.min(openMillis, openMillis * firstPart * 2 ** (openings - 1)))
  return retryAfter === undefined ? own : Duration.max(own, Duration.min(retryAfter, longest))
}

/** Circuits in the memory of this process. @internal */
export const make = Effect.fnUntraced(
  function*(terms: Terms, tell: Tell<HealthEvent>): Effect.fn.Return<Circuits, never, Scope.Scope> {
    const store = Context.get(
      yield* Layer.build(CircuitBreaker.layerStoreMemory({ idleTimeToLive: forgottenAfter })),
      CircuitBreaker.CircuitBreakerStore
    )
    // The store in memory leaves nothing in it.
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const tripPolicy = CircuitBreaker.rate({ threshold: terms.threshold, size: remembered, minimumCalls: fewest })
    const circuits = new Map<string, Circuit>()

    const circuitOf = (target: string): Circuit => {
      const known = circuits.get(target)
      if (known !== undefined) return known
      const circuit = new Circuit()
      circuits.set(target, circuit)
      return circuit
    }

    const moved = (circuit: Circuit, transition: CircuitBreaker.Transition | undefined): void => {
      if (transition === undefined) return
      const { key: target } = transition
      const now = clock.currentTimeMillisUnsafe()
      switch (transition.to) {
        case "Open": {
          const millis = Duration.toMillis(transition.retryAfter)
          circuit.opened(now + millis)
          return tell(() => ({ _tag: "Opened", target, forMillis: millis, times: transition.consecutiveOpenings }))
        }
        case "HalfOpen":
          return tell(() => ({ _tag: "Probed", target }))
        case "Closed":
          circuit.closed(now)
          return tell(() => ({ _tag: "Closed", target }))
      }
    }

    return {
      admit: (target) =>
        Effect.matchEffect(Scope.provide(store.admit(target), scope), {
          onFailure: ({ reason }) =>
            Effect.fail(
              new TargetClosed(
                reason._tag === "CircuitOpen" ? { target, remaining: reason.retryAfter } : { target }
              )
            ),
          onSuccess: ({ consecutiveOpenings, generation, probe, transition }) => {
            const circuit = circuitOf(target)
            if (probe) circuit.probed()
            // It was forgotten while it was open: it comes back as one that a probe has closed.
            else if (circuit.closed(clock.currentTimeMillisUnsafe())) tell(() => ({ _tag: "Closed", target }))
            moved(circuit, transition)
            return Effect.succeed<Permit>({
              end: (judged, retryAfter) =>
                store.record({
                  key: target,
                  generation,
                  outcome: outcomes[judged],
                  tripPolicy,
                  openFor: openFor(consecutiveOpenings + 1, terms.openMillis, retryAfter)
                }).pipe(
                  Effect.map((transition) => {
                    if (probe && transition === undefined) circuit.freed()
                    moved(circuit, transition)
                  }),
                  // The store in memory has no errors.
                  Effect.orDie
                )
            })
          }
        }),
      standingUnsafe: (target) =>
        circuits.get(target)?.standing(clock.currentTimeMillisUnsafe(), terms.comebackMillis) ?? whole
    }
  }
)
