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

/** Leaves an attempt, read to its end or not. */
export type Close = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>

const nothingKnown: Served = { usage: undefined, latencyMillis: undefined }

/**
 * Admits one attempt and reads its stream up to the first content. A failure until there is an ordinary failure of the
 * attempt; the attempt then leaves nothing behind. Afterwards the stream's end settles it, and so does its close, which is given to
 * `opening` before there is anything to close.
 *
 * @internal
 */
export const open = <A>(
  call: Call,
  reading: (request: Request) => Reading<A>,
  sent: Stream.Stream<A, BedrockError>,
  opening: (close: Close) => void
): Effect.Effect<Opened<A>, BedrockError> =>
  Effect.uninterruptibleMask((restore) => {
    const reserved = Scope.makeUnsafe()
    const { close, send } = sending(call, reading, sent)
    const closeBoth: Close = (exit) => Effect.ensuring(close(exit), Scope.close(reserved, exit))
    opening(closeBoth)
    const begun = attempts.admit(call, restore, (attempt) => send(restore, attempt))
    return Effect.onError(Scope.provide(begun, reserved), (cause) => closeBoth(Exit.failCause(cause)))
  })

/**
 * How the stream of an attempt is sent and read up to its first content, once it is admitted; and how it is left. The limiter is to be told
 * after that.
 *
 * @internal
 */
export const sending = <A>(
  call: Call,
  reading: (request: Request) => Reading<A>,
  sent: Stream.Stream<A, BedrockError>
): {
  readonly close: Close
  readonly send: (restore: attempts.Restore, attempt: attempts.Attempt) => Effect.Effect<Opened<A>, BedrockError>
} => {
  // Each has one to end: a scope with several of them takes a fiber's steps to go through them.
  const requested = Scope.makeUnsafe()
  let admitted: attempts.Attempt | undefined
  return {
    // What the connection's end tells of the request comes before its settlement, and the limiter is told last.
    close: (exit) =>
      Effect.ensuring(
        Scope.close(requested, exit),
        Effect.suspend(() => admitted?.abandoned ?? Effect.void)
      ),
    send: (restore, attempt) => {
      admitted = attempt
      return restore(
        // Whoever sends the request has to know them, and has sent it when its first content is here.
        timely(
          Effect.provideService(begin(attempt, reading(call.request), sent, requested), CallObserver, attempt.observer),
          call.limits
        )
      )
    }
  }
}

const begin = <A>(
  attempt: attempts.Attempt,
  reading: Reading<A>,
  sent: Stream.Stream<A, BedrockError>,
  scope: Scope.Scope
): Effect.Effect<Opened<A>, BedrockError> =>
  // `Stream.toPull` would guard every pull against another at the same time, and provide a context for it: nobody pulls so, and a merge of
  // contexts for each event costs more than all else that is done for it here.
  Effect.flatMap(Channel.toPullScoped(Stream.toChannel(sent), scope), (pull) => {
    const rest = settledBy(attempt, reading, pull)
    const held: Array<A> = []
    const first: Effect.Effect<Opened<A>, BedrockError> = Effect.matchCauseEffect(rest, {
      onSuccess: (events) => {
        held.push(...events)
        return events.some(reading.isContent) ? Effect.succeed({ held, rest }) : first
      },
      onFailure: (cause) => {
        const error = attempts.failureOf(cause)
        return error !== undefined && Cause.isDone(error)
          ? Effect.succeed({ held, rest: Cause.done() })
          : Effect.failCause(cause as Cause.Cause<BedrockError>)
      }
    })
    return first
  })

/** What is pulled, and settles the attempt by what it tells and how it ends. */
const settledBy = <A>(attempt: attempts.Attempt, reading: Reading<A>, pull: Pulled<A>): Pulled<A> => {
  let served = nothingKnown
  return Effect.matchCauseEffect(pull, {
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
}
