/**
 * Bulk work as Amazon Bedrock batch jobs, with its journal in the bucket.
 *
 * @since 0.1.0
 */
export * as BatchAccess from "./BatchAccess.ts"
export * as BatchError from "./BatchError.ts"
export * as BatchJournal from "./BatchJournal.ts"
export * as BatchLimits from "./BatchLimits.ts"
export * as BatchOffload from "./BatchOffload.ts"
export * as BatchPlan from "./BatchPlan.ts"
export * as BatchRecord from "./BatchRecord.ts"
export * as BatchSettings from "./BatchSettings.ts"
export * as JobControl from "./JobControl.ts"
export * as JobControlTest from "./JobControlTest.ts"
export * as JobEvents from "./JobEvents.ts"
export * as ObjectStore from "./ObjectStore.ts"
