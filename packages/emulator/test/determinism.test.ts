import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { client, collect, converse, converseStream, type Transport } from "./helpers.ts"

const options: Options.Options = {
  latency: LatencyModel.perToken(1, 0.05, { jitter: 0.5 }),
  output: OutputModel.fraction(0.1, 0.9),
  log: 1000
}

const prompts = Array.from({ length: 40 }, (_, i) => ({ text: `prompt ${i}`, maxTokens: 100 + i }))

/** What each prompt was answered, and how long that was drawn to take. */
const run = (
  options: Options.Options,
  how: { transport: Transport; concurrency: number; order: ReadonlyArray<(typeof prompts)[number]> }
) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make(options)
    const sdk = yield* client(emulator, how.transport)
    const answers = yield* Effect.forEach(
      how.order,
      ({ maxTokens, text }) =>
        converse(sdk, text, maxTokens).pipe(
          Effect.eventually,
          Effect.map((answer) => [text, answer.output?.message?.content?.[0]?.text] as const)
        ),
      { concurrency: how.concurrency }
    )
    const log = (yield* emulator.log).filter(({ outcome }) => outcome === "Answered")
    return {
      answers: new Map(answers),
      drawn: new Map(log.map((record) => [record.maxTokens, [record.outputTokens, record.latencyMillis]])),
      errors: (yield* emulator.stats).errors
    }
  })

describe("determinism", () => {
  it.live("the same prompt is answered alike, whoever sends it, however often, in whatever order", () =>
    Effect.gen(function*() {
      const calm = yield* run(options, { transport: "h1", concurrency: 1, order: prompts })
      const wild = yield* run(
        {
          ...options,
          faults: [{ fault: Fault.error("InternalServerException"), rate: 0.2 }, { fault: Fault.cut(0.5), rate: 0.2 }]
        },
        { transport: "h2", concurrency: 8, order: prompts.toReversed() }
      )
      assert.isNotEmpty(wild.errors)
      assert.strictEqual(calm.drawn.size, prompts.length)
      for (const { maxTokens, text } of prompts) {
        assert.strictEqual(wild.answers.get(text), calm.answers.get(text))
        assert.deepStrictEqual(wild.drawn.get(maxTokens), calm.drawn.get(maxTokens))
      }
      // And different prompts differently.
      assert.isAbove(new Set(calm.answers.values()).size, 35)
      assert.isAbove(new Set([...calm.drawn.values()].map(([tokens]) => tokens)).size, 20)
    }))

  it.live("another seed answers otherwise", () =>
    Effect.gen(function*() {
      const how = { transport: "h1", concurrency: 4, order: prompts } as const
      const one = yield* run({ ...options, seed: 1 }, how)
      const two = yield* run({ ...options, seed: 2 }, how)
      const same = prompts.filter(({ text }) => one.answers.get(text) === two.answers.get(text))
      assert.isAtMost(same.length, 2)
    }))

  it.live("equal prompts have each their own draw, and a failed one gives its draw back", () =>
    Effect.gen(function*() {
      const lengths = (concurrency: number, failures: number) =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.make({ ...options, latency: LatencyModel.fixed(5) })
          const sdk = yield* client(emulator)
          yield* emulator.inject(Fault.error("InternalServerException", { delayMillis: 3 }), { times: failures })
          const answers = yield* Effect.forEach(
            Array.from({ length: 12 }),
            () => converse(sdk, "the same", 1000).pipe(Effect.eventually),
            { concurrency }
          )
          return answers.map(({ usage }) => usage?.outputTokens ?? 0).toSorted((a, b) => a - b)
        })
      const calm = yield* lengths(1, 0)
      assert.isAbove(new Set(calm).size, 8)
      assert.deepStrictEqual(yield* lengths(12, 5), calm)
    }))

  it.live("the lowest draw that is free comes first", () =>
    Effect.gen(function*() {
      const text = (failures: number) =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.make(options)
          const sdk = yield* client(emulator)
          const failing = { times: failures, operation: "Converse" } as const
          yield* emulator.inject(Fault.error("InternalServerException", { delayMillis: 20 }), failing)
          yield* Effect.forEach(
            Array.from({ length: failures }),
            () => Effect.flip(converse(sdk, "the same", 100)),
            { concurrency: "unbounded" }
          )
          return (yield* converse(sdk, "the same", 100)).output?.message?.content?.[0]?.text
        })
      assert.strictEqual(yield* text(3), yield* text(0))
    }))

  it.live("a stream says what the answer in one piece says", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.make(options)
      const other = yield* Emulator.make(options)
      const whole = yield* converse(yield* client(emulator), "prompt", 200)
      const { stream } = yield* converseStream(yield* client(other), "prompt", 200)
      const { events } = yield* collect(stream)
      assert.strictEqual(
        events.map((event) => event.contentBlockDelta?.delta?.text ?? "").join(""),
        whole.output?.message?.content?.[0]?.text
      )
    }))
})

describe("models", () => {
  const draws = 400
  const random = (seed: number) => {
    let state = seed
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 4294967296
    }
  }
  const Seed = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))
  const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

  /** The median of so many draws, whose logarithms spread by 1, is off by 1.4 times once in ten million. */
  const near = (value: number, expected: number) => {
    assert.isAbove(value, expected / 1.4)
    assert.isBelow(value, expected * 1.4)
  }

  it.effect.prop("latencies stay within their bounds, and spread over them", [Seed], ([seed]) =>
    Effect.sync(() => {
      const next = random(seed)
      const of = (model: LatencyModel.LatencyModel, tokens = 100) =>
        Array.from({ length: draws }, () => LatencyModel.draw(model, tokens, next).total)
      assert.deepStrictEqual(new Set(of(LatencyModel.fixed(7))), new Set([7]))
      const uniform = of(LatencyModel.uniform(10, 20))
      assert.isAtLeast(Math.min(...uniform), 10)
      assert.isAtMost(Math.max(...uniform), 20)
      assert.closeTo(median(uniform), 15, 1.5)
      const bounded = of(LatencyModel.logNormal(100, 1, { minMillis: 50, maxMillis: 300 }))
      assert.strictEqual(Math.min(...bounded), 50)
      assert.strictEqual(Math.max(...bounded), 300)
      near(median(bounded), 100)
      const unbounded = of(LatencyModel.logNormal(100, 5))
      assert.isAtLeast(Math.min(...unbounded), 1)
      assert.isAtMost(Math.max(...unbounded), 10_000)
      const jittered = of(LatencyModel.perToken(100, 10, { jitter: 0.2, maxMillis: 1200 }))
      assert.isAtLeast(Math.min(...jittered), 880 - 1e-9)
      assert.strictEqual(Math.max(...jittered), 1200)
      assert.deepStrictEqual(LatencyModel.draw(LatencyModel.perToken(100, 10), 5, next), { first: 100, total: 150 })
    }))

  it.effect.prop("lengths stay within their bounds, and spread over them", [Seed], ([seed]) =>
    Effect.sync(() => {
      const next = random(seed)
      const of = (model: OutputModel.OutputModel, maxTokens: number | undefined) =>
        Array.from({ length: draws }, () => OutputModel.draw(model, maxTokens, next))
      assert.deepStrictEqual(new Set(of(OutputModel.fixed(7), 100)), new Set([7]))
      const fraction = of(OutputModel.fraction(0.25, 0.5), 1000)
      assert.isAtLeast(Math.min(...fraction), 250)
      assert.isAtMost(Math.max(...fraction), 500)
      assert.closeTo(median(fraction), 375, 40)
      assert.isAtMost(Math.max(...of(OutputModel.fraction(0.25, 0.5), undefined)), 500)
      const capped = of(OutputModel.logNormal(100, 1, { maxTokens: 300 }), 10_000)
      assert.strictEqual(Math.max(...capped), 300)
      near(median(capped), 100)
    }))
})
