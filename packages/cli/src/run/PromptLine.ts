/**
 * One line of the input: what may stand on it, and the Converse request that it means.
 *
 * @since 0.1.0
 */
import type { ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import * as ConverseJson from "@caprock/client/ConverseJson"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { firstIssue } from "../internal/schemaMessage.ts"
import { stableJson } from "../internal/stableJson.ts"
import { digestOf } from "./IdTable.ts"
import { InputError } from "./InputError.ts"

/**
 * What all lines share; a line's own values win.
 *
 * @category models
 * @since 0.1.0
 */
export interface Defaults {
  readonly model?: string
  readonly system?: string
  readonly maxTokens?: number
  readonly temperature?: number
}

/**
 * A line that can be asked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prompt {
  readonly _tag: "Prompt"
  /** As it stands on the line, or `line-<number>` where the line has none. */
  readonly id: string | number
  readonly line: number
  readonly model: string
  readonly input: ConverseCommandInput
  /**
   * 16 hexadecimal digits over everything that decides what is asked. The model and `maxTokens` are left out: they may
   * change between two runs on one output without making the answers stale.
   */
  readonly digest: string
}

const maxIdLength = 512

const Id = Schema.Union([
  Schema.NonEmptyString.check(Schema.isMaxLength(maxIdLength)),
  Schema.Int
])
const MaxTokens = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const Temperature = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Model = Schema.NonEmptyString

/** `{"prompt": "..."}`. Fields that aren't named here are the user's own and are left alone, but see `misspelt`. */
const PromptShape = Schema.Struct({
  id: Schema.optionalKey(Id),
  prompt: Schema.NonEmptyString,
  model: Schema.optionalKey(Model),
  system: Schema.optionalKey(Schema.NonEmptyString),
  maxTokens: Schema.optionalKey(MaxTokens),
  temperature: Schema.optionalKey(Temperature)
})

const Json = Schema.Record(Schema.String, Schema.Unknown)

/**
 * What of a Converse request is read here, or would only be refused after it was sent. Every other member is held against the
 * SDK's model of it by `ConverseJson`; values that Bedrock checks better than we could are left to it.
 */
const ConverseShape = Schema.Struct({
  modelId: Schema.optionalKey(Model),
  messages: Schema.optionalKey(Schema.NonEmptyArray(Schema.Struct({
    role: Schema.Literals(["user", "assistant", "system"]),
    content: Schema.Array(Json)
  }))),
  inferenceConfig: Schema.optionalKey(Schema.StructWithRest(
    Schema.Struct({ maxTokens: Schema.optionalKey(MaxTokens), temperature: Schema.optionalKey(Temperature) }),
    [Json]
  ))
})

const RequestShape = Schema.Struct({
  id: Schema.optionalKey(Id),
  model: Schema.optionalKey(Model),
  request: Json
})

const decodePrompt = Schema.decodeUnknownResult(PromptShape)
const decodeRequest = Schema.decodeUnknownResult(RequestShape)
const decodeConverse = Schema.decodeUnknownResult(ConverseShape)
const decodeId = Schema.decodeUnknownResult(Id)

/** Fields that people write when they mean one of ours: ignoring them would spend money on the wrong question. */
const misspelt: Readonly<Record<string, string>> = {
  max_tokens: "maxTokens",
  maxTokensToSample: "maxTokens",
  max_tokens_to_sample: "maxTokens",
  modelId: "model",
  model_id: "model",
  temp: "temperature",
  systemPrompt: "system",
  system_prompt: "system",
  inferenceConfig: "request",
  messages: "request",
  topP: "request",
  top_p: "request",
  stopSequences: "request",
  stop_sequences: "request",
  body: "request",
  text: "prompt",
  input: "prompt",
  content: "prompt",
  question: "prompt",
  Prompt: "prompt",
  ID: "id",
  Id: "id"
}

/**
 * Reads one line's text.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  text: string,
  line: number,
  defaults: Defaults
): Result.Result<Prompt, InputError> => {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    return Result.fail(notJson(line, text, cause))
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return Result.fail(
      new InputError({
        line,
        kind: "wrong-shape",
        message:
          `line ${line} is ${Array.isArray(json) ? "a JSON array" : `the JSON value ${brief(json)}`}, not an object. ` +
          (Array.isArray(json)
            ? `Put one object on each line, as \`jq -c '.[]'\` does`
            : `Write one object on each line, such as {"id":"a","prompt":"Hello"}`)
      })
    )
  }
  const fields: Readonly<Record<string, unknown>> = { ...json }
  const id = readId(fields, line)
  const wrong = wrongOn(line, id)

  const isRequest = Object.hasOwn(fields, "request")
  const isPrompt = Object.hasOwn(fields, "prompt")
  if (isRequest && isPrompt) {
    return wrong(`line ${line} has both "prompt" and "request". Keep one of them`)
  }
  for (const name of Object.keys(fields)) {
    const meant = Object.hasOwn(misspelt, name) ? misspelt[name] : undefined
    // "text" and the like may well be fields of the user's own, where there is a prompt.
    if (meant === undefined || (meant === "prompt" && isPrompt)) continue
    return wrong(
      meant === "request"
        ? `line ${line}: "${name}" belongs to a Converse request. Put the whole request under "request"`
        : `line ${line}: "${name}" is not read. ${
          isRequest && meant !== "id" ? requestField(meant) : `Write "${meant}"`
        }`
    )
  }
  if (!isRequest && !isPrompt) {
    return wrong(
      `line ${line} has neither "prompt" nor "request". Write {"prompt":"..."}, or a Converse request under "request"`
    )
  }
  return isPrompt ? fromPrompt(fields, line, id, defaults) : fromRequest(fields, line, id, defaults)
}

const wrongOn = (line: number, id: string | number) => (message: string): Result.Result<never, InputError> =>
  Result.fail(new InputError({ line, id, kind: "wrong-shape", message }))

const fromPrompt = (
  fields: Readonly<Record<string, unknown>>,
  line: number,
  id: string | number,
  defaults: Defaults
): Result.Result<Prompt, InputError> => {
  const decoded = decodePrompt(fields)
  if (Result.isFailure(decoded)) {
    return wrongOn(line, id)(wrongShape(line, decoded.failure, fields))
  }
  const { maxTokens, model, prompt, system, temperature } = { ...defaults, ...decoded.success }
  if (model === undefined) return Result.fail(noModel(line, id))
  const inferenceConfig = {
    ...(maxTokens === undefined ? {} : { maxTokens }),
    ...(temperature === undefined ? {} : { temperature })
  }
  return Result.succeed({
    _tag: "Prompt",
    id,
    line,
    model,
    input: {
      modelId: model,
      messages: [{ role: "user", content: [{ text: prompt }] }],
      ...(system === undefined ? {} : { system: [{ text: system }] }),
      ...(Object.keys(inferenceConfig).length === 0 ? {} : { inferenceConfig })
    },
    digest: digestOf(stableJson([prompt, system ?? null, temperature ?? null]))
  })
}

const fromRequest = (
  fields: Readonly<Record<string, unknown>>,
  line: number,
  id: string | number,
  defaults: Defaults
): Result.Result<Prompt, InputError> => {
  const wrong = wrongOn(line, id)
  for (const name of ["system", "maxTokens", "temperature"] as const) {
    if (Object.hasOwn(fields, name)) {
      return wrong(`line ${line}: "${name}" stands beside "request". ${requestField(name)}`)
    }
  }
  const shape = decodeRequest(fields)
  if (Result.isFailure(shape)) return wrong(wrongShape(line, shape.failure, fields))
  const { request } = shape.success
  const converse = decodeConverse(request)
  if (Result.isFailure(converse)) return wrong(wrongShape(line, converse.failure, request, ["request"]))
  const decoded = ConverseJson.decode(request)
  if (Result.isFailure(decoded)) {
    const { path, problem } = decoded.failure
    return wrong(`line ${line}: "${fieldText(["request", ...path])}" ${problem}`)
  }
  const model = shape.success.model ?? converse.success.modelId ?? defaults.model
  if (model === undefined) return Result.fail(noModel(line, id))

  const settings = {
    ...(defaults.maxTokens === undefined ? {} : { maxTokens: defaults.maxTokens }),
    ...(defaults.temperature === undefined ? {} : { temperature: defaults.temperature }),
    ...decoded.success.inferenceConfig
  }
  const system = request["system"] === undefined && defaults.system !== undefined
    ? { system: [{ text: defaults.system }] }
    : {}
  const { maxTokens: _, ...asked } = settings
  const { modelId: __, ...question } = request
  return Result.succeed({
    _tag: "Prompt",
    id,
    line,
    model,
    input: {
      ...decoded.success,
      ...system,
      ...(Object.keys(settings).length === 0 ? {} : { inferenceConfig: settings }),
      modelId: model
    },
    // Of the line's own JSON: base64 is shorter to hash than the bytes are as JSON.
    digest: digestOf(stableJson({ ...question, ...system, inferenceConfig: asked }))
  })
}

const readId = (fields: Readonly<Record<string, unknown>>, line: number): string | number => {
  const id = decodeId(fields["id"])
  return Result.isSuccess(id) ? id.success : derivedId(line)
}

/**
 * The id of a line that has none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const derivedId = (line: number): string => `line-${line}`

const requestField = (name: string): string =>
  name === "maxTokens" || name === "temperature"
    ? `Write it as "request": {"inferenceConfig": {"${name}": ...}}`
    : name === "system"
    ? `Write it as "request": {"system": [{"text": "..."}]}`
    : `Write "${name}"`

const noModel = (line: number, id: string | number) =>
  new InputError({
    line,
    id,
    kind: "no-model",
    message: `line ${line} names no model, and --model was not given. Add --model <id, inference profile or ARN>`
  })

const wrongShape = (
  line: number,
  failure: Schema.SchemaError,
  value: unknown,
  under: ReadonlyArray<string> = []
): string => {
  const { actual, expected, path } = firstIssue(failure.issue, value)
  const field = fieldText([...under, ...path])
  if (expected === "missing") return `line ${line}: the field "${field}" is missing`
  return `line ${line}: the field "${field}" is ${brief(actual)}. ${expected}`
}

const fieldText = (path: ReadonlyArray<string | number>): string =>
  path.reduce<string>(
    (text, key) => typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`,
    ""
  )

const brief = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`
}

const notJson = (line: number, text: string, cause: unknown): InputError => {
  const detail = cause instanceof Error ? cause.message.replace(/^JSON Parse error: /, "") : String(cause)
  return new InputError({
    line,
    kind: "not-json",
    message: line === 1 && text.trim() === "["
      ? `line 1 opens a JSON array. Put one object on each line instead, as \`jq -c '.[]'\` does`
      : `line ${line} is not JSON: ${detail}. Write one JSON object on it, such as {"id":"a","prompt":"Hello"}`
  })
}
