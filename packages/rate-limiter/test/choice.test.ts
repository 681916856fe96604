// One call, several rooms.
import { type Choice, type Cost, type LimiterEvent, Meter, type Order, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

const second = Duration.seconds(1)

type Limiter = RateLimiter.RateLimiter["Service"]

const limiterOf = (options?: { readonly room?: Order.RoomOptions; readonly order?: Order.Options }) =>
  RateLimiter.make({ meters: () => [Meter.tokens(10, second)], guard: 0, ...options })

const cost = (pool: string, more: Partial<Cost.Cost> = {}): Cost.Cost => ({ pool, requests: 1, tokens: 10, ...more })

/** Which pool admitted it, or refused it, and when. */
const told = (outcome: Choice.Outcome) =>
  Effect.map(
    Clock.currentTimeMillis,
    (now) =>
      outcome._tag === "Admitted"
        ? `${outcome.reservation.pool} ${now}`
        : `${outcome.pool} ${outcome.error.reason._tag} ${now}`
  )

/** Joins in this order, and ends with which pool admitted it and when, or with the first refusal. */
const through = (limiter: Limiter, costs: ReadonlyArray<Cost.Cost>) =>
  Effect.gen(function*() {
    const choice = yield* limiter.choice
    for (const one of costs) choice.join(one)
    const outcome = yield* choice.next
    if (outcome._tag === "Admitted") outcome.reservation.sentUnsafe()
    return yield* told(outcome)
  }).pipe(Effect.scoped)

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const waiting = (limiter: Limiter, pools: ReadonlyArray<string>) =>
  Effect.forEach(pools, (pool) => Effect.map(limiter.snapshot(pool), (snapshot) => snapshot.waiting))

const used = (limiter: Limiter, pool: string) => Effect.map(limiter.snapshot(pool), ({ meters }) => meters[0]?.used)

describe("choice", () => {
  it.effect("goes to the first pool with room, in the order of joining, and books nothing elsewhere", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      assert.strictEqual(yield* through(limiter, [cost("a"), cost("b")]), "a 0")
      const choice = yield* limiter.choice
      for (const pool of ["a", "b"]) choice.join(cost(pool))
      assert.strictEqual(choice.nextUnsafe()?._tag, "Admitted")
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "b 0")
      assert.strictEqual(yield* through(limiter, [cost("a"), cost("c"), cost("d")]), "c 0")
      assert.strictEqual(yield* used(limiter, "d"), 0)
      assert.deepStrictEqual(yield* waiting(limiter, ["a", "b", "c", "d"]), [0, 0, 0, 0])
    }))

  it.effect("goes to the pool that frees first, wherever it joined first, and stands nowhere then", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("b")])
      yield* TestClock.adjust(300)
      yield* through(limiter, [cost("a")])
      const first = yield* fork(through(limiter, [cost("a"), cost("b")]))
      const second = yield* fork(through(limiter, [cost("a"), cost("b")]))
      const third = yield* fork(through(limiter, [cost("b")]))
      assert.deepStrictEqual(yield* waiting(limiter, ["a", "b"]), [2, 3])
      yield* TestClock.adjust(700)
      assert.strictEqual(yield* Fiber.join(first), "b 1000")
      assert.deepStrictEqual(yield* waiting(limiter, ["a", "b"]), [1, 2])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* Fiber.joinAll([second, third]), ["a 1300", "b 2000"])
    }))

  it.effect("whoever stood behind one that went elsewhere goes at once, if it fits", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      for (const [pool, tokens] of [["a", 5], ["b", 5]] as const) yield* through(limiter, [cost(pool, { tokens })])
      const large = yield* fork(through(limiter, [cost("a"), cost("b")]))
      const mine = yield* fork(through(limiter, [cost("b", { tokens: 4, priority: -1 })]))
      // It would move the start of the one before it, which is kept for it in both.
      const behind = yield* fork(through(limiter, [cost("b", { tokens: 5, priority: -1 })]))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual([mine, behind, large].map((fiber) => fiber.pollUnsafe() === undefined), [true, true, true])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.joinAll([large, mine, behind]), ["a 1000", "b 1000", "b 1000"])
    }))

  it.effect("several pools' quotas add up", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      const calls = []
      for (let n = 0; n < 12; n++) calls.push(yield* fork(through(limiter, ["a", "b", "c"].map((pool) => cost(pool)))))
      yield* TestClock.adjust("3 seconds")
      const ends = yield* Fiber.joinAll(calls)
      // Which of them serves whom is nobody's matter; each serves one a second, in the order in which they came.
      assert.deepStrictEqual(
        ends.map((end) => end.slice(2)),
        [0, 1000, 2000, 3000].flatMap((at) => Array(3).fill(`${at}`))
      )
      assert.strictEqual(new Set(ends).size, 12)
    }))

  it.effect("a pool that refuses is told, and the others go on", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("b")])
      yield* limiter.park("a", "1 hour")
      const choice = yield* limiter.choice
      for (const one of [cost("a"), cost("b"), cost("c", { tokens: 11 })]) choice.join(one)
      assert.strictEqual(choice.nextUnsafe()?._tag, "Refused")
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "c CostExceedsLimit 0")
      const next = yield* fork(Effect.flatMap(choice.next, told))
      yield* TestClock.adjust(400)
      choice.join(cost("d", { tokens: 11 }))
      assert.strictEqual(yield* Fiber.join(next), "d CostExceedsLimit 400")
      yield* TestClock.adjust(600)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "b 1000")
      // What was refused in the meantime matters no more.
      choice.join(cost("d", { tokens: 11 }))
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "b 1000")
    }))

  it.effect("a pool that is parked, or closes, while it waits is told", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const limiter = yield* Scope.provide(limiterOf(), scope)
      for (const pool of ["a", "b"]) yield* through(limiter, [cost(pool)])
      const choice = yield* limiter.choice
      for (const pool of ["a", "b"]) choice.join(cost(pool))
      yield* limiter.park("a", "1 hour")
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a PoolParked 0")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "b LimiterClosed 0")
      choice.join(cost("c"))
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "c LimiterClosed 0")
    }))

  it.effect("a full room refuses it, or sheds it later for one of a higher class", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ room: { requests: 1 } })
      for (const pool of ["a", "b"]) yield* through(limiter, [cost(pool)])
      const choice = yield* limiter.choice
      for (const pool of ["a", "b"]) choice.join(cost(pool))
      const full = yield* limiter.choice
      full.join(cost("a"))
      assert.strictEqual(yield* Effect.flatMap(full.next, told), "a RoomFull 0")
      const urgent = yield* fork(through(limiter, [cost("b", { priority: "interactive" })]))
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "b RoomFull 0")
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a 1000")
      assert.strictEqual(yield* Fiber.join(urgent), "b 1000")
    }))

  it.effect("each pool keeps its own longest wait: by what is predicted, and by the clock", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      for (const pool of ["a", "b", "c"]) yield* through(limiter, [cost(pool)])
      const choice = yield* limiter.choice
      choice.join(cost("a", { maxWait: Duration.millis(999) }))
      choice.join(cost("b", { maxWait: Duration.millis(1000) }))
      choice.join(cost("c", { maxWait: Duration.infinity }))
      // One that goes first makes it longer than was predicted.
      yield* fork(through(limiter, [cost("b", { priority: "interactive" })]))
      yield* fork(through(limiter, [cost("c", { priority: "interactive" })]))
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a WaitTooLong 0")
      const next = yield* fork(Effect.flatMap(choice.next, told))
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Fiber.join(next), "b WaitTooLong 1000")
      assert.deepStrictEqual(yield* waiting(limiter, ["a", "b", "c"]), [0, 0, 1])
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "c 2000")
    }))

  it.effect("may leave a pool, and join it again at the end of its line; a second join changes nothing", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("a")])
      const choice = yield* limiter.choice
      choice.leave("a")
      choice.join(cost("a"))
      choice.join(cost("a", { tokens: 11 }))
      const behind = yield* fork(through(limiter, [cost("a")]))
      yield* TestClock.adjust(500)
      choice.leave("a")
      assert.deepStrictEqual(yield* waiting(limiter, ["a"]), [1])
      choice.join(cost("a", { tokens: 11 }))
      choice.leave("a")
      assert.strictEqual((yield* Effect.timeoutOption(choice.next, 0))._tag, "None")
      choice.join(cost("a"))
      yield* TestClock.adjust(1_500)
      assert.strictEqual(yield* Fiber.join(behind), "a 1000")
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a 2000")
    }))

  it.effect("tells how long the call has waited, from its first room on", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      for (const pool of ["a", "b"]) yield* through(limiter, [cost(pool)])
      const choice = yield* limiter.choice
      choice.join(cost("a"))
      yield* TestClock.adjust(400)
      choice.join(cost("b"))
      yield* TestClock.adjust(100)
      choice.join(cost("c"))
      const outcome = yield* choice.next
      assert.strictEqual(outcome._tag, "Admitted")
      if (outcome._tag === "Admitted") assert.deepStrictEqual(outcome.reservation.waited, Duration.millis(500))
    }))

  it.effect("an admission that nobody took is given back with its scope; one that was taken stays charged", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      const admitted = (taken: boolean) =>
        Effect.gen(function*() {
          const choice = yield* limiter.choice
          choice.join(cost("a"))
          if (taken) yield* choice.next
        }).pipe(Effect.scoped)
      yield* admitted(false)
      assert.strictEqual(yield* used(limiter, "a"), 0)
      yield* admitted(true)
      assert.strictEqual(yield* used(limiter, "a"), 10)
      // One that waited.
      const scope = yield* Scope.make()
      const choice = yield* Scope.provide(limiter.choice, scope)
      choice.join(cost("a"))
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* used(limiter, "a"), 10)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* used(limiter, "a"), 0)
      choice.join(cost("a"))
      assert.strictEqual(yield* used(limiter, "a"), 0)
    }))

  it.effect("an interrupted question loses nothing: the answer is there for the next", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("a")])
      const choice = yield* limiter.choice
      choice.join(cost("a"))
      assert.strictEqual((yield* Effect.timeoutOption(choice.next, 0))._tag, "None")
      assert.isUndefined(choice.nextUnsafe())
      const asked = yield* fork(choice.next)
      yield* Fiber.interrupt(asked)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a 1000")
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a 1000")
    }))

  it.effect("is told of each room that it waited in, once that it came and once that it went", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      for (const pool of ["a", "b"]) yield* through(limiter, [cost(pool)])
      const events: Array<LimiterEvent.LimiterEvent> = []
      const listener = yield* fork(Stream.runForEach(limiter.events, (event) => Effect.sync(() => events.push(event))))
      yield* Effect.yieldNow
      const one = yield* fork(through(limiter, [cost("a"), cost("b")]))
      const other = yield* fork(through(limiter, [cost("a"), cost("b")]))
      yield* TestClock.adjust(700)
      yield* Fiber.interrupt(other)
      yield* TestClock.adjust(300)
      yield* Fiber.join(one)
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(listener)
      assert.deepStrictEqual(
        events.map((event) => `${event._tag} ${event.pool}`),
        "Waiting a, Waiting b, Waiting a, Waiting b, Left a, Left b, Admitted a, Left b, Settled a".split(", ")
      )
      assert.deepStrictEqual(events[7], { _tag: "Left", pool: "b", waited: second })
    }))

  it.effect("is not admitted again by what somebody does who was admitted in the same step", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("a")])
      const held = yield* limiter.reserve(cost("b"))
      // Whoever goes before it gives the other pool's room back.
      const before = yield* fork(
        Effect.scoped(Effect.andThen(limiter.reserve(cost("a", { tokens: 5 })), held.release))
      )
      const choice = yield* limiter.choice
      for (const pool of ["a", "b"]) choice.join(cost(pool, { tokens: 5 }))
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(before)
      assert.strictEqual(yield* Effect.flatMap(choice.next, told), "a 1000")
      assert.strictEqual(yield* used(limiter, "b"), 0)
    }))

  it.effect("may be over before it hears that it was admitted", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf()
      yield* through(limiter, [cost("a")])
      const scope = yield* Scope.make()
      const before = yield* fork(
        Effect.scoped(Effect.andThen(limiter.reserve(cost("a", { tokens: 5 })), Scope.close(scope, Exit.void)))
      )
      const choice = yield* Scope.provide(limiter.choice, scope)
      choice.join(cost("a", { tokens: 5 }))
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(before)
      assert.strictEqual(yield* used(limiter, "a"), 5)
      yield* limiter.shutdown("1 hour")
    }))

  it.effect("may be over before it is let in, by what is done for whom it sheds", () =>
    Effect.gen(function*() {
      const limiter = yield* limiterOf({ room: { requests: 1 } })
      yield* through(limiter, [cost("a")])
      const scope = yield* Scope.make()
      const shed = yield* fork(Effect.ensuring(through(limiter, [cost("a")]), Scope.close(scope, Exit.void)))
      const choice = yield* Scope.provide(limiter.choice, scope)
      choice.join(cost("a", { priority: "interactive" }))
      assert.strictEqual(yield* Fiber.join(shed), "a RoomFull 0")
      assert.deepStrictEqual(yield* waiting(limiter, ["a"]), [0])
    }))

  it.effect("leaves nothing behind wherever it is interrupted", () =>
    Effect.gen(function*() {
      for (const at of [0, 1_000]) {
        for (let steps = 0; steps < 40; steps++) {
          const limiter = yield* limiterOf()
          for (const pool of ["a", "b"]) yield* through(limiter, [cost(pool)])
          let taken = false
          const call = Effect.gen(function*() {
            const choice = yield* limiter.choice
            for (const pool of ["a", "b"]) choice.join(cost(pool))
            const { _tag } = yield* choice.next
            taken = _tag === "Admitted"
            return yield* Effect.never
          }).pipe(Effect.scoped)
          const fiber = yield* Effect.forkChild(call)
          if (at > 0) yield* TestClock.adjust(at - 1)
          const adjusted = at > 0 ? yield* Effect.forkChild(TestClock.adjust(1)) : undefined
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          if (adjusted !== undefined) yield* Fiber.join(adjusted)
          assert.deepStrictEqual(yield* waiting(limiter, ["a", "b"]), [0, 0], `after ${steps} steps`)
          yield* TestClock.adjust(at > 0 ? 0 : 1_000)
          const left = [yield* used(limiter, "a"), yield* used(limiter, "b")]
          assert.deepStrictEqual(left, taken ? [10, 0] : [0, 0], `after ${steps} steps`)
          // Nobody is in flight, and so it is over at once.
          yield* limiter.shutdown("1 hour")
        }
      }
    }))
})
