/** @since 0.1.0 */
export * as Backoff from "./Backoff.ts"
/** @since 0.1.0 */
export * as RetryBudget from "./RetryBudget.ts"
