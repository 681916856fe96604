// What a user may write, as the compiler sees it. Nothing of it is sent.
import { AiErrors, BedrockLanguageModel, type BedrockOptions, BedrockTool } from "@caprock/ai"
import type { Bedrock } from "@caprock/bedrock"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Effect, type Layer, Schema } from "effect"
import { type AiError, type LanguageModel, type Model, Prompt, type Response, Tool } from "effect/ai"

/** Taken for what it is by the compiler alone. */
const never = <A>(_make: () => A): void => {}

describe("options of a prompt", () => {
  it("are typed under bedrock, each where it means something", () => {
    const prompt = Prompt.make([
      { role: "system", content: "s", options: { bedrock: { cachePoint: true, guard: true } } },
      {
        role: "user",
        content: [
          {
            type: "text",
            text: "t",
            options: { bedrock: { guard: { qualifiers: ["query"] }, cachePoint: { ttl: "1h" } } }
          },
          {
            type: "file",
            mediaType: "application/pdf",
            data: "",
            options: { bedrock: { citations: true, context: "c" } }
          }
        ],
        options: { bedrock: { cachePoint: { ttl: "5m" } } }
      },
      {
        role: "assistant",
        content: [{ type: "reasoning", text: "r", options: { bedrock: { signature: "s" } } }]
      },
      {
        role: "tool",
        content: [{
          type: "tool-result",
          id: "1",
          name: "n",
          isFailure: false,
          result: 1,
          options: { bedrock: { cachePoint: true } }
        }]
      }
    ])
    assert.strictEqual(prompt.content.length, 4)
  })

  it("that Bedrock does not know are errors", () => {
    never((): Prompt.SystemMessageEncoded => ({
      role: "system",
      content: "s",
      // @ts-expect-error there are two times
      options: { bedrock: { cachePoint: { ttl: "2h" } } }
    }))
    never((): Prompt.TextPartEncoded => ({
      type: "text",
      text: "t",
      // @ts-expect-error it is called cachePoint
      options: { bedrock: { cache: true } }
    }))
    never((): Prompt.TextPartEncoded => ({
      type: "text",
      text: "t",
      // @ts-expect-error of the guardrail's qualifiers this is none
      options: { bedrock: { guard: { qualifiers: ["question"] } } }
    }))
    never((): Prompt.ReasoningPartEncoded => ({
      type: "reasoning",
      text: "r",
      // @ts-expect-error reasoning has no cache point
      options: { bedrock: { cachePoint: true } }
    }))
    // Another provider's stay as they are.
    never((): Prompt.TextPartEncoded => ({ type: "text", text: "t", options: { openai: { anything: 1 } } }))
  })
})

describe("metadata of an answer", () => {
  it("is typed under bedrock", () => {
    expectTypeOf<NonNullable<Response.FinishPart["metadata"]["bedrock"]>>().toEqualTypeOf<
      BedrockOptions.FinishMetadata
    >()
    expectTypeOf<NonNullable<Response.ReasoningPart["metadata"]["bedrock"]>["signature"]>().toEqualTypeOf<
      string | undefined
    >()
    expectTypeOf<NonNullable<Response.ResponseMetadataPart["metadata"]["bedrock"]>["requestId"]>().toEqualTypeOf<
      string
    >()
    expectTypeOf<NonNullable<BedrockOptions.FinishMetadata["account"]>["target"]>().toEqualTypeOf<string | undefined>()
  })

  it("of an error is the error of Bedrock", () => {
    expectTypeOf<NonNullable<AiError.RateLimitError["metadata"]["bedrock"]>>().toEqualTypeOf<
      BedrockOptions.EncodedError
    >()
    expectTypeOf(AiErrors.toBedrock).parameter(0).toEqualTypeOf<AiError.AiError>()
  })
})

describe("settings", () => {
  it("have the SDK's own types", () => {
    never((): BedrockLanguageModel.Settings => ({
      maxTokens: 1,
      serviceTier: { type: "flex" },
      performanceConfig: { latency: "optimized" },
      structured: "native"
    }))
    // @ts-expect-error there are three ways
    never((): BedrockLanguageModel.Settings => ({ structured: "json" }))
    // @ts-expect-error it is maxTokens
    never((): BedrockLanguageModel.Settings => ({ max_tokens: 1 }))
    // @ts-expect-error of a latency there are two
    never((): BedrockLanguageModel.Settings => ({ performanceConfig: { latency: "fast" } }))
    // @ts-expect-error how objects are asked for is not a matter of one call
    never(() => BedrockLanguageModel.withConfigOverride({ structured: "native" }))
  })

  it("are read from a configuration, each by its own", () => {
    expectTypeOf(BedrockLanguageModel.layerConfig({
      model: Config.String("MODEL"),
      config: { maxTokens: Config.Int("MAX"), structured: Config.succeed("native") }
    })).toEqualTypeOf<Layer.Layer<LanguageModel.LanguageModel, Config.ConfigError, Bedrock.Bedrock>>()
    // @ts-expect-error a number is no text
    never(() => BedrockLanguageModel.layerConfig({ model: Config.Int("MODEL") }))
  })

  it("need nothing but Bedrock", () => {
    expectTypeOf(BedrockLanguageModel.model("m")).toEqualTypeOf<
      Model.Model<"amazon-bedrock", LanguageModel.LanguageModel, Bedrock.Bedrock>
    >()
    expectTypeOf(BedrockLanguageModel.make({ model: "m" })).toEqualTypeOf<
      Effect.Effect<LanguageModel.LanguageModel, never, Bedrock.Bedrock>
    >()
    const call = Effect.succeed(1)
    expectTypeOf(BedrockLanguageModel.withConfigOverride(call, { topP: 1 })).toEqualTypeOf<Effect.Effect<number>>()
  })
})

describe("a tool", () => {
  it("may have a cache point, and nothing else in its place", () => {
    const tool = Tool.make("t", { success: Schema.String })
    never(() => tool.annotate(BedrockTool.CachePoint, { ttl: "1h" }))
    // @ts-expect-error there are two times
    never(() => tool.annotate(BedrockTool.CachePoint, { ttl: "1d" }))
    expectTypeOf(BedrockTool.systemTool("nova_grounding").name).toEqualTypeOf<"nova_grounding">()
  })
})
