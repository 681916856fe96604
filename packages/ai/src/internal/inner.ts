// One request to a `LanguageModel` that somebody else made, of what `effect/ai` asks a provider: its handlers of tools stay above.
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Response from "effect/ai/Response"
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

type Asked = LanguageModel.ProviderOptions
type Method = "generateText" | "generateObject" | "streamText"

const module = "Resilient"

/** The answer in one piece. */
export const generate = (
  model: LanguageModel.LanguageModel,
  asked: Asked
): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  asked.responseFormat.type === "json"
    ? object(model, asked, asked.responseFormat)
    : Effect.flatMap(model.generateText(optionsOf(asked)), ({ content }) => encoded("generateText", asked, content))

/** The answer as it comes, in the pieces in which it comes. */
export const stream = (
  model: LanguageModel.LanguageModel,
  asked: Asked
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> =>
  model.streamText(optionsOf(asked)).pipe(
    Stream.mapArrayEffect((parts) =>
      Effect.flatMap(
        invalid("streamText", encodeStream(parts.map(unresolved))),
        (parts) => declared("streamText", asked, parts)
      )
    )
  )

/**
 * Of an object the model's own codec is not known here. So it is read by the model, and written again as the schema alone says, for who asked to
 * read it.
 */
const object = Effect.fnUntraced(function*(
  model: LanguageModel.LanguageModel,
  asked: Asked,
  { objectName, schema }: Extract<Asked["responseFormat"], { readonly type: "json" }>
): Effect.fn.Return<Array<Response.PartEncoded>, AiError.AiError> {
  // What it needs to be read and written is there: this is the fiber of who asked, whose type says so.
  const plain = schema as Schema.Top as Schema.Codec<unknown, Record<string, unknown>>
  const { content, value } = yield* model.generateObject({ ...optionsOf(asked), objectName, schema: plain })
  const { codec } = LanguageModel.defaultCodecTransformer(plain)
  const text = yield* invalid("generateObject", Schema.encodeEffect(Schema.fromJsonString(codec))(value))
  const parts = yield* encoded("generateObject", asked, content)
  const at = parts.findIndex(({ type }) => type === "text")
  return parts.flatMap((part, index): Array<Response.PartEncoded> =>
    part.type !== "text" ? [part] : index === at ? [{ type: "text", text }] : []
  )
})

const optionsOf = ({ prompt, toolChoice, tools }: Asked) => ({
  prompt,
  disableToolCallResolution: true,
  // Who asked says what happens to a call that is wrong.
  toolCallValidation: "deferred",
  toolkit: toolkitOf(tools),
  toolChoice
} as const)

/** A tool that needs nothing to be read and written. */
type Plain = Tool.Tool<string, {
  readonly parameters: Schema.Codec<unknown>
  readonly success: Schema.Codec<unknown>
  readonly failure: Schema.Codec<unknown>
  readonly failureMode: Tool.FailureMode
}>

/** The tools, and nobody who would run them. What they need is there, as with the schema of an object. */
const toolkitOf = (tools: ReadonlyArray<Tool.Any>): Toolkit.WithHandler<Record<string, Plain>> => ({
  tools: Object.fromEntries(tools.map((tool) => [tool.name, tool as Plain])),
  handle: (name) => Effect.die(new Error(`${name} was to be run below the limiter`))
})

const encodeParts = Schema.encodeUnknownEffect(Schema.mutable(Schema.Array(Response.Part())))
const encodeStream = Schema.encodeUnknownEffect(Schema.NonEmptyArray(Response.StreamPart()))

/** The result of a tool that the provider ran is decoded, and there beside it as it came. */
const unresolved = (part: object): object => "encodedResult" in part ? { ...part, result: part.encodedResult } : part

const encoded = (method: Method, asked: Asked, content: ReadonlyArray<object>) =>
  Effect.flatMap(invalid(method, encodeParts(content.map(unresolved))), (parts) => declared(method, asked, parts))

const invalid = <A>(
  method: Method,
  effect: Effect.Effect<A, Schema.SchemaError>
): Effect.Effect<A, AiError.AiError> =>
  Effect.mapError(
    effect,
    (error) => AiError.make({ module, method, reason: AiError.InvalidOutputError.fromSchemaError(error) })
  )

/** The parts, unless one calls a tool that was not offered: providers say so themselves where they are not told to leave that to others. */
const declared = <Parts extends ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>>(
  method: Method,
  { toolCallValidation, tools }: Asked,
  parts: Parts
): Effect.Effect<Parts, AiError.AiError> => {
  if (toolCallValidation === "deferred") return Effect.succeed(parts)
  for (const part of parts) {
    if (part.type === "tool-call" && part.providerExecuted !== true && !tools.some(({ name }) => name === part.name)) {
      const reason = new AiError.ToolNotFoundError({
        toolName: part.name,
        availableTools: tools.map(({ name }) => name)
      })
      return Effect.fail(AiError.make({ module, method, reason }))
    }
  }
  return Effect.succeed(parts)
}
