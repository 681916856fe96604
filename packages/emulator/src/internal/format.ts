/** What the formats of InvokeModel bodies have in common: how one is read, and how an answer is written in it. */
import * as TokenCounter from "../TokenCounter.ts"
import type { Answer, Timings } from "./answer.ts"
import * as Json from "./json.ts"
import type * as Prompt from "./prompt.ts"

/** What an answer is made of, beside what it says. */
interface Making {
  readonly latencyMs: number
  readonly body: Json.Json
  /** The embedding of a text, or of whatever else is given: the same for the same. */
  readonly vector: (input: unknown) => ReadonlyArray<number>
}

/** The bodies of one model family, as far as a client reads them. */
export interface Format {
  readonly family: string
  readonly models: RegExp
  /** Whether a body is of this format, where the model id says nothing. */
  readonly fits: (body: Json.Json) => boolean
  /** Which token counts Bedrock sends in headers, as recorded answers have them. */
  readonly headers: "both" | "input" | "none"
  /** Whether text is generated. Embeddings and scores come without, and in one piece. */
  readonly generates: boolean
  /** The lengths that an embedding may have, the one it has unless asked for another first. */
  readonly sizes?: ReadonlyArray<number>
  /** What is wrong with a body. */
  readonly validate: (body: Json.Json) => string | undefined
  /** Counts a body that has been validated, and says what it limits its output to. */
  readonly read: (builder: Prompt.Builder, body: Json.Json) => number | undefined
  /** The body of an answer in one piece. */
  readonly whole: (answer: Answer, making: Making) => unknown
  /** The chunks of a stream: before its first piece, for each piece, and after the last. */
  readonly head: (answer: Answer) => ReadonlyArray<unknown>
  readonly piece: (answer: Answer, piece: string, index: number) => unknown
  readonly tail: (answer: Answer, timings: Timings) => ReadonlyArray<Json.Json>
}

const malformed = "Malformed input request, please reformat your input and try again."

/** What is wrong with a body that has none of the keys, of a type. */
export const missing = (body: Json.Json, keys: ReadonlyArray<string>, is: (value: unknown) => boolean) =>
  keys.some((key) => is(body[key])) ? undefined : `${malformed} (required key [${keys.join(" or ")}] not found)`

/** What is wrong with texts of which one is longer than it may be, in characters. */
export const longer = (key: string, texts: ReadonlyArray<unknown>, most: number): string | undefined => {
  for (const [index, text] of texts.entries()) {
    const length = Array.from(Json.text(text)).length
    if (length > most) return `${malformed} (#/${key}/${index}: expected maxLength: ${most}, actual: ${length})`
  }
  return undefined
}

/** What is wrong with a list that has more items than it may have. */
export const more = (key: string, items: ReadonlyArray<unknown>, most: number): string | undefined =>
  items.length > most
    ? `${malformed} (#/${key}: expected maximum item count: ${most}, found: ${items.length})`
    : undefined

export const isText = (value: unknown): boolean => typeof value === "string"
export const isList = (value: unknown): boolean => Array.isArray(value)
export const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

/** Counts a text that is the whole prompt. */
export const promptText = (builder: Prompt.Builder, text: unknown): void => {
  builder.text(Json.text(text))
  builder.setLast(Json.text(text))
}

const contentTexts = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Json.list(content).map((part) => Json.text(Json.record(part)["text"])).filter((part) => part !== "").join("\n")

const block = (builder: Prompt.Builder, value: unknown): void => {
  const content = Json.record(value)
  const source = Json.record(content["source"])
  if (typeof content["text"] === "string") builder.text(content["text"])
  else if (content["type"] === "image" || content["type"] === "image_url") builder.image()
  else if (typeof source["data"] === "string") builder.bytes(source["data"])
  else builder.json({ ...content, cache_control: undefined })
  if ("cache_control" in content) builder.checkpoint()
}

/** Counts content that is a string or a list of blocks. */
export const contentBlocks = (builder: Prompt.Builder, content: unknown): void => {
  if (typeof content === "string") builder.text(content)
  else for (const part of Json.list(content)) block(builder, part)
}

/** Counts a conversation in the form of Anthropic and of OpenAI. */
export const conversation = (builder: Prompt.Builder, body: Json.Json): void => {
  for (const tool of Json.list(body["tools"])) block(builder, tool)
  contentBlocks(builder, body["system"])
  for (const message of Json.list(body["messages"])) {
    const { content, role } = Json.record(message)
    builder.overhead(TokenCounter.messageOverhead)
    contentBlocks(builder, content)
    if (role === "user") builder.setLast(contentTexts(content))
  }
}

/** For families that answer in one piece only. */
export const unstreamed: Pick<Format, "head" | "piece" | "tail"> = {
  head: () => [],
  piece: () => ({}),
  tail: () => [{}]
}
