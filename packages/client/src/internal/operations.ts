import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CallObserver } from "../CallObserver.ts"
import { Call, type CallOptions } from "./call.ts"
import { Failures } from "./failures.ts"
import { type Limits, Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"
import { assemble, type Source } from "./streaming.ts"

interface Input {
  readonly modelId?: string | undefined
}

/**
 * How an operation of the SDK becomes an Effect or a Stream. A further operation is one line for whoever has the client.
 *
 * @internal
 */
export const make = (options: { readonly limits: Limits; readonly region: string | undefined }) => {
  const { limits, region } = options

  const unary = <Output>(
    operation: string,
    input: Input,
    send: (options: CallOptions) => Promise<Output>
  ): Effect.Effect<Output, BedrockError> =>
    Effect.flatMap(CallObserver, (observer) => {
      const call = new Call(observer)
      const failures = new Failures(operation, input.modelId, region, call)
      return new Patience(limits).wait(
        false,
        Effect.tryPromise({ try: () => send({ call }), catch: failures.fromUnknown }),
        (expired) => Effect.fail(failures.expired(expired))
      ).pipe(
        // A failure too: the SDK may have given up on a response that it had not read to its end.
        Effect.onError(() => Effect.sync(() => call.abort()))
      )
    })

  const stream = <Event>(
    operation: string,
    input: Input,
    progress: () => Progress<Event>,
    send: (options: CallOptions) => Promise<AsyncIterable<Event> | undefined>
  ): Stream.Stream<Event, BedrockError> =>
    Stream.unwrap(Effect.gen(function*() {
      const observer = yield* CallObserver
      const call = yield* Effect.acquireRelease(
        Effect.sync(() => new Call(observer)),
        (call) => Effect.sync(() => call.abort())
      )
      const failures = new Failures(operation, input.modelId, region, call)
      const start = Effect.map(
        Effect.tryPromise({ try: () => send({ call }), catch: failures.fromUnknown }),
        (events) => sourceOf(events, failures)
      )
      return assemble(start, progress(), new Patience(limits), failures)
    }))

  return { unary, stream }
}

const sourceOf = <Event>(events: AsyncIterable<Event> | undefined, failures: Failures): Source<Event> => {
  if (events === undefined) return { next: Effect.undefined }
  const iterator = events[Symbol.asyncIterator]()
  return {
    next: Effect.map(
      Effect.tryPromise({ try: () => iterator.next(), catch: failures.fromUnknown }),
      (result) => result.done === true ? undefined : result.value
    )
  }
}
