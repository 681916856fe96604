// From the SDK's iterator to a Stream that succeeds only when the whole answer was seen.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Failures } from "./failures.ts"
import type { Expired, Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"

// Once an answer is whole nothing more is owed, but reading on to the end of the response lets the connection be used
// again. The end comes in the same packet or the next; a new connection would cost about a tenth of this.
const endMillis = 1_000

// What a family of models writes after its last word is one event or two, such as the usage. A stream that goes on and on has no
// more to say.
const mostAfterEnd = 32

/**
 * Turns the SDK's iterator into a stream that succeeds only when the whole answer was seen. One event is asked for at a
 * time, when the consumer wants it: a slow consumer holds the connection, not a buffer.
 *
 * @internal
 */
export const assemble = <Event>(
  start: () => Promise<AsyncIterator<Event>>,
  progress: Progress<Event>,
  patience: Patience,
  failures: Failures
): Stream.Stream<Event, BedrockError> => {
  type Next = Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, BedrockError>

  const cut = (error: BedrockError): Effect.Effect<never, BedrockError> =>
    Effect.fail(failures.interrupted(progress, error))
  const onExpired = (expired: Expired) => cut(failures.expired(expired))

  /** Nobody has checked what an event holds: what is none is tripped over here, before anybody sees it. */
  const observed = (event: Event): { readonly over: unknown } | undefined => {
    try {
      progress.observe(event)
      return undefined
    } catch (over) {
      return { over }
    }
  }

  const live = (iterator: AsyncIterator<Event>): Next =>
    patience.wait<IteratorResult<Event>, Arr.NonEmptyReadonlyArray<Event>, BedrockError | Cause.Done>({
      promise: () => iterator.next(),
      content: progress.content(),
      onValue: (result) => {
        if (result.done === true) {
          return progress.endsWell()
            ? Cause.done()
            : Effect.fail(failures.interrupted(progress))
        }
        const tripped = observed(result.value)
        return tripped === undefined ? Effect.succeed(Arr.of(result.value)) : cut(failures.whileReading(tripped.over))
      },
      onError: (cause) => progress.satisfied?.() === true ? Cause.done() : cut(failures.whileReading(cause)),
      onExpired: (expired) => progress.satisfied?.() === true ? Cause.done() : onExpired(expired)
    })

  let afterEnd = 0

  // However it ends now, the caller has everything.
  const rest = (iterator: AsyncIterator<Event>): Next =>
    afterEnd++ === mostAfterEnd ? Cause.done() : Effect.tryPromise(() => iterator.next()).pipe(
      Effect.timeout(Math.min(endMillis, patience.left)),
      Effect.matchEffect({
        onFailure: () => Cause.done(),
        onSuccess: (result) =>
          result.done === true || observed(result.value) !== undefined
            ? Cause.done()
            : Effect.succeed(Arr.of(result.value))
      })
    )

  return Stream.unwrap(patience.wait({
    promise: start,
    content: false,
    onValue: (iterator) =>
      Effect.succeed(Stream.fromPull(Effect.succeed(
        Effect.suspend(() => progress.complete() ? rest(iterator) : live(iterator))
      ))),
    onError: (cause) => Effect.fail(failures.whileReading(cause)),
    onExpired
  }))
}
