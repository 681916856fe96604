/**
 * A local Bedrock that enforces quotas, for tests, demos and load tests.
 *
 * @since 0.1.0
 */
export * as Batch from "./Batch.ts"
export * as Emulator from "./Emulator.ts"
export * as EmulatorError from "./EmulatorError.ts"
export * as Fault from "./Fault.ts"
export * as LatencyModel from "./LatencyModel.ts"
export * as LowerBound from "./LowerBound.ts"
export * as Meter from "./Meter.ts"
export * as Options from "./Options.ts"
export * as OutputModel from "./OutputModel.ts"
export * as Stats from "./Stats.ts"
export * as TokenCounter from "./TokenCounter.ts"
