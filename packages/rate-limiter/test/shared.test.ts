// One quota, several processes: here several limiters with one store, in virtual time.
import { LimiterStore, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Array, Clock, Duration, Effect, Fiber, Scope, Exit } from "effect"
import { TestClock } from "effect/testing"

const meters = () => [Meter.requests(10), Meter.tokens(10_000)]

describe("two processes with one quota", () => {
  it.effect("never over, never idle, and fair", () =>
    Effect.gen(function*() {
      const log: Array<{ readonly at: number; readonly by: number; readonly tokens: number }> = []
      const limiters = yield* Effect.all(Array.makeBy(2, () => RateLimiter.makeShared({ meters })))
      const send = (limiter: RateLimiter.RateLimiter["Service"], by: number) =>
        Effect.scoped(Effect.gen(function*() {
          const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens: 1_500 })
          log.push({ at: yield* Clock.currentTimeMillis, by, tokens: 1_500 })
          reservation.sentUnsafe()
          yield* Effect.sleep("1 second")
          yield* reservation.settle({ tokens: 1_500, servedFor: Duration.seconds(1) })
        }))
      const fiber = yield* Effect.forkChild(Effect.forEach(limiters, (limiter, by) =>
        Effect.forEach(Array.range(1, 20), () => send(limiter, by), { concurrency: "unbounded" }), { concurrency: "unbounded" }))
      for (let i = 0; i < 4000; i++) yield* TestClock.adjust("100 millis")
      console.log(log.map(({ at, by }) => `${at}:${by}`).join(" "))
      console.log(JSON.stringify(yield* limiters[0].snapshot("p")))
      yield* Fiber.join(fiber)
      assert.strictEqual(log.length, 40)
    }).pipe(Effect.scoped, Effect.provide(LimiterStore.layerMemory)))
})
