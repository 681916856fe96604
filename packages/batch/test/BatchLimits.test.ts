import * as BatchLimits from "@caprock/batch/BatchLimits"
import { assert, describe, it } from "@effect/vitest"

const quotas = [
  { name: "Minimum number of records per batch inference job for Claude Sonnet 4", value: 10 },
  { name: "Records per batch inference job for Claude Sonnet 4", value: 20 },
  { name: "Records per input file per batch inference job for Claude Sonnet 4", value: 30 },
  { name: "Batch inference input file size (in GB) for Claude Sonnet 4", value: 4 },
  { name: "Batch inference job size for Claude Sonnet 4 (in GB)", value: 5 },
  { name: "Sum of in-progress and submitted batch inference jobs using a base model for Claude Sonnet 4", value: 60 }
]

describe("BatchLimits.fromQuotas", () => {
  it("reads each limit of the model, whatever is between its words", () => {
    assert.deepStrictEqual(BatchLimits.fromQuotas("Claude Sonnet 4", quotas), {
      minimumRecords: 10,
      recordsPerJob: 20,
      recordsPerFile: 30,
      bytesPerFile: 4_000_000_000,
      bytesPerJob: 5_000_000_000,
      jobs: 60
    })
  })

  it("takes nothing from another model, whose name begins with this one's or has it", () => {
    assert.deepStrictEqual(BatchLimits.fromQuotas("Claude Sonnet", quotas), BatchLimits.defaults)
    assert.deepStrictEqual(BatchLimits.fromQuotas("Claude Sonnet 4.5", quotas), BatchLimits.defaults)
  })

  it("takes nothing that makes no sense", () => {
    const senseless = [0, -1, 0.5, Number.NaN, Infinity].map((value) =>
      BatchLimits.fromQuotas("X", [{ name: "Records per batch inference job for X", value }])
    )
    for (const limits of senseless) assert.deepStrictEqual(limits, BatchLimits.defaults)
  })
})
