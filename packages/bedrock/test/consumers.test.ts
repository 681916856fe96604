// Whoever reads a stream may leave it at any event, or read it slowly.
import { Bedrock } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel } from "@caprock/emulator"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { counted, until } from "../../client/test/faultLab.ts"
import { event, frames, server, startStream, turns } from "../../client/test/server.ts"

const nova = "amazon.nova-lite-v1:0"
const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"
const window = "10 hours"
const outputTokens = 12
const words = Array.from({ length: outputTokens }, (_, i) => `word${String.fromCharCode(97 + i)}`).join(" ")

const house = (endpoint: string) =>
  Effect.map(
    Layer.build(Bedrock.layer({
      region: "us-east-1",
      endpoint,
      credentials: { accessKeyId: "AKIDTEST", secretAccessKey: "secret" },
      quotas: { default: { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000 } },
      meters: { window }
    })),
    (context) => Context.get(context, Bedrock.Bedrock)
  )

/** An answer of which all is charged before its first word is read: the server is as far ahead as it can be. */
const emulated = Emulator.make({
  latency: LatencyModel.fixed(0),
  output: () => ({ text: words, outputTokens }),
  burndown: { [claude]: 5 },
  window
})

interface Asked {
  readonly modelId: string
  readonly ask: (bedrock: Bedrock.Service) => Stream.Stream<object, BedrockError>
}

// What output costs beyond what it reserves grows here: five tokens for each.
const asked: Readonly<Record<string, Asked>> = {
  converseStream: {
    modelId: claude,
    ask: ({ converseStream }) =>
      converseStream({
        modelId: claude,
        messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
        inferenceConfig: { maxTokens: outputTokens }
      })
  },
  invokeModelWithResponseStream: {
    modelId: claude,
    ask: ({ invokeModelWithResponseStream }) =>
      invokeModelWithResponseStream({
        modelId: claude,
        body: JSON.stringify({
          anthropic_version: "bedrock-2023-05-31",
          max_tokens: outputTokens,
          messages: [{ role: "user", content: "Why is the sky blue?" }]
        })
      })
  },
  "converseStream without burndown": {
    modelId: nova,
    ask: ({ converseStream }) =>
      converseStream({
        modelId: nova,
        messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
        inferenceConfig: { maxTokens: 100 }
      })
  }
}

describe.each(Object.entries(asked))("%s", (_, { ask, modelId }) => {
  it.effect("interrupted at any event closes its connection at once, and is settled with the most that it can have cost", () =>
    Effect.scoped(Effect.gen(function*() {
      const emulator = yield* emulated
      const intact = yield* Effect.scoped(Effect.gen(function*() {
        return yield* Stream.runCollect(ask(yield* house(emulator.url)))
      }))
      for (let last = 0; last <= intact.length; last++) {
        yield* counted((sleeping) =>
          Effect.scoped(Effect.gen(function*() {
            const bedrock = yield* house(emulator.url)
            const before = yield* emulator.stats
            // Nothing comes at all where it is to be left before the first event.
            if (last === 0) yield* emulator.inject(Fault.silence())
            const there = yield* Deferred.make<void>()
            let read = 0
            const reader = yield* Effect.forkChild(Stream.runForEach(ask(bedrock), () =>
              Effect.suspend(() =>
                ++read === last ? Effect.andThen(Deferred.succeed(there, undefined), Effect.never) : Effect.void
              )))
            if (last === 0) {
              yield* until(
                "it is asked",
                Effect.map(emulator.stats, ({ inFlight }) =>
                  inFlight === 1)
              )
            } else yield* Deferred.await(there)
            yield* Fiber.interrupt(reader)
            // Not the pool's: it was in the middle of an answer.
            yield* until("its connection is closed", Effect.map(emulator.stats, ({ open }) => open === 0))
            assert.strictEqual(sleeping(), 0, "nobody sleeps")
            const stats = yield* emulator.stats
            const charged = stats.tokens.settled - before.tokens.settled
            const { meters, waiting } = yield* bedrock.snapshot(modelId)
            const [requests = 0, tokens = 0] = meters.map(({ used }) => used)
            assert.deepStrictEqual([waiting, requests, stats.inFlight], [0, 1, 0])
            assert.isAtLeast(tokens, charged)
            // The last event tells what it cost.
            if (last === intact.length) assert.strictEqual(tokens, charged)
          }))
        )
      }
    })))

  it.effect("that is left early does the same", () =>
    Effect.scoped(Effect.gen(function*() {
      const emulator = yield* emulated
      const bedrock = yield* house(emulator.url)
      yield* ask(bedrock).pipe(Stream.take(4), Stream.runDrain)
      yield* until("its connection is closed", Effect.map(emulator.stats, ({ open }) => open === 0))
      const { meters } = yield* bedrock.snapshot(modelId)
      assert.isAtLeast(meters[1]?.used ?? 0, (yield* emulator.stats).tokens.settled)
    })))
})

describe("when answers are known", () => {
  it.effect("what was left costs as much as the longest of them", () =>
    Effect.scoped(Effect.gen(function*() {
      let answers = 0
      const short = 2
      const long = 10
      const maxTokens = 20
      const emulator = yield* Emulator.make({
        latency: LatencyModel.fixed(0),
        output: () => {
          const outputTokens = ++answers % 2 === 0 ? short : long
          return { text: words.split(" ").slice(0, outputTokens).join(" "), outputTokens }
        },
        burndown: { [claude]: 5 },
        window
      })
      const bedrock = yield* house(emulator.url)
      const stream = bedrock.converseStream({
        modelId: claude,
        messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
        inferenceConfig: { maxTokens }
      })
      const used = Effect.map(bedrock.snapshot(claude), ({ meters }) => meters[1]?.used ?? 0)
      for (let i = 0; i < 40; i++) yield* Stream.runDrain(stream)
      const settled = (yield* emulator.stats).tokens.settled
      assert.strictEqual(yield* used, settled)
      // The next is long: it costs 50 tokens of output, of which 20 are reserved.
      yield* stream.pipe(Stream.take(2), Stream.runDrain)
      yield* until("its connection is closed", Effect.map(emulator.stats, ({ open }) => open === 0))
      const input = settled / 40 - 5 * (short + long) / 2
      const booked = (yield* used) - settled
      assert.isAtLeast(booked, input + 5 * long)
      assert.isBelow(booked, 2 * input + 5 * long)
    })))
})

describe("a slow reader", () => {
  it.effect("of an endless stream holds its server back, and memory stays flat", () =>
    Effect.scoped(Effect.gen(function*() {
      // Thoughts are handed on, and not kept for the error that a broken stream ends with, as text is.
      const thought = event("contentBlockDelta", {
        contentBlockIndex: 0,
        delta: { reasoningContent: { text: "x".repeat(50_000) } }
      })
      let written = 0
      const { open, url } = yield* server((_request, response) => {
        startStream(response).write(Buffer.concat([frames.start, frames.text("Let me think.")]))
        const more = () => {
          while (!response.destroyed) {
            written++
            if (!response.write(thought)) return void response.once("drain", more)
          }
        }
        more()
      })
      const bedrock = yield* house(url)
      setFlagsFromString("--expose-gc")
      const collect: () => void = runInNewContext("gc")
      const memory = () => {
        collect()
        const { arrayBuffers, heapUsed } = process.memoryUsage()
        return heapUsed + arrayBuffers
      }
      const ahead: Array<number> = []
      const used: Array<number> = []
      let read = 0
      const error = yield* bedrock.converseStream({
        modelId: nova,
        messages: [{ role: "user", content: [{ text: "Hi" }] }]
      }).pipe(
        Stream.runForEach(() =>
          Effect.gen(function*() {
            if (++read % 20 !== 0) return
            // The server writes as much as it can meanwhile.
            yield* turns(20)
            ahead.push(written - read)
            if (read % 100 === 0) used.push(memory())
            if (read >= 1_000) return yield* Effect.fail("enough")
          })
        ),
        Effect.flip
      )
      assert.strictEqual(error, "enough")
      yield* until("the connection is closed", Effect.sync(() => open.size === 0))
      // 50 MB went by; what lies in between are the kernel's buffers and one of Node's.
      assert.isBelow(Math.max(...ahead) * thought.length, 16_000_000)
      // At times the kernel's buffers have just been read; what is kept is there every time.
      assert.isBelow(Math.min(...used.slice(-5)) - Math.min(...used.slice(0, 5)), 10_000_000)
    })))
})
