import { ConverseJson } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"

const whole = {
  modelId: "amazon.nova-lite-v1:0",
  system: [{ text: "Be brief" }, { cachePoint: { type: "default" } }],
  messages: [{
    role: "user",
    content: [
      { text: "Hi" },
      { image: { format: "png", source: { bytes: "AQID" } } },
      { toolResult: { toolUseId: "t", content: [{ json: { source: { bytes: "AQID" }, none: null, list: [1, "x"] } }] } }
    ]
  }],
  inferenceConfig: { maxTokens: 5, topP: 0.5, stopSequences: ["x"] },
  toolConfig: {
    tools: [{ toolSpec: { name: "n", inputSchema: { json: { type: "object" } } } }],
    toolChoice: { auto: {} }
  },
  additionalModelRequestFields: { thinking: { type: "enabled" }, none: null },
  requestMetadata: { run: "1" }
}

describe("ConverseJson", () => {
  it("decodes bytes where the model has bytes, and leaves documents alone", () => {
    const { content } = whole.messages[0] ?? assert.fail()
    assert.deepStrictEqual(Result.getOrThrow(ConverseJson.decode(whole)), {
      ...whole,
      messages: [{
        role: "user",
        content: [content[0], { image: { format: "png", source: { bytes: new Uint8Array([1, 2, 3]) } } }, content[2]]
      }]
    } as never)
  })

  it.each(
    [
      [5, [], "must be an object"],
      [{ messages: {} }, ["messages"], "must be an array"],
      [{ messages: [null] }, ["messages", 0], "must be an object"],
      [{ mesages: [] }, ["mesages"], "is not a field"],
      [{ inferenceConfig: { maxTokens: "5" } }, ["inferenceConfig", "maxTokens"], "must be a number"],
      [{ inferenceConfig: { stopSequences: [5] } }, ["inferenceConfig", "stopSequences", 0], "must be text"],
      [{ promptVariables: { a: { text: 5 } } }, ["promptVariables", "a", "text"], "must be text"],
      [{ toolConfig: { tools: [{ toolSpec: { strict: "yes" } }] } }, [
        "toolConfig",
        "tools",
        0,
        "toolSpec",
        "strict"
      ], "must be true or false"],
      [{ system: [{}] }, ["system", 0], "must have exactly one member"],
      [{ system: [{ text: "a", cachePoint: {} }] }, ["system", 0], "must have exactly one member"],
      [{ system: [{ constructor: "a" }] }, ["system", 0, "constructor"], "is not a field"]
    ] as const
  )("refuses %j", (json, path, says) => {
    const decoded = ConverseJson.decode(json)
    if (Result.isSuccess(decoded)) return assert.fail("it was taken")
    assert.deepStrictEqual(decoded.failure.path, path)
    assert.include(decoded.failure.problem, says)
  })
})
