import { type BedrockError, isBedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Replies, StreamReplies, StreamReply } from "../BedrockClientTest.ts"
import { CallObserver } from "../CallObserver.ts"
import { Call } from "./call.ts"
import { Failures } from "./failures.ts"
import { Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"
import { assemble, type Source } from "./streaming.ts"

interface Input {
  readonly modelId?: string | undefined
}

const noLimits = { connect: Infinity, firstToken: Infinity, betweenTokens: Infinity, call: Infinity }

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
    Effect.flatMap(CallObserver, (observer) => {
      const call = new Call(observer)
      record(input)
      const next = reply(input)
      const outcome: Effect.Effect<O, BedrockError> = isBedrockError(next)
        ? Effect.fail(next)
        : Effect.isEffect(next)
        ? next
        : Effect.succeed(next)
      return outcome.pipe(
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
    Stream.unwrap(Effect.gen(function*() {
      const call = new Call(yield* CallObserver)
      record(input)
      const next: StreamReply<E> = reply(input)
      if (isBedrockError(next)) {
        failed(call, next)
        return Stream.fail(next)
      }
      answered(call)
      const events = Stream.isStream(next) ? next : Stream.fromIterable(next).pipe(
        Stream.mapEffect((event) => isBedrockError(event) ? Effect.fail(event) : Effect.succeed(event))
      )
      const source = yield* sourceOf(events)
      return assemble(
        Effect.succeed(source),
        progress(),
        new Patience(noLimits),
        new Failures(operation, input.modelId, undefined, call)
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

const sourceOf = <E>(events: Stream.Stream<E, BedrockError>) =>
  Effect.map(Stream.toPull(events), (pull): Source<E> => {
    let ready: ReadonlyArray<E> = []
    let at = 0
    const next: Source<E>["next"] = Effect.suspend(() =>
      at < ready.length ? Effect.succeed(ready[at++]) : Pull.catchDone(
        Effect.flatMap(pull, (events) => {
          ready = events
          at = 0
          return next
        }),
        () => Effect.undefined
      )
    )
    return { next }
  })
