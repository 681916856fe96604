import { OutputPredictor } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"

describe("OutputPredictor", () => {
  it("books the worst case before it has learned", () => {
    const lengths = OutputPredictor.empty()
    const question = { maxTokens: 1000, burndown: 5, inputTokens: 200, inFlight: 10 }
    assert.deepStrictEqual(OutputPredictor.predict(lengths, question), { booked: 5200, samples: 0 })
    for (let i = 1; i < OutputPredictor.minimumSamples; i++) {
      OutputPredictor.observe(lengths, { maxTokens: 1000, outputTokens: 100 })
    }
    assert.strictEqual(OutputPredictor.predict(lengths, question).booked, 5200)
    OutputPredictor.observe(lengths, { maxTokens: 1000, outputTokens: 100 })
    assert.isBelow(OutputPredictor.predict(lengths, question).booked, 5200)
  })

  it("books exactly the reservation when the burndown is 1", () => {
    const lengths = OutputPredictor.empty()
    assert.strictEqual(
      OutputPredictor.predict(lengths, { maxTokens: 1000, burndown: 1, inputTokens: 200 }).booked,
      1200
    )
  })
})
