import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { between, Call, guard, Quota, send, senderOf, window } from "./sending.ts"

const sendThrough = (
  calls: ReadonlyArray<typeof Call.Type>,
  quota: typeof Quota.Type,
  phases: ReadonlyArray<number>
) => RateLimiter.RateLimiter.use((limiter) => send(calls, quota, phases, [senderOf(limiter)]))

const layerOf = (quota: typeof Quota.Type, guardMillis = guard) =>
  RateLimiter.layer({
    meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)],
    guard: guardMillis
  })

describe("never over", () => {
  it.effect.prop(
    "no server that counts by a rolling log, by fixed windows of any phase or with a bucket refuses what was admitted",
    [Schema.Array(Call).check(Schema.isMaxLength(30)), Quota, between(0, window - 1)],
    ([calls, quota, phase]) =>
      Effect.gen(function*() {
        const { answered, refusals, waiting } = yield* sendThrough(calls, quota, [0, phase]).pipe(
          Effect.provide(layerOf(quota))
        )
        assert.deepStrictEqual(refusals, [])
        assert.strictEqual(waiting, 0)
        assert.isAtLeast(answered, calls.filter((call) => call.interruptAfter === null).length)
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("and they do refuse when the guard is shorter than the way to them", () =>
    Effect.gen(function*() {
      // The first takes its time to arrive; the second is sent when the first should have left.
      const slow = {
        after: 0,
        tokens: 100,
        charged: 100,
        growsAt: 0,
        connecting: 0,
        latency: 5000,
        returning: 0,
        interruptAfter: null,
        priority: 0,
        tenant: "a" as const
      }
      const { refusals } = yield* sendThrough(
        [{ ...slow, going: 50 }, { ...slow, going: 0 }],
        { requests: 6, tokens: 100 },
        []
      ).pipe(Effect.provide(layerOf({ requests: 6, tokens: 100 }, 20)))
      assert.deepStrictEqual(refusals, ["rolling log: 100 tokens at 1020", "bucket: 100 tokens at 1020"])
    }))
})
