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

/**
 * A quota of the account, as Service Quotas lists it.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamedQuota {
  readonly name: string
  readonly value: number
}

/**
 * The limits for a model by the account's own quotas, and what holds for most models where none of them says it. `model` is its name in the names of
 * quotas, such as `"Claude Sonnet 4"`. A value that is no whole number above 0 counts as none. Pure; O(quotas).
 *
 * **Example** (An account whose quota was raised)
 *
 * ```ts
 * import { BatchLimits } from "@caprock/batch"
 *
 * const limits = BatchLimits.fromQuotas("Claude Sonnet 4", [
 *   { name: "Records per batch inference job for Claude Sonnet 4", value: 250_000 },
 *   { name: "Batch inference job size (in GB) for Claude Sonnet 4", value: 10 }
 * ])
 * console.log(limits.recordsPerJob, limits.bytesPerJob, limits.minimumRecords) // => 250000 10000000000 100
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromQuotas = (model: string, quotas: ReadonlyArray<NamedQuota>): BatchLimits => {
  const values = new Map(quotas.map(({ name, value }) => [plain(name), value]))
  const read = (name: string, otherwise: number, unit = 1): number => {
    const value = (values.get(plain(`${name} for ${model}`)) ?? 0) * unit
    return Number.isSafeInteger(value) && value >= 1 ? value : otherwise
  }
  return {
    minimumRecords: read("Minimum number of records per batch inference job", defaults.minimumRecords),
    recordsPerJob: read("Records per batch inference job", defaults.recordsPerJob),
    recordsPerFile: read("Records per input file per batch inference job", defaults.recordsPerFile),
    bytesPerFile: read("Batch inference input file size", defaults.bytesPerFile, gigabyte),
    bytesPerJob: read("Batch inference job size", defaults.bytesPerJob, gigabyte),
    jobs: read("Sum of in-progress and submitted batch inference jobs using a base model", defaults.jobs)
  }
}

const gigabyte = 1_000_000_000

/** Some names have the unit before the model, some after it, and some not at all (General Reference, copy of 2026-04). */
const plain = (name: string): string => name.replace("(in GB)", "").replace(/\s+/g, " ").trim().toLowerCase()
