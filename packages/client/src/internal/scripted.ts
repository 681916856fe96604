// What stands behind `BedrockClient.layerTest`: operations that answer from a script, by the rules of the real ones.
import { type BedrockError, isBedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Replies, StreamReplies, StreamReply } from "../BedrockClientTest.ts"
import { CallObserver } from "../CallObserver.ts"
import { Call } from "./call.ts"
import { Failures } from "./failures.ts"
import { Patience, unlimited } from "./patience.ts"
import type { Progress } from "./progress.ts"
import { assemble } from "./streaming.ts"

interface Input {
  readonly modelId?: string | undefined
}

/**
 * An operation that answers from its script. It lets the observer know of flush and response as the transport would: of
 * no flush where the scripted error says that nothing was sent.
 *
 * @internal
 */
export const unary = <I extends Input, O>(
  operation: string,
  replies: Replies<I, O> | undefined,
  record: (input: I) => void
): (input: I) => Effect.Effect<O, BedrockError> => {
  const reply = player(operation, replies)
  return (input) =>
    Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(unlimited, fiber.context, () => {})
      const failures = new Failures(operation, input.modelId, undefined, call)
      const late = Effect.suspend(() => Effect.fail(failures.expired(patience.late)))
      if (patience.left === 0) return late
      record(input)
      const next = reply(input)
      const outcome: Effect.Effect<O, BedrockError> = isBedrockError(next)
        ? Effect.fail(next)
        : Effect.isEffect(next)
        ? next
        : Effect.succeed(next)
      const timely = patience.left === Infinity ? outcome : Effect.timeoutOrElse(outcome, {
        duration: patience.left,
        // It was on its way.
        orElse: () => Effect.andThen(Effect.sync(() => call.flushed()), late)
      })
      return timely.pipe(
        Effect.tapError((error) => Effect.sync(() => failed(call, error))),
        Effect.tap(() => Effect.sync(() => answered(call)))
      )
    })
}

/** @internal */
export const stream = <I extends Input, E>(
  operation: string,
  replies: StreamReplies<I, E> | undefined,
  progress: () => Progress<E>,
  record: (input: I) => void
): (input: I) => Stream.Stream<E, BedrockError> => {
  const reply = player(operation, replies)
  return (input) =>
    Stream.unwrap(Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(unlimited, fiber.context, () => {})
      const failures = new Failures(operation, input.modelId, undefined, call)
      if (patience.left === 0) return Effect.succeed(Stream.fail(failures.expired(patience.late)))
      record(input)
      const next: StreamReply<E> = reply(input)
      if (isBedrockError(next)) {
        failed(call, next)
        return Effect.succeed(Stream.fail(next))
      }
      answered(call)
      const events = Stream.isStream(next) ? next : Stream.fromIterable(next).pipe(
        Stream.mapEffect((event) => isBedrockError(event) ? Effect.fail(event) : Effect.succeed(event))
      )
      const iterator = Stream.toAsyncIterableWith(events, fiber.context)[Symbol.asyncIterator]()
      return Effect.as(
        Effect.addFinalizer(() => {
          patience.end()
          return Effect.promise<unknown>(() => iterator.return?.() ?? Promise.resolve())
        }),
        assemble(
          () => Promise.resolve(iterator),
          progress(),
          patience,
          failures
        )
      )
    }))
}

const player = <I, R>(operation: string, replies: ReadonlyArray<R> | ((input: I, index: number) => R) | undefined) => {
  let index = 0
  return (input: I): R => {
    const at = index++
    if (typeof replies === "function") return replies(input, at)
    const reply = replies?.[at]
    if (reply !== undefined) return reply
    throw new Error(
      `BedrockClient.layerTest: call ${at + 1} of ${operation} has no reply: its script has ${replies?.length ?? 0}.`
    )
  }
}

const answered = (call: Call): void => call.responded({ statusCode: 200, headers: {} })

const failed = (call: Call, error: BedrockError): void => {
  if (error.httpStatus !== undefined) call.responded({ statusCode: error.httpStatus, headers: {} })
  else if (error.attempts > 0) call.flushed()
}
