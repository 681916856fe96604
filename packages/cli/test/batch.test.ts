import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { caprock } from "./command.ts"

// What the SDK signs with: the emulator takes any.
process.env["AWS_ACCESS_KEY_ID"] = "test"
process.env["AWS_SECRET_ACCESS_KEY"] = "test"

const role = "arn:aws:iam::111122223333:role/batch"
const setup = (...args: ReadonlyArray<string>) =>
  caprock(["batch", "setup", "--bucket", "nightly", "--model", "amazon.nova-lite-v1:0", ...args])

describe("caprock batch setup", () => {
  it.effect("prints the policies of the role and of the caller", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--prefix", "bulk/")
      assert.strictEqual(code, 0)
      const printed: unknown = JSON.parse(stdout)
      assert.hasAllKeys(printed, ["trust", "role", "caller"])
      assert.include(stdout, "arn:aws:bedrock:eu-west-1:111122223333:model-invocation-job/*")
      assert.include(stdout, "arn:aws:s3:::nightly/bulk/*")
      assert.notInclude(stdout, "kms:")
      const encrypted = yield* setup("--print", "--role", role, "--region", "eu-west-1", "--kms-key", "arn:aws:kms:a")
      assert.include(encrypted.stdout, "kms:Decrypt")
    }))

  it.effect("says what it needs to know", () =>
    Effect.gen(function*() {
      const neither = yield* setup("--role", role)
      assert.deepStrictEqual([neither.code, neither.stdout], [2, ""])
      assert.include(neither.stderr, "Add --print, or --check")
      const both = yield* setup("--role", role, "--print", "--check")
      assert.strictEqual(both.code, 2)
      const name = yield* setup("--role", "batch", "--print", "--region", "eu-west-1")
      assert.strictEqual(name.code, 2)
      assert.include(name.stderr, "batch is not the ARN of a role")
      const prefix = yield* setup("--role", role, "--print", "--region", "eu-west-1", "--prefix", "bulk")
      assert.strictEqual(prefix.code, 2)
      assert.include(prefix.stderr, "ends in a slash")
    }))

  it.live("checks, and says what to mend", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make()
      yield* emulator.inject(Fault.error("AccessDeniedException"), { operation: "ListModelInvocationJobs" })
      const { code, stdout } = yield* setup(
        "--check",
        "--role",
        "batch",
        "--region",
        "us-east-1",
        "--endpoint",
        emulator.url,
        // Whatever answers there, it is no S3.
        "--s3-endpoint",
        emulator.url
      )
      assert.strictEqual(code, 2)
      const lines = stdout.split("\n")
      assert.deepStrictEqual(lines.filter((line) => /^\S/.test(line)).map((line) => line.split(":")[0]), [
        "FAIL role",
        "FAIL bucket",
        "FAIL jobs"
      ])
      assert.include(stdout, "     Allow the caller CaprockJobs and CaprockList.")
    }))
})
