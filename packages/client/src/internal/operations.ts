// From an operation of the SDK to an Effect or a Stream: observer, time limits, errors and interruption are the same for all.
import type { BedrockRuntimeClient } from "@aws-sdk/client-bedrock-runtime"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CallObserver } from "../CallObserver.ts"
import type { Operations } from "../Operations.ts"
import { Call } from "./call.ts"
import { batchesOf } from "./events.ts"
import { Failures } from "./failures.ts"
import { type Limits, Patience } from "./patience.ts"
import { seated, type Seats } from "./seat.ts"
import { pullOf } from "./streaming.ts"
import * as table from "./table.ts"

/** The operations of the SDK's client as Effects and Streams. @internal */
export const make = (options: {
  readonly client: BedrockRuntimeClient
  readonly limits: Limits
  readonly region: string | undefined
  readonly seats: Seats
}): Operations => {
  const { client, limits, region, seats } = options

  return table.make({
    unary: ({ isWhole, operation, send }) => (input) =>
      Effect.withFiber((fiber) => {
        const call = new Call(fiber.getRef(CallObserver))
        const patience = new Patience(limits, fiber.context, () => call.abort(), () => call.prepared)
        const failures = new Failures(operation, table.modelIdOf(input), region, call)
        const asked = patience.wait({
          promise: () => send(client, input, { call }),
          content: false,
          onValue: (output) => isWhole(output) ? Effect.succeed(output) : Effect.fail(failures.empty()),
          onError: (cause) => Effect.fail(failures.fromUnknown(cause)),
          onExpired: (expired) => Effect.fail(failures.expired(expired))
        })
        return Effect.onExit(
          seated(seats, call, patience, failures)(asked),
          () =>
            Effect.sync(() => {
              patience.end()
              // After a success nothing is left to abort. After a failure there may be: the SDK may have given up on a
              // response that it had not read to its end.
              call.abort()
            })
        )
      }),

    // One channel, and not a stream of a stream of a stream: each of them has its price for every stream, and some for every event.
    streaming: ({ operation, progress, send }) => (input) =>
      Stream.fromChannel(Channel.fromTransform((_, scope) =>
        Effect.withFiber((fiber) => {
          const call = new Call(fiber.getRef(CallObserver))
          const patience = new Patience(limits, fiber.context, () => call.abort(), () => call.prepared)
          const failures = new Failures(operation, table.modelIdOf(input), region, call)
          const start = () => send(client, input, { call }).then((events = nothing) => batchesOf(call.body, events))
          const end = Effect.sync(() => {
            patience.end()
            call.abort()
          })
          const pull = pullOf(start, progress(), patience, failures, seated(seats, call, patience, failures))
          return Effect.as(Scope.addFinalizer(scope, end), pull)
        })
      ))
  })
}

const nothing: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) })
}
