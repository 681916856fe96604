// What processes that share a quota see of each other.
import { Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Array, Clock, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { SharedQuota } from "../src/internal/sharedQuota.ts"
import * as FaultyStore from "./faultyStore.ts"

type Limiter = RateLimiter.RateLimiter["Service"]

interface Sent {
  readonly at: number
  readonly by: string
}

const minute = 60_000

/** So many processes, each in a scope of its own, with one store. */
const processes = Effect.fnUntraced(function*(
  count: number,
  options: Partial<RateLimiter.SharedOptions> & Pick<RateLimiter.SharedOptions, "meters">
) {
  const store = yield* FaultyStore.make(count)
  const scopes = yield* Effect.forEach(store.links, () => Scope.make())
  const limiters = yield* Effect.forEach(store.links, (link, index) =>
    Scope.provide(
      FaultyStore.provide(RateLimiter.makeShared(options), link),
      scopes[index] as Scope.Closeable
    ))
  yield* Effect.addFinalizer(() => Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { discard: true }))
  return { store, limiters: limiters as [Limiter, Limiter, Limiter, Limiter], scopes }
})

/** A limiter of one of two processes, with options of its own. */
const limiterOn = (
  store: Effect.Success<ReturnType<typeof FaultyStore.make>>,
  process: 0 | 1,
  options: RateLimiter.SharedOptions
) => FaultyStore.provide(RateLimiter.makeShared(options), store.links[process] as (typeof store.links)[number])

/** Sends so many requests, which are charged as they were booked, and notes when. */
const backlog = (
  limiter: Limiter,
  count: number,
  log: Array<Sent>,
  by: string,
  cost: Partial<Parameters<Limiter["reserve"]>[0]> = {}
) =>
  Effect.forEach(Array.range(1, count), () =>
    Effect.scoped(Effect.gen(function*() {
      const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens: 10, ...cost })
      log.push({ at: yield* Clock.currentTimeMillis, by })
      reservation.sentUnsafe()
      yield* Effect.sleep(200)
      yield* reservation.settle({ tokens: cost.tokens ?? 10 })
    })), { concurrency: "unbounded", discard: true }).pipe(Effect.forkChild)

/** Lets time pass in steps, so that whoever waits for another is heard. */
const pass = (millis: number) =>
  Effect.gen(function*() {
    for (let passed = 0; passed < millis; passed += 25) yield* TestClock.adjust(25)
  })

const countOf = (log: ReadonlyArray<Sent>, by: string, from = 0, to = Infinity) =>
  log.filter((one) => one.by === by && one.at >= from && one.at < to).length

const requests = (limit: number) => () => [Meter.requests(limit)]

describe("the quota of all", () => {
  it.effect("is used to the full, by whoever waits, and by all alike while all do", () =>
    Effect.gen(function*() {
      const { limiters } = yield* processes(3, { meters: requests(60) })
      const log: Array<Sent> = []
      // The second has enough for half a minute, and then the others have its part too.
      yield* backlog(limiters[0], 400, log, "a")
      yield* backlog(limiters[1], 10, log, "b")
      yield* backlog(limiters[2], 400, log, "c")
      yield* pass(5 * minute)
      // Every quota is used again as soon as it may be: a beat or two later than by one process alone.
      assert.isAtLeast(log.length, 60 * 4)
      assert.strictEqual(countOf(log, "b"), 10)
      assert.isAtMost(Math.abs(countOf(log, "a") - countOf(log, "c")), 4)
      for (const { at } of log) assert.isAtMost(log.filter((one) => one.at > at - minute && one.at <= at).length, 60)
    }).pipe(Effect.scoped))

  it.effect("is for all alike, with whatever lease", () =>
    Effect.gen(function*() {
      const store = yield* FaultyStore.make(2)
      const limiterOf = (process: 0 | 1, lease: Duration.Input) =>
        limiterOn(store, process, { meters: requests(60), lease })
      const log: Array<Sent> = []
      yield* backlog(yield* limiterOf(0, "1 second"), 400, log, "short")
      yield* backlog(yield* limiterOf(1, "8 seconds"), 400, log, "long")
      yield* pass(5 * minute)
      assert.isAtLeast(log.length, 60 * 4)
      assert.isAtMost(Math.abs(countOf(log, "short") - countOf(log, "long")), 12)
    }).pipe(Effect.scoped))

  it.effect("is used though processes are killed all the time", () =>
    Effect.gen(function*() {
      const limit = 400
      const window = 20_000
      const { limiters, scopes, store } = yield* processes(24, {
        meters: () => [Meter.requests(limit, window)],
        guard: 0
      })
      const log: Array<Sent> = []
      const begin = (process: number) => backlog(limiters[process] as Limiter, 400, log, `${process}`)
      // Evenly, so that something leaves all the time, and at each death.
      for (let sent = 0; sent < limit; sent++) {
        yield* backlog(limiters[sent % 8] as Limiter, 1, log, `${sent % 8}`)
        yield* pass(window / limit)
      }
      for (let process = 0; process < 8; process++) yield* begin(process)
      yield* pass(window)
      for (let dead = 0; dead < 16; dead++) {
        yield* pass(5_000)
        // Nobody hears of it, and it hears of nobody.
        store.faults.cut.add(dead)
        yield* Scope.close(scopes[dead] as Scope.Closeable, Exit.void)
        yield* begin(dead + 8)
      }
      const now = yield* Clock.currentTimeMillis
      const used = (at: number) => log.filter((one) => one.at > at - window && one.at <= at).length
      const samples = Array.range(1, 150).map((back) => used(now - back * 400))
      for (const sample of samples) assert.isAtMost(sample, limit)
      const occupied = samples.reduce((sum, sample) => sum + sample, 0) / samples.length / limit
      assert.isAtLeast(occupied, 0.95)
      // Nor is anything kept of who was given something, and died.
      for (const books of store.books().values()) {
        const { members, pushed }: SharedQuota = JSON.parse(books)
        assert.includeMembers(Object.keys(members), Object.keys(pushed))
      }
    }).pipe(Effect.scoped))

  it.effect("is there at once for one who comes when nobody else uses it", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(limiters[0], 20, log, "a")
      yield* pass(10_000)
      yield* backlog(limiters[1], 40, log, "b")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "b", 10_000, 10_200), 40)
      // What was used has left, and who holds nothing has nothing to say.
      yield* pass(3 * minute)
      const before = store.exchanges()
      yield* pass(minute)
      assert.strictEqual(store.exchanges(), before)
    }).pipe(Effect.scoped))

  it.effect("the smallest limit holds for all, and who asks for more than that holds up nobody", () =>
    Effect.gen(function*() {
      const store = yield* FaultyStore.make(2)
      const limiterOf = (process: 0 | 1, limit: number) =>
        limiterOn(store, process, { meters: () => [Meter.tokens(limit)] })
      const one = yield* limiterOf(0, 1_000)
      const other = yield* limiterOf(1, 500)
      const log: Array<Sent> = []
      yield* backlog(other, 300, log, "small")
      yield* pass(1_000)
      // Together, and one by one, they ask for more than the other knows of.
      yield* backlog(one, 2, log, "large", { tokens: 800 })
      yield* pass(10 * minute)
      assert.strictEqual(countOf(log, "large"), 2)
      assert.isAtLeast(countOf(log, "small"), 200)
      // Each by itself, when the store is away: half of what the other knows of.
      store.faults.down = true
      yield* pass(3 * minute)
      yield* backlog(one, 100, log, "alone")
      yield* pass(minute)
      assert.strictEqual(countOf(log, "alone"), 25)
    }).pipe(Effect.scoped))

  it.effect("one that needs more requests than another knows of holds up nobody", () =>
    Effect.gen(function*() {
      const store = yield* FaultyStore.make(2)
      const limiterOf = (process: 0 | 1, limit: number) =>
        limiterOn(store, process, { meters: () => [Meter.requests(limit)] })
      const one = yield* limiterOf(0, 20)
      const other = yield* limiterOf(1, 10)
      const log: Array<Sent> = []
      yield* backlog(other, 100, log, "small")
      yield* pass(1_000)
      yield* backlog(one, 1, log, "large", { requests: 15 })
      yield* pass(10 * minute)
      assert.isAtLeast(countOf(log, "small"), 40)
    }).pipe(Effect.scoped))

  it.effect("a request as large as all of it gets it in its turn", () =>
    Effect.gen(function*() {
      const { limiters } = yield* processes(3, { meters: () => [Meter.tokens(600)] })
      const log: Array<Sent> = []
      yield* backlog(limiters[0], 300, log, "small")
      yield* backlog(limiters[1], 300, log, "small")
      yield* pass(1_000)
      yield* backlog(limiters[2], 1, log, "large", { tokens: 600 })
      yield* pass(4 * minute)
      assert.strictEqual(countOf(log, "large", 0, 3 * minute), 1)
      assert.isAtLeast(countOf(log, "small"), 120)
    }).pipe(Effect.scoped))
})

describe("the order of all", () => {
  it.effect("interactive requests of one process go before the bulk of another", () =>
    Effect.gen(function*() {
      const { limiters } = yield* processes(2, { meters: requests(60), order: { ageing: "1 hour" } })
      const log: Array<Sent> = []
      yield* backlog(limiters[0], 300, log, "bulk", { priority: "bulk" })
      yield* pass(30_000)
      yield* backlog(limiters[1], 20, log, "interactive", { priority: "interactive" })
      yield* pass(2 * minute)
      // From the moment that it came, the first that comes free is its own.
      const after = log.filter(({ at }) => at >= 30_000)
      const last = Math.max(...after.filter(({ by }) => by === "interactive").map(({ at }) => at))
      assert.strictEqual(countOf(after, "interactive"), 20)
      assert.strictEqual(countOf(after, "bulk", 0, last), 0)
    }).pipe(Effect.scoped))

  it.effect("tenants share by weight, wherever their requests come from", () =>
    Effect.gen(function*() {
      const { limiters } = yield* processes(3, {
        meters: requests(60),
        order: { weight: (tenant) => tenant === "heavy" ? 3 : 1 }
      })
      const log: Array<Sent> = []
      // The light one comes through two processes, and has no more of it.
      yield* backlog(limiters[0], 300, log, "heavy", { tenant: "heavy" })
      yield* backlog(limiters[1], 150, log, "light", { tenant: "light" })
      yield* backlog(limiters[2], 150, log, "light", { tenant: "light" })
      yield* pass(5 * minute)
      const ratio = countOf(log, "heavy") / countOf(log, "light")
      assert.isAbove(ratio, 2.4)
      assert.isBelow(ratio, 3.6)
    }).pipe(Effect.scoped))
})

describe("a process that goes", () => {
  it.effect("leaves what it did not use at once, and what it used when that has left its window", () =>
    Effect.gen(function*() {
      const { limiters, scopes } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      const fiber = yield* backlog(limiters[0], 30, log, "a")
      yield* pass(5_000)
      yield* Fiber.join(fiber)
      yield* Scope.close(scopes[0] as Scope.Closeable, Exit.void)
      yield* backlog(limiters[1], 60, log, "b")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "b"), 30)
      yield* pass(minute)
      assert.strictEqual(countOf(log, "b"), 60)
    }).pipe(Effect.scoped))

  it.effect("without a word leaves it after its lease, and what it may have been charged after a window more", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(2, { meters: () => [Meter.requests(60), Meter.concurrency(20)] })
      const log: Array<Sent> = []
      yield* backlog(limiters[0], 200, log, "a")
      yield* pass(5_000)
      assert.strictEqual(countOf(log, "a"), 60)
      store.faults.cut.add(0)
      yield* backlog(limiters[1], 60, log, "b")
      yield* pass(50_000)
      assert.strictEqual(countOf(log, "b"), 0)
      yield* pass(20_000)
      assert.strictEqual(countOf(log, "b"), 60)
    }).pipe(Effect.scoped))
})

describe("a store that is away", () => {
  const away = Effect.fnUntraced(function*(onLoss: "fail" | "wait" | "share") {
    const { limiters, store } = yield* processes(2, { meters: requests(60), onLoss })
    const log: Array<Sent> = []
    yield* backlog(limiters[0], 30, log, "a")
    yield* backlog(limiters[1], 30, log, "b")
    yield* pass(2_000)
    store.faults.down = true
    yield* pass(10_000)
    return { limiters, log, store }
  })

  it.effect("fail: who comes is told so, and so is who waits, until it is back", () =>
    Effect.gen(function*() {
      const { limiters: [limiter], log, store } = yield* away("fail")
      const refused = yield* Effect.flip(Effect.scoped(limiter.reserve({ pool: "p", requests: 1, tokens: 0 })))
      assert.strictEqual(refused.reason._tag, "StoreUnavailable")
      assert.include(refused.message, "is away")
      assert.include(refused.message, "onLoss")
      assert.isFalse((yield* limiter.snapshot("p")).shared?.reachable)
      store.faults.down = false
      yield* pass(minute)
      yield* backlog(limiter, 10, log, "later")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "later"), 10)
      assert.isTrue((yield* limiter.snapshot("p")).shared?.reachable)
    }).pipe(Effect.scoped))

  it.effect("wait: nobody is admitted, and nobody fails", () =>
    Effect.gen(function*() {
      const { limiters: [limiter], log, store } = yield* away("wait")
      yield* backlog(limiter, 10, log, "later")
      yield* pass(5 * minute)
      assert.strictEqual(countOf(log, "later"), 0)
      store.faults.down = false
      yield* pass(5_000)
      assert.strictEqual(countOf(log, "later"), 10)
    }).pipe(Effect.scoped))

  it.effect("share: each goes on with its part, and with all of it when the store is back", () =>
    Effect.gen(function*() {
      const { limiters: [one, other], log, store } = yield* away("share")
      yield* backlog(one, 300, log, "one")
      yield* pass(4 * minute)
      // Thirty of sixty, in each window.
      assert.isAtLeast(countOf(log, "one"), 60)
      assert.isAtMost(countOf(log, "one", 2 * minute, 3 * minute), 30)
      store.faults.down = false
      const back = yield* Clock.currentTimeMillis
      yield* pass(2 * minute)
      assert.isAtLeast(countOf(log, "one", back + minute), 59)
      yield* backlog(other, 10, log, "other")
      yield* pass(minute)
      assert.strictEqual(countOf(log, "other"), 10)
      for (const { at } of log) assert.isAtMost(log.filter((one) => one.at > at - minute && one.at <= at).length, 60)
    }).pipe(Effect.scoped))

  it.effect("share: both of two who wait go on with what they hold, from the end of the lease on", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(2, { meters: requests(60), onLoss: "share" })
      const log: Array<Sent> = []
      // One comes each second, so that one leaves each second of the next minute; then more wait than may go.
      for (let second = 0; second < 90; second++) {
        for (const [index, by] of ["a", "b"].entries()) {
          const count = second >= 60 ? 2 : second % 2 === index ? 1 : 0
          if (count > 0) yield* backlog(limiters[index] as Limiter, count, log, by)
        }
        if (second === 70) store.faults.hung = true
        yield* pass(1_000)
      }
      // Half of what leaves is each one's own.
      for (const by of ["a", "b"]) assert.isAtLeast(countOf(log, by, 76_000, 90_000), 5)
      for (const { at } of log) assert.isAtMost(log.filter((one) => one.at > at - minute && one.at <= at).length, 60)
    }).pipe(Effect.scoped))

  it.effect("comes back empty while one that held a share is dead: the others use their own until it gives again", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(3, { meters: requests(60) })
      const log: Array<Sent> = []
      // One comes each second, and then more wait than may go.
      for (let second = 0; second < 70; second++) {
        yield* backlog(limiters[second % 3] as Limiter, 1, log, "first")
        yield* pass(1_000)
      }
      for (const index of [0, 1]) yield* backlog(limiters[index] as Limiter, 200, log, "then")
      yield* pass(2_000)
      store.faults.cut.add(2)
      store.restore(new Map())
      const lostAt = yield* Clock.currentTimeMillis
      yield* pass(minute)
      assert.isAtLeast(countOf(log, "then", lostAt + 2_000, lostAt + minute), 30)
      yield* pass(minute)
      assert.isAtLeast(countOf(log, "then", lostAt + minute, lostAt + 2 * minute), 55)
      for (const { at } of log) assert.isAtMost(log.filter((one) => one.at > at - minute && one.at <= at).length, 60)
    }).pipe(Effect.scoped))

  it.effect("comes back empty, and all say what they hold: it is for all alike again before a window is over", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      for (let second = 0; second < 70; second++) {
        yield* backlog(limiters[second % 4 === 0 ? 1 : 0] as Limiter, 1, log, "first")
        yield* pass(1_000)
      }
      store.restore(new Map())
      yield* pass(200)
      yield* backlog(limiters[0], 200, log, "a")
      yield* backlog(limiters[1], 200, log, "b")
      yield* pass(minute)
      assert.isAtLeast(countOf(log, "a") + countOf(log, "b"), 55)
      assert.isAtMost(Math.abs(countOf(log, "a") - countOf(log, "b")), 8)
    }).pipe(Effect.scoped))

  it.effect("comes back empty: until it gives again, who needs much saves up its own for it, and asks no more often", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(3, { meters: () => [Meter.tokens(600)] })
      const log: Array<Sent> = []
      for (let second = 0; second < 70; second++) {
        yield* backlog(limiters[second % 3] as Limiter, 1, log, "first")
        yield* pass(1_000)
      }
      for (const index of [0, 1]) yield* backlog(limiters[index] as Limiter, 20, log, "large", { tokens: 50 })
      yield* pass(2_000)
      store.faults.cut.add(2)
      store.restore(new Map())
      yield* pass(5_000)
      const [from, before] = [yield* Clock.currentTimeMillis, store.exchanges()]
      yield* pass(50_000)
      // Ten tokens of each one's own leave every three seconds.
      assert.isAtLeast(countOf(log, "large", from, from + 50_000), 5)
      // Each says eight times in its lease that it is alive.
      assert.isAtMost(store.exchanges() - before, 2 * (8 * 50 / 4 + 10))
    }).pipe(Effect.scoped))

  it.effect("comes back empty: until it gives again, waits are predicted by what leaves of each one's own", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(3, { meters: requests(60) })
      const log: Array<Sent> = []
      for (let second = 0; second < 70; second++) {
        yield* backlog(limiters[second % 3] as Limiter, 1, log, "first")
        yield* pass(1_000)
      }
      for (const index of [0, 1]) yield* backlog(limiters[index] as Limiter, 60, log, "bulk", { priority: "bulk" })
      store.faults.cut.add(2)
      store.restore(new Map())
      yield* pass(5_000)
      const [limiter] = limiters
      const [urgent, late] = [
        yield* limiter.estimate({ pool: "p", requests: 1, tokens: 0, priority: "interactive" }),
        yield* limiter.estimate({ pool: "p", requests: 1, tokens: 0, priority: "bulk" })
      ]
      // One of its twenty leaves each three seconds; of those who wait before it, more than the store lets it wait for.
      assert.isAtMost(Duration.toSeconds(urgent), 4)
      assert.isAbove(Duration.toSeconds(late), 50)
      const asked = yield* Clock.currentTimeMillis
      yield* backlog(limiter, 1, log, "urgent", { priority: "interactive", maxWait: Duration.seconds(15) })
      yield* pass(5_000)
      assert.strictEqual(countOf(log, "urgent", asked, asked + 4_000), 1)
    }).pipe(Effect.scoped))

  it.effect("share: one that never had an answer does not know with whom it shares, and fails until it has one", () =>
    Effect.gen(function*() {
      const { limiters: [limiter], store } = yield* processes(1, { meters: requests(60) })
      const log: Array<Sent> = []
      store.faults.down = true
      const first = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(limiter.reserve({ pool: "p", requests: 1, tokens: 0 })))
      )
      yield* pass(3_000)
      assert.strictEqual((yield* Fiber.join(first)).reason._tag, "StoreUnavailable")
      store.faults.down = false
      yield* pass(3_000)
      yield* backlog(limiter, 10, log, "later")
      yield* pass(3_000)
      assert.strictEqual(log.length, 10)
    }).pipe(Effect.scoped))
})

describe("what one process learns", () => {
  it.effect("parks the pool in all of them", () =>
    Effect.gen(function*() {
      const { limiters: [one, other] } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(one, 5, log, "a")
      yield* backlog(other, 5, log, "b")
      yield* pass(2_000)
      yield* one.park("p", "1 hour")
      yield* pass(2_000)
      const refused = yield* Effect.flip(Effect.scoped(other.reserve({ pool: "p", requests: 1, tokens: 0 })))
      assert.strictEqual(refused.reason._tag, "PoolParked")
    }).pipe(Effect.scoped))

  it.effect("parks it in all of them also when the store was away just then", () =>
    Effect.gen(function*() {
      const { limiters: [one, other], store } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(one, 5, log, "a")
      yield* backlog(other, 5, log, "b")
      yield* pass(2_000)
      store.faults.cut.add(0)
      yield* one.park("p", "1 hour")
      yield* pass(500)
      store.faults.cut.delete(0)
      yield* pass(3_000)
      const refused = yield* Effect.flip(Effect.scoped(other.reserve({ pool: "p", requests: 1, tokens: 0 })))
      assert.strictEqual(refused.reason._tag, "PoolParked")
    }).pipe(Effect.scoped))

  it.effect("somebody else's use is told to all when the store is back that was away just then", () =>
    Effect.gen(function*() {
      const { limiters: [one, other], store } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(one, 5, log, "a")
      yield* pass(2_000)
      store.faults.cut.add(0)
      yield* one.throttled("p", "requests")
      yield* pass(500)
      store.faults.cut.delete(0)
      yield* pass(2_000)
      yield* backlog(other, 60, log, "b")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "b"), 0)
      yield* pass(2 * minute)
      assert.strictEqual(countOf(log, "b"), 60)
    }).pipe(Effect.scoped))

  it.effect("somebody else's use is told no more when the store was away for longer than it counts", () =>
    Effect.gen(function*() {
      const { limiters: [one, other], store } = yield* processes(2, { meters: requests(60), onLoss: "wait" })
      const log: Array<Sent> = []
      yield* backlog(one, 5, log, "a")
      yield* pass(2_000)
      store.faults.down = true
      yield* one.throttled("p", "requests")
      yield* pass(2 * minute)
      store.faults.down = false
      yield* pass(3_000)
      yield* backlog(other, 60, log, "b")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "b"), 60)
    }).pipe(Effect.scoped))

  it.effect("somebody else's use slows all of them, and only on that meter", () =>
    Effect.gen(function*() {
      const { limiters: [one, other] } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(one, 5, log, "a")
      yield* pass(2_000)
      yield* one.throttled("p", "requests")
      yield* pass(1_000)
      yield* backlog(other, 60, log, "b")
      yield* pass(1_000)
      assert.strictEqual(countOf(log, "b"), 0)
      yield* pass(30_000)
      assert.isAtLeast(countOf(log, "b"), 15)
      yield* pass(minute)
      assert.strictEqual(countOf(log, "b"), 60)
    }).pipe(Effect.scoped))
})

describe("what is seen", () => {
  it.effect("a snapshot has the levels of all, and what is this process's own", () =>
    Effect.gen(function*() {
      const { limiters: [one, other] } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(one, 20, log, "a")
      yield* backlog(other, 100, log, "b")
      yield* pass(5_000)
      const { meters, shared, waiting } = yield* one.snapshot("p")
      assert.deepStrictEqual([meters[0]?.limit, meters[0]?.used, meters[0]?.share], [60, 60, 20])
      assert.deepStrictEqual(shared, { members: 2, reachable: true })
      assert.strictEqual(waiting, 0)
      // Sixty wait elsewhere, and the whole quota is used: about a minute.
      const predicted = Duration.toSeconds(yield* one.estimate({ pool: "p", requests: 1, tokens: 0 }))
      assert.isAbove(predicted, 50)
      assert.isBelow(predicted, 70)
    }).pipe(Effect.scoped))

  it.effect("a wait that is predicted to be too long is refused at once", () =>
    Effect.gen(function*() {
      const { limiters: [one, other] } = yield* processes(2, { meters: requests(60) })
      const log: Array<Sent> = []
      yield* backlog(other, 200, log, "b")
      yield* backlog(one, 1, log, "a")
      yield* pass(5_000)
      const reason = yield* one.reserve({ pool: "p", requests: 1, tokens: 0, maxWait: RateLimiter.defaults.lease })
        .pipe(
          Effect.scoped,
          Effect.flip,
          Effect.map(({ reason }) => reason)
        )
      assert.strictEqual(reason._tag, "WaitTooLong")
    }).pipe(Effect.scoped))

  it.effect("a lease or a beat that is no time is told when it is used", () =>
    Effect.gen(function*() {
      for (const options of [{ lease: 0 }, { beat: -1 }]) {
        const { limiters: [limiter] } = yield* processes(1, { meters: requests(60), ...options })
        const refused = yield* Effect.flip(Effect.scoped(limiter.reserve({ pool: "p", requests: 1, tokens: 0 })))
        assert.strictEqual(refused.reason._tag, "InvalidOption")
        assert.include(refused.message, Object.keys(options)[0] ?? "")
      }
    }).pipe(Effect.scoped))

  it.effect("a meter of several pools is shared as one", () =>
    Effect.gen(function*() {
      const day = Meter.shared(Meter.tokens(100, "1 day"), "account")
      const { limiters: [one, other] } = yield* processes(2, { meters: () => [Meter.requests(60), day] })
      const log: Array<Sent> = []
      yield* backlog(one, 8, log, "a", { pool: "p" })
      yield* backlog(other, 8, log, "b", { pool: "q" })
      yield* pass(10 * minute)
      assert.strictEqual(log.length, 10)
      assert.isAtLeast(countOf(log, "b"), 1)
    }).pipe(Effect.scoped))

  it.effect("holds so much ahead that nobody waits for a word where there is enough", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(2, { meters: requests(1_000_000) })
      const log: Array<Sent> = []
      for (const limiter of limiters) {
        yield* Effect.scoped(Effect.gen(function*() {
          const reservation = yield* limiter.reserve({ pool: "p", requests: 1, tokens: 0 })
          log.push({ at: yield* Clock.currentTimeMillis, by: "x" })
          reservation.sentUnsafe()
          yield* Effect.sleep(10)
          yield* reservation.settle({ tokens: 0 })
        })).pipe(Effect.forever, Effect.forkChild)
      }
      yield* pass(10_000)
      const [before, sent] = [store.exchanges(), log.length]
      yield* pass(10_000)
      assert.isAtLeast(log.length - sent, 2 * 10_000 / 10 * 0.95)
      assert.isAtMost((store.exchanges() - before) / (log.length - sent), 0.1)
    }).pipe(Effect.scoped))

  it.effect("who needs of two quotas at once gets of both, where all of both are wanted", () =>
    Effect.gen(function*() {
      const { limiters } = yield* processes(3, {
        meters: () => [Meter.tokens(1_000), Meter.shared(Meter.tokens(900), "account")]
      })
      const log: Array<Sent> = []
      for (const limiter of [limiters[0], limiters[1], limiters[2]]) yield* backlog(limiter, 300, log, "x")
      yield* pass(4 * minute)
      assert.isAtLeast(log.length, 3 * 90)
      for (const { at } of log) assert.isAtMost(log.filter((one) => one.at > at - minute && one.at <= at).length, 90)
    }).pipe(Effect.scoped))

  it.effect("asks no more often where more tenants wait than the store is told of, and they don't wait for that", () =>
    Effect.gen(function*() {
      const { limiters: [one, other], store } = yield* processes(2, { meters: requests(120) })
      const log: Array<Sent> = []
      yield* backlog(one, 120, log, "first")
      yield* pass(10_000)
      for (let tenant = 0; tenant < 100; tenant++) {
        yield* backlog(one, 1, log, "tenant", { tenant: `a${tenant}` })
        yield* backlog(other, 1, log, "tenant", { tenant: `b${tenant}` })
      }
      yield* pass(1_000)
      const before = store.exchanges()
      yield* pass(20_000)
      // Each of them eight times in a lease, and not in each beat.
      assert.isAtMost(store.exchanges() - before, 2 * (8 * 5 + 4))
      yield* pass(40_000)
      // What leaves in one instant is used within a few beats.
      const times = log.filter(({ by }) => by === "tenant").map(({ at }) => at)
      assert.strictEqual(times.length, 120)
      assert.isAtMost(Math.max(...times) - Math.min(...times), 500)
    }).pipe(Effect.scoped))

  it.effect("asks no more than a few times for each admission, however slow the quota and however many come", () =>
    Effect.gen(function*() {
      const { limiters, store } = yield* processes(3, { meters: requests(6) })
      const log: Array<Sent> = []
      for (const limiter of limiters) yield* backlog(limiter, 10, log, "x")
      yield* pass(minute)
      const [before, sent] = [store.exchanges(), log.length]
      yield* pass(2 * minute)
      // Beside what each that waits says eight times in its lease to be known as alive.
      const alive = 3 * 2 * 120
      assert.isAtMost((store.exchanges() - before - alive) / (log.length - sent), 4)
    }).pipe(Effect.scoped))
})
