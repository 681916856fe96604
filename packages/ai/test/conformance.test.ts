// Answers as Bedrock really gave them, through the emulator and the unmodified SDK.
//
// Where they are from: the cassettes of pydantic-ai (tests/models/cassettes/test_bedrock, recorded against Bedrock in 2025 and 2026, read
// 2026-11-22), each by its name. Blocks, their order, members, stop reasons and counts are as recorded; long texts and signatures are cut short.
//
// What no public record was found of is not here, and was not made up: a call of a tool by a model of Meta or Mistral through Converse,
// images, and how their streams are cut into events.
import { BedrockTool } from "@caprock/ai"
import type { OutputModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema, Stream } from "effect"
import { Chat, LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import type { Event } from "../src/internal/sdk.ts"
import { Reading } from "../src/internal/stream.ts"
import { rig, scripted } from "./rig.ts"

interface Recorded {
  readonly cassette: string
  readonly model: string
  readonly content: NonNullable<OutputModel.Output["content"]>
  readonly stopReason: string
  readonly usage: Readonly<Record<string, unknown>>
  readonly trace?: unknown
  /** The parts that it is, and what of the finish is told. */
  readonly parts: ReadonlyArray<string>
  readonly reason: Response.FinishReason
  readonly input: Readonly<Record<string, number | undefined>>
  readonly output: number
}

const uncached = {
  cacheReadInputTokenCount: 0,
  cacheReadInputTokens: 0,
  cacheWriteInputTokenCount: 0,
  cacheWriteInputTokens: 0
}
const sonnet37 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
const micro = "amazon.nova-micro-v1:0"

const recorded: ReadonlyArray<Recorded> = [
  {
    cassette: "test_bedrock_anthropic_tool_with_thinking",
    model: sonnet37,
    content: [
      {
        reasoningContent: {
          reasoningText: { signature: "ErcBCkgICxABGAIiQFX7K5soRl8", text: "The user wants to know the largest city." }
        }
      },
      { text: "I'll need to check which country you're in first." },
      {
        toolUse: {
          input: {},
          name: "get_user_country",
          toolUseId: "tooluse_4Lo0VS-FT5yev_-skOCQdw",
          type: "tool_use"
        }
      }
    ],
    stopReason: "tool_use",
    usage: { ...uncached, inputTokens: 397, outputTokens: 138, serverToolUsage: {}, totalTokens: 535 },
    parts: ["reasoning", "text", "tool-call"],
    reason: "tool-calls",
    input: { uncached: 397, total: 397, cacheRead: 0, cacheWrite: 0 },
    output: 138
  },
  {
    cassette: "test_bedrock_model_thinking_part_redacted",
    model: sonnet37,
    content: [
      { reasoningContent: { redactedContent: "RXRNRkNrZ0lDeEFCR0FJcVFHcUJNd0Jp" } },
      { text: "I don't have any special triggers." }
    ],
    stopReason: "end_turn",
    usage: { ...uncached, inputTokens: 92, outputTokens: 198, serverToolUsage: {}, totalTokens: 290 },
    parts: ["reasoning", "text"],
    reason: "stop",
    input: { uncached: 92, total: 92, cacheRead: 0, cacheWrite: 0 },
    output: 198
  },
  {
    cassette: "test_bedrock_cache_write_and_read, first request",
    model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    content: [{ text: "21" }],
    stopReason: "end_turn",
    usage: {
      ...uncached,
      cacheDetails: [{ inputTokens: 1322, ttl: "5m" }],
      cacheWriteInputTokenCount: 1322,
      cacheWriteInputTokens: 1322,
      inputTokens: 2,
      outputTokens: 5,
      serverToolUsage: {},
      totalTokens: 1329
    },
    parts: ["text"],
    reason: "stop",
    input: { uncached: 2, total: 1324, cacheRead: 0, cacheWrite: 1322 },
    output: 5
  },
  {
    cassette: "test_bedrock_cache_write_and_read, second request",
    model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    content: [{ text: "21" }],
    stopReason: "end_turn",
    usage: {
      ...uncached,
      cacheReadInputTokenCount: 1322,
      cacheReadInputTokens: 1322,
      inputTokens: 2,
      outputTokens: 5,
      serverToolUsage: {},
      totalTokens: 1329
    },
    parts: ["text"],
    reason: "stop",
    input: { uncached: 2, total: 1324, cacheRead: 1322, cacheWrite: 0 },
    output: 5
  },
  {
    cassette: "test_bedrock_model_retry",
    model: micro,
    content: [
      {
        text: "<thinking> To determine the capital of France, I can use the provided tool \"get_capital\".</thinking>\n"
      },
      { toolUse: { input: { country: "France" }, name: "get_capital", toolUseId: "tooluse_cp9RaRqnRi6yVdlxFBLxlQ" } }
    ],
    stopReason: "tool_use",
    usage: { inputTokens: 426, outputTokens: 54, serverToolUsage: {}, totalTokens: 480 },
    parts: ["text", "tool-call"],
    reason: "tool-calls",
    input: { uncached: 426, total: 426, cacheRead: undefined, cacheWrite: undefined },
    output: 54
  },
  {
    cassette: "test_bedrock_model_guardrail_config",
    model: micro,
    content: [{ text: "The capital of France is Paris." }],
    stopReason: "end_turn",
    usage: { inputTokens: 13, outputTokens: 45, serverToolUsage: {}, totalTokens: 58 },
    trace: {
      guardrail: {
        actionReason: "No action.",
        inputAssessment: {
          xbgw7g293v7o: {
            appliedGuardrailDetails: {
              guardrailId: "xbgw7g293v7o",
              guardrailOrigin: ["REQUEST"],
              guardrailOwnership: "SELF",
              guardrailVersion: "DRAFT"
            },
            invocationMetrics: {
              guardrailCoverage: { textCharacters: { guarded: 30, total: 30 } },
              guardrailProcessingLatency: 296
            }
          }
        }
      }
    },
    parts: ["text"],
    reason: "stop",
    input: { uncached: 13, total: 13, cacheRead: undefined, cacheWrite: undefined },
    output: 45
  },
  {
    cassette: "test_bedrock_model_with_code_execution_tool",
    model: "us.amazon.nova-2-lite-v1:0",
    content: [
      {
        toolUse: {
          input: { snippet: "1234 * 5678" },
          name: "nova_code_interpreter",
          toolUseId: "tooluse_EkXfr5c0K3VyZ09M6pxEFg",
          type: "server_tool_use"
        }
      },
      {
        toolResult: {
          content: [{ json: { exitCode: 0, isError: false, stdErr: "", stdOut: "7006652" } }],
          status: "success",
          toolUseId: "tooluse_EkXfr5c0K3VyZ09M6pxEFg",
          type: "nova_code_interpreter_result"
        }
      },
      {
        toolUse: {
          input: { result: 7006652 },
          name: "final_result",
          toolUseId: "tooluse_owdFRfkTTQabYjvP3GM_vQ",
          type: "tool_use"
        }
      }
    ],
    stopReason: "tool_use",
    usage: { inputTokens: 1002, outputTokens: 59, serverToolUsage: {}, totalTokens: 1061 },
    parts: ["tool-call", "tool-result", "tool-call"],
    reason: "tool-calls",
    input: { uncached: 1002, total: 1002, cacheRead: undefined, cacheWrite: undefined },
    output: 59
  },
  {
    cassette: "test_bedrock_llama_tool_result_followed_by_text_accepted",
    model: "us.meta.llama4-maverick-17b-instruct-v1:0",
    content: [{ text: "DONE" }],
    stopReason: "end_turn",
    usage: { inputTokens: 186, outputTokens: 2, serverToolUsage: {}, totalTokens: 188 },
    parts: ["text"],
    reason: "stop",
    input: { uncached: 186, total: 186, cacheRead: undefined, cacheWrite: undefined },
    output: 2
  },
  {
    cassette: "test_bedrock_native_output_mistral",
    model: "mistral.mistral-large-3-675b-instruct",
    content: [{ text: "{ \"city\": \"Paris\", \"country\": \"France\", \"population\": 2102650 }" }],
    stopReason: "end_turn",
    usage: { inputTokens: 21, outputTokens: 26, serverToolUsage: {}, totalTokens: 47 },
    parts: ["text"],
    reason: "stop",
    input: { uncached: 21, total: 21, cacheRead: undefined, cacheWrite: undefined },
    output: 26
  },
  {
    cassette: "test_bedrock_model_thinking_part_deepseek",
    model: "us.deepseek.r1-v1:0",
    // What it thought comes after what it says.
    content: [
      { text: "\n\nCrossing the street safely involves careful observation." },
      { reasoningContent: { reasoningText: { text: "Okay, so the user is asking how to cross the street.\n" } } }
    ],
    stopReason: "end_turn",
    usage: { inputTokens: 12, outputTokens: 1039, serverToolUsage: {}, totalTokens: 1051 },
    parts: ["text", "reasoning"],
    reason: "stop",
    input: { uncached: 12, total: 12, cacheRead: undefined, cacheWrite: undefined },
    output: 1039
  }
]

const outputOf = ({ content, stopReason, trace, usage }: Recorded): OutputModel.Output => ({
  content,
  stopReason,
  more: { usage, ...(trace === undefined ? {} : { trace }) }
})

const Tools = Toolkit.make(
  Tool.make("get_user_country", { success: Schema.String }),
  Tool.make("get_capital", { parameters: Schema.Struct({ country: Schema.String }), success: Schema.String }),
  Tool.make("final_result", { parameters: Schema.Struct({ result: Schema.Finite }), success: Schema.String }),
  BedrockTool.systemTool("nova_code_interpreter")
)
const toolkit = Effect.provide(
  Tools,
  Tools.toLayer({
    get_user_country: () => Effect.succeed("Mexico"),
    get_capital: () => Effect.succeed("Paris"),
    final_result: () => Effect.succeed("Final result processed.")
  })
)

const finished = (parts: ReadonlyArray<Response.AnyPart>, { input, output, reason, trace, usage }: Recorded) => {
  const finish = parts.at(-1)
  if (finish?.type !== "finish") return assert.fail("it has no end")
  assert.strictEqual(finish.reason, reason)
  assert.deepStrictEqual({ ...input, ...finish.usage.inputTokens }, { ...input })
  assert.strictEqual(finish.usage.outputTokens.total, output)
  assert.deepStrictEqual(finish.metadata.bedrock?.trace, trace)
  assert.isUndefined(finish.metadata.bedrock?.skipped)
  const told = JSON.parse(JSON.stringify(finish.metadata.bedrock?.usage))
  assert.strictEqual(told.totalTokens, usage["totalTokens"])
  return undefined
}

/** What a stream says, in the words of a whole answer. */
const whole = (type: Response.AnyPart["type"]): ReadonlyArray<string> =>
  type === "text-end"
    ? ["text"]
    : type === "reasoning-end"
    ? ["reasoning"]
    : type.startsWith("tool-params")
    ? []
    : [type]

const isContent = (type: string): boolean => !/^(finish|response-metadata|.*-(start|delta))$/.test(type)

describe("a recorded answer", () => {
  it.live.each(recorded.map((answer) => [`${answer.cassette} (${answer.model})`, answer] as const))(
    "%s, in one piece and in a stream",
    ([, answer]) =>
      Effect.gen(function*() {
        const { lm } = yield* rig({ model: answer.model, emulator: { output: () => outputOf(answer) } })
        const { content } = yield* lm.generateText({ prompt: "Hi", toolkit, disableToolCallResolution: true })
        assert.deepStrictEqual(content.map(({ type }) => type).filter(isContent), [...answer.parts])
        finished(content, answer)

        const parts = yield* Stream.runCollect(
          lm.streamText({ prompt: "Hi", toolkit, disableToolCallResolution: true })
        )
        assert.deepStrictEqual(
          parts.map(({ type }) => type).filter(isContent).flatMap(whole),
          [...answer.parts]
        )
        finished(parts, answer)
      }).pipe(Effect.scoped)
  )

  it.live.each(recorded.map((answer) => [answer.cassette, answer] as const))(
    "%s goes back as it came: what a model wrote is the same in the next request",
    ([, answer]) =>
      Effect.gen(function*() {
        const { output, requests } = scripted(outputOf(answer), { text: "So." })
        const { lm } = yield* rig({ model: answer.model, emulator: { output } })
        const chat = yield* Chat.empty
        const turn = (prompt: string | []) =>
          chat.generateText({ prompt, toolkit }).pipe(Effect.provideService(LanguageModel.LanguageModel, lm))
        yield* turn("Hi")
        yield* turn(answer.reason === "tool-calls" ? [] : "And now?")
        const [, assistant, user] = requests[1]?.messages ?? []
        // A call is one of a tool of ours where nothing is said of it, and reasoning without a signature stays here.
        const expected = answer.content.flatMap((block) => {
          const { reasoningContent, toolResult, toolUse } = JSON.parse(JSON.stringify(block))
          if (toolUse?.type === "tool_use") delete toolUse.type
          if (toolResult !== undefined) delete toolResult.status
          if (reasoningContent?.reasoningText !== undefined && reasoningContent.reasoningText.signature === undefined) {
            return []
          }
          return [toolUse === undefined ? toolResult === undefined ? block : { toolResult } : { toolUse }]
        })
        assert.deepStrictEqual(assistant, { role: "assistant", content: expected })
        assert.strictEqual(user?.role, "user")
      }).pipe(Effect.scoped)
  )
})

it("a recorded stream of a model that thinks (test_bedrock_model_thinking_part_stream): no block begins by itself, and an empty delta is none", () => {
  const at = (contentBlockIndex: number, delta: NonNullable<Event["contentBlockDelta"]>["delta"]): Event => ({
    contentBlockDelta: { contentBlockIndex, delta }
  })
  const thought = (text: string) => at(0, { reasoningContent: { text } })
  const events: ReadonlyArray<Event> = [
    { messageStart: { role: "assistant" } },
    thought("The human"),
    thought(" has"),
    thought(" just said \"Hello\" to me."),
    thought(""),
    at(0, { reasoningContent: { signature: "EvYCCkgICxABGAIiQH" } }),
    { contentBlockStop: { contentBlockIndex: 0 } },
    at(1, { text: "Hello! How" }),
    at(1, { text: " are you doing today?" }),
    { contentBlockStop: { contentBlockIndex: 1 } },
    { messageStop: { stopReason: "end_turn" } },
    {
      metadata: { metrics: { latencyMs: 2333 }, usage: { inputTokens: 37, outputTokens: 74, totalTokens: 111 } }
    }
  ]
  const reading = new Reading({
    input: { modelId: "m", messages: [] },
    modelId: "m",
    shape: undefined,
    ownNames: new Map(),
    documents: [],
    callable: []
  })
  const parts = events.flatMap((event) => Result.getOrThrow(reading.event(event, "2026-11-22T00:00:00.000Z")))
  assert.deepStrictEqual(parts.map(({ type }) => type), [
    "response-metadata",
    "reasoning-start",
    "reasoning-delta",
    "reasoning-delta",
    "reasoning-delta",
    "reasoning-end",
    "text-start",
    "text-delta",
    "text-delta",
    "text-end",
    "finish"
  ])
  const end = parts.find((part) => part.type === "reasoning-end")
  assert.strictEqual(end?.metadata?.bedrock?.signature, "EvYCCkgICxABGAIiQH")
})

it.live("a recorded answer in Bedrock's own format is the object that was asked for (test_bedrock_native_output_mistral)", () =>
  Effect.gen(function*() {
    const answer = recorded.find(({ cassette }) => cassette === "test_bedrock_native_output_mistral")
    if (answer === undefined) return assert.fail()
    const CityInfo = Schema.Struct({ city: Schema.String, country: Schema.String, population: Schema.Int }).annotate({
      identifier: "CityInfo",
      description: "Information about a city."
    })
    const { output, requests } = scripted(outputOf(answer))
    const { lm } = yield* rig({ model: answer.model, emulator: { output }, settings: { structured: "native" } })
    const { value } = yield* lm.generateObject({ prompt: "What is the capital of France?", schema: CityInfo })
    assert.deepStrictEqual(value, { city: "Paris", country: "France", population: 2_102_650 })
    // What was sent is what the record has.
    const format = JSON.parse(JSON.stringify(requests[0]?.outputConfig?.textFormat))
    const { description, name, schema } = format.structure.jsonSchema
    assert.deepStrictEqual([format.type, name, description], ["json_schema", "CityInfo", "Information about a city."])
    assert.deepInclude(JSON.parse(schema), {
      additionalProperties: false,
      type: "object",
      required: ["city", "country", "population"]
    })
  }).pipe(Effect.scoped))
