/**
 * Walks a request and adds up its tokens. One walk serves Converse and the bodies of all model families: texts count as text,
 * media by the rules of `media.ts`, JSON that the model gets to see (tool definitions, inputs and results) with its keys and marks,
 * and everything that only steers the service not at all.
 */
import * as Media from "./media.ts"
import * as Text from "./text.ts"

/** Tokens around each message and each request that are in no text: roles, turns, the beginning of the answer. */
const perMessage = 4
const perRequest = 8
/** What a model is told about using tools at all. Anthropic states 264 to 530, depending on model and tool choice (2026). */
const forTools = 300
/** Deeper than any request that a server accepts; ends cycles. */
const maximumDepth = 64

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

/** Keys whose values steer the service or repeat what is counted elsewhere. */
const silent: ReadonlySet<string> = new Set([
  "anthropic_beta",
  "anthropic_version",
  "cachePoint",
  "cache_control",
  "format",
  "id",
  "inferenceConfig",
  "inference_config",
  "media_type",
  "metadata",
  "model",
  "parameters",
  "role",
  "schemaVersion",
  "signature",
  "status",
  "stop",
  "stop_sequences",
  "stopSequences",
  "taskType",
  "textGenerationConfig",
  "thinking_config",
  "toolChoice",
  "toolUseId",
  "tool_choice",
  "tool_use_id",
  "tool_call_id",
  "type"
])

/** Keys of content below which everything is JSON that the model reads. */
const json: ReadonlySet<string> = new Set(["arguments", "input", "json"])

/** The same at the top of a request, where `input` is content. */
const topJson: ReadonlySet<string> = new Set(["promptVariables", "toolConfig", "tools"])

/** Marks in a tool list that are for the service, and how deep they stand at most: anywhere deeper they are a tool's own words. */
const marks: ReadonlySet<string> = new Set(["cachePoint", "cache_control", "toolChoice"])
const deepestMark = 3

/** Keys whose strings are read as they stand: what is in base64 there is a text to the model. */
const texts: ReadonlySet<string> = new Set([
  "content",
  "context",
  "input",
  "inputText",
  "message",
  "name",
  "prompt",
  "system",
  "text",
  "title"
])

const kinds: ReadonlyMap<unknown, Media.Kind> = new Map<unknown, Media.Kind>([
  ["image", "image"],
  ["image_url", "image"],
  ["images", "image"],
  ["input_image", "image"],
  ["inputImage", "image"],
  ["document", "document"],
  ["video", "video"],
  ["mediaSource", "video"],
  ["audio", "audio"],
  ["input_audio", "audio"]
])

/** Tokens of a Converse request or of the parsed body of an InvokeModel request. */
export const tokensOf = (request: unknown): number => {
  if (!isObject(request)) return perRequest + contentTokens(request, undefined, undefined, 0)
  return perRequest + ((request["toolConfig"] ?? request["tools"]) === undefined ? 0 : forTools)
    + entriesTokens(request, undefined, undefined, 0)
}

/** A value that the model sees as content. `kind` is the medium that it stands in, if any. */
const contentTokens = (
  value: unknown,
  kind: Media.Kind | undefined,
  format: string | undefined,
  depth: number
): number => {
  if (typeof value === "string") return stringTokens(value, kind, format)
  if (value instanceof Uint8Array) return Media.tokensOf(kind, format, Media.fromArray(value))
  // Stryker disable next-line EqualityOperator: one level more or less, far beyond any request
  if (depth > maximumDepth) return 0
  if (Array.isArray(value)) {
    let tokens = 0
    for (const item of value) tokens += contentTokens(item, kind, format, depth + 1)
    return tokens
  }
  return isObject(value) ? entriesTokens(value, kind, format, depth) : 0
}

const entriesTokens = (
  value: Readonly<Record<string, unknown>>,
  kind: Media.Kind | undefined,
  format: string | undefined,
  depth: number
): number => {
  let tokens = typeof value["role"] === "string" ? perMessage : 0
  const type = value["type"]
  const ownKind = kinds.get(type) ?? kind
  const ownFormat = text(value["format"]) ?? text(value["media_type"]) ?? format
  for (const key in value) {
    if (silent.has(key)) continue
    const child = value[key]
    if (key === "s3Location") tokens += Media.tokensOf(ownKind, undefined, undefined)
    else if ((depth === 0 ? topJson : json).has(key)) tokens += jsonTokens(child, depth + 1)
    else if (typeof child === "string" && (type === "text" || texts.has(key))) tokens += Text.tokensOf(child)
    else tokens += contentTokens(child, kinds.get(key) ?? ownKind, ownFormat, depth + 1)
  }
  return tokens
}

const text = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const stringTokens = (value: string, kind: Media.Kind | undefined, format: string | undefined): number => {
  const url = /^data:[^,]{0,300};base64,/.exec(value)
  if (url !== null) {
    const mime = value.slice(5, value.indexOf(";"))
    const bytes = Media.fromBase64(value.slice(url[0].length))
    return Media.tokensOf(kind ?? kinds.get(mime.split("/")[0]), mime, bytes)
  }
  if (kind === "image" && /^https?:/.test(value)) return Media.tokensOf("image", undefined, undefined)
  if (!isBase64(value)) return Text.tokensOf(value)
  const bytes = Media.fromBase64(value)
  if (kind !== undefined) return Media.tokensOf(kind, format, bytes)
  // Nothing says that it is a medium: it may as well be a long hexadecimal number or a sequence of genes.
  return Media.recognisedTokens(bytes) ?? Text.tokensOf(value)
}

/**
 * An unbroken run of the base64 alphabet. What is shorter is a setting, such as the detail of an image.
 */
// Stryker disable next-line EqualityOperator: no medium has 12 bytes
const isBase64 = (value: string): boolean => value.length >= 16 && !/[^A-Za-z0-9+/=_-]/.test(value)

/** JSON as text: a key with its marks costs about three tokens and its letters, a value one more. */
const jsonTokens = (value: unknown, depth: number): number => {
  if (value instanceof Uint8Array) return value.length / 4
  // Stryker disable next-line EqualityOperator: one level more or less, far beyond any request
  if (depth > maximumDepth || value === undefined) return 0
  let tokens = 1
  if (Array.isArray(value)) {
    for (const item of value) tokens += 0.5 + jsonTokens(item, depth + 1)
  } else if (isObject(value)) {
    for (const key in value) {
      if (depth <= deepestMark && marks.has(key)) continue
      tokens += 1.5 + Text.tokensOf(key) + jsonTokens(value[key], depth + 1)
    }
  } else tokens += Text.tokensOf(String(value))
  return tokens
}

/** The names that model families give to the limit on output. */
const limits: ReadonlyArray<string> = [
  "max_tokens",
  "maxTokens",
  "max_completion_tokens",
  "max_output_tokens",
  "max_new_tokens",
  "max_tokens_to_sample",
  "max_gen_len",
  "maxTokenCount"
]
/** Where families keep their parameters. */
const parameters: ReadonlyArray<string> = ["inferenceConfig", "textGenerationConfig", "inference_config", "parameters"]

/** The limit on output that a request sets, or `undefined`. */
export const maxTokensOf = (request: unknown): number | undefined => {
  if (!isObject(request)) return undefined
  for (const settings of [request, ...parameters.map((key) => request[key])]) {
    for (const key of limits) {
      const value = isObject(settings) ? settings[key] : undefined
      if (typeof value === "number" && value > 0) return value
    }
  }
  return undefined
}
