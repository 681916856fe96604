/** Loads of calls in virtual time: what a route makes of several targets when they fail, are full, or are slow. */
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { ModelRouter, type Sending, type Target } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import {
  accountOf,
  type Behaviour,
  fault,
  leftovers,
  now,
  rig,
  type RigOptions,
  run,
  sending,
  two,
  type World,
  world
} from "./rig.ts"

/** So many calls, so far apart: what came of each, and how long it took. */
const load = Effect.fnUntraced(
  function*(all: World, calls: number, everyMillis: number, forMillis: number, route = "chat") {
    const fibers = yield* Effect.forEach(
      Array.from({ length: calls }, (_, call) => call),
      (call) =>
        Effect.gen(function*() {
          yield* Effect.sleep(call * everyMillis)
          const from = yield* now
          const exit = yield* run(route, sending(all, call))
          return { from, took: (yield* now) - from, exit, account: accountOf(exit) }
        }).pipe(Effect.forkChild)
    )
    yield* TestClock.adjust(forMillis)
    return yield* Effect.forEach(fibers, Fiber.join)
  }
)

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(part * values.length) - 1] ?? 0

describe("an outage of the first target under load", () => {
  const begins = 30_000
  const ends = 60_000
  const usual = 500

  const outage = Effect.gen(function*() {
    const all = world((target, at): Behaviour =>
      target === "a" && at >= begins && at < ends ? { took: 300, fails: fault("sick") } : { took: usual }
    )
    const calls = yield* load(all, 2_400, 50, 150_000)
    return { all, calls }
  })

  it.effect("loses no call, adds less than two seconds, and all is back within thirty seconds, without a rush", () =>
    Effect.gen(function*() {
      const { all, calls } = yield* outage
      assert.strictEqual(calls.filter(({ exit }) => Exit.isFailure(exit)).length, 0)
      assert.isBelow(percentile(calls.map(({ took }) => took), 0.99) - usual, 2_000)
      const toA = all.sent.filter(({ target }) => target === "a")
      // While it lasts: what opens the circuit, and a probe now and then.
      assert.isBelow(toA.filter(({ at }) => at >= begins && at < ends).length, 30)
      // From its first answer on: nobody but the probe for a second, then a part.
      const first = toA.find(({ at }) => at >= ends)?.at ?? Infinity
      assert.isBelow(first, ends + 10_000)
      assert.strictEqual(toA.filter(({ at }) => at >= ends && at < first + usual + 1_000).length, 1)
      assert.isBelow(toA.filter(({ at }) => at >= first && at < first + 5_000).length, 40)
      const later = calls.filter(({ from }) => from >= ends + 30_000)
      assert.isAbove(later.length, 500)
      assert.isTrue(later.every(({ account }) => account?.target === "a"))
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two)), Random.withSeed("outage")))
})

describe("hedging", () => {
  const tail = () => {
    let n = 0
    // 2 % take eight times as long, spread evenly.
    return world((): Behaviour => ({ took: ++n % 50 === 0 ? 4_000 : 400 + (n * 37) % 100 }))
  }
  const hedged = (hedge: boolean, attempts = 4): RigOptions => ({
    backoff: { attempts },
    targets: { a: {}, b: {} },
    routes: { chat: { policy: { headroom: ["a", "b"] }, ...(hedge ? { hedge: {} } : {}) } }
  })
  const measure = (hedge: boolean, attempts?: number) =>
    Effect.gen(function*() {
      const all = tail()
      const calls = yield* load(all, 3_000, 40, 200_000)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
      assert.strictEqual(calls.filter(({ exit }) => Exit.isFailure(exit)).length, 0)
      return { p99: percentile(calls.map(({ took }) => took), 0.99), sent: all.sent.length, calls }
    }).pipe(Effect.provide(rig(hedged(hedge, attempts))), Random.withSeed("hedge"))

  it.effect("halves what the slowest take, for a twentieth of requests more at most", () =>
    Effect.gen(function*() {
      // Who may send one request only has no other one beside it, however late it is.
      const without = yield* measure(false, 1)
      const with_ = yield* measure(true)
      assert.isBelow(with_.p99, without.p99 / 2)
      assert.isAtMost(with_.sent, 3_000 * 1.05)
      assert.isAbove(with_.sent, 3_000)
      const hedges = with_.calls.filter(({ account }) => account?.hedged === true)
      // The first of the slow ones were late, as far as anybody knew.
      const late = with_.calls.filter(({ account }) => account?.hedged === false && account.attempts === 2)
      assert.isAtMost(late.length, 5)
      assert.strictEqual(hedges.length + late.length, with_.sent - 3_000)
      assert.isTrue(hedges.every(({ account }) => account?.trials.some(({ outcome }) => outcome === "lost")))
    }))

  it.effect("is a part of the call's requests: who may send one is not hedged", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* measure(true, 1)).sent, 3_000)
    }))

  it.effect("what the one opened that is given up is closed before the answer is there", () =>
    Effect.gen(function*() {
      // Those that come before all others end, and are slow, pay for no second request.
      const all = world((_, __, call, attempt): Behaviour => ({
        took: call < 100 ? 400 : call < 149 || attempt > 1 ? 10 : 4_000
      }))
      yield* load(all, 149, 40, 60_000)
      const router = yield* ModelRouter.ModelRouter
      const open = new Set<string>()
      const call = sending(all, 149)
      const opening = (target: Target.BuiltTarget) => {
        const offer = call.offer(target)
        const opened = Effect.acquireRelease(
          Effect.sync(() => open.add(target.name)),
          () => Effect.sync(() => open.delete(target.name))
        )
        return { ...offer, send: (granted: Sending.Granted) => Effect.andThen(opened, offer.send(granted)) }
      }
      const fiber = yield* Effect.forkChild(Effect.scoped(
        Effect.map(router.run("chat", { ...call, offer: opening }), ({ account }) => ({ account, open: [...open] }))
      ))
      yield* TestClock.adjust("10 seconds")
      const then = yield* Fiber.join(fiber)
      assert.isTrue(then.account.hedged)
      assert.deepStrictEqual(then.open, [then.account.target])
      assert.strictEqual(open.size, 0)
    }).pipe(Effect.provide(rig({ ...two, routes: { chat: { policy: { ordered: ["a", "b"] }, hedge: {} } } }))))

  /** One in a hundred is slow at first, so that half a second is, and then every second. */
  const worse = (hedge: { readonly percentile?: number; readonly share?: number }) =>
    Effect.gen(function*() {
      let n = 0
      const all = world((): Behaviour => ({ took: ++n % (n < 400 ? 100 : 2) === 0 ? 4_000 : 400 + (n * 37) % 100 }))
      const calls = yield* load(all, 1_500, 40, 100_000)
      const firstAt = new Map(all.sent.flatMap(({ at, call, hedge }) => hedge ? [] : [[call, at]]))
      return {
        hedges: calls.filter(({ account }) => account?.hedged === true).length,
        after: all.sent.flatMap(({ at, call, hedge }) => hedge ? [at - (firstAt.get(call) ?? 0)] : [])
      }
    }).pipe(
      Effect.provide(rig({ targets: { a: {}, b: {} }, routes: { chat: { policy: { headroom: ["a", "b"] }, hedge } } })),
      Random.withSeed("hedge")
    )

  it.effect("is paid for by the route's calls, with the share that it is told, however slow they are", () =>
    Effect.gen(function*() {
      const few = yield* worse({})
      assert.isAbove(few.hedges, 20)
      assert.isAtMost(few.hedges, 75)
      const many = yield* worse({ share: 0.2 })
      assert.isAbove(many.hedges, 75)
      assert.isAtMost(many.hedges, 300)
      assert.strictEqual((yield* worse({ share: 0 })).hedges, 0)
    }))

  it.effect("begins after the percentile that it is told", () =>
    Effect.gen(function*() {
      assert.isAtLeast(Math.min(...(yield* worse({})).after), 480)
      assert.isBelow(Math.min(...(yield* worse({ percentile: 0.5 })).after), 470)
    }))

  it.effect("is not for a target that failed for the call before", () =>
    Effect.gen(function*() {
      const all = world((target, _, call): Behaviour =>
        call < 149 ? { took: 10 } : target === "a" ? { took: 0, fails: fault("limited", 60_000) } : { took: 4_000 }
      )
      yield* load(all, 149, 40, 60_000, "only b")
      const fiber = yield* Effect.forkChild(run("chat", sending(all, 149)))
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(accountOf(yield* Fiber.join(fiber))?.hedged)
      assert.deepStrictEqual(all.sent.slice(149).map(({ target }) => target), ["a", "b"])
    }).pipe(Effect.provide(rig({
      targets: { a: {}, b: {} },
      routes: { "only b": { policy: "b" }, chat: { policy: { ordered: ["a", "b"] }, hedge: {} } }
    }))))

  it.effect("is for pools with room to spare", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const others = yield* limiter.reserve({ pool: "b", requests: 1, tokens: 850 })
      const all = tail()
      const without = yield* load(all, 500, 40, 60_000)
      assert.isTrue(without.every(({ account }) => account?.hedged === false))
      yield* others.release
      const after = yield* load(all, 500, 40, 60_000)
      assert.isTrue(after.some(({ account }) => account?.hedged === true))
    }).pipe(
      Effect.scoped,
      Effect.provide(rig({
        targets: { a: {}, b: {} },
        routes: { chat: { policy: { ordered: ["a", "b"] }, hedge: {} } },
        meters: (pool) => [Meter.tokens(pool === "b" ? 1_000 : 1_000_000, "1 second")]
      }))
    ))
})

describe("capacity", () => {
  it.effect("three equal pools serve what all three have, and never more", () =>
    Effect.gen(function*() {
      // Each pool: 1,000 tokens in 10 seconds. Offered: three times that of all.
      const all = world(() => ({ took: 50 }))
      const calls = yield* load(all, 900, 100, 360_000)
      const until = 90_000
      for (const target of ["a", "b", "c"]) {
        const own = all.sent.filter((sent) => sent.target === target)
        for (const { at } of own) {
          assert.isAtMost(own.filter((other) => other.at > at - 10_000 && other.at <= at).length, 10)
        }
      }
      const served = all.sent.filter(({ at }) => at < until).length
      // The window holds a charge for its guard and the time of the answer longer.
      const most = 3 * 10 * until / (10_000 + 250)
      assert.isAbove(served / most, 0.95)
      assert.isTrue(calls.length === 900)
    }).pipe(
      Effect.provide(rig({
        targets: { a: {}, b: {}, c: {} },
        routes: { chat: { policy: { headroom: ["a", "b", "c"] } } },
        meters: () => [Meter.tokens(1_000, "10 seconds")]
      })),
      Random.withSeed("sum")
    ))

  it.effect("what is bought comes first, and the rest only while that is full", () =>
    Effect.gen(function*() {
      const all = world(() => ({ took: 50 }))
      // 20 of 100 tokens a second fit; for ten seconds 10 a second come, then 40, then 10.
      yield* load(all, 100, 100, 12_000)
      assert.isTrue(all.sent.every(({ target }) => target === "bought"))
      const calm = all.sent.length
      yield* load(all, 400, 25, 12_000)
      const rush = all.sent.slice(calm)
      assert.isAbove(rush.filter(({ target }) => target === "spare").length, 150)
      assert.isAbove(rush.filter(({ target }) => target === "bought").length, 150)
      yield* TestClock.adjust("3 seconds")
      const before = all.sent.length
      yield* load(all, 100, 100, 12_000)
      assert.isTrue(all.sent.slice(before).every(({ target }) => target === "bought"))
    }).pipe(Effect.provide(rig({
      targets: { bought: {}, spare: {} },
      routes: { chat: { policy: { ordered: ["bought", "spare"], patience: 0 } } },
      meters: (pool) => [Meter.tokens(pool === "bought" ? 2_000 : 100_000, "1 second")]
    }))))
})
