import { Family, TokenEstimator } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { seeded } from "./random.ts"

const imported = "arn:aws:bedrock:us-east-1:111122223333:imported-model/a1b2c3"
const png = (width: number, height: number) => {
  const buffer = Buffer.alloc(3000)
  Buffer.from("89504e470d0a1a0a0000000d49484452", "hex").copy(buffer)
  buffer.writeUInt32BE(width, 16)
  buffer.writeUInt32BE(height, 20)
  return buffer.toString("base64")
}

/** A request of each family: a model, what it is told by its keys alone, and its body for given texts. */
interface Kind {
  readonly family: string
  readonly model: string
  /** The family by its keys, where that is another. */
  readonly byKeys?: string
  readonly body: (texts: ReadonlyArray<string>) => Record<string, unknown>
  /** The body with a limit of 500; nothing where there is none to be set. */
  readonly limited?: Record<string, unknown>
}

const chat = (texts: ReadonlyArray<string>) => ({
  messages: texts.map((text, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content: text }))
})
const prompt = (texts: ReadonlyArray<string>) => ({ prompt: texts.join("\n") })
const inputText = (texts: ReadonlyArray<string>) => ({ inputText: texts.join("\n") })
const openai = "OpenAI, and models with its chat completions"

const kinds: ReadonlyArray<Kind> = [
  {
    family: "Anthropic Claude",
    model: "anthropic.claude-opus-4-7",
    body: (texts) => ({
      anthropic_version: "bedrock-2023-05-31",
      system: [{ type: "text", text: texts[0], cache_control: { type: "ephemeral" } }],
      messages: texts.slice(1).map((text) => ({ role: "user", content: [{ type: "text", text }] }))
    }),
    limited: { max_tokens: 500 }
  },
  {
    family: "Anthropic Claude up to 4.6",
    model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
    byKeys: "Anthropic Claude",
    body: (texts) => ({ anthropic_version: "bedrock-2023-05-31", ...chat(texts) }),
    limited: { max_tokens: 500 }
  },
  {
    family: "Amazon Nova",
    model: "amazon.nova-lite-v1:0",
    body: (texts) => ({
      schemaVersion: "messages-v1",
      system: [{ text: texts[0] }, { cachePoint: { type: "default" } }],
      messages: texts.slice(1).map((text) => ({ role: "user", content: [{ text }] }))
    }),
    limited: { inferenceConfig: { maxTokens: 500, stopSequences: ["|"] } }
  },
  {
    family: "Amazon Nova",
    model: "amazon.nova-2-lite-v1:0",
    byKeys: openai,
    body: (texts) => ({ messages: [{ role: "user", content: texts.map((text) => ({ text })) }] })
  },
  {
    family: "Amazon Nova Multimodal Embeddings",
    model: "amazon.nova-2-multimodal-embeddings-v1:0",
    body: (texts) => ({
      taskType: "SINGLE_EMBEDDING",
      singleEmbeddingParams: {
        embeddingPurpose: "GENERIC_INDEX",
        text: { truncationMode: "NONE", value: texts.join(" ") }
      }
    })
  },
  {
    family: "Amazon Nova Canvas, Titan Image Generator",
    model: "amazon.nova-canvas-v1:0",
    body: (texts) => ({
      taskType: "TEXT_IMAGE",
      textToImageParams: { text: texts[0], negativeText: texts.slice(1).join(" ") },
      imageGenerationConfig: { quality: "standard", width: 512 }
    })
  },
  {
    family: "Amazon Titan Embeddings",
    model: "amazon.titan-embed-text-v2:0",
    body: (texts) => ({ ...inputText(texts), dimensions: 256, normalize: true, embeddingTypes: ["float"] })
  },
  {
    family: "Amazon Titan Embeddings",
    model: "amazon.titan-embed-text-v1",
    byKeys: "Amazon Titan Text",
    body: inputText
  },
  {
    family: "Amazon Titan Text",
    model: "amazon.titan-text-express-v1",
    body: inputText,
    limited: { textGenerationConfig: { maxTokenCount: 500, stopSequences: ["User:"] } }
  },
  {
    family: "Cohere Embed",
    model: "cohere.embed-v4:0",
    body: (texts) => ({ texts, input_type: "search_document", truncate: "NONE", embedding_types: ["float"] })
  },
  {
    family: "Cohere Embed",
    model: "cohere.embed-v4:0",
    body: (texts) => ({
      inputs: texts.map((text) => ({ content: [{ type: "text", text }] })),
      input_type: "search_document"
    })
  },
  {
    family: "Cohere Rerank, Amazon Rerank",
    model: "cohere.rerank-v3-5:0",
    byKeys: "unknown",
    body: (texts) => ({ query: texts[0], documents: texts.slice(1), api_version: 2, top_n: 3 })
  },
  {
    family: "Cohere Command",
    model: "cohere.command-r-plus-v1:0",
    body: (texts) => ({
      message: texts[0],
      preamble: texts[1],
      chat_history: texts.slice(2).map((message) => ({ role: "USER", message })),
      prompt_truncation: "OFF"
    }),
    limited: { max_tokens: 500 }
  },
  {
    family: "Cohere Command",
    model: "cohere.command-r-v1:0",
    body: (texts) => ({ message: "", documents: texts.map((snippet) => ({ title: "", snippet })) })
  },
  {
    family: "Cohere Command",
    model: "cohere.command-text-v14",
    byKeys: "Text completions",
    body: prompt,
    limited: { max_tokens: 500 }
  },
  {
    family: "Meta Llama",
    model: "meta.llama3-3-70b-instruct-v1:0",
    byKeys: "Text completions",
    body: prompt
  },
  { family: "Meta Llama", model: "meta.llama4-scout-17b-instruct-v1:0", body: prompt, limited: { max_gen_len: 500 } },
  {
    family: "Mistral AI",
    model: "mistral.mistral-large-2402-v1:0",
    byKeys: "Text completions",
    body: prompt,
    limited: { max_tokens: 500 }
  },
  {
    family: "Mistral AI",
    model: "mistral.pixtral-large-2502-v1:0",
    byKeys: openai,
    body: chat,
    limited: { max_tokens: 500 }
  },
  {
    family: "AI21 Labs Jamba",
    model: "ai21.jamba-1-5-large-v1:0",
    byKeys: openai,
    body: chat,
    limited: { max_tokens: 500 }
  },
  {
    family: "DeepSeek",
    model: "deepseek.r1-v1:0",
    byKeys: "Text completions",
    body: prompt,
    limited: { max_tokens: 500 }
  },
  {
    family: "Writer Palmyra",
    model: "writer.palmyra-x5-v1:0",
    byKeys: openai,
    // As the user guide has it: an object in the place of the list.
    body: (texts) => ({ messages: texts.map((text) => ({ role: "user", content: { text } })) }),
    limited: { max_tokens: 500 }
  },
  {
    family: "TwelveLabs Marengo",
    model: "twelvelabs.marengo-embed-2-7-v1:0",
    body: (texts) => ({ inputType: "text", ...inputText(texts) })
  },
  {
    family: "TwelveLabs Marengo",
    model: "twelvelabs.marengo-embed-3-0-v1:0",
    body: (texts) => ({ inputType: "text", text: inputText(texts) })
  },
  {
    family: "TwelveLabs Pegasus",
    model: "twelvelabs.pegasus-1-2-v1:0",
    body: (texts) => ({ inputPrompt: texts.join("\n"), temperature: 0 }),
    limited: { maxOutputTokens: 500 }
  },
  { family: "Stability AI", model: "stability.sd3-5-large-v1:0", byKeys: "Text completions", body: prompt },
  {
    family: openai,
    model: "openai.gpt-oss-120b-1:0",
    body: (texts) => ({ model: "openai.gpt-oss-120b-1:0", ...chat(texts), reasoning_effort: "high" }),
    limited: { max_completion_tokens: 500 }
  },
  {
    family: openai,
    model: "qwen.qwen3-vl-235b-a22b",
    body: (texts) => ({ messages: [{ role: "user", content: texts.map((text) => ({ type: "text", text })) }] }),
    limited: { max_tokens: 500 }
  },
  { family: "Text completions", model: imported, body: prompt, limited: { max_tokens: 500 } },
  {
    family: "unknown",
    model: imported,
    body: (texts) => ({ inputs: { question: texts[0], context: texts.slice(1) } }),
    limited: { parameters: { max_new_tokens: 500 } }
  }
]

const generates = (kind: Kind) => Family.of(kind.model, kind.body([])).generates
const words = "Summarise the minutes of the meeting in three sentences, and name who must do what by when."
const textTokens = (texts: ReadonlyArray<string>) => texts.reduce((sum, text) => sum + TokenEstimator.text(text) - 1, 0)
const bodyOf = (json: unknown, model: string) => TokenEstimator.body(JSON.stringify(json), model)

describe("Family", () => {
  it("has each of its rows among these requests", () => {
    assert.sameMembers([...new Set(kinds.map(({ family }) => family))], [
      ...Family.all.map(({ name }) => name),
      "unknown"
    ])
  })

  it("every row says where it was read, and when", () => {
    for (const { asOf, name, source } of Family.all) {
      assert.match(asOf, /^202\d-\d\d$/, name)
      assert.match(source, /user guide: /, name)
    }
  })

  describe.each(kinds)("$family: $model", (kind) => {
    const { body, family, limited, model } = kind
    const texts = [words, `${words} Again?`, "こんにちは、世界"]

    it("is told by the id, and by the keys", () => {
      assert.strictEqual(Family.of(model, undefined).name === family || model === imported, true)
      assert.strictEqual(bodyOf({ ...body(texts), ...limited }, model).family.name, family)
      const byKeys = bodyOf({ ...body(texts), ...limited }, imported).family
      assert.strictEqual(byKeys.name, kind.byKeys ?? family)
      if (byKeys.name === family) assert.strictEqual(byKeys.generates, generates(kind))
    })

    it("its limit on output is read", () => {
      const unlimited = bodyOf(body(texts), model).maxTokens
      assert.strictEqual(unlimited, generates(kind) ? undefined : 0)
      if (limited === undefined) return
      assert.strictEqual(bodyOf({ ...body(texts), ...limited }, model).maxTokens, 500)
      assert.strictEqual(bodyOf({ ...body(texts), ...limited }, imported).maxTokens, 500)
      // What limits the output is no input.
      const more = bodyOf({ ...body(texts), ...limited }, model).tokens - bodyOf(body(texts), model).tokens
      assert.isAtMost(more, family === "unknown" ? 20 : 0)
    })

    it.effect.prop(
      "all texts are input, and little else",
      [Schema.Array(Schema.String).check(Schema.isMinLength(2))],
      ([drawn]) =>
        Effect.sync(() => {
          const all = [...texts, ...drawn]
          const least = textTokens(all)
          for (const id of [model, imported]) {
            const { tokens } = bodyOf(body(all), id)
            assert.isAtLeast(tokens, least)
            assert.isAtMost(tokens, least + 70 + 8 * all.length)
          }
        })
    )

    it("errs high before it has learned, and is right after", { tags: "statistics" }, () => {
      const random = seeded(21)
      const draw = () => Array.from({ length: 3 }, () => `${words} `.repeat(Math.ceil(random.between(1, 40))))
      // Its tokenizer makes up to 1.7 tokens where the base estimate makes one.
      for (const factor of [0.7, 1, 1.7]) {
        const actual = (all: ReadonlyArray<string>) => Math.ceil(factor * textTokens(all) * random.between(0.98, 1.02))
        const ratios = TokenEstimator.empty()
        for (let answer = 0; answer < 60; answer++) {
          const all = draw()
          const base = bodyOf(body(all), model).tokens
          const used = actual(all)
          const { likely, upper } = TokenEstimator.estimate(ratios, base)
          if (answer < TokenEstimator.minimumSamples) assert.isAtLeast(upper, used)
          if (answer > 40) assert.closeTo(likely / used, 1, 0.06)
          TokenEstimator.observe(ratios, { base, actual: used })
        }
      }
    })
  })

  describe("limits", () => {
    const limitOf = (json: string, model = "openai.gpt-oss-20b-1:0") => TokenEstimator.body(json, model).maxTokens

    it("what is no positive number is none", () => {
      for (const wrong of ["0", "-5", "\"500\"", "null", "[500]", "{}", "true", "1e999"]) {
        assert.isUndefined(limitOf(`{"max_tokens": ${wrong}}`), wrong)
        assert.isUndefined(limitOf(`{"max_tokens": ${wrong}}`, imported), wrong)
      }
      assert.strictEqual(limitOf(`{"max_tokens": 0.5}`), 1)
      assert.strictEqual(limitOf(`{"max_tokens": 1e300, "n": 1e300}`), Number.MAX_SAFE_INTEGER)
    })

    it("the largest counts, for each of the answers", () => {
      assert.strictEqual(limitOf(`{"max_tokens": 5, "max_completion_tokens": 7}`), 7)
      assert.strictEqual(limitOf(`{"max_tokens": 7, "max_completion_tokens": 5}`), 7)
      assert.strictEqual(limitOf(`{"max_tokens": 7, "n": 3}`), 21)
      assert.strictEqual(limitOf(`{"max_tokens": 7, "n": 2.5}`), 21)
      assert.strictEqual(limitOf(`{"max_tokens": 7, "n": 0}`), 7)
      assert.strictEqual(limitOf(`{"max_tokens": 7, "n": -2}`), 7)
      assert.isUndefined(limitOf(`{"n": 3}`))
      assert.strictEqual(
        limitOf(`{"prompt": "", "max_tokens": 7, "num_generations": 5}`, "cohere.command-text-v14"),
        35
      )
      // The name that another family has for it.
      assert.strictEqual(limitOf(`{"max_tokens": 7, "n": 3}`, "anthropic.claude-3-haiku-20240307-v1:0"), 7)
    })

    it("stand where the family has them, and nowhere else", () => {
      const nova = "amazon.nova-lite-v1:0"
      assert.isUndefined(limitOf(`{"max_tokens": 5}`, nova))
      assert.strictEqual(limitOf(`{"max_tokens": 5, "inferenceConfig": {"max_new_tokens": 9}}`, nova), 9)
      assert.isUndefined(limitOf(`{"inferenceConfig": 9}`, nova))
      assert.isUndefined(limitOf(`{"max_tokens": 5}`, "meta.llama3-8b-instruct-v1:0"))
      // Where the family is told by the keys alone, anywhere.
      assert.strictEqual(limitOf(`{"messages": [], "inference_config": {"max_new_tokens": 9}}`, imported), 9)
      assert.strictEqual(limitOf(`{"max_output_tokens": 5, "parameters": {"max_tokens": 9}}`, imported), 9)
    })

    it("embeddings, scores and pictures reserve nothing, whatever they say", () => {
      // Where Cohere cuts its input off.
      assert.strictEqual(
        limitOf(`{"texts": ["a"], "input_type": "search_query", "max_tokens": 128000}`, "cohere.embed-v4:0"),
        0
      )
      assert.strictEqual(limitOf(`{"texts": ["a"], "input_type": "search_query", "max_tokens": 128000}`, imported), 0)
      assert.strictEqual(limitOf("no JSON", "amazon.titan-embed-text-v2:0"), 0)
      assert.isUndefined(limitOf("no JSON", "amazon.titan-text-lite-v1"))
      assert.isUndefined(limitOf("no JSON", imported))
      assert.isUndefined(limitOf("[]", imported))
    })
  })

  describe("usage in the body of an answer", () => {
    // As recorded, but for the texts.
    it.each<[string, string, unknown, unknown]>([
      [
        "Anthropic, with a cache",
        "anthropic.claude-3-5-haiku-20241022-v1:0",
        {
          type: "message",
          usage: {
            input_tokens: 4,
            cache_creation_input_tokens: 18131,
            cache_read_input_tokens: 0,
            output_tokens: 50
          }
        },
        { inputTokens: 4, outputTokens: 50, cacheReadInputTokens: 0, cacheWriteInputTokens: 18131 }
      ],
      [
        "Nova",
        "amazon.nova-micro-v1:0",
        { output: { message: {} }, usage: { inputTokens: 5, outputTokens: 10, totalTokens: 15 } },
        { inputTokens: 5, outputTokens: 10 }
      ],
      [
        "Nova, with a cache",
        "amazon.nova-micro-v1:0",
        {
          usage: { inputTokens: 5, outputTokens: 10, cacheReadInputTokenCount: 7, cacheWriteInputTokenCount: 3 }
        },
        { inputTokens: 5, outputTokens: 10, cacheReadInputTokens: 7, cacheWriteInputTokens: 3 }
      ],
      [
        "Titan",
        "amazon.titan-text-lite-v1",
        { inputTextTokenCount: 5, results: [{ tokenCount: 9, outputText: "", completionReason: "FINISH" }] },
        { inputTokens: 5, outputTokens: 9 }
      ],
      [
        "Titan, several results",
        "amazon.titan-text-lite-v1",
        { inputTextTokenCount: 5, results: [{ tokenCount: 9 }, { tokenCount: 4 }] },
        { inputTokens: 5, outputTokens: 13 }
      ],
      [
        "Titan embeddings",
        "amazon.titan-embed-text-v2:0",
        { embedding: [0.1], inputTextTokenCount: 5 },
        { inputTokens: 5, outputTokens: 0 }
      ],
      ["Nova embeddings", "amazon.nova-2-multimodal-embeddings-v1:0", { embeddings: [], inputTokenCount: 5 }, {
        inputTokens: 5,
        outputTokens: 0
      }],
      ["Nova embeddings, as documented", "amazon.nova-2-multimodal-embeddings-v1:0", { embeddings: [] }, undefined],
      [
        "Cohere embeddings",
        "cohere.embed-v4:0",
        { id: "1", embeddings: [[0.1]], response_type: "embeddings_floats", texts: ["a"] },
        undefined
      ],
      [
        "Cohere Command R",
        "cohere.command-r-v1:0",
        { response_id: "1", text: "", finish_reason: "MAX_TOKENS" },
        undefined
      ],
      [
        "Cohere Command R, with its meta",
        "cohere.command-r-v1:0",
        { text: "", meta: { billed_units: { input_tokens: 9, output_tokens: 20 } } },
        { inputTokens: 9, outputTokens: 20 }
      ],
      [
        "Cohere's tokens are more than it bills",
        "cohere.command-r-v1:0",
        {
          meta: {
            billed_units: { input_tokens: 9, output_tokens: 20 },
            tokens: { input_tokens: 17, output_tokens: 24 }
          }
        },
        { inputTokens: 17, outputTokens: 24 }
      ],
      [
        "Llama",
        "meta.llama3-1-70b-instruct-v1:0",
        { generation: "", prompt_token_count: 5, generation_token_count: 10, stop_reason: "length" },
        { inputTokens: 5, outputTokens: 10 }
      ],
      ["Mistral", "mistral.mistral-7b-instruct-v0:2", { outputs: [{ text: "", stop_reason: "length" }] }, undefined],
      [
        "OpenAI",
        "openai.gpt-6-sol",
        { choices: [], usage: { completion_tokens: 5, prompt_tokens: 11, total_tokens: 16 } },
        { inputTokens: 11, outputTokens: 5 }
      ],
      [
        "OpenAI, with a cache",
        "openai.gpt-6-sol",
        { usage: { completion_tokens: 5, prompt_tokens: 11, prompt_tokens_details: { cached_tokens: 8 } } },
        { inputTokens: 3, outputTokens: 5, cacheReadInputTokens: 8 }
      ],
      [
        "OpenAI, with more in the cache than there is",
        "openai.gpt-6-sol",
        { usage: { completion_tokens: 5, prompt_tokens: 11, prompt_tokens_details: { cached_tokens: 12 } } },
        { inputTokens: 0, outputTokens: 5, cacheReadInputTokens: 12 }
      ],
      [
        "Writer",
        "writer.palmyra-x5-v1:0",
        { usage: { prompt_tokens: 43, total_tokens: 186, completion_tokens: 143, prompt_tokens_details: null } },
        { inputTokens: 43, outputTokens: 143 }
      ],
      [
        "an imported model",
        imported,
        { object: "text_completion", usage: { prompt_tokens: 6, completion_tokens: 100, total_tokens: 106 } },
        { inputTokens: 6, outputTokens: 100 }
      ],
      ["Pegasus", "twelvelabs.pegasus-1-2-v1:0", { message: "", finishReason: "stop" }, undefined]
    ])("%s", (_, model, answer, usage) => {
      const family = Family.of(model, { prompt: "" })
      assert.deepStrictEqual<unknown>(Family.usage(family, answer), usage)
      // Whoever knows nothing of the model finds it as well.
      assert.deepStrictEqual<unknown>(Family.usage(Family.unknown, answer), usage)
    })

    it("where the keys of a request have told the family, the answer may be of another", () => {
      const titan = Family.of(imported, { inputText: "a" })
      assert.strictEqual(titan.name, "Amazon Titan Text")
      assert.deepStrictEqual(Family.usage(titan, { embedding: [1], inputTextTokenCount: 5 }), {
        inputTokens: 5,
        outputTokens: 0
      })
      // Half of another form is none.
      assert.isUndefined(Family.usage(titan, { inputTextTokenCount: 5, results: [{ tokenCount: -1 }] }))
      const byId = Family.of("amazon.titan-text-lite-v1", undefined)
      assert.isUndefined(Family.usage(byId, { embedding: [1], inputTextTokenCount: 5 }))
      assert.isUndefined(Family.usage(byId, { usage: { input_tokens: 5, output_tokens: 5 } }))
    })

    it("what is no count is none, and half of it is nothing", () => {
      const titan = Family.of("amazon.titan-text-lite-v1", undefined)
      const usage = (input: unknown, results: unknown) => Family.usage(titan, { inputTextTokenCount: input, results })
      assert.deepStrictEqual(usage(0, [{ tokenCount: 0 }]), { inputTokens: 0, outputTokens: 0 })
      assert.deepStrictEqual(usage(1e9 - 1, [{ tokenCount: 0 }]), { inputTokens: 1e9 - 1, outputTokens: 0 })
      const deep = JSON.parse(`${"[".repeat(10_000)}1${"]".repeat(10_000)}`)
      for (
        const wrong of [
          -1,
          1.5,
          "5",
          null,
          undefined,
          Number.NaN,
          Infinity,
          2 ** 60,
          1e9,
          [-5],
          { count: 5 },
          true,
          deep
        ]
      ) {
        assert.isUndefined(usage(wrong, [{ tokenCount: 5 }]))
        assert.isUndefined(usage(5, [{ tokenCount: wrong }]))
        assert.isUndefined(usage(5, [{ tokenCount: 5 }, { tokenCount: wrong }]))
        assert.isUndefined(usage(5, wrong))
        assert.isUndefined(Family.usage(titan, wrong))
      }
      assert.isUndefined(usage(5, []))
      assert.isUndefined(usage(5, [[{ tokenCount: 5 }]]))
      // A cache that is no count is no cache.
      const claude = Family.of("anthropic.claude-opus-5", undefined)
      const cached = { usage: { input_tokens: 1, output_tokens: 2, cache_read_input_tokens: -3 } }
      assert.deepStrictEqual(Family.usage(claude, cached), { inputTokens: 1, outputTokens: 2 })
    })

    it("keys that every object has are no places", () => {
      const family = { ...Family.unknown, usage: [{ input: ["constructor.length"], output: ["toString.length"] }] }
      assert.isUndefined(Family.usage(family, {}))
      assert.deepStrictEqual(Family.usage(family, { constructor: { length: 1 }, toString: { length: 2 } }), {
        inputTokens: 1,
        outputTokens: 2
      })
    })
  })

  describe("usage in the chunks of a stream", () => {
    it.each<[string, string, ReadonlyArray<unknown>, unknown]>([
      [
        "Anthropic, up to 2025",
        "anthropic.claude-3-haiku-20240307-v1:0",
        [
          {
            type: "message_start",
            message: { usage: { input_tokens: 30, output_tokens: 1, cache_read_input_tokens: 7 } }
          },
          { type: "content_block_delta", delta: { text: "42" } },
          { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 17 } },
          { type: "message_stop" }
        ],
        { inputTokens: 30, outputTokens: 17, cacheReadInputTokens: 7 }
      ],
      [
        "Anthropic, which says it again at the end",
        "anthropic.claude-opus-5",
        [
          { type: "message_start", message: { usage: { input_tokens: 30, output_tokens: 1 } } },
          {
            type: "message_delta",
            usage: {
              cache_creation_input_tokens: 3,
              cache_read_input_tokens: 0,
              input_tokens: 16,
              output_tokens: 17
            }
          }
        ],
        { inputTokens: 16, outputTokens: 17, cacheReadInputTokens: 0, cacheWriteInputTokens: 3 }
      ],
      [
        "Nova",
        "amazon.nova-micro-v1:0",
        [
          { messageStart: { role: "assistant" } },
          { messageStop: { stopReason: "max_tokens" } },
          { metadata: { usage: { inputTokens: 5, outputTokens: 10 }, metrics: {}, trace: {} } }
        ],
        { inputTokens: 5, outputTokens: 10 }
      ],
      [
        "Titan",
        "amazon.titan-text-lite-v1",
        [
          { outputText: "a", index: 0, totalOutputTextTokenCount: null, inputTextTokenCount: 14 },
          { outputText: "", index: 0, totalOutputTextTokenCount: 9, inputTextTokenCount: null }
        ],
        { inputTokens: 14, outputTokens: 9 }
      ],
      [
        "Llama",
        "meta.llama3-8b-instruct-v1:0",
        [
          { generation: "a", prompt_token_count: 10, generation_token_count: 1, stop_reason: null },
          { generation: "b", prompt_token_count: null, generation_token_count: 2, stop_reason: null },
          { generation: "c", prompt_token_count: null, generation_token_count: 5, stop_reason: "length" }
        ],
        { inputTokens: 10, outputTokens: 5 }
      ],
      [
        "Cohere Command R",
        "cohere.command-r-v1:0",
        [
          { event_type: "text-generation", text: "a", is_finished: false },
          {
            event_type: "stream-end",
            is_finished: true,
            response: { meta: { billed_units: { input_tokens: 7, output_tokens: 3 } } }
          }
        ],
        { inputTokens: 7, outputTokens: 3 }
      ],
      [
        "OpenAI",
        "openai.gpt-6-sol",
        [
          { choices: [{ delta: { content: "a" } }], usage: null },
          { choices: [{ delta: {}, finish_reason: "stop" }], usage: { completion_tokens: 5, prompt_tokens: 11 } },
          { choices: [], usage: { completion_tokens: 6, prompt_tokens: 11 } }
        ],
        { inputTokens: 11, outputTokens: 6 }
      ],
      ["gpt-oss, which tells none", "openai.gpt-oss-20b-1:0", [{ choices: [{ delta: {} }] }], undefined],
      ["Mistral", "mistral.mistral-7b-instruct-v0:2", [{ outputs: [{ text: "", stop_reason: "stop" }] }], undefined]
    ])("%s", (_, model, chunks, usage) => {
      for (const family of [Family.of(model, undefined), Family.unknown]) {
        const follow = Family.follow(family)
        const told = chunks.map((chunk) => follow(chunk))
        assert.deepStrictEqual<unknown>(told.at(-1), usage)
        if (chunks.length > 1) assert.isUndefined(told[0]?.cacheWriteInputTokens)
      }
    })

    it("what the first chunk told of the cache is kept", () => {
      const follow = Family.follow(Family.of("anthropic.claude-opus-5", undefined))
      const cache = { cache_creation_input_tokens: 3, cache_read_input_tokens: 4 }
      follow({ type: "message_start", message: { usage: { input_tokens: 30, output_tokens: 1, ...cache } } })
      assert.deepStrictEqual(follow({ type: "message_delta", usage: { output_tokens: 17 } }), {
        inputTokens: 30,
        outputTokens: 17,
        cacheReadInputTokens: 4,
        cacheWriteInputTokens: 3
      })
    })

    it("half of it is nothing, and streams are apart", () => {
      const titan = Family.of("amazon.titan-text-lite-v1", undefined)
      const [one, other] = [Family.follow(titan), Family.follow(titan)]
      assert.isUndefined(one({ inputTextTokenCount: 5 }))
      assert.isUndefined(other({ totalOutputTextTokenCount: 9 }))
      assert.deepStrictEqual(one({ totalOutputTextTokenCount: 2 }), { inputTokens: 5, outputTokens: 2 })
      // What is told stays told.
      assert.deepStrictEqual(one({ outputText: "a" }), { inputTokens: 5, outputTokens: 2 })
      for (const chunk of [undefined, null, [], "text", 5]) assert.isUndefined(other(chunk))
    })
  })

  describe("images", () => {
    const image = (model: string, width: number, height: number) => {
      const block = (blocks: ReadonlyArray<unknown>) => ({ messages: [{ role: "user", content: blocks }] })
      const data = png(width, height)
      const source = { type: "base64", media_type: "image/png", data }
      return bodyOf(block([{ type: "image", source }]), model).tokens - bodyOf(block([]), model).tokens
    }

    // The tables of the sources, in the order of the rows' comment.
    it.each<[string, ReadonlyArray<readonly [width: number, height: number, tokens: number]>]>([
      ["anthropic.claude-sonnet-4-6", [[1000, 1000, 1296], [1092, 1092, 1521], [1920, 1080, 1560], [8000, 8000, 1568]]],
      ["anthropic.claude-3-haiku-20240307-v1:0", [[200, 200, 64], [1568, 1568, 1568]]],
      ["anthropic.claude-haiku-4-5-20251001-v1:0", [[3840, 2160, 1568]]],
      ["anthropic.claude-opus-4-7", [[1920, 1080, 2691], [3024, 1964, 4760], [3840, 2160, 4784], [4032, 3024, 4740]]],
      ["anthropic.claude-sonnet-5", [[3840, 2160, 4784]]],
      ["amazon.nova-pro-v1:0", [[900, 450, 800], [900, 900, 1300], [1400, 900, 1800], [1800, 900, 2400], [
        1300,
        1300,
        2600
      ]]],
      ["cohere.embed-v4:0", [[56, 56, 16], [1000, 1000, 5102], [1568, 1568, 12544], [8000, 8000, 12544]]],
      ["openai.gpt-6-astra", [[512, 512, 308], [1920, 1080, 2448], [4032, 3024, 14364]]]
    ])("%s", (model, sizes) => {
      for (const [width, height, tokens] of sizes) {
        assert.isAtLeast(image(model, width, height) * 1.2, tokens, `${width} × ${height}`)
        assert.isAtMost(image(model, width, height), tokens * 1.2, `${width} × ${height}`)
      }
    })

    it("of a size that can't be read", () => {
      const converse = (model?: string) => {
        const source = { s3Location: { uri: "s3://b/k" } }
        const messages = [{ role: "user", content: [{ image: { format: "png", source } }] }]
        return TokenEstimator.converse({ messages }, model) - TokenEstimator.converse({ messages: [{ role: "user" }] })
      }
      assert.strictEqual(converse("anthropic.claude-sonnet-4-6"), 1600)
      assert.strictEqual(converse("anthropic.claude-opus-5"), 4784)
      assert.strictEqual(converse("amazon.nova-lite-v1:0"), 2600)
      assert.strictEqual(converse("acme.sage-v1:0"), 1600)
      assert.strictEqual(converse(), 1600)
    })

    it("in every form that bodies have", () => {
      const more = (model: string, body: Record<string, unknown>, image: Record<string, unknown>) =>
        bodyOf({ ...body, ...image }, model).tokens - bodyOf(body, model).tokens
      const data = png(750, 500)
      assert.closeTo(more("amazon.titan-embed-image-v1", { inputText: "a" }, { inputImage: data }), 500, 1)
      assert.closeTo(
        more("cohere.embed-v4:0", { input_type: "image" }, { images: [`data:image/png;base64,${data}`] }),
        375_000 / 196,
        1
      )
      assert.closeTo(more("meta.llama3-2-11b-instruct-v1:0", { prompt: "a" }, { images: [data] }), 500, 1)
      assert.closeTo(more("stability.sd3-5-large-v1:0", { prompt: "a" }, { image: data }), 500, 1)
      const marengo = { inputType: "image", image: { mediaSource: { s3Location: { uri: "s3://b/k" } } } }
      assert.closeTo(bodyOf(marengo, "twelvelabs.marengo-embed-3-0-v1:0").tokens, 8 + 30_000, 1)
      const pegasus = { mediaSource: { base64String: Buffer.alloc(40_000).toString("base64") } }
      assert.closeTo(more("twelvelabs.pegasus-1-2-v1:0", { inputPrompt: "a" }, pegasus), 100, 1)
    })
  })

  describe("a body of anything", () => {
    const upper = (value: Uint8Array | string) => TokenEstimator.body(value, imported)

    it.effect.prop("of an unknown family counts with all that is in it", [Schema.Json], ([json]) =>
      Effect.sync(() => {
        const inside = (value: unknown): number =>
          typeof value === "object" && value !== null
            ? Object.entries(value).reduce((sum, [key, child]) => {
              return sum + inside(child) + (Array.isArray(value) ? 0 : TokenEstimator.text(key))
            }, 0)
            : TokenEstimator.text(String(value))
        const wrapped = { surely: { nobodys: json } }
        assert.strictEqual(bodyOf(wrapped, imported).family, Family.unknown)
        assert.isAtLeast(bodyOf(wrapped, imported).tokens, inside(wrapped))
      }))

    it.effect.prop(
      "never fails, whatever its bytes are",
      [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))],
      ([values]) =>
        Effect.sync(() => {
          for (const { model } of kinds) {
            const { tokens } = TokenEstimator.body(Uint8Array.from(values), model)
            assert.isTrue(Number.isInteger(tokens) && tokens >= 0)
          }
        })
    )

    it("never fails, however a body was mutated", () => {
      const random = seeded(22)
      const marks = [..."{}[]\":,0e-\\ntf"]
      for (const { body, limited, model } of kinds) {
        const text = JSON.stringify({ ...body([words, words, words]), ...limited })
        for (let round = 0; round < 100; round++) {
          const characters = [...text]
          for (let change = 0; change < 3; change++) {
            characters[Math.floor(random.between(0, text.length))] =
              marks[Math.floor(random.between(0, marks.length))] ?? ""
          }
          const { maxTokens, tokens } = TokenEstimator.body(characters.join(""), model)
          assert.isTrue(Number.isSafeInteger(tokens) && tokens > 0)
          assert.isTrue(maxTokens === undefined || (Number.isSafeInteger(maxTokens) && maxTokens >= 0))
        }
      }
    })

    it("counts what is nested however deep", () => {
      const levels = 100_000
      for (const model of [imported, "openai.gpt-oss-20b-1:0"]) {
        const lists = `{"messages": ${"[".repeat(levels)}"${words}"${"]".repeat(levels)}}`
        assert.isAtLeast(TokenEstimator.body(lists, model).tokens, levels)
        const objects = `{"messages": ${"{\"a\":".repeat(levels)}"${words}"${"}".repeat(levels)}}`
        assert.isAtLeast(TokenEstimator.body(objects, model).tokens, 2 * levels)
        const tools = `{"tools": ${"{\"a\":".repeat(levels)}"${words}"${"}".repeat(levels)}}`
        assert.isAtLeast(TokenEstimator.body(tools, model).tokens, 2 * levels)
        // Beyond where calls end, what is counted is all that there is.
        const [short, long] = [words, `${words} ${words}`].map((text) =>
          TokenEstimator.body(`${"[".repeat(levels)}"${text}"${"]".repeat(levels)}`, model).tokens
        )
        assert.closeTo((long ?? 0) - (short ?? 0), TokenEstimator.text(words), 2)
      }
    })

    it("counts a list by its items, and a key by its letters, there too", () => {
      const below = (json: string) =>
        TokenEstimator.body(`${"[".repeat(1000)}${json}${"]".repeat(1000)}`, imported).tokens
      const items = Array.from({ length: 1000 }, () => 5)
      // A digit, what a value costs, and what an item does.
      assert.closeTo(below(JSON.stringify(items)) - below("[]"), 1000 * (0.75 + 1 + 0.5), 1)
      assert.closeTo(below(`{"word": 5}`) - below("{}"), 1.5 + 0.93 + 1 + 0.75, 1)
    })

    it("of a request in memory, what lies deep is counted once, and bytes by their number", () => {
      const deep = (value: unknown, levels = 100): unknown => levels === 0 ? value : [deep(value, levels - 1)]
      const tokens = (value: unknown) => TokenEstimator.converse({ messages: [deep(value)] })
      const once = tokens({ a: words })
      const shared = { a: words }
      assert.closeTo(tokens([shared, shared]) - once, 2 + 2 * 0.5, 1)
      assert.closeTo(tokens([{ a: words }, { a: words }]) - once, TokenEstimator.text(words) + 6, 3)
      assert.closeTo(tokens(new Uint8Array(4000)) - tokens(new Uint8Array(0)), 1000, 1)
    })

    it("a list of texts is read as it stands", () => {
      const texts = [png(750, 500), `data:image/png;base64,${png(750, 500)}`]
      for (
        const [model, body] of [
          ["cohere.embed-v4:0", { texts, input_type: "search_document" }],
          ["cohere.rerank-v3-5:0", { query: "", documents: texts }],
          ["openai.gpt-oss-20b-1:0", { prompt: texts }]
        ] as const
      ) {
        assert.closeTo(bodyOf(body, model).tokens, textTokens(texts) + 10, 3)
      }
      // Objects among them are what they are.
      const mixed = { messages: [{ role: "user", content: [words, { image: { source: { bytes: png(750, 500) } } }] }] }
      assert.closeTo(bodyOf(mixed, "openai.gpt-oss-20b-1:0").tokens, TokenEstimator.text(words) + 500 + 12, 2)
    })

    it("what a schema asks an answer to be, and what a tool gave, is JSON", () => {
      const schema = { type: "object", properties: { a_name: { type: "string" } } }
      for (
        const [field, model] of [
          ["response_format", "openai.gpt-oss-20b-1:0"],
          ["responseFormat", "twelvelabs.pegasus-1-2-v1:0"],
          ["tool_results", "cohere.command-r-v1:0"]
        ] as const
      ) {
        const more = bodyOf({ [field]: [{ schema }] }, model).tokens - bodyOf({}, model).tokens
        assert.isAtLeast(more, TokenEstimator.text(JSON.stringify(schema)) * 0.8, field)
      }
    })

    it("keys of the language are keys", () => {
      const strange = `{"__proto__": {"messages": "${words}"}, "constructor": "${words}", "hasOwnProperty": "${words}"}`
      assert.strictEqual(upper(strange).family, Family.unknown)
      assert.isAtLeast(upper(strange).tokens, 3 * TokenEstimator.text(words))
      assert.isAtLeast(
        TokenEstimator.body(strange, "meta.llama3-8b-instruct-v1:0").tokens,
        3 * TokenEstimator.text(words)
      )
      assert.isUndefined(TokenEstimator.body(`{"__proto__": {"max_tokens": 5}}`, "openai.gpt-oss-20b-1:0").maxTokens)
    })

    it("numbers are tokens where nobody knows what they are", () => {
      const ids = { input_ids: Array.from({ length: 1000 }, (_, index) => 10_000 + index) }
      assert.isAtLeast(bodyOf(ids, imported).tokens, 1000)
      assert.isBelow(bodyOf(ids, "openai.gpt-oss-20b-1:0").tokens, 20)
    })

    it("larger than any that Bedrock takes is not read, and counts its bytes", () => {
      assert.deepStrictEqual(TokenEstimator.read(new Uint8Array(25_000_001)).json, undefined)
      const padded = (length: number) => `{"prompt": "hello", "max_tokens": 5}`.padEnd(length, " ")
      assert.strictEqual(upper(padded(25_000_001)).tokens, 25_000_001)
      assert.isUndefined(upper(padded(25_000_001)).maxTokens)
      assert.strictEqual(upper(padded(25_000_000)).maxTokens, 5)
      assert.isBelow(upper(padded(25_000_000)).tokens, 20)
    })
  })
})
