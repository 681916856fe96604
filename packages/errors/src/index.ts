/** @since 0.1.0 */
export * as BedrockError from "./BedrockError.ts"
/** @since 0.1.0 */
export * as Classification from "./Classification.ts"
/** @since 0.1.0 */
export * as Reason from "./Reason.ts"
/** @since 0.1.0 */
export * as Verdict from "./Verdict.ts"
