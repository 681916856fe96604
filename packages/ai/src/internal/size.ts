// How large a request of any provider is, as far as its prompt and its tools tell: read as a conversation, in the words of the one estimator.
import * as TokenEstimator from "@caprock/quota/TokenEstimator"
import type * as LanguageModel from "effect/ai/LanguageModel"
import type * as Prompt from "effect/ai/Prompt"
import * as Tool from "effect/ai/Tool"

export const estimate = ({ prompt, tools }: Pick<LanguageModel.ProviderOptions, "prompt" | "tools">): number =>
  TokenEstimator.converse({
    messages: prompt.content.map(({ content, role }) => ({
      role,
      content: typeof content === "string" ? [{ text: content }] : content.map(blockOf)
    })),
    ...(tools.length === 0 ? {} : { toolConfig: { tools: tools.map(described) } })
  })

const blockOf = (part: Prompt.Part): object => {
  switch (part.type) {
    case "text":
    case "reasoning":
      return { text: part.text }
    case "file":
      return {
        [kindOf(part.mediaType)]: {
          format: part.mediaType,
          bytes: part.data instanceof URL ? `${part.data}` : part.data
        }
      }
    case "tool-call":
      return { toolUse: { name: part.name, input: part.params } }
    case "tool-result":
      return { toolResult: { json: part.result } }
    default:
      return {}
  }
}

const kindOf = (mediaType: string): string => {
  const [kind = ""] = mediaType.split("/")
  return ["image", "video", "audio"].includes(kind) ? kind : "document"
}

/** What of a tool a model gets to see. */
const described = (tool: Tool.Any): object => ({
  name: tool.name,
  description: Tool.getDescription(tool),
  parameters: Tool.getJsonSchema(tool)
})
