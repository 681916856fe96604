import type { TokenUsage } from "@aws-sdk/client-bedrock-runtime"
import type { Usage } from "../run/ResultLine.ts"

/** The SDK's usage without what is not there. */
export const usageOf = (usage: TokenUsage | undefined): Usage => ({
  inputTokens: usage?.inputTokens ?? 0,
  outputTokens: usage?.outputTokens ?? 0,
  ...(usage?.cacheReadInputTokens === undefined ? {} : { cacheReadInputTokens: usage.cacheReadInputTokens }),
  ...(usage?.cacheWriteInputTokens === undefined ? {} : { cacheWriteInputTokens: usage.cacheWriteInputTokens })
})
