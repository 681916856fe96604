import * as BatchSettings from "@caprock/batch/BatchSettings"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Result } from "effect"

const least: BatchSettings.BatchSettings = {
  model: "amazon.nova-lite-v1:0",
  invocationType: "Converse",
  roleArn: "arn:aws:iam::111122223333:role/batch"
}

describe("settings", () => {
  it.effect("have a default each, and keep what is set", () =>
    Effect.gen(function*() {
      assert.deepEqual({ ...(yield* Effect.fromResult(BatchSettings.settle(least))) }, {
        ...least,
        timeoutHours: 72,
        rounds: 3,
        small: "on-demand",
        strict: false
      })
      const all: BatchSettings.BatchSettings = {
        ...least,
        timeoutHours: 24,
        rounds: 1,
        small: "fail",
        strict: true,
        deadline: "2 days",
        tags: { team: "search" },
        kmsKeyId: "key",
        bucketOwner: "111122223333"
      }
      const settled = yield* Effect.fromResult(BatchSettings.settle(all))
      assert.deepEqual({ ...settled }, { ...all, deadline: Duration.days(2) })
    }))

  it.each<[string, Partial<BatchSettings.BatchSettings>, string]>([
    ["a timeout below a day", { timeoutHours: 23 }, "timeoutHours"],
    ["a timeout above a week", { timeoutHours: 169 }, "timeoutHours"],
    ["no round at all", { rounds: 0 }, "rounds"],
    ["no model", { model: "" }, "model"],
    ["a role by its name", { roleArn: "batch" }, "roleArn"],
    ["an owner that is no account", { bucketOwner: "me" }, "bucketOwner"]
  ])("are refused with %s", (_, setting, named) => {
    const settled = BatchSettings.settle({ ...least, ...setting })
    assert.isTrue(Result.isFailure(settled))
    if (Result.isFailure(settled)) assert.include(String(settled.failure), named)
  })
})
