// One attempt of a stream: held back until its first content, settled by its end.
import { CallObserver } from "@caprock/client/CallObserver"
import { BedrockError } from "@caprock/errors/BedrockError"
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Request } from "./accountant.ts"
import * as attempts from "./attempt.ts"
import type { Call, Served } from "./attempt.ts"
import { timely } from "./limits.ts"

/** How one stream is read. */
export interface Reading<A> {
  /** Whether the event is part of the answer: once one was handed on, the stream is never asked for again. */
  readonly isContent: (event: A) => boolean
  /** What the event tells of the cost, if it does. */
  readonly servedBy: (event: A) => Served | undefined
  /** What all events together told of the usage, where none did alone: to be believed once the stream has come to its end. */
  readonly usageAtEnd: () => Served["usage"]
}

/** What is pulled for a stream. */
export type Pulled<A> = Pull.Pull<Arr.NonEmptyReadonlyArray<A>, BedrockError>

/** A stream whose first content has arrived, or which has ended without. */
export interface Opened<A> {
  readonly held: ReadonlyArray<A>
  readonly rest: Pulled<A>
}

const nothingKnown: Served = { usage: undefined, latencyMillis: undefined }

/**
 * Admits one attempt and reads its stream up to the first content. A failure until there is an ordinary failure of the
 * attempt; the attempt then leaves nothing behind. Afterwards the stream's end settles it, and so does its scope.
 *
 * @internal
 */
export const open = <A>(
  call: Call,
  reading: (request: Request) => Reading<A>,
  sent: Stream.Stream<A, BedrockError>
): Effect.Effect<Opened<A>, BedrockError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.Scope, (scope) => {
      const own = Scope.forkUnsafe(scope)
      return Effect.onError(
        Scope.provide(
          Effect.flatMap(attempts.admit(call, restore), (attempt) =>
            // Before the limiter is told that it is over.
            Effect.andThen(
              Scope.addFinalizer(own, attempt.abandoned),
              restore(begin(call, attempt, reading(call.request), sent, own))
            )),
          own
        ),
        (cause) => Scope.close(own, Exit.failCause(cause))
      )
    })
  )

const begin = Effect.fnUntraced(function*<A>(
  call: Call,
  attempt: attempts.Attempt,
  reading: Reading<A>,
  sent: Stream.Stream<A, BedrockError>,
  scope: Scope.Scope
): Effect.fn.Return<Opened<A>, BedrockError> {
  // Whoever sends the request has to know them, and has sent it when its first content is here.
  const sending = <B, E, R>(effect: Effect.Effect<B, E, R>): Effect.Effect<B, E, R> =>
    timely(Effect.provideService(effect, CallObserver, attempt.observer), call.limits)
  let served = nothingKnown
  // `Stream.toPull` would guard every pull against another at the same time, and provide a context for it: nobody pulls so, and a merge of
  // contexts for each event costs more than all else that is done for it here.
  const pull = yield* sending(Channel.toPullScoped(Stream.toChannel(sent), scope))
  const settled: Pulled<A> = Effect.matchCauseEffect(pull, {
    onSuccess: (events) => {
      for (const event of events) {
        const told = reading.servedBy(event)
        if (told === undefined) continue
        served = told
        attempt.learned(told)
      }
      return Effect.succeed(events)
    },
    onFailure: (cause) => {
      const error = attempts.failureOf(cause)
      // The end of a stream is the failure that is none.
      const settlement = Effect.suspend(() =>
        error instanceof BedrockError
          ? attempt.failed(error)
          : error !== undefined && Cause.isDone(error)
          ? attempt.succeeded(() => ({ ...served, usage: served.usage ?? reading.usageAtEnd() }))
          : Effect.void
      )
      return Effect.andThen(Effect.uninterruptible(settlement), Effect.failCause(cause))
    }
  })
  const held: Array<A> = []
  while (true) {
    const next = yield* Effect.exit(sending(settled))
    if (Exit.isSuccess(next)) {
      held.push(...next.value)
      if (next.value.some(reading.isContent)) return { held, rest: settled }
      continue
    }
    const error = attempts.failureOf(next.cause)
    if (error !== undefined && Cause.isDone(error)) return { held, rest: Cause.done() }
    return yield* Effect.failCause(next.cause as Cause.Cause<BedrockError>)
  }
})
