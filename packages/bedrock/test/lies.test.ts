// Numbers in answers that are none, or that nobody can believe: the call is answered, and the books stay in order.
import { Bedrock } from "@caprock/bedrock"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { frames, rawEvent, server, startStream, turns } from "../../client/test/server.ts"

const modelId = "amazon.nova-lite-v1:0"
const maxTokens = 100
const question = {
  modelId,
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue?" }] }],
  inferenceConfig: { maxTokens }
}

const answering = (usage: string, latency: string) =>
  Effect.gen(function*() {
    const { url } = yield* server((request, response) => {
      const metadata = `{"usage":${usage},"metrics":{"latencyMs":${latency}}}`
      if (request.url?.endsWith("converse-stream") === true) {
        const bytes = [frames.start, frames.text("Rayleigh."), frames.stop, rawEvent("metadata", metadata)]
        startStream(response).end(Buffer.concat(bytes))
      } else {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(
          `{"output":{"message":{"role":"assistant","content":[{"text":"Rayleigh."}]}},"stopReason":"end_turn",${
            metadata.slice(1)
          }`
        )
      }
    })
    return Context.get(
      yield* Layer.build(Bedrock.layer({
        region: "us-east-1",
        endpoint: url,
        credentials: { accessKeyId: "AKIDTEST", secretAccessKey: "secret" },
        quotas: { default: { requestsPerMinute: 1_000, tokensPerMinute: 10_000 } }
      })),
      Bedrock.Bedrock
    )
  })

const right = `{"inputTokens":7,"outputTokens":3,"totalTokens":10}`
const large = "9".repeat(30)

const lies: ReadonlyArray<readonly [what: string, usage: string, latency: string, charged: number | undefined]> = [
  ["the truth", right, "12", 10],
  ["a latency beyond all numbers", right, large, 10],
  ["a latency that is a text", right, `"soon"`, 10],
  ["a latency before it was asked", right, "-5", 10],
  ["a latency of more than all time", right, "1e300", 10],
  ["a latency of nothing", right, "null", 10],
  ["a usage beyond all numbers", `{"inputTokens":${large},"outputTokens":3}`, "12", undefined],
  ["a usage of a billion", `{"inputTokens":1000000000,"outputTokens":3}`, "12", undefined],
  ["a usage below nothing", `{"inputTokens":7,"outputTokens":-3}`, "12", undefined],
  ["a usage of parts", `{"inputTokens":7.5,"outputTokens":3}`, "12", undefined],
  ["a usage that is a text", `"much"`, "12", undefined],
  ["no usage", `null`, "12", undefined]
]

describe.each(lies)("%s", (_, usage, latency, charged) => {
  it.effect("is believed where it can be, and what was booked stays where not", () =>
    Effect.scoped(Effect.gen(function*() {
      for (const stream of [false, true]) {
        const bedrock = yield* answering(usage, latency)
        yield* stream
          ? Stream.runDrain(bedrock.converseStream(question))
          : Effect.asVoid(bedrock.converse(question))
        const { meters } = yield* bedrock.snapshot(modelId)
        const [requests, tokens = 0] = meters.map(({ used }) => used)
        assert.strictEqual(requests, 1)
        if (charged === undefined) assert.isTrue(tokens >= maxTokens && tokens < 2 * maxTokens, String(tokens))
        else assert.strictEqual(tokens, charged)
        // It leaves the books a window after it, whatever the server says of when it was there.
        yield* TestClock.adjust("59 seconds")
        assert.isAbove((yield* bedrock.snapshot(modelId)).meters[1]?.used ?? 0, 0)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* bedrock.snapshot(modelId)).meters[1]?.used, 0)
      }
    })))
})

it.effect("one answer that nobody can believe does not make every later call too large", () =>
  Effect.scoped(Effect.gen(function*() {
    const bedrock = yield* answering(`{"inputTokens":900000000,"outputTokens":3}`, "12")
    for (let i = 0; i < 3; i++) {
      const call = yield* Effect.forkChild(bedrock.converse(question))
      while (call.pollUnsafe() === undefined) {
        yield* turns(5)
        yield* TestClock.adjust("20 seconds")
      }
      yield* Fiber.join(call)
    }
  })))
