/**
 * Walks a request and adds up its tokens. One walk serves Converse and the bodies of all model families: texts count as text,
 * media by the rules of `media.ts`, JSON that the model gets to see (tool definitions, inputs and results) with its keys and marks,
 * and everything that only steers the service not at all. Of a body of an unknown family all counts, keys and numbers too.
 */
import type { Image } from "../Family.ts"
import * as Media from "./media.ts"
import * as Text from "./text.ts"

/** Tokens around each message and each request that are in no text: roles, turns, the beginning of the answer. */
const perMessage = 4
const perRequest = 8
/** What a model is told about using tools at all. Anthropic states 264 to 530, depending on model and tool choice (2026). */
const forTools = 300
/** Deeper than any request that makes sense. What is below is counted without a look at what it is. */
const maximumDepth = 64

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)

/** Keys whose values steer the service or repeat what is counted elsewhere. */
const silent: ReadonlySet<string> = new Set([
  "anthropic_beta",
  "anthropic_version",
  "cachePoint",
  "cache_control",
  "detailLevel",
  "embeddingConfig",
  "embeddingPurpose",
  "embeddingTypes",
  "embedding_types",
  "format",
  "id",
  "inferenceConfig",
  "inference_config",
  "inputType",
  "input_type",
  "media_type",
  "metadata",
  "model",
  "parameters",
  "prompt_truncation",
  "reasoning_effort",
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
  "truncate",
  "truncationMode",
  "type"
])

/** Keys of content below which everything is JSON that the model reads. */
const json: ReadonlySet<string> = new Set(["arguments", "input", "json"])

/** The same at the top of a request, where `input` is content. */
const topJson: ReadonlySet<string> = new Set([
  "promptVariables",
  "responseFormat",
  "response_format",
  "toolConfig",
  "tool_results",
  "tools"
])

/** Marks in a tool list that are for the service, and how deep they stand at most: anywhere deeper they are a tool's own words. */
const marks: ReadonlySet<string> = new Set(["cachePoint", "cache_control", "toolChoice"])
const deepestMark = 3

/** Keys whose strings are read as they stand: what is in base64 there is a text to the model. */
const texts: ReadonlySet<string> = new Set([
  "content",
  "context",
  "documents",
  "input",
  "inputPrompt",
  "inputText",
  "message",
  "name",
  "preamble",
  "prompt",
  "query",
  "system",
  "text",
  "texts",
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

/** What a walk goes by. */
interface Rules {
  readonly image: Image
  /** Whether its family is known, and with it what its keys mean. */
  readonly known: boolean
  /** Whether it was parsed, so that nothing can lie in itself. */
  readonly parsed: boolean
}

/** Tokens of a Converse request or of the parsed body of an InvokeModel request. */
export const tokensOf = (request: unknown, rules: Rules): number => {
  if (!isObject(request)) return perRequest + contentTokens(rules, request, undefined, undefined, 0)
  return perRequest + ((request["toolConfig"] ?? request["tools"]) === undefined ? 0 : forTools)
    + entriesTokens(rules, request, undefined, undefined, 0)
}

/** A value that the model sees as content. `kind` is the medium that it stands in, if any. */
const contentTokens = (
  rules: Rules,
  value: unknown,
  kind: Media.Kind | undefined,
  format: string | undefined,
  depth: number
): number => {
  if (typeof value === "string") return stringTokens(rules, value, kind, format)
  if (value instanceof Uint8Array) return Media.tokensOf(rules.image, kind, format, Media.fromArray(value))
  // Stryker disable next-line EqualityOperator: one level more or less, far beyond any request
  if (depth > maximumDepth) return anyTokens(rules, value)
  if (Array.isArray(value)) {
    let tokens = 0
    for (const item of value) tokens += contentTokens(rules, item, kind, format, depth + 1)
    return tokens
  }
  if (isObject(value)) return entriesTokens(rules, value, kind, format, depth)
  return rules.known ? 0 : anyTokens(rules, value)
}

const entriesTokens = (
  rules: Rules,
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
    if (!rules.known) tokens += perKey + Text.tokensOf(key)
    else if (silent.has(key)) continue
    const child = value[key]
    if (key === "s3Location") tokens += Media.tokensOf(rules.image, ownKind, undefined, undefined)
    else if ((depth === 0 ? topJson : json).has(key)) tokens += jsonTokens(rules, child, depth + 1)
    else if (type === "text" || texts.has(key)) tokens += textTokens(rules, child, ownKind, ownFormat, depth)
    else tokens += contentTokens(rules, child, kinds.get(key) ?? ownKind, ownFormat, depth + 1)
  }
  return tokens
}

/** What stands where texts stand: strings are read as they are, alone or in a list. */
const textTokens = (
  rules: Rules,
  value: unknown,
  kind: Media.Kind | undefined,
  format: string | undefined,
  depth: number
): number => {
  if (typeof value === "string") return Text.tokensOf(value)
  if (!Array.isArray(value)) return contentTokens(rules, value, kind, format, depth + 1)
  let tokens = 0
  for (const item of value) {
    tokens += typeof item === "string" ? Text.tokensOf(item) : contentTokens(rules, item, kind, format, depth + 2)
  }
  return tokens
}

const text = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const stringTokens = (
  rules: Rules,
  value: string,
  kind: Media.Kind | undefined,
  format: string | undefined
): number => {
  const url = /^data:[^,]{0,300};base64,/.exec(value)
  if (url !== null) {
    const mime = value.slice(5, value.indexOf(";"))
    const bytes = Media.fromBase64(value.slice(url[0].length))
    return Media.tokensOf(rules.image, kind ?? kinds.get(mime.split("/")[0]), mime, bytes)
  }
  if (kind === "image" && /^https?:/.test(value)) return Media.tokensOf(rules.image, "image", undefined, undefined)
  if (!isBase64(value)) return Text.tokensOf(value)
  const bytes = Media.fromBase64(value)
  if (kind !== undefined) return Media.tokensOf(rules.image, kind, format, bytes)
  // Nothing says that it is a medium: it may as well be a long hexadecimal number or a sequence of genes.
  return Media.recognisedTokens(rules.image, bytes) ?? Text.tokensOf(value)
}

/**
 * An unbroken run of the base64 alphabet. What is shorter is a setting, such as the detail of an image.
 */
// Stryker disable next-line EqualityOperator: no medium has 12 bytes
const isBase64 = (value: string): boolean => value.length >= 16 && !/[^A-Za-z0-9+/=_-]/.test(value)

/** JSON as text: a key with its marks costs about three tokens and its letters, a value one more, with its comma half of one more in a list. */
const perValue = 1
const perItem = 0.5
const perKey = 1.5

const jsonTokens = (rules: Rules, value: unknown, depth: number): number => {
  if (value instanceof Uint8Array) return value.length / 4
  if (value === undefined) return 0
  // Stryker disable next-line EqualityOperator: one level more or less, far beyond any request
  if (depth > maximumDepth) return anyTokens(rules, value)
  let tokens = perValue
  if (Array.isArray(value)) {
    for (const item of value) tokens += perItem + jsonTokens(rules, item, depth + 1)
  } else if (isObject(value)) {
    for (const key in value) {
      if (depth <= deepestMark && marks.has(key)) continue
      tokens += perKey + Text.tokensOf(key) + jsonTokens(rules, value[key], depth + 1)
    }
  } else tokens += Text.tokensOf(String(value))
  return tokens
}

/** Any value as JSON, however deep: with a list of what is still to be counted in the place of calls. What lies in itself counts once. */
const anyTokens = (rules: Rules, value: unknown): number => {
  const seen = rules.parsed ? undefined : new Set<unknown>()
  const left = [value]
  let tokens = 0
  while (left.length > 0) {
    const next = left.pop()
    tokens += perValue
    if (next instanceof Uint8Array) tokens += next.length / 4
    else if (typeof next !== "object" || next === null) tokens += Text.tokensOf(String(next))
    else if (seen?.has(next) !== true) {
      seen?.add(next)
      if (Array.isArray(next)) {
        tokens += perItem * next.length
        for (const item of next) left.push(item)
      } else {
        for (const [key, child] of Object.entries(next)) {
          tokens += perKey + Text.tokensOf(key)
          left.push(child)
        }
      }
    }
  }
  return tokens
}
