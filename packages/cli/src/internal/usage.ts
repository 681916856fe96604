// Counts of tokens, as the SDK reports them and as a line of the output has them.
import type { TokenUsage } from "@aws-sdk/client-bedrock-runtime"
import * as Schema from "effect/Schema"

/** Counts of tokens as Bedrock reports them. With prompt caching `inputTokens` is the part that was not cached. */
export const Usage = Schema.Struct({
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  cacheReadInputTokens: Schema.optionalKey(Schema.Finite),
  cacheWriteInputTokens: Schema.optionalKey(Schema.Finite)
})

export type Usage = typeof Usage.Type

/** The SDK's usage without what is not there. */
export const usageOf = (usage: TokenUsage | undefined): Usage => ({
  inputTokens: usage?.inputTokens ?? 0,
  outputTokens: usage?.outputTokens ?? 0,
  ...(usage?.cacheReadInputTokens === undefined ? {} : { cacheReadInputTokens: usage.cacheReadInputTokens }),
  ...(usage?.cacheWriteInputTokens === undefined ? {} : { cacheWriteInputTokens: usage.cacheWriteInputTokens })
})
