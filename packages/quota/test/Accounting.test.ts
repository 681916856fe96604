import { Accounting } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000_000 }))
const Burndown = Schema.Literals([1, 5, 10, 15])

describe("Accounting", () => {
  it("deducts AWS's worked examples (quotas-token-burndown)", () => {
    const usage = { inputTokens: 3000, cacheReadInputTokens: 4000, cacheWriteInputTokens: 1000, outputTokens: 1000 }
    const request = { inputTokens: 3000, cacheWriteTokens: 1000, cacheReadTokens: 4000, cacheReads: "free" } as const
    assert.strictEqual(Accounting.reservation({ ...request, maxTokens: 32_000 }), 36_000)
    assert.strictEqual(Accounting.reservation({ ...request, maxTokens: 1250 }), 5250)
    assert.strictEqual(Accounting.settlement(usage, 5), 9000)
    assert.strictEqual(Accounting.refund(36_000, 9000), 27_000)
    assert.strictEqual(Accounting.debt(36_000, 9000), 0)
    assert.strictEqual(Accounting.debt(5250, 9000), 3750)
    assert.strictEqual(Accounting.refund(5250, 9000), 0)
    assert.strictEqual(Accounting.settlement({ inputTokens: 1000, outputTokens: 100 }, 5), 1500)
  })

  it("counts cache reads in the reservation unless told, and never in the settlement", () => {
    const request = { inputTokens: 10, cacheReadTokens: 500, maxTokens: 100 }
    assert.strictEqual(Accounting.reservation(request), 610)
    assert.strictEqual(Accounting.reservation({ ...request, cacheReads: "reserved" }), 610)
    assert.strictEqual(Accounting.reservation({ ...request, cacheReads: "free" }), 110)
    const usage = { inputTokens: 10, cacheReadInputTokens: 500, outputTokens: 7 }
    assert.strictEqual(Accounting.settlement(usage, 1), 17)
  })

  it("knows the whole prompt", () => {
    assert.strictEqual(
      Accounting.promptTokens({
        inputTokens: 1,
        cacheReadInputTokens: 20,
        cacheWriteInputTokens: 300,
        outputTokens: 4000
      }),
      321
    )
    assert.strictEqual(Accounting.promptTokens({ inputTokens: 5, outputTokens: 9 }), 5)
  })

  it("counts what is no positive number as none", () => {
    const broken = { inputTokens: Number.NaN, outputTokens: -5, cacheWriteInputTokens: undefined }
    assert.strictEqual(Accounting.settlement(broken, 5), 0)
    assert.strictEqual(Accounting.promptTokens(broken), 0)
    assert.strictEqual(Accounting.reservation({ inputTokens: -1, maxTokens: Number.NaN, cacheWriteTokens: -3 }), 0)
  })

  it.effect.prop(
    "what is booked and what is charged differ by exactly the refund or the debt",
    { input: Tokens, write: Tokens, output: Tokens, limit: Tokens, burndown: Burndown },
    ({ burndown, input, limit, output, write }) =>
      Effect.sync(() => {
        const booked = Accounting.reservation({ inputTokens: input, cacheWriteTokens: write, maxTokens: limit })
        const charged = Accounting.settlement(
          { inputTokens: input, cacheWriteInputTokens: write, outputTokens: output },
          burndown
        )
        const refund = Accounting.refund(booked, charged)
        const debt = Accounting.debt(booked, charged)
        assert.strictEqual(booked - refund + debt, charged)
        assert.isTrue(refund === 0 || debt === 0)
        // Safety: no refund where the output outran the limit by the burndown. Tightness: none of the input comes back.
        assert.strictEqual(refund, Math.max(0, limit - output * burndown))
        assert.strictEqual(debt, Math.max(0, output * burndown - limit))
      })
  )
})
