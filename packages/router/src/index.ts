/**
 * Which of several targets a call goes to: targets and fences as data.
 *
 * @since 0.1.0
 */
export * as Decision from "./Decision.ts"
export * as Describe from "./Describe.ts"
export * as Fence from "./Fence.ts"
export * as Route from "./Route.ts"
export * as RouteTable from "./RouteTable.ts"
export * as Target from "./Target.ts"
