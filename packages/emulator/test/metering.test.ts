import { ConverseCommand, InvokeModelCommand } from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { client, collect, converse, converseStream, modelId, onlyPool, outcome, tokensUsed, until } from "./helpers.ts"

// "Hi" is one token, and a message costs four.
const input = 5

const tooManyRequests = "Too many requests, please wait before trying again."
const tooManyTokens = "Too many tokens, please wait before trying again."
const tooManyTokensPerDay = "Too many tokens per day, please wait before trying again."

/** Virtual time over real sockets: without latency nothing sleeps, and a window passes when the test says so. */
const start = (options: Options.Options) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({
      latency: LatencyModel.fixed(0),
      output: OutputModel.fixed(10),
      ...options
    })
    return { emulator, sdk: yield* client(emulator) }
  })

describe("accounting", () => {
  it.effect("reserves input and maxTokens on arrival, and refunds in place before the answer is out", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 1000 } })
      const sent = yield* Effect.forkChild(converse(sdk, "Hi [[emulate latency=1000]]", 500))
      yield* until("in flight", Effect.map(emulator.stats, ({ inFlight }) => inFlight === 1))
      const reserved = yield* tokensUsed(emulator)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* tokensUsed(emulator), reserved)
      yield* TestClock.adjust("1 millis")
      const { usage } = yield* Fiber.join(sent)
      assert.strictEqual(reserved, (usage?.inputTokens ?? 0) + 500)
      assert.strictEqual(yield* tokensUsed(emulator), (usage?.inputTokens ?? 0) + 10)
      const { tokens } = yield* emulator.stats
      assert.deepStrictEqual(tokens, { reserved, settled: usage?.totalTokens ?? 0 })
      // In place: what is left of the charge goes one window after its arrival, not after its settlement.
      yield* TestClock.adjust("58999 millis")
      assert.isAbove((yield* tokensUsed(emulator)) ?? 0, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* tokensUsed(emulator), 0)
    }))

  it.effect("reserves the model's maximum where maxTokens is not set", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ maxOutput: { [modelId]: 4096 } })
      yield* converse(sdk, "Hi")
      assert.strictEqual((yield* emulator.stats).tokens.reserved, input + 4096)
      yield* converse(sdk, "Hi", undefined, "amazon.nova-lite-v1:0")
      assert.strictEqual((yield* emulator.stats).tokens.reserved, 2 * input + 4096 + 64_000)
    }))

  it.effect("burndown counts at settlement only: the growth is a new charge, stamped at the end", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 100 }, burndown: { [modelId]: 5 } })
      const sent = yield* Effect.forkChild(converse(sdk, "Hi [[emulate latency=30000]]", 10))
      yield* until("in flight", Effect.map(emulator.stats, ({ inFlight }) => inFlight === 1))
      const reserved = (yield* tokensUsed(emulator)) ?? 0
      yield* TestClock.adjust("30 seconds")
      const tokens = (yield* Fiber.join(sent)).usage?.inputTokens ?? 0
      assert.strictEqual(reserved, tokens + 10)
      assert.strictEqual(yield* tokensUsed(emulator), tokens + 50)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* tokensUsed(emulator), 40)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* tokensUsed(emulator), 0)
    }))

  it.effect("debt throttles what comes after it", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ quota: { tokens: 60 }, burndown: 5 })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 1)), tooManyTokens)
    }))

  it.effect("checks requests first, then tokens, then the day's tokens", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { requests: 2, tokens: 100, tokensPerDay: 40 } })
      assert.deepStrictEqual(
        yield* Effect.forEach([96, 36, 10, 10, 96], (maxTokens) => outcome(converse(sdk, "Hi", maxTokens))),
        [tooManyTokens, tooManyTokensPerDay, "answered", "answered", tooManyRequests]
      )
      const stats = yield* emulator.stats
      assert.deepStrictEqual(stats.throttled, { requests: 1, tokens: 1, day: 1, total: 3 })
      assert.deepStrictEqual(stats.peak, { requests: 1, tokens: 0.3, tokensPerDay: 0.75 })
    }))

  it.effect("the day is 1,440 windows long", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ quota: { tokensPerDay: 15 }, window: "1 second" })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      yield* TestClock.adjust("1439 seconds")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), tooManyTokensPerDay)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
    }))

  it.effect("the account's day is of all its models together, and of each Region", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ accountTokensPerDay: 45, quotas: { [modelId]: { tokensPerDay: 30 } } })
      const other = "amazon.nova-micro-v1:0"
      // 15 of each: the input and the largest output.
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), tooManyTokensPerDay)
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, other)), "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, other)), tooManyTokensPerDay)
      const { peak, pools } = yield* emulator.stats
      assert.strictEqual(peak.tokensPerDay, 1)
      assert.deepStrictEqual(
        Object.values(pools).map(({ usage }) => usage.tokensPerDay),
        [{ used: 30, limit: 30 }, { used: 45, limit: 45 }]
      )
    }))

  it.effect("the account's day is refunded and raised like a model's own", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ accountTokensPerDay: 1000, burndown: 5 })
      const { usage } = yield* converse(sdk, "Hi [[emulate output=7]]", 100)
      const used = (usage?.inputTokens ?? 0) + 5 * 7
      const { pools } = yield* emulator.stats
      assert.deepStrictEqual(Object.values(pools).map(({ usage }) => usage.tokensPerDay), [{ used, limit: 1000 }])
    }))

  it.effect("a dip of every model is one of the account's day, for its time", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ accountTokensPerDay: 60 })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      yield* emulator.dip({ factor: 0.25, duration: "1 minute" })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), tooManyTokensPerDay)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
    }))

  it.effect("a limit of 0 always throttles, a limit left out never does", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({
        quota: { tokens: 0 },
        quotas: { "meta.llama3-3-70b-instruct-v1:0": { requests: 0 }, "amazon.nova-lite-v1:0": {} }
      })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), tooManyTokens)
      assert.strictEqual(
        yield* outcome(converse(sdk, "Hi", 10, "us.meta.llama3-3-70b-instruct-v1:0")),
        tooManyRequests
      )
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 60_000, "amazon.nova-lite-v1:0")), "answered")
    }))

  it.effect("a request larger than the whole quota is throttled for ever", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ quota: { tokens: 100 } })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 96)), tooManyTokens)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 96)), tooManyTokens)
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 95)), "answered")
    }))

  it.effect("a stream is settled before its last byte, and grows in the same way", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 1000 }, burndown: 5 })
      const { stream } = yield* converseStream(sdk, "Hi", 10)
      yield* collect(stream)
      assert.strictEqual(yield* tokensUsed(emulator), input + 50)
    }))

  it.effect("an embedding is charged its input alone", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 1000 } })
      yield* Effect.promise(() =>
        sdk.send(
          new InvokeModelCommand({
            modelId: "amazon.titan-embed-text-v2:0",
            body: JSON.stringify({ inputText: "one two three" })
          })
        )
      )
      assert.deepStrictEqual((yield* emulator.stats).tokens, { reserved: 3, settled: 3 })
    }))
})

describe("cached prompts", () => {
  const cached = (text: string, question: string) =>
    new ConverseCommand({
      modelId,
      system: [{ text }, { cachePoint: { type: "default" } }],
      messages: [{ role: "user", content: [{ text: question }] }],
      inferenceConfig: { maxTokens: 10 }
    })

  const long = "word ".repeat(1500)

  const ask = (options: Options.Options) =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 100_000 }, ...options })
      const send = (text: string) =>
        Effect.gen(function*() {
          const before = (yield* emulator.stats).tokens
          const { usage } = yield* Effect.promise(() => sdk.send(cached(text, "Hi")))
          const after = (yield* emulator.stats).tokens
          return { usage, reserved: after.reserved - before.reserved, settled: after.settled - before.settled }
        })
      return { send }
    })

  it.effect("are charged when written, and free when read", () =>
    Effect.gen(function*() {
      const { send } = yield* ask({})
      const first = yield* send(long)
      assert.deepStrictEqual(first.usage, {
        inputTokens: 5,
        outputTokens: 10,
        totalTokens: 1515,
        cacheReadInputTokens: 0,
        cacheWriteInputTokens: 1500
      })
      assert.deepStrictEqual([first.reserved, first.settled], [1515, 1515])
      const second = yield* send(long)
      assert.strictEqual(second.usage?.cacheReadInputTokens, 1500)
      assert.strictEqual(second.usage?.cacheWriteInputTokens, 0)
      assert.deepStrictEqual([second.reserved, second.settled], [15, 15])
      // Each use renews the five minutes; without use they end.
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual((yield* send(long)).usage?.cacheReadInputTokens, 1500)
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual((yield* send(long)).usage?.cacheReadInputTokens, 1500)
      yield* TestClock.adjust("300 seconds")
      assert.strictEqual((yield* send(long)).usage?.cacheReadInputTokens, 0)
    }))

  it.effect("are read as far as they are known, and written from there on", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({})
      const point = { cachePoint: { type: "default" as const } }
      const ask = (first: string, second: string) =>
        Effect.promise(() =>
          sdk.send(
            new ConverseCommand({
              modelId,
              system: [{ text: first }, point, { text: second }, point],
              messages: [{ role: "user", content: [{ text: "Hi" }] }],
              inferenceConfig: { maxTokens: 10 }
            })
          )
        ).pipe(Effect.map(({ usage }) => [usage?.cacheReadInputTokens, usage?.cacheWriteInputTokens]))
      assert.deepStrictEqual(yield* ask(long, "more ".repeat(500)), [0, 2000])
      assert.deepStrictEqual(yield* ask(long, "more ".repeat(500)), [2000, 0])
      assert.deepStrictEqual(yield* ask(long, "other ".repeat(500)), [1500, 500])
      assert.deepStrictEqual(yield* ask(`${long} not`, "other ".repeat(500)), [0, 2001])
    }))

  it.effect("can be part of the reservation, and are refunded then", () =>
    Effect.gen(function*() {
      const { send } = yield* ask({ reserveCacheReads: true })
      yield* send(long)
      const second = yield* send(long)
      assert.deepStrictEqual([second.reserved, second.settled], [1515, 15])
    }))

  it.effect("are not cached below the minimum", () =>
    Effect.gen(function*() {
      const { send } = yield* ask({ cacheMinimumTokens: 1501 })
      assert.strictEqual((yield* send(long)).usage?.cacheWriteInputTokens, 0)
      assert.strictEqual((yield* send(`${long} more`)).usage?.cacheWriteInputTokens, 1501)
    }))
})

describe("what AWS leaves open", () => {
  /** Twenty steps to a window, a request at each; which of them were admitted against a quota of two. */
  const admissions = (options: Options.Options, steps = 62) =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ quota: { requests: 2 }, window: "20 seconds", ...options })
      const admitted: Array<number> = []
      for (let step = 0; step < steps; step++) {
        if ((yield* outcome(converse(sdk, "Hi", 10))) === "answered") admitted.push(step)
        yield* TestClock.adjust("1 second")
      }
      return admitted
    })

  it.effect("shape rolling: each charge counts for one window", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* admissions({ shape: "rolling" }), [0, 1, 20, 21, 40, 41, 60, 61])
    }))

  it.effect("shape fixed: windows follow each other from a phase that the seed decides", () =>
    Effect.gen(function*() {
      const phases = new Set<number>()
      for (const seed of ["a", "b", "c"]) {
        const admitted = yield* admissions({ shape: "fixed", seed }, 45)
        const boundary = admitted[2] ?? 0
        assert.isAtMost(boundary, 20)
        assert.deepStrictEqual(admitted.slice(0, 6), [0, 1, boundary, boundary + 1, boundary + 20, boundary + 21])
        phases.add(boundary)
      }
      assert.isAbove(phases.size, 1)
    }))

  it.effect("shape bucket: refilled continuously", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* admissions({ shape: "bucket" }), [0, 1, 10, 20, 30, 40, 50, 60])
    }))

  it.effect("countRejected: a refused request counts against the request quota", () =>
    Effect.gen(function*() {
      // Trying at every step, a client that is counted for its refusals is never let in again.
      assert.deepStrictEqual(yield* admissions({ shape: "rolling", countRejected: true }), [0, 1])
      assert.deepStrictEqual(yield* admissions({ shape: "bucket", countRejected: true }, 30), [0, 1])
    }))

  it.effect("countRejected: a request refused for its tokens counts as well", () =>
    Effect.gen(function*() {
      for (const countRejected of [false, true]) {
        const { sdk } = yield* start({ quota: { requests: 2, tokens: 100 }, countRejected })
        const outcomes = yield* Effect.forEach([1000, 10, 10], (maxTokens) => outcome(converse(sdk, "Hi", maxTokens)))
        assert.deepStrictEqual(outcomes, [tooManyTokens, "answered", countRejected ? tooManyRequests : "answered"])
      }
    }))

  const generating = (options: Options.Options, stream: boolean) =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { tokens: 10_000 }, burndown: 5, ...options })
      const prompt = "Hi [[emulate output=100 latency=8000]]"
      const sent = yield* Effect.forkChild(
        stream
          ? Effect.flatMap(converseStream(sdk, prompt, 100), ({ stream }) => collect(stream))
          : converse(sdk, prompt, 100)
      )
      yield* until("in flight", Effect.map(emulator.stats, ({ inFlight }) => inFlight === 1))
      const reserved = (yield* tokensUsed(emulator)) ?? 0
      const used: Array<number> = []
      for (let second = 1; second <= 8; second++) {
        yield* TestClock.adjust("1 second")
        used.push(((yield* tokensUsed(emulator)) ?? 0) - reserved)
      }
      yield* Fiber.join(sent)
      return used
    })

  for (const stream of [false, true]) {
    const of = stream ? "a stream" : "an answer in one piece"

    it.effect(`adjust end: ${of} is charged its growth at the end`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* generating({ adjust: "end" }, stream), [0, 0, 0, 0, 0, 0, 0, 400])
      }))

    it.effect(`adjust during: ${of} is charged what it has generated so far`, () =>
      Effect.gen(function*() {
        const used = yield* generating({ adjust: "during" }, stream)
        assert.strictEqual(used.at(-1), 400)
        // The first token comes after a quarter of the time; the charge passes the reservation of 100 a fifth later.
        assert.deepStrictEqual(used.slice(0, 3), [0, 0, 0])
        for (const [i, amount] of used.slice(3, 7).entries()) {
          const generated = 100 * (4 + i - 2) / 6
          assert.isAtLeast(amount, Math.max(0, (generated - 20) * 5 - 100))
          assert.isAtMost(amount, Math.max(0, (generated + 20) * 5 - 100))
        }
        assert.isAbove(new Set(used).size, 4)
      }))
  }
})

describe("pools", () => {
  const bearer = { token: () => Promise.resolve({ token: "t" }), authSchemePreference: ["httpBearerAuth"] }

  it.effect("account, Region, model and access path keep apart", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { requests: 1 } })
      const model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
      const arn = `arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.${model}`
      const provisioned = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12"
      for (const id of [model, `us.${model}`, `global.${model}`, provisioned, "amazon.nova-lite-v1:0"]) {
        assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, id)), "answered", id)
      }
      // The same pools by another name.
      for (const id of [`eu.${model}`, arn, `arn:aws:bedrock:us-east-1::foundation-model/${model}`]) {
        assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, id)), tooManyRequests, id)
      }
      const elsewhere = yield* client(emulator, "h1", { region: "eu-west-1" })
      assert.strictEqual(yield* outcome(converse(elsewhere, "Hi", 10)), "answered")
      const other = yield* client(emulator, "h1", { credentials: { accessKeyId: "OTHER", secretAccessKey: "s" } })
      assert.strictEqual(yield* outcome(converse(other, "Hi", 10)), "answered")
      const withToken = yield* client(emulator, "h1", bearer)
      assert.strictEqual(yield* outcome(converse(withToken, "Hi", 10)), "answered")
      const keys = Object.keys((yield* emulator.stats).pools)
      assert.deepStrictEqual(keys.slice(0, 7), [
        `AKIDEXAMPLE/us-east-1/on-demand/${model}`,
        `AKIDEXAMPLE/us-east-1/cross-region/${model}`,
        `AKIDEXAMPLE/us-east-1/global/${model}`,
        "AKIDEXAMPLE/us-east-1/provisioned/abcdefghij12",
        "AKIDEXAMPLE/us-east-1/on-demand/amazon.nova-lite-v1:0",
        `AKIDEXAMPLE/eu-west-1/on-demand/${model}`,
        `OTHER/us-east-1/on-demand/${model}`
      ])
      assert.match(keys[7] ?? "", /^bearer-[0-9a-f]+\/us-east-1\/on-demand\//)
    }))

  it.effect("one account for all credentials, and the Region of requests that name none", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { requests: 1 }, account: "111122223333", region: "sa-east-1" })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      const other = yield* client(emulator, "h1", { credentials: { accessKeyId: "OTHER", secretAccessKey: "s" } })
      assert.strictEqual(yield* outcome(converse(other, "Hi", 10)), tooManyRequests)
      const withToken = yield* client(emulator, "h1", bearer)
      assert.strictEqual(yield* outcome(converse(withToken, "Hi", 10)), "answered")
      assert.deepStrictEqual(Object.keys((yield* emulator.stats).pools), [
        `111122223333/us-east-1/on-demand/${modelId}`,
        `111122223333/sa-east-1/on-demand/${modelId}`
      ])
    }))

  it.effect("a quota of its own replaces the default, by profile or by model", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({
        quota: { requests: 0 },
        quotas: { [modelId]: { requests: 1 }, [`us.${modelId}`]: { requests: 2 } }
      })
      const count = (id: string) =>
        Effect.forEach([1, 2, 3], () => outcome(converse(sdk, "Hi", 10, id))).pipe(
          Effect.map((outcomes) => outcomes.filter((outcome) => outcome === "answered").length)
        )
      assert.strictEqual(yield* count(modelId), 1)
      assert.strictEqual(yield* count(`us.${modelId}`), 2)
      assert.strictEqual(yield* count(`global.${modelId}`), 1)
      assert.strictEqual(yield* count("amazon.nova-lite-v1:0"), 0)
    }))

  it.effect("a dip multiplies every quota for a time", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({
        quota: { requests: 4 },
        window: "10 seconds",
        dips: [{ afterMillis: 20_000, durationMillis: 10_000, factor: 0.25 }]
      })
      const admitted = Effect.forEach([1, 2, 3, 4, 5], () => outcome(converse(sdk, "Hi", 10))).pipe(
        Effect.map((outcomes) => outcomes.filter((outcome) => outcome === "answered").length)
      )
      assert.strictEqual(yield* admitted, 4)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* admitted, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* admitted, 4)
      yield* emulator.dip({ duration: "5 seconds", factor: 0.5 })
      assert.strictEqual((yield* onlyPool(emulator)).usage.requests?.limit, 2)
      // A pool that is first used during the dip is under it as well.
      yield* converse(sdk, "Hi", 10, "amazon.nova-lite-v1:0")
      const { pools } = yield* emulator.stats
      assert.deepStrictEqual(Object.values(pools).map(({ usage }) => usage.requests?.limit), [2, 2])
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(Object.values((yield* emulator.stats).pools)[1]?.usage.requests?.limit, 4)
    }))
})
