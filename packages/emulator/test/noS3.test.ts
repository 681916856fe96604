import * as Emulator from "@caprock/emulator/Emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"

// As where it is not installed.
vi.mock("@aws-sdk/client-s3", () => {
  throw new Error("Cannot find package '@aws-sdk/client-s3'")
})

describe("an emulator beside which there is no client of S3", () => {
  it.effect("says which package batch jobs need, and does without for all else", () =>
    Effect.gen(function*() {
      const { kind, message } = yield* Effect.flip(
        Emulator.make({ batch: { s3: { endpoint: "http://127.0.0.1:9000" } } })
      )
      assert.strictEqual(kind, "package")
      assert.match(message, /option batch: it needs the package @aws-sdk\/client-s3/)
      assert.match((yield* Emulator.make()).url, /^http:/)
    }))
})
