// One attempt of a stream: held back until its first content, settled by its end.
import { BedrockError } from "@caprock/errors/BedrockError"
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Request } from "./accountant.ts"
import { admit, type Attempt, type Call, type Served } from "./attempt.ts"

/** How one stream is read. */
export interface Reading<A> {
  /** Whether the event is part of the answer: once one was handed on, the stream is never asked for again. */
  readonly isContent: (event: A) => boolean
  /** What the event tells of the cost, if it does. */
  readonly servedBy: (event: A) => Served | undefined
  /** What all events together told of the usage, where none did alone: to be believed once the stream has come to its end. */
  readonly usageAtEnd: () => Served["usage"]
}

/** A stream whose first content has arrived, or which has ended without. */
export interface Opened<A> {
  readonly held: ReadonlyArray<A>
  readonly rest: Stream.Stream<A, BedrockError>
  /** Ends the attempt for a caller who leaves the rest unread; nothing after its end. */
  readonly left: Effect.Effect<void>
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
  send: (attempt: Attempt) => Stream.Stream<A, BedrockError>
): Effect.Effect<Opened<A>, BedrockError, Scope.Scope> =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const own = yield* Scope.fork(yield* Scope.Scope)
    const exit = yield* Effect.exit(Scope.provide(restore(begin(call, reading(call.request), send)), own))
    if (Exit.isFailure(exit)) yield* Scope.close(own, exit)
    return yield* exit
  }))

const begin = Effect.fnUntraced(function*<A>(
  call: Call,
  reading: Reading<A>,
  send: (attempt: Attempt) => Stream.Stream<A, BedrockError>
): Effect.fn.Return<Opened<A>, BedrockError, Scope.Scope> {
  const attempt = yield* admit(call)
  let served = nothingKnown
  const settled: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, BedrockError> = (yield* Stream.toPull(send(attempt))).pipe(
    Effect.tap((events) =>
      Effect.sync(() => {
        for (const event of events) {
          const told = reading.servedBy(event)
          if (told === undefined) continue
          served = told
          attempt.learned(told)
        }
      })
    ),
    Effect.onError((cause) => {
      const error = cause.reasons.find(Cause.isFailReason)?.error
      if (error instanceof BedrockError) return attempt.failed(error)
      // The end of a stream is the failure that is none.
      if (error === undefined || !Cause.isDone(error)) return Effect.void
      return attempt.succeeded({ ...served, usage: served.usage ?? reading.usageAtEnd() })
    })
  )
  const held: Array<A> = []
  while (true) {
    const next = yield* Effect.exit(settled)
    if (Exit.isSuccess(next)) {
      held.push(...next.value)
      if (next.value.some(reading.isContent)) {
        return { held, rest: Stream.fromPull(Effect.succeed(settled)), left: attempt.abandoned }
      }
      continue
    }
    const error = next.cause.reasons.find(Cause.isFailReason)?.error
    if (error !== undefined && Cause.isDone(error)) return { held, rest: Stream.empty, left: Effect.void }
    return yield* Effect.failCause(next.cause as Cause.Cause<BedrockError>)
  }
})
