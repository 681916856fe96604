// The circuits of the targets. Effect's breaker counts, opens and lets probes through; here is what has to be known of them at once,
// without an Effect: how each stands.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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

/** A permit, and whether it decides if the circuit closes. */
interface Local extends Permit {
  readonly probe: boolean
}

/** What one process knows of the circuits, and its own part in them. */
interface Memory {
  readonly circuitOf: (target: string) => Circuit
  readonly known: () => ReadonlyMap<string, Circuit>
  readonly now: () => number
  /** `opened`: told when an attempt opens the circuit. */
  readonly admit: (
    target: string,
    opened: (forMillis: number) => Effect.Effect<void>
  ) => Effect.Effect<Local, TargetClosed>
  /** Opens it for so long, or closes it after that, because others say so. */
  readonly follow: (target: string, judged: "well" | "sick", openFor: Duration.Duration) => Effect.Effect<void>
}

const makeMemory = Effect.fnUntraced(
  function*(terms: Terms, tell: Tell<HealthEvent>): Effect.fn.Return<Memory, never, Scope.Scope> {
    const store = Context.get(
      yield* Layer.build(CircuitBreaker.layerStoreMemory({ idleTimeToLive: forgottenAfter })),
      CircuitBreaker.CircuitBreakerStore
    )
    // The store in memory leaves nothing in it.
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const tripPolicy = CircuitBreaker.rate({ threshold: terms.threshold, size: remembered, minimumCalls: fewest })
    const circuits = new Map<string, Circuit>()

    const circuitOf = (target: string): Circuit => {
      const known = circuits.get(target)
      if (known !== undefined) return known
      const circuit = new Circuit()
      circuits.set(target, circuit)
      return circuit
    }

    const moved = (circuit: Circuit, transition: CircuitBreaker.Transition): void => {
      const { key: target } = transition
      switch (transition.to) {
        case "Open": {
          const millis = Duration.toMillis(transition.retryAfter)
          circuit.opened(now() + millis)
          return tell(() => ({ _tag: "Opened", target, forMillis: millis, times: transition.consecutiveOpenings }))
        }
        case "HalfOpen":
          return tell(() => ({ _tag: "Probed", target }))
        case "Closed":
          circuit.closed(now())
          return tell(() => ({ _tag: "Closed", target }))
      }
    }

    const admit: Memory["admit"] = (target, opened) =>
      Effect.matchEffect(Scope.provide(store.admit(target), scope), {
        onFailure: ({ reason }) => Effect.fail(closedBy(target, reason)),
        onSuccess: ({ consecutiveOpenings, generation, probe, transition }) => {
          const circuit = circuitOf(target)
          if (probe) circuit.probed()
          // It was forgotten while it was open: it comes back as one that a probe has closed.
          else if (circuit.closed(now())) tell(() => ({ _tag: "Closed", target }))
          if (transition !== undefined) moved(circuit, transition)
          return Effect.succeed<Local>({
            probe,
            end: (judged, retryAfter) =>
              store.record({
                key: target,
                generation,
                outcome: outcomes[judged],
                tripPolicy,
                openFor: openFor(consecutiveOpenings + 1, terms.openMillis, retryAfter)
              }).pipe(
                // The store in memory has no errors.
                Effect.orDie,
                Effect.flatMap((transition) => {
                  if (transition === undefined) {
                    if (probe) circuit.freed()
                    return Effect.void
                  }
                  moved(circuit, transition)
                  return transition.to === "Open" ? opened(Duration.toMillis(transition.retryAfter)) : Effect.void
                })
              )
          })
        }
      })

    const follow: Memory["follow"] = (target, judged, openFor) =>
      Effect.gen(function*() {
        const { generation, transition } = yield* Scope.provide(store.admit(target), scope)
        const circuit = circuitOf(target)
        if (transition !== undefined) moved(circuit, transition)
        const then = yield* store.record({
          key: target,
          generation,
          outcome: outcomes[judged],
          tripPolicy: atOnce,
          openFor
        })
        if (then !== undefined) moved(circuit, then)
      }).pipe(
        // It is open already, or a call of this process probes it: that tells more than what others said a second ago.
        Effect.ignore
      )

    return { circuitOf, known: () => circuits, now, admit, follow }
  }
)

const closedBy = (target: string, reason: CircuitBreaker.CircuitBreakerErrorReason): TargetClosed =>
  new TargetClosed(reason._tag === "CircuitOpen" ? { target, remaining: reason.retryAfter } : { target })

const standings = ({ known, now }: Memory, { comebackMillis }: Terms): Circuits["standingUnsafe"] => (target) =>
  known().get(target)?.standing(now(), comebackMillis) ?? whole

const alone = () => Effect.void

/** Circuits in the memory of this process. @internal */
export const make = (terms: Terms, tell: Tell<HealthEvent>): Effect.Effect<Circuits, never, Scope.Scope> =>
  Effect.map(makeMemory(terms, tell), (memory) => ({
    admit: (target) => memory.admit(target, alone),
    standingUnsafe: standings(memory, terms)
  }))

// -----------------------------------------------------------------------------
// Shared with other processes
// -----------------------------------------------------------------------------

/** What a circuit opens with that says of a target what a process has found out by many calls. */
const atOnce = CircuitBreaker.consecutive(1)

/** What others found out is asked for so often: as long as a failing target costs nobody much. */
const pollMillis = 1_000

/** A store that takes longer is away: a call waits no longer for a word of it. */
const patienceMillis = 1_000

/**
 * The same, with what other processes find out. Each counts for itself, and says to the store when a circuit opens; the store is asked for the others' once a second,
 * and before a probe, so that all processes together send one. While the store does not answer each is on its own.
 *
 * @internal
 */
export const makeShared = Effect.fnUntraced(
  function*(
    terms: Terms,
    tell: Tell<HealthEvent>
  ): Effect.fn.Return<Circuits, never, CircuitBreaker.CircuitBreakerStore | Scope.Scope> {
    const store = yield* CircuitBreaker.CircuitBreakerStore
    const scope = yield* Effect.scope
    const memory = yield* makeMemory(terms, tell)
    const standingUnsafe = standings(memory, terms)

    // Nobody waits for what is said to the store.
    const aside = <E>(told: Effect.Effect<unknown, E>) =>
      told.pipe(Effect.timeout(patienceMillis), Effect.ignore, Effect.forkIn(scope), Effect.asVoid)

    const record = (target: string, generation: number, judged: Judged, forMillis: number) =>
      store.record({
        key: target,
        generation,
        outcome: outcomes[judged],
        tripPolicy: atOnce,
        openFor: Duration.millis(forMillis)
      })

    const opened = (target: string) => (forMillis: number) =>
      aside(
        Effect.scoped(
          Effect.flatMap(store.admit(target), ({ generation }) => record(target, generation, "sick", forMillis))
        )
      )

    /** A probe for all processes, or none: another one has sent it, or heard that it is too early. */
    const probe = (target: string, local: Local): Effect.Effect<Permit, TargetClosed> =>
      Effect.gen(function*() {
        const circuit = memory.circuitOf(target)
        const lease = yield* Scope.make()
        const asked = yield* Scope.provide(store.admit(target), lease).pipe(
          Effect.timeout(patienceMillis),
          Effect.interruptible,
          Effect.exit
        )
        if (Exit.isFailure(asked)) {
          yield* Scope.close(lease, asked)
          const error = asked.cause.reasons.find(Cause.isFailReason)?.error
          if (
            error !== undefined && (error._tag === "TimeoutError" || error.reason._tag === "CircuitBreakerStoreError")
          ) {
            return local
          }
          yield* local.end("ignore", undefined)
          if (error === undefined) return yield* Effect.interrupt
          const { reason } = error
          const millis = reason._tag === "CircuitOpen" ? Duration.toMillis(reason.retryAfter) : pollMillis
          circuit.opened(memory.now() + millis)
          return yield* closedBy(target, reason)
        }
        const { generation } = asked.value
        return {
          end: (judged, retryAfter) =>
            Effect.andThen(
              local.end(judged, retryAfter),
              Effect.suspend(() => {
                // Open for as long as this process takes it to be; any other end needs no time.
                const standing = circuit.standing(memory.now(), terms.comebackMillis)
                const forMillis = standing._tag === "Open" ? standing.untilMillis - memory.now() : 0
                return aside(
                  Effect.ensuring(record(target, generation, judged, forMillis), Scope.close(lease, Exit.void))
                )
              })
            )
        }
      })

    const hear = (target: string) =>
      Effect.flatMap(store.state(target), (state) => {
        const own = standingUnsafe(target)
        if (state._tag === "Open" && own._tag === "Closed" && Duration.toMillis(state.retryAfter) > 0) {
          return memory.follow(target, "sick", state.retryAfter)
        }
        return state._tag === "Closed" && own._tag === "HalfOpen" && !own.probing
          ? memory.follow(target, "well", Duration.zero)
          : Effect.void
      })

    yield* Effect.sleep(pollMillis).pipe(
      Effect.andThen(Effect.suspend(() => Effect.forEach([...memory.known().keys()], hear, { discard: true }))),
      Effect.ignore,
      Effect.forever,
      Effect.forkScoped
    )

    return {
      standingUnsafe,
      admit: (target) =>
        Effect.suspend(() => {
          const standing = standingUnsafe(target)
          if (standing._tag === "Open") {
            const remaining = Duration.millis(standing.untilMillis - memory.now())
            return Effect.fail(new TargetClosed({ target, remaining }))
          }
          return Effect.flatMap(
            memory.admit(target, opened(target)),
            (local): Effect.Effect<Permit, TargetClosed> => local.probe ? probe(target, local) : Effect.succeed(local)
          )
        })
    }
  }
)
