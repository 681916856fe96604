/**
 * Which of several targets a call goes to: targets and fences as data.
 *
 * @since 0.1.0
 */
export * as Fence from "./Fence.ts"
export * as Target from "./Target.ts"
