/** Requests that nobody answers, or not for far longer than others: their calls go on without them, and the target is found out. */
import { RateLimiter } from "@caprock/rate-limiter"
import { Health, LastResort, ModelRouter, type RouterEvent } from "@caprock/router"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Alarm, lateAfter, Stakes } from "../src/internal/late.ts"
import { Latencies } from "../src/internal/latencies.ts"
import {
  accountOf,
  type Behaviour,
  errorOf,
  type Fault,
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

const never = 10 * 60_000

const monotonic = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Calls, so far apart, each with a deadline: how each ended, and what it took. */
const load = Effect.fnUntraced(
  function*(all: World, calls: number, everyMillis: number, forMillis: number, deadlineMillis: number, first = 0) {
    const fibers = yield* Effect.forEach(
      Array.from({ length: calls }, (_, call) => first + call),
      (call) =>
        Effect.gen(function*() {
          yield* Effect.sleep((call - first) * everyMillis)
          const from = yield* now
          const deadline = (yield* monotonic) + deadlineMillis
          // The deadline is the client's to keep.
          const ended = yield* Effect.timeoutOption(run("chat", sending(all, call, { deadline })), deadlineMillis)
          const account = ended._tag === "Some" ? accountOf(ended.value) : undefined
          const isLost = ended._tag === "None" || Exit.isFailure(ended.value)
          return { from, took: (yield* now) - from, isLost, account }
        }).pipe(Effect.forkChild)
    )
    yield* TestClock.adjust(forMillis)
    return yield* Effect.forEach(fibers, Fiber.join)
  }
)

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(part * values.length) - 1] ?? 0

const three: RigOptions = {
  targets: { a: {}, b: {}, c: {} },
  routes: { chat: { policy: { ordered: ["a", "b", "c"] } } }
}

/** What a target has answered so that it is known what is usual there: a tenth of a second. */
const known = (calls = 20) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(
      Effect.repeat(run("chat", sending(world(() => ({ took: 100 })), -1)), { times: calls - 1 })
    )
    yield* TestClock.adjust(calls * 100)
    yield* Fiber.join(fiber)
  })

const start = (all: World, call: number, more: Parameters<typeof sending>[2] = {}) =>
  Effect.forkChild(run("chat", sending(all, call, more)), { startImmediately: true })

describe("a target that hangs", () => {
  const begins = 30_000
  const ends = 60_000
  const usual = 500

  it.effect("loses no call, adds less than two seconds, gets few requests, and is back within thirty seconds", () =>
    Effect.gen(function*() {
      const all = world((target, at): Behaviour => ({
        took: target === "a" && at >= begins && at < ends ? never : usual
      }))
      const calls = yield* load(all, 2_400, 50, 150_000, 10_000)
      assert.strictEqual(calls.filter(({ isLost }) => isLost).length, 0)
      const during = calls.filter(({ from }) => from >= begins && from < ends)
      assert.isAtMost(percentile(during.map(({ took }) => took), 0.99) - usual, 2_000)
      const toA = all.sent.filter(({ target }) => target === "a")
      // Those of the first seconds, and a probe now and then.
      assert.isBelow(toA.filter(({ at }) => at >= begins && at < ends).length, 2_500 / 50 + 10)
      assert.isBelow(toA.filter(({ at }) => at >= begins + 2_500 && at < ends).length, 6)
      const later = calls.filter(({ from }) => from >= ends + 30_000)
      assert.isAbove(later.length, 500)
      assert.isTrue(later.every(({ account }) => account?.target === "a"))
      assert.isBelow(all.sent.length, 2_400 + 2_500 / 50 + 20)
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two)), Random.withSeed("hang")))

  it.effect("and others too: what was staked in vain meanwhile loses no call afterwards", () =>
    Effect.gen(function*() {
      yield* known()
      const back = 15 * 60_000
      const all = world((target, at) => ({ took: target === "a" || at < back ? never : 100 }))
      const calls = yield* load(all, 40, 60_000, 40 * 60_000, 10_000)
      const later = calls.filter(({ from }) => from >= back)
      assert.isAbove(later.length, 20)
      assert.strictEqual(later.filter(({ isLost }) => isLost).length, 0)
    }).pipe(Effect.provide(rig(two)), Random.withSeed("both")))

  it.effect("while there are few calls: each goes on by itself, and says so", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target) => ({ took: target === "a" ? never : 100 }))
      const calls = yield* load(all, 50, 90_000, 50 * 90_000, 10_000)
      assert.strictEqual(calls.filter(({ isLost }) => isLost).length, 0)
      assert.isTrue(calls.every(({ account, took }) =>
        took === 1_100 && account?.target === "b" && account.attempts === 2 && !account.hedged &&
        account.trials.some(({ outcome, target, tookMillis }) =>
          target === "a" && outcome === "late" && tookMillis === 1_100
        )
      ))
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two)), Random.withSeed("few")))

  it.effect("is left by all of its calls at once when it is known", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target) => ({ took: target === "a" ? never : 3_000 }))
      const calls = yield* load(all, 60, 0, 20_000, 20_000)
      // A second until they are late, three for what shows it, and a second until the others look again.
      assert.isAtMost(Math.max(...calls.map(({ took }) => took)), 8_200)
      assert.isTrue(calls.every(({ account }) => account?.target === "b"))
    }).pipe(Effect.provide(rig(two))))

  it.effect("as the next one does: a third is asked", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target) => ({ took: target === "c" ? 100 : never }))
      const fiber = yield* start(all, 0, { deadline: (yield* monotonic) + 20_000 })
      yield* TestClock.adjust("20 seconds")
      const account = accountOf(yield* Fiber.join(fiber))
      assert.deepStrictEqual(account?.trials.map(({ outcome, target }) => [target, outcome]).toSorted(), [
        ["a", "late"],
        ["b", "late"],
        ["c", "answered"]
      ])
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b", "c"]), [])
    }).pipe(Effect.provide(rig(three))))

  it.effect("and fails in the end: that is one of the call's failures", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target): Behaviour =>
        target === "a" ? { took: 2_000, fails: fault("sick", undefined, "at last") } : { took: 3_000 }
      )
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust("20 seconds")
      const exit = yield* Fiber.join(fiber)
      assert.deepStrictEqual(accountOf(exit)?.trials.map(({ outcome, target }) => [target, outcome]), [
        ["a", { failed: "Fault", message: "at last" }],
        ["b", "answered"]
      ])
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two))))

  it.effect("and fails before the others do: the most telling error of all is told", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target): Behaviour =>
        target === "a"
          ? { took: 2_000, fails: fault("gone", undefined, "at last") }
          : { took: 3_000, fails: fault("limited", 60_000) }
      )
      const fiber = yield* start(all, 0, { deadline: (yield* monotonic) + 20_000 })
      yield* TestClock.adjust("20 seconds")
      assert.propertyVal(errorOf(yield* Fiber.join(fiber)), "message", "at last")
    }).pipe(Effect.provide(rig(two))))

  it.effect("ends before what it had opened is closed, and both before the answer is there, or the interruption", () =>
    Effect.gen(function*() {
      yield* known()
      for (const interruptAt of [500, 2_000, undefined]) {
        const did: Array<string> = []
        const all = world((target) => ({ took: target === "a" || interruptAt !== undefined ? never : 100 }))
        const call = sending(all, 0)
        const opening: typeof call.offer = (target) => {
          const offer = call.offer(target)
          const opened = Effect.addFinalizer(() => Effect.sync(() => did.push(`${target.name} closed`)))
          const ended = Effect.sync(() => did.push(`${target.name} ended`))
          return {
            ...offer,
            send: (granted) => Effect.andThen(opened, Effect.ensuring(offer.send(granted), ended))
          }
        }
        const router = yield* ModelRouter.ModelRouter
        const fiber = yield* Effect.scoped(router.run("chat", { ...call, offer: opening })).pipe(
          Effect.onExit(() => Effect.sync(() => did.push("over"))),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(interruptAt ?? 3_000)
        if (interruptAt !== undefined) yield* Fiber.interrupt(fiber)
        const both = ["b ended", "a ended", "a closed", "b closed", "over"]
        assert.deepStrictEqual(did, interruptAt === 500 ? ["a ended", "a closed", "over"] : both)
      }
    }).pipe(Effect.provide(rig(two))))
})

describe("a late request", () => {
  it.effect("that answers first all the same is the answer, and the other one is given up", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target) => ({ took: target === "a" ? 1_500 : never }))
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust("2 seconds")
      const account = accountOf(yield* Fiber.join(fiber))
      assert.strictEqual(account?.target, "a")
      assert.deepStrictEqual(account?.trials.map(({ outcome, target }) => [target, outcome]), [
        ["a", "answered"],
        ["b", "lost"]
      ])
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two))))

  it.effect("is waited for where nobody else can do it: only then is the last resort asked", () =>
    Effect.gen(function*() {
      yield* known()
      for (const answers of [true, false]) {
        const all = world((target): Behaviour =>
          target === "a"
            ? { took: 5_000, fails: answers ? undefined : fault("gone") }
            : { took: 10, fails: fault("gone") }
        )
        const asked: Array<number> = []
        const lastResort = LastResort.onlyFor<string, Fault, never>(() => true, () =>
          Effect.map(now, (at) => {
            asked.push(at)
            return "sorry"
          }))
        const from = yield* now
        const fiber = yield* start(all, 0, { lastResort })
        yield* TestClock.adjust("10 seconds")
        const account = accountOf(yield* Fiber.join(fiber))
        assert.strictEqual(account?.target, answers ? "a" : undefined)
        assert.deepStrictEqual(asked.map((at) => at - from), answers ? [] : [5_000])
        assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a", "b"])
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
      }
    }).pipe(Effect.provide(rig({ ...two, health: { threshold: 1 } }))))

  it.effect("and another one that fail in the same instant: the last resort is asked", () =>
    Effect.gen(function*() {
      yield* known()
      for (const took of [3_998, 3_999, 4_000, 4_001]) {
        const all = world((target) => ({ took: target === "a" ? 5_000 : took, fails: fault("gone") }))
        const lastResort = LastResort.onlyFor<string, Fault, never>(() => true, () => Effect.succeed("sorry"))
        const fiber = yield* start(all, 0, { lastResort })
        yield* TestClock.adjust("10 seconds")
        assert.isTrue(accountOf(yield* Fiber.join(fiber))?.lastResort, `after ${took}`)
      }
    }).pipe(Effect.provide(rig({ ...two, health: { threshold: 1 } }))))

  it.effect("that answers has waited for nobody, however long its call stood in other lines meanwhile", () =>
    Effect.gen(function*() {
      yield* known()
      const limiter = yield* RateLimiter.RateLimiter
      const others = yield* limiter.reserve({ pool: "b", requests: 1, tokens: 1_000_000 })
      const all = world(() => ({ took: 5_000 }))
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust("5 seconds")
      const account = accountOf(yield* Fiber.join(fiber))
      assert.deepStrictEqual([account?.target, account?.waitedMillis, account?.attempts], ["a", 0, 1])
      yield* others.release
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.scoped, Effect.provide(rig(two))))

  it.effect("whose error is the caller's ends the call, whatever goes on beside it", () =>
    Effect.gen(function*() {
      yield* known()
      const all = world((target): Behaviour =>
        target === "a" ? { took: 1_500, fails: fault("caller") } : { took: never }
      )
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust("2 seconds")
      assert.propertyVal(errorOf(yield* Fiber.join(fiber)), "kind", "caller")
      assert.deepStrictEqual(yield* leftovers(all, ["a", "b"]), [])
    }).pipe(Effect.provide(rig(two))))

  it.effect("leaves nothing behind with its call, wherever that is interrupted", () =>
    Effect.gen(function*() {
      yield* known()
      for (const at of [500, 1_000, 1_001, 1_050, 2_100, 5_000]) {
        const all = world(() => ({ took: never }))
        const fiber = yield* start(all, 0)
        yield* TestClock.adjust(at)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* leftovers(all, ["a", "b", "c"]), [])
        assert.strictEqual(all.settled, all.sent.length)
      }
    }).pipe(Effect.provide(rig(three))))

  it.effect("is one of the call's requests: who may send one has no other, and of four there is no fifth", () =>
    Effect.gen(function*() {
      for (const [attempts, sent] of [[1, 1], [2, 2], [3, 3]] as const) {
        const all = world(() => ({ took: never }))
        yield* Effect.gen(function*() {
          yield* known()
          const fiber = yield* start(all, 0)
          yield* TestClock.adjust("1 minute")
          yield* Fiber.interrupt(fiber)
        }).pipe(Effect.provide(rig({ ...three, backoff: { attempts } })))
        assert.strictEqual(all.sent.length, sent)
      }
    }))

  it.effect("of a slow world is no reason to send more: when all answers become longer, few are sent for nothing", () =>
    Effect.gen(function*() {
      const opened: Array<RouterEvent.HealthEvent> = []
      const health = yield* Health.Health
      yield* Effect.forkChild(
        Stream.runForEach(health.events, (event) => Effect.sync(() => opened.push(event))),
        { startImmediately: true }
      )
      yield* known(100)
      const all = world(() => ({ took: 20_000 }))
      const calls = yield* load(all, 1_000, 100, 300_000, never)
      assert.strictEqual(calls.filter(({ isLost }) => isLost).length, 0)
      const more = all.sent.length - 1_000
      assert.isAbove(more, 5)
      // Ten to begin with, and a fiftieth of what was called.
      assert.isAtMost(more, 30)
      assert.deepStrictEqual(opened, [])
    }).pipe(Effect.provide(rig(two)), Random.withSeed("slow")))

  for (const everyMillis of [100, 1_000, 10_000]) {
    it.effect(`of a target that has become slower alone does not keep it out for good: a call each ${everyMillis} ms`, () =>
      Effect.gen(function*() {
        yield* known(100)
        const all = world((target) => ({ took: target === "a" ? 5_000 : 1_000 }))
        const calls = yield* load(all, 600, everyMillis, 600 * everyMillis + 60_000, never)
        assert.isAbove(calls.slice(-200).filter(({ account }) => account?.target === "a").length, 100)
      }).pipe(Effect.provide(rig(two)), Random.withSeed("slower")))
  }

  it.effect("is no failure of a target that answers others meanwhile: few are sent twice, and its circuit stays closed", () =>
    Effect.gen(function*() {
      yield* known(100)
      const all = world((target, _, call) => ({ took: call % 10 > 0 ? 100 : target === "a" ? 8_000 : 2_000 }))
      const calls = yield* load(all, 2_000, 100, 260_000, never)
      assert.isBelow(all.sent.length - calls.length, 40)
      assert.isAbove(calls.slice(-200).filter(({ account }) => account?.target === "a").length, 180)
    }).pipe(Effect.provide(rig(two)), Random.withSeed("mixed")))

  it.effect("has no second one beside it that was meant for a slow one", () =>
    Effect.gen(function*() {
      const answer = (calls: number, took: number) =>
        Effect.gen(function*() {
          const fibers = yield* Effect.replicateEffect(start(world(() => ({ took })), -1), calls)
          yield* TestClock.adjust(took)
          yield* Effect.forEach(fibers, Fiber.join)
        })
      yield* answer(1, 10_000)
      yield* answer(220, 100)
      const all = world(() => ({ took: 40_000 }))
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a", "b"])
    }).pipe(Effect.provide(rig({
      ...three,
      routes: { chat: { policy: { ordered: ["a", "b", "c"] }, hedge: { percentile: 0.999, share: 0.5 } } },
      backoff: { attempts: 2 }
    }))))

  it.effect("goes on nowhere while nobody else could take it, and does when somebody can", () =>
    Effect.gen(function*() {
      yield* known()
      const health = yield* Health.Health
      yield* Effect.repeat(Effect.ignore(health.watch("b", () => "sick")(Effect.fail("no"))), { times: 4 })
      const all = world((target) => ({ took: target === "a" ? never : 100 }))
      const fiber = yield* start(all, 0)
      yield* TestClock.adjust(1_500)
      assert.deepStrictEqual(all.sent.map(({ target }) => target), ["a"])
      yield* TestClock.adjust("20 seconds")
      const account = accountOf(yield* Fiber.join(fiber))
      assert.strictEqual(account?.target, "b")
      // What it looked for in vain is none of its requests.
      assert.strictEqual(account?.attempts, 2)
    }).pipe(Effect.provide(rig(two))))

  it.effect("makes its target sick: an interruption says that, where it is told", () =>
    Effect.gen(function*() {
      const health = yield* Health.Health
      const attempt = (interrupted?: () => Health.Judged) =>
        Effect.timeoutOption(health.watch("a", () => "well", interrupted && { interrupted })(Effect.never), 10)
      const six = (interrupted?: () => Health.Judged) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.repeat(attempt(interrupted), { times: 5 }))
          yield* TestClock.adjust(60)
          yield* Fiber.interrupt(fiber)
          return health.standingUnsafe("a")._tag
        })
      assert.strictEqual(yield* six(), "Closed")
      assert.strictEqual(yield* six(() => "ignore"), "Closed")
      assert.strictEqual(yield* six(() => "sick"), "Open")
    }).pipe(Effect.provide(Health.layer())))
})

describe("when a request is late", () => {
  const after = (usual: number | undefined, leftMillis: number, count = 20, writingMillis = 5_000) => {
    const latencies = new Latencies()
    if (usual !== undefined) { for (let i = 0; i < count; i++) latencies.add(usual) }
    return lateAfter(latencies, writingMillis, leftMillis)
  }

  it("it has taken three times what 99 of 100 did, and a second; or all that is slow while that is not known", () => {
    assert.strictEqual(after(2_000, Infinity), 6_000)
    assert.strictEqual(after(10, Infinity), 1_000)
    assert.strictEqual(after(2_000, Infinity, 19), 35_000)
    assert.strictEqual(after(undefined, Infinity), 35_000)
    assert.strictEqual(lateAfter(undefined, 0, Infinity), 30_000)
  })

  it("but not before a quick model could have written so long an answer, nor after all that is slow", () => {
    assert.strictEqual(after(100, Infinity, 20, 200_000), 40_000)
    assert.strictEqual(after(20_000, Infinity), 35_000)
    assert.strictEqual(after(100, 0), 100)
    assert.strictEqual(after(undefined, 0), 10)
  })

  it("or half of what its call had left, though not before the usual", () => {
    assert.strictEqual(after(undefined, 10_000), 5_000)
    assert.strictEqual(after(4_000, 10_000), 5_000)
    assert.strictEqual(after(8_000, 10_000), 8_000)
    assert.strictEqual(after(100, 10_000), 1_000)
  })
})

describe("what is staked", () => {
  it("is ten, comes back when it was right, and by a fiftieth for each call; who waits hears of it", () => {
    const stakes = new Stakes()
    assert.strictEqual(Array.from({ length: 20 }, () => stakes.take()).filter(Boolean).length, 10)
    const woken: Array<string> = []
    stakes.heed(() => woken.push("first"))
    const gone = stakes.heed(() => woken.push("gone"))
    stakes.heed(() => woken.push("second"))
    gone()
    for (let i = 0; i < 49; i++) stakes.deposit()
    assert.deepStrictEqual(woken, [])
    stakes.deposit()
    stakes.deposit()
    assert.deepStrictEqual(woken, ["first", "second"])
    assert.isTrue(stakes.take())
    assert.isFalse(stakes.take())
    for (let i = 0; i < 1_000; i++) stakes.giveBack()
    assert.strictEqual(Array.from({ length: 20 }, () => stakes.take()).filter(Boolean).length, 10)
  })
})

describe("an alarm", () => {
  it("rings at each time, with one timer for all of them", () => {
    let at = 0
    const timers: Array<{ readonly at: number; readonly then: () => void; off: boolean }> = []
    const alarm = new Alarm(() => at, (millis, then) => {
      const timer = { at: at + millis, then, off: false }
      timers.push(timer)
      return () => {
        timer.off = true
      }
    })
    const pass = (to: number) => {
      for (let i = 0; i < timers.length; i++) {
        const timer = timers[i]
        if (timer === undefined || timer.off || timer.at > to) continue
        at = timer.at
        timer.off = true
        timer.then()
      }
      at = to
    }
    const rung: Array<string> = []
    alarm.set(20, () => rung.push("20"))
    const off = alarm.set(30, () => rung.push("30"))
    alarm.set(10, () => rung.push("10"))
    alarm.set(Infinity, () => rung.push("never"))
    off()
    alarm.set(40, () => {
      rung.push("40")
      alarm.set(50, () => rung.push("50"))
    })
    for (let i = 0; i < 100; i++) alarm.set(45, () => {})()
    assert.isAtMost(timers.length, 2)
    pass(15)
    assert.deepStrictEqual(rung, ["10"])
    pass(60)
    assert.deepStrictEqual(rung, ["10", "20", "40", "50"])
    assert.isAtMost(timers.length, 6)
    alarm.set(70, () => rung.push("70"))
    alarm.close()
    pass(100)
    assert.strictEqual(rung.length, 4)
  })
})
