// Tools of a request, and which of them the model may or has to call.
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import type { MutableJson } from "effect/Schema"
import { CachePoint } from "../BedrockTool.ts"
import { jsonOf } from "./json.ts"
import { cacheBlock } from "./prompt.ts"
import { refuseTool } from "./refusal.ts"
import type { Tool as ToolBlock, ToolConfig } from "./sdk.ts"
import type { Shape } from "./structured.ts"

type Asked = Pick<LanguageModel.ProviderOptions, "tools" | "toolChoice">

/**
 * The tools of a request; none where there is nothing to say of them. `called` are those that its messages tell of: Converse refuses
 * messages with calls where no tools are.
 */
export const toolConfig = (
  { toolChoice, tools }: Asked,
  called: ReadonlySet<string>,
  shape: Shape | undefined
): ToolConfig | undefined => {
  const given = tools.flatMap(blocksOf)
  if (shape !== undefined) {
    const answer = specOf(shape.name, shape.description, shape.inputSchema, undefined)
    return {
      // Where none of the others may be called, there is no need of them.
      tools: toolChoice === "none" ? [answer] : [...given, answer],
      // What may be forced to call any of one tool may be forced to call that one, and more models can be.
      ...(shape.forced ? { toolChoice: { any: {} } } : {})
    }
  }
  if (toolChoice === "none" || given.length === 0) {
    if (called.size === 0) return undefined
    return { tools: given.length > 0 ? given : [...called].map((name) => specOf(name, undefined, anything, undefined)) }
  }
  return { tools: given, ...choiceOf(toolChoice) }
}

/** The tools that Bedrock runs itself: what they are called there, and by who asks. */
export const ownNames = (tools: Asked["tools"]): ReadonlyArray<readonly [there: string, here: string]> =>
  tools.flatMap((tool) => Tool.isProviderDefined(tool) ? [[tool.providerName, tool.name] as const] : [])

// What a tool took that is no longer there.
const anything: MutableJson = { type: "object" }

const blocksOf = (tool: Tool.Any): Array<ToolBlock> => {
  const cachePoint = Context.get(tool.annotations, CachePoint)
  return [blockOf(tool), ...(cachePoint === undefined ? [] : [{ cachePoint: cacheBlock(cachePoint) }])]
}

const blockOf = (tool: Tool.Any): ToolBlock => {
  if (Tool.isProviderDefined(tool)) {
    return tool.id.startsWith("bedrock.")
      ? { systemTool: { name: tool.providerName } }
      : refuseTool(
        tool.name,
        `Bedrock does not run ${tool.id}. Give a tool with a handler in its place, or ask its own provider`
      )
  }
  const schema = Option.getOrElse(
    jsonOf(Tool.getJsonSchema(tool, { transformer: LanguageModel.defaultCodecTransformer })),
    () => refuseTool(tool.name, "The schema of its parameters is no JSON")
  )
  return specOf(tool.name, Tool.getDescription(tool), schema, Tool.getStrictMode(tool))
}

const specOf = (
  name: string,
  description: string | undefined,
  schema: MutableJson,
  strict: boolean | undefined
): ToolBlock => ({
  toolSpec: {
    name,
    // A description has at least one character.
    ...(description === undefined || description === "" ? {} : { description }),
    inputSchema: { json: schema },
    ...(strict === undefined ? {} : { strict })
  }
})

// "auto" is what holds where nothing is said, and some models refuse to be told.
const choiceOf = (choice: Exclude<Asked["toolChoice"], "none">): Pick<ToolConfig, "toolChoice"> => {
  if (typeof choice === "string") return choice === "required" ? { toolChoice: { any: {} } } : {}
  if ("tool" in choice) return { toolChoice: { tool: { name: choice.tool } } }
  // Only those that are allowed are sent.
  return choice.mode === "required" ? { toolChoice: { any: {} } } : {}
}
