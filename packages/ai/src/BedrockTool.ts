/**
 * What a tool may say to Bedrock beyond `effect/ai`'s own words.
 *
 * @since 0.1.0
 */
import * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import type * as BedrockOptions from "./BedrockOptions.ts"

/**
 * A cache point after a tool: its definition and those before it may be read from the cache next time. None unless set.
 *
 * **Example** (Caching the definitions of all tools)
 *
 * ```ts
 * import { BedrockTool } from "@caprock/ai"
 * import { Context, Schema } from "effect"
 * import { Tool } from "effect/ai"
 *
 * const last = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
 *   .annotate(BedrockTool.CachePoint, true)
 * console.log(Context.get(last.annotations, BedrockTool.CachePoint)) // => true
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CachePoint = Context.Reference<BedrockOptions.CachePoint | undefined>(
  "@caprock/ai/BedrockTool/CachePoint",
  {
    defaultValue: () => undefined
  }
)

/**
 * A tool that Bedrock runs itself, by the name that its provider gives it, such as `nova_grounding`. It needs no handler; its calls and results
 * are parts of the answer. Only some models have any.
 *
 * @category constructors
 * @since 0.1.0
 */
export const systemTool = <const Name extends string>(name: Name) =>
  Tool.providerDefined({
    id: `bedrock.${name}`,
    customName: name,
    providerName: name,
    parameters: Schema.Unknown,
    success: Schema.Unknown,
    failure: Schema.Unknown
  })(undefined)
