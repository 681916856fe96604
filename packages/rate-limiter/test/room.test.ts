import { type Cost, type LimiterEvent, Meter, type Order, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const second = Duration.seconds(1)

const limiterOf = (options?: { readonly room?: Order.RoomOptions; readonly order?: Order.Options }) =>
  RateLimiter.make({ meters: () => [Meter.tokens(10, second)], guard: 0, ...options })

type Limiter = RateLimiter.RateLimiter["Service"]

const cost = (more: Partial<Cost.Cost> = {}): Cost.Cost => ({ pool: "p", requests: 1, tokens: 10, ...more })

/** Ends with when it was admitted, or with the tag of the reason why not. */
const outcome = (limiter: Limiter, asked: Cost.Cost) =>
  limiter.limit(asked)(Clock.currentTimeMillis).pipe(
    Effect.catchTag("RateLimiterError", ({ reason }) => Effect.succeed(reason._tag))
  )

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

describe("waiting room", () => {
  it.effect("refuses whom there is no room for, with the wait they would have had", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ room: { requests: 2 } })
      yield* outcome(limiter, cost())
      const waiting = [yield* fork(outcome(limiter, cost())), yield* fork(outcome(limiter, cost()))]
      const error = yield* Effect.flip(Effect.scoped(limiter.reserve(cost())))
      assert.strictEqual(error.reason._tag, "RoomFull")
      assert.strictEqual(
        error.message,
        "pool p did not admit the request: 2 wait already, the last of them about 3s: come later, send it elsewhere, or give it a higher priority"
      )
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.joinAll(waiting), [1000, 2000])
    }))

  it.effect("sheds the newest of the lowest class for a higher one, by count and by tokens", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ room: { requests: 4, tokens: 30 } })
      yield* outcome(limiter, cost())
      const bulk = []
      for (let n = 0; n < 3; n++) bulk.push(yield* fork(outcome(limiter, cost({ priority: "bulk", tokens: 5 }))))
      const standard = yield* fork(outcome(limiter, cost()))
      // 25 tokens wait, and for another 10 the newest of the lowest class has to go.
      const urgent = yield* fork(outcome(limiter, cost({ priority: "interactive" })))
      assert.strictEqual(yield* Fiber.join(bulk[2] as Fiber.Fiber<number | string>), "RoomFull")
      assert.strictEqual(yield* outcome(limiter, cost({ priority: "bulk", tokens: 5 })), "RoomFull")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* Fiber.joinAll([urgent, standard, ...bulk.slice(0, 2)]), [1000, 2000, 3000, 3000])
    }))

  it.effect("sheds nobody when that would not make room", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ room: { tokens: 12 } })
      yield* outcome(limiter, cost())
      const bulk = yield* fork(outcome(limiter, cost({ priority: "bulk", tokens: 1 })))
      const standard = yield* fork(outcome(limiter, cost({ tokens: 5 })))
      assert.strictEqual(yield* outcome(limiter, cost({ tokens: 8 })), "RoomFull")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.joinAll([bulk, standard]), [1000, 1000])
    }))

  it.effect("shuts down: nobody comes in, who waits is admitted, and the rest fails when the time is up", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* outcome(limiter, cost())
      const waiting = []
      for (let n = 0; n < 4; n++) waiting.push(yield* fork(outcome(limiter, cost())))
      const down = yield* fork(limiter.shutdown("2500 millis"))
      assert.strictEqual(yield* outcome(limiter, cost()), "LimiterClosed")
      yield* TestClock.adjust(2_499)
      assert.isUndefined(down.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(down)
      assert.deepStrictEqual(yield* Fiber.joinAll(waiting), [1000, 2000, "LimiterClosed", "LimiterClosed"])
    }))

  it.effect("shuts down as soon as the last reservation is over", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      const call = yield* fork(limiter.limit(cost())(Effect.sleep("700 millis")))
      const waiting = yield* fork(outcome(limiter, cost()))
      const down = yield* fork(limiter.shutdown("1 hour"))
      yield* TestClock.adjust(1_699)
      assert.isUndefined(down.pollUnsafe())
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(call)))
      yield* TestClock.adjust(1)
      yield* Fiber.join(down)
      // The call said nothing of when the server had it: it may have been at its end.
      assert.strictEqual(yield* Fiber.join(waiting), 1700)
    }))

  it.effect("shuts an empty limiter down at once", () =>
    Effect.andThen(limiterOf(), (limiter) => limiter.shutdown("1 hour")))

  it.effect("tells what happens, in order, to those who listen", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      const events: Array<LimiterEvent.LimiterEvent> = []
      yield* outcome(limiter, cost())
      const listener = yield* fork(Stream.runForEach(limiter.events, (event) => Effect.sync(() => events.push(event))))
      yield* Effect.yieldNow
      const waiting = yield* fork(
        limiter.limit(cost({ priority: "bulk", tenant: "t" }), () => ({ tokens: 4 }))(Effect.void)
      )
      yield* outcome(limiter, cost({ tokens: 11 }))
      const left = yield* fork(outcome(limiter, cost()))
      yield* Fiber.interrupt(left)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      yield* limiter.throttled("p", "tokens")
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.deepStrictEqual(
        events.map((event) => event._tag),
        ["Waiting", "Refused", "Waiting", "Left", "Admitted", "Settled", "Throttled"]
      )
      const admitted = events[4]
      assert.deepStrictEqual(admitted, {
        _tag: "Admitted",
        pool: "p",
        priority: "bulk",
        tenant: "t",
        booked: 10,
        waited: second
      })
      yield* Fiber.interrupt(listener)
    }))

  it.effect("a snapshot tells who waits, by class and tenant, and until when", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* outcome(limiter, cost())
      yield* TestClock.adjust(400)
      for (const priority of ["bulk", "interactive"] as const) {
        yield* fork(outcome(limiter, cost({ priority, tenant: "a" })))
        yield* fork(outcome(limiter, cost({ priority, tenant: "b", tokens: 3 })))
      }
      const { line, nextAdmission, waiting, waitingTokens } = yield* limiter.snapshot("p")
      assert.deepStrictEqual(line, [
        { priority: "bulk", tenant: "a", requests: 1, tokens: 10 },
        { priority: "bulk", tenant: "b", requests: 1, tokens: 3 },
        { priority: "interactive", tenant: "a", requests: 1, tokens: 10 },
        { priority: "interactive", tenant: "b", requests: 1, tokens: 3 }
      ])
      assert.strictEqual(waiting, 4)
      assert.strictEqual(waitingTokens, 26)
      assert.deepStrictEqual(nextAdmission, Duration.millis(600))
    }))

  it.effect("a share that is kept goes before all others until it is used up", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ order: { guarantees: [{ tenant: "batch", share: 0.5 }] } })
      yield* outcome(limiter, cost())
      const urgent = []
      const batch = []
      for (let n = 0; n < 8; n++) {
        urgent.push(yield* fork(outcome(limiter, cost({ priority: "interactive", tokens: 5 }))))
        batch.push(yield* fork(outcome(limiter, cost({ priority: "bulk", tenant: "batch", tokens: 5 }))))
      }
      yield* TestClock.adjust("20 seconds")
      // Half of each second's 10 tokens is theirs, though all others are more urgent.
      assert.deepStrictEqual((yield* Fiber.joinAll(batch)).slice(0, 4), [1000, 2000, 3000, 4000])
      assert.deepStrictEqual((yield* Fiber.joinAll(urgent)).slice(0, 4), [1000, 2000, 3000, 4000])
    }))

  it.effect("who borrowed what nobody else asked for has its share again a window later", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ order: { guarantees: [{ tenant: "kept", share: 0.5 }] } })
      // Alone for twenty seconds, and all of it is used.
      const before = []
      for (let n = 0; n < 40; n++) before.push(yield* fork(outcome(limiter, cost({ tenant: "kept", tokens: 5 }))))
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.joinAll(before)
      // More urgent ones come then.
      const urgent = []
      const kept = []
      for (let n = 0; n < 20; n++) {
        urgent.push(yield* fork(outcome(limiter, cost({ priority: "interactive", tokens: 5 }))))
        kept.push(yield* fork(outcome(limiter, cost({ tenant: "kept", tokens: 5 }))))
      }
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.joinAll(urgent)
      assert.deepStrictEqual((yield* Fiber.joinAll(kept)).slice(0, 4), [20_000, 22_000, 23_000, 24_000])
    }))

  it.effect("options that make no sense are told by the first call", () =>
    Effect.gen(function*() {
      const problem = (options: Parameters<typeof limiterOf>[0]) =>
        Effect.scoped(
          Effect.map(
            Effect.flip(Effect.flatMap(limiterOf(options), (limiter) => limiter.snapshot("p"))),
            ({ reason }) => reason.message
          )
        )
      assert.strictEqual(
        yield* problem({ order: { ageing: 0 } }),
        "the option order.ageing is 0 ms: it must be more than 0"
      )
      assert.strictEqual(
        yield* problem({ order: { guarantees: [{ share: 0.6 }, { tenant: "a", share: 0.6 }] } }),
        "the option order.guarantees add up to 1.2: at most 1 can be kept"
      )
      assert.strictEqual(
        yield* problem({ order: { guarantees: [{ share: Number.NaN }] } }),
        "the option order.guarantees have a share of NaN: it must be more than 0 and at most 1"
      )
      // Written where no types look.
      const odd: object = { order: { guarantees: [{ priority: "urgent", share: 0.5 }] } }
      assert.include(yield* problem(odd), "the option order.guarantees have a priority that is neither a number nor")
      assert.strictEqual(yield* problem({ room: { tokens: -1 } }), "the option room.tokens is -1: it must be 0 or more")
    }))

  describe("estimate", () => {
    it.effect("is held against the waits that come, and shown", () =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf()
        const estimates = Effect.map(limiter.snapshot("p"), (snapshot) => snapshot.estimates)
        yield* outcome(limiter, cost())
        assert.isUndefined(yield* estimates)
        // The first is asked about, and the others come within its second.
        for (let n = 0; n < 3; n++) yield* fork(outcome(limiter, cost()))
        yield* TestClock.adjust("1500 millis")
        assert.deepStrictEqual(yield* estimates, {
          waits: 1,
          meanWait: Duration.seconds(1),
          meanError: Duration.zero
        })
        // It has two before it, one of which leaves.
        const late = yield* fork(outcome(limiter, cost()))
        const urgent = yield* fork(outcome(limiter, cost({ priority: "interactive" })))
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual([yield* Fiber.join(late), yield* Fiber.join(urgent)], [5000, 2000])
        // It was foretold 2.5 seconds, and had 3.5: somebody more urgent came.
        assert.deepStrictEqual(yield* estimates, {
          waits: 2,
          meanWait: Duration.millis((1000 + 3500) / 2),
          meanError: Duration.millis(1000 / 2)
        })
      }))

    it.effect("is looked at for one in 1,024 of those who come at once", () =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf()
        yield* outcome(limiter, cost())
        for (let n = 0; n < 2_060; n++) yield* fork(outcome(limiter, cost({ tokens: 0.1 })))
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual((yield* limiter.snapshot("p")).estimates?.waits, 3)
      }))

    it.effect("refuses what can never be admitted, and is nothing where there is room", () =>
      Effect.gen(function*() {
        const limiter = yield* limiterOf()
        assert.deepStrictEqual(yield* limiter.estimate(cost()), Duration.zero)
        assert.strictEqual((yield* Effect.flip(limiter.estimate(cost({ tokens: 11 })))).reason._tag, "CostExceedsLimit")
      }))

    it.effect.prop(
      "is when it is admitted, where sizes pack and nothing else comes",
      {
        waiting: Schema.Array(Schema.Literals(["interactive", "standard", "bulk"])).check(Schema.isMaxLength(30)),
        mine: Schema.Literals(["interactive", "standard", "bulk"])
      },
      ({ mine, waiting }) =>
        Effect.gen(function*() {
          const limiter = yield* limiterOf({ order: { ageing: Duration.infinity } })
          yield* outcome(limiter, cost())
          for (const priority of waiting) yield* fork(outcome(limiter, cost({ priority })))
          const wait = yield* limiter.estimate(cost({ priority: mine }))
          const admitted = yield* fork(outcome(limiter, cost({ priority: mine })))
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* Fiber.join(admitted), Duration.toMillis(wait))
        })
    )

    it.effect("learns what answers leave of what was asked for", () =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ meters: () => [Meter.tokens(100, second)], guard: 0 })
        // Each asks for 20 and takes 10, and holds the rest for half of the window: 15 of its quota.
        const ask = (log: Array<number>) =>
          limiter.limit(cost({ tokens: 20 }), () => ({ tokens: 10, servedFor: Duration.millis(500) }))(
            Effect.andThen(Clock.currentTimeMillis, (now) => Effect.as(Effect.sleep(500), log.push(now)))
          )
        for (let n = 0; n < 100; n++) yield* fork(ask([]))
        assert.deepStrictEqual(yield* limiter.estimate(cost({ tokens: 20 })), Duration.seconds(20))
        yield* TestClock.adjust("1 minute")
        const started = yield* Clock.currentTimeMillis
        const admitted: Array<number> = []
        for (let n = 0; n < 100; n++) yield* fork(ask(admitted))
        const foretold = Duration.toMillis(yield* limiter.estimate(cost({ tokens: 20 })))
        yield* TestClock.adjust("1 minute")
        const last = (admitted.at(-1) as number) - started
        assert.isAtMost(Math.abs(foretold - last), 1500, `${foretold} foretold, ${last} came`)
        assert.isAbove(last, 10_000)
      }))

    it.effect.prop(
      "of a tenant's request among others' is off by no more than a turn of each",
      {
        waiting: Schema.Array(between(0, 3)).check(Schema.isMaxLength(30)),
        mine: between(0, 3)
      },
      ({ mine, waiting }) =>
        Effect.gen(function*() {
          const limiter = yield* limiterOf()
          yield* outcome(limiter, cost())
          for (const tenant of waiting) yield* fork(outcome(limiter, cost({ tenant: `${tenant}` })))
          const asked = cost({ tenant: `${mine}` })
          const wait = yield* limiter.estimate(asked)
          const admitted = yield* fork(outcome(limiter, asked))
          yield* TestClock.adjust("1 minute")
          const off = (yield* Fiber.join(admitted)) as number - Duration.toMillis(wait)
          assert.isAtMost(Math.abs(off), 3_000)
        })
    )
  })
})
