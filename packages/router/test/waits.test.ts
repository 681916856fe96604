/** Calls that wait: for how long, what they hear of meanwhile, and who of many does. */
import { LimiterStore, Meter, RateLimiter, type RateLimiterError } from "@caprock/rate-limiter"
import { Health, type Route } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { accountOf, errorOf, Fault, fault, leftovers, rig, type RigOptions, run, sending, world } from "./rig.ts"

const two: RigOptions = {
  targets: { a: {}, b: {} },
  routes: { chat: { policy: { ordered: ["a", "b"], patience: "5 seconds" } } },
  meters: () => [Meter.tokens(100, "10 seconds")]
}

/** Somebody else uses all of a pool, from now on and until it is released. */
const fill = (pool: string, tokens = 100) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.RateLimiter
    const held = yield* limiter.reserve({ pool, requests: 1, tokens })
    held.sentUnsafe()
    return held
  })

describe("the longest wait", () => {
  const cost = () => ({ maxWait: Duration.seconds(3) })

  it.effect("counts from the first line that a call came to, and not anew in each", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const all = world(() => ({ took: 10 }))
      yield* fill("a")
      yield* TestClock.adjust(1_600)
      yield* fill("b")
      yield* TestClock.adjust(6_400)
      const told: Array<RateLimiterError.RateLimiterError["reason"]> = []
      const call = sending(all, 0, {
        cost,
        refused: (_, { reason }) => {
          told.push(reason)
          return fault("limited", undefined, reason._tag)
        }
      })
      const fiber = yield* Effect.forkChild(run("soon", call))
      yield* TestClock.adjust(1)
      // Somebody more urgent has what it would have been given in 2 s.
      yield* Effect.forkChild(limiter.reserve({ pool: "a", requests: 1, tokens: 100, priority: "interactive" }))
      yield* TestClock.adjust(2_998)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const exit = fiber.pollUnsafe()
      assert.isDefined(exit)
      const error = errorOf(yield* Fiber.join(fiber))
      assert(error instanceof Fault)
      assert.strictEqual(error.message, "WaitTooLong")
      // Both are told as the call has it: the second line was come to after one second.
      assert.deepStrictEqual(
        told.map((reason) =>
          reason._tag === "WaitTooLong" ? [reason.predicted, reason.maxWait].map(Duration.toMillis) : []
        ),
        [[3_850, 3_000], [3_000, 3_000]]
      )
      assert.deepStrictEqual(yield* leftovers(all, ["b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig({ ...two, routes: { soon: { policy: { ordered: ["a", "b"] } } } }))))

  it.effect("is that of each request: another try has all of it again", () =>
    Effect.gen(function*() {
      const all = world((_, __, ___, attempt) => ({
        took: 0,
        fails: attempt === 1 ? fault("limited", 100) : undefined
      }))
      yield* fill("a", 60)
      yield* TestClock.adjust(2_500)
      yield* fill("a", 40)
      yield* TestClock.adjust(5_500)
      const call = sending(all, 0, { cost: () => ({ ...cost(), tokens: 40 }), ask: { ...ask, input: 20, output: 20 } })
      const fiber = yield* Effect.forkChild(run("alone", call))
      yield* TestClock.adjust(2_250)
      assert.deepStrictEqual(all.sent.map(({ at }) => at), [10_250])
      // What failed gave back what it had booked; somebody is quicker.
      yield* fill("a", 60)
      yield* TestClock.adjust(2_500)
      assert.deepStrictEqual(all.sent.map(({ at }) => at), [10_250, 12_750])
      assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.waitedMillis, 4_750)
    }).pipe(
      Effect.scoped,
      Effect.provide(rig({ ...two, routes: { alone: { policy: "a" } }, backoff: { base: 100, jitter: "none" } }))
    ))

  it.effect("ends with the call's time", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 10 }))
      yield* fill("a", 50)
      // What it is thought to ask for would fit, and what it does ask for does not.
      const call = sending(all, 0, {
        deadline: 4_000,
        cost: () => ({ tokens: 80 }),
        ask: { ...ask, input: 10, output: 10 }
      })
      const error = errorOf(yield* run("alone", call))
      assert(error instanceof Fault)
      assert.strictEqual(error.message, "WaitTooLong")
    }).pipe(Effect.scoped, Effect.provide(rig({ ...two, routes: { alone: { policy: "a" } } }))))
})

const ask = { input: 50, output: 50, needs: [], leftMillis: Infinity }

describe("who waits in one line", () => {
  /** A call that stands in the line of `a`, which is full for ten seconds, from now on. */
  const waits = Effect.gen(function*() {
    const all = world(() => ({ took: 10 }))
    yield* fill("a")
    const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)), { startImmediately: true })
    return { all, fiber }
  })

  it.effect("hears at once that another target has room, whoever gave it back", () =>
    Effect.gen(function*() {
      const other = yield* fill("b")
      const { all, fiber } = yield* waits
      yield* TestClock.adjust(3_500)
      assert.strictEqual(all.sent.length, 0)
      yield* other.release
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["b", 3_500]])
      assert.strictEqual(accountOf(yield* Fiber.join(fiber))?.target, "b")
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))

  it.effect("hears when another line has nobody in it any more", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      // It has room for half of what the first in its line asks for, and for all of what the call does.
      yield* fill("b", 50)
      const first = yield* Effect.forkChild(limiter.reserve({ pool: "b", requests: 1, tokens: 100 }), {
        startImmediately: true
      })
      const all = world(() => ({ took: 10 }))
      yield* fill("a")
      const small = { ask: { ...ask, input: 25, output: 25 } }
      yield* Effect.forkChild(run("chat", sending(all, 0, small)), { startImmediately: true })
      yield* TestClock.adjust(3_500)
      assert.strictEqual(all.sent.length, 0)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["b", 3_500]])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))

  it.effect("probes another target as soon as that may be", () =>
    Effect.gen(function*() {
      const health = yield* Health.Health
      yield* Effect.repeat(Effect.ignore(health.watch("b", () => "sick")(Effect.fail("no"))), { times: 4 })
      const { all } = yield* waits
      yield* TestClock.adjust(2_010)
      assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["b", 2_000]])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))

  it.effect("goes to another target as soon as it is not parked any more", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      yield* limiter.park("b", 3_500)
      const { all } = yield* waits
      yield* TestClock.adjust(3_510)
      assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["b", 3_500]])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))
})

it.effect("who stands in no line hears that a target is well again", () =>
  Effect.gen(function*() {
    const health = yield* Health.Health
    yield* Effect.repeat(Effect.ignore(health.watch("b", () => "sick")(Effect.fail("no"))), { times: 4 })
    yield* TestClock.adjust(2_000)
    yield* Effect.forkChild(health.watch("b", () => "well")(Effect.sleep(1_500)), { startImmediately: true })
    // The other one wants to be left alone for long.
    const all = world((target) => ({ took: 0, fails: target === "a" ? fault("sick", 8_000) : undefined }))
    const call = sending(all, 0, { judge: () => "sick" })
    yield* Effect.forkChild(run("chat", call), { startImmediately: true })
    yield* TestClock.adjust(1_510)
    assert.deepStrictEqual(all.sent.map(({ at, target }) => [target, at]), [["a", 2_000], ["b", 3_500]])
  }).pipe(Effect.provide(rig(two))))

describe("of many who wait", () => {
  /** So many calls wait on a route of a function, which is asked for each decision. */
  const many = Effect.fnUntraced(function*(count: number) {
    const all = world(() => ({ took: 10 }))
    const fibers = yield* Effect.forEach(
      Array.from({ length: count }, (_, call) => call),
      (call) => Effect.forkChild(run("chat", sending(all, call)), { startImmediately: true })
    )
    decisions = 0
    return { all, fibers }
  })
  let decisions = 0
  const counting = (policy: Route.Policy): RigOptions => ({
    targets: { a: {}, b: {}, d: {} },
    routes: { chat: { policy }, other: { policy: "d" } },
    functions: {
      choose: {
        count: (_, candidates) => {
          decisions++
          return candidates.map(({ target }) => target.name)
        }
      }
    },
    meters: (pool) => [Meter.tokens(pool === "b" ? 100 : 10_000, "10 seconds")]
  })
  const opens = (target: string) =>
    Effect.gen(function*() {
      const health = yield* Health.Health
      yield* Effect.repeat(Effect.ignore(health.watch(target, () => "sick")(Effect.fail("no"))), { times: 4 })
      // A few at a time are woken.
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
    })

  it.effect("nobody decides again for a target in whose line they do not stand; for one in whose they do all do, once", () =>
    Effect.gen(function*() {
      yield* fill("a", 10_000)
      yield* fill("b")
      const { all, fibers } = yield* many(300)
      yield* opens("d")
      assert.strictEqual(decisions, 0)
      yield* opens("a")
      assert.strictEqual(decisions, 300)
      const limiter = yield* RateLimiter.RateLimiter
      assert.strictEqual((yield* limiter.snapshot("a")).waiting, 0)
      assert.strictEqual((yield* limiter.snapshot("b")).waiting, 300)
      yield* Fiber.interruptAll(fibers)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig(counting({ choose: ["a", "b"], by: "count" })))))

  it.effect("as many hear of room elsewhere as take it, and one who does not", () =>
    Effect.gen(function*() {
      yield* fill("a", 10_000)
      const other = yield* fill("b")
      const { all } = yield* many(50)
      yield* TestClock.adjust(900)
      assert.strictEqual(decisions, 0)
      yield* other.release
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(all.sent.map(({ target }) => target), ["b"])
      assert.strictEqual(decisions, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(rig(counting({ ordered: ["a", { choose: ["b"], by: "count" }], patience: "5 seconds" })))
    ))

  it.effect("room that the first of them do not want goes to one who does", () =>
    Effect.gen(function*() {
      yield* fill("a", 10_000)
      const other = yield* fill("b")
      yield* TestClock.adjust(4_000)
      // In six seconds they are served here, which the first ten have the patience for, and the others have not.
      const all = world(() => ({ took: 10 }))
      const calls = Array.from({ length: 12 }, (_, call) => call)
      yield* Effect.forEach(
        calls,
        (call) => Effect.forkChild(run(call < 10 ? "patient" : "chat", sending(all, call)), { startImmediately: true })
      )
      yield* other.release
      // One after the other is asked.
      yield* Effect.repeat(Effect.yieldNow, { times: 50 })
      assert.deepStrictEqual(all.sent.map(({ call, target }) => [call, target]), [[10, "b"]])
    }).pipe(
      Effect.scoped,
      Effect.provide(rig({
        ...counting("a"),
        routes: {
          patient: { policy: { ordered: ["a", "b"], patience: "9 seconds" } },
          chat: { policy: { ordered: ["a", "b"], patience: "5 seconds" } }
        }
      }))
    ))
})

describe("with a quota that processes share", () => {
  /** Where a call goes when all of `a` is free, and held by another process, which gives it back when it is asked for; and this one has some of `b`. */
  const target = (patience: Duration.Input) =>
    Effect.gen(function*() {
      const store = yield* Layer.build(LimiterStore.layerMemory)
      const options = { meters: () => [Meter.tokens(100, "10 seconds")] }
      const called = Effect.gen(function*() {
        const own = yield* RateLimiter.RateLimiter
        const other = yield* RateLimiter.makeShared(options).pipe(Effect.provide(store))
        const uses = Effect.fnUntraced(function*(limiter: RateLimiter.RateLimiter["Service"], pool: string) {
          const held = yield* Effect.forkChild(limiter.reserve({ pool, requests: 1, tokens: 100 }))
          yield* TestClock.adjust("20 seconds")
          yield* (yield* Fiber.join(held)).release
        })
        yield* uses(own, "a")
        yield* uses(own, "b")
        yield* uses(other, "a")
        const all = world(() => ({ took: 10 }))
        const fiber = yield* Effect.forkChild(run("chat", sending(all, 0)), { startImmediately: true })
        // It is not there at once: a share of it has to be fetched.
        const atOnce = all.sent.length
        yield* TestClock.adjust("5 seconds")
        const account = accountOf(yield* Fiber.join(fiber))
        return { atOnce, target: account?.target }
      })
      const limiter = Layer.provide(RateLimiter.layerShared(options), Layer.succeedContext(store))
      return yield* Effect.provide(
        called,
        rig({ ...two, limiter, routes: { chat: { policy: { ordered: ["a", "b"], patience } } } })
      )
    }).pipe(Effect.scoped)

  it.effect("a share that has to be fetched is a wait as any other: who is preferred has the patience for it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* target("1 second"), { atOnce: 0, target: "a" })
    }))

  it.effect("and without any patience is not waited for, not even for that", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* target(0)).target, "b")
    }))
})
