// InvokeModel of every family: over sockets, against the emulator's own books.
import { RetryBudget } from "@caprock/backoff"
import { Bedrock, CallEvents } from "@caprock/bedrock"
import { BedrockClient } from "@caprock/client"
import { Emulator, LatencyModel, type Options, OutputModel } from "@caprock/emulator"
import { Catalogue, Family, Quotas } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as readings from "../src/internal/readings.ts"

const output = 40
const words = "Why is the sky blue, and the sea as well? "
const imported = "arn:aws:bedrock:us-east-1:111122223333:imported-model/a1b2c3"

const house = (options: Options.Options = {}) =>
  Layer.unwrap(Effect.map(Emulator.Emulator, ({ url }) =>
    Bedrock.layer({
      region: "us-east-1",
      endpoint: url,
      credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
      quotas: Quotas.uniform({ tokensPerMinute: 1_000_000 }),
      backoff: { attempts: 1 }
    }))).pipe(
      Layer.provideMerge(Emulator.layer({
        quota: { tokens: 1_000_000 },
        latency: LatencyModel.fixed(1),
        output: OutputModel.fixed(output),
        burndown: { "anthropic.claude-sonnet-4-5-20250929-v1:0": 5 },
        ...options
      }))
    )

type Settled = Extract<CallEvents.CallEvent, { readonly _tag: "Settled" }>

/** What a call settled with, what the emulator charged for it, and what stays in our books. */
const settledBy = <A, E>(modelId: string, call: (bedrock: Bedrock.Bedrock["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const bedrock = yield* Bedrock.Bedrock
    const emulator = yield* Emulator.Emulator
    const settled: Array<Settled> = []
    yield* call(bedrock).pipe(Effect.provideService(CallEvents.CallEvents, (event) => {
      if (event._tag === "Settled") settled.push(event)
    }))
    const [meter] = (yield* bedrock.snapshot(modelId)).meters
    return { settled, charged: (yield* emulator.stats).tokens.settled, used: meter?.used ?? Number.NaN }
  })

interface Kind {
  readonly name: string
  readonly model: string
  readonly body: object
  /** Where usage is told when the headers and the metrics are lost. */
  readonly whole: boolean
  readonly streamed?: boolean
}

const messages = [{ role: "user", content: words.repeat(20) }]
const prompt = words.repeat(20)
const generating: ReadonlyArray<Kind> = [
  {
    name: "Anthropic",
    model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    body: { anthropic_version: "bedrock-2023-05-31", max_tokens: 100, messages },
    whole: true,
    streamed: true
  },
  {
    name: "Anthropic, with a cache",
    model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    body: {
      anthropic_version: "bedrock-2023-05-31",
      max_tokens: 100,
      system: [{ type: "text", text: words.repeat(200), cache_control: { type: "ephemeral" } }],
      messages
    },
    whole: true,
    streamed: true
  },
  {
    name: "Nova",
    model: "amazon.nova-lite-v1:0",
    body: {
      schemaVersion: "messages-v1",
      messages: [{ role: "user", content: [{ text: prompt }] }],
      inferenceConfig: { max_new_tokens: 100 }
    },
    whole: true,
    streamed: true
  },
  {
    name: "Titan",
    model: "amazon.titan-text-express-v1",
    body: { inputText: prompt, textGenerationConfig: { maxTokenCount: 100 } },
    whole: true,
    streamed: true
  },
  {
    name: "Llama",
    model: "us.meta.llama3-3-70b-instruct-v1:0",
    body: { prompt, max_gen_len: 100 },
    whole: true,
    streamed: true
  },
  {
    name: "Mistral",
    model: "mistral.mistral-large-2402-v1:0",
    body: { prompt, max_tokens: 100 },
    whole: false,
    streamed: false
  },
  {
    name: "Mistral, chat",
    model: "mistral.mistral-large-3-675b-instruct",
    body: { messages, max_tokens: 100 },
    whole: true,
    streamed: true
  },
  {
    name: "Cohere Command R",
    model: "cohere.command-r-v1:0",
    body: { message: prompt, max_tokens: 100 },
    whole: false,
    streamed: true
  },
  {
    name: "Cohere Command",
    model: "cohere.command-text-v14",
    body: { prompt, max_tokens: 100 },
    whole: false,
    streamed: false
  },
  {
    name: "AI21",
    model: "ai21.jamba-1-5-mini-v1:0",
    body: { messages, max_tokens: 100 },
    whole: true,
    streamed: true
  },
  {
    name: "DeepSeek",
    model: "us.deepseek.r1-v1:0",
    body: { prompt, max_tokens: 100 },
    whole: true,
    streamed: true
  },
  {
    name: "gpt-oss",
    model: "openai.gpt-oss-120b-1:0",
    body: { messages, max_completion_tokens: 100 },
    whole: true,
    streamed: false
  },
  {
    name: "Writer",
    model: "us.writer.palmyra-x5-v1:0",
    body: { messages, max_tokens: 100 },
    whole: true,
    streamed: true
  },
  {
    name: "Pegasus",
    model: "us.twelvelabs.pegasus-1-2-v1:0",
    body: { inputPrompt: prompt, maxOutputTokens: 100 },
    whole: false,
    streamed: false
  },
  { name: "an imported Llama", model: imported, body: { prompt, max_gen_len: 100 }, whole: true, streamed: true },
  { name: "an imported model", model: imported, body: { prompt, max_tokens: 100 }, whole: true, streamed: true }
]

const embedding: ReadonlyArray<Kind> = [
  { name: "Titan", model: "amazon.titan-embed-text-v2:0", body: { inputText: prompt, dimensions: 256 }, whole: true },
  { name: "Titan, bare", model: "amazon.titan-embed-text-v1", body: { inputText: prompt }, whole: true },
  {
    name: "Titan multimodal",
    model: "amazon.titan-embed-image-v1",
    body: { inputText: prompt, inputImage: Buffer.alloc(3000).toString("base64") },
    whole: true
  },
  {
    name: "Nova",
    model: "amazon.nova-2-multimodal-embeddings-v1:0",
    body: {
      taskType: "SINGLE_EMBEDDING",
      singleEmbeddingParams: { embeddingPurpose: "GENERIC_INDEX", text: { truncationMode: "END", value: prompt } }
    },
    whole: false
  },
  {
    name: "Cohere",
    model: "us.cohere.embed-v4:0",
    body: { texts: [prompt, words], input_type: "search_document", max_tokens: 128_000 },
    whole: false
  },
  {
    name: "Marengo",
    model: "us.twelvelabs.marengo-embed-2-7-v1:0",
    body: { inputType: "text", inputText: words },
    whole: false
  },
  {
    name: "an unknown profile of Titan's",
    model: imported,
    body: { inputText: prompt, normalize: true },
    whole: true
  }
]

const unary = ({ body, model }: Kind) =>
  settledBy(
    model,
    (bedrock) => bedrock.invokeModel({ modelId: model, contentType: "application/json", body: JSON.stringify(body) })
  )

const stream = ({ body, model }: Kind) =>
  settledBy(model, (bedrock) =>
    Stream.runDrain(
      bedrock.invokeModelWithResponseStream({
        modelId: model,
        contentType: "application/json",
        body: JSON.stringify(body)
      })
    ))

type Told = Effect.Success<ReturnType<typeof unary>>

/** It settled once, with exactly what the emulator charged, and with what had been booked before it learned. */
const exact = ({ charged, settled, used }: Told) => {
  assert.deepStrictEqual(settled.map((event) => event.charged), [charged])
  assert.strictEqual(used, charged)
}

/** Nothing told the usage: what was booked stays, and is no less than what was charged. */
const booked = ({ charged, settled, used }: Told) => {
  assert.lengthOf(settled, 0)
  assert.isAtLeast(used, charged)
}

describe("a call settles with what the server charged", () => {
  it.live.each(generating)("$name", (kind) =>
    Effect.gen(function*() {
      const told = yield* unary(kind)
      exact(told)
      assert.isAbove(told.charged, 2 * output)
      assert.isAtLeast(told.settled[0]?.booked ?? 0, told.settled[0]?.reserved ?? Number.NaN)
    }).pipe(Effect.provide(house())))

  it.live.each(generating)("$name, streamed", (kind) =>
    Effect.gen(function*() {
      exact(yield* stream(kind))
    }).pipe(Effect.provide(house())))

  it.live.each(embedding)(
    "embeddings of $name, for which nothing is reserved beyond the input",
    (kind) =>
      Effect.gen(function*() {
        const told = yield* unary(kind)
        exact(told)
        const base = Family.of(kind.model, kind.body).image.unknown + 600
        assert.isAtMost(told.settled[0]?.reserved ?? Number.NaN, base)
      }).pipe(Effect.provide(house()))
  )
})

describe("and where headers and metrics are lost, with what the body tells", () => {
  const lost = house({ usageHeaders: false })

  it.live.each([...generating, ...embedding])("$name: $model", (kind) =>
    Effect.gen(function*() {
      const told = yield* unary(kind)
      if (kind.whole) exact(told)
      else booked(told)
    }).pipe(Effect.provide(lost)))

  it.live.each(generating)("$name: $model, streamed", (kind) =>
    Effect.gen(function*() {
      const told = yield* stream(kind)
      if (kind.streamed === true) exact(told)
      else booked(told)
    }).pipe(Effect.provide(lost)))

  it.live("a stream that is left before its end stays as booked, whatever it has told", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ prompt, max_gen_len: 100 })
      const { settled, used } = yield* settledBy("meta.llama3-8b-instruct-v1:0", (bedrock) =>
        Stream.runDrain(Stream.take(
          bedrock.invokeModelWithResponseStream({
            modelId: "meta.llama3-8b-instruct-v1:0",
            contentType: "application/json",
            body
          }),
          3
        )))
      assert.lengthOf(settled, 0)
      assert.isAtLeast(used, 100)
    }).pipe(Effect.provide(lost)))
})

it.live("reranking reserves nothing for output", () =>
  Effect.gen(function*() {
    const { used } = yield* settledBy("cohere.rerank-v3-5:0", (bedrock) =>
      bedrock.invokeModel({
        modelId: "cohere.rerank-v3-5:0",
        contentType: "application/json",
        body: JSON.stringify({ query: words, documents: [words, words], api_version: 2 })
      }))
    assert.isBelow(used, 200)
  }).pipe(Effect.provide(house())))

const bytes = (text: string) => Object.assign(new TextEncoder().encode(text), { transformToString: () => text })

describe("what an answer tells", () => {
  const model = "meta.llama3-8b-instruct-v1:0"
  const family = Family.of(model, undefined)
  const llama = JSON.stringify({ generation: "", prompt_token_count: 5, generation_token_count: 10 })
  const inBody = { inputTokens: 5, outputTokens: 10 }
  const head = (input?: string, output?: string) => ({
    statusCode: 200,
    headers: {
      ...(input === undefined ? {} : { "x-amzn-bedrock-input-token-count": input }),
      ...(output === undefined ? {} : { "x-amzn-bedrock-output-token-count": output })
    }
  })
  const usage = (
    headers: ReturnType<typeof head> | undefined,
    body: string | undefined,
    of: Family.Family | undefined = family
  ) => readings.invoked(headers, body === undefined ? undefined : bytes(body), of).usage

  it("in its headers comes before what its body does", () => {
    assert.deepStrictEqual(usage(head("7", "2"), llama), { inputTokens: 7, outputTokens: 2 })
    assert.deepStrictEqual(usage(head("7", "2"), undefined), { inputTokens: 7, outputTokens: 2 })
    assert.deepStrictEqual(usage(head(), llama), inBody)
    assert.deepStrictEqual(usage(undefined, llama), inBody)
    assert.isUndefined(usage(undefined, undefined))
  })

  it.each([["-1", "2"], ["7", "-2"], ["NaN", "2"], ["7", "Infinity"], ["7", ""], ["1e3", "2"], ["7", undefined]])(
    "in headers of %s and %s is not believed",
    (input, output) => {
      assert.deepStrictEqual(usage(head(input, output), llama), inBody)
      assert.isUndefined(usage(head(input, output), "{}"))
    }
  )

  it.each(["no JSON", "[]", "", "null", "{\"generation\": \"\", \"prompt_token_count\": 5}"])(
    "in a body of %s is nothing",
    (body) => assert.isUndefined(usage(head(), body))
  )

  it("in a body larger than any text is not read, nor where its family tells nothing", () => {
    assert.deepStrictEqual(usage(head(), llama.padEnd(4_000_000, " ")), inBody)
    assert.isUndefined(usage(head(), llama.padEnd(4_000_001, " ")))
    const cohere = Family.of("cohere.embed-v4:0", undefined)
    assert.isUndefined(usage(head(), llama, cohere))
    assert.deepStrictEqual(usage(head("7"), llama, cohere), { inputTokens: 7, outputTokens: 0 })
    assert.deepStrictEqual(readings.invoked(head(), bytes(llama)).usage, inBody)
  })

  it("in a stream: its metrics, and what its chunks say where they are missing or garbage", () => {
    const told = (...events: ReadonlyArray<object>) => {
      const reading = readings.chunks(family)
      const served = events.map((event) => reading.servedBy({ chunk: { bytes: bytes(JSON.stringify(event)) } }))
      return { served: served.findLast((one) => one !== undefined), atEnd: reading.usageAtEnd() }
    }
    const first = { generation: "a", prompt_token_count: 5, generation_token_count: 1 }
    const last = { generation: "", prompt_token_count: null, generation_token_count: 10, stop_reason: "stop" }
    const metrics = (metrics: unknown) => ({ ...last, "amazon-bedrock-invocationMetrics": metrics })
    const good = { inputTokenCount: 7, outputTokenCount: 2, invocationLatency: 30 }
    assert.deepStrictEqual(told(first, metrics(good)).served, {
      usage: { inputTokens: 7, outputTokens: 2 },
      latencyMillis: 30
    })
    assert.deepStrictEqual(told(first, last), { served: undefined, atEnd: inBody })
    assert.deepStrictEqual(told(first, metrics({ ...good, outputTokenCount: -2 })), {
      served: { usage: undefined, latencyMillis: 30 },
      atEnd: inBody
    })
    assert.deepStrictEqual(told(first, metrics(null)), {
      served: { usage: undefined, latencyMillis: undefined },
      atEnd: inBody
    })
    assert.deepStrictEqual(told({ ...first, generation: "token" }), {
      served: undefined,
      atEnd: { inputTokens: 5, outputTokens: 1 }
    })
    assert.deepStrictEqual(told({ "amazon-bedrock-invocationMetrics": { invocationLatency: 30 } }).served, {
      usage: undefined,
      latencyMillis: 30
    })
    const broken = readings.chunks()
    assert.isUndefined(broken.servedBy({ chunk: { bytes: bytes("{\"tokens\": ") } }))
    assert.isUndefined(broken.servedBy({ chunk: { bytes: undefined } }))
    assert.isUndefined(broken.usageAtEnd())
  })
})

it.effect("an unknown body refuses nobody, and is booked high until it is known", () =>
  Effect.gen(function*() {
    const bedrock = yield* Bedrock.Bedrock
    const ask = (modelId: string, body: object) => bedrock.invokeModel({ modelId, body: JSON.stringify(body) })
    const booked: Array<number> = []
    yield* ask(imported, { blob: Buffer.alloc(100_000, "€").toString("base64") }).pipe(
      Effect.provideService(CallEvents.CallEvents, (event) => {
        if (event._tag === "Settled") booked.push(event.booked, event.charged)
      })
    )
    // The whole quota, and then what it was.
    assert.deepStrictEqual(booked, [10_000, 15])
    const error = yield* Effect.flip(ask(`${imported}2`, { prompt: "word ".repeat(20_000), max_tokens: 5 }))
    assert.strictEqual(error.reason._tag, "ValidationError")
    // Sixteen answers later it is known, and what can't fit is told at once.
    for (let n = 0; n < 16; n++) yield* ask(`${imported}3`, { question: "why?", max_tokens: 5 })
    const late = yield* Effect.flip(ask(`${imported}3`, { question: "why? ".repeat(100_000), max_tokens: 5 }))
    assert.strictEqual(late.reason._tag, "ValidationError")
  }).pipe(Effect.provide(
    Layer.provideMerge(Bedrock.layerNoDeps({ backoff: { attempts: 1 } }), [
      BedrockClient.layerTest({
        invokeModel: () =>
          Effect.succeed({
            body: bytes(JSON.stringify({ usage: { prompt_tokens: 5, completion_tokens: 10 } })),
            contentType: "application/json",
            $metadata: {}
          })
      }),
      Bedrock.layerLimiter({ quotas: Quotas.uniform({ tokensPerMinute: 10_000 }) }),
      Layer.orDie(RetryBudget.layer())
    ])
  )))

it("the catalogue knows the largest output of what generates nothing", () => {
  for (const { ids, maxOutputTokens } of Catalogue.builtIn.rows) {
    for (const id of ids) {
      if (!Family.of(id, undefined).generates) assert.strictEqual(maxOutputTokens, 0, id)
      else assert.notStrictEqual(maxOutputTokens, 0, id)
    }
  }
})
