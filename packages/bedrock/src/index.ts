/**
 * Bedrock with its quota kept: limiter, retries and client as one service.
 *
 * @since 0.1.0
 */
export * as Bedrock from "./Bedrock.ts"
export * as CallAccount from "./CallAccount.ts"
export * as CallEvents from "./CallEvents.ts"
export * as CallLimits from "./CallLimits.ts"
export * as CallMetrics from "./CallMetrics.ts"
export * as CallTurn from "./CallTurn.ts"
export * as Refund from "./Refund.ts"
export * as RouteMetrics from "./RouteMetrics.ts"
export * as Routes from "./Routes.ts"
