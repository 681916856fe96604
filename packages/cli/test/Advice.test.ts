import * as Advice from "@caprock/cli/run/Advice"
import * as Throughput from "@caprock/cli/run/Throughput"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const window = 60_000
const tokens = { unit: "tokens", limit: 100_000, windowMillis: window } as const
const requests = { unit: "requests", limit: 100, windowMillis: window } as const

/** Answers of 300 tokens to prompts of 100, under a maxTokens of 4,000, that take half a minute. */
const facts: Advice.Facts = {
  elapsedMillis: 600_000,
  answered: 500,
  cutAtMaxTokens: 0,
  meters: [tokens],
  call: { reserved: 4100, booked: 4100, charged: 400, inputTokens: 100, outputTokens: 300, serviceMillis: 30_000 },
  output: { max: 500, p99: 480 },
  throttles: { requests: 0, tokens: 0, tokensPerDay: 0, unknown: 0 },
  debts: 0,
  waitingShare: 0.9,
  connectionsShare: 0,
  maxConnections: 256,
  quotaNames: { requests: "Cross-region model inference requests per minute for X" }
}

const only = (given: Partial<Advice.Facts>) => {
  const advice = Advice.advise({ ...facts, ...given })
  assert.strictEqual(advice.length, 1, advice.join("\n"))
  return advice[0] ?? ""
}
const none = (given: Partial<Advice.Facts>) => assert.deepEqual(Advice.advise({ ...facts, ...given }), [])

describe("Throughput", () => {
  it("a request takes what it books while it is under way, and what it is charged for the rest of the window", () => {
    const call = { booked: 4100, charged: 400, serviceMillis: 30_000 }
    assert.strictEqual(Throughput.tokensPerCall(call, window), 2250)
    assert.strictEqual(Throughput.tokensPerCall({ ...call, serviceMillis: 0 }, window), 400)
    assert.strictEqual(Throughput.tokensPerCall({ ...call, serviceMillis: 90_000 }, window), 4100)
    assert.strictEqual(Throughput.tokensPerCall({ ...call, booked: 100 }, window), 400)
    assert.strictEqual(Throughput.millisPerCall(tokens, call), 1350)
    assert.strictEqual(Throughput.millisPerCall(requests, call), 600)
    assert.strictEqual(Throughput.bottleneck([requests, tokens], call)?.meter, tokens)
    assert.strictEqual(Throughput.bottleneck([], call), undefined)
    assert.strictEqual(Throughput.millisPerCall({ ...tokens, limit: 0 }, call), Infinity)
  })
})

describe("Advice", () => {
  it("says which maxTokens would have done, and how much sooner the run would have ended", () => {
    // 500 · 1.2 = 600; (100 + 600 + 400) / 2 = 550 tokens per call instead of 2,250.
    assert.deepEqual(Advice.betterMaxTokens(facts, 500), { maxTokens: 600, sooner: 2250 / 550 })
    assert.strictEqual(
      only({}),
      "You reserve 10 times the tokens that you use: --max-tokens 600 would finish 4.1 times sooner. " +
        "(The longest answer had 500 tokens.)"
    )
  })

  it("counts only what the requests quota lets through", () => {
    // At 600 ms per request the requests quota allows 1350 / 600 and no more.
    const better = Advice.betterMaxTokens({ ...facts, meters: [tokens, requests] }, 500)
    assert.strictEqual(better?.sooner, 1350 / 600)
  })

  it("gives up one answer in a hundred where a single long one would forbid any advice", () => {
    const advice = only({ output: { max: 3990, p99: 480 } })
    assert.include(advice, "--max-tokens 580 would finish 4.2 times sooner, and cut off at most 1 in 100 answers")
    none({ output: { max: 3990, p99: 480 }, answered: 99 })
  })

  it.prop("never promises more than fits: the better maxTokens covers the answers, and is never slower", [
    Schema.Struct({
      reserved: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })),
      charged: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })),
      input: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50_000 })),
      enough: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })),
      service: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120_000 }))
    })
  ], ([{ charged, enough, input, reserved, service }]) => {
    const better = Advice.betterMaxTokens({
      ...facts,
      call: { reserved, booked: reserved, charged, inputTokens: input, outputTokens: 1, serviceMillis: service }
    }, enough)
    assert.isAtLeast(better?.maxTokens ?? 0, enough)
    assert.isAtLeast(better?.sooner ?? 0, 1 - 1e-9)
    assert.isAtMost(better?.sooner ?? 0, Math.max(1, reserved / Math.min(reserved, charged)) + 1e-9)
  })

  it("is silent where maxTokens did not decide", () => {
    none({ waitingShare: 0.1 })
    none({ answered: 0 })
    none({ meters: [] })
    // Answered in an instant: what is reserved is given back before anybody misses it.
    none({ call: { ...facts.call, serviceMillis: 300 } })
    // The predicted settlement is booked, and no maxTokens makes that smaller.
    none({ call: { ...facts.call, booked: 4100, charged: 4000 } })
  })

  it("does not advise a lower maxTokens where answers were cut by it", () => {
    assert.strictEqual(
      only({ cutAtMaxTokens: 25 }),
      `25 answers were cut off at maxTokens (5 %; "stopReason":"max_tokens"). A higher --max-tokens would let them end.`
    )
  })

  it("says which of two quotas sets the pace", () => {
    const call = { ...facts.call, reserved: 500, booked: 500, serviceMillis: 300 }
    assert.strictEqual(
      only({ meters: [requests, tokens], call }),
      "The requests quota sets the pace, and only 40 % of the token quota can be used at it: more requests per minute would " +
        "finish up to 2.5 times sooner, and longer prompts or answers cost no time. See Service Quotas, Amazon Bedrock: " +
        `"Cross-region model inference requests per minute for X".`
    )
    assert.include(
      only({ meters: [{ ...requests, limit: 1000 }, tokens], call }),
      "The token quota sets the pace, and only 25 % of the requests quota can be used at it: more tokens per minute would " +
        "finish up to 4.0 times sooner"
    )
    none({ meters: [{ ...requests, limit: 250 }, tokens], call })
  })

  it("explains throttles that the ledger can't", () => {
    const call = { ...facts.call, serviceMillis: 300 }
    const throttles = { requests: 0, tokens: 3, tokensPerDay: 0, unknown: 0 }
    assert.include(only({ call, throttles }), "throttled 3 requests for tokens while our ledger had room")
    assert.include(only({ call, throttles }), "--tpm says")
    // Answers that cost more than was booked explain as many, but not more than 1 in 200.
    assert.include(
      only({ call, throttles: { ...throttles, tokens: 10 }, debts: 400 }),
      "throttled 7 requests for tokens"
    )
    none({ call, throttles, debts: 3 })
    assert.include(only({ call, throttles, debts: 2 }), "throttled 1 request for tokens")
    assert.include(
      only({ call, throttles: { ...throttles, tokens: 0, requests: 1 } }),
      "throttled 1 request for requests. Give --rpm"
    )
    assert.include(only({ call, throttles: { ...throttles, tokens: 0, unknown: 2 } }), "shared capacity was short")
    assert.include(only({ call, throttles: { ...throttles, tokens: 0, tokensPerDay: 2 } }), "L-E3F10727")
  })

  it("advises more connections only where they were what was short", () => {
    const call = { ...facts.call, serviceMillis: 30_000, booked: 400, reserved: 400 }
    const given = { call, waitingShare: 0, connectionsShare: 0.9, maxConnections: 20 }
    // 20 at a time take 1,500 ms each; the quota allows one each 240 ms.
    assert.strictEqual(
      only(given),
      "All 20 connections were in use 90 % of the time: --max-connections 130 would finish up to 6.3 times sooner."
    )
    assert.include(only({ ...given, meters: [] }), "a higher --max-connections would finish sooner.")
    none({ ...given, maxConnections: 200 })
    none({ ...given, connectionsShare: 0.1 })
  })
})
