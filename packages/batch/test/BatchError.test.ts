import * as BatchError from "@caprock/batch/BatchError"
import { BedrockError } from "@caprock/errors/BedrockError"
import { AccessError } from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const reasons: ReadonlyArray<[BatchError.Reason, RegExp]> = [
  [new BatchError.NotFound(), /none of that name.*submit it/],
  [new BatchError.Exists({ setting: "model" }), /another model: .*another name/],
  [new BatchError.InvalidSetting({ problem: "rounds is 0" }), /rounds is 0/],
  [new BatchError.InputChanged({ index: 7 }), /from record 7 .*another name/],
  [new BatchError.InputIncomplete({ records: 9 }), /9 records.*submit the same records again/],
  [new BatchError.Unsupported({ model: "m", feature: "tools" }), /m has no tools: send it on demand/],
  [new BatchError.RecordRefused({ id: "a", index: 3, problem: "no input" }), /record 3 \(a\).*no input/],
  [
    new BatchError.JobFailed({ job: "arn", status: "Failed", problem: "no access" }),
    /arn is Failed: no access.*do the same again/
  ],
  [new BatchError.StoppedElsewhere({ job: "arn" }), /stopped job arn: resume/],
  [new BatchError.LeaseHeld({ owner: "host", watched: Duration.seconds(9) }), /another process.*host/],
  [new BatchError.LeaseLost(), /took it over/],
  [new BatchError.StoreUnsafe({ problem: "ignores If-Match" }), /ignores If-Match: .*conditional writes/],
  [
    new BatchError.StoreFailed({ operation: "put", key: "a/b", kind: "unavailable", problem: "503" }),
    /put of a\/b failed: 503/
  ],
  [new BatchError.StoreFailed({ operation: "list", key: "", kind: "denied", problem: "403" }), /list of the bucket/],
  [new BatchError.Corrupt({ key: "a/b", problem: "no JSON" }), /a\/b is not what was written there: no JSON/],
  [
    new BatchError.ServiceFailed({
      error: new BedrockError({
        operation: "CreateModelInvocationJob",
        attempts: 1,
        reason: new AccessError({ kind: "denied", message: "no" })
      })
    }),
    /CreateModelInvocationJob/
  ],
  [new BatchError.SpillFailed({ problem: "ENOSPC" }), /ENOSPC.*any order/]
]

describe("the error of a batch", () => {
  it.each(reasons)("%s: says which batch, what happened, and what to do", (reason, said) => {
    const error = new BatchError.BatchError({ batch: "nightly", reason })
    assert.include(error.message, "batch nightly: ")
    assert.match(error.message, said)
  })

  it.effect("survives a process boundary with each of its reasons", () =>
    Effect.forEach(reasons, ([reason]) =>
      Effect.gen(function*() {
        const error = new BatchError.BatchError({ batch: "nightly", reason })
        const json = JSON.stringify(yield* Schema.encodeEffect(BatchError.BatchError)(error))
        const back = yield* Schema.decodeUnknownEffect(Schema.fromJsonString(BatchError.BatchError))(json)
        assert.strictEqual(back.message, error.message)
        assert.strictEqual(back.reason._tag, reason._tag)
      })))

  it("is worth another try where the bucket is out, and only there", () => {
    const kinds = ["missing", "denied", "unavailable", "other"] as const
    const failed = kinds.map((kind) =>
      new BatchError.StoreFailed({ operation: "get", key: "a", kind, problem: "" }).retryable
    )
    assert.deepEqual(failed, [false, false, true, false])
  })
})
