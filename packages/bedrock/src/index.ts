/** @since 0.1.0 */
export * as Bedrock from "./Bedrock.ts"
/** @since 0.1.0 */
export * as CallEvents from "./CallEvents.ts"
/** @since 0.1.0 */
export * as Refund from "./Refund.ts"
