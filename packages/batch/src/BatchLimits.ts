/**
 * What Bedrock allows of batch jobs, as data.
 *
 * The defaults are those of the User Guide's quota page, read 2026-11; most can be raised by AWS, and some models have others.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1e15 }))

/**
 * The limits of an account for a model.
 *
 * - `minimumRecords`: of a job. What is less goes on demand.
 * - `recordsPerJob`, `recordsPerFile`: at most.
 * - `bytesPerFile`, `bytesPerJob`: at most.
 * - `jobs`: that may be submitted or in progress at one time, of all who use the model in the Region.
 *
 * @category models
 * @since 0.1.0
 */
export const BatchLimits = Schema.Struct({
  minimumRecords: Count,
  recordsPerJob: Count,
  recordsPerFile: Count,
  bytesPerFile: Count,
  bytesPerJob: Count,
  jobs: Count
})

/**
 * The limits of an account for a model.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchLimits = typeof BatchLimits.Type

/**
 * What holds for most models (User Guide, quotas, read 2026-11). AWS writes gigabytes: the smaller reading is safe under both.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults: BatchLimits = {
  minimumRecords: 100,
  recordsPerJob: 100_000,
  recordsPerFile: 100_000,
  bytesPerFile: 1_000_000_000,
  bytesPerJob: 5_000_000_000,
  jobs: 100
}
