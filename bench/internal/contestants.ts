/**
 * The clients that are compared: each asks the same question, and gives the text of the answer. Each runs many calls in the way that
 * its users would, in a process of its own.
 */
import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock"
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime"
import { Bedrock } from "@caprock/bedrock"
import { BedrockClient } from "@caprock/client"
import { Quotas } from "@caprock/quota"
import { ChatBedrockConverse } from "@langchain/aws"
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler"
import { generateText, streamText } from "ai"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"

export type Operation = "converse" | "converseStream"

export interface Contestant {
  /** One call; the text of its answer. */
  readonly text: (operation: Operation) => Promise<string>
  /** So many calls, so many at once. */
  readonly run: (operation: Operation, calls: number, concurrency: number) => Promise<void>
}

const modelId = "us.amazon.nova-lite-v1:0"
const prompt = "What is a caprock? ".repeat(20)
const maxTokens = 100
const region = "us-east-1"
const credentials = { accessKeyId: "bench", secretAccessKey: "bench" }
const request = {
  modelId,
  messages: [{ role: "user" as const, content: [{ text: prompt }] }],
  inferenceConfig: { maxTokens }
}

const ofPromises = (calls: Readonly<Record<Operation, () => Promise<string>>>): Contestant => ({
  text: (operation) => calls[operation](),
  run: async (operation, count, concurrency) => {
    let left = count
    const lane = async (): Promise<void> => {
      while (left-- > 0) await calls[operation]()
    }
    await Promise.all(Array.from({ length: concurrency }, lane))
  }
})

const ofSdk = (client: BedrockRuntimeClient): Contestant =>
  ofPromises({
    converse: async () => {
      const { output } = await client.send(new ConverseCommand(request))
      return output?.message?.content?.[0]?.text ?? ""
    },
    converseStream: async () => {
      const { stream } = await client.send(new ConverseStreamCommand(request))
      let text = ""
      for await (const event of stream ?? []) text += event.contentBlockDelta?.delta?.text ?? ""
      return text
    }
  })

const ofEffects = <R>(
  runtime: ManagedRuntime.ManagedRuntime<R, never>,
  calls: Readonly<Record<Operation, Effect.Effect<string, unknown, R>>>
): Contestant => ({
  text: (operation) => runtime.runPromise(calls[operation]),
  run: (operation, count, concurrency) =>
    runtime.runPromise(
      Effect.forEach(Array.from({ length: count }), () => calls[operation], { concurrency, discard: true })
    )
})

const ofService = (service: Pick<BedrockClient.Service, "converse" | "converseStream">) => ({
  converse: Effect.map(service.converse(request), ({ output }) => output?.message?.content?.[0]?.text ?? ""),
  converseStream: service.converseStream(request).pipe(
    Stream.map(({ contentBlockDelta }) => contentBlockDelta?.delta?.text ?? ""),
    Stream.mkString
  )
})

const sdkOptions = ({ endpoint }: Place) => ({ region, endpoint, credentials })
const ourOptions = (place: Place) => ({ ...sdkOptions(place), maxConnections: place.connections })

/** Where they ask, and how many connections those may open whose users would say so. */
export interface Place {
  readonly endpoint: string
  readonly connections: number
}

const agentOptions = (connections: number) => ({
  keepAlive: true,
  keepAliveMsecs: 60_000,
  maxSockets: connections,
  maxFreeSockets: connections,
  timeout: 60_000
})

/**
 * By name. What each gets beyond its defaults stands here, and is an endpoint, a Region and credentials, and a number of connections,
 * where nothing else is.
 */
export const contestants = {
  "Caprock's client": (place) => {
    const { BedrockClient: Client, layer } = BedrockClient
    return ofEffects(ManagedRuntime.make(Layer.orDie(layer(ourOptions(place)))), {
      converse: Client.use((client) => ofService(client).converse),
      converseStream: Client.use((client) => ofService(client).converseStream)
    })
  },
  "Caprock's Bedrock": (place) => {
    // Quotas so large that nothing waits: the work of the layers alone.
    const quotas = Quotas.uniform({ requestsPerMinute: 1e9, tokensPerMinute: 1e12 })
    return ofEffects(ManagedRuntime.make(Layer.orDie(Bedrock.layer({ ...ourOptions(place), quotas }))), {
      converse: Bedrock.Bedrock.use((bedrock) => ofService(bedrock).converse),
      converseStream: Bedrock.Bedrock.use((bedrock) => ofService(bedrock).converseStream)
    })
  },
  "SDK (defaults)": (place) => ofSdk(new BedrockRuntimeClient(sdkOptions(place))),
  "SDK (our options)": (place) =>
    ofSdk(
      new BedrockRuntimeClient({
        ...sdkOptions(place),
        maxAttempts: 1,
        requestHandler: new NodeHttpHandler({
          connectionTimeout: 10_000,
          socketTimeout: 300_000,
          httpAgent: new HttpAgent(agentOptions(place.connections)),
          httpsAgent: new HttpsAgent(agentOptions(place.connections))
        })
      })
    ),
  // One session for all unary calls. The handler gives each event stream a session of its own, whatever its options.
  "SDK (one HTTP/2)": (place) =>
    ofSdk(
      new BedrockRuntimeClient({ ...sdkOptions(place), maxAttempts: 1, requestHandler: new NodeHttp2Handler() })
    ),
  "Vercel AI SDK": ({ endpoint }) => {
    const model = createAmazonBedrock({ region, baseURL: endpoint, ...credentials })(modelId)
    const options = { model, prompt, maxOutputTokens: maxTokens }
    return ofPromises({
      converse: async () => (await generateText(options)).text,
      converseStream: async () => {
        let text = ""
        for await (const delta of streamText(options).textStream) text += delta
        return text
      }
    })
  },
  "LangChain": (place) => {
    // `client` is what it makes by itself where it is given none; only so does it take an `http:` endpoint.
    const client = new BedrockRuntimeClient(sdkOptions(place))
    const chat = new ChatBedrockConverse({ model: modelId, region, credentials, client, maxTokens })
    const text = (content: unknown): string => typeof content === "string" ? content : ""
    return ofPromises({
      converse: async () => text((await chat.invoke(prompt)).content),
      converseStream: async () => {
        let whole = ""
        for await (const chunk of await chat.stream(prompt)) whole += text(chunk.content)
        return whole
      }
    })
  }
} satisfies Record<string, (place: Place) => Contestant>

export type Name = keyof typeof contestants
