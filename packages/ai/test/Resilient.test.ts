// The limiter, retries and fallback under models of anybody: a model from a script, in virtual time.
import { Resilient } from "@caprock/ai"
import { RetryBudget } from "@caprock/backoff"
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Array, Clock, DateTime, Duration, Effect, Fiber, Layer, Result, Schema, Stream } from "effect"
import {
  AiError,
  Chat,
  EmbeddingModel,
  LanguageModel,
  OpenAiStructuredOutput,
  Prompt,
  type Response,
  Tool,
  Toolkit
} from "effect/ai"
import { TestClock } from "effect/testing"

const usage = {
  inputTokens: { total: 30, uncached: 30, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 12, text: 12, reasoning: 0 }
}
const finish = (reason: Response.FinishReason = "stop"): Response.FinishPartEncoded => ({
  type: "finish",
  reason,
  usage,
  response: undefined
})
const says = (text: string): Array<Response.PartEncoded> => [{ type: "text", text }, finish()]
const calls = (name: string, params: unknown = { city: "Bern" }): Response.ToolCallPartEncoded => ({
  type: "tool-call",
  id: "call-1",
  name,
  params
})
const metadata = (id: string): Response.ResponseMetadataPartEncoded => ({
  type: "response-metadata",
  id,
  modelId: "any",
  timestamp: undefined
})
const streams = (...texts: ReadonlyArray<string>): Array<ReadonlyArray<Response.StreamPartEncoded>> => [
  [{ type: "text-start", id: "0" }],
  ...texts.map((delta) => [{ type: "text-delta" as const, id: "0", delta }]),
  [{ type: "text-end", id: "0" }],
  [finish()]
]

const failing = (reason: AiError.AiErrorReason) => AiError.make({ module: "Other", method: "any", reason })
const throttled = failing(new AiError.RateLimitError({}))
const broken = failing(new AiError.InternalProviderError({ description: "It broke" }))
const invalid = failing(new AiError.InvalidRequestError({ description: "It is wrong" }))

type Reply = Array<Response.PartEncoded> | AiError.AiError | Effect.Effect<Array<Response.PartEncoded>, AiError.AiError>
/** Pieces of a stream; an error among them cuts it there. */
type Pieces = ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded> | AiError.AiError>

/** A model that answers from a script, one reply for each request, the last one for all that follow. */
const scripted = (replies: ReadonlyArray<Reply | Pieces>, codecTransformer?: LanguageModel.CodecTransformer) => {
  const asked: Array<{ readonly at: number; readonly options: LanguageModel.ProviderOptions }> = []
  const next = (options: LanguageModel.ProviderOptions) =>
    Effect.map(Clock.currentTimeMillis, (at) => {
      asked.push({ at, options })
      const reply = replies[Math.min(asked.length, replies.length) - 1]
      return reply ?? assert.fail("no reply")
    })
  const model = LanguageModel.make({
    codecTransformer,
    generateText: (options) =>
      Effect.flatMap(next(options), (reply) =>
        AiError.isAiError(reply)
          ? Effect.fail(reply)
          : Effect.isEffect(reply)
          ? reply
          : Effect.succeed(reply as Array<Response.PartEncoded>)),
    streamText: (options) =>
      Stream.unwrap(
        Effect.map(next(options), (reply) =>
          Stream.fromIterable(AiError.isAiError(reply) ? [reply] : reply as Pieces).pipe(
            Stream.mapEffect((piece) =>
              AiError.isAiError(piece) ? Effect.fail(piece) : Effect.succeed(piece)
            ),
            Stream.rechunk(1),
            Stream.flatMap((piece) => Stream.fromIterable(piece))
          ))
      )
  })
  return { asked, layer: Layer.effect(LanguageModel.LanguageModel, model) }
}

const meters = { meters: () => [Meter.requests(100), Meter.tokens(10_000)] }
const base: Resilient.Options = { pool: "other", backoff: { jitter: "none" } }

const resilient = <E = never, R = never>(
  model: ReturnType<typeof scripted>,
  options: Partial<Resilient.Options<E, R>> = {},
  limits: RateLimiter.Options = meters
) => Resilient.layer(model.layer, { ...base, ...options }).pipe(Layer.provideMerge(RateLimiter.layer(limits)))

/** Runs it to its end, however long it waits. */
const ran = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.result(effect))
    yield* Effect.repeat(TestClock.adjust("1 minute"), { until: () => fiber.pollUnsafe() !== undefined })
    return yield* Fiber.join(fiber)
  })

const succeeded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(ran(effect), (result) => Result.isSuccess(result) ? result.success : assert.fail(String(result.failure)))

const failed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(ran(effect), (result) => Result.isFailure(result) ? result.failure : assert.fail("it did not fail"))

const tokensIn = (pool = "other") =>
  Effect.map(
    RateLimiter.RateLimiter.use((limiter) => limiter.snapshot(pool)),
    ({ meters }) => meters.map(({ used }) => used)
  )

const Weather = Tool.make("Weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String, on: Schema.optionalKey(Schema.DateFromString) }),
  success: Schema.Struct({ at: Schema.DateFromString })
})
const Tools = Toolkit.make(Weather)
const at = new Date(0)

/** Handlers that count how often they run. */
const counting = () => {
  const ran: Array<unknown> = []
  return {
    ran,
    layer: Tools.toLayer({
      Weather: (params) =>
        Effect.sync(() => {
          ran.push(params)
          return { at }
        })
    })
  }
}

const ask = LanguageModel.generateText({ prompt: "Why is the sky blue?" })

describe("a handler of a tool", () => {
  const withTools = LanguageModel.generateText({ prompt: "How is it in Bern?", toolkit: Tools })

  it.effect("runs once, however often its request was throttled or failed", () =>
    Effect.gen(function*() {
      const other = scripted([throttled, broken, [
        calls("Weather", { city: "Bern", on: at.toISOString() }),
        finish("tool-calls")
      ]])
      const handlers = counting()
      const { toolCalls, toolResults } = yield* succeeded(
        withTools.pipe(Effect.provide([resilient(other), handlers.layer]))
      )
      assert.deepStrictEqual(handlers.ran, [{ city: "Bern", on: at }])
      assert.strictEqual(other.asked.length, 3)
      assert.deepStrictEqual(toolCalls.map(({ name }) => name), ["Weather"])
      assert.deepStrictEqual(toolResults.map(({ result }) => result), [{ at }])
    }))

  it.effect("runs once where the request after it is throttled", () =>
    Effect.gen(function*() {
      const other = scripted([[calls("Weather"), finish("tool-calls")], throttled, throttled, says("Fine.")])
      const handlers = counting()
      const conversation = Effect.gen(function*() {
        const chat = yield* Chat.fromPrompt("How is it in Bern?")
        yield* chat.generateText({ prompt: [], toolkit: Tools })
        return yield* chat.generateText({ prompt: [], toolkit: Tools })
      })
      const { text } = yield* succeeded(conversation.pipe(Effect.provide([resilient(other), handlers.layer])))
      assert.deepStrictEqual([text, handlers.ran.length, other.asked.length], ["Fine.", 1, 4])
    }))

  it.effect("gets what it can't read as it would without us", () =>
    Effect.gen(function*() {
      const wrong: Reply = [calls("Weather", { city: 1 }), finish("tool-calls")]
      const seen = Effect.fnUntraced(function*(layer: Layer.Layer<LanguageModel.LanguageModel>) {
        const { reason } = yield* failed(withTools.pipe(Effect.provide([layer, counting().layer]))) as Effect.Effect<
          AiError.AiError
        >
        return reason._tag
      })
      const other = scripted([wrong])
      assert.strictEqual(yield* seen(resilient(other)), yield* seen(scripted([wrong]).layer))
      assert.strictEqual(other.asked.length, 1)
    }))

  it.effect("that nobody offered is an error, unless that is left to the caller", () =>
    Effect.gen(function*() {
      const other = scripted([[calls("Stocks"), finish("tool-calls")]])
      const layers = Layer.merge(resilient(other, { backoff: { attempts: 1 } }), counting().layer)
      const error = yield* failed(withTools.pipe(Effect.provide(layers)))
      if (error.reason._tag !== "ToolNotFoundError") return assert.fail(error.reason._tag)
      assert.deepStrictEqual(error.reason.availableTools, ["Weather"])
      const { toolCalls } = yield* succeeded(
        LanguageModel.generateText({
          prompt: "Hello",
          toolkit: Tools,
          disableToolCallResolution: true,
          toolCallValidation: "deferred"
        }).pipe(Effect.provide(layers))
      )
      assert.deepStrictEqual(toolCalls.map(({ name }) => name), ["Stocks"])
    }))

  it.effect("of which the provider has run one gives its result as it came", () =>
    Effect.gen(function*() {
      const Search = Tool.providerDefined({
        id: "other.search",
        customName: "Search",
        providerName: "search",
        success: Schema.Struct({ at: Schema.DateFromString })
      })()
      const result: Response.ToolResultPartEncoded = {
        type: "tool-result",
        id: "call-1",
        name: "Search",
        result: { at: at.toISOString() },
        isFailure: false,
        providerExecuted: true
      }
      const other = scripted([[{ ...calls("Search", {}), providerExecuted: true }, result, finish()]])
      const { toolResults } = yield* succeeded(
        LanguageModel.generateText({ prompt: "Search", toolkit: Toolkit.make(Search) }).pipe(
          Effect.provide(resilient(other))
        )
      )
      assert.deepStrictEqual(toolResults.map(({ result }) => result), [{ at }])
    }))

  const Outcomes = Schema.Array(Schema.Literals(["throttled", "broken", "answered"])).check(Schema.isMaxLength(6))
  it.effect.prop(
    "runs at most once for each answer, and no call has more requests than it may",
    [Outcomes],
    ([outcomes]) =>
      Effect.gen(function*() {
        const replies = { throttled, broken, answered: [calls("Weather"), finish("tool-calls")] } as const
        const other = scripted(
          [...outcomes.map((outcome) => replies[outcome]), replies.answered] as ReadonlyArray<Reply>
        )
        const handlers = counting()
        const result = yield* ran(withTools.pipe(Effect.provide([resilient(other), handlers.layer])))
        const expected = [...outcomes, "answered"].indexOf("answered")
        assert.strictEqual(other.asked.length, Math.min(4, expected + 1))
        assert.strictEqual(handlers.ran.length, Result.isSuccess(result) ? 1 : 0)
        assert.strictEqual(Result.isSuccess(result), expected < 4)
      })
  )
})

describe("the limiter", () => {
  it.effect("admits what fits, and makes the rest wait", () =>
    Effect.gen(function*() {
      const other = scripted([says("a")])
      yield* succeeded(
        Effect.all(Array.makeBy(3, () => ask), { concurrency: "unbounded" }).pipe(
          Effect.provide(resilient(other, {}, { meters: () => [Meter.requests(2)] }))
        )
      )
      assert.deepStrictEqual(other.asked.map(({ at }) => at), [0, 0, 60_250])
    }))

  it.effect("admits each try anew", () =>
    Effect.gen(function*() {
      const other = scripted([broken, says("a")])
      yield* succeeded(ask.pipe(Effect.provide(resilient(other, {}, { meters: () => [Meter.requests(1)] }))))
      assert.deepStrictEqual(other.asked.map(({ at }) => at), [0, 60_250])
    }))

  const settlements: ReadonlyArray<readonly [what: string, reply: Reply, tokens: number]> = [
    ["an answer: its usage", says("a"), 42],
    ["an answer without usage: what was booked", [{ type: "text", text: "a" }], 100],
    ["a throttle: no tokens", throttled, 0],
    ["a request that was refused: no tokens", invalid, 0],
    ["a failure of the server, who may have computed it: what was booked", broken, 100]
  ]
  it.effect.each(settlements)("settles %s", ([, reply, tokens]) =>
    Effect.gen(function*() {
      const other = scripted([reply])
      const used = Effect.andThen(Effect.ignore(ask), tokensIn())
      const options = { cost: () => ({ tokens: 100 }), backoff: { attempts: 1 } }
      const limits = { meters: () => [Meter.tokens(10_000)] }
      // A throttle that the books can't explain is booked as somebody else's: of that, nothing is asked here.
      const [tokensUsed = 0] = yield* used.pipe(Effect.provide(resilient(other, options, limits)))
      if (reply === throttled) assert.isAtLeast(tokensUsed, 0)
      else assert.strictEqual(tokensUsed, tokens)
    }))

  it.effect("hears of a throttle", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const listening = Effect.map(RateLimiter.RateLimiter, (limiter) =>
        RateLimiter.RateLimiter.of({
          ...limiter,
          throttled: (pool) => Effect.andThen(Effect.sync(() => told.push(pool)), limiter.throttled(pool))
        }))
      const layer = Resilient.layer(scripted([throttled, says("a")]).layer, base).pipe(
        Layer.provide(Layer.effect(RateLimiter.RateLimiter, listening)),
        Layer.provide(RateLimiter.layer(meters))
      )
      yield* succeeded(ask.pipe(Effect.provide(layer)))
      assert.deepStrictEqual(told, ["other"])
    }))

  it.effect("books what is said, and what an answer was charged", () =>
    Effect.gen(function*() {
      const gate = Effect.andThen(Effect.sleep("1 second"), Effect.succeed(says("a")))
      const used = Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(ask)
        yield* TestClock.adjust("500 millis")
        const booked = yield* tokensIn()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        return [booked, yield* tokensIn()]
      })
      const options = {
        cost: () => ({ tokens: 77, requests: 2 }),
        charged: ({ outputTokens }: Response.FinishPartEncoded["usage"]) => outputTokens.total ?? 0
      }
      assert.deepStrictEqual(yield* used.pipe(Effect.provide(resilient(scripted([gate]), options))), [[2, 77], [2, 12]])
      // Unless it is said: the prompt and the tools.
      const [[requests, tokens] = []] = yield* used.pipe(Effect.provide(resilient(scripted([gate]))))
      assert.strictEqual(requests, 1)
      assert.isTrue(tokens !== undefined && tokens >= 6 && tokens < 60)
    }))

  it.effect("knows the tools of a request by default", () =>
    Effect.gen(function*() {
      const other = scripted([says("a")])
      const asked = LanguageModel.generateText({ prompt: "Hello", toolkit: Tools })
      yield* succeeded(asked.pipe(Effect.provide([resilient(other), counting().layer])))
      const [{ options } = assert.fail("nothing was asked")] = other.asked
      assert.isAbove(Resilient.estimate(options), Resilient.estimate({ ...options, tools: [] }) + 20)
    }))

  it("reads a prompt as a conversation, whatever is in it", () => {
    const of = (...content: ReadonlyArray<Prompt.UserMessagePartEncoded>) =>
      Resilient.estimate({ prompt: Prompt.make([{ role: "user", content }]), tools: [] })
    const nothing = of()
    const text = of({ type: "text", text: "Why is the sky blue? ".repeat(100) }) - nothing
    assert.isTrue(text > 400 && text < 900, String(text))
    // A picture is one, however it is given, and no text of its bytes.
    const bytes = new Uint8Array(3_000_000)
    const picture = (data: Uint8Array | string | URL) => of({ type: "file", mediaType: "image/png", data }) - nothing
    for (
      const data of [bytes, Buffer.from(bytes).toString("base64"), new URL("https://example.com/sky.png")]
    ) {
      assert.isTrue(picture(data) >= 1_000 && picture(data) < 20_000, String(picture(data)))
    }
    assert.isAbove(of({ type: "file", mediaType: "application/pdf", data: bytes }), 20_000)
    const called = Prompt.make([
      {
        role: "assistant",
        content: [{
          type: "tool-call",
          id: "1",
          name: "Weather",
          params: { city: "Bern ".repeat(100) },
          providerExecuted: false
        }]
      },
      {
        role: "tool",
        content: [{
          type: "tool-result",
          id: "1",
          name: "Weather",
          result: { is: "warm ".repeat(100) },
          isFailure: false
        }]
      }
    ])
    assert.isAbove(Resilient.estimate({ prompt: called, tools: [] }), 200)
  })

  const refusals: ReadonlyArray<
    readonly [why: string, cost: Resilient.Asked, reason: AiError.AiErrorReason["_tag"], retryable: boolean]
  > = [
    ["a wait that is too long", { tokens: 1, maxWait: Duration.seconds(1) }, "QuotaExhaustedError", false],
    ["a request that is larger than the quota", { tokens: 20_000 }, "InvalidRequestError", false],
    ["a cost that makes no sense", { tokens: -1 }, "UnknownError", false]
  ]
  it.effect("by a pool that is parked for ever is an exhausted quota that does not say when", () =>
    Effect.gen(function*() {
      yield* RateLimiter.RateLimiter.use((limiter) => limiter.park("other", Duration.infinity))
      const error = yield* failed(LanguageModel.generateText({ prompt: "Hi" }))
      if (error._tag !== "AiError" || error.reason._tag !== "QuotaExhaustedError") return assert.fail(String(error))
      assert.isUndefined(error.reason.resetAt)
    }).pipe(Effect.provide(resilient(scripted([says("Hi")])))))

  it.effect.each(refusals)(
    "refuses in the words of effect/ai: %s",
    ([, cost, reason, retryable]) =>
      Effect.gen(function*() {
        const other = scripted([says("a")])
        const layer = resilient(other, { cost: () => cost }, {
          meters: () => [Meter.requests(1), Meter.tokens(10_000)]
        })
        const error = yield* failed(
          Effect.gen(function*() {
            yield* (yield* RateLimiter.RateLimiter).limit({ pool: "other", requests: 1, tokens: 0 })(Effect.void)
            yield* ask
          }).pipe(Effect.provide(layer))
        ) as Effect.Effect<AiError.AiError>
        assert.strictEqual(error.reason._tag, reason)
        assert.strictEqual(error.isRetryable, retryable)
        assert.strictEqual(other.asked.length, 0)
        if (error.reason._tag === "QuotaExhaustedError") {
          assert.deepStrictEqual(error.reason.resetAt, DateTime.makeUnsafe(60_250))
        }
      })
  )
})

it.effect("says what the model says of its prompts", () =>
  Effect.gen(function*() {
    for (const supports of [Effect.succeed(true), undefined]) {
      const model = yield* LanguageModel.make({
        generateText: () => Effect.succeed(says("a")),
        streamText: () => Stream.empty,
        supportsSystemMessagesInHistory: supports
      })
      const over = yield* Resilient.make(model, base)
      assert.strictEqual(over.supportsSystemMessagesInHistory, supports)
    }
  }).pipe(Effect.provide(RateLimiter.layer(meters))))

describe("another try", () => {
  it.effect("comes after about 1 s, 2 s and 4 s, and the fourth request is the last", () =>
    Effect.gen(function*() {
      const other = scripted([throttled])
      const error = yield* failed(ask.pipe(Effect.provide(resilient(other))))
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.deepStrictEqual(other.asked.map(({ at }) => at), [0, 1_000, 3_000, 7_000])
    }))

  it.effect("comes not before the provider said", () =>
    Effect.gen(function*() {
      const other = scripted([failing(new AiError.RateLimitError({ retryAfter: Duration.seconds(30) })), says("a")])
      yield* succeeded(ask.pipe(Effect.provide(resilient(other))))
      assert.isAtLeast(other.asked[1]?.at ?? 0, 30_000)
    }))

  it.effect("draws on a budget", () =>
    Effect.gen(function*() {
      const other = scripted([throttled])
      const budget = yield* RetryBudget.make({ capacity: 1, ratio: 0, perSecond: 0 })
      yield* failed(ask.pipe(Effect.provide(resilient(other, { backoff: { budget } }))))
      assert.strictEqual(other.asked.length, 2)
      yield* failed(
        LanguageModel.streamText({ prompt: "a" }).pipe(
          Stream.runDrain,
          Effect.provide(resilient(other, { backoff: { budget } }))
        )
      )
      assert.strictEqual(other.asked.length, 3)
      assert.strictEqual((yield* budget.snapshot).find(({ pool }) => pool === "other")?.calls, 2)
    }))

  it.effect("is not made of what is wrong with the request", () =>
    Effect.gen(function*() {
      const other = scripted([invalid])
      assert.strictEqual(yield* failed(ask.pipe(Effect.provide(resilient(other)))), invalid)
      assert.strictEqual(other.asked.length, 1)
    }))
})

describe("the fallback", () => {
  const reasons: ReadonlyArray<readonly [reason: AiError.AiErrorReason, elsewhere: boolean]> = [
    [new AiError.RateLimitError({}), true],
    [new AiError.QuotaExhaustedError({}), true],
    [new AiError.InternalProviderError({ description: "" }), true],
    [new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "/" }), true],
    [new AiError.AuthenticationError({ kind: "InvalidKey" }), true],
    [new AiError.InvalidRequestError({}), false],
    [new AiError.ContentPolicyError({ description: "" }), false],
    [new AiError.InvalidOutputError({ description: "" }), false],
    [new AiError.UnsupportedSchemaError({ description: "" }), false],
    [new AiError.UnknownError({}), false]
  ]
  it.effect.each(reasons.map(([reason, elsewhere]) => [reason._tag, reason, elsewhere] as const))(
    "is asked after %s, or is not",
    ([, reason, elsewhere]) =>
      Effect.gen(function*() {
        const error = failing(reason)
        const other = scripted([error])
        const spare = scripted([says("from there")])
        const result = yield* ran(ask.pipe(Effect.provide(resilient(other, { fallback: spare.layer }))))
        if (Result.isSuccess(result)) assert.strictEqual(result.success.text, "from there")
        else assert.strictEqual(result.failure, error)
        assert.strictEqual(spare.asked.length, elsewhere ? 1 : 0)
        assert.strictEqual(other.asked.length, error.isRetryable ? 4 : 1)
      })
  )

  it.effect("is asked where the pool has no room, and has a pool of its own", () =>
    Effect.gen(function*() {
      const other = scripted([says("here")])
      const spare = scripted([says("there")])
      const last = scripted([says("at last")])
      const cost = () => ({ tokens: 1, maxWait: Duration.zero })
      const answers = yield* succeeded(
        Effect.forEach([1, 2, 3], () => Effect.map(ask, ({ text }) => text)).pipe(Effect.provide(
          Resilient.layer(other.layer, {
            pool: "a",
            cost,
            fallback: Resilient.layer(spare.layer, { pool: "b", cost, fallback: last.layer })
          }).pipe(Layer.provide(RateLimiter.layer({ meters: () => [Meter.requests(1)] })))
        ))
      )
      assert.deepStrictEqual(answers, ["here", "there", "at last"])
    }))

  it.effect("runs a handler once as well", () =>
    Effect.gen(function*() {
      const spare = scripted([[calls("Weather"), finish("tool-calls")]])
      const handlers = counting()
      yield* succeeded(
        LanguageModel.generateText({ prompt: "How is it?", toolkit: Tools }).pipe(
          Effect.provide([resilient(scripted([throttled]), { fallback: spare.layer }), handlers.layer])
        )
      )
      assert.strictEqual(handlers.ran.length, 1)
    }))
})

describe("an object", () => {
  class Plan extends Schema.Class<Plan>("Plan")({
    title: Schema.String,
    due: Schema.DateFromString,
    note: Schema.optionalKey(Schema.String)
  }) {}
  const plan = LanguageModel.generateObject({ prompt: "A plan", schema: Plan, objectName: "plan" })

  it.effect("is read by the model's own codec, and the same as without us", () =>
    Effect.gen(function*() {
      // OpenAI's has no optional fields.
      const reply = says(JSON.stringify({ title: "Rest", due: at.toISOString(), note: null }))
      const own = scripted([reply], OpenAiStructuredOutput.toCodecOpenAI)
      const other = scripted([throttled, reply], OpenAiStructuredOutput.toCodecOpenAI)
      const expected = yield* succeeded(plan.pipe(Effect.provide(own.layer)))
      const { finishReason, usage: { outputTokens }, value } = yield* succeeded(
        plan.pipe(Effect.provide(resilient(other)))
      )
      assert.deepStrictEqual(value, expected.value)
      assert.isTrue(value instanceof Plan)
      assert.deepStrictEqual([finishReason, outputTokens.total], ["stop", 12])
      const [first] = other.asked
      assert.strictEqual(
        first?.options.responseFormat.type === "json" && first.options.responseFormat.objectName,
        "plan"
      )
      assert.strictEqual(other.asked.length, 2)
    }))

  it.effect("that is none is asked for again", () =>
    Effect.gen(function*() {
      const other = scripted([says("no object"), says(JSON.stringify({ title: "Rest", due: at.toISOString() }))])
      const { value } = yield* succeeded(plan.pipe(Effect.provide(resilient(other))))
      assert.deepStrictEqual([value.title, other.asked.length], ["Rest", 2])
    }))
})

describe("a stream", () => {
  const streamed = LanguageModel.streamText({ prompt: "Why is the sky blue?" })
  /** What arrived, and how it ended. */
  const read = <E, R>(stream: Stream.Stream<Response.StreamPart<{}>, E, R>) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const end = yield* Effect.result(
        Stream.runForEach(stream, (part) =>
          Effect.sync(() => {
            seen.push(
              part.type === "text-delta" ? part.delta : part.type === "response-metadata" ? String(part.id) : part.type
            )
          }))
      )
      return { seen, error: Result.isFailure(end) ? end.failure : undefined }
    })

  it.effect("comes as it would without us, and is settled by its usage", () =>
    Effect.gen(function*() {
      const other = scripted([[[metadata("r-1")], ...streams("a", "b")]])
      const [{ error, seen }, used] = yield* succeeded(
        Effect.all([read(streamed), tokensIn()]).pipe(Effect.provide(resilient(other)))
      )
      assert.isUndefined(error)
      assert.deepStrictEqual(seen, ["r-1", "text-start", "a", "b", "text-end", "finish"])
      assert.deepStrictEqual(used, [1, 42])
    }))

  it.effect("is asked for again until its first content, and nothing of the first is seen", () =>
    Effect.gen(function*() {
      const other = scripted([throttled, [[metadata("r-1")], broken], [[metadata("r-2")], ...streams("a")]])
      const { error, seen } = yield* succeeded(read(streamed).pipe(Effect.provide(resilient(other))))
      assert.isUndefined(error)
      assert.deepStrictEqual(seen, ["r-2", "text-start", "a", "text-end", "finish"])
      assert.deepStrictEqual(other.asked.map(({ at }) => at), [0, 1_000, 3_000])
    }))

  it.effect("is not asked for again after it, neither here nor elsewhere", () =>
    Effect.gen(function*() {
      const spare = scripted([streams("elsewhere")])
      const other = scripted([[
        [{ type: "text-start", id: "0" }],
        [{ type: "text-delta", id: "0", delta: "a" }],
        [metadata("r-2")],
        broken
      ]])
      const { error, seen } = yield* succeeded(
        read(streamed).pipe(Effect.provide(resilient(other, { fallback: spare.layer })))
      )
      assert.strictEqual(error, broken)
      assert.deepStrictEqual(seen, ["text-start", "a", "r-2"])
      assert.deepStrictEqual([other.asked.length, spare.asked.length], [1, 0])
    }))

  it.effect("falls back before its first content", () =>
    Effect.gen(function*() {
      const other = scripted([[[metadata("r-1")], failing(new AiError.QuotaExhaustedError({}))]])
      const spare = scripted([streams("elsewhere")])
      const { seen } = yield* succeeded(
        read(streamed).pipe(Effect.provide(resilient(other, { fallback: spare.layer })))
      )
      assert.deepStrictEqual(seen, ["text-start", "elsewhere", "text-end", "finish"])
    }))

  it.effect("that has nothing but metadata ends with it", () =>
    Effect.gen(function*() {
      const { error, seen } = yield* succeeded(
        read(streamed).pipe(Effect.provide(resilient(scripted([[[metadata("r-1")]]]))))
      )
      assert.deepStrictEqual([seen, error], [["r-1"], undefined])
    }))

  it.effect("runs a handler once, and none of an answer that was cut off", () =>
    Effect.gen(function*() {
      const withTools = Stream.runCollect(LanguageModel.streamText({ prompt: "How is it?", toolkit: Tools }))
      for (
        const [reason, times] of [["tool-calls", 1], ["length", 0]] as const
      ) {
        // Two calls and the end in one piece, as providers send them.
        const piece = [calls("Weather"), { ...calls("Weather"), id: "call-2" }, finish(reason)]
        const other = scripted([throttled, [piece]])
        const handlers = counting()
        yield* succeeded(withTools.pipe(Effect.provide([resilient(other), handlers.layer])))
        assert.strictEqual(handlers.ran.length, 2 * times)
      }
    }))

  it.effect("leaves its window by when its first part came", () =>
    Effect.gen(function*() {
      const slow = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () => Effect.succeed([]),
          streamText: () =>
            Stream.fromIterable(streams("a").flat()).pipe(
              Stream.tap(({ type }) => type === "text-start" ? Effect.void : Effect.sleep("10 seconds"))
            )
        })
      )
      const layer = Resilient.layer(slow, base).pipe(
        Layer.provide(RateLimiter.layer({ meters: () => [Meter.requests(1)] }))
      )
      const times = yield* succeeded(
        Effect.gen(function*() {
          yield* read(streamed)
          yield* read(Stream.take(streamed, 1))
          return yield* Clock.currentTimeMillis
        }).pipe(Effect.provide(layer))
      )
      assert.strictEqual(times, 60_250)
    }))
})

describe("an interruption", () => {
  it.effect("while it waits leaves nobody in line", () =>
    Effect.gen(function*() {
      const other = scripted([says("a")])
      const limiter = RateLimiter.layer({ meters: () => [Meter.requests(1)] })
      yield* Effect.gen(function*() {
        const { snapshot } = yield* RateLimiter.RateLimiter
        yield* ask
        for (const waiting of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "a" }))]) {
          const fiber = yield* Effect.forkChild(waiting)
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* snapshot("other")).waiting, 1)
          yield* Fiber.interrupt(fiber)
          assert.strictEqual((yield* snapshot("other")).waiting, 0)
        }
        assert.strictEqual(other.asked.length, 1)
      }).pipe(Effect.provide(Resilient.layer(other.layer, base).pipe(Layer.provideMerge(limiter))))
    }))

  it.effect("under way ends the request, and what was booked leaves with its window", () =>
    Effect.gen(function*() {
      let open = 0
      const never = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sync(() => open--)),
        (effect) => Effect.andThen(Effect.sync(() => open++), effect)
      )
      const silent = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => never, streamText: () => Stream.fromEffect(never) })
      )
      yield* Effect.gen(function*() {
        for (const asking of [ask, Stream.runDrain(LanguageModel.streamText({ prompt: "a" }))]) {
          const fiber = yield* Effect.forkChild(asking)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(open, 1)
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(open, 0)
          assert.deepStrictEqual(yield* tokensIn(), [1, 100])
          yield* TestClock.adjust("2 minutes")
          assert.deepStrictEqual(yield* tokensIn(), [0, 0])
        }
      }).pipe(Effect.provide(
        Resilient.layer(silent, { ...base, cost: () => ({ tokens: 100 }) }).pipe(
          Layer.provideMerge(RateLimiter.layer(meters))
        )
      ))
    }))
})

describe("embeddings", () => {
  const embedder = (replies: ReadonlyArray<AiError.AiError | number>) => {
    const asked: Array<{ readonly at: number; readonly inputs: ReadonlyArray<string> }> = []
    const model = EmbeddingModel.make({
      embedMany: ({ inputs }) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) => {
          asked.push({ at, inputs })
          const reply = replies[Math.min(asked.length, replies.length) - 1]
          return typeof reply === "number"
            ? Effect.succeed({ results: inputs.map(() => [reply]), usage: { inputTokens: 7 } })
            : Effect.fail(reply ?? broken)
        })
    })
    return { asked, layer: Layer.effect(EmbeddingModel.EmbeddingModel, model) }
  }
  const embed = EmbeddingModel.EmbeddingModel.use((model) => model.embedMany(["one", "two"]))

  it.effect("are tried again, limited and settled", () =>
    Effect.gen(function*() {
      const other = embedder([throttled, 1])
      const layer = Resilient.layerEmbedding(other.layer, { pool: "other", backoff: { jitter: "none" } }).pipe(
        Layer.provideMerge(RateLimiter.layer({ meters: () => [Meter.requests(2), Meter.tokens(10_000)] }))
      )
      const { embeddings, usage } = yield* succeeded(Effect.andThen(embed, embed).pipe(Effect.provide(layer)))
      assert.deepStrictEqual(embeddings.map(({ vector }) => vector), [[1], [1]])
      assert.strictEqual(usage.inputTokens, 7)
      assert.deepStrictEqual(other.asked.map(({ at }) => at).slice(0, 2), [0, 1_000])
      assert.isAtLeast(other.asked[2]?.at ?? 0, 60_000)
    }))

  it.effect("cost what is said of them", () =>
    Effect.gen(function*() {
      const other = embedder([broken])
      const layer = Resilient.layerEmbedding(other.layer, {
        pool: "other",
        cost: (texts) => ({ tokens: 100 * texts.length }),
        backoff: { attempts: 1 }
      }).pipe(Layer.provideMerge(RateLimiter.layer(meters)))
      const [error, used] = yield* Effect.all([Effect.flip(embed), tokensIn()]).pipe(Effect.provide(layer))
      assert.strictEqual(error, broken)
      assert.deepStrictEqual(used, [1, 200])
    }))
})
