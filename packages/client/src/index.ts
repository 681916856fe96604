export * as BedrockClient from "./BedrockClient.ts"
export * as CallObserver from "./CallObserver.ts"
export * as Timeouts from "./Timeouts.ts"
export * as Usage from "./Usage.ts"
