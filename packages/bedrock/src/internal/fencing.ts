// A service that sends nothing out of the fence around who asks it: that of the route on whose behalf a last resort is.
import * as Operations from "@caprock/client/Operations"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as ModelId from "@caprock/quota/ModelId"
import * as Fence from "@caprock/router/Fence"
import type { RouteTable } from "@caprock/router/RouteTable"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Service } from "../Bedrock.ts"
import { failure } from "./failures.ts"
import { residencyOf } from "./targets.ts"

type Named = { readonly modelId?: string | undefined }
type Places = ReadonlyArray<string> | undefined

/** `region`: where its requests are sent. `table`: of its routes, if it has any, whose targets say where they may be processed. @internal */
export const over = (service: Service, region: string | undefined, table: RouteTable | undefined): Service => {
  /** Where a model's id may be processed: as the id says, or the target that has it; of several all that say it say the same. */
  const placesOf = (modelId: string): Places => {
    const id = ModelId.parse(modelId)
    return (Result.isSuccess(id) ? residencyOf(id.success, region) : undefined) ??
      table?.targets.find((target) =>
        target.model === modelId && (target.region ?? region) === region && target.residency !== undefined
      )?.residency
  }
  /** What names no model is done where it is sent. */
  const here = region === undefined ? undefined : [region]
  const wrong = (
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: string,
    modelId: string | undefined,
    places: () => Places
  ): BedrockError | undefined => {
    const fence = fiber.getRef(Fence.CurrentFence)
    const outside = fence && Fence.outside(fence, places())
    if (fence === undefined || outside === undefined) return undefined
    const place = outside._tag === "Unknown" ? "places that nobody knows" : outside.place
    return failure(
      { operation, modelId: modelId ?? "", region },
      new Reason.ValidationError({
        kind: "malformed",
        message: `${modelId ?? operation} may be processed at ${place}, outside of the fence ${fence.join(", ")}.`
      })
    )
  }
  const ofRegion = <A>(operation: string, send: () => Effect.Effect<A, BedrockError>): Effect.Effect<A, BedrockError> =>
    Effect.withFiber((fiber) => {
      const error = wrong(fiber, operation, undefined, () => here)
      return error === undefined ? send() : Effect.fail(error)
    })
  const ofModel = <A>(
    operation: string,
    { modelId }: Named,
    send: () => Effect.Effect<A, BedrockError>
  ): Effect.Effect<A, BedrockError> =>
    Effect.withFiber((fiber) => {
      const error = wrong(fiber, operation, modelId, () => placesOf(modelId ?? ""))
      return error === undefined ? send() : Effect.fail(error)
    })
  const streamOfModel = <A, E, R>(
    operation: string,
    { modelId }: Named,
    send: () => Stream.Stream<A, E | BedrockError, R>
  ): Stream.Stream<A, E | BedrockError, R> =>
    // `Stream.unwrap` would be one more step for each event.
    Stream.fromChannel(Channel.fromTransform((upstream, scope) =>
      Effect.withFiber((fiber) => {
        const error = wrong(fiber, operation, modelId, () => placesOf(modelId ?? ""))
        return Channel.toTransform(Stream.toChannel(error === undefined ? send() : Stream.fail(error)))(upstream, scope)
      })
    ))

  const listAsyncInvokes: Service["listAsyncInvokes"] = (input) =>
    ofRegion("ListAsyncInvokes", () => service.listAsyncInvokes(input))
  return {
    converse: (input) => ofModel("Converse", input, () => service.converse(input)),
    converseStream: (input) => streamOfModel("ConverseStream", input, () => service.converseStream(input)),
    invokeModel: (input) => ofModel("InvokeModel", input, () => service.invokeModel(input)),
    invokeModelWithResponseStream: (input) =>
      streamOfModel("InvokeModelWithResponseStream", input, () => service.invokeModelWithResponseStream(input)),
    invokeModelWithBidirectionalStream: (input) =>
      streamOfModel(
        "InvokeModelWithBidirectionalStream",
        input,
        () => service.invokeModelWithBidirectionalStream(input)
      ),
    countTokens: (input) => ofModel("CountTokens", input, () => service.countTokens(input)),
    startAsyncInvoke: (input) => ofModel("StartAsyncInvoke", input, () => service.startAsyncInvoke(input)),
    applyGuardrail: (input) => ofRegion("ApplyGuardrail", () => service.applyGuardrail(input)),
    invokeGuardrailChecks: (input) => ofRegion("InvokeGuardrailChecks", () => service.invokeGuardrailChecks(input)),
    getAsyncInvoke: (input) => ofRegion("GetAsyncInvoke", () => service.getAsyncInvoke(input)),
    listAsyncInvokes,
    listAsyncInvokesAll: Operations.listAsyncInvokesAll({ listAsyncInvokes }),
    // These send nothing.
    snapshot: service.snapshot,
    describe: service.describe
  }
}
