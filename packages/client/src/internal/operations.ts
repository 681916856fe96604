// From an operation of the SDK to an Effect or a Stream: observer, time limits, errors and interruption are the same for all.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CallObserver } from "../CallObserver.ts"
import { Call, type CallOptions } from "./call.ts"
import { Failures } from "./failures.ts"
import { type Limits, Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"
import { assemble } from "./streaming.ts"

/**
 * How an operation of the SDK becomes an Effect or a Stream. A further operation is one line for whoever has the client.
 *
 * @internal
 */
export const make = (options: { readonly limits: Limits; readonly region: string | undefined }) => {
  const { limits, region } = options

  const unary = <Output>(
    operation: string,
    modelId: string | undefined,
    send: (options: CallOptions) => Promise<Output>,
    isWhole: (output: Output) => boolean = () => true
  ): Effect.Effect<Output, BedrockError> =>
    Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(limits, fiber.context, () => call.abort())
      const failures = new Failures(operation, modelId, region, call)
      return Effect.onExit(
        patience.wait<Output, Output, BedrockError>({
          promise: () => send({ call }),
          content: false,
          onValue: (output) => isWhole(output) ? Effect.succeed(output) : Effect.fail(failures.empty()),
          onError: (cause) => Effect.fail(failures.fromUnknown(cause)),
          onExpired: (expired) => Effect.fail(failures.expired(expired))
        }),
        () =>
          Effect.sync(() => {
            patience.end()
            // After a success nothing is left to abort. After a failure there may be: the SDK may have given up on a
            // response that it had not read to its end.
            call.abort()
          })
      )
    })

  const stream = <Event>(
    operation: string,
    modelId: string | undefined,
    progress: () => Progress<Event>,
    send: (options: CallOptions) => Promise<AsyncIterable<Event> | undefined>
  ): Stream.Stream<Event, BedrockError> =>
    Stream.unwrap(Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(limits, fiber.context, () => call.abort())
      const failures = new Failures(operation, modelId, region, call)
      return Effect.as(
        Effect.addFinalizer(() =>
          Effect.sync(() => {
            patience.end()
            call.abort()
          })
        ),
        assemble(() => send({ call }).then(iteratorOf), progress(), patience, failures)
      )
    }))

  return { unary, stream }
}

const iteratorOf = <Event>(events: AsyncIterable<Event> | undefined): AsyncIterator<Event> =>
  (events ?? nothing)[Symbol.asyncIterator]()

const nothing: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) })
}
