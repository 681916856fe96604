// A service that sends nothing out of the fence around who asks it: that of the route on whose behalf a last resort is.
import * as Operations from "@caprock/client/Operations"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as ModelId from "@caprock/quota/ModelId"
import * as Fence from "@caprock/router/Fence"
import type { RouteTable } from "@caprock/router/RouteTable"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Service } from "../Bedrock.ts"
import { failure } from "./failures.ts"
import { residencyOf } from "./targets.ts"

type Places = ReadonlyArray<string> | undefined

/** `region`: where its requests are sent. `table`: of its routes, if it has any, whose targets say where they may be processed. @internal */
export const over = (service: Service, region: string | undefined, table: RouteTable | undefined): Service => {
  /** Where a model's id may be processed: as the id says, or the target that has it. */
  const placesOf = (modelId: string): Places => {
    const id = ModelId.parse(modelId)
    return (Result.isSuccess(id) ? residencyOf(id.success, region) : undefined) ??
      table?.targets.find((target) => target.model === modelId && (target.region ?? region) === region)?.residency
  }
  /** What names no model is done where it is sent. */
  const here = region === undefined ? undefined : [region]
  const wrong = (operation: string, modelId: string | undefined, places: () => Places) =>
    Effect.withFiber((fiber) => {
      const fence = fiber.getRef(Fence.CurrentFence)
      const outside = fence && Fence.outside(fence, places())
      if (fence === undefined || outside === undefined) return Effect.undefined
      const place = outside._tag === "Unknown" ? "places that nobody knows" : outside.place
      return Effect.succeed(failure(
        { operation, modelId: modelId ?? "", region },
        new Reason.ValidationError({
          kind: "malformed",
          message: `${modelId ?? operation} may be processed at ${place}, outside of the fence ${fence.join(", ")}.`
        })
      ))
    })
  const guarded = <A>(
    problem: Effect.Effect<BedrockError | undefined>,
    send: () => Effect.Effect<A, BedrockError>
  ): Effect.Effect<A, BedrockError> =>
    Effect.flatMap(problem, (error) => error === undefined ? send() : Effect.fail(error))
  const guardedStream = <A, E, R>(
    problem: Effect.Effect<BedrockError | undefined>,
    send: () => Stream.Stream<A, E | BedrockError, R>
  ): Stream.Stream<A, E | BedrockError, R> =>
    // `Stream.unwrap` would be one more step for each event.
    Stream.fromChannel(Channel.fromTransform((upstream, scope) =>
      Effect.flatMap(
        problem,
        (error) =>
          Channel.toTransform(Stream.toChannel(error === undefined ? send() : Stream.fail(error)))(upstream, scope)
      )
    ))
  const ofModel = (operation: string, { modelId }: { readonly modelId?: string | undefined }) =>
    wrong(operation, modelId, () => placesOf(modelId ?? ""))
  const ofRegion = (operation: string) => wrong(operation, undefined, () => here)

  const listAsyncInvokes: Service["listAsyncInvokes"] = (input) =>
    guarded(ofRegion("ListAsyncInvokes"), () => service.listAsyncInvokes(input))
  return {
    converse: (input) => guarded(ofModel("Converse", input), () => service.converse(input)),
    converseStream: (input) => guardedStream(ofModel("ConverseStream", input), () => service.converseStream(input)),
    invokeModel: (input) => guarded(ofModel("InvokeModel", input), () => service.invokeModel(input)),
    invokeModelWithResponseStream: (input) =>
      guardedStream(
        ofModel("InvokeModelWithResponseStream", input),
        () => service.invokeModelWithResponseStream(input)
      ),
    invokeModelWithBidirectionalStream: (input) =>
      guardedStream(
        ofModel("InvokeModelWithBidirectionalStream", input),
        () => service.invokeModelWithBidirectionalStream(input)
      ),
    countTokens: (input) => guarded(ofModel("CountTokens", input), () => service.countTokens(input)),
    startAsyncInvoke: (input) => guarded(ofModel("StartAsyncInvoke", input), () => service.startAsyncInvoke(input)),
    applyGuardrail: (input) => guarded(ofRegion("ApplyGuardrail"), () => service.applyGuardrail(input)),
    invokeGuardrailChecks: (input) =>
      guarded(ofRegion("InvokeGuardrailChecks"), () => service.invokeGuardrailChecks(input)),
    getAsyncInvoke: (input) => guarded(ofRegion("GetAsyncInvoke"), () => service.getAsyncInvoke(input)),
    listAsyncInvokes,
    listAsyncInvokesAll: Operations.listAsyncInvokesAll({ listAsyncInvokes }),
    // These send nothing.
    snapshot: service.snapshot,
    describe: service.describe
  }
}
