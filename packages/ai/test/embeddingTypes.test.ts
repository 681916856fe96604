// What a user may write of embeddings, and of the models of other providers, as the compiler sees it. Nothing of it is sent.
import { BedrockEmbeddingModel, Resilient } from "@caprock/ai"
import type { Bedrock } from "@caprock/bedrock"
import type { RateLimiter } from "@caprock/rate-limiter"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Config, type Layer } from "effect"
import type { EmbeddingModel, LanguageModel, Model } from "effect/ai"

/** Taken for what it is by the compiler alone. */
const never = <A>(_make: () => A): void => {}

describe("settings of embeddings", () => {
  it("are those that there are", () => {
    never((): BedrockEmbeddingModel.Settings => ({
      dimensions: 256,
      purpose: "query",
      normalize: false,
      truncate: "end",
      format: "cohere-v4",
      concurrency: 8,
      fields: { embedding_types: ["float"] }
    }))
    // @ts-expect-error Cohere's own word for it
    never((): BedrockEmbeddingModel.Settings => ({ purpose: "search_query" }))
    // @ts-expect-error a call has the dimensions of its model, as the service says that tells them
    never((): BedrockEmbeddingModel.Overrides => ({ dimensions: 256 }))
    // @ts-expect-error no JSON
    never((): BedrockEmbeddingModel.Overrides => ({ fields: { embedding_types: () => {} } }))
  })

  it("say the dimensions of a model, which need nothing but Bedrock", () => {
    // @ts-expect-error they are told to whoever asks
    never(() => BedrockEmbeddingModel.model("amazon.titan-embed-text-v2:0", {}))
    never(() => {
      const model = BedrockEmbeddingModel.model("amazon.titan-embed-text-v2:0", { dimensions: 256 })
      expectTypeOf(model).toEqualTypeOf<
        Model.Model<"amazon-bedrock", EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, Bedrock.Bedrock>
      >()
    })
  })

  it("are read from a configuration, each by its own", () => {
    never(() => {
      const layer = BedrockEmbeddingModel.layerConfig({
        model: Config.String("MODEL"),
        config: { dimensions: Config.Int("DIMENSIONS"), purpose: Config.succeed("query") }
      })
      expectTypeOf(layer).toEqualTypeOf<
        Layer.Layer<EmbeddingModel.EmbeddingModel, Config.ConfigError, Bedrock.Bedrock>
      >()
    })
  })
})

describe("a model of another provider", () => {
  interface A {
    readonly _: "a"
  }
  interface B {
    readonly _: "b"
  }
  type Made<E, R> = Layer.Layer<LanguageModel.LanguageModel, E, R>

  it("needs what it needs, what its fallback needs, and a limiter", () => {
    never((): void => {
      const one: Made<"e", A> = undefined as never
      const other: Made<"f", B> = undefined as never
      expectTypeOf(Resilient.layer(one, { pool: "a" })).toEqualTypeOf<Made<"e", A | RateLimiter.RateLimiter>>()
      expectTypeOf(Resilient.layer(one, { pool: "a", fallback: other }))
        .toEqualTypeOf<Made<"e" | "f", A | B | RateLimiter.RateLimiter>>()
    })
  })

  it("has a pool, and no cost without tokens", () => {
    const model: Made<never, never> = undefined as never
    // @ts-expect-error nobody can guess it
    never(() => Resilient.layer(model, {}))
    // @ts-expect-error it is what a limiter is for
    never(() => Resilient.layer(model, { pool: "a", cost: () => ({ requests: 1 }) }))
  })
})
