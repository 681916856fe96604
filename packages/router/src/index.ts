/**
 * Which of several targets a call goes to, and what becomes of it there.
 *
 * @since 0.1.0
 */
export * as Account from "./Account.ts"
export * as Decision from "./Decision.ts"
export * as Describe from "./Describe.ts"
export * as Fence from "./Fence.ts"
export * as Health from "./Health.ts"
export * as LastResort from "./LastResort.ts"
export * as ModelRouter from "./ModelRouter.ts"
export * as Route from "./Route.ts"
export * as RouterError from "./RouterError.ts"
export * as RouterEvent from "./RouterEvent.ts"
export * as RouteTable from "./RouteTable.ts"
export * as Sending from "./Sending.ts"
export * as Target from "./Target.ts"
