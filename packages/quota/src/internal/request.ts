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

/** The same at the top of a request, where `input` is content and `parameters` are settings. */
const topJson: ReadonlySet<string> = new Set(["toolConfig", "tools"])

const kinds: ReadonlyMap<string, Media.Kind> = new Map<string, Media.Kind>([
  ["image", "image"],
  ["image_url", "image"],
  ["input_image", "image"],
  ["inputImage", "image"],
  ["document", "document"],
  ["video", "video"],
  ["audio", "audio"],
  ["input_audio", "audio"]
])

/** Tokens of a Converse request or of the parsed body of an InvokeModel request. */
export const tokensOf = (request: unknown): number => {
  if (!isObject(request)) return perRequest + contentTokens(request, undefined, undefined, 0)
  const toolList = "toolConfig" in request ? request["toolConfig"] : request["tools"]
  return perRequest + (toolList === undefined ? 0 : forTools)
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
  if (value instanceof Uint8Array) {
    return kind === undefined ? value.length / 4 : Media.tokensOf(kind, format, Media.fromArray(value))
  }
  if (typeof value !== "object" || value === null || depth > maximumDepth) return 0
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
  const ownKind = (typeof type === "string" ? kinds.get(type) : undefined) ?? kind
  const ownFormat = text(value["format"]) ?? text(value["media_type"]) ?? format
  for (const key in value) {
    if (silent.has(key)) continue
    const child = value[key]
    if (key === "s3Location") tokens += Media.tokensOf(ownKind ?? "document", undefined, undefined)
    else if ((depth === 0 ? topJson : json).has(key)) tokens += jsonTokens(child, depth + 1)
    else if (key === "name" || key === "title" || key === "context") {
      tokens += contentTokens(child, undefined, undefined, depth + 1)
    } else tokens += contentTokens(child, kinds.get(key) ?? ownKind, ownFormat, depth + 1)
  }
  return tokens
}

const text = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const stringTokens = (value: string, kind: Media.Kind | undefined, format: string | undefined): number => {
  if (value.startsWith("data:")) {
    const comma = value.indexOf(",", 5)
    const mime = value.slice(5, Math.max(5, value.indexOf(";")))
    if (comma > 0 && value.slice(5, comma).endsWith(";base64")) {
      return Media.tokensOf(kind ?? kindOfMime(mime), mime, Media.fromBase64(value.slice(comma + 1)))
    }
  }
  if (kind === "image" && /^https?:/.test(value)) return Media.tokensOf("image", undefined, undefined)
  if (!isBase64(value, kind === undefined ? 512 : 16)) return Text.tokensOf(value)
  const bytes = Media.fromBase64(value)
  return Media.tokensOf(kind ?? (Media.sizeOf(bytes) === undefined ? "document" : "image"), format, bytes)
}

const kindOfMime = (mime: string): Media.Kind => {
  const top = mime.slice(0, mime.indexOf("/"))
  return top === "image" || top === "video" || top === "audio" ? top : "document"
}

/** A long unbroken run of the base64 alphabet, judged by its ends. */
const isBase64 = (value: string, minimum: number): boolean =>
  value.length >= minimum && value.length % 4 === 0 && /^[A-Za-z0-9+/_-]+={0,2}$/.test(value.slice(-256))
  && /^[A-Za-z0-9+/_-]+={0,2}$/.test(value.slice(0, 256))

/** JSON as text: a key with its marks costs about three tokens and its letters, a value one more. */
const jsonTokens = (value: unknown, depth: number): number => {
  if (typeof value === "string") return 1 + Text.tokensOf(value)
  if (typeof value === "number" || typeof value === "boolean" || value === null) return 2
  if (value instanceof Uint8Array) return value.length / 4
  if (typeof value !== "object" || depth > maximumDepth) return 0
  let tokens = 1
  if (Array.isArray(value)) {
    for (const item of value) tokens += 0.5 + jsonTokens(item, depth + 1)
    return tokens
  }
  if (!isObject(value)) return tokens
  for (const key in value) {
    // A cache point is a mark between tools; a document's JSON may not be of this world either.
    if (key === "cachePoint" || key === "cache_control" || key === "toolChoice") continue
    tokens += 1.5 + Text.tokensOf(key) + jsonTokens(value[key], depth + 1)
  }
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
  for (const key of limits) {
    const value = request[key]
    if (typeof value === "number" && value > 0) return value
  }
  for (const key of parameters) {
    const nested: unknown = request[key]
    if (nested !== request && isObject(nested)) {
      const found = maxTokensOf(nested)
      if (found !== undefined) return found
    }
  }
  return undefined
}
