/**
 * Which of several targets a call goes to: targets and fences as data.
 *
 * @since 0.1.0
 */
export * as Fence from "./Fence.ts"
export * as Health from "./Health.ts"
export * as RouterError from "./RouterError.ts"
export * as RouterEvent from "./RouterEvent.ts"
export * as Target from "./Target.ts"
