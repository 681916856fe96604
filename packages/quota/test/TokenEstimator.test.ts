import { Family, TokenEstimator } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Random, seeded } from "./random.ts"

const prompt = "Summarise the minutes of the meeting in three sentences, and name who must do what by when.\n".repeat(
  10
)
const promptTokens = TokenEstimator.text(prompt)
const user = (...content: ReadonlyArray<unknown>) => ({ messages: [{ role: "user", content }] })
const converse = (...content: ReadonlyArray<unknown>) => TokenEstimator.converse(user(...content))
const empty = converse()

const png = (width: number, height: number, bytes: number) => {
  const buffer = Buffer.alloc(bytes)
  Buffer.from("89504e470d0a1a0a0000000d49484452", "hex").copy(buffer)
  buffer.writeUInt32BE(width, 16)
  buffer.writeUInt32BE(height, 20)
  return buffer
}

describe("TokenEstimator", () => {
  describe("a Converse request", () => {
    it("costs its texts and a little around them", () => {
      assert.isAtLeast(empty, 1)
      assert.isAtMost(empty, 20)
      const once = converse({ text: prompt })
      assert.closeTo(once - empty, promptTokens, 1)
      assert.closeTo(converse({ text: prompt }, { text: prompt }) - empty, 2 * promptTokens, 1)
      const system = TokenEstimator.converse({ ...user({ text: prompt }), system: [{ text: prompt }] })
      assert.closeTo(system - once, promptTokens, 1)
      assert.strictEqual(TokenEstimator.converse({}), 8)
    })

    it("costs a few tokens per turn", () => {
      const turn = (role: string) => ({ role, content: [{ text: "" }] })
      const turns = (n: number) => TokenEstimator.converse({ messages: Array.from({ length: n }, () => turn("user")) })
      assert.strictEqual(turns(11) - turns(1), 40)
    })

    it.each([
      ["cachePoint", { cachePoint: { type: "default" } }, 0],
      [
        "reasoning",
        { reasoningContent: { reasoningText: { text: prompt, signature: "x".repeat(400) } } },
        promptTokens
      ],
      ["redacted reasoning", { reasoningContent: { redactedContent: new Uint8Array(400) } }, 100],
      ["guarded text", { guardContent: { text: { text: prompt, qualifiers: [] } } }, promptTokens],
      [
        "a tool's text",
        { toolResult: { toolUseId: "t1", content: [{ text: prompt }], status: "success" } },
        promptTokens
      ],
      ["a text document", {
        document: { format: "txt", name: "", source: { bytes: new TextEncoder().encode(prompt) } }
      }, promptTokens],
      ["a document's inline text", { document: { format: "txt", name: "", source: { text: prompt } } }, promptTokens],
      ["a document in pieces", {
        document: { format: "txt", name: "", source: { content: [{ text: prompt }] } }
      }, promptTokens],
      [
        "a document in S3",
        { document: { format: "pdf", name: "", source: { s3Location: { uri: "s3://b/k" } } } },
        30_000
      ],
      ["a video", { video: { format: "mp4", source: { bytes: new Uint8Array(40_000) } } }, 100],
      ["audio", { audio: { format: "mp3", source: { bytes: new Uint8Array(40_000) } } }, 80],
      ["a video in S3", { video: { format: "mp4", source: { s3Location: { uri: "s3://b/k" } } } }, 30_000],
      ["an image", { image: { format: "png", source: { bytes: png(750, 500, 50_000) } } }, 500],
      ["an image in S3", { image: { format: "png", source: { s3Location: { uri: "s3://b/k" } } } }, 1600],
      ["an image that can't be read", { image: { format: "png", source: { bytes: new Uint8Array(9) } } }, 1600]
    ])("%s", (_, block, tokens) => {
      assert.closeTo(converse(block) - empty, tokens, 2)
    })

    it("an image costs its pixels, not its bytes, raw or in base64", () => {
      for (const bytes of [100, 500_000]) {
        const image = png(750, 500, bytes)
        assert.closeTo(converse({ image: { format: "png", source: { bytes: image } } }) - empty, 500, 1)
        const text = image.toString("base64")
        assert.closeTo(converse({ image: { format: "png", source: { bytes: text } } }) - empty, 500, 1)
      }
    })

    it("tools cost their definitions once more than nothing", () => {
      const tool = (description: string) => ({
        toolSpec: {
          name: "get_weather",
          description,
          inputSchema: { json: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }
        }
      })
      const withTools = (...tools: ReadonlyArray<unknown>) =>
        TokenEstimator.converse({ ...user({ text: prompt }), toolConfig: { tools } })
      const none = converse({ text: prompt })
      const one = withTools(tool("short"))
      assert.isAtLeast(one - none, 300)
      assert.isAtMost(one - none, 420)
      assert.closeTo(withTools(tool(prompt)) - one, promptTokens, 3)
      assert.isAtMost(withTools(tool("short"), { cachePoint: { type: "default" } }) - one, 2)
      assert.strictEqual(
        TokenEstimator.converse({
          ...user({ text: prompt }),
          toolConfig: { tools: [tool("short")], toolChoice: { tool: { name: "x".repeat(100) } } }
        }),
        one
      )
    })

    it("what a tool was given and gave counts as JSON, keys included", () => {
      const input = { city: "Reykjavik", days: 3, units: null, exact: true, hours: [1, 2, 3] }
      const tokens = TokenEstimator.text(JSON.stringify(input))
      const used = converse({ toolUse: { toolUseId: "t1", name: "get_weather", input } }) - empty
      assert.closeTo(used, tokens, tokens * 0.5 + 5)
      const gave = converse({ toolResult: { toolUseId: "t1", content: [{ json: input }] } }) - empty
      assert.closeTo(gave, tokens, tokens * 0.5 + 5)
    })

    it("counts what lies deep", () => {
      const deep = (levels: number, value: unknown): unknown => levels === 0 ? value : deep(levels - 1, { of: [value] })
      assert.isAtLeast(converse(deep(25, { text: prompt })) - empty, promptTokens)
      assert.isAtLeast(converse({ toolUse: { input: deep(25, prompt) } }) - empty, promptTokens)
    })

    it("ends at what ends nowhere", () => {
      const circle: Record<string, unknown> = { text: "a" }
      circle["content"] = circle
      assert.isBelow(converse(circle), 200)
      const list: Array<unknown> = ["a"]
      list.push(list)
      assert.isBelow(converse(list), 200)
      assert.isBelow(converse({ toolUse: { input: list } }), 400)
      const json: Record<string, unknown> = {}
      json["self"] = json
      assert.isBelow(converse({ toolUse: { input: json } }), 400)
    })
  })

  describe("an InvokeModel body", () => {
    const body = (json: unknown) => TokenEstimator.body(JSON.stringify(json))
    const messages = [{ role: "user", content: prompt }]

    it.each([
      ["Anthropic", {
        anthropic_version: "bedrock-2023-05-31",
        max_tokens: 500,
        messages: [{ role: "user", content: [{ type: "text", text: prompt }] }]
      }],
      ["Anthropic, bare strings", { max_tokens: 500, messages }],
      ["Nova", {
        schemaVersion: "messages-v1",
        inferenceConfig: { maxTokens: 500 },
        messages: [{ role: "user", content: [{ text: prompt }] }]
      }],
      ["Nova, other name", { inferenceConfig: { max_new_tokens: 500 }, messages }],
      ["one with underscores", { inference_config: { max_new_tokens: 500 }, messages }],
      ["Titan", { inputText: prompt, textGenerationConfig: { maxTokenCount: 500, stopSequences: [] } }],
      ["Llama", { prompt, max_gen_len: 500, temperature: 0.5 }],
      ["Mistral", { prompt, max_tokens: 500 }],
      ["Cohere", { message: prompt, max_tokens: 500 }],
      ["OpenAI", { messages, max_completion_tokens: 500, model: "openai.gpt-oss-20b-1:0" }],
      ["Claude 2", { prompt, max_tokens_to_sample: 500 }]
    ])("%s", (_, json) => {
      const { maxTokens, tokens } = body(json)
      assert.strictEqual(maxTokens, 500)
      assert.closeTo(tokens, promptTokens, 25)
    })

    it.each([
      ["OpenAI Responses", {
        input: [{ role: "user", content: [{ type: "input_text", text: prompt }] }],
        max_output_tokens: 500
      }],
      ["one of tomorrow", { question: { parts: [prompt] }, parameters: { max_tokens: 500 } }]
    ])("%s is unknown: all of it counts", (_, json) => {
      const { family, maxTokens, tokens } = body(json)
      assert.strictEqual(family, Family.unknown)
      assert.strictEqual(maxTokens, 500)
      assert.isAtLeast(tokens, promptTokens + 20)
      assert.isAtMost(tokens, promptTokens + 60)
    })

    it("knows no limit where there is none", () => {
      assert.isUndefined(body({ messages }).maxTokens)
      assert.isUndefined(body({ max_tokens: "many", messages }).maxTokens)
      assert.isUndefined(body({ max_tokens: "500", messages }).maxTokens)
      assert.isUndefined(body({ max_tokens: 0 }).maxTokens)
      assert.isUndefined(body([]).maxTokens)
      assert.isUndefined(body({ parameters: { parameters: {} } }).maxTokens)
    })

    it("is the same as bytes", () => {
      const text = JSON.stringify({ prompt: "Grüße aus 東京" })
      assert.deepStrictEqual(TokenEstimator.body(new TextEncoder().encode(text)), TokenEstimator.body(text))
      assert.deepStrictEqual(TokenEstimator.read(text).json, { prompt: "Grüße aus 東京" })
    })

    it("counts as text what is not JSON", () => {
      assert.deepStrictEqual(TokenEstimator.body(prompt), {
        family: Family.unknown,
        tokens: promptTokens,
        maxTokens: undefined
      })
      assert.closeTo(TokenEstimator.body(JSON.stringify(prompt)).tokens, promptTokens, 10)
    })

    it("an image costs its pixels in every family's form", () => {
      const data = png(750, 500, 200_000).toString("base64")
      const without = body({ messages: [{ role: "user", content: [{ type: "text", text: prompt }] }] }).tokens
      for (
        const block of [
          { type: "image", source: { type: "base64", media_type: "image/png", data } },
          { image: { format: "png", source: { bytes: data } } },
          { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } },
          { type: "image_url", image_url: `data:image/png;base64,${data}` },
          { type: "input_image", image_url: `data:image/png;base64,${data}` },
          { blob: data }
        ]
      ) {
        const { tokens } = body({ messages: [{ role: "user", content: [{ type: "text", text: prompt }, block] }] })
        assert.closeTo(tokens - without, 500, 3, JSON.stringify(block).slice(0, 80))
      }
      const linked = { type: "image_url", image_url: { url: "https://example.com/cat.png" } }
      const { tokens } = body({ messages: [{ role: "user", content: [{ type: "text", text: prompt }, linked] }] })
      assert.closeTo(tokens - without, 1600, 3)
    })

    it("a document in base64 costs its text", () => {
      const data = Buffer.from(prompt).toString("base64")
      const block = { type: "document", source: { type: "base64", media_type: "text/plain", data } }
      const { tokens } = body({ messages: [{ role: "user", content: [block] }] })
      assert.closeTo(tokens, promptTokens, 20)
      const url = `data:text/plain;base64,${data}`
      assert.closeTo(body({ input: [], file: url }).tokens, promptTokens, 20)
      // A text that only looks like one is none.
      assert.closeTo(body({ prompt: "data: the plural of datum" }).tokens, 15, 6)
      assert.closeTo(body({ prompt: "abcd".repeat(100) }).tokens, TokenEstimator.text("abcd".repeat(100)) + 8, 1)
    })

    it("tools count in Anthropic's form too", () => {
      const tool = { name: "f", description: prompt, input_schema: { type: "object", properties: {} } }
      const without = body({ messages }).tokens
      const withTool = body({ messages, tools: [tool] }).tokens
      assert.closeTo(withTool - without, 300 + promptTokens, 40)
      assert.strictEqual(
        body({ messages, tools: [{ ...tool, cache_control: { type: "ephemeral" } }] }).tokens,
        withTool
      )
    })

    const at = (field: string, value: unknown) =>
      body({ messages: [], [field]: value }).tokens - body({ messages: [] }).tokens

    it("links and data URLs count as what they are", () => {
      const image = png(750, 500, 3000).toString("base64")
      assert.closeTo(at("anything", `data:image/png;base64,${image}`), 500, 1)
      assert.closeTo(at("anything", `data:image/png;name=cat.png;base64,${image}`), 500, 1)
      assert.closeTo(at("anything", `data:audio/mp3;base64,${image}`), 3000 / 500, 1)
      assert.closeTo(at("anything", `data:video/mp4;base64,${image}`), 3000 / 400, 1)
      assert.closeTo(at("anything", `data:application/pdf;base64,${image}`), 2500, 1)
      assert.closeTo(at("anything", `data:;base64,${image}`), 3000 / 4, 1)
      assert.closeTo(at("image", "https://example.com/cat.png"), 1600, 1)
      assert.closeTo(at("image", "http://example.com/cat.png"), 1600, 1)
      assert.closeTo(at("anything", { type: "input_image", image_url: "https://example.com/cat.png" }), 1600, 1)
      assert.closeTo(at("anything", { type: "input_image", file: Buffer.alloc(300).toString("base64") }), 1600, 1)
      assert.closeTo(at("inputImage", Buffer.alloc(300).toString("base64")), 1600, 1)
      assert.closeTo(at("input_audio", { data: Buffer.alloc(40_000).toString("base64"), format: "mp3" }), 80, 1)
      assert.closeTo(at("images", [image, Buffer.alloc(9000, "BM").toString("base64")]), 500 + 1600, 1)
      assert.closeTo(at("mediaSource", { base64String: Buffer.alloc(40_000).toString("base64") }), 100, 1)
      assert.closeTo(at("mediaSource", { s3Location: { uri: "s3://b/k" } }), 30_000, 1)
      // In a field that says nothing of itself: an image or a PDF by its first bytes.
      assert.closeTo(at("anything", image), 500, 1)
      assert.closeTo(at("anything", Buffer.alloc(3000, "%PDF-1.7 and on").toString("base64")), 2500, 1)
    })

    it.each([
      "https://example.com/cat.png",
      "data:text/plain,Hello there",
      "data:;base64 is the beginning of one",
      "see https://example.com, or data:image/png;base64,AAAA",
      `data:${"a".repeat(101)},;base64,AAAA`,
      "A".repeat(508),
      "0123456789abcdef".repeat(64),
      "GATTACAT".repeat(100),
      "R0lNNNNN".repeat(100), // "GIM": not quite a GIF
      `${png(750, 500, 300).toString("base64")} is how it begins`,
      `${png(750, 500, 300).toString("base64")}\nis in the middle of it\n${"A".repeat(512)}`,
      `${"A".repeat(512)} is how it begins`,
      `And this is how it ends: ${"A".repeat(512)}`
    ])("what looks only a little like a medium is a text: %s", (text) => {
      assert.closeTo(at("anything", text), TokenEstimator.text(text), 1)
    })

    it("a text in base64 or hexadecimal is a text wherever a model reads it as it stands", () => {
      for (
        const text of [
          png(750, 500, 3000).toString("base64"),
          `data:image/png;base64,${png(750, 500, 3000).toString("base64")}`,
          Buffer.alloc(3000, "%PDF-1.7 and on").toString("base64"),
          "0123456789abcdef".repeat(64)
        ]
      ) {
        const tokens = TokenEstimator.text(text)
        for (const field of ["prompt", "inputText", "message", "system", "input"]) {
          assert.closeTo(at(field, text), tokens, 1, field)
        }
        const content = (content: unknown) =>
          body({ messages: [{ role: "user", content }] }).tokens - body({ messages: [{ role: "user" }] }).tokens
        assert.closeTo(content(text), tokens, 1)
        assert.closeTo(content([{ type: "text", text }]), tokens, 1)
        const source = { type: "text", media_type: "text/plain", data: text }
        assert.closeTo(content([{ type: "document", source, title: text, context: text }]), 3 * tokens, 3)
        for (const source of [{ text }, { content: text }, { content: [{ text }] }]) {
          assert.closeTo(content([{ document: { format: "pdf", name: text, source } }]), 2 * tokens, 1)
        }
      }
    })

    it("JSON counts its keys, values and marks", () => {
      const tokens = (input: unknown) =>
        TokenEstimator.converse(user({ toolUse: { input } })) - TokenEstimator.converse(user({ toolUse: {} }))
      assert.strictEqual(tokens("word"), Math.ceil(1 + 0.93))
      assert.strictEqual(tokens(1), 2)
      assert.strictEqual(tokens(null), 2)
      assert.strictEqual(tokens(true), 2)
      assert.strictEqual(tokens(undefined), 0)
      assert.strictEqual(tokens([]), 1)
      assert.strictEqual(tokens([1, 2]), Math.ceil(1 + 2 * (0.5 + 1.75)))
      assert.strictEqual(tokens({ word: 1 }), Math.ceil(1 + 1.5 + 0.93 + 1.75))
      assert.strictEqual(tokens(new Uint8Array(40)), 10)
      const key = "a_property_with_a_long_name".repeat(20)
      const keyed = { type: "object", properties: { [key]: { type: "string" } } }
      const plain = { type: "object", properties: { a: { type: "string" } } }
      const more = TokenEstimator.text(key) - 1
      assert.closeTo(tokens(keyed) - tokens(plain), more, 1)
      const converseTool = (schema: unknown) => TokenEstimator.converse({ toolConfig: { tools: [{ schema }] } })
      assert.closeTo(converseTool(keyed) - converseTool(plain), more, 1)
      assert.closeTo(at("tools", [keyed]) - at("tools", [plain]), more, 1)
      const called = (schema: unknown) => at("anything", { function: { arguments: schema } })
      assert.closeTo(called(keyed) - called(plain), more, 1)
      // An embedding of a thousand numbers: 7 to 8 tokens each by the tokenizers of today.
      assert.isAtLeast(TokenEstimator.caution * tokens(Array.from({ length: 1000 }, () => 0.1234567890123)), 8000)
    })

    it("words among media are texts", () => {
      const url = `data:image/png;base64,${png(750, 500, 3000).toString("base64")}`
      assert.closeTo(at("image_url", { url, detail: "auto" }), 500 + TokenEstimator.text("auto"), 1)
      assert.closeTo(
        at("image", { note: "see https://example.com" }),
        TokenEstimator.text("see https://example.com"),
        1
      )
      // A format that is none is nobody's reason to fail.
      assert.closeTo(at("document", { format: 5, bytes: Buffer.alloc(300).toString("base64") }), 75, 1)
    })

    it("what a tool or a variable is called does not hide it", () => {
      const input = { cache_control: prompt, cachePoint: prompt, toolChoice: prompt, type: prompt, id: prompt }
      assert.isAtLeast(converse({ toolUse: { input } }) - empty, 5 * promptTokens)
      const promptVariables = { model: { text: prompt }, format: { text: prompt } }
      assert.isAtLeast(TokenEstimator.converse({ promptVariables }), 2 * promptTokens)
      const json = { properties: { toolChoice: { description: prompt } } }
      const toolConfig = (schema: unknown) => ({ tools: [{ toolSpec: { inputSchema: { json: schema } } }] })
      const converseTools = (schema: unknown) => TokenEstimator.converse({ toolConfig: toolConfig(schema) })
      assert.isAtLeast(converseTools(json) - converseTools({}), promptTokens)
      assert.isAtLeast(at("tools", [{ input_schema: json }]) - at("tools", [{ input_schema: {} }]), promptTokens)
    })

    it("what steers the service costs nothing", () => {
      const bare = body({ messages }).tokens
      const long = "x".repeat(100)
      for (
        const steering of [
          { anthropic_version: "bedrock-2023-05-31", anthropic_beta: ["context-1m-2025-08-07"], temperature: 0.3 },
          { stop_sequences: [long], metadata: { user_id: long }, tool_choice: { type: "tool", name: long } },
          { schemaVersion: "messages-v1", inferenceConfig: { maxTokens: 5, stopSequences: [long] } },
          { textGenerationConfig: { stopSequences: [long] }, taskType: "TEXT_IMAGE" },
          { model: "openai.gpt-oss-20b-1:0", stop: [long], id: long, parameters: { stop: long } },
          { inference_config: { stop: long }, stopSequences: [long], thinking_config: { mode: long } },
          { toolChoice: { tool: { name: long } }, status: "success", cachePoint: { type: "default", ttl: "1h" } },
          { inferenceConfig: { mode: long }, inference_config: { mode: long } },
          { textGenerationConfig: { mode: long }, parameters: { mode: long }, format: long }
        ]
      ) assert.strictEqual(body({ messages, ...steering }).tokens, bare, JSON.stringify(steering))
      const content = (...blocks: ReadonlyArray<unknown>) =>
        body({ messages: [{ role: "user", content: blocks }] }).tokens
      const once = content({ type: "text", text: prompt })
      for (
        const steering of [
          { cache_control: { type: "ephemeral", ttl: "1h" } },
          { toolUseId: long, status: "success" },
          { tool_use_id: long },
          { tool_call_id: long },
          { id: long, signature: long }
        ]
      ) assert.strictEqual(content({ type: "text", text: prompt, ...steering }), once, JSON.stringify(steering))
    })

    it.effect.prop("any JSON has an estimate", [Schema.Json], ([json]) =>
      Effect.sync(() => {
        const { tokens } = body(json)
        assert.isTrue(Number.isInteger(tokens) && tokens >= 1 && tokens < 1e6)
      }))
  })

  describe("learning", () => {
    const learn = (n: number, base: (index: number) => number, actual: (base: number, index: number) => number) => {
      const ratios = TokenEstimator.empty()
      for (let index = 0; index < n; index++) {
        TokenEstimator.observe(ratios, { base: base(index), actual: actual(base(index), index) })
      }
      return ratios
    }

    it("errs high before it has learned", () => {
      const ratios = TokenEstimator.empty()
      assert.deepStrictEqual(TokenEstimator.estimate(ratios, 100), { likely: 100, upper: 175, samples: 0 })
      TokenEstimator.observe(ratios, { base: 100, actual: 50 })
      assert.deepStrictEqual(TokenEstimator.estimate(ratios, 100), { likely: 50, upper: 175, samples: 1 })
      TokenEstimator.observe(ratios, { base: 100, actual: 200 })
      assert.deepStrictEqual(TokenEstimator.estimate(ratios, 100), { likely: 125, upper: 350, samples: 2 })
    })

    it("takes the mean ratio before it has learned, whatever the sizes", () => {
      const ratios = learn(2, (i) => i === 0 ? 100 : 1000, (base) => base + 100)
      assert.strictEqual(TokenEstimator.estimate(ratios, 100).likely, 155)
      assert.strictEqual(TokenEstimator.estimate(ratios, 1000).likely, 1550)
    })

    it("tells a constant from a slope when sizes vary by more than 5 %", () => {
      const sizes = (variation: number) =>
        learn(100, (i) => 100_000 * (i % 2 === 0 ? 1 + variation : 1 - variation), (base) => base + 50_000)
      const likely = (variation: number) => TokenEstimator.estimate(sizes(variation), 100_000 * (1 + variation)).likely
      assert.closeTo(likely(0.053), 155_300, 2)
      // The mean ratio is 1.5 and a little.
      assert.closeTo(likely(0.047), 1.5 * 104_700, 300)
    })

    // The prediction interval of the mean of n values after m: z·s·√(1/n + 1/m), with Student's t in the place of z. Its
    // quantiles at 0.99 are 2.624 for 14 degrees of freedom and 2.602 for 15, from the tables; 2.34 for 255.
    it.each([
      ["one size", 16, () => 1000, 2.602],
      ["two sizes", 16, (i: number) => i % 4 < 2 ? 1000 : 4000, 2.624],
      ["one size, long observed", 256, () => 1000, 2.341]
    ])("the margin of a sum is the textbook's: %s", (_, samples, baseOf, quantile) => {
      const ratios = learn(samples, baseOf, (base, i) => base * (i % 2 === 0 ? 0.9 : 1.1))
      const degrees = samples - (quantile === 2.624 ? 2 : 1)
      const deviation = Math.sqrt(samples * 0.01 / degrees)
      for (const inFlight of [2, 10, 1000]) {
        const { likely, upper } = TokenEstimator.estimate(ratios, 1_000_000, { inFlight })
        assert.closeTo(likely, 1_000_000, 1)
        const margin = 1_000_000 * quantile * deviation * Math.sqrt(1 / inFlight + 1 / samples)
        assert.closeTo((upper - likely) / margin, 1, 0.015, `${inFlight} in flight`)
      }
    })

    it("is sure of a ratio that never varies, whatever the ratio", () => {
      for (let ratio = 0.5; ratio < 1.7; ratio += 0.01) {
        const ratios = learn(20, (i) => 1000 + i, (base) => base * ratio)
        const { likely, upper } = TokenEstimator.estimate(ratios, 1000, { inFlight: 3 })
        assert.closeTo(likely, 1000 * ratio, 1, `${ratio}`)
        assert.closeTo(upper, 1000 * ratio, 2, `${ratio}`)
      }
    })

    it("is right in the mean where no line fits, also of what became dearer", () => {
      // Dearer per base token the longer they are, up to five times as dear.
      const baseOf = (i: number) => 1000 * 1.02 ** ((i * 37) % 200)
      const actualOf = (base: number) => base + base ** 2 / 10_000
      const newest = Array.from({ length: 8 }, (_, i) => baseOf(248 + i))
      const meanOf = (kind: "likely" | "upper", factor: number) => {
        const ratios = learn(256, baseOf, (base, i) => actualOf(base) * (i < 248 ? 1 : factor))
        const bases = factor === 1 ? Array.from({ length: 256 }, (_, i) => baseOf(i)) : newest
        const of = (base: number) =>
          factor * actualOf(base) / TokenEstimator.estimate(ratios, base, { inFlight: 1e6 })[kind]
        return bases.reduce((sum, base) => sum + of(base), 0) / bases.length
      }
      assert.closeTo(meanOf("likely", 1), 1, 0.002)
      // With a margin for a spread that the rise itself has widened.
      assert.isAtMost(meanOf("upper", 3), 0.95)
      assert.isAtLeast(meanOf("upper", 3), 0.88)
    })

    it("less than one in flight is one", () => {
      const random = seeded(14)
      const ratios = learn(100, () => 1000, (base) => base * random.between(0.5, 1.5))
      const one = TokenEstimator.estimate(ratios, 1000)
      for (const inFlight of [0, 0.5, -3, 1]) {
        assert.deepStrictEqual(TokenEstimator.estimate(ratios, 1000, { inFlight }), one)
      }
    })

    it("takes the newest for dearer beyond three standard errors, and not for less", () => {
      const upper = (rise: number, samples: number) => {
        const ratios = learn(
          samples,
          () => 1000,
          (base, i) => base * (i < samples - 8 ? i % 2 === 0 ? 0.9 : 1.1 : 1 + rise)
        )
        return TokenEstimator.estimate(ratios, 1_000_000, { inFlight: 1_000_000 }).upper / 1_000_000
      }
      // Of 8 with a deviation of a tenth, one standard error is 0.035.
      assert.closeTo(upper(0.09, 256), 1 + 0.09 / 32 + 2.34 * 0.1 / 16, 0.003)
      assert.closeTo(upper(0.13, 256), 1.13 + 2.34 * 0.1 / 16, 0.003)
      // With half of all new, the other half is what they are compared with.
      assert.isAbove(upper(0.6, 16), 1.55)
    })

    it("is exact for a tokenizer without noise, constant included", () => {
      const ratios = learn(TokenEstimator.minimumSamples, (i) => 10 * 2 ** (i % 8), (base) => 1.5 * base + 30)
      for (const base of [10, 100, 1000]) {
        const { likely, upper } = TokenEstimator.estimate(ratios, base)
        assert.closeTo(likely, 1.5 * base + 30, 1)
        assert.closeTo(upper, 1.5 * base + 30, 1)
      }
    })

    it("keeps to the ratios that it has seen", () => {
      const ratios = learn(100, (i) => 10 * 2 ** (i % 8), (base) => 1.5 * base + 30)
      // 4.5 for the smallest seen, 1.52 for the largest.
      assert.strictEqual(TokenEstimator.estimate(ratios, 1).likely, 5)
      assert.closeTo(TokenEstimator.estimate(ratios, 1_000_000).likely, 1_523_438, 10)
    })

    it("takes requests of one size for a plain ratio", () => {
      const ratios = learn(100, () => 1000, () => 1300)
      assert.deepStrictEqual(TokenEstimator.estimate(ratios, 10), { likely: 13, upper: 13, samples: 100 })
    })

    it("forgets what is older than the window", () => {
      const ratios = learn(1000, () => 100, (base, i) => i < 1000 - TokenEstimator.windowSize ? 9 * base : 2 * base)
      assert.deepStrictEqual(TokenEstimator.estimate(ratios, 100), {
        likely: 200,
        upper: 200,
        samples: TokenEstimator.windowSize
      })
    })

    it("reacts at once when prompts become dearer than before", () => {
      const random = seeded(11)
      const noisy = () => random.between(0.95, 1.05)
      const before = learn(200, () => 1000, (base) => base * noisy())
      assert.isBelow(TokenEstimator.estimate(before, 1000, { inFlight: 50 }).upper, 1040)
      for (let i = 0; i < 8; i++) TokenEstimator.observe(before, { base: 1000, actual: 1600 * noisy() })
      assert.isAbove(TokenEstimator.estimate(before, 1000, { inFlight: 50 }).upper, 1500)
      for (let i = 0; i < 40; i++) TokenEstimator.observe(before, { base: 1000, actual: 1000 * noisy() })
      assert.isBelow(TokenEstimator.estimate(before, 1000, { inFlight: 50 }).upper, 1200)
    })

    it("asks for the level that it is asked for, also of the only request", () => {
      const random = seeded(12)
      const ratios = learn(200, () => 1000, (base) => base * random.between(0.5, 1.5))
      const upper = (level: number) => TokenEstimator.estimate(ratios, 1000, { level }).upper
      const [high, low] = [upper(0.99), upper(0.6)]
      assert.isAbove(high, low + 200)
      assert.deepStrictEqual([upper(0.99), upper(0.6)], [high, low])
      assert.strictEqual(TokenEstimator.estimate(ratios, 1000).upper, high)
    })

    it("has one answer, whatever was asked before", () => {
      const random = seeded(13)
      const [asked, silent] = [TokenEstimator.empty(), TokenEstimator.empty()]
      for (let i = 0; i < 300; i++) {
        const answer = { base: 1000, actual: random.between(500, 1500) }
        TokenEstimator.observe(asked, answer)
        TokenEstimator.observe(silent, answer)
        TokenEstimator.estimate(asked, 1000, { level: i % 2 === 0 ? 0.99 : 0.6 })
        assert.deepStrictEqual(
          TokenEstimator.estimate(asked, 1000),
          TokenEstimator.estimate({ ...silent }, 1000),
          `answer ${i}`
        )
      }
    })

    it("ignores answers that say nothing", () => {
      const ratios = TokenEstimator.empty()
      for (const [base, actual] of [[0, 5], [5, 0], [Number.NaN, 5], [5, Number.NaN], [-1, 5], [5, -1]] as const) {
        TokenEstimator.observe(ratios, { base, actual })
      }
      assert.deepStrictEqual(ratios, TokenEstimator.empty())
    })

    const tokenizers: Record<string, (random: Random, base: number) => number> = {
      "a ratio within 15 %": (random, base) => 1.3 * base * random.between(0.85, 1.15),
      "a ratio within 2 %": (random, base) => 0.9 * base * random.between(0.98, 1.02),
      "a chat template of 400 tokens": (random, base) => 1.2 * base * random.between(0.95, 1.05) + 400,
      "two kinds of text": (random, base) => (random.next() < 0.2 ? 1.8 : 1) * base * random.between(0.95, 1.05),
      "lognormal noise": (random, base) => 1.1 * base * Math.exp(0.1 * random.normal())
    }
    const sizes: Record<string, (random: Random) => number> = {
      "one size": () => 1000,
      "sizes from 20 to 3,000": (random) => Math.ceil(20 * Math.exp(5 * random.next()))
    }
    for (const [tokenizer, actualOf] of Object.entries(tokenizers)) {
      for (const [kind, baseOf] of Object.entries(sizes)) {
        it(`covers ${tokenizer}, ${kind}`, { tags: "statistics" }, () => {
          const seed = 5
          const random = seeded(seed)
          const rounds = 1500
          const exceeded = { one: 0, sum: 0 }
          let over = 0
          for (let round = 0; round < rounds; round++) {
            const ratios = TokenEstimator.empty()
            for (let i = 0; i < 100; i++) {
              const base = baseOf(random)
              TokenEstimator.observe(ratios, { base, actual: Math.ceil(actualOf(random, base)) })
            }
            const base = baseOf(random)
            if (Math.ceil(actualOf(random, base)) > TokenEstimator.estimate(ratios, base).upper) exceeded.one++
            const bases = Array.from({ length: 50 }, () => baseOf(random))
            const sum = bases.reduce((total, it) => total + it, 0)
            const inFlight = sum ** 2 / bases.reduce((total, it) => total + it * it, 0)
            const actual = bases.reduce((total, it) => total + Math.ceil(actualOf(random, it)), 0)
            const booked = bases.reduce(
              (total, it) => total + TokenEstimator.estimate(ratios, it, { inFlight }).upper,
              0
            )
            if (actual > booked) exceeded.sum++
            over += booked / actual
          }
          // Stated: 1 %; as measured with these seeds up to 1.3 % for one and 2.6 % for skewed sums.
          assert.isAtMost(exceeded.one / rounds, 0.016, `seed ${seed}`)
          assert.isAtMost(exceeded.sum / rounds, 0.028, `seed ${seed}`)
          // And not by booking much too much.
          assert.isAtMost(over / rounds, tokenizer === "two kinds of text" ? 1.18 : 1.07, `seed ${seed}`)
        })
      }
    }

    const Base = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))
    const Ratio = Schema.Finite.check(Schema.isBetween({ minimum: 0.3, maximum: 3 }))
    const Answers = Schema.Array(Schema.Struct({ base: Base, ratio: Ratio })).check(Schema.isMaxLength(40))
    it.effect.prop(
      "likely and upper lie within what was seen, and upper is the upper",
      [Answers, Base],
      ([answers, base]) =>
        Effect.sync(() => {
          const ratios = TokenEstimator.empty()
          for (const it of answers) TokenEstimator.observe(ratios, { base: it.base, actual: it.base * it.ratio })
          for (const inFlight of [1, 2, 1000]) {
            const { likely, samples, upper } = TokenEstimator.estimate(ratios, base, { inFlight })
            assert.strictEqual(samples, answers.length)
            assert.isAtLeast(upper, likely)
            const highest = Math.max(1, ...answers.map((it) => it.ratio))
            const lowest = Math.min(1, ...answers.map((it) => it.ratio))
            assert.isAtMost(upper, Math.ceil(base * TokenEstimator.caution * highest) + 1)
            assert.isAtLeast(likely, Math.floor(base * lowest * 0.3))
          }
        })
    )
  })

  it.effect("the service keeps models apart, and forgets the least recently used of more than 64", () =>
    Effect.gen(function*() {
      const estimator = yield* TokenEstimator.TokenEstimator
      const samples = (model: string) => estimator.estimate(model, 100).samples
      estimator.observe("a", { base: 100, actual: 120 })
      assert.strictEqual(samples("a"), 1)
      assert.strictEqual(samples("b"), 0)
      for (let i = 0; i < 62; i++) estimator.observe(`m${i}`, { base: 100, actual: 120 })
      assert.strictEqual(samples("a"), 1)
      for (let i = 0; i < 63; i++) estimator.observe(`n${i}`, { base: 100, actual: 120 })
      assert.strictEqual(samples("a"), 1)
      estimator.observe("x", { base: 100, actual: 120 })
      for (let i = 0; i < 63; i++) samples(`n${i}`)
      assert.strictEqual(samples("a"), 0)
    }).pipe(Effect.provide(TokenEstimator.layer)))
})
