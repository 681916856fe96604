// Whether a stream of InvokeModelWithResponseStream is whole, in the formats of all model families.
import type { ResponseStream } from "@aws-sdk/client-bedrock-runtime"
import * as Predicate from "effect/Predicate"
import * as Usage from "../Usage.ts"
import { Partial, type Progress } from "./progress.ts"

type Json = Readonly<Record<string, unknown>>

/**
 * The stream of InvokeModelWithResponseStream carries whatever JSON the model's family writes. It is whole when
 *
 * - a chunk carried `amazon-bedrock-invocationMetrics` (Bedrock adds it to the last chunk), or
 * - the family's own last word was seen: Anthropic's `message_stop`; Nova's `messageStop` with `metadata`; a reason to
 *   stop in the formats of Titan, Llama, Mistral, Cohere, and of OpenAI and its followers (AI21, DeepSeek, ...).
 *
 * These are the formats of streams as far as they tell that an answer is whole: what bodies ask for and what they cost is the
 * business of `Family` in `@caprock/quota`, which this package does not know.
 *
 * Where no chunk was in a format known here (an imported model may write anything), the clean end of a stream that had at
 * least one chunk is taken for the end of the answer: HTTP itself tells a cut connection from an ended one.
 *
 * @internal
 */
export const chunks = (): Progress<ResponseStream> => {
  const partial = new Partial()
  const decoder = new TextDecoder()
  let content = false
  let known = false
  let complete = false
  let novaStopped = false
  return {
    observe: (event) => {
      if (!("chunk" in event)) return
      // No chunk is without bytes but one that holds other JSON than it should.
      const bytes: unknown = event.chunk?.bytes
      if (!Predicate.isUint8Array(bytes)) throw new TypeError("a chunk without bytes")
      const seen = seenIn(decoder.decode(bytes))
      known ||= seen.known
      content ||= seen.content
      if (seen.text !== undefined) partial.text += seen.text
      if (seen.toolStart === true) partial.toolInput = ""
      if (seen.toolInput !== undefined) partial.toolInput = (partial.toolInput ?? "") + seen.toolInput
      if (seen.stopReason !== undefined) partial.stopReason = seen.stopReason
      if (seen.usage !== undefined) partial.usage = seen.usage
      if (seen.novaStop === true) novaStopped = true
      complete ||= seen.last || (novaStopped && seen.novaMetadata === true)
    },
    content: () => content,
    complete: () => complete,
    endsWell: () => complete || (content && !known),
    partial: () => partial.snapshot()
  }
}

/** Whether a chunk holds a part of the answer, by the rules of {@link chunks}. @internal */
export const isContent = (event: ResponseStream): boolean => {
  const bytes: unknown = event.chunk?.bytes
  return Predicate.isUint8Array(bytes) && seenIn(new TextDecoder().decode(bytes)).content
}

interface Seen {
  readonly known: boolean
  /** Whether the chunk holds a part of the answer. */
  readonly content: boolean
  /** Whether this is the family's last word. */
  readonly last: boolean
  readonly text?: string | undefined
  readonly toolStart?: boolean | undefined
  readonly toolInput?: string | undefined
  readonly stopReason?: string | undefined
  readonly usage?: Usage.Usage | undefined
  readonly novaStop?: boolean | undefined
  readonly novaMetadata?: boolean | undefined
}

// What cannot be read may be anything, so it counts as a part of the answer.
const unknown: Seen = { known: false, content: true, last: false }

const seenIn = (text: string): Seen => {
  const json = parse(text)
  return json === undefined ? unknown : read(json)
}

const parse = (text: string): Json | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isJson = (u: unknown): u is Json => Predicate.isObject(u) && !Array.isArray(u)
const objectAt = (json: Json | undefined, key: string): Json | undefined => {
  const value = json?.[key]
  return isJson(value) ? value : undefined
}
const stringAt = (json: Json | undefined, key: string): string | undefined => {
  const value = json?.[key]
  return typeof value === "string" ? value : undefined
}
const firstAt = (json: Json, key: string): Json | undefined => {
  const value = json[key]
  const first: unknown = Array.isArray(value) ? value[0] : undefined
  return isJson(first) ? first : undefined
}

const read = (json: Json): Seen => {
  const metrics = objectAt(json, "amazon-bedrock-invocationMetrics")
  const seen = family(json)
  if (metrics === undefined) return seen
  return { ...seen, known: true, last: true, usage: Usage.fromInvocationMetrics(metrics) ?? seen.usage }
}

const family = (json: Json): Seen => {
  if (typeof json.type === "string" && (json.type === "ping" || json.type.includes("_"))) {
    return anthropic(json, json.type)
  }
  if (nova.some((key) => key in json)) return novaEvent(json)
  if ("outputText" in json) return plain(stringAt(json, "outputText"), stringAt(json, "completionReason"))
  if ("generation" in json) return plain(stringAt(json, "generation"), stringAt(json, "stop_reason"))
  const output = firstAt(json, "outputs")
  if (output !== undefined) return plain(stringAt(output, "text"), stringAt(output, "stop_reason"))
  const choice = firstAt(json, "choices")
  if (choice !== undefined) {
    const delta = objectAt(choice, "delta") ?? objectAt(choice, "message")
    const seen = plain(
      stringAt(delta, "content") ?? stringAt(choice, "text"),
      stringAt(choice, "finish_reason") ?? stringAt(choice, "stop_reason")
    )
    return delta === undefined ? seen : { ...seen, ...called(delta), content: seen.content || says(delta) }
  }
  if ("is_finished" in json || "event_type" in json) {
    const finished = json.is_finished === true || json.event_type === "stream-end"
    const seen = plain(stringAt(json, "text"), finished ? stringAt(json, "finish_reason") ?? "finished" : undefined)
    return { ...seen, content: seen.content || isJson(json.tool_call_delta) || isFull(json.tool_calls) }
  }
  // What says that it is an error is no part of an answer, and no end of one.
  return isJson(json.error) || stringAt(json, "error") !== undefined ? failed : unknown
}

const failed: Seen = { known: true, content: false, last: false }

const isFull = (value: unknown): boolean => Array.isArray(value) && value.length > 0

/** Whether there is more in a delta than who speaks: the calls of tools, what the model thinks, under whatever name. */
const says = (delta: Json): boolean =>
  Object.entries(delta).some(([key, value]) =>
    key !== "role" && (isFull(value) || isJson(value) || (typeof value === "string" && value !== ""))
  )

const called = (delta: Json): Pick<Seen, "toolStart" | "toolInput"> => {
  const call = objectAt(firstAt(delta, "tool_calls"), "function")
  return call === undefined
    ? {}
    : { toolStart: (stringAt(call, "name") ?? "") !== "", toolInput: stringAt(call, "arguments") }
}

const plain = (text: string | undefined, stopReason: string | undefined): Seen => ({
  known: true,
  content: text !== undefined && text !== "",
  last: stopReason !== undefined,
  text,
  stopReason
})

const anthropic = (json: Json, type: string): Seen => {
  const delta = objectAt(json, "delta")
  switch (type) {
    case "content_block_start":
      return {
        known: true,
        content: true,
        last: false,
        toolStart: stringAt(objectAt(json, "content_block"), "type") === "tool_use"
      }
    case "content_block_delta":
      return {
        known: true,
        content: true,
        last: false,
        text: stringAt(delta, "text"),
        toolInput: stringAt(delta, "partial_json")
      }
    case "message_delta":
      return { known: true, content: false, last: false, stopReason: stringAt(delta, "stop_reason") }
    case "message_stop":
      return { known: true, content: false, last: true }
    case "message_start":
    case "content_block_stop":
    case "ping":
      return { known: true, content: false, last: false }
    default:
      return unknown
  }
}

const nova = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]

const novaEvent = (json: Json): Seen => {
  const delta = objectAt(objectAt(json, "contentBlockDelta"), "delta")
  return {
    known: true,
    content: "contentBlockDelta" in json || "contentBlockStart" in json,
    last: false,
    text: stringAt(delta, "text"),
    toolStart: objectAt(objectAt(json, "contentBlockStart"), "start")?.toolUse !== undefined,
    toolInput: stringAt(objectAt(delta, "toolUse"), "input"),
    stopReason: stringAt(objectAt(json, "messageStop"), "stopReason"),
    novaStop: "messageStop" in json,
    novaMetadata: "metadata" in json
  }
}
