import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const throttled = new BedrockError.BedrockError({
  operation: "Converse",
  modelId: "m",
  attempts: 2,
  reason: new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens", retryAfter: Duration.seconds(3) })
})

describe("BedrockError", () => {
  it.effect("lets a reason be caught by its tag", () =>
    Effect.gen(function*() {
      const caught = yield* Effect.fail(throttled).pipe(
        Effect.catchReason("BedrockError", "ThrottlingError", (reason) => Effect.succeed(reason.limit))
      )
      assert.strictEqual(caught, "tokens")
    }))

  it.effect("unwraps into its reasons", () =>
    Effect.gen(function*() {
      const caught = yield* Effect.fail(throttled).pipe(
        Effect.unwrapReason("BedrockError"),
        Effect.catchTags({ ThrottlingError: (reason) => Effect.succeed(reason.limit) })
      )
      assert.strictEqual(caught, "tokens")
    }))

  it("answers the three questions", () => {
    assert.isTrue(throttled.retryable)
    assert.isTrue(throttled.retryableElsewhere)
    assert.deepStrictEqual(throttled.retryAfter, Duration.seconds(3))
    assert.isTrue(BedrockError.isBedrockError(throttled))
    assert.isFalse(BedrockError.isBedrockError(new Error("BedrockError")))
  })

  it.effect("survives JSON", () =>
    Effect.gen(function*() {
      const encoded = yield* Schema.encodeEffect(BedrockError.BedrockError)(throttled)
      const back = yield* Schema.decodeUnknownEffect(BedrockError.BedrockError)(JSON.parse(JSON.stringify(encoded)))
      assert.strictEqual(back.message, throttled.message)
      assert.deepStrictEqual(back.reason, throttled.reason)
    }))
})
