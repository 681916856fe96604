// What the SDK finds by itself where `layer` is not told: variables and profiles that nobody has checked.
import { BedrockClient } from "@caprock/client"
import { rowOf } from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { machine } from "./machine.ts"
import { request } from "./server.ts"

const keys = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_EC2_METADATA_DISABLED: "true" }
const profile = (lines: string) => ({ ".aws/config": `[default]\n${lines}\n` })
const regionOf = (variables: Record<string, string>, files?: Record<string, string>) =>
  Effect.scoped(Effect.gen(function*() {
    yield* machine({ ...keys, ...variables }, files)
    return (yield* BedrockClient.make()).region
  }))
const failed = (variables: Record<string, string>, files?: Record<string, string>) =>
  Effect.map(Effect.flip(regionOf(variables, files)), ({ problems }) => problems)

describe("the Region", () => {
  it.live("is that of a variable or a profile, or there is none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* regionOf({ AWS_REGION: "eu-central-1" }), "eu-central-1")
      assert.strictEqual(yield* regionOf({}, profile("region = eusc-de-east-1")), "eusc-de-east-1")
      assert.isUndefined(yield* regionOf({}))
      assert.isUndefined(yield* regionOf({ AWS_PROFILE: "nobody" }, profile("region = eu-central-1")))
    }))

  it.live("fails the layer where it is none, and is not taken for missing", () =>
    Effect.gen(function*() {
      const must = "must be a Region, such as \"us-east-1\"."
      assert.deepStrictEqual(yield* failed({ AWS_REGION: "us-east-1a" }), [
        { name: "region", message: `region is "us-east-1a", and ${must}` }
      ])
      for (const found of [failed({ AWS_REGION: "Frankfurt!" }), failed({}, profile("region = Frankfurt!"))]) {
        assert.deepStrictEqual(yield* found, [
          {
            name: "region",
            message: "region: Region not accepted: region=\"Frankfurt!\" is not a valid hostname component."
          }
        ])
      }
    }))
})

describe("the endpoint", () => {
  it.live("that is no URL is named, and how it may have been set", () =>
    Effect.gen(function*() {
      const cases = [
        [{ AWS_ENDPOINT_URL: "here" }, {}],
        [{ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: "here" }, {}],
        [{}, profile("endpoint_url = here")]
      ] as const
      for (const [variables, files] of cases) {
        yield* machine({ ...keys, AWS_REGION: "us-east-1", ...variables }, files)
        const client = yield* BedrockClient.make()
        const error = yield* Effect.flip(client.converse(request))
        assert.strictEqual(rowOf(error.reason), "ValidationError/malformed")
        assert.strictEqual(error.attempts, 0)
        assert.match(error.reason.message, /^Invalid URL "here"\. .*AWS_ENDPOINT_URL/)
      }
    }))
})
