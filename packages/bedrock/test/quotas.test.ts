// The quotas that a layer is given, in each form that it takes.
import { Bedrock } from "@caprock/bedrock"
import { BedrockClientTest } from "@caprock/client"
import { Emulator } from "@caprock/emulator"
import { Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Layer, Result } from "effect"

const nova = "amazon.nova-lite-v1:0"
const claude = "us.anthropic.claude-sonnet-4-6"

const limits = (modelId: string) =>
  Bedrock.Bedrock.use((bedrock) =>
    Effect.map(bedrock.snapshot(modelId), ({ meters }) => meters.map(({ limit, unit }) => `${limit} ${unit}`))
  )

const both = Effect.all([limits(nova), limits(claude)])
const expected: [Array<string>, Array<string>] = [["100 requests"], ["6000000 tokens"]]

const entries = { default: { requestsPerMinute: 100 }, [claude]: { tokensPerMinute: 6_000_000 } }

describe("quotas", () => {
  it.effect("are entries in plain sight", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.provide(both, Bedrock.layerTest({}, { quotas: entries })), expected)
    }))

  it.effect("are `Quotas`", () =>
    Effect.gen(function*() {
      const quotas = yield* Effect.fromResult(Quotas.make(entries))
      assert.deepStrictEqual(yield* Effect.provide(both, Bedrock.layerTest({}, { quotas })), expected)
    }))

  it.effect("are in the environment", () =>
    Effect.gen(function*() {
      const env = { CAPROCK_RPM: "100", CAPROCK_QUOTAS: JSON.stringify({ [claude]: entries[claude] }) }
      const layer = Bedrock.layerConfig({ region: "us-east-1" }).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
      )
      assert.deepStrictEqual(yield* Effect.provide(both, layer), expected)
    }))

  it.effect("are none unless given", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.provide(both, Bedrock.layerTest({})), [[], []])
    }))

  it.effect("hold a scripted client back on the test's clock", () =>
    Effect.gen(function*() {
      const bedrock = yield* Bedrock.Bedrock
      const call = bedrock.converse({ modelId: nova, messages: [], inferenceConfig: { maxTokens: 60 } })
      yield* call
      assert.isTrue(Exit.isFailure(yield* Effect.exit(call)))
      const { requests } = yield* BedrockClientTest.BedrockClientTest
      assert.lengthOf(yield* requests, 1)
    }).pipe(Effect.provide(Bedrock.layerTest(
      { converse: () => BedrockClientTest.answer("hi") },
      { quotas: { default: { requestsPerMinute: 1 } }, maxWait: "1 second" }
    ))))

  it.live("the account's day is kept over all its models, and who has no room in it is told before it is sent", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const layer = Bedrock.layer({
        endpoint: emulator.url,
        region: "us-east-1",
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        quotas: { account: { tokensPerDay: 1100 } },
        maxWait: "1 minute",
        withoutQuota: "unlimited"
      })
      const ask = (modelId: string) =>
        Bedrock.Bedrock.use((bedrock) =>
          Effect.result(bedrock.converse({
            modelId,
            messages: [{ role: "user", content: [{ text: "Hi [[emulate output=300]]" }] }],
            inferenceConfig: { maxTokens: 300 }
          }))
        )
      const models = ["amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0", claude, "us.meta.llama3-3-70b-instruct-v1:0"]
      const answers = yield* Effect.forEach(models, ask, { concurrency: 4 }).pipe(Effect.provide(layer))
      const failures = answers.flatMap((answer) => Result.isFailure(answer) ? [answer.failure.reason._tag] : [])
      assert.deepStrictEqual(failures, ["AdmissionError"])
      const { requests, throttled } = yield* emulator.stats
      assert.deepStrictEqual([requests, throttled.total], [3, 0])
    }).pipe(Effect.provide(Emulator.layer({ accountTokensPerDay: 1100 }))))
})
