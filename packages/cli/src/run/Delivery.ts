/**
 * Brings results into the journal, and holds what it does not take: what was answered was paid for, and a disk that is full
 * now may have room again when the next answer is there, or the last.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { CliFailure } from "../terminal/CliFailure.ts"
import type { Journal } from "./Journal.ts"
import type { ResultLine } from "./ResultLine.ts"

/**
 * What came of it in the end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivered {
  /** The first failure of the output, even if all was written later. */
  readonly failure: CliFailure | undefined
  /** Answers that a file could not take. Of what a pipe did not take nothing is known. */
  readonly lost: ReadonlyArray<ResultLine>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Delivery {
  /** Writes results, or holds them; never fails. `written` follows when they are there. */
  readonly write: (results: ReadonlyArray<ResultLine>, written: Effect.Effect<void>) => Effect.Effect<void>
  /** Ends when the output has failed and can't be tried again: nothing that comes now can be kept. */
  readonly hopeless: Effect.Effect<void>
  /** Nothing more will come: tries what is held again, a few times or until `enough`, and waits for the disk. */
  readonly finish: (enough: Effect.Effect<unknown>) => Effect.Effect<Delivered>
}

/**
 * Space that programs free by themselves comes in seconds; a person who has to free some starts the run again.
 */
const lastTries = 3
const betweenTries = "1 second"

interface Held {
  readonly results: ReadonlyArray<ResultLine>
  readonly written: Effect.Effect<void>
}

/**
 * `onFailure` hears of the first write that failed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  journal: Journal["Service"],
  onFailure: (failure: CliFailure) => Effect.Effect<void>
): Delivery => {
  let held: Array<Held> = []
  const hopeless = Deferred.makeUnsafe<void>()
  let failure: CliFailure | undefined

  const failed = (cause: CliFailure): Effect.Effect<void> => {
    if (failure !== undefined) return Effect.void
    failure = cause
    return Effect.andThen(
      onFailure(cause),
      journal.retryable ? Effect.void : Deferred.succeed(hopeless, undefined)
    )
  }

  const append = (one: Held, then: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.matchEffect(journal.append(one.results), {
      onSuccess: () => Effect.andThen(one.written, then),
      onFailure: (cause) => {
        held.push(one)
        return failed(cause)
      }
    })

  // Whoever tries them has them: nobody else writes them as well.
  const tryHeld = Effect.suspend(() => {
    const again = held
    held = []
    return Effect.forEach(again, (one) => append(one, Effect.void), { concurrency: "unbounded", discard: true })
  })

  return {
    write: (results, written) => Effect.uninterruptible(append({ results, written }, tryHeld)),
    hopeless: Deferred.await(hopeless),
    finish: Effect.fnUntraced(function*(enough) {
      for (let i = 0; i < lastTries && journal.retryable && held.length > 0; i++) {
        yield* Effect.raceFirst(Effect.sleep(betweenTries), enough)
        yield* tryHeld
      }
      yield* Effect.catch(journal.sync, (cause) =>
        Effect.sync(() => {
          failure ??= cause
        }))
      const lost = held.flatMap(({ results }) => results.filter((line) => journal.retryable && "text" in line))
      return { failure, lost }
    })
  }
}
