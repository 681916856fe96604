// A worker that has always used the AWS SDK's own client, and sends as many requests at once as there are tickets. One line puts the limiter in.
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime"
import { createLimiter } from "@caprock/bedrock/sdk"
import { Emulator } from "@caprock/emulator"
import { ManagedRuntime } from "effect"

// Instead of AWS: a local Bedrock whose minute is 2 seconds long, and in each allows 20 requests. It is the one thing here made with Effect.
const window = "2 seconds"
const aws = ManagedRuntime.make(Emulator.layer({ window, quota: { requests: 20 } }))
const emulator = await aws.runPromise(Emulator.Emulator)

const client = new BedrockRuntimeClient({
  endpoint: emulator.url,
  region: "us-east-1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" }
})

// The line.
const limiter = createLimiter({ quotas: { default: { requestsPerMinute: 20 } }, meters: { window } })
limiter.attach(client)

const question = (text: string) => ({
  modelId: "us.amazon.nova-lite-v1:0",
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens: 200 }
})

const summarise = async (ticket: number): Promise<string> => {
  const { output } = await client.send(new ConverseCommand(question(`Summarise ticket ${ticket}.`)))
  return output?.message?.content?.[0]?.text ?? ""
}

/** Somebody is waiting for this one: it goes before the tickets. */
const answer = async (text: string): Promise<boolean> => {
  const command = new ConverseStreamCommand(question(text))
  command.middlewareStack.use(limiter.turn({ priority: "interactive" }))
  const { stream = [] } = await client.send(command)
  for await (const { messageStop } of stream) if (messageStop !== undefined) return true
  return false
}

let summaries = 0
const tickets = Array.from({ length: 40 }, async (_, ticket) => {
  if (await summarise(ticket) !== "") summaries++
})
const answered = await answer("Where is my order?")
console.log(`The user is ${answered ? "answered" : "cut off"}, before the last ticket: ${summaries < 40}`)
await Promise.all(tickets)

const { requests, throttled } = await aws.runPromise(emulator.stats)
console.log(`${summaries} summaries. The server got ${requests} requests, and throttled ${throttled.total}.`)

await limiter.close()
client.destroy()
await aws.dispose()
