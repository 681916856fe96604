import * as PromptLine from "@caprock/cli/run/PromptLine"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { model } from "./support.ts"

const defaults: PromptLine.Defaults = { model }

const read = (value: unknown, given: PromptLine.Defaults = defaults, line = 7) =>
  PromptLine.parse(typeof value === "string" ? value : JSON.stringify(value), line, given)
const prompt = (value: unknown, given?: PromptLine.Defaults) => Result.getOrThrow(read(value, given))
const problem = (value: unknown, given?: PromptLine.Defaults) => {
  const result = read(value, given)
  assert.isTrue(Result.isFailure(result), `read: ${JSON.stringify(value)}`)
  return Result.isFailure(result) ? result.failure : undefined
}

const image = { image: { format: "png", source: { bytes: "AQID" } } }

describe("PromptLine", () => {
  it("makes a request of a prompt, with the line's own values before the common ones", () => {
    assert.deepEqual(prompt({ id: "a", prompt: "Hi" }).input, {
      modelId: model,
      messages: [{ role: "user", content: [{ text: "Hi" }] }]
    })
    assert.deepEqual(
      prompt(
        {
          prompt: "Hi",
          model: "m.x",
          system: "Own",
          maxTokens: 5,
          temperature: 0,
          extra: { kept: "out" },
          text: "own"
        },
        { model, system: "Common", maxTokens: 9, temperature: 1 }
      ).input,
      {
        modelId: "m.x",
        messages: [{ role: "user", content: [{ text: "Hi" }] }],
        system: [{ text: "Own" }],
        inferenceConfig: { maxTokens: 5, temperature: 0 }
      }
    )
    assert.deepEqual(prompt({ prompt: "Hi" }, { model, system: "Common", maxTokens: 9 }).input, {
      modelId: model,
      messages: [{ role: "user", content: [{ text: "Hi" }] }],
      system: [{ text: "Common" }],
      inferenceConfig: { maxTokens: 9 }
    })
  })

  it("takes a whole Converse request, with common values where it has none", () => {
    const request = {
      messages: [{ role: "user", content: [{ text: "Hi" }, { cachePoint: { type: "default" } }] }],
      inferenceConfig: { maxTokens: 5, stopSequences: ["x"] },
      toolConfig: { tools: [{ toolSpec: { name: "t", inputSchema: { json: { bytes: "not base64!" } } } }] },
      additionalModelRequestFields: { anthropic_beta: ["context-1m-2025-08-07"] }
    }
    assert.deepEqual(prompt({ request }, { model, system: "Common", maxTokens: 9, temperature: 1 }).input, {
      ...request,
      modelId: model,
      system: [{ text: "Common" }],
      inferenceConfig: { maxTokens: 5, temperature: 1, stopSequences: ["x"] }
    } as never)
    assert.deepEqual(
      prompt({ request: { ...request, modelId: "own.id", system: [{ text: "Own" }] } }, { model, system: "Common" })
        .input
        .system,
      [{ text: "Own" }]
    )
    assert.strictEqual(prompt({ request: { ...request, modelId: "own.id" } }).model, "own.id")
    assert.strictEqual(prompt({ model: "line.id", request: { ...request, modelId: "own.id" } }).model, "line.id")
  })

  it("reads base64 where the SDK takes bytes, and nowhere inside a tool's own JSON", () => {
    const bytes = new Uint8Array([1, 2, 3])
    const { input } = prompt({
      request: {
        messages: [{
          role: "user",
          content: [
            image,
            { document: { name: "d", format: "pdf", source: { bytes: "AQID" } } },
            { video: { format: "mp4", source: { s3Location: { uri: "s3://b/k" } } } },
            { toolResult: { toolUseId: "1", content: [image, { json: { source: { bytes: "AQID" } } }] } },
            { guardContent: { image: { format: "png", source: { bytes: "AQID" } } } },
            { reasoningContent: { redactedContent: "AQID" } },
            { toolUse: { toolUseId: "1", name: "n", input: { image: { source: { bytes: "AQID" } } } } }
          ]
        }]
      }
    })
    const decoded = { image: { format: "png", source: { bytes } } }
    assert.deepEqual(
      input.messages?.[0]?.content,
      [
        decoded,
        { document: { name: "d", format: "pdf", source: { bytes } } },
        { video: { format: "mp4", source: { s3Location: { uri: "s3://b/k" } } } },
        { toolResult: { toolUseId: "1", content: [decoded, { json: { source: { bytes: "AQID" } } }] } },
        { guardContent: { image: { format: "png", source: { bytes } } } },
        { reasoningContent: { redactedContent: bytes } },
        { toolUse: { toolUseId: "1", name: "n", input: { image: { source: { bytes: "AQID" } } } } }
      ] as never
    )
  })

  it("gives a line without an id one of its own", () => {
    assert.strictEqual(prompt({ prompt: "Hi" }).id, "line-7")
    assert.strictEqual(prompt({ id: 12, prompt: "Hi" }).id, 12)
  })

  const user = (content: unknown) => ({ request: { messages: [{ role: "user", content }] } })
  const cases: ReadonlyArray<readonly [line: unknown, kind: string, says: string]> = [
    [`{"prompt": "x"`, "not-json", "line 7 is not JSON"],
    ["hello", "not-json", "Write one JSON object on it"],
    ["5", "wrong-shape", "line 7 is the JSON value 5, not an object"],
    ["null", "wrong-shape", "not an object"],
    [[1], "wrong-shape", "line 7 is a JSON array"],
    [{}, "wrong-shape", `line 7 has neither "prompt" nor "request"`],
    [{ id: "a", question: "x" }, "wrong-shape", `"question" is not read. Write "prompt"`],
    [{ prompt: 5 }, "wrong-shape", `the field "prompt" is 5. Expected string`],
    [{ prompt: "" }, "wrong-shape", `the field "prompt" is "". Expected a value with a length of at least 1`],
    [{ prompt: "x", id: "" }, "wrong-shape", `the field "id" is ""`],
    [{ prompt: "x", id: 1.5 }, "wrong-shape", `the field "id" is 1.5`],
    [{ prompt: "x", id: null }, "wrong-shape", `the field "id" is null`],
    [{ prompt: "x", id: "i".repeat(513) }, "wrong-shape", `the field "id" is "iiiii`],
    [{ prompt: "x", maxTokens: "9" }, "wrong-shape", `the field "maxTokens" is "9". Expected number`],
    [{ prompt: "x", maxTokens: 0 }, "wrong-shape", `Expected a value greater than or equal to 1`],
    [{ prompt: "x", max_tokens: 5 }, "wrong-shape", `"max_tokens" is not read. Write "maxTokens"`],
    [{ prompt: "x", temperature: -1 }, "wrong-shape", `the field "temperature" is -1`],
    [{ prompt: "x", modelId: "m" }, "wrong-shape", `"modelId" is not read. Write "model"`],
    [{ prompt: "x", topP: 1 }, "wrong-shape", `Put the whole request under "request"`],
    [{ request: {}, messages: [] }, "wrong-shape", `"messages" belongs to a Converse request`],
    [{ messages: [] }, "wrong-shape", `"messages" belongs to a Converse request`],
    [{ prompt: "x", request: {} }, "wrong-shape", `both "prompt" and "request"`],
    [{ request: "x" }, "wrong-shape", `the field "request" is "x". Expected object`],
    [{ request: {}, system: "x" }, "wrong-shape", `"system": [{"text": "..."}]`],
    [{ request: {}, maxTokens: 1 }, "wrong-shape", `{"inferenceConfig": {"maxTokens": ...}}`],
    [{ request: { max_tokens: 1 } }, "wrong-shape", `"request.max_tokens" is not a field of a Converse request`],
    [
      { request: { inferenceConfig: { max_tokens: 1 } } },
      "wrong-shape",
      `"request.inferenceConfig.max_tokens" is not a field`
    ],
    [{ request: { messages: [{ content: [] }] } }, "wrong-shape", `the field "request.messages[0].role" is missing`],
    [{ request: { messages: [{ role: "bot", content: [] }] } }, "wrong-shape", `"request.messages[0].role" is "bot"`],
    [user("x"), "wrong-shape", `the field "request.messages[0].content" is "x". Expected array`],
    [user(["x"]), "wrong-shape", `the field "request.messages[0].content[0]" is "x"`],
    [
      user([{ txt: "x" }]),
      "wrong-shape",
      `"request.messages[0].content[0].txt" is not a field of a Converse request. Here are text, image`
    ],
    [user([{ type: "text", text: "x" }]), "wrong-shape", `must have exactly one member`],
    [user([{ text: 5 }]), "wrong-shape", `"request.messages[0].content[0].text" must be text`],
    [
      user([{ image: { source: { bytes: "%%" } } }]),
      "wrong-shape",
      `"request.messages[0].content[0].image.source.bytes" is not base64`
    ],
    [
      user([{ image: { source: { bytes: 5 } } }]),
      "wrong-shape",
      `"request.messages[0].content[0].image.source.bytes" must be base64 text`
    ],
    // The SDK would have left these out in silence.
    [{ request: { system: [{ image: {} }] } }, "wrong-shape", `"request.system[0].image" is not a field`],
    [
      { request: { toolConfig: { tools: [{ toolSpec: { name: "n", schema: {} } }] } } },
      "wrong-shape",
      `"request.toolConfig.tools[0].toolSpec.schema" is not a field of a Converse request. Here are name, inputSchema`
    ],
    [{ request: { requestMetadata: { run: 5 } } }, "wrong-shape", `"request.requestMetadata.run" must be text`],
    [{ request: { toolConfig: null } }, "wrong-shape", `"request.toolConfig" must be an object`]
  ]
  for (const [line, kind, says] of cases) {
    it(`refuses ${JSON.stringify(line).slice(0, 70)}`, () => {
      const error = problem(line)
      assert.strictEqual(error?.kind, kind)
      assert.strictEqual(error?.line, 7)
      assert.include(error?.message, says)
      assert.match(error?.message ?? "", /^line 7/)
    })
  }

  it("keeps the id of a line whose rest is wrong", () => {
    assert.strictEqual(problem({ id: "a", prompt: 5 })?.id, "a")
  })

  it("says when a line has no model", () => {
    assert.include(problem({ prompt: "x" }, {})?.message, "Add --model")
  })

  it("says of the first line of a JSON array what to do", () => {
    const result = PromptLine.parse("[", 1, defaults)
    assert.include(Result.isFailure(result) ? result.failure.message : "", "jq -c '.[]'")
  })

  it("the digest is of what is asked: not of the id, the model, maxTokens or the order of fields", () => {
    const digest = (value: unknown, given?: PromptLine.Defaults) => prompt(value, given).digest
    const one = digest({ id: "a", prompt: "x" })
    assert.match(one, /^[0-9a-f]{16}$/)
    assert.strictEqual(digest({ prompt: "x", id: "b", maxTokens: 3, model: "m.x" }, { model, maxTokens: 9 }), one)
    for (
      const other of [
        digest({ prompt: "y" }),
        digest({ prompt: "x", system: "s" }),
        digest({ prompt: "x" }, { model, system: "s" }),
        digest({ prompt: "x", temperature: 0 })
      ]
    ) assert.notStrictEqual(other, one)

    const request = { messages: [{ role: "user", content: [{ text: "x" }, image] }], inferenceConfig: { topP: 1 } }
    const two = digest({ request })
    assert.strictEqual(
      digest(
        `{"request":{"modelId":"m.x","inferenceConfig":{"maxTokens":5,"topP":1},"messages":[{"content":[{"text":"x"},` +
          `{"image":{"source":{"bytes":"AQID"},"format":"png"}}],"role":"user"}]}}`
      ),
      two
    )
    assert.notStrictEqual(digest({ request: { ...request, inferenceConfig: { topP: 0.9 } } }), two)
    assert.notStrictEqual(digest({ request }, { model, temperature: 1 }), two)
  })
})
