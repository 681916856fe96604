import { Meter, RateLimiter, type Reservation } from "@caprock/rate-limiter"
import { type Decision, Health, RouteTable } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { Affinity } from "../src/internal/affinity.ts"
import { Board } from "../src/internal/board.ts"
import { Lookout } from "../src/internal/lookout.ts"
import { type Host, Waiting } from "../src/internal/waiting.ts"

const table = Result.getOrThrow(RouteTable.make({
  targets: { a: { model: "sage" }, b: { model: "sage" } },
  routes: { chat: { policy: { ordered: ["a", "b"] } } }
}))

/** A call that decides as it is told, at a pool `a` that is full for ten seconds and a pool `b` that is not. */
const host = Effect.fnUntraced(function*(
  after: () => readonly [number, number],
  shut: (held: Reservation.Reservation) => boolean = () => false
) {
  const limiter = yield* RateLimiter.RateLimiter
  const clock = yield* Clock.Clock
  const held = yield* limiter.reserve({ pool: "a", requests: 1, tokens: 100 })
  const runFork = Effect.runForkWith(yield* Effect.context())
  const wakeAfter = (millis: number, then: () => void) => {
    const fiber = runFork(Effect.andThen(millis > 0 ? Effect.sleep(millis) : Effect.yieldNow, Effect.sync(then)))
    return () => fiber.interruptUnsafe()
  }
  const asked: Array<number> = []
  const offered: Array<string> = []
  const call: Host<void, never, never> = {
    board: new Board(table, ({ name }) => name, limiter, yield* Health.Health, new Affinity(1), clock),
    lookout: new Lookout(limiter, wakeAfter),
    asks: { requests: 1, tokens: 100 },
    deadline: Infinity,
    after: wakeAfter,
    now: () => clock.currentTimeMillisUnsafe(),
    decide: () => {
      asked.push(clock.currentTimeMillisUnsafe())
      const candidates = table.targets.map((target, index): Decision.Candidate => ({
        target,
        afterMillis: after()[index] ?? 0,
        waitMillis: 0,
        why: { _tag: "Preferred" }
      }))
      if (!shut(held)) return { candidates, excluded: [], level: undefined }
      const excluded = candidates.slice(0, 1).map(({ target }): Decision.Exclusion => ({
        target,
        why: { _tag: "Open", forMillis: 2_000 }
      }))
      return { candidates: candidates.slice(1), excluded, level: undefined }
    },
    poolOf: ({ name }) => name,
    offer: ({ name }) => {
      offered.push(name)
      return { cost: { pool: name, requests: 1, tokens: 100 }, send: () => Effect.void, withdrawn: () => {} }
    },
    refused: () => {}
  }
  const waiting = new Waiting(call, yield* limiter.choice, (admitted) => admitted)
  return { asked, offered, waiting }
})

const services = Layer.mergeAll(RateLimiter.layer({ meters: () => [Meter.tokens(100, "10 seconds")] }), Health.layer())

describe("waiting", () => {
  it.effect("deciding again puts nothing off: who was due in a second is, whatever is said then", () =>
    Effect.gen(function*() {
      const { waiting } = yield* host(() => [0, 1_500])
      const fiber = yield* Effect.forkChild(waiting.admission, { startImmediately: true })
      yield* TestClock.adjust(700)
      // A reason to decide again, which says: in a second and a half.
      waiting.wake()
      yield* TestClock.adjust(799)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const came = yield* Fiber.join(fiber)
      assert.strictEqual("admitted" in came ? came.admitted.reservation.pool : "", "b")
    }).pipe(Effect.scoped, Effect.provide(services)))

  it.effect("asks again after a second, then after twice that and so on", () =>
    Effect.gen(function*() {
      const { asked, offered, waiting } = yield* host(() => [0, Infinity])
      yield* Effect.forkChild(waiting.admission, { startImmediately: true })
      yield* TestClock.adjust("8 seconds")
      assert.deepStrictEqual(asked, [0, 1_000, 3_000, 7_000])
      assert.deepStrictEqual(offered, ["a"])
    }).pipe(Effect.scoped, Effect.provide(services)))

  it.effect("asks again when it is woken", () =>
    Effect.gen(function*() {
      let second = Infinity
      const { waiting } = yield* host(() => [0, second])
      const fiber = yield* Effect.forkChild(waiting.admission, { startImmediately: true })
      yield* TestClock.adjust(100)
      second = 0
      waiting.wake()
      yield* TestClock.adjust(0)
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.scoped, Effect.provide(services)))

  it.effect("who is admitted while it is said that the target is sick goes there: what sees to a closed circuit comes after", () =>
    Effect.gen(function*() {
      let sick = false
      const { waiting } = yield* host(() => [0, Infinity], (held) => {
        if (sick) Effect.runSync(held.release)
        return sick
      })
      const fiber = yield* Effect.forkChild(waiting.admission, { startImmediately: true })
      sick = true
      waiting.wake()
      const came = yield* Fiber.join(fiber)
      assert.strictEqual("admitted" in came ? came.admitted.reservation.pool : "", "a")
    }).pipe(Effect.scoped, Effect.provide(services)))
})
