// From the SDK's iterator to a Stream that succeeds only when the whole answer was seen.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Batches } from "./events.ts"
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
 * Turns events into a stream that succeeds only when the whole answer was seen, or rather into what is pulled for one. They are
 * asked for when the consumer wants more: a slow consumer holds the connection, not a buffer.
 *
 * @internal
 */
export const pullOf = <Event>(
  start: () => Promise<Batches<Event>>,
  progress: Progress<Event>,
  patience: Patience,
  failures: Failures,
  /** What stands before the request. */
  seated: <A, E>(next: Effect.Effect<A, E>) => Effect.Effect<A, E | BedrockError> = (next) => next
): Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, BedrockError> => {
  type Next = Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, BedrockError>

  const cut = (error: BedrockError): Effect.Effect<never, BedrockError> =>
    Effect.fail(failures.interrupted(progress, error))
  const onExpired = (expired: Expired) => cut(failures.expired(expired))

  /** Nobody has checked what an event holds: what is none is tripped over here, before anybody sees it. */
  let tripped: { readonly over: unknown } | undefined
  const observed = (events: ReadonlyArray<Event>): Next => {
    for (const [index, event] of events.entries()) {
      try {
        progress.observe(event)
      } catch (over) {
        tripped = { over }
        return given(events.slice(0, index))
      }
    }
    return given(events)
  }

  const given = (events: ReadonlyArray<Event>): Next => {
    if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
    if (progress.complete() || (tripped === undefined && progress.endsWell())) return Cause.done()
    return tripped === undefined
      ? Effect.fail(failures.interrupted(progress))
      : cut(failures.whileReading(tripped.over))
  }

  const live = (batches: Batches<Event>): Next =>
    patience.wait<ReadonlyArray<Event>, Arr.NonEmptyReadonlyArray<Event>, BedrockError | Cause.Done>({
      promise: batches.next,
      content: progress.content(),
      onValue: observed,
      onError: (cause) => progress.satisfied?.() === true ? Cause.done() : cut(failures.whileReading(cause)),
      onExpired: (expired) => progress.satisfied?.() === true ? Cause.done() : onExpired(expired)
    })

  let afterEnd = 0

  // However it ends now, the caller has everything.
  const rest = (batches: Batches<Event>): Next => {
    if (afterEnd >= mostAfterEnd) return Cause.done()
    const next = Effect.tryPromise(batches.next)
    return Effect.matchEffect(
      batches.ending() ? next : Effect.timeout(next, Math.min(endMillis, patience.left)),
      {
        onFailure: () => Cause.done(),
        onSuccess: (events) => {
          afterEnd += events.length
          return observed(events)
        }
      }
    )
  }

  const next = (batches: Batches<Event>): Next =>
    tripped !== undefined ? given([]) : progress.complete() ? rest(batches) : live(batches)

  let begun: Batches<Event> | undefined
  const begin: Next = seated(
    patience.wait<Batches<Event>, Arr.NonEmptyReadonlyArray<Event>, BedrockError | Cause.Done>({
      promise: start,
      content: false,
      onValue: (batches) => {
        begun = batches
        return live(batches)
      },
      onError: (cause) => Effect.fail(failures.whileReading(cause)),
      onExpired
    })
  )
  return Effect.suspend(() => begun === undefined ? begin : next(begun))
}

/** {@link pullOf}, as a stream that can be run once. @internal */
export const assemble = <Event>(
  ...parts: Parameters<typeof pullOf<Event>>
): Stream.Stream<Event, BedrockError> => Stream.fromPull(Effect.sync(() => pullOf(...parts)))
