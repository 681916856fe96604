import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import * as Options from "@caprock/emulator/Options"
import * as TokenCounter from "@caprock/emulator/TokenCounter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { client, converse, modelId, outcome } from "./helpers.ts"

const s3 = { endpoint: "http://127.0.0.1:9000" }

describe("options", () => {
  const wrong: ReadonlyArray<readonly [options: unknown, message: RegExp]> = [
    [{ port: 70_000 }, /^emulator option port: /],
    [{ prot: 0 }, /^emulator option prot: /],
    [{ window: "soon" }, /^emulator option window: .*positive duration/],
    [{ window: 0 }, /^emulator option window: /],
    [{ window: "Infinity" }, /^emulator option window: /],
    [{ shape: "square" }, /^emulator option shape: .*"rolling" \| "fixed" \| "bucket"/],
    [{ adjust: "never" }, /^emulator option adjust: /],
    [{ quota: { tokens: -1 } }, /^emulator option quota\.tokens: /],
    [{ quota: { tpm: 1 } }, /^emulator option quota\.tpm: /],
    [{ quotas: { m: { requests: "many" } } }, /^emulator option quotas\.m\.requests: /],
    [{ maxOutput: 0 }, /^emulator option maxOutput/],
    [{ latency: { _tag: "Uniform", minMillis: 5, maxMillis: 1 } }, /latency.*minMillis must not be above maxMillis/],
    [{ latency: { _tag: "Fixed", millis: -1 } }, /^emulator option latency\.millis: /],
    [{ output: { _tag: "Fraction", min: 2, max: 1 } }, /output.*min must not be above max/],
    [{ faults: [{ fault: Fault.reset, rate: 0.6 }, { fault: Fault.reset, rate: 0.6 }] }, /faults.*add up/],
    [{ faults: [{ fault: Fault.reset, rate: 2 }] }, /^emulator option faults\.0\.rate: /],
    [{ faults: [{ fault: { _tag: "Error", name: "Nope" }, rate: 0.1 }] }, /^emulator option faults\.0\.fault/],
    [{ dips: [{ afterMillis: 0, durationMillis: 1 }] }, /^emulator option dips\.0\.factor: /],
    [{ guardrails: { "No Id": {} } }, /^emulator option guardrails\.No Id: /],
    [{ guardrails: { abc: { words: ["a"] } } }, /^emulator option guardrails\.abc\.words: /],
    [{ guardrails: { abc: { blockedWords: [""] } } }, /^emulator option guardrails\.abc\.blockedWords\.0: /],
    [{ jobDuration: 0 }, /^emulator option jobDuration: .*positive duration/],
    [{ batch: {} }, /^emulator option batch\.s3: /],
    [{ batch: { s3: { endpoint: "books" } } }, /^emulator option batch\.s3\.endpoint: Expected a URL/],
    [{ batch: { s3, hour: 0 } }, /^emulator option batch\.hour: .*positive duration/],
    [{ batch: { s3, delays: { submitted: 5 } } }, /^emulator option batch\.delays\.submitted/],
    [{ batch: { s3, delays: { queued: LatencyModel.fixed(1) } } }, /^emulator option batch\.delays\.queued: /],
    [{ batch: { s3, limits: { recordsPerJob: 0 } } }, /^emulator option batch\.limits\.recordsPerJob: /],
    [{ faults: [{ fault: Fault.reset, rate: 0.1, operation: "Record" }] }, /^emulator option faults\.0\.operation/],
    [{ faults: [{ fault: Fault.job("Failed", { at: 2 }), rate: 0.1 }] }, /^emulator option faults\.0\.fault/],
    [{ log: 1.5 }, /^emulator option log: /]
  ]

  it.effect.each(wrong)("%j is refused by name", ([options, message]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Options.check(options))
      assert.strictEqual(error.kind, "options")
      assert.match(error.message, message)
    }))

  it.effect("all that is wrong is said at once", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(Options.check({ port: -1, shape: "square" }))
      assert.strictEqual(message.split("\n").length, 2)
    }))

  it.effect("an emulator does not start on wrong options", () =>
    Effect.gen(function*() {
      const { kind } = yield* Effect.flip(Emulator.make({ quota: { tokens: Number.NaN } }))
      assert.strictEqual(kind, "options")
    }))

  it.effect("the defaults are right, and models are data that survive JSON", () =>
    Effect.gen(function*() {
      yield* Options.check(Options.defaults)
      const written = {
        latency: LatencyModel.logNormal(100, 0.5, { maxMillis: 1000 }),
        faults: [{ fault: Fault.error("Overloaded", { retryAfter: 3 }), rate: 0.5 }]
      }
      assert.deepStrictEqual(yield* Options.check(JSON.parse(JSON.stringify(written))), written)
    }))
})

describe("statistics", () => {
  it.live("requests per call, by the SDK's own id and by body", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(0) })
      const retrying = yield* client(emulator, "h1", { maxAttempts: 3 })
      yield* emulator.inject(Fault.error("InternalServerException"), { times: 2 })
      yield* converse(retrying, "first", 10)
      yield* converse(retrying, "second", 10)
      const { perBody, perInvocation, requests } = yield* emulator.stats
      assert.strictEqual(requests, 4)
      assert.deepStrictEqual(perInvocation, { distinct: 2, max: 3, mean: 2 })
      assert.deepStrictEqual(perBody, { distinct: 2, max: 3, mean: 2 })
    }))

  it.live("connections: the SDK opens one for each request unless its handler keeps them", () =>
    Effect.gen(function*() {
      for (const [transport, connections] of [["h1", 1], ["h2", 5]] as const) {
        const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(0) })
        const sdk = yield* client(emulator, transport)
        yield* Effect.forEach([1, 2, 3, 4, 5], () => converse(sdk, "Hi", 10))
        assert.strictEqual((yield* emulator.stats).connections, connections)
      }
    }))

  it.live("the log keeps the latest requests, with what a judge needs", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make({
        latency: LatencyModel.fixed(3),
        log: 4,
        quota: { tokens: 1000 },
        burndown: 5
      })
      const sdk = yield* client(emulator)
      yield* Effect.forEach([1, 2, 3], () => converse(sdk, "Hi", 10))
      yield* emulator.inject(Fault.reset)
      yield* outcome(converse(sdk, "Hi [[emulate output=20]]", 100))
      yield* outcome(converse(sdk, "Hi [[emulate output=20]]", 100))
      yield* outcome(converse(sdk, "Hi", 2000))
      yield* outcome(converse(sdk, "Hi", 10, "nonsense"))
      const log = yield* emulator.log
      assert.deepStrictEqual(log.map(({ outcome }) => outcome), [
        "Reset",
        "Answered",
        "ThrottledTokens",
        "ValidationException"
      ])
      const [, answered, throttled, invalid] = log
      const { arrivedAt = 0, endedAt = 0, invocationId, inputTokens = 0, requestId, ...rest } = answered ?? {}
      assert.isAtLeast(endedAt - arrivedAt, 2.9)
      assert.match(invocationId ?? "", /^[0-9a-f-]{36}$/)
      assert.match(requestId ?? "", /^[0-9a-f-]{36}$/)
      assert.deepStrictEqual(rest, {
        operation: "Converse",
        modelId,
        pool: `AKIDEXAMPLE/us-east-1/on-demand/${modelId}`,
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
        maxTokens: 100,
        outputTokens: 20,
        latencyMillis: 3,
        reserved: inputTokens + 100,
        settled: inputTokens + 100,
        outcome: "Answered"
      })
      assert.deepStrictEqual([throttled?.maxTokens, throttled?.reserved], [2000, 0])
      assert.deepStrictEqual([invalid?.modelId, invalid?.pool], ["nonsense", ""])
      const quiet = yield* Emulator.make()
      yield* converse(yield* client(quiet), "Hi", 10)
      assert.deepStrictEqual(yield* quiet.log, [])
    }))
})

describe("TokenCounter", () => {
  it.effect.each<readonly [string, number]>([
    ["", 0],
    ["   ", 0],
    ["Hello, world!", 4],
    ["a bc def", 3],
    ["internationalisation", 3],
    ["12345", 2],
    ["x1y", 3],
    ["line\nline", 3],
    ["你好", 2],
    ["👋", 1],
    ["{\"a\":1}", 7]
  ])("%j", ([text, tokens]) => Effect.sync(() => assert.strictEqual(TokenCounter.count(text), tokens)))

  it.effect.prop(
    "a text with a blank between costs what its halves cost",
    [Schema.String, Schema.String],
    ([a, b]) =>
      Effect.sync(() =>
        assert.strictEqual(TokenCounter.count(`${a} ${b}`), TokenCounter.count(a) + TokenCounter.count(b))
      )
  )
})
