/**
 * Which targets are well: a circuit for each, on Effect's `CircuitBreaker`.
 *
 * A circuit opens when a call fails through the target's own fault or is slow, and so did half of the last minute's calls: of the last 20, and of 5 at
 * least. Then it gets no calls for 2 seconds, and for 4, 8 and 10 if it goes on; longer where the target says so. After that one call at a time probes it, until one of
 * them is well. From then on it gets more and more of its calls, and all of them after 15 seconds: what has just come back is not
 * overrun.
 *
 * What the caller did wrong, a limit that is reached and an interruption say nothing of a target's health, unless told: that is what `judge` tells.
 *
 * **Example** (Three targets, of which one fails)
 *
 * ```ts
 * import { Health } from "@caprock/router"
 * import { Console, Effect } from "effect"
 *
 * export const main = Effect.gen(function*() {
 *   const health = yield* Health.Health
 *   const failing = Effect.fail("unavailable").pipe(health.watch("eu", () => "sick"), Effect.ignore)
 *   yield* Effect.repeat(failing, { times: 4 })
 *   yield* Console.log(health.standingUnsafe("eu")) // => { _tag: 'Open', untilMillis: 2000 }
 *   yield* Console.log(health.standingUnsafe("us")) // => { _tag: 'Closed', share: 1 }
 * }).pipe(Effect.provide(Health.layer()))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { CircuitBreakerStore } from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Standing } from "./Decision.ts"
import { longestMillis } from "./internal/circuit.ts"
import * as circuits from "./internal/circuits.ts"
import * as Listeners from "./internal/listeners.ts"
import type { TargetClosed } from "./RouterError.ts"
import type { HealthEvent } from "./RouterEvent.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * What the end of an attempt says of its target: that it is well, that it is not, or nothing.
 *
 * @category models
 * @since 0.1.0
 */
export type Judged = circuits.Judged

/**
 * What more is known of an attempt.
 *
 * - `retryAfter`: how long a target that failed so asks to be left alone, where it does; an hour at most.
 * - `writingMillis` (0): what the answer itself may take beside what is `slow`. Nothing, where it ends with the first content of a stream.
 * - `leftMillis` (`Infinity`): how long the call has: it waits no longer to be let through.
 * - `interrupted`: what it says of the target that the attempt was interrupted. Nothing, unless told: most often its caller has gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watched<A, E> {
  readonly retryAfter?: ((exit: Exit.Exit<A, E>) => Duration.Duration | undefined) | undefined
  readonly writingMillis?: number | undefined
  readonly leftMillis?: number | undefined
  readonly interrupted?: (() => Judged) | undefined
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * The default of each option.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** Half: below that a call elsewhere costs more than another try here. */
  threshold: 0.5,
  /** A target that is back is asked again within ten seconds, which leaves twenty of thirty for its comeback. */
  open: Duration.seconds(10),
  /** Nobody who waits for a first word waits for half a minute. */
  slow: Duration.seconds(30),
  /** Long enough for a server to add capacity step by step, short enough that all is back within half a minute. */
  comeback: Duration.seconds(15)
} as const

/**
 * Options of {@link make}.
 *
 * - `threshold` (0.5): the part of the last calls that failed or were slow, from 0 to 1, with which a circuit opens.
 * - `open` (10 seconds): the longest that it stays open, but for what a target asks for. The first time is a fifth of it, and each one in a row is
 *   twice the one before.
 * - `slow` (30 seconds): an answer that took longer counts as a failure, beside what it takes to be written: see `watch`.
 * - `comeback` (15 seconds): until a target that was closed to calls gets all of them again.
 *
 * Out of range, a number means the nearest that makes sense: a `threshold` of more than 1 is 1, a time of less than nothing is none, and nothing is open for
 * more than an hour.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly threshold?: number | undefined
  readonly open?: Duration.Input | undefined
  readonly slow?: Duration.Input | undefined
  readonly comeback?: Duration.Input | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The health of all targets, by their names.
 *
 * @category services
 * @since 0.1.0
 */
export class Health extends Context.Service<Health, {
  /**
   * Runs an attempt at a target, and notes how it ended and how long it took. Fails with `TargetClosed`, and does not run it, while the target's circuit
   * is open or its probe is under way.
   *
   * `judge` says what an end means; an interruption means nothing unless `watched` says so.
   */
  readonly watch: <A, E>(
    target: string,
    judge: (exit: Exit.Exit<A, E>) => Judged,
    watched?: Watched<A, E>
  ) => <R>(attempt: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TargetClosed, R>

  /**
   * Tells what became of an attempt that `watch` saw to be well, such as that of a stream which is watched until its first content. It counts once: `sick`
   * takes the place of a call that was well; `well` and `ignore` change nothing.
   */
  readonly tellUnsafe: (target: string, outcome: Judged) => void

  /** How a target stands. Costs nothing: it is read from memory. */
  readonly standingUnsafe: (target: string) => Standing

  /** What happens from now on. A listener that is more than 4,096 events behind misses the oldest. */
  readonly events: Stream.Stream<HealthEvent>
}>()("@caprock/router/Health") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes circuits in the memory of this process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Health["Service"], never, Scope.Scope> =>
  makeWith(options, circuits.make)

/**
 * Makes circuits that all processes with the same store have in common. What each process sends counts for itself; when its circuit opens the others hear
 * of it within a second, and all of them together send one probe. The store is asked nothing for a call to a target that is well. While it does not
 * answer, each process is on its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeShared = (
  options: Options = {}
): Effect.Effect<Health["Service"], never, CircuitBreakerStore | Scope.Scope> => makeWith(options, circuits.makeShared)

const makeWith = <R>(
  options: Options,
  held: (terms: circuits.Terms, tell: Listeners.Tell<HealthEvent>) => Effect.Effect<circuits.Circuits, never, R>
): Effect.Effect<Health["Service"], never, R> =>
  Effect.gen(function*() {
    const { events, tell } = Listeners.make<HealthEvent>()
    const terms = {
      threshold: Math.min(1, Math.max(0, options.threshold ?? defaults.threshold) || 0),
      openMillis: Math.min(longestMillis, millis(options.open ?? defaults.open)),
      comebackMillis: millis(options.comeback ?? defaults.comeback)
    }
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    return watching(yield* held(terms, tell), millis(options.slow ?? defaults.slow), yield* Clock.Clock, events, fork)
  })

const millis = (input: Duration.Input): number => Math.max(0, Duration.toMillis(Duration.fromInputUnsafe(input)))

const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

const watching = (
  { admit, standingUnsafe, turned }: circuits.Circuits,
  slowMillis: number,
  clock: Clock.Clock,
  events: Stream.Stream<HealthEvent>,
  fork: (effect: Effect.Effect<void>) => unknown
): Health["Service"] =>
  Health.of({
    standingUnsafe,
    events,
    tellUnsafe: (target, outcome) => {
      if (outcome === "sick") fork(turned(target))
    },
    watch: (target, judge, { interrupted, leftMillis = Infinity, retryAfter, writingMillis = 0 } = {}) => (attempt) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(admit(target, leftMillis), (permit) => {
          const since = monotonic(clock)
          return Effect.flatMap(Effect.exit(restore(attempt)), (exit) => {
            const slow = monotonic(clock) - since > slowMillis + writingMillis
            const judged = Effect.sync(() => judgedOf(exit, judge, interrupted, slow))
            return Effect.matchCauseEffect(judged, {
              onSuccess: (judged) =>
                Effect.andThen(permit.end(judged, judged === "sick" ? retryAfter?.(exit) : undefined), exit),
              // A judge that throws must not leave a probe under way for ever.
              onFailure: (cause) => Effect.andThen(permit.end("ignore", undefined), Effect.failCause(cause))
            })
          })
        })
      )
  })

const judgedOf = <A, E>(
  exit: Exit.Exit<A, E>,
  judge: (exit: Exit.Exit<A, E>) => Judged,
  interrupted: (() => Judged) | undefined,
  slow: boolean
): Judged => {
  if (Exit.isFailure(exit) && Exit.hasInterrupts(exit)) return interrupted?.() ?? "ignore"
  const judged = judge(exit)
  return judged === "well" && slow ? "sick" : judged
}

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Circuits in the memory of this process, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Health> => Layer.effect(Health, make(options))

/**
 * Circuits that all processes with the same store have in common, as a layer: see {@link makeShared}. The store is that of Effect's `CircuitBreaker`, such as
 * `CircuitBreaker.layerStoreRedis()`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerShared = (options?: Options): Layer.Layer<Health, never, CircuitBreakerStore> =>
  Layer.effect(Health, makeShared(options))
