// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { Bedrock } from "@caprock/bedrock"
import { ConfigProvider, Effect, Layer } from "effect"

const ask = (maxTokens: number) =>
  Bedrock.Bedrock.use((bedrock) =>
    bedrock.converse({
      modelId: "us.amazon.nova-lite-v1:0",
      messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
      inferenceConfig: { maxTokens }
    })
  )
const BedrockLive = Bedrock.layerConfig({
  region: "us-east-1",
  endpoint: "http://127.0.0.1:1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" }
}).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { CAPROCK_TPM: "4000" } }))))
const error = await Effect.runPromise(Effect.flip(ask(5000)).pipe(Effect.provide(BedrockLive)))

// Larger than the whole quota: the limiter says so before anything is sent.
if (error._tag !== "BedrockError" || error.reason._tag !== "ValidationError" || error.reason.kind !== "exceeds-quota") {
  throw new Error(`${error._tag}: ${error.message}`)
}
