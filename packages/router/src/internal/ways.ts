// A call's requests that are under way in a fiber of their own, so that it can do something else meanwhile.
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Leg } from "./flights.ts"
import type { Alarm, Stakes } from "./late.ts"
import type { Ends } from "./requests.ts"

/** The requests of one admission. */
export interface Way<A, E, R> {
  /** Those that were begun so far. */
  readonly legs: ReadonlyArray<Leg<A, E, R>>
  readonly fiber: Fiber.Fiber<Ends<A, E, R>>
}

/** How they ended, or `undefined` at that time, and before it where there is a stake again. */
export const endsBy = <A, E, R>(
  { fiber }: Way<A, E, R>,
  alarm: Alarm,
  at: number,
  stakes: Stakes | undefined
): Effect.Effect<Ends<A, E, R> | undefined> =>
  Effect.suspend(() => {
    // Most tests, and few targets, answer in the same step.
    const ended = fiber.pollUnsafe()
    if (ended !== undefined) return ended
    return Effect.callback<Ends<A, E, R> | undefined>((resume) => {
      const over = (outcome: Effect.Effect<Ends<A, E, R> | undefined>) => {
        stop()
        resume(outcome)
      }
      const late = () => over(Effect.undefined)
      const unobserve = fiber.addObserver(over)
      const unset = alarm.set(at, late)
      const unheed = stakes?.heed(late)
      const stop = () => {
        unobserve()
        unset()
        unheed?.()
      }
      return Effect.sync(stop)
    })
  })

/** Which of two came first, and how it ended. */
export type First<A, B, E> =
  | { readonly _tag: "Late"; readonly ends: A }
  | { readonly _tag: "Rest"; readonly exit: Exit.Exit<B, E> }

/** The end of the late requests, or of the rest of their call: whichever comes first. What is given up by the rest has no end. */
export const firstOf = <A, B, E>(
  late: Fiber.Fiber<A>,
  isGivenUp: () => boolean,
  rest: Fiber.Fiber<B, E>
): Effect.Effect<First<A, B, E>> =>
  Effect.raceFirst(
    Effect.flatMap(
      Fiber.await(late),
      (exit) => isGivenUp() ? Effect.never : Effect.map(exit, (ends): First<A, B, E> => ({ _tag: "Late", ends }))
    ),
    Effect.map(Fiber.await(rest), (exit): First<A, B, E> => ({ _tag: "Rest", exit }))
  )
