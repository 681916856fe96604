// Embeddings over sockets, with the unmodified SDK, against the emulator: it embeds a text as a model does, and refuses what is over a model's limits.
import { AiErrors, BedrockEmbeddingModel } from "@caprock/ai"
import { Bedrock, CallEvents, CallTurn } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Array, Config, ConfigProvider, Effect, Fiber, Layer, Option, Result, Schema, Tracer } from "effect"
import { type AiError, EmbeddingModel, Model } from "effect/ai"

type Options = Parameters<typeof Emulator.layer>[0]

/** `Bedrock` on an emulator, and every body that it was asked for. */
const house = Effect.fnUntraced(function*(options: Options = {}, own: Bedrock.Options = {}) {
  const emulator = yield* Emulator.make({ latency: LatencyModel.fixed(0), ...options })
  const bodies: Array<Record<string, unknown>> = []
  const bedrock = Layer.effect(
    Bedrock.Bedrock,
    Effect.map(Bedrock.Bedrock, (bedrock) =>
      Bedrock.Bedrock.of({
        ...bedrock,
        invokeModel: (input) => {
          bodies.push(JSON.parse(String(input.body)))
          return bedrock.invokeModel(input)
        }
      }))
  ).pipe(Layer.provide(Bedrock.layer({
    region: "us-east-1",
    endpoint: emulator.url,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    withoutQuota: "unlimited",
    ...own
  })))
  const context = yield* Layer.build(bedrock)
  const service = (model: string, config?: BedrockEmbeddingModel.Settings) =>
    Effect.provide(BedrockEmbeddingModel.make({ model, config }), context)
  return { emulator, bodies, bedrock: Layer.succeedContext(context), service }
})

const vectorsOf = ({ embeddings }: EmbeddingModel.EmbedManyResponse) => embeddings.map(({ vector }) => vector)

/** What a failure says of a text. */
const invalid = (error: AiError.AiError) =>
  error.reason._tag === "InvalidRequestError"
    ? { parameter: error.reason.parameter, constraint: error.reason.constraint }
    : assert.fail(error.message)

const models: ReadonlyArray<readonly [model: string, dimensions: ReadonlyArray<number>, perRequest: number]> = [
  ["amazon.titan-embed-text-v1", [1536], 1],
  ["amazon.titan-embed-text-v2:0", [1024, 512, 256], 1],
  ["amazon.titan-embed-image-v1", [1024, 384, 256], 1],
  ["cohere.embed-english-v3", [1024], 96],
  ["cohere.embed-multilingual-v3", [1024], 96],
  ["us.cohere.embed-v4:0", [1536, 1024, 512, 256], 96],
  ["amazon.nova-2-multimodal-embeddings-v1:0", [3072, 1024, 384, 256], 1]
]

describe("a model", () => {
  it.live.each(models)(
    "%s: any of its dimensions, in the order of the texts",
    ([model, dimensions, perRequest]) =>
      Effect.gen(function*() {
        const { emulator, service } = yield* house()
        const texts = ["the sky is blue", "the sea", "the sky is blue", "why"]
        for (const length of [undefined, ...dimensions]) {
          const embedder = yield* service(model, { dimensions: length })
          const vectors = vectorsOf(yield* embedder.embedMany(texts))
          assert.deepStrictEqual(vectors.map((vector) => vector.length), texts.map(() => length ?? dimensions[0]))
          assert.deepStrictEqual(vectors[0], vectors[2])
          assert.notDeepEqual(vectors[0], vectors[1])
          assert.deepStrictEqual(vectorsOf(yield* embedder.embedMany(texts.toReversed())), vectors.toReversed())
          assert.deepStrictEqual((yield* embedder.embed("the sea")).vector, vectors[1])
        }
        const calls = dimensions.length + 1
        const { answered, requests } = yield* emulator.stats
        assert.deepStrictEqual({ answered, requests }, {
          answered: calls * (2 * Math.ceil(texts.length / perRequest) + 1),
          requests: answered
        })
      }).pipe(Effect.scoped)
  )

  it.live("of another length is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      for (
        const [model, config] of [
          ["amazon.titan-embed-text-v2:0", { dimensions: 384 }],
          ["cohere.embed-english-v3", { dimensions: 512 }],
          ["cohere.embed-english-v3", { normalize: false }],
          ["amazon.titan-embed-text-v1", { normalize: false }],
          ["amazon.titan-embed-text-v2:0", { truncate: "end" }]
        ] as const
      ) {
        const error = yield* Effect.flip((yield* service(model, config)).embedMany(["a"]))
        assert.strictEqual(invalid(error).parameter, Object.keys(config)[0])
      }
      assert.strictEqual((yield* emulator.stats).requests, 0)
    }).pipe(Effect.scoped))

  it.live("is known by its id, an ARN or a profile, and by what is said of any other", () =>
    Effect.gen(function*() {
      const { service } = yield* house()
      const dimensions = Effect.fnUntraced(function*(model: string, config?: BedrockEmbeddingModel.Settings) {
        return (yield* (yield* service(model, config)).embed("a")).vector.length
      })
      const arn = "arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-english-v3"
      assert.strictEqual(yield* dimensions(arn), 1024)
      assert.strictEqual(yield* dimensions("global.cohere.embed-v4:0"), 1536)
      const own = "arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.titan-embed-text-v2:0/a1"
      assert.strictEqual(invalid(yield* Effect.flip(dimensions(own))).parameter, "model")
      assert.strictEqual(invalid(yield* Effect.flip(dimensions("amazon.nova-lite-v1:0"))).parameter, "model")
    }).pipe(Effect.scoped))

  it.live("may be a route", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house({}, {
        routes: {
          targets: {
            ohio: { model: "cohere.embed-english-v3", region: "us-east-2" },
            oregon: { model: "cohere.embed-english-v3", region: "us-west-2" }
          },
          routes: { vectors: { policy: { ordered: ["ohio", "oregon"] } } }
        },
        backoff: { base: 1 }
      })
      yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 1 })
      const { embeddings, usage } = yield* (yield* service("vectors", { format: "cohere-v3" })).embedMany([
        "one two",
        "three"
      ])
      assert.strictEqual(embeddings.length, 2)
      assert.strictEqual(usage.inputTokens, (yield* emulator.stats).tokens.settled)
    }).pipe(Effect.scoped))
})

describe("what is asked", () => {
  const bodyOf = Effect.fnUntraced(function*(
    model: string,
    config: BedrockEmbeddingModel.Settings,
    overrides: BedrockEmbeddingModel.Overrides = {}
  ) {
    const { bodies, service } = yield* house()
    const embedder = yield* service(model, config)
    yield* embedder.embedMany(["a"]).pipe(BedrockEmbeddingModel.withConfigOverride(overrides))
    return bodies[0]
  }, Effect.scoped)

  const texts = ["a"]
  const nova = (params: object) => ({
    schemaVersion: "nova-multimodal-embed-v1",
    taskType: "SINGLE_EMBEDDING",
    singleEmbeddingParams: {
      embeddingPurpose: "GENERIC_INDEX",
      text: { truncationMode: "NONE", value: "a" },
      ...params
    }
  })
  const asked: ReadonlyArray<readonly [model: string, config: BedrockEmbeddingModel.Settings, body: unknown]> = [
    ["amazon.titan-embed-text-v1", { dimensions: 1536, purpose: "query" }, { inputText: "a" }],
    ["amazon.titan-embed-text-v2:0", { truncate: "none" }, { inputText: "a" }],
    [
      "amazon.titan-embed-text-v2:0",
      { dimensions: 256, normalize: false, fields: { embeddingTypes: ["float", "binary"] } },
      { inputText: "a", dimensions: 256, normalize: false, embeddingTypes: ["float", "binary"] }
    ],
    [
      "amazon.titan-embed-image-v1",
      { dimensions: 384 },
      { inputText: "a", embeddingConfig: { outputEmbeddingLength: 384 } }
    ],
    ["cohere.embed-english-v3", { dimensions: 1024, truncate: "none" }, { texts, input_type: "search_document" }],
    [
      "cohere.embed-english-v3",
      { purpose: "clustering", truncate: "start" },
      { texts, input_type: "clustering", truncate: "START" }
    ],
    [
      "us.cohere.embed-v4:0",
      { dimensions: 256, purpose: "query", truncate: "end", fields: { max_tokens: 100 } },
      { texts, input_type: "search_query", truncate: "RIGHT", output_dimension: 256, max_tokens: 100 }
    ],
    ["amazon.nova-2-multimodal-embeddings-v1:0", {}, nova({})],
    [
      "amazon.nova-2-multimodal-embeddings-v1:0",
      { dimensions: 384, purpose: "query", truncate: "end" },
      nova({
        embeddingPurpose: "GENERIC_RETRIEVAL",
        embeddingDimension: 384,
        text: { truncationMode: "END", value: "a" }
      })
    ],
    [
      "amazon.nova-2-multimodal-embeddings-v1:0",
      { fields: { embeddingPurpose: "VIDEO_RETRIEVAL" } },
      nova({ embeddingPurpose: "VIDEO_RETRIEVAL" })
    ]
  ]

  it.live.each(asked)("of %s with %o", ([model, config, body]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* bodyOf(model, config), body)
    }))

  it.live("may be another for one call, and the rest stays", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* bodyOf("cohere.embed-english-v3", { purpose: "clustering", truncate: "start" }, { purpose: "query" }),
        { texts, input_type: "search_query", truncate: "START" }
      )
    }))

  it.live("is not normalised where that is asked for", () =>
    Effect.gen(function*() {
      const { service } = yield* house()
      const length = Effect.fnUntraced(function*(config: BedrockEmbeddingModel.Settings) {
        return Math.hypot(...(yield* (yield* service("amazon.titan-embed-text-v2:0", config)).embed("a")).vector)
      })
      assert.approximately(yield* length({}), 1, 1e-6)
      assert.isAbove(yield* length({ normalize: false }), 2)
    }).pipe(Effect.scoped))

  it.live("is read from the configuration", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house()
      const layer = BedrockEmbeddingModel.layerConfig({
        model: Config.String("EMBEDDING_MODEL"),
        config: { dimensions: Config.Int("DIMENSIONS") }
      })
      const { vector } = yield* EmbeddingModel.EmbeddingModel.use((model) => model.embed("a")).pipe(
        Effect.provide(layer.pipe(Layer.provide(bedrock))),
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { EMBEDDING_MODEL: "amazon.titan-embed-text-v2:0", DIMENSIONS: "512" } })
        )
      )
      assert.strictEqual(vector.length, 512)
    }).pipe(Effect.scoped))

  it.live("comes with its name and dimensions", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house()
      const model = BedrockEmbeddingModel.model("us.cohere.embed-v4:0", { dimensions: 256 })
      const said = Effect.gen(function*() {
        const { vector } = yield* (yield* EmbeddingModel.EmbeddingModel).embed("a")
        return [yield* Model.ProviderName, yield* Model.ModelName, yield* EmbeddingModel.Dimensions, vector.length]
      })
      assert.deepStrictEqual(yield* Effect.provide(said, model.pipe(Layer.provide(bedrock))), [
        "amazon-bedrock",
        "us.cohere.embed-v4:0",
        256,
        256
      ])
    }).pipe(Effect.scoped))
})

describe("batches", () => {
  const Texts = Schema.Array(
    Schema.String.check(Schema.isMaxLength(60)).pipe(Schema.check(Schema.isMinLength(1)))
  ).check(Schema.isMaxLength(300))
  const Which = Schema.Literals(["cohere.embed-english-v3", "us.cohere.embed-v4:0", "amazon.titan-embed-text-v2:0"])

  it.live.prop(
    "any number of texts: in order, in as few requests as may be, and none that is refused",
    [Texts, Which],
    (
      [texts, model]
    ) =>
      Effect.gen(function*() {
        const { bodies, emulator, service } = yield* house({ quota: { requests: 1_000_000, tokens: 1_000_000_000 } })
        const embedder = yield* service(model)
        const vectors = vectorsOf(yield* embedder.embedMany(texts))
        // What a text has alone.
        const known = new Map(
          yield* Effect.forEach(Array.dedupe(texts).slice(0, 5), (text) =>
            Effect.map(embedder.embedMany([text]), (answer) => [text, vectorsOf(answer)[0]] as const))
        )
        assert.strictEqual(vectors.length, texts.length)
        for (const [index, text] of texts.entries()) {
          const expected = known.get(text)
          if (expected !== undefined) {
            assert.deepStrictEqual(vectors[index], expected)
          }
        }
        const most = model.startsWith("amazon") ? 1 : 96
        const whole = bodies.slice(0, Math.ceil(texts.length / most))
        assert.deepStrictEqual(
          whole.flatMap((body) =>
            body["texts"] ?? body["inputText"]
          ),
          [...texts]
        )
        const { answered, requests } = yield* emulator.stats
        assert.deepStrictEqual([answered, requests], [bodies.length, bodies.length])
        assert.strictEqual(bodies.length, whole.length + known.size)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 12 } }
  )

  it.live("no texts are no request", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      const { embeddings, usage } = yield* (yield* service("cohere.embed-english-v3")).embedMany([])
      assert.deepStrictEqual([embeddings, usage.inputTokens], [[], undefined])
      assert.strictEqual((yield* emulator.stats).requests, 0)
    }).pipe(Effect.scoped))

  it.live("long texts share no request that is larger than a quota", () =>
    Effect.gen(function*() {
      const { bodies, service } = yield* house()
      const words = (millions: number) => "word ".repeat(millions * 200_000)
      const texts = [words(0.3), words(0.1), words(0.1), words(0.5), "a", words(0.3)]
      yield* (yield* service("us.cohere.embed-v4:0", { dimensions: 256 })).embedMany(texts)
      assert.deepStrictEqual(bodies.map(({ texts }) => globalThis.Array.isArray(texts) && texts.length), [2, 1, 1, 2])
    }).pipe(Effect.scoped))

  it.live("one request is one reservation, and waits for its turn", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house(
        { quota: { requests: 5 }, window: "300 millis" },
        { quotas: { default: { requestsPerMinute: 5 } }, meters: { window: "300 millis" }, guard: "50 millis" }
      )
      const pools: Array<string> = []
      const { embeddings } = yield* (yield* service("amazon.titan-embed-text-v2:0", { dimensions: 256 })).embedMany(
        Array.makeBy(12, String)
      ).pipe(Effect.provideService(CallEvents.CallEvents, (event) => {
        if (event._tag === "Admitted") pools.push(event.pool)
      }))
      assert.strictEqual(embeddings.length, 12)
      assert.strictEqual(pools.length, 12)
      const { answered, throttled } = yield* emulator.stats
      assert.deepStrictEqual([answered, throttled.total], [12, 0])
    }).pipe(Effect.scoped))

  it.live("as many at the same time as is said", () =>
    Effect.gen(function*() {
      const { emulator } = yield* house()
      const bedrock = yield* Layer.build(Bedrock.layer({
        region: "us-east-1",
        endpoint: emulator.url,
        credentials: { accessKeyId: "any", secretAccessKey: "any" },
        withoutQuota: "unlimited"
      }))
      for (const concurrency of [1, 3, undefined]) {
        let underWay = 0
        let most = 0
        const watched = Effect.map(Bedrock.Bedrock, (bedrock) =>
          Bedrock.Bedrock.of({
            ...bedrock,
            invokeModel: (input) =>
              Effect.suspend(() => {
                most = Math.max(most, ++underWay)
                return bedrock.invokeModel(input)
              }).pipe(Effect.ensuring(Effect.sync(() => underWay--)))
          }))
        const embedder = yield* BedrockEmbeddingModel.make({
          model: "amazon.titan-embed-text-v2:0",
          config: { dimensions: 256, concurrency }
        }).pipe(Effect.provideServiceEffect(Bedrock.Bedrock, watched), Effect.provide(bedrock))
        yield* embedder.embedMany(Array.makeBy(20, String))
        assert.strictEqual(most, concurrency ?? 20)
      }
    }).pipe(Effect.scoped))
})

describe("embed", () => {
  const together = <A, E, R>(effects: ReadonlyArray<Effect.Effect<A, E, R>>) =>
    Effect.all(effects, { concurrency: "unbounded" })

  it.live("shares requests with those who ask the same at the same time", () =>
    Effect.gen(function*() {
      const { bodies, service } = yield* house()
      const embedder = yield* service("cohere.embed-english-v3")
      const asked = (purpose: "query" | "document", tenant: string) => (text: string) =>
        embedder.embed(text).pipe(
          BedrockEmbeddingModel.withConfigOverride({ purpose }),
          Effect.provideService(CallTurn.CallTurn, { tenant })
        )
      yield* together([
        ...Array.makeBy(100, String).map(asked("query", "a")),
        ...["x", "y"].map(asked("document", "a")),
        ...["z"].map(asked("query", "b"))
      ])
      const sizes = bodies.map(({ input_type, texts }) => [input_type, globalThis.Array.isArray(texts) && texts.length])
      assert.sameDeepMembers(sizes, [
        ["search_query", 96],
        ["search_query", 4],
        ["search_document", 2],
        ["search_query", 1]
      ])
    }).pipe(Effect.scoped))

  it.live("fails alone where its text is too long, or its request fails", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      const cohere = yield* service("cohere.embed-english-v3")
      const long = "a".repeat(2_049)
      const [first, second] = yield* together(["a", long].map((text) => Effect.result(cohere.embed(text))))
      assert.isTrue(first !== undefined && Result.isSuccess(first))
      if (second === undefined || Result.isSuccess(second)) return assert.fail("it was not too long")
      assert.deepStrictEqual(invalid(second.failure), { parameter: "input", constraint: "at most 2048 characters" })

      const titan = yield* service("amazon.titan-embed-text-v2:0", { dimensions: 256 })
      yield* emulator.inject(
        Fault.error("ValidationException", { message: "Too many input tokens. Max input tokens: 8192" }),
        {
          times: 1
        }
      )
      const results = yield* together(["a", "b", "c"].map((text) => Effect.result(titan.embed(text))))
      assert.strictEqual(results.filter(Result.isSuccess).length, 2)
    }).pipe(Effect.scoped))
})

describe("an error", () => {
  it.live("names the text that is too long, and nothing is sent", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      for (
        const [model, most] of [
          ["amazon.titan-embed-text-v2:0", 50_000],
          ["cohere.embed-english-v3", 2_048],
          ["amazon.nova-2-multimodal-embeddings-v1:0", 8_192]
        ] as const
      ) {
        const embedder = yield* service(model)
        const error = yield* Effect.flip(embedder.embedMany(["a", "b", "a".repeat(most + 1), "c"]))
        assert.deepStrictEqual(invalid(error), { parameter: "inputs[2]", constraint: `at most ${most} characters` })
        assert.isFalse(error.isRetryable)
        assert.strictEqual((yield* emulator.stats).requests, 0)
      }
      // As the service counts: each of these is one, of two units.
      const { embeddings } = yield* (yield* service("cohere.embed-english-v3")).embedMany(["😀".repeat(2_048)])
      assert.strictEqual(embeddings.length, 1)
    }).pipe(Effect.scoped))

  it.live("names the texts of the request that Bedrock refused", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      const refused = Fault.error("ValidationException", { message: "Too many input tokens. Max input tokens: 8192" })
      yield* emulator.inject(refused, { times: 1 })
      const titan = yield* service("amazon.titan-embed-text-v2:0", { concurrency: 1 })
      const error = yield* Effect.flip(titan.embedMany(["a", "b"]))
      assert.strictEqual(invalid(error).parameter, "inputs[0]")
      assert.strictEqual(Option.getOrThrow(AiErrors.toBedrock(error)).reason._tag, "ValidationError")
      yield* emulator.inject(refused, { times: 1 })
      const cohere = yield* service("cohere.embed-english-v3", { concurrency: 1 })
      assert.strictEqual(
        invalid(yield* Effect.flip(cohere.embedMany(Array.makeBy(97, String)))).parameter,
        "inputs[0..95]"
      )
      yield* emulator.inject(
        Fault.error("ValidationException", { message: "The provided model identifier is invalid." }),
        {
          times: 1
        }
      )
      assert.strictEqual(invalid(yield* Effect.flip(cohere.embed("a"))).parameter, "modelId")
    }).pipe(Effect.scoped))

  it.live("is what Bedrock's was, and what is worth another try has had it", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house({}, { backoff: { base: 1, attempts: 2 } })
      const titan = yield* service("amazon.titan-embed-text-v2:0", { dimensions: 256 })
      yield* emulator.inject(Fault.error("ThrottlingException"), { times: 1 })
      yield* titan.embed("a")
      yield* emulator.inject(Fault.error("ThrottlingException"), { times: 2 })
      const error = yield* Effect.flip(titan.embed("b"))
      assert.strictEqual(error.reason._tag, "RateLimitError")
      assert.strictEqual(Option.getOrThrow(AiErrors.toBedrock(error)).attempts, 2)
      yield* emulator.inject(Fault.error("AccessDeniedException"), { times: 1 })
      assert.strictEqual((yield* Effect.flip(titan.embed("c"))).reason._tag, "AuthenticationError")
    }).pipe(Effect.scoped))

  const answers: ReadonlyArray<readonly [what: string, body: string, description: RegExp]> = [
    ["no vectors", "{}", /no vectors/],
    ["no JSON", "<html>", /no vectors/],
    ["what is no number", JSON.stringify({ embeddings: [[1, "a"], [1, 2]] }), /no vectors/],
    ["too few", JSON.stringify({ embeddings: [[1, 2]] }), /1 vectors for 2 texts/],
    ["those of another length", JSON.stringify({ embeddings: [[1, 2], [1]] }), /2 dimensions, and 1024 were asked for/]
  ]
  it.live.each(answers)("says what is wrong with an answer: %s", ([, body, description]) =>
    Effect.gen(function*() {
      const { bedrock } = yield* house()
      const context = yield* Layer.build(bedrock)
      const lying = Effect.map(Bedrock.Bedrock, (bedrock) =>
        Bedrock.Bedrock.of({
          ...bedrock,
          invokeModel: (input) =>
            Effect.map(bedrock.invokeModel(input), (answer) => {
              answer.body.set(new Uint8Array(answer.body.length).fill(32))
              answer.body.set(new TextEncoder().encode(body))
              return answer
            })
        }))
      const embedder = yield* BedrockEmbeddingModel.make({
        model: "cohere.embed-english-v3",
        config: { dimensions: 1024 }
      }).pipe(Effect.provideServiceEffect(Bedrock.Bedrock, lying), Effect.provide(context))
      const { reason } = yield* Effect.flip(embedder.embedMany(["a", "b"]))
      if (reason._tag !== "InvalidOutputError") return assert.fail(reason._tag)
      assert.match(reason.description, description)
    }).pipe(Effect.scoped))

  it.live("leaves nothing under way, and neither does an interruption", () =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house({ latency: LatencyModel.fixed(3_600_000) }, {
        quotas: { default: { requestsPerMinute: 4 } }
      })
      const titan = yield* service("amazon.titan-embed-text-v2:0")
      const fiber = yield* Effect.forkChild(titan.embedMany(Array.makeBy(10, String)))
      const seen = Effect.flatMap(Effect.yieldNow, () => emulator.stats)
      yield* Effect.repeat(seen, { until: ({ inFlight }) => inFlight === 4 })
      yield* Fiber.interrupt(fiber)
      yield* Effect.repeat(seen, { until: ({ inFlight, open }) => inFlight === 0 && open === 0 })
    }).pipe(Effect.scoped))
})

describe("usage and telemetry", () => {
  const spansOf = () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return { spans, tracer }
  }

  it.live.each(models)("%s: the tokens that were charged, however many requests", ([model]) =>
    Effect.gen(function*() {
      const { emulator, service } = yield* house()
      const { spans, tracer } = spansOf()
      const embedder = yield* service(model, { dimensions: undefined })
      const { usage } = yield* embedder.embedMany(Array.makeBy(100, (index) => `number ${index}`)).pipe(
        Effect.provideService(Tracer.Tracer, tracer)
      )
      assert.isAbove(usage.inputTokens ?? 0, 100)
      assert.strictEqual(usage.inputTokens, (yield* emulator.stats).tokens.settled)
      const span = spans.find(({ name }) => name === "EmbeddingModel.embedMany")
      assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": usage.inputTokens
      })
    }).pipe(Effect.scoped))

  it.live("says nothing of tokens that nobody told", () =>
    Effect.gen(function*() {
      const { service } = yield* house({ usageHeaders: false })
      const embedder = yield* service("cohere.embed-english-v3")
      assert.isUndefined((yield* embedder.embedMany(["a"])).usage.inputTokens)
      // Titan tells them in its body as well.
      assert.strictEqual(
        (yield* (yield* service("amazon.titan-embed-text-v2:0")).embedMany(["a b"])).usage.inputTokens,
        2
      )
    }).pipe(Effect.scoped))

  it.live("the dimensions where they are set, and whoever listens still does", () =>
    Effect.gen(function*() {
      const { service } = yield* house()
      const { spans, tracer } = spansOf()
      const heard: Array<string> = []
      const embedder = yield* service("us.cohere.embed-v4:0", { dimensions: 256 })
      yield* embedder.embed("a").pipe(
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provideService(CallEvents.CallEvents, ({ _tag }) => void heard.push(_tag))
      )
      assert.deepStrictEqual(heard, ["Waiting", "Admitted", "Settled", "CallEnded"])
      assert.deepStrictEqual(
        spans.flatMap(({ attributes }) => attributes.get("gen_ai.embeddings.dimension.count") ?? []),
        [256]
      )
    }).pipe(Effect.scoped))
})
