/**
 * A limiter, retries and a fallback under the `LanguageModel` of any provider.
 *
 * **When to use**
 *
 * Use around models of other providers, which meter requests and tokens and know no queue. Not around those of this package: all of this is below them
 * already, and knows more.
 *
 * **Details**
 *
 * Between `effect/ai` and the model there is another model: each of its requests is one of the model's, with its tools left unresolved. So the limiter and
 * the retries stand below the handlers of tools, and no handler runs twice because of a throttle. `AiError` says whether another try is worth it
 * (`isRetryable`, `retryAfter`), for a stream until its first content. When the tries are over, or the pool does not admit it, the request goes to the
 * `fallback`, if there is one, and if its error is one that another provider need not have: a limit, a quota, a failure of the server or the
 * network, a key. What is wrong with the request itself goes nowhere else.
 *
 * **Gotchas**
 *
 * It sees a model from outside, and some of it not at all:
 *
 * - How large a request is. `cost` has to say it; by default it is an estimate of the prompt and the tools, without what the answer may have. What it
 *   really cost is settled from the usage in the answer: what is more than was booked, later requests wait for.
 * - When the server had a request. A charge leaves the window a window after the answer was there; of a stream, after its first part.
 * - That a model asks twice. Where a `ResponseIdTracker` is given, a provider that refuses the rest of a conversation is asked again for all of it, in one
 *   reservation.
 * - Retries of the model's own. Turn them off, or they multiply with these.
 * - Objects. They are read by the model, and written once more for who asked; a schema has to be able to write what it reads.
 *
 * **Example** (A limit that is kept, and somebody else to ask)
 *
 * ```ts
 * import { BedrockLanguageModel, Resilient } from "@caprock/ai"
 * import { Bedrock } from "@caprock/bedrock"
 * import { Meter, RateLimiter } from "@caprock/rate-limiter"
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { AiError, LanguageModel } from "effect/ai"
 *
 * // Another provider, which has no time for us.
 * const busy = AiError.make({ module: "Other", method: "any", reason: new AiError.RateLimitError({}) })
 * const Other = Layer.effect(
 *   LanguageModel.LanguageModel,
 *   LanguageModel.make({ generateText: () => Effect.fail(busy), streamText: () => Stream.fail(busy) })
 * )
 *
 * const Model = Resilient.layer(Other, {
 *   pool: "other",
 *   cost: (request) => ({ tokens: Resilient.estimate(request) + 500 }),
 *   backoff: { attempts: 2, base: "10 millis" },
 *   fallback: BedrockLanguageModel.model("us.amazon.nova-lite-v1:0").pipe(Layer.provide(Bedrock.layer({ region: "us-east-1" })))
 * }).pipe(
 *   Layer.provide(RateLimiter.layer({ meters: () => [Meter.requests(500), Meter.tokens(30_000)] }))
 * )
 *
 * export const main = LanguageModel.generateText({ prompt: "Why is the sky blue?" }).pipe(
 *   Effect.flatMap((answer) => Console.log(answer.finishReason)), // => stop
 *   Effect.provide(Model)
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Backoff from "@caprock/backoff/Backoff"
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import type { Cost } from "@caprock/rate-limiter/Cost"
import { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as admission from "./internal/admission.ts"
import * as inner from "./internal/inner.ts"
import * as size from "./internal/size.ts"

// -----------------------------------------------------------------------------
// Configuration
// -----------------------------------------------------------------------------

/**
 * What one request asks of its pool: tokens, and what else a `Cost` of the limiter has. One request unless told.
 *
 * @category models
 * @since 0.1.0
 */
export type Asked = Pick<Cost, "tokens"> & Partial<Omit<Cost, "pool" | "tokens" | "book">>

/**
 * - `pool`: what the provider meters it by; any name that the limiter has meters for.
 * - `cost`: what a request asks of it. Default: {@link estimate}, one request.
 * - `charged`: the tokens that an answer was charged. Default: those of its input and its output.
 * - `backoff`: attempts, and the waits between them, as in `Backoff` of `@caprock/backoff`.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface LimitOptions {
  readonly pool: string
  readonly cost?: ((request: LanguageModel.ProviderOptions) => Asked) | undefined
  readonly charged?: ((usage: Response.FinishPartEncoded["usage"]) => number) | undefined
  readonly backoff?: Omit<Backoff.Options, "pool"> | undefined
}

/**
 * The same, and `fallback`: who is asked where this model can't. It has tries of its own, if it is made by {@link layer} too.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options<E = never, R = never> extends LimitOptions {
  readonly fallback?: Layer.Layer<LanguageModel.LanguageModel, E, R> | undefined
}

/**
 * The options of {@link layerEmbedding}: `cost` is that of all texts of a call.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface EmbeddingOptions extends Pick<LimitOptions, "pool" | "backoff"> {
  readonly cost?: ((texts: ReadonlyArray<string>) => Asked) | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Tokens of a request's prompt and tools, pictures and documents among them, as far as they can be told from outside. Nothing of its answer is in it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const estimate: (request: Pick<LanguageModel.ProviderOptions, "prompt" | "tools">) => number = size.estimate

/**
 * The model over another, on the limiter of the context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  model: LanguageModel.LanguageModel,
  options: LimitOptions,
  fallback?: LanguageModel.LanguageModel
): Effect.fn.Return<LanguageModel.LanguageModel, never, RateLimiter> {
  const limiter = yield* RateLimiter
  const { backoff, charged = total, cost = (request) => ({ tokens: estimate(request) }), pool } = options
  const door = admission.make(limiter, pool)
  const tries = { ...backoff, pool }

  return yield* LanguageModel.make({
    supportsSystemMessagesInHistory: model.supportsSystemMessagesInHistory,
    generateText: (request) =>
      door.limited(cost(request), inner.generate(model, request), (parts) => tokensOf(parts, charged)).pipe(
        Backoff.retry(tries),
        Effect.catch((failure) =>
          fallback !== undefined && failure.retryableElsewhere
            ? inner.generate(fallback, request)
            : Effect.fail(failure.error)
        )
      ),
    streamText: (request) =>
      Stream.suspend(() =>
        door.streamed(cost(request), inner.stream(model, request), (part) => tokensOf([part], charged))
      ).pipe(
        Stream.retry(Backoff.exponential(tries)),
        Stream.catch((failure) =>
          fallback !== undefined && failure.retryableElsewhere
            ? inner.stream(fallback, request)
            : Stream.fail(failure.error)
        ),
        Stream.onStart(backoff?.budget?.deposit(pool) ?? Effect.void)
      )
  })
})

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A `LanguageModel` over that of a layer. It does not say who answers: `Model.ProviderName` of a model is not that of its fallback.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R, E2 = never, R2 = never>(
  model: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  options: Options<E2, R2>
): Layer.Layer<LanguageModel.LanguageModel, E | E2, R | R2 | RateLimiter> => {
  const { fallback, ...limits } = options
  const over = (other: LanguageModel.LanguageModel | undefined) =>
    Effect.flatMap(LanguageModel.LanguageModel, (model) => make(model, limits, other))
  return fallback === undefined
    ? Layer.effect(LanguageModel.LanguageModel, over(undefined)).pipe(Layer.provide(model))
    : Layer.effect(LanguageModel.LanguageModel, Effect.flatMap(Fallback, over)).pipe(
      Layer.provide([model, Layer.effect(Fallback, LanguageModel.LanguageModel).pipe(Layer.provide(fallback))])
    )
}

/**
 * An `EmbeddingModel` over that of a layer. A call of the model is taken for one request, however many the model makes of it; there is no fallback, because
 * the vectors of two models can't be compared.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEmbedding = <E, R>(
  model: Layer.Layer<EmbeddingModel.EmbeddingModel, E, R>,
  { backoff, cost = (texts) => ({ tokens: TokenEstimator.text(texts.join("\n")) }), pool }: EmbeddingOptions
): Layer.Layer<EmbeddingModel.EmbeddingModel, E, R | RateLimiter> =>
  Layer.effect(
    EmbeddingModel.EmbeddingModel,
    Effect.gen(function*() {
      const model = yield* EmbeddingModel.EmbeddingModel
      const door = admission.make(yield* RateLimiter, pool)
      return yield* EmbeddingModel.make({
        embedMany: ({ inputs }) =>
          door.limited(cost(inputs), model.embedMany(inputs), ({ usage }) => usage.inputTokens).pipe(
            Backoff.retry({ ...backoff, pool }),
            Effect.mapBoth({
              onFailure: ({ error }) => error,
              onSuccess: ({ embeddings, usage }) => ({
                results: embeddings.map(({ vector }) => [...vector]),
                usage: { inputTokens: usage.inputTokens }
              })
            })
          )
      })
    })
  ).pipe(Layer.provide(model))

// -----------------------------------------------------------------------------
// Mechanics
// -----------------------------------------------------------------------------

class Fallback extends Context.Service<Fallback, LanguageModel.LanguageModel>()("@caprock/ai/Resilient/Fallback") {}

type Usage = Response.FinishPartEncoded["usage"]

const total = ({ inputTokens, outputTokens }: Usage): number => (inputTokens.total ?? NaN) + (outputTokens.total ?? NaN)

const tokensOf = (
  parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>,
  charged: (usage: Usage) => number
): number | undefined => {
  const finish = parts.find((part) => part.type === "finish")
  return finish === undefined ? undefined : charged(finish.usage)
}
