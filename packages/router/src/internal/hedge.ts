// Two requests for one call: the second begins when the first takes long, and the first answer ends the other.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

/** How a request ended. */
export interface End<L, A, E> {
  readonly leg: L
  readonly exit: Exit.Exit<A, E>
}

interface Run<L, A, E> {
  readonly leg: L
  readonly fiber: Fiber.Fiber<A, E>
}

/**
 * Sends the first, and when it has taken `afterMillis` the second, if there is any then. Gives the ends in their order: the last of them is an
 * answer, or final, unless both failed. `giveUp` is told of who is given up before it is.
 *
 * @internal
 */
export const race = <L, A, E, R, R2>(
  first: L,
  send: (leg: L) => Effect.Effect<A, E, R>,
  afterMillis: number,
  second: Effect.Effect<L | undefined, never, R2>,
  isFinal: (leg: L, exit: Exit.Exit<A, E>) => boolean,
  giveUp: (leg: L) => void
): Effect.Effect<ReadonlyArray<End<L, A, E>>, never, R | R2> =>
  Effect.suspend(() => {
    const runs: Array<Run<L, A, E>> = []
    const begin = (leg: L) =>
      Effect.map(Effect.forkChild(send(leg), { startImmediately: true }), (fiber) => {
        const run = { leg, fiber }
        runs.push(run)
        return run
      })
    const end = ({ fiber, leg }: Run<L, A, E>) =>
      Effect.map(Fiber.await(fiber), (exit): End<L, A, E> => ({ leg, exit }))

    return Effect.gen(function*() {
      const one = yield* begin(first)
      const early = yield* Effect.timeoutOption(end(one), afterMillis)
      if (Option.isSome(early)) return [early.value]
      const leg = yield* second
      if (leg === undefined) return [yield* end(one)]
      const two = yield* begin(leg)
      const sooner = yield* Effect.raceFirst(end(one), end(two))
      const later = sooner.leg === first ? two : one
      if (Exit.isSuccess(sooner.exit) || isFinal(sooner.leg, sooner.exit)) {
        giveUp(later.leg)
        return [sooner]
      }
      return [sooner, yield* end(later)]
    }).pipe(
      // Who has ended already is not interrupted any more.
      Effect.ensuring(Effect.suspend(() => Fiber.interruptAll(runs.map(({ fiber }) => fiber))))
    )
  })
