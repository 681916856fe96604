import { Usage } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"

const headers = (counts: Record<string, string>) =>
  Object.fromEntries(Object.entries(counts).map(([name, value]) => [`x-amzn-bedrock-${name}-token-count`, value]))

describe("Usage", () => {
  it("reads the headers of InvokeModel", () => {
    assert.deepStrictEqual(Usage.fromHeaders(headers({ input: "12", output: "0" })), {
      inputTokens: 12,
      outputTokens: 0
    })
    assert.deepStrictEqual(
      Usage.fromHeaders(headers({ input: "1", output: "2", "cache-read-input": "3", "cache-write-input": "4" })),
      { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheWriteInputTokens: 4 }
    )
  })

  it("of a model that generates nothing is whole without the output", () => {
    const nothing = { generates: false }
    assert.deepStrictEqual(Usage.fromHeaders(headers({ input: "5" }), nothing), { inputTokens: 5, outputTokens: 0 })
    assert.deepStrictEqual(Usage.fromHeaders(headers({ input: "5", output: "2" }), nothing), {
      inputTokens: 5,
      outputTokens: 2
    })
    assert.isUndefined(Usage.fromHeaders(headers({ input: "5", output: "-2" }), nothing))
    assert.isUndefined(Usage.fromHeaders(headers({ output: "2" }), nothing))
    assert.isUndefined(Usage.fromHeaders({}, nothing))
    assert.isUndefined(Usage.fromHeaders(headers({ input: "5" }), { generates: true }))
    assert.isUndefined(Usage.fromHeaders(headers({ input: "5" }), {}))
  })

  it("is none where a count is missing or no count", () => {
    assert.isUndefined(Usage.fromHeaders({}))
    assert.isUndefined(Usage.fromHeaders(headers({ input: "1" })))
    for (const wrong of ["-1", "1.5", "", "many", "1e3", "9".repeat(16)]) {
      assert.isUndefined(Usage.fromHeaders(headers({ input: wrong, output: "1" })))
      assert.isUndefined(Usage.fromHeaders(headers({ input: "1", output: wrong })))
      assert.deepStrictEqual(Usage.fromHeaders(headers({ input: "1", output: "1", "cache-read-input": wrong })), {
        inputTokens: 1,
        outputTokens: 1
      })
    }
  })

  it("reads the metrics of the last chunk", () => {
    assert.deepStrictEqual(
      Usage.fromInvocationMetrics({
        inputTokenCount: 5,
        outputTokenCount: 6,
        invocationLatency: 7,
        cacheReadInputTokenCount: 8
      }),
      { inputTokens: 5, outputTokens: 6, cacheReadInputTokens: 8 }
    )
    for (
      const wrong of [undefined, null, "text", 1, {}, { inputTokenCount: 1 }, {
        inputTokenCount: -1,
        outputTokenCount: 1
      }]
    ) {
      assert.isUndefined(Usage.fromInvocationMetrics(wrong))
    }
  })

  it("reads the usage of Converse", () => {
    const counts = { inputTokens: 1, outputTokens: 2, totalTokens: 6, cacheReadInputTokens: 3 }
    assert.deepStrictEqual(Usage.fromTokenUsage(counts), { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3 })
    assert.isUndefined(Usage.fromTokenUsage(undefined))
    assert.isUndefined(Usage.fromTokenUsage({ ...counts, outputTokens: undefined }))
  })
})
