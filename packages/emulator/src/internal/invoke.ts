/**
 * InvokeModel: the bodies of the model families, as far as a client reads them. Which family it is shows in the
 * model id; a model that is not known here is recognised by its body.
 */
import * as TokenCounter from "../TokenCounter.ts"
import type { Answer, Timings } from "./answer.ts"
import * as Converse from "./converse.ts"
import * as EventStream from "./eventStream.ts"
import * as Json from "./json.ts"
import * as Prompt from "./prompt.ts"

export type Family =
  | "anthropic"
  | "nova"
  | "titan-text"
  | "titan-embedding"
  | "cohere-embedding"
  | "llama"
  | "mistral"
  | "chat"

export interface Request extends Converse.Request {
  readonly family: Family
  readonly dimensions: number
  /** How many texts are to be embedded. */
  readonly texts: number
}

const byModel: ReadonlyArray<readonly [RegExp, Family]> = [
  [/^anthropic\./, "anthropic"],
  [/^amazon\.nova/, "nova"],
  [/^amazon\.titan-embed/, "titan-embedding"],
  [/^amazon\.titan/, "titan-text"],
  [/^cohere\.embed/, "cohere-embedding"],
  [/^meta\.llama/, "llama"]
]

export const familyOf = (model: string, body: Json.Json): Family => {
  for (const [pattern, family] of byModel) if (pattern.test(model)) return family
  if ("anthropic_version" in body) return "anthropic"
  if ("inferenceConfig" in body) return "nova"
  if ("textGenerationConfig" in body) return "titan-text"
  if ("inputText" in body) return "titan-embedding"
  if ("input_type" in body) return "cohere-embedding"
  if ("max_gen_len" in body) return "llama"
  return "prompt" in body ? "mistral" : "chat"
}

export const isEmbedding = (family: Family): boolean => family === "titan-embedding" || family === "cohere-embedding"

const malformed = "Malformed input request, please reformat your input and try again."

export const validate = (family: Family, body: Json.Json): string | undefined => {
  switch (family) {
    case "anthropic":
      if (!Array.isArray(body["messages"])) return "messages: Field required"
      if (body["messages"].length === 0) return "messages: at least one message is required"
      // The one family whose API insists on a maximum.
      return Json.count(body["max_tokens"]) === undefined ? "max_tokens: Field required" : undefined
    case "nova":
      return Converse.validate(body)
    case "titan-text":
    case "titan-embedding":
      return typeof body["inputText"] === "string" ? undefined : `${malformed} (required key [inputText] not found)`
    case "cohere-embedding":
      return Array.isArray(body["texts"]) ? undefined : `${malformed} (required key [texts] not found)`
    case "llama":
    case "mistral":
      return typeof body["prompt"] === "string" ? undefined : `${malformed} (required key [prompt] not found)`
    case "chat":
      return Array.isArray(body["messages"]) && body["messages"].length > 0
        ? undefined
        : `${malformed} (required key [messages] not found)`
  }
}

const contentTexts = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Json.list(content).map((part) => Json.text(Json.record(part)["text"])).filter((part) => part !== "").join("\n")

const anthropicBlock = (builder: Prompt.Builder, value: unknown): void => {
  const content = Json.record(value)
  const source = Json.record(content["source"])
  if (typeof content["text"] === "string") builder.text(content["text"])
  else if (content["type"] === "image") builder.image()
  else if (typeof source["data"] === "string") builder.bytes(source["data"])
  else builder.json({ ...content, cache_control: undefined })
  if ("cache_control" in content) builder.checkpoint()
}

const contentBlocks = (builder: Prompt.Builder, content: unknown): void => {
  if (typeof content === "string") builder.text(content)
  else for (const part of Json.list(content)) anthropicBlock(builder, part)
}

const messages = (builder: Prompt.Builder, body: Json.Json): void => {
  for (const tool of Json.list(body["tools"])) anthropicBlock(builder, tool)
  contentBlocks(builder, body["system"])
  for (const message of Json.list(body["messages"])) {
    const { content, role } = Json.record(message)
    builder.overhead(TokenCounter.messageOverhead)
    contentBlocks(builder, content)
    if (role === "user") builder.setLast(contentTexts(content))
  }
}

const maxTokensOf = (family: Family, body: Json.Json): number | undefined => {
  switch (family) {
    case "titan-text":
      return Json.count(Json.record(body["textGenerationConfig"])["maxTokenCount"])
    case "llama":
      return Json.count(body["max_gen_len"])
    default:
      return Json.count(body["max_tokens"]) ?? Json.count(body["max_completion_tokens"])
  }
}

/** Counts a body that has been validated. */
export const read = (family: Family, body: Json.Json, cached: boolean): Request => {
  const texts = family === "cohere-embedding" ? Json.list(body["texts"]).length : 1
  const dimensions = Json.count(body["dimensions"]) ?? Json.count(body["output_dimension"]) ?? 1024
  if (family === "nova") return { ...Converse.read(body, cached), family, dimensions, texts }
  const builder = Prompt.make(cached)
  if (family === "anthropic" || family === "chat") messages(builder, body)
  else {
    const whole = family === "cohere-embedding"
      ? Json.list(body["texts"]).map(Json.text).join("\n")
      : Json.text(body["inputText"] ?? body["prompt"])
    builder.text(whole)
    builder.setLast(whole)
  }
  return { prompt: builder.build(), maxTokens: maxTokensOf(family, body), family, dimensions, texts }
}

const titanStop: Record<string, string> = { end_turn: "FINISH", max_tokens: "LENGTH" }
const llamaStop: Record<string, string> = { end_turn: "stop", max_tokens: "length" }

const anthropicUsage = (answer: Answer): Record<string, unknown> => ({
  input_tokens: answer.usage.inputTokens,
  ...(answer.usage.caching
    ? {
      cache_creation_input_tokens: answer.usage.cacheWriteTokens,
      cache_read_input_tokens: answer.usage.cacheReadTokens
    }
    : {})
})

const anthropicMessage = (answer: Answer, content: ReadonlyArray<unknown>): Record<string, unknown> => ({
  id: `msg_bdrk_${answer.id}`,
  type: "message",
  role: "assistant",
  model: answer.modelId,
  content
})

const anthropicContent = (answer: Answer): unknown =>
  answer.toolUse === undefined
    ? { type: "text", text: answer.text }
    : { type: "tool_use", id: answer.toolUseId, name: answer.toolUse.name, input: answer.toolUse.input ?? {} }

const openAiUsage = (answer: Answer): Record<string, unknown> => ({
  prompt_tokens: answer.usage.inputTokens,
  completion_tokens: answer.usage.outputTokens,
  total_tokens: answer.usage.inputTokens + answer.usage.outputTokens
})

/** The body of an answer in one piece. `vector` draws one embedding. */
export const format = (
  request: Request,
  answer: Answer,
  latencyMs: number,
  vector: () => ReadonlyArray<number>
): string => {
  const { stopReason, text, usage } = answer
  switch (request.family) {
    case "anthropic":
      return JSON.stringify({
        ...anthropicMessage(answer, [anthropicContent(answer)]),
        stop_reason: stopReason,
        stop_sequence: null,
        usage: { ...anthropicUsage(answer), output_tokens: usage.outputTokens }
      })
    case "nova":
      return Converse.format(answer, latencyMs)
    case "titan-text":
      return JSON.stringify({
        inputTextTokenCount: usage.inputTokens,
        results: [{
          tokenCount: usage.outputTokens,
          outputText: text,
          completionReason: titanStop[stopReason] ?? "FINISH"
        }]
      })
    case "titan-embedding": {
      const embedding = vector()
      return JSON.stringify({
        embedding,
        embeddingsByType: { float: embedding },
        inputTextTokenCount: usage.inputTokens
      })
    }
    case "cohere-embedding":
      return JSON.stringify({
        id: answer.id,
        embeddings: Array.from({ length: request.texts }, vector),
        response_type: "embeddings_floats"
      })
    case "llama":
      return JSON.stringify({
        generation: text,
        prompt_token_count: usage.inputTokens,
        generation_token_count: usage.outputTokens,
        stop_reason: llamaStop[stopReason] ?? "stop"
      })
    case "mistral":
      return JSON.stringify({ outputs: [{ text, stop_reason: llamaStop[stopReason] ?? "stop" }] })
    case "chat":
      return JSON.stringify({
        id: `chatcmpl-${answer.id}`,
        object: "chat.completion",
        model: answer.modelId,
        choices: [{
          index: 0,
          message: { role: "assistant", content: text },
          finish_reason: llamaStop[stopReason] ?? "stop"
        }],
        usage: openAiUsage(answer)
      })
  }
}

/** The headers that carry usage outside the body. */
export const usageHeaders = (answer: Answer, latencyMs: number): Array<string> => {
  const headers = [
    "x-amzn-bedrock-invocation-latency",
    String(latencyMs),
    "x-amzn-bedrock-input-token-count",
    String(answer.usage.inputTokens),
    "x-amzn-bedrock-output-token-count",
    String(answer.usage.outputTokens)
  ]
  if (answer.usage.caching) {
    headers.push("x-amzn-bedrock-cache-read-input-token-count", String(answer.usage.cacheReadTokens))
    headers.push("x-amzn-bedrock-cache-write-input-token-count", String(answer.usage.cacheWriteTokens))
  }
  return headers
}

const chunk = (json: unknown): Buffer =>
  EventStream.event("chunk", { bytes: Buffer.from(JSON.stringify(json), "utf8").toString("base64") })

export const streamHead = (request: Request, answer: Answer): ReadonlyArray<Buffer> => {
  switch (request.family) {
    case "anthropic":
      return [
        chunk({
          type: "message_start",
          message: {
            ...anthropicMessage(answer, []),
            stop_reason: null,
            stop_sequence: null,
            usage: { ...anthropicUsage(answer), output_tokens: 1 }
          }
        }),
        chunk({
          type: "content_block_start",
          index: 0,
          content_block: answer.toolUse === undefined
            ? { type: "text", text: "" }
            : { type: "tool_use", id: answer.toolUseId, name: answer.toolUse.name, input: {} }
        })
      ]
    case "nova":
      return [chunk({ messageStart: { role: "assistant" } })]
    default:
      return []
  }
}

export const streamPiece = (request: Request, answer: Answer, piece: string, index: number): Buffer => {
  switch (request.family) {
    case "anthropic":
      return chunk({
        type: "content_block_delta",
        index: 0,
        delta: answer.toolUse === undefined
          ? { type: "text_delta", text: piece }
          : { type: "input_json_delta", partial_json: piece }
      })
    case "nova":
      return chunk({ contentBlockDelta: { delta: { text: piece }, contentBlockIndex: 0 } })
    case "titan-text":
      return chunk({
        outputText: piece,
        index,
        totalOutputTextTokenCount: null,
        completionReason: null,
        inputTextTokenCount: index === 0 ? answer.usage.inputTokens : null
      })
    case "llama":
      return chunk({
        generation: piece,
        prompt_token_count: index === 0 ? answer.usage.inputTokens : null,
        generation_token_count: null,
        stop_reason: null
      })
    case "mistral":
      return chunk({ outputs: [{ text: piece, stop_reason: null }] })
    default:
      return chunk({
        id: `chatcmpl-${answer.id}`,
        object: "chat.completion.chunk",
        model: answer.modelId,
        choices: [{ index: 0, delta: { role: "assistant", content: piece }, finish_reason: null }]
      })
  }
}

const metrics = (answer: Answer, timings: Timings): Record<string, unknown> => ({
  "amazon-bedrock-invocationMetrics": {
    inputTokenCount: answer.usage.inputTokens,
    outputTokenCount: answer.usage.outputTokens,
    invocationLatency: timings.latencyMs,
    firstByteLatency: timings.firstByteMs,
    ...(answer.usage.caching
      ? {
        cacheReadInputTokenCount: answer.usage.cacheReadTokens,
        cacheWriteInputTokenCount: answer.usage.cacheWriteTokens
      }
      : {})
  }
})

/** What comes after the last piece; its last chunk carries the invocation metrics. */
export const streamTail = (request: Request, answer: Answer, timings: Timings): ReadonlyArray<Buffer> => {
  const { stopReason, usage } = answer
  const carried = metrics(answer, timings)
  switch (request.family) {
    case "anthropic":
      return [
        chunk({ type: "content_block_stop", index: 0 }),
        chunk({
          type: "message_delta",
          delta: { stop_reason: stopReason, stop_sequence: null },
          usage: { output_tokens: usage.outputTokens }
        }),
        chunk({ type: "message_stop", ...carried })
      ]
    case "nova":
      return [
        chunk({ contentBlockStop: { contentBlockIndex: 0 } }),
        chunk({ messageStop: { stopReason } }),
        chunk({
          metadata: {
            usage: { inputTokens: usage.inputTokens, outputTokens: usage.outputTokens },
            metrics: { latencyMs: timings.latencyMs }
          },
          ...carried
        })
      ]
    case "titan-text":
      return [chunk({
        outputText: "",
        index: 0,
        totalOutputTextTokenCount: usage.outputTokens,
        completionReason: titanStop[stopReason] ?? "FINISH",
        inputTextTokenCount: null,
        ...carried
      })]
    case "llama":
      return [chunk({
        generation: "",
        prompt_token_count: null,
        generation_token_count: usage.outputTokens,
        stop_reason: llamaStop[stopReason] ?? "stop",
        ...carried
      })]
    case "mistral":
      return [chunk({ outputs: [{ text: "", stop_reason: llamaStop[stopReason] ?? "stop" }], ...carried })]
    default:
      return [chunk({
        id: `chatcmpl-${answer.id}`,
        object: "chat.completion.chunk",
        model: answer.modelId,
        choices: [{ index: 0, delta: {}, finish_reason: llamaStop[stopReason] ?? "stop" }],
        ...carried
      })]
  }
}
