/** Converse: what a request says, and what its answer looks like. */
import * as TokenCounter from "../TokenCounter.ts"
import type { Answer } from "./answer.ts"
import * as EventStream from "./eventStream.ts"
import * as Json from "./json.ts"
import * as Prompt from "./prompt.ts"

export interface Request {
  readonly prompt: Prompt.Prompt
  readonly maxTokens: number | undefined
}

/** A text that says what is wrong, where the request is. */
export const validate = (body: unknown): string | undefined => {
  if (!Json.isRecord(body)) return "The request body is not valid JSON. Provide a JSON object and try again."
  const { inferenceConfig, messages } = body
  if (!Array.isArray(messages) || messages.length === 0) {
    return "1 validation error detected: Value at 'messages' failed to satisfy constraint: Member must not be empty"
  }
  for (const [i, message] of messages.entries()) {
    if (!Json.isRecord(message)) return `The value at messages.${i} is not an object.`
    if (message["role"] !== "user" && message["role"] !== "assistant" && message["role"] !== "system") {
      return `1 validation error detected: Value at 'messages.${i + 1}.member.role' failed to satisfy constraint: ` +
        "Member must satisfy enum value set: [user, assistant, system]"
    }
    if (!Array.isArray(message["content"]) || message["content"].length === 0) {
      return `The content field in the Message object at messages.${i} is empty. Add a ContentBlock object to the ` +
        "content field and try again."
    }
  }
  if (Json.record(messages[0])["role"] === "assistant") {
    return "A conversation must start with a user message. Try again with a conversation that starts with a user message."
  }
  if (inferenceConfig !== undefined) {
    const { maxTokens } = Json.record(inferenceConfig)
    if (maxTokens !== undefined && maxTokens !== null && Json.count(maxTokens) === undefined) {
      return "1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: " +
        "Member must have value greater than or equal to 1"
    }
  }
  return undefined
}

const block = (builder: Prompt.Builder, value: unknown): void => {
  const content = Json.record(value)
  if (typeof content["text"] === "string") builder.text(content["text"])
  else if ("cachePoint" in content) builder.checkpoint()
  else if ("image" in content) builder.image()
  else if ("document" in content || "video" in content || "audio" in content) {
    const media = Json.record(content["document"] ?? content["video"] ?? content["audio"])
    const source = Json.record(media["source"])
    if (typeof source["bytes"] === "string") builder.bytes(source["bytes"])
    else builder.json(media)
  } else if ("toolResult" in content) {
    const result = Json.record(content["toolResult"])
    builder.overhead(TokenCounter.messageOverhead)
    for (const inner of Json.list(result["content"])) block(builder, inner)
  } else builder.json(value)
}

const texts = (content: unknown): string =>
  Json.list(content).map((part) => Json.text(Json.record(part)["text"])).filter((part) => part !== "").join("\n")

/** Counts a body that has been validated. The order is the one that prompts are cached in: tools, system, messages. */
export const count = (builder: Prompt.Builder, body: Json.Json): number | undefined => {
  const { inferenceConfig, messages, system, toolConfig } = body
  for (const tool of Json.list(Json.record(toolConfig)["tools"])) block(builder, tool)
  for (const part of Json.list(system)) block(builder, part)
  for (const message of Json.list(messages)) {
    const { content, role } = Json.record(message)
    builder.overhead(TokenCounter.messageOverhead)
    for (const part of Json.list(content)) block(builder, part)
    if (role === "user") builder.setLast(texts(content))
  }
  const { max_new_tokens, maxTokens } = Json.record(inferenceConfig)
  return Json.count(maxTokens) ?? Json.count(max_new_tokens)
}

export const read = (body: Json.Json, cached: boolean): Request => {
  const builder = Prompt.make(cached)
  const maxTokens = count(builder, body)
  return { prompt: builder.build(), maxTokens }
}

const usage = (answer: Answer): Record<string, unknown> => ({
  inputTokens: answer.usage.inputTokens,
  outputTokens: answer.usage.outputTokens,
  totalTokens: answer.usage.inputTokens + answer.usage.outputTokens + answer.usage.cacheReadTokens +
    answer.usage.cacheWriteTokens,
  ...(answer.usage.caching
    ? {
      cacheReadInputTokens: answer.usage.cacheReadTokens,
      cacheWriteInputTokens: answer.usage.cacheWriteTokens
    }
    : {})
})

const content = (answer: Answer): ReadonlyArray<unknown> =>
  answer.content !== undefined
    ? answer.content
    : answer.toolUse === undefined
    ? [{ text: answer.text }]
    : [{ toolUse: { toolUseId: answer.toolUseId, name: answer.toolUse.name, input: answer.toolUse.input ?? {} } }]

const tier = (answer: Answer): Record<string, unknown> =>
  answer.serviceTier === undefined ? {} : { serviceTier: { type: answer.serviceTier } }

export const format = (answer: Answer, latencyMs: number): Json.Json => ({
  metrics: { latencyMs },
  output: { message: { content: content(answer), role: "assistant" } },
  ...tier(answer),
  stopReason: answer.stopReason,
  usage: usage(answer),
  ...answer.more
})

/** What comes before the first piece of content. */
export const streamHead = (): ReadonlyArray<Buffer> => [EventStream.event("messageStart", { role: "assistant" })]

/** One piece of content, the `index`th. */
export const streamPiece = (answer: Answer, piece: string, index: number): ReadonlyArray<Buffer> => {
  if (answer.toolUse === undefined) {
    return [EventStream.event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: piece } })]
  }
  const delta = EventStream.event("contentBlockDelta", { contentBlockIndex: 0, delta: { toolUse: { input: piece } } })
  if (index > 0) return [delta]
  const start = { toolUse: { toolUseId: answer.toolUseId, name: answer.toolUse.name } }
  return [EventStream.event("contentBlockStart", { contentBlockIndex: 0, start }), delta]
}

/** What comes after the last. */
export const streamTail = (answer: Answer, latencyMs: number): ReadonlyArray<Buffer> => {
  const { additionalModelResponseFields, ...more } = answer.more ?? {}
  return [
    // Blocks that were given end by themselves.
    ...(answer.content === undefined ? [EventStream.event("contentBlockStop", { contentBlockIndex: 0 })] : []),
    EventStream.event("messageStop", {
      ...(additionalModelResponseFields === undefined ? {} : { additionalModelResponseFields }),
      stopReason: answer.stopReason
    }),
    EventStream.event("metadata", { metrics: { latencyMs }, ...tier(answer), usage: usage(answer), ...more })
  ]
}
