import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import { Bedrock } from "@caprock/bedrock/Bedrock"
import { type CallEvent, CallEvents } from "@caprock/bedrock/CallEvents"
import * as BedrockTarget from "@caprock/cli/run/BedrockTarget"
import * as ResultLine from "@caprock/cli/run/ResultLine"
import { Target } from "@caprock/cli/run/Target"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { model } from "./support.ts"

const usage = { inputTokens: 5, outputTokens: 9, totalTokens: 14, cacheReadInputTokens: 3 }
const input = { modelId: model, messages: [{ role: "user" as const, content: [{ text: "Hi" }] }] }

const toolUse = { toolUse: { toolUseId: "t1", name: "weather", input: { city: "Oslo", days: [1, 2] } } }
const thought = { reasoningContent: { reasoningText: { text: "Hmm, well", signature: "sig" } } }
const hidden = { reasoningContent: { redactedContent: new Uint8Array([1, 2, 3, 4]) } }

const location = { documentChar: { documentIndex: 0, start: 1, end: 9 } }
const cited = {
  citationsContent: {
    content: [{ text: ", it rains" }],
    citations: [{ title: "The news", sourceContent: [{ text: "rain" }], location }]
  }
}
const result = { toolResult: { toolUseId: "t2", type: "search", content: [{ json: { hits: 1 } }, { text: "one" }] } }
const picture = { image: { format: "png" as const, source: { bytes: new Uint8Array([1, 2, 3, 4]) } } }
const news = { $unknown: ["hologram", { depth: 3 }] as [string, unknown] }

/** Answers the same in one piece and in many. */
const layerBedrock = Layer.mock(Bedrock, {
  converse: () =>
    Effect.as(
      Effect.map(CallEvents, (tell) => tell({ _tag: "Waiting", pool: "p", tokens: 1 })),
      {
        output: {
          message: {
            role: "assistant",
            content: [thought, hidden, { text: "Let me see" }, toolUse, cited, result, picture, news]
          }
        },
        stopReason: "tool_use",
        usage,
        metrics: { latencyMs: 1 },
        $metadata: {}
      }
    ),
  converseStream: () =>
    Stream.fromIterable<ConverseStreamOutput>([
      { messageStart: { role: "assistant" as const } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { text: "Hmm, " } } } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { text: "well" } } } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { signature: "sig" } } } },
      { contentBlockStop: { contentBlockIndex: 0 } },
      {
        contentBlockDelta: {
          contentBlockIndex: 1,
          delta: { reasoningContent: { redactedContent: new Uint8Array([1, 2]) } }
        }
      },
      {
        contentBlockDelta: {
          contentBlockIndex: 1,
          delta: { reasoningContent: { redactedContent: new Uint8Array([3, 4]) } }
        }
      },
      { contentBlockDelta: { contentBlockIndex: 2, delta: { text: "Let me" } } },
      { contentBlockDelta: { contentBlockIndex: 2, delta: { text: " see" } } },
      { contentBlockStart: { contentBlockIndex: 3, start: { toolUse: { toolUseId: "t1", name: "weather" } } } },
      { contentBlockDelta: { contentBlockIndex: 3, delta: { toolUse: { input: `{"city":"Oslo",` } } } },
      { contentBlockDelta: { contentBlockIndex: 3, delta: { toolUse: { input: `"days":[1,2]}` } } } },
      { contentBlockDelta: { contentBlockIndex: 4, delta: { text: ", it" } } },
      { contentBlockDelta: { contentBlockIndex: 4, delta: { text: " rains" } } },
      {
        contentBlockDelta: {
          contentBlockIndex: 4,
          delta: { citation: { title: "The news", sourceContent: [{ text: "rain" }], location } }
        }
      },
      {
        contentBlockStart: { contentBlockIndex: 5, start: { toolResult: { toolUseId: "t2", type: "search" } } }
      },
      { contentBlockDelta: { contentBlockIndex: 5, delta: { toolResult: [{ json: { hits: 1 } }] } } },
      { contentBlockDelta: { contentBlockIndex: 5, delta: { toolResult: [{ text: "one" }] } } },
      { contentBlockStart: { contentBlockIndex: 6, start: { image: { format: "png" as const } } } },
      {
        contentBlockDelta: { contentBlockIndex: 6, delta: { image: { source: { bytes: new Uint8Array([1, 2]) } } } }
      },
      {
        contentBlockDelta: { contentBlockIndex: 6, delta: { image: { source: { bytes: new Uint8Array([3, 4]) } } } }
      },
      { contentBlockDelta: { contentBlockIndex: 7, delta: news } },
      { messageStop: { stopReason: "tool_use" as const } },
      { metadata: { usage, metrics: { latencyMs: 1 } } }
    ])
})

describe("BedrockTarget", () => {
  for (const stream of [false, true]) {
    it.effect(`an answer ${stream ? "in pieces" : "in one piece"} is the same line of the output`, () =>
      Effect.gen(function*() {
        const target = yield* Target
        const events: Array<CallEvent> = []
        const answer = yield* target.ask(input, (event) => events.push(event))
        const line = ResultLine.fromAnswer(
          { id: "a", line: 1, model, digest: "0123456789abcdef" },
          answer,
          { attempts: 1, waitedMillis: 1.4, serviceMillis: 2.6 }
        )
        assert.deepEqual(JSON.parse(ResultLine.encode(line)), {
          id: "a",
          line: 1,
          model,
          text: "Let me see, it rains",
          stopReason: "tool_use",
          usage: { inputTokens: 5, outputTokens: 9, cacheReadInputTokens: 3 },
          attempts: 1,
          waitedMillis: 1,
          serviceMillis: 3,
          digest: "0123456789abcdef",
          content: [
            thought,
            { reasoningContent: { redactedContent: "AQIDBA==" } },
            { text: "Let me see" },
            toolUse,
            cited,
            result,
            { image: { format: "png", source: { bytes: "AQIDBA==" } } },
            {
              hologram: { depth: 3 }
            }
          ]
        })
        assert.strictEqual(events.length, stream ? 0 : 1)
      }).pipe(Effect.provide(BedrockTarget.layerNoDeps({ stream }).pipe(Layer.provide(layerBedrock)))))
  }

  it("a line that was written is known again", () => {
    const line = ResultLine.fromAnswer(
      { id: 7, line: 1, model, digest: "0123456789abcdef" },
      { content: [{ text: "x\u2028\n" }], stopReason: "end_turn", usage: { inputTokens: 1, outputTokens: 1 } },
      { attempts: 1, waitedMillis: 0, serviceMillis: 1 }
    )
    const text = ResultLine.encode(line)
    assert.strictEqual(text.indexOf("\n"), text.length - 1)
    assert.deepEqual(ResultLine.decode(text), { _tag: "Answered", id: "7", digest: "0123456789abcdef", model })
    assert.isUndefined(ResultLine.decode(text.slice(0, 40)))
    assert.isUndefined(ResultLine.decode(`{"id":"a","prompt":"x"}`))
    assert.isUndefined(ResultLine.decode(`{"prompt":"x"}`))
  })
})
