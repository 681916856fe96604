// The client without Effect, made of the service: an operation more is a line here, and one in the interface of `promise.ts`.
import * as Settings from "@caprock/client/Settings"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Route from "@caprock/router/Route"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Bedrock from "../../Bedrock.ts"
import type * as Facade from "../../promise.ts"
import * as Routes from "../../Routes.ts"
import { streamed, unary } from "./answers.ts"
import { Host, Thrown } from "./calls.ts"
import { OptionsError } from "./errors.ts"

/** What an operation is without Effect. */
type Promised<Operation> = Operation extends (input: infer Input) => Effect.Effect<infer Output, BedrockError>
  ? (input: Input, options?: Facade.CallOptions) => Promise<Output>
  : Operation extends (input: infer Input) => Stream.Stream<infer Event, BedrockError>
    ? (input: Input, options?: Facade.CallOptions) => AsyncIterable<Event>
  : never

// A conversation is as the SDK has it, with an iterable where the service has a Stream.
type Plain = Omit<Bedrock.Service, "snapshot" | "describe" | "invokeModelWithBidirectionalStream">

type Operations = { readonly [Name in keyof Plain]: Promised<Plain[Name]> }

/** @internal */
export const make = ({ onEvent, onWarning, ...options }: Facade.Options): Facade.Bedrock => {
  const exit = Effect.runSyncExit(
    optionsOf(options).pipe(Effect.flatMap(Bedrock.config), Effect.tap(checkRoutes))
  )
  if (Exit.isFailure(exit)) throw thrown(exit.cause)
  const host = new Host(Bedrock.Bedrock, Layer.orDie(Bedrock.layer(exit.value)), { onEvent, onWarning })
  const close = () => host.close()
  const snapshot = unary(
    host,
    "Snapshot",
    (bedrock, modelId: string) => Effect.map(bedrock.snapshot(modelId), snapshotOf)
  )
  const bedrock: Facade.Bedrock = {
    converse: unary(host, "Converse", (bedrock, input) => bedrock.converse(input)),
    converseStream: streamed(host, "ConverseStream", (bedrock, input) => bedrock.converseStream(input)),
    invokeModel: unary(host, "InvokeModel", (bedrock, input) => bedrock.invokeModel(input)),
    invokeModelWithResponseStream: streamed(
      host,
      "InvokeModelWithResponseStream",
      (bedrock, input) => bedrock.invokeModelWithResponseStream(input)
    ),
    invokeModelWithBidirectionalStream: streamed(
      host,
      "InvokeModelWithBidirectionalStream",
      (bedrock, { body, ...input }) =>
        bedrock.invokeModelWithBidirectionalStream({
          ...input,
          body: body === undefined ? Stream.empty : Stream.fromAsyncIterable(body, (reason) => new Thrown(reason))
        })
    ),
    countTokens: unary(host, "CountTokens", (bedrock, input) => bedrock.countTokens(input)),
    applyGuardrail: unary(host, "ApplyGuardrail", (bedrock, input) => bedrock.applyGuardrail(input)),
    invokeGuardrailChecks: unary(
      host,
      "InvokeGuardrailChecks",
      (bedrock, input) => bedrock.invokeGuardrailChecks(input)
    ),
    startAsyncInvoke: unary(host, "StartAsyncInvoke", (bedrock, input) => bedrock.startAsyncInvoke(input)),
    getAsyncInvoke: unary(host, "GetAsyncInvoke", (bedrock, input) => bedrock.getAsyncInvoke(input)),
    listAsyncInvokes: unary(host, "ListAsyncInvokes", (bedrock, input) => bedrock.listAsyncInvokes(input)),
    listAsyncInvokesAll: streamed(host, "ListAsyncInvokes", (bedrock, input) => bedrock.listAsyncInvokesAll(input)),
    snapshot: (modelId) => snapshot(modelId),
    close,
    [Symbol.asyncDispose]: close
  }
  // Else an operation of the service is missing in the interface.
  return bedrock satisfies Operations
}

/** The numbers of a snapshot. @internal */
export const snapshotOf = ({ guard, nextAdmission, parked, ...snapshot }: Bedrock.Snapshot): Facade.Snapshot => ({
  ...snapshot,
  guardMillis: Duration.toMillis(guard),
  parkedMillis: parked === undefined ? undefined : Duration.toMillis(parked),
  nextAdmissionMillis: nextAdmission === undefined ? undefined : Duration.toMillis(nextAdmission)
})

/** What wrong options throw. @internal */
export const thrown = (cause: Cause.Cause<Settings.OptionsError>): unknown => {
  const error = Cause.squash(cause)
  if (!(error instanceof Settings.OptionsError)) return error
  // Here a token is a text.
  return new OptionsError(
    error.problems.map(({ message, name }) => ({ name, message: message.replace("a Redacted text", "a text") }))
  )
}

const optionsOf = Effect.fnUntraced(function*(
  { routes, token, ...options }: Omit<Facade.Options, "onEvent" | "onWarning">
): Effect.fn.Return<Bedrock.Options, Settings.OptionsError> {
  const given = withModels(options)
  return {
    ...given,
    ...(routes === undefined ? {} : { routes: typeof routes === "string" ? yield* routesOf(routes) : routes }),
    ...(token === undefined ? {} : { token: Redacted.make(token) })
  }
})

/** As the layer does when it is built, which is with the first call. */
const checkRoutes = ({ region, resolve, routes }: Bedrock.Options): Effect.Effect<void, Settings.OptionsError> =>
  routes === undefined ? Effect.void : Effect.asVoid(Effect.fromResult(Routes.table(routes, { region, resolve })))

/** What the text of a file says. */
const routesOf = (text: string): Effect.Effect<Route.RouteFile, Settings.OptionsError> =>
  Effect.catchTag(
    Effect.fromResult(Route.fromJson(text)),
    "RouteFileError",
    ({ message }) => Settings.fail("routes", message)
  )

/** The options, with a Map of the models that ids stand for. @internal */
export const withModels = <Options extends Pick<Facade.Options, "resolve">>(
  { resolve, ...options }: Options
): Omit<Options, "resolve"> & Pick<Bedrock.CallOptions, "resolve"> => ({
  ...options,
  ...(resolve === undefined ? {} : { resolve: new Map(Object.entries(resolve)) })
})
