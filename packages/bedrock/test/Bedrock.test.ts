import { Bedrock, CallEvents } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, type Options, OutputModel } from "@caprock/emulator"
import { BedrockError } from "@caprock/errors"
import { Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"

const modelId = "amazon.nova-lite-v1:0"
const claude = "anthropic.claude-sonnet-4-5-20250929-v1:0"
const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" }

const ask = (text: string, maxTokens = 100, model = modelId) => ({
  modelId: model,
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens }
})

/** The emulator and Bedrock on top of it, over real sockets; the window stands for a minute. */
const house = Effect.fnUntraced(function*(options: {
  readonly emulator?: Options.Options
  readonly bedrock?: Bedrock.Options
  readonly quota?: Quotas.Quota
  readonly window?: number
}) {
  const window = options.window ?? 1000
  const quota = options.quota ?? {}
  const emulator = yield* Emulator.make({
    seed: 7,
    window,
    quota: {
      ...(quota.requestsPerMinute === undefined ? {} : { requests: quota.requestsPerMinute }),
      ...(quota.tokensPerMinute === undefined ? {} : { tokens: quota.tokensPerMinute })
    },
    latency: LatencyModel.fixed(20),
    ...options.emulator
  })
  const layer = Bedrock.layer({
    region: "us-east-1",
    endpoint: emulator.url,
    credentials,
    quotas: Quotas.uniform(quota),
    meters: { window },
    backoff: { base: "20 millis" },
    ...options.bedrock
  })
  return { emulator, layer }
})

const recorded = () => {
  const events: Array<CallEvents.CallEvent> = []
  return {
    events,
    of: <T extends CallEvents.CallEvent["_tag"]>(tag: T) =>
      events.filter((event): event is Extract<CallEvents.CallEvent, { readonly _tag: T }> => event._tag === tag),
    listen: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.provideService(effect, CallEvents.CallEvents, (event) => {
        events.push(event)
      })
  }
}

describe("Bedrock", () => {
  it.live("answers a burst over its quota without one throttle, in one request each", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({
        quota: { requestsPerMinute: 40, tokensPerMinute: 6000 },
        // On a busy machine a request is on its way for more than the 250 ms that are the default.
        bedrock: { guard: "1 second" },
        emulator: { output: OutputModel.fraction(0.1, 0.5), latency: LatencyModel.uniform(10, 300) }
      })
      const record = recorded()
      const answers = yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        return yield* Effect.forEach(
          Array.from({ length: 120 }, (_, i) => i),
          (i) => bedrock.converse(ask(`Question ${i}: ${"why ".repeat(i % 50)}`, 100 + i)),
          { concurrency: "unbounded" }
        )
      }).pipe(Effect.provide(layer), record.listen)
      const stats = yield* emulator.stats
      assert.lengthOf(answers, 120)
      assert.strictEqual(stats.throttled.total, 0)
      assert.strictEqual(stats.requests, 120)
      assert.lengthOf(record.of("CallEnded"), 120)
      assert.isTrue(record.of("CallEnded").every((event) => event.attempts === 1 && event.succeeded))
      assert.isTrue(record.of("CallEnded").some((event) => event.waitedMillis > 500))
      assert.isTrue(record.of("Settled").every((event) => event.charged <= event.booked))
    }))

  it.live("settles with what the server charged, burndown and all", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({
        quota: { tokensPerMinute: 100_000 },
        window: 60_000,
        emulator: { burndown: 5, output: OutputModel.fixed(300) }
      })
      const used = yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        yield* bedrock.converse(ask("hello", 1000, claude))
        yield* Stream.runDrain(bedrock.converseStream(ask("hello", 1000, claude)))
        yield* bedrock.invokeModel({
          modelId: claude,
          contentType: "application/json",
          body: JSON.stringify({
            anthropic_version: "bedrock-2023-05-31",
            max_tokens: 1000,
            messages: [{ role: "user", content: "hello" }]
          })
        })
        yield* Stream.runDrain(bedrock.invokeModelWithResponseStream({
          modelId: claude,
          contentType: "application/json",
          body: JSON.stringify({
            anthropic_version: "bedrock-2023-05-31",
            max_tokens: 1000,
            messages: [{ role: "user", content: "hello" }]
          })
        }))
        return (yield* bedrock.snapshot(claude)).meters.map((meter) => meter.used)
      }).pipe(Effect.provide(layer))
      const stats = yield* emulator.stats
      assert.deepStrictEqual(used, [stats.tokens.settled])
      assert.isAbove(stats.tokens.settled, 4 * 5 * 300)
    }))

  it.live("asks again what is worth it, and tells how often it asked", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({})
      const record = recorded()
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 2 })
        yield* bedrock.converse(ask("hello"))
        assert.strictEqual(record.of("CallEnded")[0]?.attempts, 3)
        yield* emulator.inject(Fault.error("InternalServerException"), { times: 9 })
        const error = yield* Effect.flip(bedrock.converse(ask("hello")))
        assert.strictEqual(error.reason._tag, "ServerError")
        assert.strictEqual(error.attempts, 4)
        yield* emulator.release
      }).pipe(Effect.provide(layer), record.listen)
      assert.deepStrictEqual(record.of("CallEnded").map((event) => event.attempts), [3, 4])
      assert.lengthOf(record.of("AttemptFailed"), 6)
    }))

  it.live("never asks again what can't succeed", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({ quota: { tokensPerMinute: 1000 } })
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        yield* emulator.inject(Fault.error("AccessDeniedException"), { times: 1 })
        const denied = yield* Effect.flip(bedrock.converse(ask("hello")))
        assert.strictEqual(denied.reason._tag, "AccessError")
        assert.strictEqual(denied.attempts, 1)
        // Refused: its tokens are given back.
        assert.deepStrictEqual((yield* bedrock.snapshot(modelId)).meters.map((meter) => meter.used), [0])
        const large = yield* Effect.flip(bedrock.converse(ask("hello", 5000)))
        assert.deepInclude(large.reason, { _tag: "ValidationError", kind: "exceeds-quota" })
        assert.strictEqual(large.attempts, 0)
        const unknown = yield* Effect.flip(bedrock.converse(ask("hello", 5, "no such model!")))
        assert.deepInclude(unknown.reason, { _tag: "ValidationError", kind: "unknown-model" })
      }).pipe(Effect.provide(layer))
      assert.strictEqual((yield* emulator.stats).requests, 1)
    }))

  it.live("ends a call whose layer is closed under it as shutting down, and asks nobody again", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({
        quota: { requestsPerMinute: 2 },
        window: 60_000,
        emulator: { latency: LatencyModel.fixed(60_000) }
      })
      const scope = yield* Scope.make()
      const bedrock = Context.get(yield* Layer.buildWithScope(layer, scope), Bedrock.Bedrock)
      const calls = yield* Effect.forkChild(Effect.all([
        Effect.flip(bedrock.converse(ask("hello"))),
        Effect.flip(Stream.runDrain(bedrock.converseStream(ask("hello")))),
        // Waits for quota.
        Effect.flip(Effect.delay(bedrock.converse(ask("hello")), "20 millis"))
      ], { concurrency: "unbounded" }))
      while ((yield* emulator.stats).inFlight < 2) yield* Effect.sleep("5 millis")
      yield* Effect.sleep("30 millis")
      yield* Scope.close(scope, Exit.void)
      const errors = yield* Fiber.join(calls)
      assert.deepStrictEqual(
        errors.map(({ attempts, reason, retryable }) => [
          reason._tag === "AdmissionError" && reason.kind,
          retryable,
          attempts
        ]),
        [["shutting-down", false, 1], ["shutting-down", false, 1], ["shutting-down", false, 0]]
      )
      assert.strictEqual((yield* emulator.stats).requests, 2)
    }))

  it.live("gives back everything that was never sent", () =>
    Effect.gen(function*() {
      const { layer } = yield* house({
        quota: { requestsPerMinute: 10, tokensPerMinute: 1000 },
        bedrock: {
          endpoint: "http://127.0.0.1:1"
        }
      })
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        const error = yield* Effect.flip(bedrock.converse(ask("hello")))
        assert.strictEqual(error.reason._tag, "TransportError")
        assert.strictEqual(error.attempts, 0)
        assert.deepStrictEqual((yield* bedrock.snapshot(modelId)).meters.map((meter) => meter.used), [0, 0])
      }).pipe(Effect.provide(layer))
    }))

  it.live("keeps booked what was interrupted after it was sent, and nothing else", () =>
    Effect.gen(function*() {
      const { emulator, layer } = yield* house({
        quota: { tokensPerMinute: 150 },
        window: 60_000,
        emulator: { latency: LatencyModel.fixed(30_000) }
      })
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        const sent = yield* Effect.forkChild(bedrock.converse(ask("hello")))
        const waiting = yield* Effect.forkChild(bedrock.converse(ask("hello")))
        while ((yield* emulator.stats).inFlight === 0) yield* Effect.sleep("5 millis")
        assert.strictEqual((yield* bedrock.snapshot(modelId)).waiting, 1)
        yield* Fiber.interruptAll([sent, waiting])
        while ((yield* emulator.stats).inFlight > 0) yield* Effect.sleep("5 millis")
        const snapshot = yield* bedrock.snapshot(modelId)
        assert.strictEqual(snapshot.waiting, 0)
        assert.isAbove(snapshot.meters[0]?.used ?? 0, 100)
      }).pipe(Effect.provide(layer))
    }))

  it.live("gives back the tokens of a throttle, and counts its request unless told otherwise", () =>
    Effect.gen(function*() {
      for (const countThrottled of [true, false]) {
        const { emulator, layer } = yield* house({
          quota: { requestsPerMinute: 10, tokensPerMinute: 10_000 },
          window: 60_000,
          bedrock: { countThrottled, backoff: { attempts: 1 } }
        })
        yield* Effect.gen(function*() {
          const bedrock = yield* Bedrock.Bedrock
          yield* emulator.inject(Fault.error("ThrottlingException"), { times: 1 })
          const error = yield* Effect.flip(bedrock.converse(ask("hello")))
          assert.strictEqual(error.reason._tag, "ThrottlingError")
          const snapshot = yield* bedrock.snapshot(modelId)
          // Nothing in the books explains it: the requests, which it was about, are filled up.
          assert.deepStrictEqual(snapshot.meters.map((meter) => meter.used), [10 + (countThrottled ? 1 : 0), 0])
          assert.isAbove(Duration.toMillis(snapshot.guard), 250)
        }).pipe(Effect.provide(layer))
      }
    }))

  it.live("fails at once what would wait longer than it may", () =>
    Effect.gen(function*() {
      const { layer } = yield* house({
        quota: { tokensPerMinute: 150 },
        window: 60_000,
        bedrock: { maxWait: "1 second" }
      })
      yield* Effect.gen(function*() {
        const bedrock = yield* Bedrock.Bedrock
        yield* bedrock.converse(ask("hello"))
        const error = yield* Effect.flip(bedrock.converse(ask("hello", 140)))
        if (error.reason._tag !== "AdmissionError") return assert.fail(error.message)
        assert.strictEqual(error.reason.kind, "wait-too-long")
        assert.isAbove(Duration.toMillis(error.reason.predictedWait ?? Duration.zero), 50_000)
      }).pipe(Effect.provide(layer))
    }))

  describe("streams", () => {
    const text = (
      events: ReadonlyArray<
        {
          readonly contentBlockDelta?:
            | { readonly delta?: { readonly text?: string | undefined } | undefined }
            | undefined
        }
      >
    ) => events.map((event) => event.contentBlockDelta?.delta?.text ?? "").join("")

    it.live("are whole, in order, and asked for once", () =>
      Effect.gen(function*() {
        const { emulator, layer } = yield* house({})
        const events = yield* Bedrock.Bedrock.use((bedrock) => Stream.runCollect(bedrock.converseStream(ask("hello"))))
          .pipe(Effect.provide(layer))
        assert.isDefined(events[0]?.messageStart)
        assert.isDefined(events.at(-1)?.metadata)
        assert.isAbove(text(events).length, 0)
        assert.strictEqual((yield* emulator.stats).requests, 1)
      }))

    it.live("are asked for again until their first content, never after", () =>
      Effect.gen(function*() {
        const { emulator, layer } = yield* house({ emulator: { output: OutputModel.fixed(80) } })
        const record = recorded()
        yield* Effect.gen(function*() {
          const bedrock = yield* Bedrock.Bedrock
          yield* emulator.inject(Fault.streamError("throttlingException", { at: 0 }), { times: 1 })
          const events = yield* Stream.runCollect(bedrock.converseStream(ask("hello")))
          assert.lengthOf(events.filter((event) => event.messageStart !== undefined), 1)
          yield* emulator.inject(Fault.cut(0.5), { times: 1 })
          const seen: Array<string> = []
          const error = yield* bedrock.converseStream(ask("hello")).pipe(
            Stream.runForEach((event) => Effect.sync(() => seen.push(event.contentBlockDelta?.delta?.text ?? ""))),
            Effect.flip
          )
          assert.instanceOf(error, BedrockError.BedrockError)
          if (error.reason._tag !== "InterruptedStreamError") return assert.fail(error.message)
          assert.isAbove(error.reason.partial.text.length, 0)
          assert.strictEqual(error.reason.partial.text, seen.join(""))
          assert.strictEqual(error.attempts, 1)
        }).pipe(Effect.provide(layer), record.listen)
        assert.deepStrictEqual(
          record.of("CallEnded").map(({ attempts, succeeded }) => [attempts, succeeded]),
          [[2, true], [1, false]]
        )
      }))

    it.live("that are left early close their connection and stay booked", () =>
      Effect.gen(function*() {
        const { emulator, layer } = yield* house({
          quota: { tokensPerMinute: 1000 },
          window: 60_000,
          emulator: { output: OutputModel.fixed(90), latency: LatencyModel.perToken(10, 200) }
        })
        const record = recorded()
        yield* Effect.gen(function*() {
          const bedrock = yield* Bedrock.Bedrock
          yield* bedrock.converseStream(ask("hello")).pipe(Stream.take(2), Stream.runDrain)
          while ((yield* emulator.stats).inFlight > 0) yield* Effect.sleep("5 millis")
          assert.isAtLeast((yield* bedrock.snapshot(modelId)).meters[0]?.used ?? 0, 100)
        }).pipe(Effect.provide(layer), record.listen)
        assert.lengthOf(record.of("CallEnded"), 1)
      }))
  })

  it.live("counts tokens without passing the limiter", () =>
    Effect.gen(function*() {
      const { layer } = yield* house({ quota: { tokensPerMinute: 1 } })
      const counted = yield* Bedrock.Bedrock.use((bedrock) =>
        bedrock.countTokens({ modelId, input: { converse: { messages: ask("hello there").messages } } })
      ).pipe(Effect.provide(layer))
      assert.isAbove(counted.inputTokens ?? 0, 0)
    }))
})
