import {
  BedrockRuntimeServiceException,
  InvokeModelWithResponseStreamCommand,
  ThrottlingException
} from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  client,
  collect,
  converse,
  converseStream,
  modelId,
  outcome,
  tokensUsed,
  type Transport,
  until
} from "./helpers.ts"

const transports: ReadonlyArray<Transport> = ["h1", "h2"]

const input = 5
const output = 40

const start = (transport: Transport = "h1", options: Options.Options = {}) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({
      latency: LatencyModel.fixed(0),
      output: OutputModel.fixed(output),
      quota: { tokens: 100_000, requests: 1000 },
      ...options
    })
    return { emulator, sdk: yield* client(emulator, transport) }
  })

/** Sends a stream and reads it to its end. */
const streamed = (sdk: Effect.Success<ReturnType<typeof client>>, text = "Hi") =>
  Effect.gen(function*() {
    const { stream } = yield* converseStream(sdk, text, 100)
    const { error, events } = yield* collect(stream)
    return {
      error,
      events,
      words: events.map((event) =>
        event.contentBlockDelta?.delta?.text ?? ""
      ).join("").split(" ").filter(Boolean).length,
      complete: events.some((event) => event.messageStop !== undefined) &&
        events.some((event) => event.metadata !== undefined)
    }
  })

const inFlight = (emulator: Emulator.Service, n = 1) =>
  until(`${n} in flight`, Effect.map(emulator.stats, ({ inFlight }) => inFlight === n))

describe("faults", () => {
  for (const transport of transports) {
    describe(`over ${transport}`, () => {
      it.effect("a connection reset before the answer is charged its input", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.reset)
          const { error } = yield* Effect.flip(converse(sdk, "Hi", 100))
          assert.strictEqual(
            error.message,
            transport === "h1" ? "read ECONNRESET" : "Unexpected error: http2 request did not get a response"
          )
          const stats = yield* emulator.stats
          assert.deepStrictEqual(stats.errors, { Reset: 1 })
          assert.strictEqual(yield* tokensUsed(emulator), input)
          assert.strictEqual(yield* outcome(converse(sdk, "Hi", 100)), "answered")
        }))

      it.effect("a stream cut midway has sent what came before, and is charged for it", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.cut(0.5))
          const { complete, error, words } = yield* streamed(sdk)
          assert.strictEqual(words, output / 2)
          assert.isFalse(complete)
          // HTTP/2's default handler ends such a stream in silence: a client must look for the last events.
          if (transport === "h1") assert.strictEqual((error as { code?: string } | undefined)?.code, "ECONNRESET")
          assert.deepStrictEqual((yield* emulator.stats).errors, { Cut: 1 })
          assert.strictEqual(yield* tokensUsed(emulator), input + output / 2)
        }))

      it.effect("a stream cut before its first content has still begun", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.cut(0))
          const { complete, events, words } = yield* streamed(sdk)
          assert.deepStrictEqual([complete, words], [false, 0])
          assert.deepStrictEqual(events.map((event) => Object.keys(event)[0]), ["messageStart"])
          assert.strictEqual(yield* tokensUsed(emulator), input)
        }))

      it.effect("an answer in one piece that is cut has sent nothing", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.cut(0.25))
          assert.notStrictEqual(yield* outcome(converse(sdk, "Hi", 100)), "answered")
          assert.strictEqual(yield* tokensUsed(emulator), input + output / 4)
        }))

      it.effect("a stream that ends cleanly midway has no messageStop and no error", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.truncate(0.8))
          const { complete, error, words } = yield* streamed(sdk)
          assert.deepStrictEqual([complete, error, words], [false, undefined, output * 0.8])
          assert.strictEqual(yield* tokensUsed(emulator), input + output * 0.8)
          assert.deepStrictEqual((yield* emulator.stats).errors, { Truncate: 1 })
        }))

      it.effect("each exception of the union arrives typed, after what came before it", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          const names = [
            "internalServerException",
            "modelStreamErrorException",
            "validationException",
            "throttlingException",
            "serviceUnavailableException"
          ]
          for (const name of names) {
            yield* emulator.inject(Fault.streamError(name, { at: 0.5, message: `about ${name}` }))
            const { complete, error, words } = yield* streamed(sdk)
            assert.deepStrictEqual([words, complete], [output / 2, false])
            assert.instanceOf(error, BedrockRuntimeServiceException)
            assert.strictEqual(error.name, name.charAt(0).toUpperCase() + name.slice(1))
            assert.strictEqual(error.message, `about ${name}`)
          }
          assert.deepStrictEqual((yield* emulator.stats).errors, { StreamError: names.length })
          assert.strictEqual(yield* tokensUsed(emulator), names.length * (input + output / 2))
        }))

      it.effect("an exception in the first frame fails the call itself", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.streamError("throttlingException", { at: 0 }))
          const { error } = yield* Effect.flip(converseStream(sdk, "Hi", 100))
          assert.instanceOf(error, ThrottlingException)
          assert.strictEqual(yield* tokensUsed(emulator), input)
        }))

      it.effect("a name outside the union, and an error that is not modelled, arrive as plain errors", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          yield* emulator.inject(Fault.streamError("modelTimeoutException", { message: "too slow" }))
          const outside = yield* streamed(sdk)
          assert.strictEqual(outside.error?.name, "modelTimeoutException")
          assert.match(outside.error?.message ?? "", /too slow/)
          yield* emulator.inject(Fault.streamError("SomethingElse", { frame: "error", message: "odd" }))
          const unmodelled = yield* streamed(sdk)
          assert.strictEqual(unmodelled.error?.name, "SomethingElse")
          assert.match(unmodelled.error?.message ?? "", /odd/)
        }))

      it.effect("a client that goes midway is charged for what was generated by then", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport, { burndown: 5 })
          const prompt = "Hi [[emulate latency=8000]]"
          const counted = yield* Effect.forkChild(converse(sdk, prompt, 100))
          yield* inFlight(emulator)
          yield* TestClock.adjust("8 seconds")
          const inputTokens = (yield* Fiber.join(counted)).usage?.inputTokens ?? 0
          const before = (yield* tokensUsed(emulator)) ?? 0

          const leaving = yield* Effect.forkChild(converse(sdk, prompt, 100))
          yield* inFlight(emulator)
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.interrupt(leaving)
          yield* inFlight(emulator, 0)
          // The first token comes after 2 of the 8 seconds: half of the answer is there.
          assert.strictEqual(yield* tokensUsed(emulator), before + inputTokens + output / 2 * 5)
          assert.deepStrictEqual((yield* emulator.stats).errors, { Disconnected: 1 })
        }))

      it.effect("a client that stops reading a stream is charged for what was generated by then", () =>
        Effect.gen(function*() {
          const { emulator, sdk } = yield* start(transport)
          const abort = new AbortController()
          const command = new InvokeModelWithResponseStreamCommand({
            modelId,
            body: JSON.stringify({
              anthropic_version: "bedrock-2023-05-31",
              max_tokens: 100,
              messages: [{ role: "user", content: "Hi [[emulate latency=8000]]" }]
            })
          })
          const sent = yield* Effect.forkChild(
            Effect.promise(() => sdk.send(command, { abortSignal: abort.signal }))
          )
          yield* inFlight(emulator)
          yield* TestClock.adjust("2 seconds")
          const { body } = yield* Fiber.join(sent)
          const reading = yield* Effect.forkChild(collect(body))
          yield* TestClock.adjust("3 seconds")
          abort.abort()
          yield* inFlight(emulator, 0)
          yield* Fiber.join(reading)
          const { settled } = (yield* emulator.stats).tokens
          const { reserved } = (yield* emulator.stats).tokens
          assert.strictEqual(settled, reserved - 100 + output / 2)
        }))
    })
  }

  it.effect("silence lasts until it is released", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.silence())
      const sent = yield* Effect.forkChild(converse(sdk, "Hi", 100))
      yield* inFlight(emulator)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(sent.pollUnsafe())
      yield* emulator.release
      assert.isAtLeast((yield* Fiber.join(sent)).metrics?.latencyMs ?? 0, 3_600_000)
      // Only silences that had begun are released.
      yield* emulator.inject(Fault.silence({ millis: 5000 }))
      const second = yield* Effect.forkChild(converse(sdk, "Hi", 100))
      yield* inFlight(emulator)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(second)).metrics?.latencyMs, 5000)
    }))

  it.effect("silence in the middle of a stream", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.silence({ at: 0.5 }))
      const { stream } = yield* converseStream(sdk, "Hi", 100)
      const iterator = stream?.[Symbol.asyncIterator]()
      let words = 0
      const next = Effect.promise(() => iterator?.next() ?? Promise.resolve(undefined))
      while (words < output / 2) {
        const event = yield* next
        words += (event?.value?.contentBlockDelta?.delta?.text ?? "").split(" ").filter(Boolean).length
      }
      assert.strictEqual(words, output / 2)
      const rest = yield* Effect.forkChild(next)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(rest.pollUnsafe())
      yield* emulator.release
      assert.isDefined((yield* Fiber.join(rest))?.value?.contentBlockDelta)
    }))

  it.effect("a client that gives up a silent answer is charged its input", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.silence())
      const sent = yield* Effect.forkChild(converse(sdk, "Hi", 100))
      yield* inFlight(emulator)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.interrupt(sent)
      yield* inFlight(emulator, 0)
      assert.strictEqual(yield* tokensUsed(emulator), input)
    }))

  it.effect("after a silence the rest takes the time it would have taken", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", { latency: LatencyModel.perToken(1000, 100) })
      const whole = Effect.map(converse(sdk, "Hi", 100), ({ metrics }) => metrics?.latencyMs)
      const stream = Effect.map(streamed(sdk), ({ events }) => events.at(-1)?.metadata?.metrics?.latencyMs)
      for (const send of [whole, stream]) {
        yield* emulator.inject(Fault.silence({ at: 0.5, millis: 60_000 }))
        const sent = yield* Effect.forkChild(send)
        yield* inFlight(emulator)
        yield* TestClock.adjust(60_000 + 1000 + output * 100)
        assert.strictEqual(yield* Fiber.join(sent), 60_000 + 1000 + output * 100)
      }
    }))

  it.effect("nothing is generated during a silence", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", { latency: LatencyModel.perToken(1000, 100) })
      yield* emulator.inject(Fault.silence({ at: 0.5 }))
      const sent = yield* Effect.forkChild(converse(sdk, "Hi", 100))
      yield* inFlight(emulator)
      yield* TestClock.adjust("50 seconds")
      yield* Fiber.interrupt(sent)
      yield* inFlight(emulator, 0)
      assert.strictEqual(yield* tokensUsed(emulator), input + output / 2)
      yield* emulator.inject(Fault.silence({ at: 0.5 }))
      const { stream } = yield* Effect.gen(function*() {
        const opened = yield* Effect.forkChild(converseStream(sdk, "Hi", 100))
        yield* inFlight(emulator)
        yield* TestClock.adjust("50 seconds")
        return yield* Fiber.join(opened)
      })
      const iterator = stream?.[Symbol.asyncIterator]()
      yield* Effect.promise(() => iterator?.next() ?? Promise.resolve(undefined))
      // Destroying the client takes its sockets with it.
      yield* Effect.sync(() => sdk.destroy())
      yield* inFlight(emulator, 0)
      assert.strictEqual((yield* emulator.stats).tokens.settled, 2 * (input + output / 2))
    }))

  it.effect("slow tokens stretch the answer, not the wait for its beginning", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", { latency: LatencyModel.perToken(100, 10) })
      const takes = (millis: number) =>
        Effect.gen(function*() {
          const sent = yield* Effect.forkChild(converse(sdk, "Hi", 100))
          yield* inFlight(emulator)
          yield* TestClock.adjust(millis - 1)
          assert.strictEqual((yield* emulator.stats).inFlight, 1)
          yield* TestClock.adjust(1)
          assert.strictEqual((yield* Fiber.join(sent)).metrics?.latencyMs, millis)
        })
      yield* takes(100 + output * 10)
      yield* emulator.inject(Fault.slow(10))
      yield* takes(100 + output * 100)
    }))

  it.effect("an error can take its time", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.error("ModelTimeoutException", { delayMillis: 60_000 }))
      const sent = yield* Effect.forkChild(outcome(converse(sdk, "Hi", 100)))
      yield* inFlight(emulator)
      assert.strictEqual(yield* tokensUsed(emulator), input + 100)
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(sent.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.match(yield* Fiber.join(sent), /timed out/)
      assert.strictEqual(yield* tokensUsed(emulator), 0)
    }))

  it.effect("scripted faults strike so many times, where they are meant to, until withdrawn", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      const send = (model = modelId) =>
        Effect.map(outcome(converse(sdk, "Hi", 100, model)), (outcome) => outcome === "answered")
      yield* emulator.inject(Fault.error("InternalServerException"), { times: 2 })
      assert.deepStrictEqual([yield* send(), yield* send(), yield* send()], [false, false, true])
      yield* emulator.inject(Fault.error("InternalServerException"), { model: "amazon.nova-lite-v1:0" })
      assert.deepStrictEqual([yield* send(), yield* send("us.amazon.nova-lite-v1:0")], [true, false])
      const { remaining, withdraw } = yield* emulator.inject(Fault.reset, { operation: "Converse", times: 10 })
      assert.isTrue((yield* streamed(sdk)).complete)
      assert.isFalse(yield* send())
      assert.strictEqual(yield* remaining, 9)
      yield* withdraw
      assert.strictEqual(yield* remaining, 0)
      assert.isTrue(yield* send())
      // A fault that only makes sense in a stream waits for one.
      yield* emulator.inject(Fault.truncate(0))
      assert.isTrue(yield* send())
      assert.isFalse((yield* streamed(sdk)).complete)
    }))

  it.effect("an outage fails everything for a time; the request stays counted, its tokens come back", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", { outages: [{ afterMillis: 10_000, durationMillis: 5000 }] })
      const send = outcome(converse(sdk, "Hi", 100))
      assert.strictEqual(yield* send, "answered")
      yield* TestClock.adjust("10 seconds")
      const before = yield* tokensUsed(emulator)
      assert.strictEqual(yield* send, "Bedrock is unable to process your request.")
      assert.strictEqual(yield* tokensUsed(emulator), before)
      assert.strictEqual(Object.values((yield* emulator.stats).pools)[0]?.usage.requests?.used, 2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* send, "answered")
      yield* emulator.outage({ duration: "1 second", fault: Fault.error("Overloaded"), model: modelId })
      assert.notStrictEqual(yield* send, "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 100, "amazon.nova-lite-v1:0")), "answered")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* send, "answered")
    }))

  it.live("a Region may be out, or slow, while the others are well", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", { latencies: { "eu-west-1": LatencyModel.fixed(20) } })
      const elsewhere = yield* client(emulator, "h1", { region: "eu-west-1" })
      assert.isAtLeast((yield* converse(elsewhere, "Hi", 100)).metrics?.latencyMs ?? 0, 20)
      yield* emulator.outage({ duration: "1 hour", region: "eu-west-1" })
      assert.strictEqual(yield* outcome(converse(elsewhere, "Hi", 100)), "Bedrock is unable to process your request.")
      assert.isBelow((yield* converse(sdk, "Hi", 100)).metrics?.latencyMs ?? 20, 20)
    }).pipe(Effect.scoped))

  it.effect("an outage of one Region may be told beforehand", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start("h1", {
        outages: [
          { afterMillis: 0, durationMillis: 1_000, region: "eu-west-1" },
          { afterMillis: 1_000, durationMillis: 1_000, region: "us-east-1" }
        ]
      })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 100)), "answered")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 100)), "Bedrock is unable to process your request.")
    }))

  it.effect("rates strike their share, by draws that a second try does not repeat", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start("h1", {
        quota: {},
        faults: [
          { fault: Fault.error("InternalServerException"), rate: 0.1 },
          { fault: Fault.error("ServiceUnavailableException"), rate: 0.2 },
          { fault: Fault.truncate(0.5), rate: 0.5 },
          { fault: Fault.error("ModelErrorException"), rate: 0.2, model: "amazon.nova-lite-v1:0" }
        ]
      })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 600 }, (_, i) => `prompt ${i}`),
        (prompt) => outcome(converse(sdk, prompt, 100)),
        { concurrency: 20 }
      )
      const { errors } = yield* emulator.stats
      // Within four standard deviations of 60 and of 120; the other two do not apply here.
      assert.closeTo(errors["InternalServerException"] ?? 0, 60, 30)
      assert.closeTo(errors["ServiceUnavailableException"] ?? 0, 120, 40)
      assert.deepStrictEqual(Object.keys(errors).toSorted(), ["InternalServerException", "ServiceUnavailableException"])
      const failed = outcomes.flatMap((outcome, i) => outcome === "answered" ? [] : [`prompt ${i}`])
      const again = yield* Effect.forEach(failed, (prompt) => outcome(converse(sdk, prompt, 100)))
      const recovered = again.filter((outcome) => outcome === "answered").length / failed.length
      assert.isAbove(recovered, 0.5)
      assert.isBelow(recovered, 0.9)
    }))

  it.effect("a prompt can ask for its own error", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      const asking = "Hi [[emulate error=ModelErrorException]]"
      assert.match(yield* outcome(converse(sdk, asking, 100)), /unexpected error/)
      const deaf = yield* start("h1", { steering: false })
      assert.strictEqual(yield* outcome(converse(deaf.sdk, asking, 100)), "answered")
    }))
})
