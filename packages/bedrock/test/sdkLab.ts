// A plain client of the SDK, what it asks, and a limiter in it.
import { BedrockRuntimeClient, type BedrockRuntimeClientConfig } from "@aws-sdk/client-bedrock-runtime"
import { createLimiter, type Options } from "@caprock/bedrock/sdk"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import { modelId } from "./served.ts"

/** The client as it comes; `maxAttempts` and the rest are the SDK's own. */
export const plain = ({ url }: { readonly url: string }, options: BedrockRuntimeClientConfig = {}) =>
  new BedrockRuntimeClient({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    ...options
  })

/** The SDK's own two handlers: each knows other ends of a stream. */
export const handlers: Readonly<Record<string, () => BedrockRuntimeClientConfig>> = {
  "HTTP/2": () => ({}),
  "HTTP/1.1": () => ({ requestHandler: new NodeHttpHandler() })
}

/** A limiter, a client with it, and how its books stand. */
export const limited = (
  server: { readonly url: string },
  options: Options = {},
  config: BedrockRuntimeClientConfig = {}
) => {
  const limiter = createLimiter({ backoff: { base: 5 }, ...options })
  const client = limiter.attach(plain(server, config))
  return {
    client,
    limiter,
    books: async () => {
      const { meters, waiting } = await limiter.snapshot(client, modelId)
      const used = (unit: string) => meters.find((meter) => meter.unit === unit && meter.windowMillis > 0)?.used
      return {
        waiting,
        requests: used("requests"),
        tokens: used("tokens"),
        inFlight: meters.find(({ windowMillis }) => windowMillis === 0)?.used
      }
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy()
      await limiter.close()
    }
  }
}

/** A quota that nothing here is larger than, and which counts what is in flight. */
export const ample = {
  quotas: { default: { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000, concurrentRequests: 100 } }
} as const

export const bodyOf = (words: string) =>
  JSON.stringify({ messages: [{ role: "user", content: [{ text: words }] }], inferenceConfig: { maxTokens: 200 } })
