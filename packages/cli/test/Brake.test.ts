import * as Brake from "@caprock/cli/run/Brake"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { failure } from "./support.ts"

const throttle = failure(new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" }))

/** Calls of 100 ms each: throttled or answered as the server says, and asked again until they are. */
const traffic = (options: {
  readonly calls: number
  readonly reply: (at: number, running: number) => BedrockError | undefined
}) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const brake = yield* Brake.make(now)
    let running = 0
    const log: Array<{ readonly at: number; readonly running: number; readonly waited: number }> = []
    const started: Array<number> = []
    const once = Effect.gen(function*() {
      running += 1
      log.push({ at: now(), running, waited: started.at(-1) ?? 0 })
      const error = options.reply(now(), running)
      yield* Effect.sleep(100)
      running -= 1
      return error === undefined ? Result.succeed("answer") : Result.fail(error)
    })
    const one = Effect.gen(function*() {
      for (;;) {
        const passed = yield* brake.through("model", once, (waited) => started.push(waited))
        if (passed._tag !== "Throttled") return passed
      }
    })
    const fiber = yield* Effect.forkChild(Effect.forEach(Array.from({ length: options.calls }), () => one, {
      concurrency: "unbounded"
    }))
    const run = (millis: number) => TestClock.adjust(millis)
    return { log, started, fiber, run, brake }
  })

describe("Brake", () => {
  it.effect("lets every call go at once where nothing is throttled", () =>
    Effect.gen(function*() {
      const { fiber, log, run } = yield* traffic({ calls: 50, reply: () => undefined })
      yield* run(100)
      assert.strictEqual((yield* Fiber.join(fiber)).length, 50)
      assert.strictEqual(Math.max(...log.map(({ running }) => running)), 50)
      assert.isTrue(log.every(({ at }) => at === 0))
    }))

  it.effect("a throttle halves what goes at once, after a pause, and each answer lets more go", () =>
    Effect.gen(function*() {
      // Everything is throttled in the first second; after it everything is answered.
      const { fiber, log, run, started } = yield* traffic({
        calls: 32,
        reply: (at) => at < 1000 ? throttle : undefined
      })
      yield* run(1099)
      // All 32 were throttled at 100 ms: that is one throttle, not 32 of them.
      assert.strictEqual(log.length, 32)
      yield* run(1)
      assert.strictEqual(log.length, 32 + 16)
      yield* run(100)
      assert.isAtLeast(log.length, 32 + 32)
      yield* run(1000)
      const results = yield* Fiber.join(fiber)
      assert.isTrue(results.every((passed) => passed._tag === "Asked" && Result.isSuccess(passed.result)))
      // What it waited for the brake is told.
      assert.strictEqual(started.filter((waited) => waited >= 1000).length, 32)
    }))

  it.effect("gives up only when nothing was answered over pauses of more than a minute in all", () =>
    Effect.gen(function*() {
      const { fiber, log, run } = yield* traffic({ calls: 3, reply: () => throttle })
      yield* run(91_000)
      assert.isUndefined(fiber.pollUnsafe())
      yield* run(1_000_000)
      const results = yield* Fiber.join(fiber)
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["GivenUp", "GivenUp", "GivenUp"])
      assert.isBelow(log.length, 15)
    }))

  it.effect("errors that are no throttles, and the day's tokens, are none of its business", () =>
    Effect.gen(function*() {
      for (
        const reason of [
          new Reason.ThrottlingError({ limit: "tokens-per-day", message: "Too many tokens per day" }),
          new Reason.ServerError({ kind: "internal", message: "no" })
        ]
      ) {
        const { fiber, run } = yield* traffic({ calls: 2, reply: () => failure(reason) })
        yield* run(100)
        assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ _tag }) => _tag), ["Asked", "Asked"])
      }
    }))

  it.effect("after a long spell few go at once, and more with each round of answers", () =>
    Effect.gen(function*() {
      const { fiber, log, run } = yield* traffic({ calls: 40, reply: (at) => at < 8000 ? throttle : undefined })
      yield* run(16_000)
      yield* run(10_000)
      yield* Fiber.join(fiber)
      const after = log.filter(({ at }) => at >= 8000)
      // 40 were throttled, then 20, 10 and 5.
      assert.strictEqual(after.filter(({ at }) => at === after[0]?.at).length, 2)
      assert.isAtLeast(Math.max(...after.map(({ running }) => running)), 6)
    }))

  it.effect("an answer shows that it is not hopeless", () =>
    Effect.gen(function*() {
      let asked = 0
      const { fiber, run } = yield* traffic({ calls: 4, reply: () => ++asked % 6 === 0 ? undefined : throttle })
      yield* run(1_000_000)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ _tag }) => _tag), ["Asked", "Asked", "Asked", "Asked"])
    }))

  it.effect("who is dropped in the moment in which its turn comes leaves it to the next", () =>
    Effect.gen(function*() {
      const brake = yield* Brake.make(() => 0)
      const asked: Array<string> = []
      const ask = (name: string, error?: BedrockError) =>
        brake.through(
          "model",
          Effect.map(
            Effect.sleep(100),
            () => error === undefined ? Result.succeed(asked.push(name)) : Result.fail(error)
          ),
          () => {}
        )
      const throttled = yield* Effect.forkChild(ask("throttled", throttle))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* Fiber.join(throttled), { _tag: "Throttled", first: true })
      // From now on one goes at a time, after a second. The first ends in an error that changes nothing of that.
      const error = failure(new Reason.ServerError({ kind: "internal", message: "no" }))
      const first = yield* Effect.forkChild(
        Effect.andThen(ask("first", error), Effect.sync(() => dropped.interruptUnsafe()))
      )
      yield* Effect.yieldNow
      const dropped = yield* Effect.forkChild(ask("dropped"))
      yield* Effect.yieldNow
      const last = yield* Effect.forkChild(ask("last"))
      yield* TestClock.adjust(1000)
      yield* TestClock.adjust(100)
      yield* Fiber.join(first)
      yield* TestClock.adjust(100)
      assert.isDefined(last.pollUnsafe())
      assert.deepStrictEqual(asked, ["last"])
      // Another model never waits.
      yield* brake.through("other", Effect.sync(() => Result.succeed(asked.push("other"))), () => {})
      assert.deepStrictEqual(asked, ["last", "other"])
    }))
})
