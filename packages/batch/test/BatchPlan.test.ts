import * as BatchLimits from "@caprock/batch/BatchLimits"
import * as BatchPlan from "@caprock/batch/BatchPlan"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const perRecord = { inputTokens: 400, outputTokens: 100, reservation: 600 }
const limits = BatchLimits.defaults
const plan = (question: Partial<BatchPlan.Question> & { readonly records: number }) =>
  BatchPlan.decide({ limits, perRecord, ...question })

describe("BatchPlan.decide", () => {
  it("sends on demand what is too little for a job, however little hurry there is", () => {
    assert.deepStrictEqual(plan({ records: 99 }).path, "on-demand")
    assert.deepStrictEqual(plan({ records: 12, urgency: "7 days" }).because, [
      "12 records are fewer than the 100 that a job needs at least."
    ])
    assert.deepStrictEqual(plan({ records: 100 }).path, "batch")
    // There are more than that.
    assert.deepStrictEqual(plan({ records: 99, more: true }).path, "batch")
  })

  it("takes a batch where there is time", () => {
    assert.deepStrictEqual(plan({ records: 5_000 }).because, [
      "5,000 records are in no hurry, and a batch takes nothing of the quota of other calls."
    ])
    const day = plan({ records: 5_000, urgency: "24 hours" })
    assert.deepStrictEqual([day.path, day.because], ["batch", [
      "5,000 records have 24 hours, and a batch takes nothing of the quota of other calls."
    ]])
    assert.strictEqual(plan({ records: 100, urgency: "23 hours" }).path, "on-demand")
  })

  it("is in time to the last record", () => {
    const urgent = { urgency: "1 hour", quota: { requestsPerMinute: 100 } } as const
    assert.strictEqual(plan({ records: 6_000, ...urgent }).path, "on-demand")
    assert.strictEqual(plan({ records: 6_001, ...urgent }).path, "batch")
    assert.strictEqual(BatchPlan.enough({ limits, perRecord, ...urgent }), 6_001)
    // Without hurry it is enough to know that a job can be made.
    assert.strictEqual(BatchPlan.enough({ limits, perRecord }), 100)
  })

  it("says by which quota, for how long, and what may come late", () => {
    const of = (question: Partial<BatchPlan.Question>) => plan({ records: 12_000, urgency: "1 hour", ...question })
    const tokens = of({ quota: { requestsPerMinute: 1_000, tokensPerMinute: 60_000 } })
    assert.deepStrictEqual([tokens.path, tokens.because], ["batch", [
      "On demand, 12,000 records take about 2 hours, by 60,000 tokens per minute: longer than the 1 hour that is asked for.",
      "A batch may be late, too: AWS promises nothing within 24 hours."
    ]])
    assert.strictEqual(Duration.toHours(tokens.onDemandTime), 2)
    const requests = of({ quota: { requestsPerMinute: 400, tokensPerMinute: 6_000_000 } })
    assert.deepStrictEqual([requests.path, requests.because], ["on-demand", [
      "On demand, 12,000 records take about 30 minutes, by 400 requests per minute: that is within the 1 hour that is asked for.",
      "As a batch they may take 24 hours and more: AWS promises nothing sooner."
    ]])
    assert.match(
      of({ quota: {} }).because[0],
      /take about 2 hours, by the 100 requests per minute that are taken for a quota that nobody told: longer/
    )
    assert.match(
      of({ more: true }).because[0],
      /^How many records there are is not known: there are more than 12,000 records, .* within 1 hour can't be told\.$/
    )
  })

  it("tells what it costs, where that is known", () => {
    const prices = { input: 3, output: 15 }
    const batch = plan({ records: 1_000_000, prices })
    assert.deepStrictEqual([batch.batchCost, batch.onDemandCost], [1_350, 2_700])
    assert.strictEqual(batch.because.at(-1), "It costs about 1,350, and on demand it would be 2,700.")
    assert.strictEqual(plan({ records: 50, prices }).because.at(-1), "It costs about 0.135.")
    const unknown = plan({ records: 1_000, more: true, prices })
    assert.deepStrictEqual([unknown.batchCost, unknown.because.length], [undefined, 1])
  })

  const Question = {
    records: between(0, 1_000_000),
    minutes: between(1, 3_000),
    minimumRecords: between(1, 1_000),
    reservation: between(1, 200_000),
    requestsPerMinute: between(1, 10_000),
    tokensPerMinute: between(1_000, 100_000_000)
  }

  it.prop(
    "goes on demand exactly where a job would be too small, or where it is urgent and the quota suffices",
    Question,
    ({ minimumRecords, minutes, records, requestsPerMinute, reservation, tokensPerMinute }) => {
      const { because, onDemandTime, path } = plan({
        records,
        limits: { ...limits, minimumRecords },
        urgency: Duration.minutes(minutes),
        perRecord: { ...perRecord, reservation },
        quota: { requestsPerMinute, tokensPerMinute }
      })
      const needed = Math.max(records / requestsPerMinute, records * reservation / tokensPerMinute)
      const fits = minutes < 24 * 60 && needed <= minutes * (1 + 1e-9)
      const tooLong = minutes >= 24 * 60 || needed >= minutes * (1 - 1e-9)
      if (records < minimumRecords) assert.strictEqual(path, "on-demand")
      else if (path === "on-demand") assert.isTrue(fits)
      else assert.isTrue(tooLong)
      assert.closeTo(Duration.toMinutes(onDemandTime), needed, needed * 1e-6 + 1e-4)
      for (const sentence of because) assert.match(sentence, /^[A-Z0-9].*\.$/)
    }
  )

  it.prop(
    "has seen enough when no further record would change the decision, and not before",
    { ...Question, further: between(0, 1_000_000) },
    ({ further, minimumRecords, minutes, requestsPerMinute, reservation, tokensPerMinute }) => {
      const question = {
        limits: { ...limits, minimumRecords },
        urgency: Duration.minutes(minutes),
        perRecord: { ...perRecord, reservation },
        quota: { requestsPerMinute, tokensPerMinute }
      }
      const enough = BatchPlan.enough(question)
      assert.strictEqual(BatchPlan.decide({ ...question, records: enough + further }).path, "batch")
      assert.strictEqual(BatchPlan.decide({ ...question, records: enough - 1 }).path, "on-demand")
    }
  )
})
