// An answer that has to be an object: by Bedrock's own output format, or as the input of a tool that the model calls.
import * as AnthropicStructuredOutput from "effect/ai/AnthropicStructuredOutput"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { MutableJson, MutableJsonObject } from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { Settings } from "../BedrockLanguageModel.ts"
import { jsonOf } from "./json.ts"
import { refuseSchema } from "./refusal.ts"
import type { Input } from "./sdk.ts"

/** How an object is asked for. */
export type Structured = NonNullable<Settings["structured"]>

/** The tool whose input is the answer. */
export interface Shape {
  readonly name: string
  readonly description: string
  readonly inputSchema: MutableJson
  /** Whether the model is made to call a tool; some can't be. */
  readonly forced: boolean
  /** Tools take objects: anything else is one of its fields. */
  readonly wrapped: boolean
}

type Format = LanguageModel.ProviderOptions["responseFormat"]

/** What rewrites a schema, and reads what was answered by it. Bedrock's own format allows a part of JSON Schema: that of Anthropic's models. */
export const transformerOf = (structured: Structured): LanguageModel.CodecTransformer =>
  structured === "native" ? AnthropicStructuredOutput.toCodecAnthropic : LanguageModel.defaultCodecTransformer

const field = "value"

/**
 * The tool for an answer of a format; none where the answer is text, or the format is Bedrock's own. Its name is none of those that are
 * taken by other tools.
 */
export const shapeOf = (format: Format, structured: Structured, taken: ReadonlyArray<string>): Shape | undefined => {
  if (format.type === "text" || structured === "native") return undefined
  const { $defs, ...schema } = schemaOf(format, structured)
  const wrapped = schema["type"] !== "object"
  const definitions = $defs === undefined ? {} : { $defs }
  let name = nameOf(format.objectName)
  while (taken.includes(name)) name = `${name.slice(0, longestName - 1)}_`
  return {
    name,
    description: descriptionOf(format) ?? "Give the answer by calling this tool.",
    inputSchema: {
      ...(wrapped ? { type: "object", properties: { [field]: schema }, required: [field] } : schema),
      ...definitions
    },
    forced: structured === "tool",
    wrapped
  }
}

/** Bedrock's own format for an answer; none where it is asked for otherwise. */
export const outputOf = (
  format: Format,
  structured: Structured
): NonNullable<NonNullable<Input["outputConfig"]>["textFormat"]> | undefined => {
  if (format.type === "text" || structured !== "native") return undefined
  const description = descriptionOf(format)
  return {
    type: "json_schema",
    structure: {
      jsonSchema: {
        name: nameOf(format.objectName),
        schema: JSON.stringify(schemaOf(format, structured)),
        ...(description === undefined ? {} : { description })
      }
    }
  }
}

/** What a model gave to the tool of an answer, as the text of an answer. */
export const textOf = ({ wrapped }: Shape, input: unknown): string =>
  JSON.stringify(wrapped && Predicate.hasProperty(input, field) ? input[field] : input ?? {})

type JsonFormat = Extract<Format, { type: "json" }>

const schemaOf = ({ objectName, schema }: JsonFormat, structured: Structured): MutableJsonObject => {
  const written = Result.try(() => transformerOf(structured)(schema).jsonSchema)
  if (Result.isFailure(written)) return refuseSchema(String(written.failure))
  const json = jsonOf(written.success)
  return Option.isSome(json) && isRecord(json.value)
    ? json.value
    : refuseSchema(`The schema of ${objectName} is no JSON object`)
}

const isRecord = (json: MutableJson): json is MutableJsonObject => Predicate.isObject(json) && !Array.isArray(json)

const descriptionOf = ({ schema }: JsonFormat): string | undefined => SchemaAST.resolveDescription(schema.ast)

// The names of tools have letters, digits, underscores and hyphens, 64 at most (ToolSpecification, service model 3.1162.0).
const longestName = 64
const nameOf = (name: string): string => name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, longestName)
