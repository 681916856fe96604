/**
 * What went wrong with a call to Bedrock: is it worth another try, when, and elsewhere?
 *
 * @since 0.1.0
 */
export * as BedrockError from "./BedrockError.ts"
export * as Classification from "./Classification.ts"
export * as Reason from "./Reason.ts"
export * as Verdict from "./Verdict.ts"
