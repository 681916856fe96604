/**
 * What a call without Effect costs above the same call as an Effect, in CPU time: both on a scripted client, one after the other,
 * and a stream by its events.
 *
 *     node bench/promise.ts [calls]
 */
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Bedrock from "@caprock/bedrock/Bedrock"
import * as BedrockClient from "@caprock/client/BedrockClient"
import * as Quotas from "@caprock/quota/Quotas"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { streamed, unary } from "../packages/bedrock/src/internal/facade/answers.ts"
import { Host } from "../packages/bedrock/src/internal/facade/calls.ts"

const calls = Number(process.argv[2] ?? 20_000)
const rounds = 7
const deltas = 100

const input = {
  modelId: "us.amazon.nova-lite-v1:0",
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue, and not violet? ".repeat(20) }] }],
  inferenceConfig: { maxTokens: 500 }
}
const usage = { inputTokens: 200, outputTokens: 150, totalTokens: 350 }
const answer = {
  $metadata: {},
  output: { message: { role: "assistant" as const, content: [{ text: "It scatters." }] } },
  stopReason: "end_turn" as const,
  usage,
  metrics: { latencyMs: 900 }
}
const events = [
  ...Array.from({ length: deltas }, () => ({ contentBlockDelta: { contentBlockIndex: 0, delta: { text: "word " } } })),
  { messageStop: { stopReason: "end_turn" as const } },
  { metadata: { usage, metrics: { latencyMs: 900 } } }
]

const client = BedrockClient.layerTest({
  converse: () => Effect.succeed(answer),
  converseStream: () => Stream.rechunk(Stream.fromIterable(events), 1)
})
const options = { quotas: Quotas.uniform({ requestsPerMinute: 1e9, tokensPerMinute: 1e12 }) }
const layer = Layer.orDie(
  Bedrock.layerNoDeps().pipe(
    Layer.provide([Bedrock.layerLimiter(options), Layer.orDie(RetryBudget.layer())]),
    Layer.provide(client)
  )
)

const host = new Host(Bedrock.Bedrock, layer, {})
const converse = unary(host, "Converse", (bedrock, request: typeof input) => bedrock.converse(request))
const converseStream = streamed(
  host,
  "ConverseStream",
  (bedrock, request: typeof input) => bedrock.converseStream(request)
)
const runtime = ManagedRuntime.make(layer)
const bedrock = await runtime.runPromise(Bedrock.Bedrock)
const { signal } = new AbortController()

/** Microseconds of CPU for each of them. */
const cpu = async (count: number, run: () => Promise<unknown>): Promise<number> => {
  const from = process.cpuUsage()
  for (let i = 0; i < count; i++) await run()
  const { system, user } = process.cpuUsage(from)
  return (system + user) / count
}

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  "converse, Effect.runPromise": () => Effect.runPromise(bedrock.converse(input)),
  "converse, promise": () => converse(input),
  "converse, promise with signal": () => converse(input, { signal })
}
const drained = async (events: AsyncIterable<unknown>) => {
  for await (const _ of events);
}
const streams: Readonly<Record<string, () => Promise<unknown>>> = {
  "stream, Stream.runDrain": () => Effect.runPromise(Stream.runDrain(bedrock.converseStream(input))),
  "stream, Stream.toAsyncIterable": () => drained(Stream.toAsyncIterable(bedrock.converseStream(input))),
  "stream, promise": () => drained(converseStream(input))
}

const report = async (
  ways: Readonly<Record<string, () => Promise<unknown>>>,
  count: number,
  unit: string,
  per: number
) => {
  const taken = new Map(Object.keys(ways).map((name) => [name, Array<number>()]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(ways)) taken.get(name)?.push(await cpu(count, run))
  }
  for (const [name, values] of taken) {
    console.log(
      `${name}: ${(median(values) / per).toFixed(2)} µs of CPU for each ${unit}, the median of ${rounds} rounds`
    )
  }
}

await report(ways, calls, "call", 1)
await report(streams, Math.ceil(calls / 50), "event", events.length)
await runtime.dispose()
await host.close()
