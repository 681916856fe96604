import { ThrottlingException } from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { client, collect, converse, converseStream, modelId, type Transport } from "./helpers.ts"

const transports: ReadonlyArray<Transport> = ["h1", "h2"]

describe("Emulator", () => {
  it.live.each(transports)("answers Converse over %s", (transport) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ output: OutputModel.fixed(12), latency: LatencyModel.fixed(20) })
      const sdk = yield* client(emulator, transport)
      const answer = yield* converse(sdk, "Hello, world", 100)
      assert.strictEqual(answer.output?.message?.role, "assistant")
      assert.strictEqual(answer.output?.message?.content?.[0]?.text?.split(" ").length, 12)
      assert.strictEqual(answer.stopReason, "end_turn")
      assert.deepStrictEqual(answer.usage, { inputTokens: 7, outputTokens: 12, totalTokens: 19 })
      assert.isAtLeast(answer.metrics?.latencyMs ?? 0, 20)
      assert.match(answer.$metadata.requestId ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
      const stats = yield* emulator.stats
      assert.strictEqual(stats.answered, 1)
      assert.strictEqual(stats.connections, 1)
      assert.deepStrictEqual(stats.tokens, { reserved: 107, settled: 19 })
      assert.deepStrictEqual(Object.keys(stats.pools), [`AKIDEXAMPLE/us-east-1/on-demand/${modelId}`])
    }))

  it.live.each(transports)("streams ConverseStream over %s", (transport) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ output: OutputModel.fixed(40) })
      const sdk = yield* client(emulator, transport)
      const answer = yield* converseStream(sdk, "Hello, world", 100)
      const { error, events } = yield* collect(answer.stream)
      assert.isUndefined(error)
      const text = events.map((event) => event.contentBlockDelta?.delta?.text ?? "").join("")
      assert.strictEqual(text.split(" ").length, 40)
      assert.deepStrictEqual(events.at(0)?.messageStart, { role: "assistant" })
      assert.deepStrictEqual(events.at(-2)?.messageStop, { stopReason: "end_turn" })
      assert.deepStrictEqual(events.at(-1)?.metadata?.usage, { inputTokens: 7, outputTokens: 40, totalTokens: 47 })
    }))

  it.live.each(transports)("throttles by requests, then by tokens over %s", (transport) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ quota: { requests: 3, tokens: 250 }, output: OutputModel.fixed(100) })
      const sdk = yield* client(emulator, transport)
      const messages: Array<string> = []
      const send = (maxTokens: number) =>
        converse(sdk, "Hello", maxTokens).pipe(
          Effect.map((answer) => String(answer.usage?.totalTokens)),
          Effect.catch(({ error }) => {
            assert.instanceOf(error, ThrottlingException)
            return Effect.succeed(error.message)
          })
        )
      for (const maxTokens of [100, 1000, 100, 10, 1]) messages.push(yield* send(maxTokens))
      assert.deepStrictEqual(messages, [
        "105",
        "Too many tokens, please wait before trying again.",
        "105",
        "15",
        "Too many requests, please wait before trying again."
      ])
      const { throttled } = yield* emulator.stats
      assert.deepStrictEqual(throttled, { requests: 1, tokens: 1, day: 0, total: 2 })
    }))
})
