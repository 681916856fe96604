/**
 * When to try again, and how often in all: schedules with jitter, and a budget over all calls.
 *
 * @since 0.1.0
 */
export * as Backoff from "./Backoff.ts"
export * as RetryBudget from "./RetryBudget.ts"
