// The SDK's own types, as `Bedrock` has them: so that this package needs no SDK of its own.
import type { Service } from "@caprock/bedrock/Bedrock"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

export type Input = Parameters<Service["converse"]>[0]
export type StreamInput = Parameters<Service["converseStream"]>[0]
export type Output = Effect.Success<ReturnType<Service["converse"]>>
export type Event = Stream.Success<ReturnType<Service["converseStream"]>>

export type Message = NonNullable<Input["messages"]>[number]
export type Block = NonNullable<Message["content"]>[number]
export type SystemBlock = NonNullable<Input["system"]>[number]
export type ToolResult = NonNullable<Block["toolResult"]>
export type ResultBlock = NonNullable<ToolResult["content"]>[number]
export type ToolConfig = NonNullable<Input["toolConfig"]>
export type Tool = NonNullable<ToolConfig["tools"]>[number]
export type CachePoint = NonNullable<Block["cachePoint"]>
export type Document = NonNullable<Block["document"]>
export type Citation = NonNullable<NonNullable<Block["citationsContent"]>["citations"]>[number]
export type Delta = NonNullable<NonNullable<Event["contentBlockDelta"]>["delta"]>
export type Start = NonNullable<NonNullable<Event["contentBlockStart"]>["start"]>
export type Metadata = NonNullable<Event["metadata"]>
