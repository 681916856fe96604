import { Health, RouterError, type RouterEvent } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

type Sort = "well" | "sick" | "ignore"

const judge = (exit: Exit.Exit<unknown, Sort>): Sort =>
  Exit.isSuccess(exit) ? "well" : exit.cause.reasons[0]?._tag === "Fail" ? exit.cause.reasons[0].error : "ignore"

const call = Effect.fnUntraced(
  function*(sort: Sort, target = "a", took: Duration.Input = 0, retryAfter?: Duration.Duration) {
    const health = yield* Health.Health
    const attempt = Effect.andThen(Effect.sleep(took), sort === "well" ? Effect.succeed("answer") : Effect.fail(sort))
    return yield* Effect.exit(health.watch(target, judge, () => retryAfter)(attempt))
  }
)

const standing = Effect.map(Health.Health, (health) => health.standingUnsafe("a"))

/** How long it stays open. */
const left = Effect.gen(function*() {
  const now = yield* standing
  return now._tag === "Open" ? now.untilMillis - (yield* Clock.currentTimeMillis) : 0
})

const closed = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof RouterError.TargetClosed)

const opened = Effect.repeat(call("sick"), { times: 4 })

describe("Health", () => {
  it.effect("opens when half of the last calls failed, and not before there were five", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(call("sick"), { times: 3 })
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
      yield* call("sick")
      assert.deepStrictEqual(yield* standing, { _tag: "Open", untilMillis: 2_000 })
      assert.isTrue(closed(yield* call("well")))
      assert.deepStrictEqual((yield* Health.Health).standingUnsafe("b"), { _tag: "Closed", share: 1 })
    }).pipe(Effect.provide(Health.layer())))

  it.effect("opens with the part of failures that it is told", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(call("well"), { times: 14 })
      yield* Effect.repeat(call("sick"), { times: 3 })
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
      yield* call("sick")
      assert.deepStrictEqual(yield* standing, { _tag: "Open", untilMillis: 2_000 })
    }).pipe(Effect.provide(Health.layer({ threshold: 0.25 }))))

  it.effect("an answer that took too long is a failure", () =>
    Effect.gen(function*() {
      const slow = Effect.gen(function*() {
        const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.forkChild(call("well", "a", "6 seconds")))
        yield* TestClock.adjust("6 seconds")
        yield* Effect.forEach(fibers, Fiber.join)
      })
      yield* slow
      assert.strictEqual((yield* standing)._tag, "Open")
    }).pipe(Effect.provide(Health.layer({ slow: "5 seconds" }))))

  it.effect("what says nothing of the target never opens it, and an interruption does not", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(call("ignore"), { times: 50 })
      yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(call("sick", "a", "1 second"), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
        }))
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
    }).pipe(Effect.provide(Health.layer())))

  it.effect("stays open longer each time, up to the longest, and as long as the target asks for, up to an hour", () =>
    Effect.gen(function*() {
      const spans: Array<number> = []
      yield* opened
      for (let i = 0; i < 5; i++) {
        spans.push(yield* left)
        yield* TestClock.adjust(yield* left)
        assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
        yield* call("sick")
      }
      assert.deepStrictEqual(spans, [2_000, 4_000, 8_000, 10_000, 10_000])
      yield* TestClock.adjust("10 seconds")
      yield* call("sick", "a", 0, Duration.minutes(3))
      assert.strictEqual(yield* left, 180_000)
      yield* TestClock.adjust("3 minutes")
      yield* call("sick", "a", 0, Duration.hours(3))
      assert.strictEqual(yield* left, 3_600_000)
    }).pipe(Effect.provide(Health.layer())))

  it.effect("opens for as long as it is told at most", () =>
    Effect.gen(function*() {
      yield* opened
      assert.deepStrictEqual(yield* standing, { _tag: "Open", untilMillis: 200 })
    }).pipe(Effect.provide(Health.layer({ open: "1 second" }))))

  it.effect("one probe at a time; its interruption, or an end that says nothing, leaves the next one to probe", () =>
    Effect.gen(function*() {
      yield* opened
      yield* TestClock.adjust("2 seconds")
      const probe = yield* Effect.forkChild(call("well", "a", "1 second"), { startImmediately: true })
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: true })
      assert.isTrue(closed(yield* call("well")))
      yield* Fiber.interrupt(probe)
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
      yield* call("ignore")
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
      yield* call("well")
      assert.strictEqual((yield* standing)._tag, "Closed")
    }).pipe(Effect.provide(Health.layer())))

  it.effect("a judge that throws leaves no probe under way", () =>
    Effect.gen(function*() {
      const health = yield* Health.Health
      yield* opened
      yield* TestClock.adjust("2 seconds")
      const thrown = yield* Effect.exit(
        health.watch("a", () => {
          throw new Error("no")
        })(Effect.void)
      )
      assert.isTrue(Exit.isFailure(thrown) && Exit.hasDies(thrown))
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
    }).pipe(Effect.provide(Health.layer())))

  it.effect("who is back gets nothing for a second, then a tenth of its calls, and all of them after the comeback", () =>
    Effect.gen(function*() {
      yield* opened
      yield* TestClock.adjust("2 seconds")
      yield* call("well")
      const shares: Array<number> = []
      for (let second = 0; second <= 15; second++) {
        const now = yield* standing
        assert(now._tag === "Closed")
        shares.push(now.share)
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(shares[0], 0)
      assert.approximately(shares[1] ?? 0, 0.1, 1e-9)
      assert.approximately(shares[8] ?? 0, 0.55, 1e-9)
      assert.strictEqual(shares[15], 1)
    }).pipe(Effect.provide(Health.layer())))

  it.effect("comes back in the time that it is told", () =>
    Effect.gen(function*() {
      yield* opened
      yield* TestClock.adjust("2 seconds")
      yield* call("well")
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
    }).pipe(Effect.provide(Health.layer({ comeback: "3 seconds" }))))

  it.effect("forgets what was long ago, and lets who was open come back step by step all the same", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(call("sick"), { times: 3 })
      yield* TestClock.adjust("10 minutes")
      yield* call("sick")
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
      yield* opened
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
      yield* call("ignore")
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 0 })
    }).pipe(Effect.provide(Health.layer())))

  it.effect("tells each change", () =>
    Effect.gen(function*() {
      const health = yield* Health.Health
      const heard: Array<RouterEvent.HealthEvent> = []
      yield* Effect.forkChild(Stream.runForEach(health.events, (event) => Effect.sync(() => heard.push(event))), {
        startImmediately: true
      })
      yield* TestClock.adjust(1)
      yield* opened
      yield* TestClock.adjust("2 seconds")
      yield* call("sick")
      yield* TestClock.adjust("4 seconds")
      yield* call("well")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(heard, [
        { _tag: "Opened", target: "a", forMillis: 2_000, times: 1 },
        { _tag: "Probed", target: "a" },
        { _tag: "Opened", target: "a", forMillis: 4_000, times: 2 },
        { _tag: "Probed", target: "a" },
        { _tag: "Closed", target: "a" }
      ])
    }).pipe(Effect.provide(Health.layer())))

  it.effect.prop(
    "whatever happens: at most one probe at a time, and none is left under way",
    [
      Schema.Array(Schema.Struct({
        sort: Schema.Literals(["well", "sick", "sick", "ignore", "interrupt"]),
        took: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_000 })),
        after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_500 }))
      })).check(Schema.isMaxLength(60))
    ],
    ([calls]) =>
      Effect.gen(function*() {
        const health = yield* Health.Health
        let probes = 0
        let most = 0
        const over = yield* Deferred.make<void>()
        for (const { after, sort, took } of calls) {
          yield* TestClock.adjust(after)
          const halfOpen = health.standingUnsafe("a")._tag === "HalfOpen"
          const attempt = Effect.suspend(() => {
            if (halfOpen) most = Math.max(most, ++probes)
            return Effect.ensuring(
              Effect.andThen(Effect.sleep(took), sort === "well" ? Effect.void : Effect.fail(sort)),
              Effect.sync(() => {
                if (halfOpen) probes--
              })
            )
          })
          const fiber = yield* Effect.forkChild(
            Effect.exit(
              health.watch("a", (exit: Exit.Exit<void, typeof sort>) =>
                Exit.isSuccess(exit) ? "well" : sort === "interrupt" ? "ignore" : sort)(attempt)
            ),
            { startImmediately: true }
          )
          if (sort === "interrupt") {
            yield* Effect.sleep(took / 2).pipe(Effect.andThen(Fiber.interrupt(fiber)), Effect.forkChild)
          }
        }
        yield* TestClock.adjust("1 minute")
        yield* Deferred.succeed(over, undefined)
        assert.isAtMost(most, 1)
        const last = health.standingUnsafe("a")
        assert.isFalse(last._tag === "HalfOpen" && last.probing)
      }).pipe(Effect.provide(Health.layer())),
    { arbitrary: { runs: 100 } }
  )
})
