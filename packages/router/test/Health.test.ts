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
    return yield* Effect.exit(health.watch(target, judge, { retryAfter: () => retryAfter })(attempt))
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

  it.effect("does not count what is more than a minute ago: failures of a quiet night do not add up", () =>
    Effect.gen(function*() {
      for (let calls = 0; calls < 30; calls++) {
        yield* call("sick")
        yield* TestClock.adjust("15 seconds")
      }
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
      yield* call("sick")
      yield* TestClock.adjust("14999 millis")
      yield* call("sick")
      assert.strictEqual((yield* standing)._tag, "Open")
    }).pipe(Effect.provide(Health.layer())))

  it.effect("does not count what was well more than a minute ago", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(call("well"), { times: 19 })
      yield* TestClock.adjust("59 seconds")
      yield* opened
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
      yield* TestClock.adjust("1 second")
      yield* call("sick")
      assert.strictEqual((yield* standing)._tag, "Open")
    }).pipe(Effect.provide(Health.layer())))

  it.effect("what began before it opened does not count when it is back", () =>
    Effect.gen(function*() {
      const late = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.forkChild(call("sick", "a", "3 seconds"), { startImmediately: true }))
      yield* opened
      yield* TestClock.adjust("2 seconds")
      yield* call("well")
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(late, Fiber.join)
      assert.strictEqual((yield* standing)._tag, "Closed")
    }).pipe(Effect.provide(Health.layer())))

  describe("streams that break after their first content", () => {
    const breaks = Effect.gen(function*() {
      yield* call("well")
      ;(yield* Health.Health).tellUnsafe("a", "sick")
    })

    it.effect("open it where all of them do, even where it opens by nothing less", () =>
      Effect.gen(function*() {
        yield* Effect.repeat(breaks, { times: 3 })
        assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
        yield* breaks
        assert.deepStrictEqual(yield* standing, { _tag: "Open", untilMillis: 2_000 })
      }).pipe(Effect.provide(Health.layer({ threshold: 1 }))))

    it.effect("count once, and not for less than others where many were well before", () =>
      Effect.gen(function*() {
        const health = yield* Health.Health
        yield* Effect.repeat(call("well"), { times: 29 })
        for (let broken = 1; broken < 10; broken++) health.tellUnsafe("a", "sick")
        assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
        health.tellUnsafe("a", "sick")
        assert.strictEqual((yield* standing)._tag, "Open")
      }).pipe(Effect.provide(Health.layer())))

    it.effect("mean nothing where they ended well or by their caller, or where it is open or probed", () =>
      Effect.gen(function*() {
        const health = yield* Health.Health
        yield* Effect.repeat(call("sick"), { times: 3 })
        for (let calls = 0; calls < 50; calls++) health.tellUnsafe("a", calls % 2 === 0 ? "well" : "ignore")
        assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
        yield* call("sick")
        const tellMany = () => {
          for (let calls = 0; calls < 50; calls++) health.tellUnsafe("a", "sick")
        }
        tellMany()
        assert.deepStrictEqual(yield* standing, { _tag: "Open", untilMillis: 2_000 })
        yield* TestClock.adjust("2 seconds")
        tellMany()
        assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
        const probe = yield* Effect.forkChild(call("well", "a", "1 second"), { startImmediately: true })
        tellMany()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(probe)
        assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 0, untilMillis: 18_000 })
        yield* breaks
        assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 0, untilMillis: 18_000 })
      }).pipe(Effect.provide(Health.layer())))
  })

  it.effect("lets who was open come back step by step, also where nobody asked for long", () =>
    Effect.gen(function*() {
      yield* opened
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(yield* standing, { _tag: "HalfOpen", probing: false })
      yield* call("ignore")
      assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 0, untilMillis: 675_000 })
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

  const outcome = Schema.Struct({
    sort: Schema.Literals(["well", "sick", "ignore"]),
    took: Schema.Literals([0, 0, 4_999, 5_001, 7_000]),
    writing: Schema.Literals([0, 2_000]),
    broke: Schema.Boolean,
    after: Schema.Literals([0, 0, 0, 1_000, 30_000])
  })

  it.effect.prop(
    "while it was never open: it opens by a failure with which those of the last minute are as many as it takes, and by nothing else",
    [
      Schema.Array(outcome).check(Schema.isMaxLength(60)),
      Schema.Literals([0, 0.25, 0.5, 0.75, 1])
    ],
    ([calls, threshold]) =>
      Effect.gen(function*() {
        const health = yield* Health.Health
        let all: Array<{ readonly at: number; readonly sick: boolean }> = []
        let at = 0
        let open = false
        const count = (sick: boolean) => {
          all = [...all, { at, sick }].slice(-20)
          const recent = all.filter((one) => at - one.at < 60_000)
          const failures = recent.filter((one) => one.sick).length
          open ||= sick && recent.length >= 5 && failures >= threshold * recent.length
        }
        for (const { after, broke, sort, took, writing } of calls) {
          yield* TestClock.adjust(after)
          const attempt = Effect.andThen(Effect.sleep(took), sort === "well" ? Effect.void : Effect.fail(sort))
          const fiber = yield* Effect.forkChild(
            Effect.exit(health.watch("a", judge, { writingMillis: writing })(attempt)),
            { startImmediately: true }
          )
          yield* TestClock.adjust(took)
          yield* Fiber.join(fiber)
          at += after + took
          const slow = took > 5_000 + writing
          if (sort !== "ignore") count(sort === "sick" || slow)
          if (!open && sort === "well" && !slow && broke) {
            health.tellUnsafe("a", "sick")
            all.pop()
            count(true)
          }
          assert.strictEqual(health.standingUnsafe("a")._tag, open ? "Open" : "Closed")
          if (open) return
        }
      }).pipe(Effect.provide(Health.layer({ threshold, slow: "5 seconds" }))),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "what the caller did, an interruption and a call that is let down by nobody never open it, how many ever",
    [Schema.Array(Schema.Literals(["ignore", "interrupt", "well"])).check(Schema.isMinLength(20))],
    ([ends]) =>
      Effect.gen(function*() {
        for (const end of ends) {
          if (end !== "interrupt") yield* call(end)
          else {
            const fiber = yield* Effect.forkChild(call("sick", "a", "1 second"), { startImmediately: true })
            yield* Fiber.interrupt(fiber)
          }
          assert.deepStrictEqual(yield* standing, { _tag: "Closed", share: 1 })
        }
      }).pipe(Effect.provide(Health.layer({ threshold: 0 }))),
    { arbitrary: { runs: 50 } }
  )

  it.effect.prop(
    "opens for as long as its openings in a row and the target's word make it, an hour at most",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7_200_000 }))).check(Schema.isMaxLength(8))],
    ([asked]) =>
      Effect.gen(function*() {
        yield* opened
        for (const [index, millis] of asked.entries()) {
          yield* TestClock.adjust(yield* left)
          yield* call("sick", "a", 0, Duration.millis(millis))
          const own = Math.min(10_000, 2_000 * 2 ** (index + 1))
          assert.strictEqual(yield* left, Math.max(own, Math.min(millis, 3_600_000)))
        }
      }).pipe(Effect.provide(Health.layer())),
    { arbitrary: { runs: 50 } }
  )

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
