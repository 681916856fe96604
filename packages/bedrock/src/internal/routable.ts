// The service whose operations take a route's name wherever they take a model's id.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Service } from "../Bedrock.ts"
import * as adapting from "./adapting.ts"
import * as asking from "./asking.ts"
import { failure } from "./failures.ts"
import * as lastWords from "./lastWords.ts"
import * as questions from "./questions.ts"
import * as readings from "./readings.ts"
import * as routed from "./routed.ts"
import type { Kind } from "./routedCall.ts"
import { routeOf, type Routing } from "./routing.ts"
import type { Opened } from "./streaming.ts"

type Input<Name extends "converse" | "converseStream" | "invokeModel" | "invokeModelWithResponseStream"> = Parameters<
  Service[Name]
>[0]
type Output<Name extends "converse" | "invokeModel"> = Effect.Success<ReturnType<Service[Name]>>
type ChunkEvent = Stream.Success<ReturnType<Service["invokeModelWithResponseStream"]>>

/** `service`: what a last resort may ask. */
const conversing = (service: () => Service): Kind<Input<"converse">, Output<"converse">> => ({
  question: (input) => questions.converse("Converse", input),
  wants: (input) => asking.converse(input, false),
  adapt: adapting.converse,
  check: (own, input) => (answer) => own(answer, input),
  lastResort: ({ converse }, input) => converse && ((reason) => converse(reason, input, service()))
})

const streaming = (service: () => Service): Kind<Input<"converseStream">, Opened<lastWords.ConverseEvent>> => ({
  question: (input) => questions.converse("ConverseStream", input),
  wants: (input) => asking.converse(input, true),
  adapt: adapting.converse,
  lastResort: ({ converse }, input) =>
    converse && ((reason) => Effect.map(converse(reason, input, service()), lastWords.opened))
})

const invoking = (service: () => Service): Kind<Input<"invokeModel">, Output<"invokeModel">> => ({
  question: (input) => questions.invokeModel("InvokeModel", input),
  wants: () => asking.invokeModel(false),
  adapt: adapting.adapt,
  lastResort: ({ invokeModel }, input) =>
    invokeModel && ((reason) => Effect.map(invokeModel(reason, input, service()), lastWords.invoked))
})

const invokingStream = (
  service: () => Service
): Kind<Input<"invokeModelWithResponseStream">, Opened<ChunkEvent>> => ({
  question: (input) => questions.invokeModel("InvokeModelWithResponseStream", input),
  wants: () => asking.invokeModel(true),
  adapt: adapting.adapt,
  lastResort: ({ invokeModelWithResponseStream }, input, plain) =>
    invokeModelWithResponseStream &&
    ((reason) => lastWords.begun(invokeModelWithResponseStream(reason, input, service()), plain))
})

/** A service whose operations know the routes. What names none of them passes as it did. @internal */
export const over = (plain: Service, routing: Routing): Service => {
  const converse = conversing(() => service)
  const converseStream = streaming(() => service)
  const invokeModel = invoking(() => service)
  const invokeModelStream = invokingStream(() => service)
  const named = (input: { readonly modelId?: string | undefined }) => routeOf(routing, input.modelId)
  /** An operation that takes the id of a model, and no route's name. */
  const ofModel = (operation: string, { modelId }: { readonly modelId?: string | undefined }) =>
    routeOf(routing, modelId) === undefined
      ? Effect.void
      : Effect.fail(wrong(operation, modelId, `${modelId} is a route, and ${operation} takes none: name the model`))
  const service: Service = {
    ...plain,
    converse: (input) => {
      const route = named(input)
      return route === undefined
        ? plain.converse(input)
        : routed.unary(routing, route, input, converse, (client, input) => client.converse(input), readings.conversed)
    },
    converseStream: (input) => {
      const route = named(input)
      return route === undefined
        ? plain.converseStream(input)
        : routed.streamed(
          routing,
          route,
          input,
          converseStream,
          (client, input) => client.converseStream(input),
          () => readings.converse
        )
    },
    invokeModel: (input) => {
      const route = named(input)
      return route === undefined
        ? plain.invokeModel(input)
        : routed.unary(
          routing,
          route,
          input,
          invokeModel,
          (client, input) => client.invokeModel(input),
          (answer, attempt, { family }) => readings.invoked(attempt.head(), answer.body, family)
        )
    },
    invokeModelWithResponseStream: (input) => {
      const route = named(input)
      return route === undefined
        ? plain.invokeModelWithResponseStream(input)
        : routed.streamed(
          routing,
          route,
          input,
          invokeModelStream,
          (client, input) => client.invokeModelWithResponseStream(input),
          ({ family }) => readings.chunks(family)
        )
    },
    invokeModelWithBidirectionalStream: (input) =>
      Stream.unwrap(
        Effect.as(
          ofModel("InvokeModelWithBidirectionalStream", input),
          plain.invokeModelWithBidirectionalStream(input)
        )
      ),
    startAsyncInvoke: (input) => Effect.andThen(ofModel("StartAsyncInvoke", input), plain.startAsyncInvoke(input)),
    countTokens: (input) => Effect.andThen(ofModel("CountTokens", input), plain.countTokens(input)),
    describe: (input) => {
      const route = named(input)
      return route === undefined ? plain.describe(input) : routed.describe(routing, route, input, converse)
    }
  }
  return service
}

const wrong = (operation: string, modelId: string | undefined, message: string): BedrockError =>
  failure(
    { operation, modelId: modelId ?? "", region: undefined },
    new Reason.ValidationError({ kind: "malformed", message: `${message}.` })
  )
