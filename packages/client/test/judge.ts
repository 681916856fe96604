// How a damaged stream has to end, told from its bytes alone: a second reading of the format, which shares nothing with the
// client's.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Errors from "@caprock/errors/BedrockError"
import { type Exit, Schema } from "effect"
import { crc32 } from "node:zlib"
import type { Mutant } from "./mutants.ts"

/** What a client made of it. */
export interface Outcome {
  readonly exit: Exit.Exit<void, BedrockError>
  readonly events: ReadonlyArray<Readonly<Record<string, unknown>>>
}

interface Frame {
  readonly headers: Readonly<Record<string, unknown>>
  readonly payload: Buffer
}

const headerSizes: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 }

const headersOf = (bytes: Buffer): Record<string, unknown> | undefined => {
  const headers = new Map<string, unknown>()
  let at = 0
  while (at < bytes.length) {
    const name = bytes.subarray(at + 1, at + 1 + bytes.readUInt8(at)).toString()
    at += 1 + bytes.readUInt8(at)
    if (at >= bytes.length) return undefined
    const type = bytes.readUInt8(at++)
    const sized = type === 6 || type === 7
    if (sized && at + 2 > bytes.length) return undefined
    const size = sized ? bytes.readUInt16BE(at) : headerSizes[type]
    if (size === undefined) return undefined
    if (sized) at += 2
    if (at + size > bytes.length) return undefined
    headers.set(name, type === 7 ? bytes.subarray(at, at + size).toString() : type)
    at += size
  }
  return Object.fromEntries(headers)
}

/** The frames of a body up to where it holds none, and whether that is its end. */
const framesOf = (body: Buffer): { readonly frames: ReadonlyArray<Frame>; readonly clean: boolean } => {
  const frames: Array<Frame> = []
  let at = 0
  while (at + 16 <= body.length) {
    const length = body.readUInt32BE(at)
    const headersLength = body.readUInt32BE(at + 4)
    if (length < 16 || at + length > body.length || headersLength > length - 16) break
    const frame = body.subarray(at, at + length)
    if (crc32(frame.subarray(0, 8)) !== frame.readUInt32BE(8)) break
    if (crc32(frame.subarray(0, -4)) !== frame.readUInt32BE(length - 4)) break
    const headers = headersOf(frame.subarray(12, 12 + headersLength))
    if (headers === undefined) break
    frames.push({ headers, payload: frame.subarray(12 + headersLength, -4) })
    at += length
  }
  return { frames, clean: at === body.length }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const object = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : undefined

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce(
    (inner: unknown, key) => Array.isArray(inner) ? (inner as Array<unknown>)[Number(key)] : object(inner)?.[key],
    value
  )

const textAt = (value: unknown, ...path: ReadonlyArray<string>): string => {
  const text = at(value, ...path)
  return typeof text === "string" ? text : ""
}

/** A family's last word, or the metrics that Bedrock adds to the last chunk. */
const isLast = (json: unknown): boolean =>
  object(at(json, "amazon-bedrock-invocationMetrics")) !== undefined ||
  at(json, "type") === "message_stop" ||
  at(json, "is_finished") === true ||
  at(json, "event_type") === "stream-end" ||
  [
    at(json, "completionReason"),
    at(json, "stop_reason"),
    at(json, "outputs", "0", "stop_reason"),
    at(json, "choices", "0", "finish_reason"),
    at(json, "choices", "0", "stop_reason")
  ].some((reason) => typeof reason === "string")

const novaEvents = [
  "messageStart",
  "contentBlockStart",
  "contentBlockDelta",
  "contentBlockStop",
  "messageStop",
  "metadata"
]

/** Whether a chunk is in the format of a family whose last word is known. */
const isKnown = (json: unknown): boolean =>
  isLast(json) || /^ping$|_/.test(String(at(json, "type"))) || object(at(json, "outputs", "0")) !== undefined ||
  object(at(json, "choices", "0")) !== undefined ||
  [...novaEvents, "outputText", "generation", "is_finished", "event_type"].some((key) => at(json, key) !== undefined)

/** What the bytes say. */
interface Reading {
  /** Events that a client can give, before something in the stream stops it: what they are, and what they say. */
  readonly events: ReadonlyArray<readonly [type: string, says: string]>
  /** After how many of them the answer is complete. */
  readonly completeAfter: number | undefined
  /** Whether nothing but events came before its end. */
  readonly clean: boolean
  /** Whether the service itself says that something went wrong. */
  readonly excepted: boolean
  /** Whether no chunk is in a format that is known: then the end alone tells. */
  readonly foreign: boolean
}

const unions: Readonly<Record<Mutant["operation"], ReadonlySet<string>>> = {
  converseStream: new Set([
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata"
  ]),
  invokeModelWithResponseStream: new Set(["chunk"])
}

const read = ({ body, operation }: Mutant): Reading => {
  const { clean, frames } = framesOf(body)
  const seen = new Set<string>()
  const events: Array<readonly [string, string]> = []
  let completeAfter: number | undefined
  let foreign = true
  for (const { headers, payload } of frames) {
    const kind = headers[":message-type"]
    if (kind !== "event") {
      return { events, completeAfter, clean: false, excepted: kind === "exception" || kind === "error", foreign }
    }
    const type = String(headers[":event-type"])
    if (!unions[operation].has(type)) continue
    const json = parse(payload.toString())
    seen.add(type)
    const bytes = Buffer.from(String(at(json, "bytes")), "base64")
    const inner = operation === "converseStream" ? undefined : parse(bytes.toString())
    events.push([type, operation === "converseStream" ? textAt(json, "delta", "text") : bytes.toString("base64")])
    if (isKnown(inner)) foreign = false
    for (const key of ["messageStop", "metadata"]) if (at(inner, key) !== undefined) seen.add(key)
    if (completeAfter === undefined && (isLast(inner) || (seen.has("messageStop") && seen.has("metadata")))) {
      completeAfter = events.length
    }
  }
  return { events, completeAfter, clean, excepted: false, foreign }
}

const fitting = new Set([
  "TransportError",
  "InterruptedStreamError",
  "ThrottlingError",
  "ServerError",
  "ValidationError"
])

const encode = Schema.encodeSync(Errors.BedrockError)

/** What an event says, as the reading does. */
const saidBy = (event: Readonly<Record<string, unknown>>): string => {
  const bytes = at(event, "chunk", "bytes")
  return bytes instanceof Uint8Array
    ? Buffer.from(bytes).toString("base64")
    : textAt(event, "contentBlockDelta", "delta", "text")
}

/** Whether events are the first ones of those that there are, in their order. */
const areFirst = (events: Outcome["events"], of: Reading["events"], honest: boolean): boolean =>
  events.every((event, i) => {
    const [type, says] = of[i] ?? []
    // What is read of something odd is up to who reads it.
    return type !== undefined && type in event && (!honest || saidBy(event) === says)
  })

/** What is wrong with an outcome, if anything is. */
export const judge = (mutant: Mutant, { events, exit }: Outcome): string | undefined => {
  const reading = read(mutant)
  if (!areFirst(events, reading.events, mutant.honest)) return "gave other events than there are"
  if (exit._tag === "Success") {
    if (reading.completeAfter === undefined) {
      return reading.foreign && events.length > 0 ? undefined : "succeeded without the end of the answer"
    }
    if (events.length < reading.completeAfter) {
      return `succeeded after ${events.length} of ${reading.completeAfter} events`
    }
    return undefined
  }
  const [reason, ...more] = exit.cause.reasons
  if (reason?._tag !== "Fail" || more.length > 0) return `ended with a defect: ${String(exit.cause)}`
  const { error } = reason
  if (!Errors.isBedrockError(error)) return "failed with another error"
  if (mutant.whole && mutant.honest && reading.completeAfter !== undefined) {
    return `failed though the answer was complete: ${error.message}`
  }
  const inner = error.reason._tag === "InterruptedStreamError" ? error.reason.origin : error.reason
  if (inner?._tag === "UnknownError") {
    if (!reading.excepted && mutant.whole) return `unknown: ${error.message}`
    if (error.cause instanceof TypeError || error.cause instanceof RangeError || error.cause instanceof SyntaxError) {
      return `an error of our own: ${error.message}`
    }
  } else if (inner !== undefined && !fitting.has(inner._tag) && mutant.whole) return `not fitting: ${error.message}`
  if (error.reason._tag === "InterruptedStreamError") {
    const { content, partial } = error.reason
    if (content && error.retryable) return "would be asked again after content"
    const text = events.map(saidBy).join("")
    if (mutant.operation === "converseStream" && partial.text !== text) {
      return `partial text ${partial.text} for ${text}`
    }
  } else if (events.some((event) => "contentBlockDelta" in event)) {
    return `content was given, and it failed with ${error.message}`
  }
  try {
    JSON.parse(JSON.stringify(encode(error)))
  } catch (cause) {
    return `can't cross a process: ${String(cause)}`
  }
  return undefined
}
