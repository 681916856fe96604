/** Health that several processes have in common: two of them on one store, in virtual time, and on a real Redis. */
import { RetryBudget } from "@caprock/backoff"
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { Health, ModelRouter, RouteTable } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as RedisServers from "../../rate-limiter/test/redisServers.ts"
import { leftovers, run, sending, world } from "./rig.ts"

const attempt = (health: Health.Health["Service"], judged: Health.Judged, took = 0) =>
  Effect.exit(
    health.watch("a", () => judged)(
      Effect.andThen(Effect.sleep(took), judged === "well" ? Effect.void : Effect.fail("no"))
    )
  )

const fail = (health: Health.Health["Service"]) => Effect.repeat(attempt(health, "sick"), { times: 4 })

const rejected = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit)

/** Two processes. Each has used the target once. */
const twoProcesses = Effect.gen(function*() {
  const one = yield* Health.makeShared()
  const two = yield* Health.makeShared()
  yield* attempt(one, "well")
  yield* attempt(two, "well")
  return [one, two] as const
})

const away = CircuitBreaker.CircuitBreakerStore.of({
  admit: () => Effect.never,
  record: () => Effect.never,
  state: () => Effect.never
})

describe("shared health", () => {
  it.effect("the others hear within a second that a circuit opened", () =>
    Effect.gen(function*() {
      const [one, two] = yield* twoProcesses
      yield* fail(one)
      assert.deepStrictEqual(two.standingUnsafe("a"), { _tag: "Closed", share: 1 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(one.standingUnsafe("a")._tag, "Open")
      assert.deepStrictEqual(two.standingUnsafe("a"), one.standingUnsafe("a"))
      assert.isTrue(rejected(yield* attempt(two, "well")))
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory())))

  it.effect("all together send one probe, and all hear how it ended", () =>
    Effect.gen(function*() {
      const [one, two] = yield* twoProcesses
      yield* fail(one)
      yield* TestClock.adjust("2 seconds")
      const probes = yield* Effect.forEach([one, two, one, two], (health) =>
        Effect.forkChild(attempt(health, "well", 500), { startImmediately: true }))
      yield* TestClock.adjust("600 millis")
      const exits = yield* Effect.forEach(probes, Fiber.join)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      assert.strictEqual(one.standingUnsafe("a")._tag, "Closed")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(two.standingUnsafe("a")._tag, "Closed")
      assert.isFalse(rejected(yield* attempt(two, "well")))
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory())))

  it.effect("a probe that fails opens it for all; one that is interrupted leaves the next to probe", () =>
    Effect.gen(function*() {
      const [one, two] = yield* twoProcesses
      yield* fail(one)
      yield* TestClock.adjust("2 seconds")
      const probe = yield* Effect.forkChild(attempt(two, "well", 500), { startImmediately: true })
      yield* Fiber.interrupt(probe)
      yield* TestClock.adjust(1)
      yield* attempt(one, "sick")
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(one.standingUnsafe("a")._tag, "Open")
      assert.isTrue(rejected(yield* attempt(two, "well")))
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(rejected(yield* attempt(two, "well")))
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory())))

  it.effect("while the store does not answer each process is on its own, and no call hangs", () =>
    Effect.gen(function*() {
      const [one, two] = yield* twoProcesses
      yield* fail(one)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(two.standingUnsafe("a"), { _tag: "Closed", share: 1 })
      assert.deepStrictEqual(one.standingUnsafe("a"), { _tag: "HalfOpen", probing: false })
      const probe = yield* Effect.forkChild(attempt(one, "well"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.isFalse(rejected(yield* Fiber.join(probe)))
      assert.strictEqual(one.standingUnsafe("a")._tag, "Closed")
      yield* fail(one)
      yield* TestClock.adjust("10 seconds")
      const interrupted = yield* Effect.forkChild(attempt(one, "well"), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      assert.deepStrictEqual(one.standingUnsafe("a"), { _tag: "HalfOpen", probing: false })
    }).pipe(Effect.provideService(CircuitBreaker.CircuitBreakerStore, away)))

  it.effect("a probe is not sent after its call's deadline, however long the store thinks", () =>
    Effect.gen(function*() {
      const health = yield* Health.makeShared()
      yield* fail(health)
      yield* TestClock.adjust("2 seconds")
      let sent = 0
      const probe = (leftMillis: number) =>
        Effect.forkChild(
          Effect.exit(health.watch("a", () => "well", { leftMillis })(Effect.sync(() => sent++))),
          { startImmediately: true }
        )
      const late = yield* probe(999)
      yield* TestClock.adjust("998 millis")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.isDefined(late.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(rejected(yield* Fiber.join(late)))
      assert.strictEqual(sent, 0)
      assert.deepStrictEqual(health.standingUnsafe("a"), { _tag: "HalfOpen", probing: false })
      yield* probe(1_001)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(sent, 1)
    }).pipe(Effect.provideService(CircuitBreaker.CircuitBreakerStore, away)))

  it.effect("a call by a route that has to ask the store sends nothing after its deadline, and leaves nothing behind", () =>
    Effect.gen(function*() {
      yield* fail(yield* Health.Health)
      yield* TestClock.adjust("2 seconds")
      const all = world(() => ({ took: 10 }))
      const call = yield* Effect.forkChild(run("alone", sending(all, 0, { deadline: 2_300 })), {
        startImmediately: true
      })
      yield* TestClock.adjust("300 millis")
      assert.isDefined(call.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(rejected(yield* Fiber.join(call)))
      assert.deepStrictEqual(all.sent, [])
      assert.deepStrictEqual(yield* leftovers(all, ["a"]), [])
    }).pipe(Effect.provide(
      ModelRouter.layer({
        table: Result.getOrThrow(
          RouteTable.make({ targets: { a: { model: "sage" } }, routes: { alone: { policy: "a" } } })
        )
      }).pipe(Layer.provideMerge(Layer.mergeAll(
        RateLimiter.layer({ meters: () => [Meter.tokens(1_000)] }),
        Layer.provide(Health.layerShared(), Layer.succeed(CircuitBreaker.CircuitBreakerStore, away)),
        Layer.orDie(RetryBudget.layer())
      )))
    )))

  it.effect("the others hear of streams that break", () =>
    Effect.gen(function*() {
      const [one, two] = yield* twoProcesses
      for (let broken = 0; broken < 5; broken++) {
        yield* attempt(one, "well")
        one.tellUnsafe("a", "sick")
      }
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([one, two].map((health) => health.standingUnsafe("a")._tag), ["Open", "Open"])
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory())))

  // A real server, whose clock nobody turns. Where it can't be had it is said loudly; with `CI`, `installed` fails instead.
  it.live.skipIf(!RedisServers.installed("redis"))(
    "on Redis: one probe for two processes",
    () =>
      Effect.gen(function*() {
        const [one, two] = yield* twoProcesses
        yield* fail(one)
        const until = Effect.fnUntraced(function*(health: Health.Health["Service"], tag: string) {
          while (health.standingUnsafe("a")._tag !== tag) yield* Effect.sleep(10)
        })
        yield* until(two, "Open")
        yield* Effect.all([until(one, "HalfOpen"), until(two, "HalfOpen")])
        // What one of them heard may be some milliseconds behind the server's own clock.
        yield* Effect.sleep(50)
        const exits = yield* Effect.forEach([one, two, one, two], (health) => attempt(health, "well", 200), {
          concurrency: "unbounded"
        })
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        yield* Effect.all([until(one, "Closed"), until(two, "Closed")])
      }).pipe(
        Effect.timeout("30 seconds"),
        Effect.provide(Layer.provide(CircuitBreaker.layerStoreRedis(), RedisServers.layer("redis")))
      )
  )
})
