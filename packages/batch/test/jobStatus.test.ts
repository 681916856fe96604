import { assert, describe, it } from "@effect/vitest"
import { isKnown, isLast, isLasting } from "../src/internal/jobStatus.ts"

const lasts = (message?: string) => isLasting({ name: "n", token: "t", ...(message === undefined ? {} : { message }) })

describe("the message of a failed job", () => {
  it("is lasting where it names what AWS documents as such", () => {
    for (
      const message of [
        "AccessDeniedException: the role may not read the bucket",
        "Access denied by the role",
        "User is not authorized to perform s3:GetObject",
        "ResourceNotFoundException",
        "The bucket does not exist",
        "ValidationException: line 3",
        "The input has fewer records than the required minimum of 100",
        "The file is larger than the maximum"
      ]
    ) assert.isTrue(lasts(message), message)
  })

  it("is none that is known otherwise", () => {
    for (
      const message of [
        undefined,
        "",
        "The system encountered an unexpected error during processing.",
        "Internal error",
        "The model is not available at the moment",
        "Reading s3://bucket/in/ timed out",
        "Rate limit exceeded"
      ]
    ) assert.isFalse(lasts(message), message)
  })
})

describe("the status of a job", () => {
  it("is one of those that the API reference has, or nobody knows it", () => {
    const known = ["Submitted", "Validating", "Scheduled", "InProgress", "Stopping"]
    const last = ["Completed", "PartiallyCompleted", "Failed", "Expired", "Stopped"]
    for (const status of known) assert.deepEqual([isKnown(status), isLast(status)], [true, false], status)
    for (const status of last) assert.deepEqual([isKnown(status), isLast(status)], [true, true], status)
    assert.deepEqual([isKnown("Paused"), isLast("Paused")], [false, false])
  })
})
