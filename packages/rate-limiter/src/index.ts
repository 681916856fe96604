/**
 * Requests and tokens per minute, admitted together: reserve, wait, settle.
 *
 * @since 0.1.0
 */
export * as Choice from "./Choice.ts"
export * as Cost from "./Cost.ts"
export * as Ledger from "./Ledger.ts"
export * as LimiterEvent from "./LimiterEvent.ts"
export * as LimiterStore from "./LimiterStore.ts"
export * as Meter from "./Meter.ts"
export * as Order from "./Order.ts"
export * as Priority from "./Priority.ts"
export * as RateLimiter from "./RateLimiter.ts"
export * as RateLimiterError from "./RateLimiterError.ts"
export * as Reservation from "./Reservation.ts"
