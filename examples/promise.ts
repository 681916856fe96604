// A web service without Effect: it streams each answer as it is written, stops asking when its user goes away, and says when it is busy.
import { AdmissionError, BedrockError, createBedrock } from "@caprock/bedrock/promise"
import { Emulator } from "@caprock/emulator"
import { ManagedRuntime } from "effect"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"

// Instead of AWS: a local Bedrock whose minute is 2 seconds long, and in each allows 20 requests. It is the one thing here made with Effect.
const window = "2 seconds"
const aws = ManagedRuntime.make(Emulator.layer({ window, quota: { requests: 20 } }))
const emulator = await aws.runPromise(Emulator.Emulator)

// One client for the process.
const bedrock = createBedrock({
  endpoint: emulator.url,
  region: "us-east-1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
  quotas: { default: { requestsPerMinute: 20 } },
  meters: { window }
})

const service = createServer((incoming, response) => {
  const user = new AbortController()
  response.on("close", () => user.abort())
  const events = bedrock.converseStream({
    modelId: "us.amazon.nova-lite-v1:0",
    messages: [{ role: "user", content: [{ text: decodeURIComponent(incoming.url ?? "") }] }],
    inferenceConfig: { maxTokens: 200 }
  }, { signal: user.signal, maxWait: "3 seconds" })
  const answer = async () => {
    for await (const { contentBlockDelta } of events) response.write(contentBlockDelta?.delta?.text ?? "")
    response.end()
  }
  answer().catch((error: unknown) => {
    if (user.signal.aborted) return
    // In the middle of an answer there is no status left to give: the user sees it end without its end.
    if (response.headersSent) response.destroy()
    else {
      response.statusCode = error instanceof AdmissionError ? 503 : 500
      response.end(error instanceof BedrockError ? error.detail : "a bug")
    }
  })
})
await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve))
const { port } = service.address() as AddressInfo

/** A user, who reads to the end, or goes away after the first words. */
const ask = (question: string, stays: boolean): Promise<string> =>
  new Promise((resolve) => {
    const outgoing = request({ port, path: `/${encodeURIComponent(question)}`, agent: false }, (response) => {
      response.on("data", () => {
        if (stays || response.statusCode !== 200) return
        response.destroy()
        resolve("left")
      })
      response.on("end", () => resolve(response.statusCode === 200 ? "answered" : `${response.statusCode}`))
      response.on("error", () => resolve("cut"))
    })
    outgoing.end()
  })

const users = Array.from({ length: 60 }, (_, n) => ask(`What of the number ${n}? [[emulate latency=300]]`, n % 9 !== 0))
const outcomes = Object.groupBy(await Promise.all(users), (outcome) => outcome)
console.log(Object.entries(outcomes).map(([outcome, all]) => `${all?.length} ${outcome}`).toSorted().join(", "))

service.close()
await bedrock.close()
const { requests, throttled } = await aws.runPromise(emulator.stats)
console.log(
  `The server got ${requests} requests, and throttled ${throttled.total}.`
)
await aws.dispose()
