import * as Patience from "@caprock/cli/run/Patience"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { failure } from "./support.ts"

describe("Patience", () => {
  it.effect("a line is asked again as long as its model answers others", () =>
    Effect.gen(function*() {
      let now = 0
      const patience = Patience.make(() => now)
      for (; now < 10_000_000; now += 40_000) {
        assert.strictEqual((yield* patience.throttled("a", 7))._tag, "Again")
        if (now % 80_000 === 0) patience.answered("a")
      }
    }))

  it.effect("a model that has answered nothing for more than a minute is given up, until it answers", () =>
    Effect.gen(function*() {
      let now = 5
      const patience = Patience.make(() => now)
      const verdict = (model: string) => Effect.map(patience.throttled(model, 0), ({ _tag }) => _tag)
      assert.strictEqual(yield* verdict("a"), "Again")
      now += Patience.longestMillis - 1
      assert.strictEqual(yield* verdict("a"), "Again")
      now += 1
      assert.strictEqual(yield* verdict("b"), "Again")
      assert.strictEqual(yield* verdict("a"), "GivenUp")
      assert.strictEqual(yield* verdict("a"), "GivenUp")
      patience.answered("a")
      assert.strictEqual(yield* verdict("a"), "Again")
    }))

  it.effect("only the first throttle after an answer is news", () =>
    Effect.gen(function*() {
      const patience = Patience.make(() => 0)
      const isFirst = Effect.map(patience.throttled("a", 0), (verdict) => verdict._tag === "Again" && verdict.first)
      assert.deepStrictEqual([yield* isFirst, yield* isFirst], [true, false])
      patience.answered("a")
      assert.isTrue(yield* isFirst)
    }))

  it.effect.prop(
    "pauses double from a second to half a minute, and no two lines come back together",
    { times: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })) },
    ({ times }) =>
      Effect.gen(function*() {
        const patience = Patience.make(() => 0)
        const pause = Effect.map(
          patience.throttled("a", times),
          (verdict) => verdict._tag === "Again" ? Duration.toMillis(verdict.pause) : NaN
        )
        const longest = Math.min(30_000, 1000 * 2 ** times)
        const [one, other] = [yield* pause, yield* pause]
        for (const millis of [one, other]) {
          assert.isAtLeast(millis, longest / 2)
          assert.isAtMost(millis, longest)
        }
        assert.notStrictEqual(one, other)
      })
  )

  it("the day's tokens, and errors that are no throttles, do not pass", () => {
    const message = "no"
    assert.isTrue(Patience.isPassing(failure(new Reason.ThrottlingError({ limit: "requests", message }))))
    assert.isTrue(Patience.isPassing(failure(new Reason.ThrottlingError({ limit: "unknown", message }))))
    assert.isFalse(Patience.isPassing(failure(new Reason.ThrottlingError({ limit: "tokens-per-day", message }))))
    assert.isFalse(Patience.isPassing(failure(new Reason.ServerError({ kind: "internal", message }))))
  })
})
