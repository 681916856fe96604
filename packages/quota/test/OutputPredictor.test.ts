import { OutputPredictor } from "@caprock/quota"
import { assert, describe, it } from "@effect/vitest"

const question = { maxTokens: 1000, burndown: 5, inputTokens: 200, inFlight: 10 }

describe("OutputPredictor", () => {
  it("books the worst case before it has learned", () => {
    const lengths = OutputPredictor.empty()
    assert.strictEqual(OutputPredictor.predict(lengths, question), 5200)
    for (let i = 1; i < OutputPredictor.minimumSamples; i++) {
      OutputPredictor.observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
    }
    assert.strictEqual(OutputPredictor.predict(lengths, question), 5200)
    OutputPredictor.observe(lengths, { maxTokens: 1000, outputTokens: 100, millis: 1000 })
    assert.isBelow(OutputPredictor.predict(lengths, question), 5200)
  })

  it("books exactly the reservation when the burndown is 1", () => {
    const lengths = OutputPredictor.empty()
    const flight = OutputPredictor.begin({ maxTokens: 1000, burndown: 1 })
    assert.strictEqual(OutputPredictor.book(lengths, flight, { inputTokens: 200, now: 0 }), 1200)
  })
})
