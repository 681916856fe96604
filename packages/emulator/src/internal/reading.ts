/** What a request asks for: its operation, and its body read and checked. */
import type * as Fault from "../Fault.ts"
import * as Converse from "./converse.ts"
import * as Invoke from "./invoke.ts"
import * as Json from "./json.ts"
import type * as ModelId from "./modelId.ts"
import type * as Prompt from "./prompt.ts"

/** A request that has been read and found right. */
export interface Reading {
  readonly operation: Fault.Operation
  readonly ref: ModelId.ModelRef
  readonly body: Json.Json
  readonly prompt: Prompt.Prompt
  readonly maxTokens: number | undefined
  readonly invoke: Invoke.Request | undefined
}

/** Reads and checks a body; a text says what is wrong with it. */
export const readBody = (operation: Fault.Operation, ref: ModelId.ModelRef, bytes: Buffer): Reading | string => {
  const body = Json.parse(bytes)
  if (body === undefined) return Json.malformed
  return read(operation, ref, body, bytes.includes("\"cachePoint\"") || bytes.includes("\"cache_control\""))
}

/** The same of a body that has been parsed. `cached`: whether it may have cache checkpoints. */
export const read = (
  operation: Fault.Operation,
  ref: ModelId.ModelRef,
  body: Json.Json,
  cached: boolean
): Reading | string => {
  if (operation === "Converse" || operation === "ConverseStream") {
    const wrong = Converse.validate(body)
    return wrong ?? { operation, ref, body, ...Converse.read(body, cached), invoke: undefined }
  }
  const format = Invoke.formatOf(ref.model, body)
  if (operation === "InvokeModelWithResponseStream" && !format.generates) {
    return "The model is unsupported for streaming."
  }
  const wrong = Invoke.validate(format, body)
  if (wrong !== undefined) return wrong
  const invoke = Invoke.read(format, body, cached)
  return { operation, ref, body, prompt: invoke.prompt, maxTokens: invoke.maxTokens, invoke }
}

/** The input tokens of a CountTokens request. */
export const countTokens = (ref: ModelId.ModelRef, bytes: Buffer): number | string => {
  const input = Json.record(Json.parse(bytes)?.["input"])
  if (Json.isRecord(input["converse"])) {
    const wrong = Converse.validate(input["converse"])
    return wrong ?? Converse.read(input["converse"], false).prompt.tokens
  }
  if (Json.isRecord(input["invokeModel"])) {
    const reading = readBody("InvokeModel", ref, Buffer.from(Json.text(input["invokeModel"]["body"]), "base64"))
    return typeof reading === "string" ? reading : reading.prompt.tokens
  }
  return "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must not be null"
}
