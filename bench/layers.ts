/**
 * What the layers add to a call, in CPU time: `Bedrock.converse` on a scripted client, against the scripted client alone.
 *
 *     node bench/layers.ts [calls]
 */
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Quotas from "@caprock/quota/Quotas"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const calls = Number(process.argv[2] ?? 20_000)
const rounds = 7

const input = (modelId: string) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue, and not violet? ".repeat(20) }] }],
  inferenceConfig: { maxTokens: 500 }
})
const answer = {
  $metadata: {},
  output: { message: { role: "assistant" as const, content: [{ text: "It scatters." }] } },
  stopReason: "end_turn" as const,
  usage: { inputTokens: 200, outputTokens: 150, totalTokens: 350 },
  metrics: { latencyMs: 900 }
}

const client = BedrockClient.layerTest({ converse: () => Effect.succeed(answer) })
const options = { quotas: Quotas.uniform({ requestsPerMinute: 1e9, tokensPerMinute: 1e12 }) }
const layers = Bedrock.layerNoDeps().pipe(
  Layer.provide([Bedrock.layerLimiter(options), Layer.orDie(RetryBudget.layer())]),
  Layer.provideMerge(client)
)

const cpu = Effect.fnUntraced(function*<E, R>(call: Effect.Effect<unknown, E, R>) {
  const from = process.cpuUsage()
  for (let i = 0; i < calls; i++) yield* call
  const { system, user } = process.cpuUsage(from)
  return (system + user) / calls
})

await Effect.runPromise(
  Effect.gen(function*() {
    const bedrock = yield* Bedrock.Bedrock
    const scripted = yield* BedrockClient.BedrockClient
    for (const modelId of ["us.amazon.nova-lite-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"]) {
      const added: Array<number> = []
      for (let round = 0; round < rounds; round++) {
        const bare = yield* cpu(scripted.converse(input(modelId)))
        added.push((yield* cpu(bedrock.converse(input(modelId)))) - bare)
      }
      added.sort((a, b) => a - b)
      console.log(
        `${modelId}: the layers add ${added[0]?.toFixed(1)} µs of CPU a call at best, ${
          added[rounds >> 1]?.toFixed(1)
        } µs in the median of ${rounds} rounds of ${calls} calls`
      )
    }
  }).pipe(Effect.provide(layers))
)
