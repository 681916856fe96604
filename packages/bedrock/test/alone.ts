// A program that needs only this package, and has no Effect. `pnpm packages` runs it in an empty project.
import { AdmissionError, BedrockError, createBedrock, TransportError, ValidationError } from "@caprock/bedrock/promise"
import { AdmissionError as Refused, createLimiter, type Plugin, type SdkClient } from "@caprock/bedrock/sdk"

const bedrock = createBedrock({
  region: "us-east-1",
  quotas: { default: { tokensPerMinute: 4000 } },
  endpoint: "http://127.0.0.1:1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
  backoff: { attempts: 1 }
})
const ask = (maxTokens: number, signal?: AbortSignal) =>
  bedrock.converse({
    modelId: "us.amazon.nova-lite-v1:0",
    messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
    inferenceConfig: { maxTokens }
  }, { signal }).then(() => undefined, (error: unknown) => error)

const expect = (holds: boolean, error: unknown) => {
  if (!holds) throw new Error("it fails otherwise than it should", { cause: error })
}

// Larger than the whole quota: the limiter says so before anything is sent.
const larger = await ask(5000)
expect(larger instanceof ValidationError && larger.kind === "exceeds-quota" && larger.attempts === 0, larger)
const refused = await ask(100)
expect(refused instanceof TransportError && refused instanceof BedrockError && refused.kind === "connect", refused)
const aborted = await ask(100, AbortSignal.abort("gone"))
expect(aborted === "gone", aborted)
const { meters } = await bedrock.snapshot("us.amazon.nova-lite-v1:0")
expect(meters[0]?.limit === 4000, meters)
await bedrock.close()
const late = await ask(100)
expect(late instanceof AdmissionError && late.kind === "shutting-down", late)

// As much of a client of the SDK as the limiter asks for.
const plugins: Array<Plugin> = []
const client: SdkClient = {
  config: { region: () => Promise.resolve("eu-west-1") },
  middlewareStack: { use: (plugin) => plugins.push(plugin) }
}
const limiter = createLimiter({ quotas: { default: { tokensPerMinute: 4000 } } })
expect(limiter.attach(client) === client && plugins.length === 1, plugins)
const { pool } = await limiter.snapshot(client, "eu.amazon.nova-lite-v1:0")
expect(pool.includes("eu-west-1"), pool)
await limiter.close()
const closed = await limiter.snapshot(client, "eu.amazon.nova-lite-v1:0").catch((error: unknown) => error)
expect(closed instanceof Refused && Refused === AdmissionError, closed)
