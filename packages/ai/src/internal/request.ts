// A request of Converse, made of what `effect/ai` asks and what the configuration says.
import * as ModelId from "@caprock/quota/ModelId"
import type * as AiError from "effect/ai/AiError"
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Result from "effect/Result"
import type { Settings } from "../BedrockLanguageModel.ts"
import { compact } from "./json.ts"
import { conversation } from "./prompt.ts"
import { refused } from "./refusal.ts"
import type { StreamInput } from "./sdk.ts"
import * as structured from "./structured.ts"
import * as tools from "./tools.ts"

/** What is asked, and what has to be known of it to read the answer. */
export interface Question {
  readonly input: StreamInput & { readonly modelId: string }
  readonly modelId: string
  /** The tool whose input is the answer. */
  readonly shape: structured.Shape | undefined
  /** What tools that Bedrock runs itself are called by who asked, by their own names. */
  readonly ownNames: ReadonlyMap<string, string>
  /** The media types of the documents, in their order. */
  readonly documents: ReadonlyArray<string>
  /** What may be called; `undefined` where who asked looks at the names of calls himself. */
  readonly callable: ReadonlyArray<string> | undefined
}

export const make = (
  modelId: string,
  settings: Settings,
  options: LanguageModel.ProviderOptions
): Result.Result<Question, AiError.AiErrorReason> =>
  refused(() => {
    // There is nothing to be incremental about: each request of Converse is whole.
    const names = tools.ownNames(options.tools)
    const { called, documents, messages, system } = conversation(
      options.prompt,
      new Map(names.map(([there, here]) => [here, there])),
      mayReason(modelId)
    )
    const { effort, maxTokens, stopSequences, structured: how = "tool", temperature, topP, ...rest } = settings
    const shape = structured.shapeOf(options.responseFormat, how, options.tools.map(({ name }) => name))
    const inferenceConfig = compact({
      maxTokens,
      temperature,
      topP,
      stopSequences: stopSequences === undefined ? undefined : [...stopSequences]
    })
    const outputConfig = compact({ effort, textFormat: structured.outputOf(options.responseFormat, how) })
    const toolConfig = tools.toolConfig(options, called, shape)
    return {
      input: {
        ...compact(rest),
        modelId,
        messages,
        ...(system.length === 0 ? {} : { system }),
        ...(isEmpty(inferenceConfig) ? {} : { inferenceConfig }),
        ...(isEmpty(outputConfig) ? {} : { outputConfig }),
        ...(toolConfig === undefined ? {} : { toolConfig })
      },
      modelId,
      shape,
      ownNames: new Map(names),
      documents,
      // Converse has no way to forbid calls, but nobody is to answer one.
      callable: options.toolCallValidation === "deferred"
        ? undefined
        : options.toolChoice === "none"
        ? []
        : options.tools.map(({ name }) => name)
    }
  })

/**
 * Only models of Anthropic sign what they think: a signature is that of one of them, which drops what it can't read of another's, and no other model takes it. A
 * route's name tells nothing: what goes to each of its targets is for `Bedrock` to know.
 */
const mayReason = (modelId: string): boolean => {
  const model = Result.match(ModelId.parse(modelId), { onFailure: () => undefined, onSuccess: ModelId.modelOf })
  return model === undefined || model.startsWith("anthropic.")
}

const isEmpty = (fields: object): boolean => Object.keys(fields).length === 0
