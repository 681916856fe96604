import { type Cost, Meter, RateLimiter, RateLimiterError } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Duration, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Scripted, simulate } from "./naive.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const even = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maximum / 2 }))

const pool = "pool"
const now = Clock.currentTimeMillis
const until = 60_000

const RequestSchema = Schema.Struct({
  arrives: even(3000),
  tokens: between(0, 100),
  books: Schema.Tuple([between(0, 140), between(0, 140)]),
  changes: even(3000),
  sendAfter: even(60),
  latency: even(1600),
  charged: between(0, 130),
  grew: between(0, 40),
  growth: between(0, 40),
  end: Schema.Literals(["settle", "settle", "settle", "release", "abandon"]),
  interruptAfter: Schema.NullOr(even(3000))
})

const script = Schema.Array(RequestSchema).check(Schema.isMaxLength(30))

const scripted = (drawn: typeof script.Type): ReadonlyArray<Scripted> =>
  drawn.map((request) => ({
    ...request,
    arrives: request.arrives * 2,
    // It changes when it comes: a change in between is asked for only when something else happens.
    changes: request.changes < 1000 ? 0 : 1_000_000,
    sendAfter: request.sendAfter * 2,
    latency: request.latency * 2 + 2,
    interruptAfter: request.interruptAfter === null ? undefined : request.interruptAfter * 2 + 1
  }))

const Limits = Schema.Struct({
  requests: between(1, 8),
  tokens: between(100, 250),
  burst: Schema.NullOr(between(100, 120))
})

const metersOf = (limits: typeof Limits.Type): ReadonlyArray<Meter.Meter> => [
  Meter.requests(limits.requests, "1 second"),
  Meter.tokens(limits.tokens, "1 second"),
  ...(limits.burst === null ? [] : [Meter.tokens(limits.burst, "150 millis")])
]

/** Plays a script against the limiter in virtual time. */
const play = Effect.fnUntraced(function*(script: ReadonlyArray<Scripted>) {
  const limiter = yield* RateLimiter.RateLimiter
  const clock = yield* Clock.Clock
  const fibers = yield* Effect.forEach(script, (request) => {
    let admitted: number | undefined
    const call = Effect.gen(function*() {
      yield* Effect.sleep(request.arrives)
      const reservation = yield* limiter.reserve({
        pool,
        requests: 1,
        tokens: request.tokens,
        book: () => ({
          tokens: clock.currentTimeMillisUnsafe() < request.changes ? request.books[0] : request.books[1],
          growth: [{ withinMillis: 0, tokens: request.growth }]
        })
      })
      admitted = yield* now
      yield* Effect.sleep(request.sendAfter)
      if (request.end !== "release") reservation.sentUnsafe()
      yield* Effect.sleep(request.latency)
      if (request.end === "settle") {
        yield* reservation.settle({
          tokens: request.charged,
          growth: request.grew,
          servedFor: Duration.millis(request.latency)
        })
      }
      if (request.end === "release") yield* reservation.release
    }).pipe(Effect.scoped)
    const { interruptAfter } = request
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(call)
      if (interruptAfter !== undefined) {
        yield* Effect.sleep(request.arrives + interruptAfter).pipe(
          Effect.andThen(Fiber.interrupt(fiber)),
          Effect.forkChild
        )
      }
      return Effect.map(Fiber.await(fiber), () => ({
        admitted,
        interruptedWaiting: admitted === undefined
      }))
    })
  })
  yield* TestClock.adjust(until)
  return yield* Effect.all(fibers.map((told) => told))
})

describe("RateLimiter", () => {
  it.effect.prop(
    "admits each request at the very millisecond that the rules say, whatever is settled, released or interrupted",
    [script, Limits, even(100)],
    ([drawn, limits, guard]) =>
      Effect.gen(function*() {
        const script = scripted(drawn)
        const meters = metersOf(limits)
        const told = yield* play(script).pipe(
          Effect.provide(RateLimiter.layer({ meters: () => meters, guard: guard * 2 }))
        )
        const simulated = simulate(script, meters, guard * 2, until)
        if (simulated !== "ambiguous") assert.deepStrictEqual(told, simulated)
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("leaves nothing behind", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      yield* limiter.reserve({ pool, requests: 1, tokens: 100 }).pipe(
        Effect.scoped,
        Effect.replicateEffect(5, { concurrency: "unbounded" }),
        Effect.forkChild,
        Effect.flatMap((fiber) => Effect.andThen(TestClock.adjust("100 millis"), Fiber.interrupt(fiber)))
      )
      yield* TestClock.adjust("2 seconds")
      const snapshot = yield* limiter.snapshot(pool)
      assert.strictEqual(snapshot.waiting, 0)
      assert.strictEqual(snapshot.waitingTokens, 0)
      assert.deepStrictEqual(snapshot.meters.map((level) => level.used), [0])
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("gives back what was admitted when its caller is interrupted in the same instant", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const first = yield* Scope.make()
      const held = yield* Scope.provide(limiter.reserve({ pool, requests: 1, tokens: 100 }), first)
      const waiting = yield* limiter.reserve({ pool, requests: 1, tokens: 100 }).pipe(
        Effect.scoped,
        Effect.forkChild
      )
      for (let i = 0; i < 50; i++) yield* Effect.yieldNow
      assert.strictEqual((yield* limiter.snapshot(pool)).waiting, 1)
      // The release admits the waiter; before its fiber runs again, it is interrupted.
      yield* held.release
      waiting.interruptUnsafe()
      yield* Fiber.await(waiting)
      yield* TestClock.adjust("1250 millis")
      assert.deepStrictEqual((yield* limiter.snapshot(pool)).meters.map((level) => level.used), [0])
      yield* Scope.close(first, Exit.void)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("fails at once with what can never fit, and says so", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const refuse = (cost: { requests: number; tokens: number }) =>
        limiter.reserve({ pool, ...cost }).pipe(Effect.scoped, Effect.flip)
      const large = yield* refuse({ requests: 1, tokens: 101 })
      assert.strictEqual(large.reason._tag, "CostExceedsLimit")
      assert.match(large.message, /pool pool .* needs 101 tokens and the limit is 100/)
      assert.strictEqual((yield* refuse({ requests: 6, tokens: 1 })).reason._tag, "CostExceedsLimit")
      for (const cost of [{ requests: -1, tokens: 0 }, { requests: 1, tokens: NaN }, { requests: 1, tokens: -5 }]) {
        assert.strictEqual((yield* refuse(cost)).reason._tag, "InvalidCost")
      }
      // A prediction refuses nobody, however odd.
      const booked = (tokens: number, growth: ReadonlyArray<Cost.Growth> = []) =>
        Effect.scoped(
          Effect.flatMap(
            limiter.reserve({ pool, requests: 1, tokens: 70, book: () => ({ tokens, growth }) }),
            (reservation) => Effect.as(reservation.release, reservation.booked)
          )
        )
      assert.strictEqual(yield* booked(5000), 100)
      assert.strictEqual(yield* booked(5000, [{ withinMillis: 0, tokens: 50 }]), 100)
      for (const tokens of [30, 50, NaN, Infinity, -1]) {
        for (const withinMillis of [0, 100, NaN, Infinity, -1]) {
          assert.strictEqual(yield* booked(60, [{ withinMillis, tokens }]), 60)
        }
      }
      assert.strictEqual(yield* booked(30), 30)
      assert.strictEqual(yield* booked(NaN), 70)
      assert.strictEqual(yield* booked(-1), 70)
    }).pipe(
      Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100), Meter.requests(5)] }))
    ))

  it.effect("admits nothing where the limit is 0", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const error = yield* limiter.reserve({ pool, requests: 1, tokens: 0 }).pipe(Effect.scoped, Effect.flip)
      assert.strictEqual(error.reason._tag, "CostExceedsLimit")
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(0)] }))))

  it.effect("refuses a meter that makes no sense, naming the field", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const error = yield* Effect.flip(Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 1 })))
      assert.match(error.message, /meter's limit is NaN/)
      assert.match((yield* Effect.flip(limiter.snapshot("window"))).message, /meter's window is 0 ms/)
    }).pipe(
      Effect.provide(RateLimiter.layer({
        meters: (pool) => pool === "window" ? [Meter.tokens(1, 0)] : [Meter.tokens(NaN)]
      }))
    ))

  it.effect("refuses at once what would wait too long, with the prediction", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const reserve = (tokens: number, maxWait?: Duration.Duration) =>
        Effect.scoped(limiter.reserve({ pool, requests: 1, tokens, maxWait }))
      yield* reserve(100)
      const refused = yield* Effect.flip(reserve(10, Duration.millis(1249)))
      if (refused.reason._tag !== "WaitTooLong") return assert.fail(refused.message)
      assert.strictEqual(Duration.toMillis(refused.reason.predicted), 1250)
      assert.strictEqual(yield* now, 0)
      const fiber = yield* Effect.forkChild(Effect.andThen(reserve(10, Duration.millis(1250)), now))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), 1250)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("fails when its longest wait is over, and lets those behind pass", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const reserve = (tokens: number, maxWait?: Duration.Duration) =>
        Effect.scoped(limiter.reserve({ pool, requests: 1, tokens, maxWait }))
      // Predicted to fit at 1250, but the first is sent only at 500.
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(limiter.reserve({ pool, requests: 1, tokens: 60 }), scope)
      const late = yield* Effect.forkChild(Effect.flip(reserve(80, Duration.millis(1300))))
      const behind = yield* Effect.forkChild(Effect.andThen(reserve(40), now))
      yield* TestClock.adjust("500 millis")
      held.sentUnsafe()
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(late)
      assert.strictEqual(error.reason._tag, "WaitTooLong")
      assert.strictEqual(yield* Fiber.join(behind), 1300)
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("books what is predicted when its turn comes, not when it came", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      let predicted = 100
      const reserve = Effect.scoped(
        limiter.reserve({ pool, requests: 1, tokens: 10, book: () => ({ tokens: predicted, growth: [] }) })
      )
      yield* reserve
      const fiber = yield* Effect.forkChild(Effect.all([reserve, reserve], { concurrency: 2 }))
      yield* TestClock.adjust("1 second")
      predicted = 40
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map((reservation) => reservation.booked), [40, 40])
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("tells how long it waited", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const reserve = Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 100 }))
      assert.strictEqual(Duration.toMillis((yield* reserve).waited), 0)
      yield* TestClock.adjust("400 millis")
      const fiber = yield* Effect.forkChild(reserve)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(Duration.toMillis((yield* Fiber.join(fiber)).waited), 850)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  it.effect("settles once: refund, debt, and where the server had it", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const used = Effect.map(limiter.snapshot(pool), (snapshot) => snapshot.meters.map((level) => level.used))
      yield* Effect.scoped(Effect.gen(function*() {
        const reservation = yield* limiter.reserve({ pool, requests: 1, tokens: 50 })
        reservation.sentUnsafe()
        yield* TestClock.adjust("300 millis")
        yield* reservation.settle({ tokens: 80 })
        assert.deepStrictEqual(yield* used, [1, 80])
        yield* reservation.settle({ tokens: 1 })
        yield* reservation.release
        reservation.sentUnsafe()
        assert.deepStrictEqual(yield* used, [1, 80])
      }))
      // Arrived at 300 at the latest, so it counts until 1550; the debt was learned at 300 too.
      yield* TestClock.adjust("1249 millis")
      assert.deepStrictEqual(yield* used, [1, 80])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* used, [0, 0])
    }).pipe(
      Effect.provide(
        RateLimiter.layer({ meters: () => [Meter.requests(5, "1 second"), Meter.tokens(100, "1 second")] })
      )
    ))

  it.effect("keeps what was booked when nobody settles", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const used = Effect.map(limiter.snapshot(pool), (snapshot) => snapshot.meters.map((level) => level.used))
      yield* Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 50 }))
      yield* TestClock.adjust("1249 millis")
      assert.deepStrictEqual(yield* used, [50])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* used, [0])
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")] }))))

  describe("limit", () => {
    const layer = RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")], guard: 0 })
    const used = Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      return (yield* limiter.snapshot(pool)).meters.map((level) => level.used)
    })

    it.effect("settles with what the answer tells", () =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.RateLimiter
        const answer = yield* Effect.succeed({ spent: 30 }).pipe(
          limiter.limit({ pool, requests: 1, tokens: 80 }, (answer: { spent: number }) => ({ tokens: answer.spent }))
        )
        assert.deepStrictEqual(answer, { spent: 30 })
        assert.deepStrictEqual(yield* used, [30])
        yield* Effect.void.pipe(limiter.limit({ pool, requests: 1, tokens: 20 }))
        assert.deepStrictEqual(yield* used, [50])
      }).pipe(Effect.provide(layer)))

    it.effect("keeps the charge of a call that failed or was interrupted", () =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.RateLimiter
        assert.strictEqual(
          yield* Effect.flip(Effect.fail("boom").pipe(limiter.limit({ pool, requests: 1, tokens: 30 }))),
          "boom"
        )
        const started = yield* Deferred.make<void>()
        const fiber = yield* Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          limiter.limit({ pool, requests: 1, tokens: 20 }),
          Effect.forkChild
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* used, [50])
      }).pipe(Effect.provide(layer)))
  })

  it.effect("widens the guard on a throttle that its books can't explain, and only then", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const guard = Effect.map(limiter.snapshot(pool), (snapshot) => Duration.toMillis(snapshot.guard))
      assert.strictEqual(yield* guard, 250)
      yield* limiter.throttled(pool)
      assert.strictEqual(yield* guard, 500)
      // Refused at once, they say it once.
      yield* TestClock.adjust("1999 millis")
      yield* limiter.throttled(pool)
      assert.strictEqual(yield* guard, 500)
      for (const expected of [1000, 2000, 2000]) {
        yield* TestClock.adjust("2 seconds")
        yield* limiter.throttled(pool)
        assert.strictEqual(yield* guard, expected)
      }
      // In debt, the throttle is explained.
      const other = "other"
      yield* Effect.scoped(Effect.gen(function*() {
        const reservation = yield* limiter.reserve({ pool: other, requests: 1, tokens: 90 })
        yield* reservation.settle({ tokens: 101 })
      }))
      yield* limiter.throttled(other)
      yield* limiter.throttled(other, "tokens")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot(other)).guard), 250)
      // A debt of tokens does not explain that there were too many requests.
      yield* limiter.throttled(other, "requests")
      assert.strictEqual(Duration.toMillis((yield* limiter.snapshot(other)).guard), 500)
    }).pipe(Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "10 seconds")] }))))

  describe("a refusal that the books can't explain", () => {
    const levels = (meters: ReadonlyArray<Meter.Meter>) =>
      Effect.provide(RateLimiter.layer({ meters: () => meters, guard: 0 }))
    const used = Effect.map(
      Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.snapshot(pool)),
      ({ meters }) => meters.map((meter) => meter.used)
    )
    /** Sends a request that the server refuses. */
    const refused = (tokens: number, unit?: Meter.Unit) =>
      Effect.flatMap(RateLimiter.RateLimiter, (limiter) =>
        Effect.scoped(Effect.flatMap(
          limiter.reserve({ pool, requests: 1, tokens }),
          (reservation) => Effect.andThen(limiter.throttled(pool, unit), reservation.settle({ tokens: 0 }))
        )))

    it.effect("leaves no room for what was refused, and gives way evenly within a window", () =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.RateLimiter
        yield* Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 300 }))
        yield* refused(100, "tokens")
        assert.deepStrictEqual(yield* used, [2, 1101])
        const next = yield* Effect.forkChild(
          Effect.andThen(Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 200 })), now)
        )
        // The guard has widened to that.
        yield* TestClock.adjust("2 millis")
        const seen: Array<number> = []
        for (let part = 1; part <= 12; part++) {
          yield* TestClock.adjust("1 second")
          seen.push((yield* used)[1] ?? 0)
        }
        // 801 in twelve parts, of which the second makes room for the next: 101 had to go.
        assert.strictEqual(yield* Fiber.join(next), 2002)
        assert.deepStrictEqual(seen, [1034, 1167, 1101, 1034, 967, 900, 834, 767, 700, 633, 567, 200])
      }).pipe(levels([Meter.requests(50, "12 seconds"), Meter.tokens(1200, "12 seconds")])))

    it.effect("fills the meter that it was about", () =>
      Effect.gen(function*() {
        yield* refused(10, "requests")
        assert.deepStrictEqual(yield* used, [6, 0])
        yield* TestClock.adjust("2 minutes")
        yield* refused(10, "tokens")
        assert.deepStrictEqual(yield* used, [1, 91])
      }).pipe(levels([Meter.requests(5), Meter.tokens(100)])))

    it.effect("fills none where it is not said which it was about", () =>
      Effect.gen(function*() {
        yield* refused(90)
        assert.deepStrictEqual(yield* used, [1, 0])
      }).pipe(levels([Meter.requests(4), Meter.tokens(100)])))

    it.effect("fills no other window than its own", () =>
      Effect.gen(function*() {
        yield* refused(60, "tokens")
        assert.deepStrictEqual(yield* used, [41, 0])
        yield* TestClock.adjust("61 seconds")
        assert.deepStrictEqual(yield* used, [0, 0])
      }).pipe(levels([Meter.tokens(100), Meter.tokens(10_000, "1 day")])))

    it.effect("fills no day, however full: a minute may have been short", () =>
      Effect.gen(function*() {
        for (let sent = 0; sent < 9; sent++) {
          yield* Effect.flatMap(RateLimiter.RateLimiter, (limiter) =>
            Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 100 })))
          yield* TestClock.adjust("1 minute")
        }
        yield* refused(50, "tokens")
        assert.deepStrictEqual(yield* used, [51, 900])
      }).pipe(levels([Meter.tokens(100), Meter.tokens(1000, "1 day")])))

    it.effect("fills an hour", () =>
      Effect.gen(function*() {
        yield* refused(50, "tokens")
        assert.deepStrictEqual(yield* used, [51])
      }).pipe(levels([Meter.tokens(100, "1 hour")])))

    it.effect("and has nothing to fill where nothing limits", () =>
      Effect.gen(function*() {
        yield* refused(10)
        yield* refused(10, "requests")
        assert.deepStrictEqual(yield* used, [])
      }).pipe(levels([])))
  })

  describe("growth that is foreseen", () => {
    /** Admits a first request of 60 of 100 tokens, which leave after a second, and tells when one of 10 comes in beside that growth. */
    const admittedAt = (growth: ReadonlyArray<Cost.Growth>, ends = 5000) =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.RateLimiter
        const started = yield* now
        const first = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const reservation = yield* limiter.reserve({ pool, requests: 1, tokens: 60 })
          reservation.sentUnsafe()
          yield* Effect.sleep(ends)
          yield* reservation.settle({ tokens: 60, servedFor: Duration.millis(ends) })
        })))
        yield* TestClock.adjust("100 millis")
        const fiber = yield* Effect.forkChild(Effect.andThen(
          Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 10, book: () => ({ tokens: 10, growth }) })),
          now
        ))
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(first)
        return (yield* Fiber.join(fiber)) - started
      }).pipe(
        Effect.provide(RateLimiter.layer({ meters: () => [Meter.tokens(100, "1 second")], guard: 50 }))
      )

    it.effect("needs no room at once when as much will have left by then", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* admittedAt([{ withinMillis: 0, tokens: 30 }]), 100)
        assert.strictEqual(yield* admittedAt([{ withinMillis: 0, tokens: 31 }]), 1050)
      }))

    it.effect("by a part of the window less than when it leaves", () =>
      Effect.gen(function*() {
        // What was sent at 0 has left at 1050, which is 950 from 100; a part of the window is 10.4.
        const within = (withinMillis: number) => admittedAt([{ withinMillis, tokens: 90 }])
        assert.strictEqual(yield* within(949), 112)
        assert.strictEqual(yield* within(962), 100)
      }))

    it.effect("at each of the times", () =>
      Effect.gen(function*() {
        const late = { withinMillis: 1000, tokens: 80 }
        assert.strictEqual(yield* admittedAt([{ withinMillis: 0, tokens: 20 }, late]), 100)
        assert.strictEqual(yield* admittedAt([{ withinMillis: 500, tokens: 40 }, late]), 555)
        assert.strictEqual(yield* admittedAt([{ withinMillis: 0, tokens: 30 }, { ...late, tokens: 91 }]), 5000)
      }))

    it.effect("of more than the quota waits for all others to end, and for an empty window", () =>
      Effect.gen(function*() {
        const all = [{ withinMillis: 0, tokens: 1000 }]
        assert.strictEqual(yield* admittedAt(all, 300), 1050)
        assert.strictEqual(yield* admittedAt(all, 3000), 3000)
      }))
  })

  it.effect("does not limit a pool without meters, and keeps pools apart", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      for (let i = 0; i < 100; i++) yield* Effect.scoped(limiter.reserve({ pool: "free", requests: 1, tokens: 1e9 }))
      yield* Effect.scoped(limiter.reserve({ pool: "a", requests: 1, tokens: 100 }))
      yield* Effect.scoped(limiter.reserve({ pool: "b", requests: 1, tokens: 100 }))
      assert.strictEqual(yield* now, 0)
    }).pipe(
      Effect.provide(RateLimiter.layer({ meters: (pool) => pool === "free" ? [] : [Meter.tokens(100)] }))
    ))

  it.effect("fails who waits when it is shut down, and who comes after", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const limiter = yield* Scope.provide(RateLimiter.make({ meters: () => [Meter.tokens(100)] }), scope)
      const reserve = Effect.scoped(limiter.reserve({ pool, requests: 1, tokens: 100 }))
      yield* reserve
      const waiting = yield* Effect.forkChild(reserve, { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      const exit = yield* Fiber.await(waiting)
      if (!Exit.isFailure(exit)) return assert.fail("it was admitted")
      const error = exit.cause.reasons.find(Cause.isFailReason)?.error
      assert.strictEqual(error?.reason._tag, "LimiterClosed")
      assert.strictEqual((yield* Effect.flip(reserve)).reason._tag, "LimiterClosed")
    }))

  it.effect("has errors that survive a process boundary", () =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(RateLimiterError.RateLimiterError)
      const error = new RateLimiterError.RateLimiterError({
        pool,
        reason: new RateLimiterError.WaitTooLong({
          predicted: Duration.millis(60_238.362251),
          maxWait: Duration.seconds(1)
        })
      })
      const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(codec)(error)))
      const back = yield* Schema.decodeUnknownEffect(codec)(wire)
      assert.strictEqual(back.message, error.message)
      assert.match(back.message, /would wait 1m 238ms and may wait 1s:/)
    }))
})
