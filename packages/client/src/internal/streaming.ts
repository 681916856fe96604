import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Failures } from "./failures.ts"
import type { Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"

// Once an answer is whole nothing more is owed, but reading on to the end of the response lets the connection be used
// again. The end comes in the same packet or the next; a new connection would cost about a tenth of this.
const endMillis = 1_000

/**
 * A source of events: each run of `next` gives one, or `undefined` at the end.
 *
 * @internal
 */
export interface Source<Event> {
  readonly next: Effect.Effect<Event | undefined, BedrockError>
}

/**
 * Turns a source into a stream that succeeds only when the whole answer was seen. One event is in flight at a time, and
 * the next is asked for when the consumer wants it: a slow consumer holds the connection, not a buffer.
 *
 * @internal
 */
export const assemble = <Event>(
  start: Effect.Effect<Source<Event>, BedrockError>,
  progress: Progress<Event>,
  patience: Patience,
  failures: Failures
): Stream.Stream<Event, BedrockError> => {
  const expired = (reason: Parameters<Failures["expired"]>[0]) => Effect.fail(failures.expired(reason))
  const after = (next: Source<Event>["next"]): Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, BedrockError> => {
    const live = Effect.flatMap(
      Effect.mapError(
        Effect.suspend(() => patience.wait<Event | undefined, BedrockError, never>(progress.content(), next, expired)),
        (error) => failures.interrupted(progress, error)
      ),
      (event): Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, BedrockError> => {
        if (event === undefined) return progress.endsWell() ? Cause.done() : Effect.fail(failures.interrupted(progress))
        progress.observe(event)
        return Effect.succeed(Arr.of(event))
      }
    )
    // However it ends now, the caller has everything.
    const rest = next.pipe(
      Effect.timeoutOption(endMillis),
      Effect.matchEffect({
        onFailure: () => Cause.done(),
        onSuccess: (event) =>
          event._tag === "None" || event.value === undefined ? Cause.done() : Effect.succeed(Arr.of(event.value))
      })
    )
    return Effect.suspend(() => progress.complete() ? rest : live)
  }
  return Stream.unwrap(Effect.map(
    patience.wait(false, start, expired),
    (source) => Stream.fromPull(Effect.succeed(after(source.next)))
  ))
}
