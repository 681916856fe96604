/**
 * Bedrock's runtime operations as typed Effects and Streams: one call, one HTTP request.
 *
 * @since 0.1.0
 */
export * as AnswerContent from "./AnswerContent.ts"
export * as BedrockClient from "./BedrockClient.ts"
export * as BedrockClientTest from "./BedrockClientTest.ts"
export * as BidirectionalStream from "./BidirectionalStream.ts"
export * as CallDeadline from "./CallDeadline.ts"
export * as CallObserver from "./CallObserver.ts"
export * as ConverseJson from "./ConverseJson.ts"
export * as Operations from "./Operations.ts"
export * as Settings from "./Settings.ts"
export * as Timeouts from "./Timeouts.ts"
export * as Usage from "./Usage.ts"
