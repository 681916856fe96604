/** Calls that wait, and what they must not miss. */
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import { accountOf, rig, run, sending, world } from "./rig.ts"

const ask = (tokens: number) => ({ input: tokens, output: 0, needs: [], leftMillis: Infinity })

const fill = (pool: string, tokens: number) =>
  Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.reserve({ pool, requests: 1, tokens }))

it.effect("an admission between the first look and the sleep is heard at once", () =>
  Effect.gen(function*() {
    for (let steps = 0; steps < 40; steps++) {
      const limiter = yield* RateLimiter.RateLimiter
      const held = yield* limiter.reserve({ pool: "a", requests: 1, tokens: 100 })
      const all = world(() => ({ took: 0 }))
      const fiber = yield* Effect.forkChild(
        // It gives way after a few steps, as any fiber does now and then.
        Effect.provideService(run("chat", sending(all, 0)), References.MaxOpsBeforeYield, 3)
      )
      yield* Effect.repeat(Effect.yieldNow, { times: steps })
      yield* held.release
      yield* TestClock.adjust(1)
      yield* Effect.repeat(Effect.yieldNow, { times: 500 })
      assert.strictEqual(all.sent.length, 1, `after ${steps} steps`)
      yield* TestClock.adjust(1)
      yield* Effect.repeat(Effect.yieldNow, { times: 500 })
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("20 seconds")
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(rig({
      targets: { a: {} },
      routes: { chat: { policy: "a" } },
      meters: () => [Meter.tokens(100, "10 seconds")]
    }))
  ))

describe("room elsewhere", () => {
  const options = {
    targets: { a: {}, b: {} },
    routes: { chat: { policy: { ordered: ["a", "b"], patience: "5 seconds" } } },
    meters: (pool: string) => [Meter.tokens(pool === "b" ? 100 : 10_000, "10 seconds")]
  } as const

  it.effect("goes to one it is enough for, where it never will be for another", () =>
    Effect.gen(function*() {
      const held = yield* fill("a", 10_000)
      held.sentUnsafe()
      const other = yield* fill("b", 100)
      const all = world(() => ({ took: 10 }))
      yield* Effect.forkChild(run("chat", sending(all, 0, { ask: ask(500) })), { startImmediately: true })
      yield* Effect.forkChild(run("chat", sending(all, 1, { ask: ask(50) })), { startImmediately: true })
      yield* TestClock.adjust(1_500)
      yield* other.release
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(all.sent.map(({ call, target }) => [call, target]), [[1, "b"]])
    }).pipe(Effect.scoped, Effect.provide(rig(options))))

  it.effect("goes to one it is enough for, however many before it need more", () =>
    Effect.gen(function*() {
      const held = yield* fill("a", 10_000)
      held.sentUnsafe()
      const first = yield* fill("b", 50)
      const second = yield* fill("b", 50)
      const all = world(() => ({ took: 10 }))
      for (let call = 0; call < 20; call++) {
        yield* Effect.forkChild(run("chat", sending(all, call, { ask: ask(90) })), { startImmediately: true })
      }
      yield* Effect.forkChild(run("chat", sending(all, 20, { ask: ask(10) })), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* first.release
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      // Not all of them are looked at each time.
      yield* (yield* fill("b", 1)).release
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      assert.deepStrictEqual(all.sent.map(({ call, target }) => [call, target]), [[20, "b"]])
      yield* second.release
    }).pipe(Effect.scoped, Effect.provide(rig(options))))

  it.effect("is not kept for one that has gone", () =>
    Effect.gen(function*() {
      const held = yield* fill("a", 10_000)
      held.sentUnsafe()
      const other = yield* fill("b", 100)
      const all = world(() => ({ took: 10 }))
      const gone = yield* Effect.forkChild(run("chat", sending(all, 0, { ask: ask(50) })), { startImmediately: true })
      yield* Effect.forkChild(run("chat", sending(all, 1, { ask: ask(50) })), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust(100)
      yield* other.release
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(all.sent.map(({ call, target }) => [call, target]), [[1, "b"]])
    }).pipe(Effect.scoped, Effect.provide(rig(options))))
})

it.effect("each wait for a circuit counts as a try: a call whose targets stay closed ends", () =>
  Effect.gen(function*() {
    const all = world(() => ({ took: 0 }))
    const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    assert.isDefined(fiber.pollUnsafe())
    const exit = yield* Fiber.join(fiber)
    assert.strictEqual(accountOf(exit)?.waitedMillis, 2_000)
    assert.strictEqual(accountOf(exit)?.attempts, 0)
  }).pipe(Effect.provide(rig({
    targets: { a: {} },
    routes: { chat: { policy: "a" } },
    backoff: { attempts: 3, base: 1, jitter: "none" },
    circuits: Layer.effect(
      Health.Health,
      Effect.map(Effect.clockWith(Effect.succeed), (clock) =>
        Health.Health.of({
          watch: () => (attempt) => attempt,
          tellUnsafe: () => {},
          standingUnsafe: () => ({ _tag: "Open", untilMillis: clock.currentTimeMillisUnsafe() + 1_000 }),
          events: Stream.empty
        }))
    )
  }))))
