// A program with an Effect of its own, of the same version. `pnpm packages` runs it in a project that has both.
import { Bedrock } from "@caprock/bedrock"
import { Effect } from "effect"

const ask = (maxTokens: number) =>
  Bedrock.Bedrock.use((bedrock) =>
    bedrock.converse({
      modelId: "us.amazon.nova-lite-v1:0",
      messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
      inferenceConfig: { maxTokens }
    })
  )
const BedrockLive = Bedrock.layer({
  region: "us-east-1",
  quotas: { default: { tokensPerMinute: 4000 } },
  endpoint: "http://127.0.0.1:1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" }
})
const error = await Effect.runPromise(Effect.flip(ask(5000)).pipe(Effect.provide(BedrockLive)))

// Larger than the whole quota: the limiter says so before anything is sent.
if (error._tag !== "BedrockError" || error.reason._tag !== "ValidationError" || error.reason.kind !== "exceeds-quota") {
  throw new Error(`${error._tag}: ${error.message}`)
}
