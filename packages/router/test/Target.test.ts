import { Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"

const decode = Schema.decodeUnknownResult(Target.Target, { onExcessProperty: "error" })

describe("Target", () => {
  it("needs nothing but a model", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode({ model: "m" })), { model: "m" })
  })

  it("is data, and what is misspelt or makes no sense is refused", () => {
    const whole = {
      model: "m",
      region: "eu-west-1",
      residency: ["eu-west-1", "eu-north-1"],
      able: { input: 200_000, output: 8_000, tools: true, images: false },
      price: { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 },
      drop: ["inferenceConfig.topP"]
    }
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(whole)), whole)
    for (
      const wrong of [
        { ...whole, model: "" },
        { ...whole, reigon: "eu-west-1" },
        { ...whole, residency: [] },
        { ...whole, able: { input: 0 } },
        { ...whole, able: { output: 1.5 } },
        { ...whole, price: { input: -1, output: 1 } },
        { ...whole, price: { input: 1 } }
      ]
    ) assert.isTrue(Result.isFailure(decode(wrong)), JSON.stringify(wrong))
  })

  it("costs what it used, and cached tokens what input does unless they have their own price", () => {
    const usage = { input: 1_000_000, output: 2_000_000, cacheRead: 3_000_000, cacheWrite: 4_000_000 }
    assert.strictEqual(Target.usd({ input: 1, output: 10 }, usage), 1 + 20 + 3 + 4)
    assert.strictEqual(
      Target.usd({ input: 1, output: 10, cacheRead: 0.5, cacheWrite: 0 }, usage),
      1 + 20 + 1.5
    )
    assert.strictEqual(Target.usd({ input: 0, output: 0 }, usage), 0)
    assert.strictEqual(Target.usd({ input: 2, output: 4 }, { input: 500_000, output: 250_000 }), 2)
  })
})
