/**
 * `effect/ai` on Bedrock.
 *
 * @since 0.1.0
 */
export * as AiErrors from "./AiErrors.ts"
export * as BedrockEmbeddingModel from "./BedrockEmbeddingModel.ts"
export * as BedrockLanguageModel from "./BedrockLanguageModel.ts"
export * as BedrockOptions from "./BedrockOptions.ts"
export * as BedrockTool from "./BedrockTool.ts"
export * as Resilient from "./Resilient.ts"
