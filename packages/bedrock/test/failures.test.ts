import { BedrockError, Reason } from "@caprock/errors"
import { assert, it } from "@effect/vitest"
import { withAttempts } from "../src/internal/failures.ts"

it("an error keeps all that it says when the attempts of the whole call are known", () => {
  const error = new BedrockError.BedrockError({
    operation: "Converse",
    modelId: "amazon.nova-lite-v1:0",
    region: "us-east-1",
    requestId: "r-1",
    attempts: 1,
    httpStatus: 429,
    reason: new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens" }),
    cause: new Error("from below")
  })
  const same = withAttempts(error, 3)
  assert.deepStrictEqual({ ...same }, { ...error, attempts: 3 })
  assert.strictEqual(same.cause, error.cause)
  assert.strictEqual(withAttempts(error, 1), error)
})
