// The circuits of the targets. Effect's breaker opens, lets probes through and closes; here is what it does not know: how old an outcome is, that a stream
// breaks after it was well, and, at once and without an Effect, how each circuit stands.
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
import { Circuit, openFor, whole } from "./circuit.ts"
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
  /** Waits no longer than that. */
  readonly admit: (target: string, leftMillis: number) => Effect.Effect<Permit, TargetClosed>
  /** A call that was ended as well turned out to be sick. */
  readonly turned: (target: string) => Effect.Effect<void>
  readonly standingUnsafe: (target: string) => Standing
}

/** How often one opened in a row is forgotten when nobody asked for so long: it says nothing of today what failed the day before. */
const forgottenAfter = Duration.minutes(10)

const outcomes = { well: "Success", sick: "Failure", ignore: "Ignored" } as const

/** Effect's breaker is only told of what decides: it opens by one failure, and closes by one success. */
const atOnce = CircuitBreaker.consecutive(1)

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
  readonly turned: (target: string, opened: (forMillis: number) => Effect.Effect<void>) => Effect.Effect<void>
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

    /** Opens or closes it in the breaker too. */
    const force = (
      target: string,
      judged: "well" | "sick",
      openFor: (openings: number) => Duration.Duration
    ): Effect.Effect<CircuitBreaker.Transition | undefined> =>
      Effect.gen(function*() {
        const { consecutiveOpenings, generation, transition } = yield* Scope.provide(store.admit(target), scope)
        const circuit = circuitOf(target)
        if (transition !== undefined) moved(circuit, transition)
        const then = yield* store.record({
          key: target,
          generation,
          outcome: outcomes[judged],
          tripPolicy: atOnce,
          openFor: openFor(consecutiveOpenings + 1)
        })
        if (then !== undefined) moved(circuit, then)
        return then
      }).pipe(
        // It is open already, or a call of this process probes it: that tells more than what others said a second ago.
        Effect.orElseSucceed(() => undefined)
      )

    /** Opens it if enough of its calls failed. */
    const judge = (
      target: string,
      retryAfter: Duration.Duration | undefined,
      opened: (forMillis: number) => Effect.Effect<void>
    ): Effect.Effect<void> =>
      circuitOf(target).outcomes.failed(terms.threshold, now())
        ? Effect.flatMap(
          force(target, "sick", (openings) => openFor(openings, terms.openMillis, retryAfter)),
          (transition) => transition?.to === "Open" ? opened(Duration.toMillis(transition.retryAfter)) : Effect.void
        )
        : Effect.void

    const admit: Memory["admit"] = (target, opened) =>
      Effect.matchEffect(Scope.provide(store.admit(target), scope), {
        onFailure: ({ reason }) => Effect.fail(closedBy(target, reason)),
        onSuccess: ({ consecutiveOpenings, generation, probe, transition }) => {
          const circuit = circuitOf(target)
          if (probe) circuit.probed()
          // It was forgotten while it was open: it comes back as one that a probe has closed.
          else if (circuit.closed(now())) tell(() => ({ _tag: "Closed", target }))
          if (transition !== undefined) moved(circuit, transition)
          const { openings } = circuit
          const counted: Permit["end"] = (judged, retryAfter) =>
            Effect.suspend(() => {
              if (judged === "ignore" || circuit.openings !== openings) return Effect.void
              circuit.outcomes.add(judged === "sick", now())
              return judged === "sick" ? judge(target, retryAfter, opened) : Effect.void
            })
          const probed: Permit["end"] = (judged, retryAfter) =>
            store.record({
              key: target,
              generation,
              outcome: outcomes[judged],
              tripPolicy: atOnce,
              openFor: openFor(consecutiveOpenings + 1, terms.openMillis, retryAfter)
            }).pipe(
              // The store in memory has no errors.
              Effect.orDie,
              Effect.flatMap((transition) => {
                if (transition === undefined) {
                  circuit.freed()
                  return Effect.void
                }
                moved(circuit, transition)
                return transition.to === "Open" ? opened(Duration.toMillis(transition.retryAfter)) : Effect.void
              })
            )
          return Effect.succeed<Local>({ probe, end: probe ? probed : counted })
        }
      })

    const turned: Memory["turned"] = (target, opened) =>
      Effect.suspend(() => {
        const circuit = circuitOf(target)
        // Nothing has to be known of who is known to be sick.
        if (!circuit.isClosed) return Effect.void
        circuit.outcomes.turned(now())
        return judge(target, undefined, opened)
      })

    return {
      circuitOf,
      known: () => circuits,
      now,
      admit,
      turned,
      follow: (target, judged, openFor) => Effect.asVoid(force(target, judged, () => openFor))
    }
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
    turned: (target) => memory.turned(target, alone),
    standingUnsafe: standings(memory, terms)
  }))

// -----------------------------------------------------------------------------
// Shared with other processes
// -----------------------------------------------------------------------------

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
    const probe = (target: string, local: Local, leftMillis: number): Effect.Effect<Permit, TargetClosed> =>
      Effect.gen(function*() {
        const circuit = memory.circuitOf(target)
        const lease = yield* Scope.make()
        const asked = yield* Scope.provide(store.admit(target), lease).pipe(
          Effect.timeout(Math.min(patienceMillis, leftMillis)),
          Effect.interruptible,
          Effect.exit
        )
        if (Exit.isFailure(asked)) {
          yield* Scope.close(lease, asked)
          const error = asked.cause.reasons.find(Cause.isFailReason)?.error
          if (error?._tag === "TimeoutError" && leftMillis > patienceMillis) return local
          if (error?._tag === "CircuitBreakerError" && error.reason._tag === "CircuitBreakerStoreError") return local
          yield* local.end("ignore", undefined)
          if (error === undefined) return yield* Effect.interrupt
          // Its call has no more time to send anything.
          if (error._tag === "TimeoutError") return yield* new TargetClosed({ target })
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
      turned: (target) => memory.turned(target, opened(target)),
      admit: (target, leftMillis) =>
        Effect.suspend(() => {
          const standing = standingUnsafe(target)
          if (standing._tag === "Open") {
            const remaining = Duration.millis(standing.untilMillis - memory.now())
            return Effect.fail(new TargetClosed({ target, remaining }))
          }
          return Effect.flatMap(
            memory.admit(target, opened(target)),
            (local): Effect.Effect<Permit, TargetClosed> =>
              local.probe ? probe(target, local, leftMillis) : Effect.succeed(local)
          )
        })
    }
  }
)
