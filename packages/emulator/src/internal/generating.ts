/** The formats of the families that generate text. */
import type { Answer } from "./answer.ts"
import * as Converse from "./converse.ts"
import * as Format from "./format.ts"
import * as Json from "./json.ts"

const stop = ({ stopReason }: Answer): string => stopReason === "max_tokens" ? "length" : "stop"

const base = {
  headers: "both",
  generates: true,
  head: () => []
} as const

const anthropicUsage = ({ usage }: Answer): Json.Json => ({
  input_tokens: usage.inputTokens,
  ...(usage.caching
    ? { cache_creation_input_tokens: usage.cacheWriteTokens, cache_read_input_tokens: usage.cacheReadTokens }
    : {})
})

const anthropicMessage = (answer: Answer, content: ReadonlyArray<unknown>): Json.Json => ({
  id: `msg_bdrk_${answer.id}`,
  type: "message",
  role: "assistant",
  model: answer.modelId,
  content
})

const anthropic: Format.Format = {
  ...base,
  family: "anthropic",
  models: /^anthropic\./,
  fits: (body) => "anthropic_version" in body,
  validate: (body) => {
    if (!Array.isArray(body["messages"])) return "messages: Field required"
    if (body["messages"].length === 0) return "messages: at least one message is required"
    // The one family whose API insists on a maximum.
    return Json.count(body["max_tokens"]) === undefined ? "max_tokens: Field required" : undefined
  },
  read: (builder, body) => {
    Format.conversation(builder, body)
    return Json.count(body["max_tokens"])
  },
  whole: (answer) => ({
    ...anthropicMessage(answer, [
      answer.toolUse === undefined
        ? { type: "text", text: answer.text }
        : { type: "tool_use", id: answer.toolUseId, name: answer.toolUse.name, input: answer.toolUse.input ?? {} }
    ]),
    stop_reason: answer.stopReason,
    stop_sequence: null,
    usage: { ...anthropicUsage(answer), output_tokens: answer.usage.outputTokens }
  }),
  head: (answer) => [
    {
      type: "message_start",
      message: {
        ...anthropicMessage(answer, []),
        stop_reason: null,
        stop_sequence: null,
        usage: { ...anthropicUsage(answer), output_tokens: 1 }
      }
    },
    {
      type: "content_block_start",
      index: 0,
      content_block: answer.toolUse === undefined
        ? { type: "text", text: "" }
        : { type: "tool_use", id: answer.toolUseId, name: answer.toolUse.name, input: {} }
    }
  ],
  piece: (answer, piece) => ({
    type: "content_block_delta",
    index: 0,
    delta: answer.toolUse === undefined
      ? { type: "text_delta", text: piece }
      : { type: "input_json_delta", partial_json: piece }
  }),
  tail: ({ stopReason, usage }) => [
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: { output_tokens: usage.outputTokens }
    },
    { type: "message_stop" }
  ]
}

const nova: Format.Format = {
  ...base,
  family: "nova",
  models: /^amazon\.nova/,
  fits: (body) => "inferenceConfig" in body,
  validate: Converse.validate,
  read: Converse.count,
  whole: (answer, { latencyMs }) => Converse.format(answer, latencyMs),
  head: () => [{ messageStart: { role: "assistant" } }],
  piece: (_, piece) => ({ contentBlockDelta: { delta: { text: piece }, contentBlockIndex: 0 } }),
  tail: ({ stopReason, usage }, { latencyMs }) => [
    { contentBlockStop: { contentBlockIndex: 0 } },
    { messageStop: { stopReason } },
    {
      metadata: {
        usage: {
          inputTokens: usage.inputTokens,
          outputTokens: usage.outputTokens,
          ...(usage.caching
            ? {
              cacheReadInputTokenCount: usage.cacheReadTokens,
              cacheWriteInputTokenCount: usage.cacheWriteTokens
            }
            : {})
        },
        metrics: { latencyMs }
      }
    }
  ]
}

const titanStop: Record<string, string> = { end_turn: "FINISH", max_tokens: "LENGTH" }

const titan: Format.Format = {
  ...base,
  family: "titan-text",
  models: /^amazon\.titan-(text|tg1)/,
  fits: (body) => "textGenerationConfig" in body,
  validate: (body) => Format.missing(body, ["inputText"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["inputText"])
    return Json.count(Json.record(body["textGenerationConfig"])["maxTokenCount"])
  },
  whole: ({ stopReason, text, usage }) => ({
    inputTextTokenCount: usage.inputTokens,
    results: [{
      tokenCount: usage.outputTokens,
      outputText: text,
      completionReason: titanStop[stopReason] ?? "FINISH"
    }]
  }),
  piece: ({ usage }, piece, index) => ({
    outputText: piece,
    index,
    totalOutputTextTokenCount: null,
    completionReason: null,
    inputTextTokenCount: index === 0 ? usage.inputTokens : null
  }),
  tail: ({ stopReason, usage }) => [{
    outputText: "",
    index: 0,
    totalOutputTextTokenCount: usage.outputTokens,
    completionReason: titanStop[stopReason] ?? "FINISH",
    inputTextTokenCount: null
  }]
}

const cohereStop = ({ stopReason }: Answer): string => stopReason === "max_tokens" ? "MAX_TOKENS" : "COMPLETE"

/** Cohere Command: a prompt, and no usage in the body. Its stream comes in one piece unless asked for. */
const cohereCommand: Format.Format = {
  ...base,
  family: "cohere-command",
  models: /^cohere\.command-(light-)?text/,
  fits: (body) => "num_generations" in body,
  validate: (body) => Format.missing(body, ["prompt"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["prompt"])
    return Json.count(body["max_tokens"])
  },
  whole: (answer) => ({
    id: answer.id,
    generations: [{ id: `${answer.id}-0`, text: answer.text, finish_reason: cohereStop(answer) }]
  }),
  piece: (_, piece) => ({ text: piece, is_finished: false }),
  tail: (answer) => [{ is_finished: true, finish_reason: cohereStop(answer) }]
}

/** Cohere Command R: `meta` "only exists for streaming" (model-parameters-cohere-command-r-plus, 2026). */
const cohereCommandR: Format.Format = {
  ...base,
  family: "cohere-command-r",
  models: /^cohere\.command-r/,
  fits: (body) => "message" in body,
  validate: (body) => Format.missing(body, ["message"], Format.isText),
  read: (builder, body) => {
    builder.text(Json.text(body["preamble"]))
    for (const turn of Json.list(body["chat_history"])) {
      builder.overhead(4)
      builder.text(Json.text(Json.record(turn)["message"]))
    }
    for (const document of Json.list(body["documents"])) builder.json(document)
    for (const tool of Json.list(body["tools"])) builder.json(tool)
    Format.promptText(builder, body["message"])
    return Json.count(body["max_tokens"])
  },
  whole: (answer) => ({
    response_id: answer.id,
    text: answer.text,
    generation_id: answer.id,
    finish_reason: cohereStop(answer)
  }),
  head: ({ id }) => [{ is_finished: false, event_type: "stream-start", generation_id: id }],
  piece: (_, piece) => ({ is_finished: false, event_type: "text-generation", text: piece }),
  tail: (answer) => [{
    is_finished: true,
    event_type: "stream-end",
    finish_reason: cohereStop(answer),
    response: {
      text: answer.text,
      finish_reason: cohereStop(answer),
      meta: {
        api_version: { version: "1" },
        billed_units: { input_tokens: answer.usage.inputTokens, output_tokens: answer.usage.outputTokens }
      }
    }
  }]
}

const llama: Format.Format = {
  ...base,
  family: "llama",
  models: /^meta\.llama/,
  fits: (body) => "max_gen_len" in body,
  validate: (body) => Format.missing(body, ["prompt"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["prompt"])
    for (const image of Json.list(body["images"])) if (Format.isText(image)) builder.image()
    return Json.count(body["max_gen_len"])
  },
  whole: (answer) => ({
    generation: answer.text,
    prompt_token_count: answer.usage.inputTokens,
    generation_token_count: answer.usage.outputTokens,
    stop_reason: stop(answer)
  }),
  // The count grows from chunk to chunk.
  piece: ({ usage }, piece, index) => ({
    generation: piece,
    prompt_token_count: index === 0 ? usage.inputTokens : null,
    generation_token_count: Math.min(index + 1, usage.outputTokens),
    stop_reason: null
  }),
  tail: (answer) => [{
    generation: "",
    prompt_token_count: null,
    generation_token_count: answer.usage.outputTokens,
    stop_reason: stop(answer)
  }]
}

/** Mistral's text completion, which tells no usage in its body. */
const mistral: Format.Format = {
  ...base,
  family: "mistral",
  models: /^mistral\.(mistral-(7b|large-2402|small-2402)|mixtral)/,
  fits: () => false,
  validate: (body) => Format.missing(body, ["prompt"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["prompt"])
    return Json.count(body["max_tokens"])
  },
  whole: (answer) => ({ outputs: [{ text: answer.text, stop_reason: stop(answer) }] }),
  piece: (_, piece) => ({ outputs: [{ text: piece, stop_reason: null }] }),
  tail: (answer) => [{ outputs: [{ text: "", stop_reason: stop(answer) }] }]
}

const pegasus: Format.Format = {
  ...base,
  family: "pegasus",
  models: /^twelvelabs\.pegasus/,
  fits: (body) => "inputPrompt" in body,
  validate: (body) => Format.missing(body, ["inputPrompt"], Format.isText),
  read: (builder, body) => {
    const media = Json.record(body["mediaSource"])
    if (typeof media["base64String"] === "string") builder.bytes(media["base64String"])
    Format.promptText(builder, body["inputPrompt"])
    return Json.count(body["maxOutputTokens"])
  },
  whole: (answer) => ({ message: answer.text, finishReason: stop(answer) }),
  piece: (_, piece) => ({ message: piece, finishReason: null }),
  tail: (answer) => [{ message: "", finishReason: stop(answer) }]
}

const openaiUsage = ({ usage }: Answer): Json.Json => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens
})

/** Streams of gpt-oss tell no usage of their own, those of the models after it do, in the last chunk with a reason to stop. */
const tellsAtEnd = ({ modelId }: Answer): boolean => !modelId.startsWith("openai.gpt-oss")

/** Text completions: DeepSeek R1 and most imported models. */
const completion: Format.Format = {
  ...base,
  family: "completion",
  models: /^deepseek\.r1/,
  fits: (body) => "prompt" in body,
  validate: (body) => Format.missing(body, ["prompt"], Format.isText),
  read: (builder, body) => {
    Format.promptText(builder, body["prompt"])
    return Json.count(body["max_tokens"])
  },
  whole: (answer) => ({
    id: answer.id,
    object: "text_completion",
    choices: [{ index: 0, text: answer.text, stop_reason: stop(answer) }],
    usage: openaiUsage(answer)
  }),
  piece: (_, piece) => ({ choices: [{ index: 0, text: piece, stop_reason: null }] }),
  tail: (answer) => [{
    choices: [{ index: 0, text: "", stop_reason: stop(answer) }],
    ...(tellsAtEnd(answer) ? { usage: openaiUsage(answer) } : {})
  }]
}

/** Chat completions: OpenAI, AI21, Writer, later Mistral, and most others. */
export const chat: Format.Format = {
  ...base,
  family: "chat",
  models: /^(ai21|openai|writer|mistral|deepseek|qwen)\./,
  fits: () => true,
  validate: (body) => Format.missing(body, ["messages"], Format.isFilled),
  read: (builder, body) => {
    Format.conversation(builder, body)
    return Json.count(body["max_tokens"]) ?? Json.count(body["max_completion_tokens"])
  },
  whole: (answer) => ({
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion",
    model: answer.modelId,
    choices: [{ index: 0, message: { role: "assistant", content: answer.text }, finish_reason: stop(answer) }],
    usage: openaiUsage(answer)
  }),
  piece: (answer, piece) => ({
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion.chunk",
    model: answer.modelId,
    choices: [{ index: 0, delta: { role: "assistant", content: piece }, finish_reason: null }]
  }),
  tail: (answer) => [{
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion.chunk",
    model: answer.modelId,
    choices: [{ index: 0, delta: {}, finish_reason: stop(answer) }],
    ...(tellsAtEnd(answer) ? { usage: openaiUsage(answer) } : {})
  }]
}

/** In the order in which ids and bodies are tried; the last takes all. */
export const formats: ReadonlyArray<Format.Format> = [
  anthropic,
  nova,
  titan,
  cohereCommandR,
  cohereCommand,
  llama,
  mistral,
  pegasus,
  completion,
  chat
]
