/**
 * Bedrock model ids, pools, quotas, burndown and token estimates, as data and functions.
 *
 * @since 0.1.0
 */
export * as Accounting from "./Accounting.ts"
export * as Catalogue from "./Catalogue.ts"
export * as Family from "./Family.ts"
export * as ModelId from "./ModelId.ts"
export * as OutputPredictor from "./OutputPredictor.ts"
export * as Pool from "./Pool.ts"
export * as Quotas from "./Quotas.ts"
export * as TokenEstimator from "./TokenEstimator.ts"
