/** What can be sent, found out before anything is: a record that can't be is a result of its own, and costs nothing. */
import * as ConverseJson from "@caprock/client/ConverseJson"
import * as ModelId from "@caprock/quota/ModelId"
import * as Result from "effect/Result"
import { Unsupported } from "../BatchError.ts"
import type { BatchLimits } from "../BatchLimits.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import type { Settled } from "../BatchSettings.ts"
import type { Item } from "./item.ts"
import * as RecordId from "./recordId.ts"
import { longestLine } from "./splitter.ts"

/** Our choice: an id is a name, and a hundred thousand of them are held in memory. */
const longestId = 512

/** JSON that is deeper is a mistake, or an object that holds itself. */
const deepest = 128

/** What batch inference does not do (User Guide, "Batch inference", read 2026-11), by the key that asks for it. */
const missing: Readonly<Record<Settled["invocationType"], Readonly<Record<string, string>>>> = {
  Converse: { toolConfig: "tools", outputConfig: "structured output" },
  InvokeModel: {
    tools: "tools",
    tool_choice: "tools",
    toolConfig: "tools",
    response_format: "structured output",
    output_format: "structured output",
    output_config: "structured output",
    outputConfig: "structured output"
  }
}

/** What of a model batch inference does not do; `undefined` where it may. */
export const unsupported = ({ model }: Settled): Unsupported | undefined => {
  const parsed = ModelId.parse(model)
  return Result.isSuccess(parsed) && parsed.success._tag === "ProvisionedModel"
    ? new Unsupported({ model, feature: "provisioned throughput" })
    : undefined
}

/** Makes a line of a record, or says why it can't be sent. */
export const make = (
  { invocationType }: Settled,
  limits: BatchLimits
): (record: BatchRecord, index: number) => Item => {
  const most = longestLine(limits)
  const features = Object.entries(missing[invocationType])

  const problemOf = (input: unknown): string | undefined => {
    if (!isPlain(input)) return "its input is no object"
    const broken = notJson(input, 0)
    if (broken !== undefined) return `its input${broken.path} is ${broken.problem}`
    if ("modelId" in input) return "its input has a modelId: the model is a setting of the batch"
    for (const [key, feature] of features) {
      if (input[key] !== undefined) return `its input has ${key}: batch inference has no ${feature}`
    }
    if (invocationType !== "Converse") return undefined
    if (Result.isSuccess(ConverseJson.decode(input))) return undefined
    // As it is sent: without the members that are undefined, which it would mind.
    const decoded = ConverseJson.decode(JSON.parse(JSON.stringify(input)))
    if (Result.isSuccess(decoded)) return undefined
    const { path, problem } = decoded.failure
    return `its input is no Converse request: ${path.length === 0 ? "it" : path.join(".")} ${problem}`
  }

  return ({ id, input, refused }, index) => {
    if (typeof id !== "string" || id === "") return { index, id: "", refused: "it has no id" }
    if (id.length > longestId) {
      return { index, id: id.slice(0, longestId), refused: `its id is longer than ${longestId} characters` }
    }
    const problem = refused ?? problemOf(input)
    if (problem !== undefined) return { index, id, refused: problem }
    const text = JSON.stringify({ recordId: RecordId.of(index), modelInput: input })
    const bytes = Buffer.byteLength(text) + 1
    return bytes > most
      ? { index, id, refused: `its line has ${bytes} bytes, and by the limits of jobs may have ${most}` }
      : { index, id, text, bytes }
  }
}

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

interface Broken {
  readonly path: string
  readonly problem: string
}

const within = (key: string, broken: Broken | undefined): Broken | undefined =>
  broken === undefined ? undefined : { path: `${key}${broken.path}`, problem: broken.problem }

/** What `JSON.stringify` would leave out, change in silence, or fail at. A member that is `undefined` is one that is not there. */
const notJson = (value: unknown, depth: number): Broken | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : { path: "", problem: `${value}, which JSON does not have` }
    case "object":
      break
    default:
      return { path: "", problem: `a value of type ${typeof value}, which JSON does not have` }
  }
  if (value === null) return undefined
  if (depth > deepest) return { path: "", problem: `nested deeper than ${deepest}` }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const broken = notJson(value[i], depth + 1)
      if (broken !== undefined) return within(`[${i}]`, broken)
    }
    return undefined
  }
  if (!isPlain(value)) return { path: "", problem: "no plain object (bytes are base64 text in JSON)" }
  for (const key in value) {
    const member = value[key]
    if (member === undefined) continue
    const broken = notJson(member, depth + 1)
    if (broken !== undefined) return within(`.${key}`, broken)
  }
  return undefined
}
