/**
 * `LanguageModel` of `effect/ai`, on `Bedrock`.
 *
 * **When to use**
 *
 * Use where a program calls models through `effect/ai`, and Bedrock is to answer.
 *
 * **Details**
 *
 * Each request to the model is one `converse` or `converseStream` of the `Bedrock` in the context: with its limiter, its retries, and its
 * routes, whose names stand wherever a model's id does. All of this is below the handlers of tools, so that no handler runs twice because
 * of a throttle.
 *
 * **Gotchas**
 *
 * Set `maxTokens`: what a request reserves and does not use is not free for others until its answer is there. Do not put `Effect.retry` or an
 * `ExecutionPlan` of several attempts on top: the calls are retried already, and handlers would run again.
 *
 * **Example** (Asking a question)
 *
 * ```ts
 * import { BedrockLanguageModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Console, Effect, Layer } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * const program = Effect.gen(function*() {
 *   const answer = yield* LanguageModel.generateText({ prompt: "Why is the sky blue?" })
 *   yield* Console.log(answer.finishReason) // => stop
 * })
 *
 * const Model = BedrockLanguageModel.model("us.amazon.nova-lite-v1:0", { maxTokens: 500 }).pipe(
 *   Layer.provide(Bedrock.layer({
 *     region: "us-east-1",
 *     quotas: { default: { requestsPerMinute: 200, tokensPerMinute: 200_000 } }
 *   }))
 * )
 *
 * export const main = program.pipe(Effect.provide(Model))
 * ```
 *
 * @since 0.1.0
 */
import { Bedrock } from "@caprock/bedrock/Bedrock"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as EffectConfig from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as AiErrors from "./AiErrors.ts"
import * as overrides from "./internal/overrides.ts"
import * as requests from "./internal/request.ts"
import * as responses from "./internal/response.ts"
import type { StreamInput } from "./internal/sdk.ts"
import * as events from "./internal/stream.ts"
import * as structured from "./internal/structured.ts"
import * as telemetry from "./internal/telemetry.ts"

// -----------------------------------------------------------------------------
// Configuration
// -----------------------------------------------------------------------------

/**
 * What of a request no prompt and no tool says.
 *
 * - `maxTokens`, `temperature`, `topP`, `stopSequences`: Converse's `inferenceConfig`. Those that are not set are the model's own.
 * - `effort`: how much a model that reasons may think: `low`, `medium`, `high`, `xhigh`, `max`.
 * - All others: the members of a Converse request that have these names.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Overrides extends
  Pick<
    StreamInput,
    | "additionalModelRequestFields"
    | "additionalModelResponseFieldPaths"
    | "guardrailConfig"
    | "performanceConfig"
    | "promptVariables"
    | "requestMetadata"
    | "serviceTier"
  >
{
  readonly maxTokens?: number | undefined
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly stopSequences?: ReadonlyArray<string> | undefined
  readonly effort?: string | undefined
}

/**
 * The same, and how objects are asked for (`structured`), which holds for all calls of a model:
 *
 * - `tool`: the model has to call a tool whose input is the object. Most models that know tools can be made to.
 * - `tool-auto`: the tool is offered, for models that can't be made to call one, such as those of Meta.
 * - `native`: Bedrock's own output format, for models that have it. It allows a part of JSON Schema, to which the schema is rewritten.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Settings extends Overrides {
  /** @default "tool" */
  readonly structured?: "tool" | "tool-auto" | "native" | undefined
}

/**
 * What {@link make} and {@link layer} take: `model` is a model's id, an inference profile, an ARN, or the name of a route.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly model: string
  readonly config?: Settings | undefined
}

// -----------------------------------------------------------------------------
// Services
// -----------------------------------------------------------------------------

/**
 * What holds for the calls of a fiber, in place of what the model was made with: see {@link withConfigOverride}.
 *
 * @category services
 * @since 0.1.0
 */
export class Config extends Context.Service<Config, Overrides>()("@caprock/ai/BedrockLanguageModel/Config") {}

const overriding = overrides.of(Config, {})

/**
 * Makes calls with other settings than those of their model. What is not named stays as it was.
 *
 * **Example** (One call that may say more)
 *
 * ```ts
 * import { BedrockLanguageModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Console, Effect, Layer } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * const long = LanguageModel.generateText({ prompt: "Why is the sky blue?" }).pipe(
 *   BedrockLanguageModel.withConfigOverride({ maxTokens: 2_000 })
 * )
 *
 * export const main = long.pipe(
 *   Effect.flatMap((answer) => Console.log(answer.finishReason)), // => stop
 *   Effect.provide(
 *     BedrockLanguageModel.model("us.amazon.nova-lite-v1:0", { maxTokens: 100 }).pipe(
 *       Layer.provide(Bedrock.layer({ region: "us-east-1" }))
 *     )
 *   )
 * )
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const withConfigOverride: {
  /** @since 0.1.0 */
  (overrides: Overrides): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** @since 0.1.0 */
  <A, E, R>(self: Effect.Effect<A, E, R>, overrides: Overrides): Effect.Effect<A, E, R>
} = overriding.with

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * The service, on the `Bedrock` of the context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  { config = {}, model }: Options
): Effect.fn.Return<LanguageModel.LanguageModel, never, Bedrock> {
  const bedrock = yield* Bedrock

  const question = (method: Method, options: LanguageModel.ProviderOptions) =>
    Effect.flatMap(overriding.current, (own) => {
      const question = requests.make(model, { ...config, ...own }, options)
      if (Result.isFailure(question)) return Effect.fail(AiError.make({ module, method, reason: question.failure }))
      telemetry.asked(options.span, question.success)
      return Effect.succeed(question.success)
    })

  return yield* LanguageModel.make({
    generateText: (options) =>
      Effect.flatMap(question("generateText", options), (question) =>
        bedrock.converse(question.input).pipe(
          Effect.catch((error) => failed("generateText", error)),
          Effect.flatMap((answer) =>
            Effect.flatMap(timestamp, (now) => {
              const parts = responses.partsOf(answer, question, now)
              telemetry.answered(options.span, parts)
              return checked("generateText", question, parts)
            })
          )
        )),
    streamText: (options) =>
      Stream.unwrap(Effect.map(question("streamText", options), (question) => {
        const read = Stream.mapAccumEffect(
          bedrock.converseStream(question.input),
          () => new events.Reading(question),
          (reading, event) =>
            Effect.flatMap(timestamp, (now) => {
              const parts = reading.event(event, now)
              if (Result.isFailure(parts)) {
                return Effect.fail(AiError.make({ module, method: "streamText", reason: parts.failure }))
              }
              telemetry.answered(options.span, parts.success)
              return Effect.map(checked("streamText", question, parts.success), (parts) => [reading, parts] as const)
            })
        )
        return Stream.catch(
          read,
          (error) => AiError.isAiError(error) ? Stream.fail(error) : Stream.fromEffect(failed("streamText", error))
        )
      })),
    codecTransformer: structured.transformerOf(config.structured ?? "tool"),
    // They are told before everything else, wherever they stand.
    supportsSystemMessagesInHistory: Effect.succeed(false)
  })
})

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * The service as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<LanguageModel.LanguageModel, never, Bedrock> =>
  Layer.effect(LanguageModel.LanguageModel, make(options))

/**
 * {@link layer}, of a model and settings that are read from the current `ConfigProvider`.
 *
 * **Example** (The model's id from a variable)
 *
 * ```ts
 * import { BedrockLanguageModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Config, Effect, Layer } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * const Model = BedrockLanguageModel.layerConfig({
 *   model: Config.withDefault(Config.String("MODEL"), "us.amazon.nova-lite-v1:0"),
 *   config: { maxTokens: Config.withDefault(Config.Int("MAX_TOKENS"), 500) }
 * })
 *
 * export const main = LanguageModel.generateText({ prompt: "Why is the sky blue?" }).pipe(
 *   Effect.provide(Layer.provide(Model, Bedrock.layerConfig()))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: EffectConfig.Wrap<Options>
): Layer.Layer<LanguageModel.LanguageModel, EffectConfig.ConfigError, Bedrock> =>
  Layer.effect(LanguageModel.LanguageModel, Effect.flatMap(EffectConfig.unwrap(options), make))

/**
 * A model as `effect/ai` has them: a layer that also says who provides it (`"amazon-bedrock"`) and what it is called. `name` is a model's
 * id, an inference profile, an ARN, or the name of a route.
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = (
  name: string,
  config?: Settings
): Model.Model<"amazon-bedrock", LanguageModel.LanguageModel, Bedrock> =>
  Model.make("amazon-bedrock", name, layer({ model: name, config }))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

type Method = "generateText" | "streamText"

const module = "BedrockLanguageModel"

const timestamp = Effect.map(DateTime.now, DateTime.formatIso)

/** The parts, unless one is a call of a tool that is none of those which were offered. */
const checked = <Part extends Response.AllPartsEncoded>(
  method: Method,
  { callable }: requests.Question,
  parts: ReadonlyArray<Part>
): Effect.Effect<Array<Part>, AiError.AiError> => {
  const call = callable === undefined
    ? undefined
    : parts.find((part): part is Part & Response.ToolCallPartEncoded =>
      part.type === "tool-call" && !callable.includes(part.name)
    )
  return call === undefined || callable === undefined
    ? Effect.succeed([...parts])
    : Effect.fail(AiError.make({
      module,
      method,
      reason: new AiError.ToolNotFoundError({ toolName: call.name, availableTools: [...callable] })
    }))
}

const failed = (method: Method, error: BedrockError): Effect.Effect<never, AiError.AiError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(AiErrors.fromBedrock(error, { module, method, now })))
