/**
 * The same through Caprock, at its defaults: it is told the quotas and, since the emulator's minute is short, its length.
 *
 * @since 0.1.0
 */
import type { ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as Quotas from "@caprock/quota/Quotas"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Workload from "./Workload.ts"

/**
 * The reason of a `BedrockError`, by name.
 *
 * @category errors
 * @since 0.1.0
 */
export class LayeredFailure extends Data.TaggedError("LayeredFailure")<{ readonly name: string }> {}

/**
 * The service and its `converse`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  endpoint: string
): Effect.Effect<(input: ConverseCommandInput) => Effect.Effect<unknown, LayeredFailure>, never, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.orDie(Bedrock.layer({
      region: Workload.region,
      credentials: Workload.credentials,
      endpoint,
      quotas: Quotas.uniform({
        requestsPerMinute: Workload.quota.requests,
        tokensPerMinute: Workload.quota.tokens
      }),
      meters: { window: Workload.windowMillis }
    }))),
    (context) => {
      const bedrock = Context.get(context, Bedrock.Bedrock)
      return (input) =>
        Effect.mapError(bedrock.converse(input), (error) => new LayeredFailure({ name: error.reason._tag }))
    }
  )
