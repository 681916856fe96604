/**
 * `EmbeddingModel` of `effect/ai`, on `Bedrock`: Titan, Cohere and Nova.
 *
 * **When to use**
 *
 * Use where a program embeds texts through `effect/ai`, and Bedrock is to answer.
 *
 * **Details**
 *
 * Any number of texts is sent in as few requests as the model takes: 96 texts of Cohere's in one, one of Titan's and Nova's. Each request is one
 * `invokeModel` of the `Bedrock` in the context, with a reservation of its own, its retries, and routes. The vectors come back in the order of the
 * texts. Calls of `embed` at the same time share requests as far as the model takes several texts; what is read from a caller's context (`Config`,
 * `CallTurn`, `CallLimits`, `CallEvents`) is that of all who share one.
 *
 * | models               | texts of a request | characters of a text | dimensions            | `normalize` | `purpose` | `truncate` |
 * | -------------------- | ------------------ | -------------------- | --------------------- | ----------- | --------- | ---------- |
 * | Titan Text v1        | 1                  | by its tokens        | 1536                  | no          | no        | no         |
 * | Titan Text v2        | 1                  | 50,000               | 1024, 512, 256        | yes         | no        | no         |
 * | Titan Multimodal     | 1                  | by its tokens        | 1024, 384, 256        | no          | no        | no         |
 * | Cohere Embed v3      | 96                 | 2,048                | 1024                  | no          | yes       | yes        |
 * | Cohere Embed v4      | 96                 | by its tokens        | 1536, 1024, 512, 256  | no          | yes       | yes        |
 * | Nova Multimodal      | 1                  | 8,192                | 3072, 1024, 384, 256  | no          | yes       | yes        |
 *
 * **Gotchas**
 *
 * A text that has too many characters fails before anything is sent, and one that has too many tokens by Bedrock's answer; both say which it is. The
 * requests of one `embedMany` are either all answered or it fails: what others of them cost is paid. `effect/ai` embeds texts alone; a picture
 * goes by `Bedrock.invokeModel`.
 *
 * **Example** (Embedding texts)
 *
 * ```ts
 * import { BedrockEmbeddingModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Console, Effect, Layer } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * const program = Effect.gen(function*() {
 *   const model = yield* EmbeddingModel.EmbeddingModel
 *   const { embeddings } = yield* model.embedMany(["The sky is blue.", "The sea is blue as well."])
 *   yield* Console.log(embeddings.length, embeddings[0]?.vector.length) // => 2 512
 * })
 *
 * const Model = BedrockEmbeddingModel.model("amazon.titan-embed-text-v2:0", { dimensions: 512 }).pipe(
 *   Layer.provide(Bedrock.layer({ region: "us-east-1", quotas: { default: { requestsPerMinute: 6_000 } } }))
 * )
 *
 * export const main = program.pipe(Effect.provide(Model))
 * ```
 *
 * @since 0.1.0
 */
import { Bedrock, type Service } from "@caprock/bedrock/Bedrock"
import { CallEvents } from "@caprock/bedrock/CallEvents"
import { CallLimits } from "@caprock/bedrock/CallLimits"
import { CallTurn } from "@caprock/bedrock/CallTurn"
import * as AiError from "effect/ai/AiError"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Model from "effect/ai/Model"
import * as Telemetry from "effect/ai/Telemetry"
import * as Clock from "effect/Clock"
import * as EffectConfig from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RequestResolver from "effect/RequestResolver"
import * as Result from "effect/Result"
import type { Json } from "effect/Schema"
import * as AiErrors from "./AiErrors.ts"
import * as embeddings from "./internal/embeddings.ts"
import * as overrides from "./internal/overrides.ts"

// -----------------------------------------------------------------------------
// Configuration
// -----------------------------------------------------------------------------

/**
 * What a caller may ask for. Where a model can't do it, the call fails with `InvalidRequestError` before anything is sent, but for `purpose`, which
 * makes no difference to a model that has none.
 *
 * - `purpose`: what the vectors are for: Cohere's `input_type`, Nova's `embeddingPurpose`. Those of a `document` are found by those of a `query`.
 *   Default `document`.
 * - `normalize`: whether vectors have the length 1. Default as the model has it.
 * - `truncate`: where a text is cut off that has too many tokens; `none`: it fails. Default `none`.
 * - `fields`: fields of the model's own, in place of those that are made of the rest; of Nova, those in `singleEmbeddingParams`. They must not
 *   ask for vectors of another type than numbers.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Overrides {
  readonly purpose?: "document" | "query" | "classification" | "clustering" | undefined
  readonly normalize?: boolean | undefined
  readonly truncate?: "none" | "start" | "end" | undefined
  readonly fields?: { readonly [name: string]: Json } | undefined
}

/**
 * The same, and what holds for all calls of a model.
 *
 * - `dimensions`: the length of the vectors. Default as the model has it.
 * - `format`: whose bodies it takes, where its id does not say it: an ARN of your own account, the name of a route.
 * - `concurrency`: requests of one call that are made at the same time. Default 1,024, as many as there are connections.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Settings extends Overrides {
  readonly dimensions?: number | undefined
  readonly format?:
    | "titan-text-v1"
    | "titan-text-v2"
    | "titan-multimodal"
    | "cohere-v3"
    | "cohere-v4"
    | "nova"
    | undefined
  readonly concurrency?: number | undefined
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
// Service
// -----------------------------------------------------------------------------

/**
 * What holds for the calls of a fiber, in place of what the model was made with: see {@link withConfigOverride}.
 *
 * @category services
 * @since 0.1.0
 */
export class Config extends Context.Service<Config, Overrides>()("@caprock/ai/BedrockEmbeddingModel/Config") {}

const overriding = overrides.of(Config, {})

/**
 * Makes calls with other settings than those of their model. What is not named stays as it was.
 *
 * **Example** (Embedding a question)
 *
 * ```ts
 * import { BedrockEmbeddingModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Console, Effect, Layer } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * const question = EmbeddingModel.EmbeddingModel.use((model) => model.embed("Why is the sky blue?")).pipe(
 *   BedrockEmbeddingModel.withConfigOverride({ purpose: "query" })
 * )
 *
 * export const main = question.pipe(
 *   Effect.flatMap(({ vector }) => Console.log(vector.length)), // => 1024
 *   Effect.provide(
 *     BedrockEmbeddingModel.model("cohere.embed-english-v3", { dimensions: 1024 }).pipe(
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
): Effect.fn.Return<EmbeddingModel.EmbeddingModel, never, Bedrock> {
  const bedrock = yield* Bedrock
  const form = embeddings.formOf(model, config.format)
  if (form === undefined) {
    const unknown = Effect.fail(refused(
      "embed",
      new AiError.InvalidRequestError({
        parameter: "model",
        description:
          `${model} is no id of an embedding model that is known: say by the setting "format" whose bodies it takes`
      })
    ))
    return yield* EmbeddingModel.make({ embedMany: () => unknown })
  }

  const ask = Effect.fnUntraced(function*(
    bodyOf: (batch: embeddings.Batch) => string,
    batch: embeddings.Batch
  ): Effect.fn.Return<Answer, AiError.AiError> {
    const { answer, tokens } = yield* counted(
      bedrock.invokeModel({
        modelId: model,
        contentType: "application/json",
        accept: "application/json",
        body: bodyOf(batch)
      })
    ).pipe(
      Effect.catch((error) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => Effect.fail(named(AiErrors.fromBedrock(error, { module, method: "embedMany", now }), batch))
        )
      )
    )
    const vectors = embeddings.answerOf(form, config, batch, new TextDecoder().decode(answer.body))
    return typeof vectors === "string"
      ? yield* refused("embedMany", new AiError.InvalidOutputError({ description: vectors }))
      : { vectors, tokens }
  })

  const service = yield* EmbeddingModel.make({
    batchKey: (context) => [
      Context.getOrUndefined(context, Config),
      Context.get(context, CallTurn),
      Context.get(context, CallLimits),
      Context.get(context, CallEvents)
    ],
    embedMany: Effect.fnUntraced(function*({ inputs }) {
      for (const [index, text] of inputs.entries()) {
        const wrong = embeddings.tooLong(form, text, `inputs[${index}]`)
        if (wrong !== undefined) return yield* refused("embedMany", wrong)
      }
      const bodyOf = embeddings.question(form, { ...config, ...yield* overriding.current })
      if (Result.isFailure(bodyOf)) return yield* refused("embedMany", bodyOf.failure)
      const answers = yield* Effect.forEach(
        embeddings.batches(form, inputs),
        (batch) => ask(bodyOf.success, batch),
        { concurrency: config.concurrency ?? 1_024 }
      )
      const inputTokens = answers.reduce<number | undefined>(
        (sum, { tokens }) => sum === undefined || tokens === undefined ? undefined : sum + tokens,
        0
      )
      yield* annotated(model, config.dimensions, inputTokens)
      return { results: answers.flatMap(({ vectors }) => vectors), usage: { inputTokens } }
    })
  })

  // What fails of one request fails nobody of another.
  const resolver = RequestResolver.batchN(service.resolver, form.texts)
  return EmbeddingModel.EmbeddingModel.of({
    ...service,
    resolver,
    embed: (input) => {
      const wrong = embeddings.tooLong(form, input, "input")
      return (wrong === undefined
        ? Effect.request(new EmbeddingModel.EmbeddingRequest({ input }), resolver)
        : Effect.fail(refused("embed", wrong))).pipe(Effect.withSpan("EmbeddingModel.embed"))
    }
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
export const layer = (options: Options): Layer.Layer<EmbeddingModel.EmbeddingModel, never, Bedrock> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, make(options))

/**
 * {@link layer}, of a model and settings that are read from the current `ConfigProvider`.
 *
 * **Example** (The model's id from a variable)
 *
 * ```ts
 * import { BedrockEmbeddingModel } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Config, Effect, Layer } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * const Model = BedrockEmbeddingModel.layerConfig({
 *   model: Config.withDefault(Config.String("EMBEDDING_MODEL"), "amazon.titan-embed-text-v2:0"),
 *   config: { dimensions: Config.withDefault(Config.Int("DIMENSIONS"), 512) }
 * })
 *
 * export const main = EmbeddingModel.EmbeddingModel.use((model) => model.embed("Why is the sky blue?")).pipe(
 *   Effect.provide(Layer.provide(Model, Bedrock.layerConfig()))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: EffectConfig.Wrap<Options>
): Layer.Layer<EmbeddingModel.EmbeddingModel, EffectConfig.ConfigError, Bedrock> =>
  Layer.effect(EmbeddingModel.EmbeddingModel, Effect.flatMap(EffectConfig.unwrap(options), make))

/**
 * A model as `effect/ai` has them: a layer that also says who provides it (`"amazon-bedrock"`), what it is called, and which `Dimensions` its
 * vectors have.
 *
 * @category constructors
 * @since 0.1.0
 */
export const model = (
  name: string,
  config: Settings & { readonly dimensions: number }
): Model.Model<"amazon-bedrock", EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, Bedrock> =>
  Model.make(
    "amazon-bedrock",
    name,
    Layer.merge(
      layer({ model: name, config }),
      Layer.succeed(EmbeddingModel.Dimensions, config.dimensions)
    )
  )

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

interface Answer {
  readonly vectors: Array<Array<number>>
  readonly tokens: number | undefined
}

const module = "BedrockEmbeddingModel"

const refused = (method: "embed" | "embedMany", reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module, method, reason })

/** What a call answers, and the tokens that it was charged: of an embedding those of its input, in a header that the SDK leaves out. */
const counted = <A extends Effect.Success<ReturnType<Service["invokeModel"]>>, E>(call: Effect.Effect<A, E>) =>
  Effect.flatMap(CallEvents, (listener) => {
    let tokens: number | undefined
    return call.pipe(
      Effect.provideService(CallEvents, (event) => {
        if (event._tag === "Settled") tokens = event.charged
        listener(event)
      }),
      Effect.map((answer) => ({ answer, tokens }))
    )
  })

/** Bedrock says what is wrong with a request, and not with which of its texts. */
const named = (error: AiError.AiError, batch: embeddings.Batch): AiError.AiError => {
  const { reason } = error
  if (reason._tag !== "InvalidRequestError") return error
  const { parameter } = reason
  return parameter !== undefined && parameter !== "messages"
    ? error
    : refused("embedMany", new AiError.InvalidRequestError({ ...reason, parameter: embeddings.nameOf(batch) }))
}

/** What the span of a call says, in the words of `effect/ai` and of the OpenTelemetry conventions for models. */
const annotated = (
  name: string,
  dimensions: number | undefined,
  inputTokens: number | undefined
): Effect.Effect<void> =>
  Effect.map(
    Effect.option(Effect.currentSpan),
    Option.match({
      onNone: () => {},
      onSome: (span) => {
        Telemetry.addGenAIAnnotations(span, {
          operation: { name: "embeddings" },
          provider: { name: "aws.bedrock" },
          request: { model: name },
          usage: { inputTokens }
        })
        if (dimensions !== undefined) span.attribute("gen_ai.embeddings.dimension.count", dimensions)
      }
    })
  )
