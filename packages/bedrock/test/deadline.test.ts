// What a call may take in all, on a scripted client and in virtual time.
import { Bedrock, CallEvents, CallLimits } from "@caprock/bedrock"
import { BedrockClientTest, CallDeadline } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

const modelId = "amazon.nova-lite-v1:0"
const ask = (text = "hello", maxTokens = 60) => ({
  modelId,
  messages: [{ role: "user" as const, content: [{ text }] }],
  inferenceConfig: { maxTokens }
})

const unavailable = (retryAfter?: number) =>
  new BedrockError.BedrockError({
    operation: "Converse",
    attempts: 1,
    httpStatus: 503,
    reason: new Reason.ServerError({
      kind: "unavailable",
      message: "no",
      ...(retryAfter === undefined ? {} : { retryAfter: Duration.millis(retryAfter) })
    })
  })

const answer = BedrockClientTest.answer("hi", { usage: { inputTokens: 3, outputTokens: 2 } })
const within = (limits: CallLimits.CallLimits) => Effect.provideService(CallLimits.CallLimits, limits)
const converse = (text?: string, maxTokens?: number) =>
  Bedrock.Bedrock.use((bedrock) => bedrock.converse(ask(text, maxTokens)))

const standing = Effect.map(
  Bedrock.Bedrock.use((bedrock) => bedrock.snapshot(modelId)),
  ({ meters, waiting }) => [waiting, ...meters.map((meter) => meter.used)]
)

const house = (script: BedrockClientTest.Script, options: Bedrock.CallOptions & Bedrock.QuotaOptions = {}) =>
  Effect.provide(Bedrock.layerTest(script, {
    quotas: { default: { requestsPerMinute: 10, tokensPerMinute: 100 } },
    ...options
  }))

const brief = (error: BedrockError.BedrockError) => {
  const { attempts, gaveUp, reason } = error
  return [
    "kind" in reason ? `${reason._tag}/${reason.kind}` : reason._tag,
    attempts,
    ...(gaveUp === undefined ? [] : [gaveUp])
  ]
}

/** How a call fails, and how long it takes to. */
const failing = Effect.fnUntraced(function*<A, R>(call: Effect.Effect<A, BedrockError.BedrockError, R>) {
  const fiber = yield* Effect.forkChild(Effect.timed(Effect.flip(call)))
  yield* TestClock.adjust("1 hour")
  const [took, error] = yield* Fiber.join(fiber)
  return [Duration.toMillis(took), ...brief(error), error.reason.message] as const
})

describe("a deadline", () => {
  it.effect("refuses at once what would wait past it for quota, with the prediction", () =>
    Effect.gen(function*() {
      yield* converse()
      assert.deepStrictEqual(yield* failing(within({ deadline: "20 seconds" })(converse())), [
        0,
        "AdmissionError/wait-too-long",
        0,
        "It would wait 1m 250ms for quota, and its deadline leaves it 20s."
      ])
    }).pipe(house({
      converse: () => BedrockClientTest.answer("hi", { usage: { inputTokens: 3, outputTokens: 60 } })
    })))

  it.effect("does not sleep a wait that would end past it, and the last error says so", () =>
    Effect.gen(function*() {
      // Waits of 1 and 2 s. The third, of 4, can't be had.
      assert.deepStrictEqual(
        (yield* failing(within({ deadline: "6 seconds" })(converse("a")))).slice(0, 4),
        [3000, "ServerError/unavailable", 3, "deadline"]
      )
      assert.deepStrictEqual(
        (yield* failing(within({ deadline: "5 seconds" })(converse("b")))).slice(0, 4),
        [0, "ServerError/unavailable", 1, "deadline"]
      )
      assert.strictEqual((yield* failing(converse("a")))[3], "attempts")
    }).pipe(house({
      converse: (input) => unavailable(input.messages?.[0]?.content?.[0]?.text === "b" ? 6000 : undefined)
    }, { quotas: {}, backoff: { jitter: "none" } })))

  it.effect("ends a request that is under way, and its charge stays until it leaves the window", () =>
    Effect.gen(function*() {
      const [took, reason, attempts] = yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.timed(Effect.flip(within({ deadline: "5 seconds" })(converse()))))
        yield* TestClock.adjust("5 seconds")
        const [took, error] = yield* Fiber.join(fiber)
        return [Duration.toMillis(took), ...brief(error)]
      })
      assert.deepStrictEqual([took, reason, attempts], [5000, "TimeoutError/deadline", 1])
      const [waiting, requests, tokens] = yield* standing
      assert.deepStrictEqual([waiting, requests], [0, 1])
      assert.isAbove(tokens ?? 0, 60)
      yield* TestClock.adjust("60250 millis")
      assert.deepStrictEqual(yield* standing, [0, 0, 0])
    }).pipe(house({ converse: () => Effect.delay(Effect.succeed(answer), "1 minute") })))

  it.effect("that has passed lets nothing be sent, and books nothing", () =>
    Effect.gen(function*() {
      const calls = [
        converse(),
        Bedrock.Bedrock.use((bedrock) => Stream.runDrain(bedrock.converseStream(ask()))),
        Bedrock.Bedrock.use((bedrock) => bedrock.countTokens({ modelId, input: { converse: ask() } }))
      ]
      for (const call of calls) {
        assert.deepStrictEqual((yield* failing(within({ deadline: 0 })(call))).slice(0, 3), [
          0,
          "TimeoutError/deadline",
          0
        ])
      }
      assert.deepStrictEqual(yield* standing, [0, 0, 0])
      assert.lengthOf(yield* (yield* BedrockClientTest.BedrockClientTest).requests, 0)
    }).pipe(house({})))

  it.effect("cuts a stream with what had arrived", () =>
    Effect.gen(function*() {
      const fiber = yield* Bedrock.Bedrock.use((bedrock) => Stream.runDrain(bedrock.converseStream(ask()))).pipe(
        within({ deadline: "3500 millis" }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("3499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { reason } = yield* Fiber.join(fiber)
      if (reason._tag !== "InterruptedStreamError") return assert.fail(reason.message)
      assert.strictEqual(reason.partial.text, "hello")
      assert.strictEqual(reason.origin?._tag === "TimeoutError" && reason.origin.kind, "deadline")
    }).pipe(house({
      converseStream: () =>
        Stream.fromIterable(BedrockClientTest.events(["hel", "lo"])).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sleep("1 second"))
        )
    })))

  it.effect("of the layer holds for every call, and a caller may set another or none", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* failing(converse()))[0], 5000)
      assert.strictEqual((yield* failing(within({ deadline: "8 seconds" })(converse())))[0], 8000)
      assert.strictEqual((yield* failing(within({ maxWait: "8 seconds" })(converse())))[0], 5000)
      // Of several calls together the nearer of both counts.
      const together = Effect.provideServiceEffect(CallDeadline.CallDeadline, CallDeadline.after("2 seconds"))
      assert.strictEqual((yield* failing(together(converse())))[0], 2000)
      const fiber = yield* Effect.forkChild(within({ deadline: Duration.infinity })(converse()))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).stopReason, "end_turn")
    }).pipe(house({ converse: () => Effect.delay(Effect.succeed(answer), "1 minute") }, { deadline: "5 seconds" })))

  it.effect("is as each call sets it for an operation that no quota meters, too", () =>
    Effect.gen(function*() {
      const count = Bedrock.Bedrock.use((bedrock) => bedrock.countTokens({ modelId, input: { converse: ask() } }))
      assert.deepStrictEqual((yield* failing(within({ deadline: "20 seconds" })(count))).slice(1, 4), [
        "ServerError/unavailable",
        4,
        "attempts"
      ])
      assert.deepStrictEqual((yield* failing(within({ deadline: "1 millis" })(count))).slice(0, 4), [
        0,
        "ServerError/unavailable",
        1,
        "deadline"
      ])
    }).pipe(house({ countTokens: () => unavailable() })))
})

describe("maxWait", () => {
  it.effect("may be another one for each call, and can be lifted", () =>
    Effect.gen(function*() {
      yield* converse()
      const refused = (maxWait: Duration.Input | undefined) => failing(within({ maxWait })(converse("again")))
      assert.strictEqual((yield* refused(undefined))[3], "It would wait 1m 250ms for quota, and maxWait is 5s.")
      yield* converse()
      assert.strictEqual((yield* refused("1 minute"))[3], "It would wait 1m 250ms for quota, and maxWait is 1m.")
      yield* converse()
      const fiber = yield* Effect.forkChild(within({ maxWait: Duration.infinity })(converse("again")))
      yield* TestClock.adjust("60250 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).stopReason, "end_turn")
    }).pipe(house({
      converse: () => BedrockClientTest.answer("hi", { usage: { inputTokens: 3, outputTokens: 60 } })
    }, { maxWait: "5 seconds" })))
})

describe("limits that make no sense", () => {
  it.effect("are an error of the call, which names them", () =>
    Effect.gen(function*() {
      const messages = []
      // A type looks at what is written in place, and at nothing that comes by a name.
      const misspelt = { deadline: "1 minute", maxwait: 5 } as const
      for (const limits of [{ deadline: Number.NaN }, { maxWait: Duration.seconds(-1) }, { deadline: -5 }, misspelt]) {
        const [took, reason, attempts, message] = yield* failing(within(limits)(converse()))
        assert.deepStrictEqual([took, reason, attempts], [0, "ValidationError/malformed", 0])
        messages.push(message)
      }
      assert.deepStrictEqual(messages, [
        "CallLimits.deadline is NaN: it must be a duration of 0 or more, such as \"30 seconds\"",
        "CallLimits.maxWait is -1000 millis: it must be a duration of 0 or more, such as \"30 seconds\"",
        "CallLimits.deadline is -5: it must be a duration of 0 or more, such as \"30 seconds\"",
        "CallLimits.maxwait is not known. There are deadline and maxWait"
      ])
      assert.deepStrictEqual(
        (yield* failing(Bedrock.Bedrock.use((bedrock) =>
          bedrock.countTokens({ modelId, input: { converse: ask() } }).pipe(within({ deadline: Number.NaN }))
        ))).slice(1, 3),
        ["ValidationError/malformed", 0]
      )
    }).pipe(house({})))
})

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** How one request goes: the server's time, and an error with its hint, or an answer. */
const Reply = Schema.Struct({
  millis: between(0, 4_000),
  fails: Schema.Boolean,
  retryAfter: Schema.NullOr(between(0, 8_000))
})
type Reply = typeof Reply.Type

const played = ({ fails, millis, retryAfter }: Reply) =>
  Effect.delay(fails ? Effect.fail(unavailable(retryAfter ?? undefined)) : Effect.succeed(answer), millis)

describe("a call alone", () => {
  it.effect.prop(
    "ends just when, and as, it has to",
    { replies: Schema.NonEmptyArray(Reply), half: between(0, 10_000) },
    ({ half, replies }) =>
      Effect.gen(function*() {
        // Odd, and all else even: of an answer at the very deadline both may be said.
        const deadline = half * 2 + 1
        const reply = (index: number) => {
          const { fails, millis, retryAfter } = replies[index % replies.length] ?? replies[0]
          return { fails, millis: millis * 2, retryAfter: retryAfter === null ? null : retryAfter * 2 }
        }
        // What should happen.
        const expected = (): ReadonlyArray<unknown> => {
          let at = 0
          for (let index = 0;; index++) {
            const { fails, millis, retryAfter } = reply(index)
            if (at + millis > deadline) return [deadline, "TimeoutError/deadline", index + 1]
            at += millis
            if (!fails) return [at, "end_turn"]
            const wait = Math.max(1000 * 2 ** index, retryAfter ?? 0)
            if (index === 3) return [at, "ServerError/unavailable", 4, "attempts"]
            if (at + wait > deadline) return [at, "ServerError/unavailable", index + 1, "deadline"]
            at += wait
          }
        }
        const [took, outcome] = yield* Effect.gen(function*() {
          const fiber = yield* converse().pipe(
            Effect.matchEager({ onFailure: brief, onSuccess: ({ stopReason }) => [stopReason] }),
            within({ deadline }),
            Effect.timed,
            Effect.forkChild
          )
          yield* TestClock.adjust("2 minutes")
          return yield* Fiber.join(fiber)
        }).pipe(house({ converse: (_, index) => played(reply(index)) }, { quotas: {}, backoff: { jitter: "none" } }))
        assert.deepStrictEqual([Duration.toMillis(took), ...outcome], expected())
      })
  )
})

describe("calls together, whatever befalls them", () => {
  const Call = Schema.Struct({
    after: between(0, 3_000),
    deadline: Schema.NullOr(between(0, 90_000)),
    maxWait: Schema.NullOr(between(0, 90_000)),
    maxTokens: between(1, 90),
    streamed: Schema.Boolean,
    replies: Schema.NonEmptyArray(Reply),
    interruptAfter: Schema.NullOr(between(0, 90_000))
  })

  it.effect.prop(
    "send nothing after their deadline, end by it, and leave nothing behind",
    { calls: Schema.Array(Call) },
    ({ calls }) =>
      Effect.gen(function*() {
        // Sees what sleeps: whoever is left behind does, or waits for somebody who does.
        let sleeping = 0
        const clock = yield* Clock.Clock
        const counting = new Proxy(clock, {
          get: (target, key) =>
            key === "sleep"
              ? (duration: Duration.Duration) =>
                Effect.acquireUseRelease(
                  Effect.sync(() => sleeping++),
                  () => target.sleep(duration),
                  () => Effect.sync(() => sleeping--)
                )
              : Reflect.get(target, key, target)
        })
        const now = () => clock.currentTimeMillisUnsafe()
        const begun = calls.map(() => Infinity)
        const sent = calls.map(() => 0)
        const deadlineOf = (index: number) => (begun[index] ?? 0) + (calls[index]?.deadline ?? Infinity)
        const next = (text: string | undefined): Reply => {
          const index = Number(text)
          const replies = calls[index]?.replies
          const at = sent[index] ?? 0
          sent[index] = at + 1
          assert.isBelow(now(), deadlineOf(index))
          const reply = replies?.[at % replies.length]
          return reply ?? { millis: 0, fails: false, retryAfter: null }
        }
        let ends = 0
        yield* Effect.gen(function*() {
          const bedrock = yield* Bedrock.Bedrock
          const fibers = yield* Effect.forEach(calls, (call, index) => {
            const text = String(index)
            const asked = call.streamed
              ? Stream.runDrain(bedrock.converseStream(ask(text, call.maxTokens)))
              : Effect.asVoid(bedrock.converse(ask(text, call.maxTokens)))
            return Effect.suspend(() => {
              begun[index] = now()
              return asked
            }).pipe(
              within({
                ...(call.deadline === null ? {} : { deadline: call.deadline }),
                ...(call.maxWait === null ? {} : { maxWait: call.maxWait })
              }),
              Effect.onExit(() => Effect.sync(() => assert.isAtMost(now(), deadlineOf(index)))),
              Effect.delay(call.after),
              call.interruptAfter === null ? (self) => self : Effect.timeoutOption(call.interruptAfter),
              Effect.exit,
              Effect.forkChild
            )
          })
          while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) yield* TestClock.adjust("1 second")
          assert.strictEqual(sleeping, 0)
          const exits = yield* Effect.forEach(fibers, Fiber.join)
          for (const exit of exits) {
            if (Exit.isFailure(exit)) assert.isTrue(exit.cause.reasons.every((reason) => reason._tag === "Fail"))
          }
          assert.strictEqual(ends, calls.filter((_, index) => (begun[index] ?? Infinity) < Infinity).length)
          yield* TestClock.adjust("1 hour")
          assert.deepStrictEqual(yield* standing, [0, 0, 0])
        }).pipe(
          Effect.provideService(CallEvents.CallEvents, (event) => {
            if (event._tag === "CallEnded") ends++
          }),
          house({
            converse: (input) => played(next(input.messages?.[0]?.content?.[0]?.text)),
            converseStream: (input) => {
              const reply = next(input.messages?.[0]?.content?.[0]?.text)
              const events = BedrockClientTest.events(["hel", "lo"])
              return Stream.fromIterable(reply.fails ? events.slice(0, reply.millis % 5) : events).pipe(
                Stream.rechunk(1),
                Stream.tap(() => Effect.sleep(reply.millis / 4)),
                reply.fails
                  ? Stream.concat(Stream.fail(unavailable(reply.retryAfter ?? undefined)))
                  : (self) => self
              )
            }
          }),
          Effect.provideService(Clock.Clock, counting)
        )
      })
  )
})
