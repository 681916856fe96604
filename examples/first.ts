import { Bedrock } from "@caprock/bedrock"
import { Emulator } from "@caprock/emulator"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Effect, Layer } from "effect"

// A hundred questions, all asked at once.
const program = Effect.gen(function*() {
  const bedrock = yield* Bedrock.Bedrock
  const answers = yield* Effect.forEach(
    Array.range(1, 100),
    (n) =>
      bedrock.converse({
        modelId: "us.amazon.nova-lite-v1:0",
        messages: [{ role: "user", content: [{ text: `Tell me something about the number ${n}.` }] }],
        inferenceConfig: { maxTokens: 500 }
      }),
    { concurrency: "unbounded" }
  )
  const tokens = answers.reduce((sum, { usage }) => sum + (usage?.totalTokens ?? 0), 0)
  yield* Console.log(`${answers.length} answers, ${tokens} tokens`)
})

// Instead of AWS: a local Bedrock whose minute is 6 seconds long, and in each allows 60 requests and 12,000 tokens.
const window = "6 seconds"
const EmulatorLive = Emulator.layer({ window, quota: { requests: 60, tokens: 12_000 } })

const BedrockLive = Layer.unwrap(Effect.map(Emulator.Emulator, ({ url }) =>
  Bedrock.layer({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    quotas: { default: { requestsPerMinute: 60, tokensPerMinute: 12_000 } },
    meters: { window }
  })))

const judged = Effect.gen(function*() {
  yield* program
  const { requests, throttled } = yield* (yield* Emulator.Emulator).stats
  yield* Console.log(`The server got ${requests} requests, and throttled ${throttled.total}.`)
})

NodeRuntime.runMain(judged.pipe(Effect.provide(BedrockLive.pipe(Layer.provideMerge(EmulatorLive)))))
