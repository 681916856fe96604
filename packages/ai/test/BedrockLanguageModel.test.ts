// The wire, over real sockets, with the unmodified SDK. What a prompt becomes is in `prompt.test.ts`.
import { AiErrors, BedrockLanguageModel } from "@caprock/ai"
import { type Bedrock, CallEvents, CallLimits } from "@caprock/bedrock"
import { Fault } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, DateTime, Effect, Exit, Layer, Option, Stream, Tracer } from "effect"
import { Chat, LanguageModel, Model, Prompt } from "effect/ai"
import { modelId, rig, scripted } from "./rig.ts"

describe("a text", () => {
  it.live("is answered, with its end, usage, request id and model", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Because of Rayleigh scattering.", outputTokens: 6 })
      const { lm } = yield* rig({ emulator: { output } })
      const answer = yield* lm.generateText({ prompt: "Why is the sky blue?" })
      assert.strictEqual(answer.text, "Because of Rayleigh scattering.")
      assert.strictEqual(answer.finishReason, "stop")
      assert.strictEqual(answer.usage.outputTokens.total, 6)
      assert.deepStrictEqual(requests, [{
        messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
        inferenceConfig: { maxTokens: 500 }
      }])
      const [told, , finish] = answer.content
      if (told?.type !== "response-metadata" || finish?.type !== "finish") return assert.fail()
      assert.strictEqual(told.modelId, modelId)
      assert.match(told.id ?? "", /^[0-9a-f-]{36}$/)
      assert.strictEqual(told.metadata.bedrock?.requestId, told.id)
      assert.isTrue(told.timestamp !== undefined && DateTime.isDateTime(told.timestamp))
      assert.strictEqual(finish.metadata.bedrock?.stopReason, "end_turn")
      assert.isNumber(finish.metadata.bedrock?.latencyMillis)
      assert.deepStrictEqual(finish.response, { status: 200, headers: { "x-amzn-requestid": told.id ?? "" } })
    }).pipe(Effect.scoped))

  it.live("has what the cache read and wrote in its usage, and in the total", () =>
    Effect.gen(function*() {
      const { lm } = yield* rig({ emulator: { cacheMinimumTokens: 1, output: () => ({ text: "Yes." }) } })
      const ask = lm.generateText({
        prompt: [
          { role: "system", content: "You know all words. ".repeat(20), options: { bedrock: { cachePoint: true } } },
          { role: "user", content: "Do you?" }
        ]
      })
      const { inputTokens: first } = (yield* ask).usage
      const { inputTokens: second } = (yield* ask).usage
      assert.isAbove(first.cacheWrite ?? 0, 50)
      assert.strictEqual(first.cacheRead, 0)
      assert.strictEqual(first.total, (first.uncached ?? 0) + (first.cacheWrite ?? 0))
      assert.strictEqual(second.cacheRead, first.cacheWrite)
      assert.strictEqual(second.total, first.total)
      assert.strictEqual(second.uncached, first.uncached)
    }).pipe(Effect.scoped))

  it.live("goes on in a chat: each turn has what was said before", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Blue." }, { text: "Since it scatters." })
      const { lm } = yield* rig({ emulator: { output } })
      const chat = yield* Chat.fromPrompt([{ role: "system", content: "Be brief." }])
      yield* chat.generateText({ prompt: "What colour is the sky?" }).pipe(
        Effect.andThen(chat.generateText({ prompt: "Why?" })),
        Effect.provideService(LanguageModel.LanguageModel, lm)
      )
      assert.deepStrictEqual(requests[1]?.system, [{ text: "Be brief." }])
      assert.deepStrictEqual(requests[1]?.messages, [
        { role: "user", content: [{ text: "What colour is the sky?" }] },
        { role: "assistant", content: [{ text: "Blue." }] },
        { role: "user", content: [{ text: "Why?" }] }
      ])
    }).pipe(Effect.scoped))

  it.live("goes on with another model: sends no reasoning to a model that can't have signed it, and Anthropic's all of it", () =>
    Effect.gen(function*() {
      const prompt = Prompt.make([
        { role: "user", content: "a" },
        {
          role: "assistant",
          content: [{ type: "reasoning", text: "so", options: { bedrock: { signature: "sig" } } }]
        },
        { role: "user", content: "b" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "", options: { bedrock: { redacted: "AQI=" } } },
            { type: "text", text: "c" }
          ]
        },
        { role: "user", content: "d" }
      ])
      const sent = (model: string, bedrock: Bedrock.Options = {}) =>
        Effect.gen(function*() {
          const { output, requests } = scripted({ text: "Yes." })
          const { lm } = yield* rig({ model, bedrock, emulator: { output } })
          yield* lm.generateText({ prompt })
          return requests[0]?.messages.map(({ content, role }) => [
            role,
            ...content.flatMap((block) => Object.keys(Object(block)))
          ])
        })
      const whole = [
        ["user", "text"],
        ["assistant", "reasoningContent"],
        ["user", "text"],
        ["assistant", "reasoningContent", "text"],
        ["user", "text"]
      ]
      const without = [["user", "text", "text"], ["assistant", "text"], ["user", "text"]]
      const nova = "us.amazon.nova-lite-v1:0"
      assert.deepStrictEqual(yield* sent(modelId), whole)
      assert.deepStrictEqual(yield* sent(nova), without)
      // By a route each target gets what it takes.
      const routes = (model: string) => ({
        routes: { targets: { one: { model } }, routes: { chat: { policy: "one" } } }
      })
      assert.deepStrictEqual(yield* sent("chat", routes(modelId)), whole)
      assert.deepStrictEqual(yield* sent("chat", routes(nova)), without)
    }).pipe(Effect.scoped))

  it.live.each(
    [
      ["end_turn", "stop"],
      ["stop_sequence", "stop"],
      ["max_tokens", "length"],
      ["model_context_window_exceeded", "length"],
      ["guardrail_intervened", "content-filter"],
      ["content_filtered", "content-filter"],
      ["malformed_model_output", "error"],
      ["malformed_tool_use", "error"],
      ["what_comes_next", "other"]
    ] as const
  )("that ends with %s finishes with %s, and says both", ([stopReason, reason]) =>
    Effect.gen(function*() {
      const { lm } = yield* rig({ emulator: { output: () => ({ text: "So.", stopReason }) } })
      const answer = yield* lm.generateText({ prompt: "Hi" })
      const finish = answer.content.at(-1)
      if (finish?.type !== "finish") return assert.fail()
      assert.deepStrictEqual([finish.reason, finish.metadata.bedrock?.stopReason], [reason, stopReason])
    }).pipe(Effect.scoped))

  it.live("has the guardrail's trace and the fields that were asked for", () =>
    Effect.gen(function*() {
      const trace = { guardrail: { actionReason: "Guardrail blocked." } }
      const more = { trace, additionalModelResponseFields: { stop_sequence: "\n" } }
      const { lm } = yield* rig({
        emulator: { output: () => ({ content: [{ text: "Sorry." }], more, stopReason: "guardrail_intervened" }) }
      })
      const finish = (yield* lm.generateText({ prompt: "Hi" })).content.at(-1)
      if (finish?.type !== "finish") return assert.fail()
      assert.deepStrictEqual(finish.metadata.bedrock?.trace, trace)
      assert.deepStrictEqual(finish.metadata.bedrock?.fields, { stop_sequence: "\n" })
    }).pipe(Effect.scoped))
})

describe("settings", () => {
  const all: BedrockLanguageModel.Overrides = {
    maxTokens: 77,
    temperature: 0.5,
    topP: 0.9,
    stopSequences: ["END"],
    effort: "low",
    guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1", trace: "enabled" },
    additionalModelRequestFields: { top_k: 5 },
    additionalModelResponseFieldPaths: ["/stop_sequence"],
    requestMetadata: { team: "a" },
    performanceConfig: { latency: "optimized" },
    promptVariables: { name: { text: "Ann" } },
    serviceTier: { type: "flex" }
  }

  const sent = {
    inferenceConfig: { maxTokens: 77, temperature: 0.5, topP: 0.9, stopSequences: ["END"] },
    outputConfig: { effort: "low" },
    guardrailConfig: all.guardrailConfig,
    additionalModelRequestFields: { top_k: 5 },
    additionalModelResponseFieldPaths: ["/stop_sequence"],
    requestMetadata: { team: "a" },
    performanceConfig: { latency: "optimized" },
    promptVariables: { name: { text: "Ann" } },
    serviceTier: { type: "flex" }
  }

  it.live("of the model are members of the request", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Yes." })
      const { lm } = yield* rig({ emulator: { output }, settings: all })
      yield* lm.generateText({ prompt: "Hi" })
      const { messages: _, ...rest } = requests[0] ?? { messages: [] }
      assert.deepStrictEqual(rest, sent)
    }).pipe(Effect.scoped))

  it.live("of a call go before those of the model, those inside before those outside, and what is not named stays", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Yes." })
      const { lm } = yield* rig({ emulator: { output }, settings: { maxTokens: 100, temperature: 0.1 } })
      const ask = lm.generateText({ prompt: "Hi" })
      yield* BedrockLanguageModel.withConfigOverride(ask, { temperature: 0.2 })
      yield* ask.pipe(
        BedrockLanguageModel.withConfigOverride({ temperature: 0.4 }),
        BedrockLanguageModel.withConfigOverride({ temperature: 0.3, topP: 0.5 })
      )
      yield* ask
      assert.deepStrictEqual(requests.map(({ inferenceConfig }) => inferenceConfig), [
        { maxTokens: 100, temperature: 0.2 },
        { maxTokens: 100, temperature: 0.4, topP: 0.5 },
        { maxTokens: 100, temperature: 0.1 }
      ])
    }).pipe(Effect.scoped))
})

describe("what Bedrock has for the calls of a fiber", () => {
  it.live("holds for those of a model: settings also of a stream, its deadline, its listener", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Yes." })
      const { emulator, lm } = yield* rig({ emulator: { output } })
      yield* Stream.runDrain(lm.streamText({ prompt: "Hi" })).pipe(
        BedrockLanguageModel.withConfigOverride({ temperature: 0.7 })
      )
      assert.deepStrictEqual(requests[0]?.inferenceConfig, { maxTokens: 500, temperature: 0.7 })

      const events: Array<string> = []
      yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 1 })
      yield* lm.generateText({ prompt: "Hi" }).pipe(
        Effect.provideService(CallEvents.CallEvents, ({ _tag }) => void events.push(_tag))
      )
      assert.deepStrictEqual(events.filter((tag) => tag === "AttemptFailed" || tag === "CallEnded"), [
        "AttemptFailed",
        "CallEnded"
      ])

      yield* emulator.inject(Fault.silence({}), { times: 1 })
      const late = yield* lm.generateText({ prompt: "Hi" }).pipe(
        Effect.provideService(CallLimits.CallLimits, { deadline: "50 millis" }),
        Effect.flip
      )
      assert.strictEqual(late.reason._tag, "UnknownError")
      const original = Option.getOrThrow(AiErrors.toBedrock(late))
      assert.strictEqual(original.reason._tag === "TimeoutError" ? original.reason.kind : original.reason, "deadline")
    }).pipe(Effect.scoped))
})

describe("layers", () => {
  it.live("model says who provides it and what it is called; layerConfig reads what it is", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: "Yes." })
      const { context, emulator } = yield* rig({ emulator: { output } })
      const bedrock = Layer.succeedContext(context)
      const ask = LanguageModel.generateText({ prompt: "Hi" })
      const named = yield* Effect.all([ask, Model.ProviderName, Model.ModelName]).pipe(
        Effect.provide(
          Layer.provide(BedrockLanguageModel.model("amazon.nova-lite-v1:0", { maxTokens: 9 }), bedrock)
        )
      )
      assert.deepStrictEqual(named.slice(1), ["amazon-bedrock", "amazon.nova-lite-v1:0"])
      const fromVariables = BedrockLanguageModel.layerConfig({
        model: Config.String("MODEL"),
        config: { maxTokens: Config.Int("MAX_TOKENS") }
      })
      const live = (env: Record<string, string>) =>
        Layer.provide(fromVariables, [bedrock, ConfigProvider.layer(ConfigProvider.fromEnv({ env }))])
      yield* Effect.provide(ask, live({ MODEL: "meta.llama3-1-8b-instruct-v1:0", MAX_TOKENS: "11" }))
      assert.deepStrictEqual(requests.map(({ inferenceConfig }) => inferenceConfig), [{ maxTokens: 9 }, {
        maxTokens: 11
      }])
      assert.deepStrictEqual((yield* emulator.log).map(({ modelId }) => modelId), [
        "amazon.nova-lite-v1:0",
        "meta.llama3-1-8b-instruct-v1:0"
      ])
      const without = yield* Effect.exit(Effect.provide(ask, live({})))
      assert.isTrue(Exit.isFailure(without))
    }).pipe(Effect.scoped))
})

describe("a failure", () => {
  it.live("is what Bedrock said, after its own attempts and no others", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({ bedrock: { backoff: { base: "5 millis", attempts: 3 } } })
      yield* emulator.inject(Fault.error("ThrottlingException"), { times: 10 })
      const error = yield* Effect.flip(lm.generateText({ prompt: "Hi" }))
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.strictEqual(`${error.module}.${error.method}`, "BedrockLanguageModel.generateText")
      const original = Option.getOrThrow(AiErrors.toBedrock(error))
      assert.deepStrictEqual([original.attempts, original.gaveUp, original.httpStatus], [3, "attempts", 429])
      assert.strictEqual((yield* emulator.log).length, 3)
    }).pipe(Effect.scoped))

  it.live.each(
    [
      ["ServiceUnavailableException", "InternalProviderError"],
      ["AccessDeniedException", "AuthenticationError"],
      ["ExpiredTokenException", "AuthenticationError"],
      ["ValidationException", "InvalidRequestError"],
      ["ResourceNotFoundException", "InvalidRequestError"],
      ["ServiceQuotaExceededException", "QuotaExhaustedError"]
    ] as const
  )("of %s is an %s", ([name, tag]) =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({})
      yield* emulator.inject(Fault.error(name), { times: 4 })
      const error = yield* Effect.flip(lm.generateText({ prompt: "Hi" }))
      assert.strictEqual(error.reason._tag, tag)
    }).pipe(Effect.scoped))

  it.live("before anything is sent: what is larger than the quota, and what can't be said to Bedrock", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({
        bedrock: { withoutQuota: "probe", quotas: { default: { tokensPerMinute: 100 } } }
      })
      const larger = yield* Effect.flip(lm.generateText({ prompt: "Hi" }))
      assert.strictEqual(larger.reason._tag, "InvalidRequestError")
      assert.include(larger.message, "exceeds the quota")
      const file = { type: "file", mediaType: "image/tiff", data: "AQI=" } as const
      const wrong = yield* Effect.flip(lm.generateText({ prompt: [{ role: "user", content: [file] }] }))
      assert.strictEqual(wrong.reason._tag, "InvalidRequestError")
      assert.include(wrong.message, "image/tiff")
      assert.isEmpty(yield* emulator.log)
    }).pipe(Effect.scoped))

  it.live("of admission has a time at which it may be different", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({
        bedrock: { quotas: { default: { requestsPerMinute: 1 } }, maxWait: "1 second" },
        emulator: { output: () => ({ text: "Yes." }) }
      })
      yield* lm.generateText({ prompt: "Hi" })
      const { reason } = yield* Effect.flip(lm.generateText({ prompt: "Hi" }))
      if (reason._tag !== "QuotaExhaustedError" || reason.resetAt === undefined) return assert.fail(reason._tag)
      const wait = DateTime.toEpochMillis(reason.resetAt) - DateTime.toEpochMillis(yield* DateTime.now)
      assert.isTrue(wait > 30_000 && wait < 61_000, `${wait}`)
      assert.strictEqual((yield* emulator.log).length, 1)
    }).pipe(Effect.scoped))
})

describe("a route", () => {
  it.live("stands where a model does: who answered and what was tried is told at the end", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({
        model: "chat",
        emulator: { output: () => ({ text: "Yes." }) },
        bedrock: {
          backoff: { base: "5 millis" },
          routes: {
            targets: {
              ohio: { model: "amazon.nova-lite-v1:0", region: "us-east-2" },
              oregon: { model: "amazon.nova-lite-v1:0", region: "us-west-2" }
            },
            routes: { chat: { policy: { ordered: ["ohio", "oregon"] } } }
          }
        }
      })
      yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 1 })
      const answer = yield* lm.generateText({ prompt: "Hi" })
      const [told] = answer.content
      const finish = answer.content.at(-1)
      if (told?.type !== "response-metadata" || finish?.type !== "finish") return assert.fail()
      assert.strictEqual(told.modelId, "chat")
      const { account } = finish.metadata.bedrock ?? {}
      assert.strictEqual(account?.target, "oregon")
      assert.deepStrictEqual(account?.trials.map(({ outcome, target }) => `${target}: ${outcome}`), [
        "ohio: ServerError",
        "oregon: answered"
      ])
      yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 1 })
      const end = Option.getOrThrow(yield* Stream.runLast(lm.streamText({ prompt: "Hi" })))
      assert.strictEqual(end.type === "finish" ? end.metadata.bedrock?.account?.attempts : end, 2)
    }).pipe(Effect.scoped))
})

describe("the span of a call", () => {
  const traced = Effect.gen(function*() {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return { spans, tracer }
  })

  it.live("has the words of GenAI: who, what was asked, what it cost", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* traced
      const { lm } = yield* rig({
        emulator: { cacheMinimumTokens: 1, output: () => ({ text: "Yes.", outputTokens: 3 }) },
        settings: { temperature: 0.5, stopSequences: ["END"] }
      })
      const cached = { bedrock: { cachePoint: true } } as const
      yield* lm.generateText({ prompt: [{ role: "user", content: "Hi there", options: cached }] }).pipe(
        Effect.withTracer(tracer)
      )
      const span = spans.find(({ name }) => name === "LanguageModel.generateText")
      const attributes = Object.fromEntries(span?.attributes ?? [])
      const { "gen_ai.response.id": id, "gen_ai.usage.input_tokens": input, ...rest } = attributes
      assert.match(String(id), /^[0-9a-f-]{36}$/)
      const { "gen_ai.usage.cache_creation.input_tokens": written, ...others } = rest
      assert.isAbove(Number(input), 0)
      assert.isAbove(Number(written), 0)
      assert.deepInclude(others, {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": modelId,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.response.model": modelId,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0
      })
    }).pipe(Effect.scoped))

  it.live("of a stream has them too, at its end", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* traced
      const { lm } = yield* rig({ emulator: { output: () => ({ text: "Yes.", outputTokens: 3 }) } })
      yield* Effect.withTracer(Stream.runDrain(lm.streamText({ prompt: "Hi" })), tracer)
      const span = spans.find(({ name }) => name === "LanguageModel.streamText")
      assert.deepInclude(Object.fromEntries(span?.attributes ?? []), {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": modelId,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.output_tokens": 3
      })
    }).pipe(Effect.scoped))
})
