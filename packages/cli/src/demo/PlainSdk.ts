/**
 * The AWS SDK as it comes: nothing is set but where it finds the server.
 *
 * @since 0.1.0
 */
import { BedrockRuntimeClient, ConverseCommand, type ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Workload from "./Workload.ts"

/**
 * What the SDK threw, by name.
 *
 * @category errors
 * @since 0.1.0
 */
export class SdkFailure extends Data.TaggedError("SdkFailure")<{ readonly name: string }> {}

/**
 * A client and its `send`. To send a burst with it is what `Promise.all(prompts.map(...))` does.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  endpoint: string
): Effect.Effect<(input: ConverseCommandInput) => Effect.Effect<unknown, SdkFailure>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new BedrockRuntimeClient({ region: Workload.region, credentials: Workload.credentials, endpoint })
      ),
      (client) => Effect.sync(() => client.destroy())
    ),
    (client) => (input) =>
      Effect.tryPromise({
        try: (abortSignal) => client.send(new ConverseCommand(input), { abortSignal }),
        catch: (error) => new SdkFailure({ name: error instanceof Error ? error.name : "Unknown" })
      })
  )
