import * as BatchLimits from "@caprock/batch/BatchLimits"
import * as BatchSettings from "@caprock/batch/BatchSettings"
import { Result } from "effect"

/** Settings of a batch, with defaults. */
export const settled = (settings: Partial<BatchSettings.BatchSettings> = {}): BatchSettings.Settled =>
  Result.getOrThrow(BatchSettings.settle({
    model: "amazon.nova-lite-v1:0",
    invocationType: "Converse",
    roleArn: "arn:aws:iam::111122223333:role/batch",
    ...settings
  }))

/** The limits of Bedrock, but for what is given. */
export const limited = (limits: Partial<BatchLimits.BatchLimits> = {}): BatchLimits.BatchLimits => ({
  ...BatchLimits.defaults,
  ...limits
})
