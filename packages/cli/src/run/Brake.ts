/**
 * What a run does when it is throttled beyond what its quotas explain (they are wrong, missing, or somebody else draws on
 * them) and the retries of a call were not enough: no line ends in that. Fewer calls go at once, after a pause, and more
 * again with each answer: half as many at each throttle, one more for each round of answers.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"

/**
 * - `Asked`: it has its result.
 * - `Throttled`: it is to be asked again; `first` when it is this that put the brake on.
 * - `GivenUp`: nothing was answered over all the pauses.
 *
 * @category models
 * @since 0.1.0
 */
export type Passed<A> =
  | { readonly _tag: "Asked" | "GivenUp"; readonly result: Result.Result<A, BedrockError> }
  | { readonly _tag: "Throttled"; readonly first: boolean }

/**
 * @category models
 * @since 0.1.0
 */
export interface Brake {
  /** Asks when the model's brake allows it. `onStart` hears how many milliseconds that took. */
  readonly through: <A>(
    model: string,
    ask: Effect.Effect<Result.Result<A, BedrockError>>,
    onStart: (waitedMillis: number) => void
  ) => Effect.Effect<Passed<A>>
}

interface Lane {
  /** Calls that may be under way. */
  limit: number
  running: number
  /** Below it `limit` grows by one with each answer, above it with each round of answers. */
  threshold: number
  /** Calls that began before the last throttle tell nothing new. */
  epoch: number
  /** Throttles in a row, each after a pause, with no answer in between. */
  row: number
  pausing: boolean
  readonly parked: Set<() => void>
}

const firstPauseMillis = 1_000
const longestPauseMillis = 30_000
/** Pauses of 1, 2, 4, 8, 16, 30 and 30 s: longer than a minute, after which any quota per minute is free again. */
const maxRow = 8

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (now: () => number): Effect.Effect<Brake, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const lanes = new Map<string, Lane>()
    const laneOf = (model: string): Lane => {
      const known = lanes.get(model)
      if (known !== undefined) return known
      const lane: Lane = {
        limit: Infinity,
        running: 0,
        threshold: Infinity,
        epoch: 0,
        row: 0,
        pausing: false,
        parked: new Set()
      }
      lanes.set(model, lane)
      return lane
    }

    const isOpen = (lane: Lane) => !lane.pausing && lane.running < lane.limit
    const wake = (lane: Lane) => {
      let room = lane.pausing ? 0 : lane.limit - lane.running
      for (const resume of lane.parked) {
        if (room-- < 1) return
        lane.parked.delete(resume)
        resume()
      }
    }
    const changed = (lane: Lane): Effect.Effect<void> =>
      Effect.callback<void>((resume) => {
        const mine = () => resume(Effect.void)
        lane.parked.add(mine)
        return Effect.sync(() => lane.parked.delete(mine))
      })

    const answered = (lane: Lane): void => {
      lane.row = 0
      lane.limit += lane.limit < lane.threshold ? 1 : 1 / lane.limit
    }

    /** Whether it is worth asking again. */
    const throttled = (lane: Lane, epoch: number): Effect.Effect<boolean> => {
      if (epoch !== lane.epoch) return Effect.succeed(true)
      lane.row += 1
      lane.epoch += 1
      lane.limit = Math.max(1, Math.floor(Math.min(lane.limit, lane.running) / 2))
      lane.threshold = lane.limit
      lane.pausing = true
      const again = lane.row < maxRow
      // The others need not wait long to be given up as well, nor may they be all asked meanwhile.
      const pause = Effect.sleep(
        again ? Math.min(longestPauseMillis, firstPauseMillis * 2 ** (lane.row - 1)) : firstPauseMillis
      )
      const resume = Effect.sync(() => {
        lane.pausing = false
        wake(lane)
      })
      return Effect.as(Effect.forkIn(Effect.andThen(pause, resume), scope), again)
    }

    return {
      through: <A>(
        model: string,
        ask: Effect.Effect<Result.Result<A, BedrockError>>,
        onStart: (waitedMillis: number) => void
      ): Effect.Effect<Passed<A>> =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function*() {
            const lane = laneOf(model)
            const began = now()
            while (!isOpen(lane)) yield* restore(changed(lane))
            lane.running += 1
            const { epoch } = lane
            onStart(now() - began)
            return yield* restore(ask).pipe(
              Effect.flatMap((result): Effect.Effect<Passed<A>> => {
                if (Result.isSuccess(result)) answered(lane)
                if (Result.isSuccess(result) || !isThrottle(result.failure)) {
                  return Effect.succeed({ _tag: "Asked", result })
                }
                const first = lane.limit === Infinity
                return Effect.map(
                  throttled(lane, epoch),
                  (again): Passed<A> => again ? { _tag: "Throttled", first } : { _tag: "GivenUp", result }
                )
              }),
              Effect.ensuring(Effect.sync(() => {
                lane.running -= 1
                wake(lane)
                // Lines may name any number of models.
                if (lane.running === 0 && lane.limit === Infinity) lanes.delete(model)
              }))
            )
          })
        )
    }
  })

const isThrottle = ({ reason }: BedrockError): boolean =>
  reason._tag === "ThrottlingError" && reason.limit !== "tokens-per-day"
