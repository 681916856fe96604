// What Effect's own programs import of the packages of providers, with Bedrock behind it: the layers that they are changed by.
import { BedrockLanguageModel } from "@caprock/ai"
import { Bedrock } from "@caprock/bedrock"
import { Context, Effect, Layer, Schema } from "effect"
import { Tool } from "effect/ai"

/** Where `Bedrock` is. */
export const Endpoint = Context.Reference<string>("@caprock/ai/test/Endpoint", {
  defaultValue: () => {
    throw new Error("nobody said where Bedrock is")
  }
})

const client = {
  layerConfig: () =>
    Layer.unwrap(Effect.map(Endpoint, (endpoint) =>
      Bedrock.layer({
        region: "us-east-1",
        endpoint,
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        withoutQuota: "unlimited",
        backoff: { base: "1 millis" }
      }))).pipe(Layer.orDie)
}

export const OpenAiClient = client
export const AnthropicClient = client

/** Their models by the ids that they have here. */
export const ids: Readonly<Record<string, string>> = {
  "gpt-5.2": "openai.gpt-oss-120b-1:0",
  "gpt-4.1": "us.amazon.nova-pro-v1:0",
  "claude-opus-4-6": "us.anthropic.claude-opus-4-6-v1"
}

const languageModel = { model: (name: string) => BedrockLanguageModel.model(ids[name] ?? name, { maxTokens: 500 }) }

export const OpenAiLanguageModel = languageModel
export const AnthropicLanguageModel = languageModel

export const OpenAiTool = {
  WebSearch: Tool.providerDefined({
    id: "openai.web_search",
    customName: "OpenAiWebSearch",
    providerName: "web_search",
    args: Schema.Struct({ search_context_size: Schema.String })
  })
}
