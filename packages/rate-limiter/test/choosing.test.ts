// What holds for calls that stand in several rooms, whatever happens to them.
import { type Choice, type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Clock, Duration, Effect, Fiber, Random, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as FaultyStore from "./faultyStore.ts"
import { between } from "./sending.ts"
import { bucket, rolling } from "./servers.ts"

const window = 1_000
const guard = 50
const pools = ["a", "b", "c"] as const

type Limiter = RateLimiter.RateLimiter["Service"]

const Quota = Schema.Struct({ requests: between(1, 5), tokens: between(100, 200) })

const Call = Schema.Struct({
  after: between(0, 150),
  tokens: between(1, 100),
  /** Of them, in percent. */
  charged: between(0, 100),
  priority: between(-1, 1),
  maxWait: Schema.NullOr(between(0, 2_000)),
  going: between(0, guard),
  latency: between(0, 500),
  /** In what order it joins, and when. */
  joins: Schema.Array(Schema.Struct({ pool: between(0, 2), after: Schema.Literals([0, 0, 0, 40, 400]) })).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(5)
  ),
  leaves: Schema.NullOr(Schema.Struct({ pool: between(0, 2), after: between(0, 1_000) })),
  interruptAfter: Schema.NullOr(between(0, 1_500))
})

type Call = typeof Call.Type

const meters = (quotas: ReadonlyArray<typeof Quota.Type>) => (pool: string) => {
  const { requests = 0, tokens = 0 } = quotas[pools.findIndex((name) => name === pool)] ?? {}
  return [Meter.requests(requests, window), Meter.tokens(tokens, window)]
}

/** Sends calls, each through any of its pools, to servers that count each pool by itself; gives what went wrong. */
const send = Effect.fnUntraced(function*(
  calls: ReadonlyArray<Call>,
  quotas: ReadonlyArray<typeof Quota.Type>,
  limiters: ReadonlyArray<Limiter>
) {
  const wrong: Array<string> = []
  const servers = pools.map((_, index) => {
    const { requests = 0, tokens = 0 } = quotas[index] ?? {}
    return [rolling, bucket].map((kind) => ({ requests: kind(requests, window), tokens: kind(tokens, window) }))
  })
  /** How often each was admitted, as the limiter tells it, and as its caller was told. */
  const admissions = calls.map(() => 0)
  const answers = calls.map(() => 0)
  const refusals = calls.map(() => 0)
  for (const limiter of limiters) {
    yield* Effect.forkChild(
      Stream.runForEach(limiter.events, (event) =>
        Effect.sync(() => {
          if (event._tag === "Admitted") admissions[Number(event.tenant)] = (admissions[Number(event.tenant)] ?? 0) + 1
        }))
    )
  }
  yield* Effect.yieldNow

  const one = (call: Call, index: number, limiter: Limiter) =>
    Effect.gen(function*() {
      const choice = yield* limiter.choice
      const cost = (pool: string): Cost.Cost => ({
        pool,
        requests: 1,
        tokens: call.tokens,
        priority: call.priority,
        tenant: `${index}`,
        maxWait: call.maxWait === null ? undefined : Duration.millis(call.maxWait)
      })
      for (const { after, pool } of call.joins) {
        const join = Effect.sync(() => choice.join(cost(pools[pool] ?? "a")))
        if (after === 0) yield* join
        else yield* Effect.forkChild(Effect.andThen(Effect.sleep(after), join))
      }
      const { leaves } = call
      if (leaves !== null) {
        const leave = Effect.sync(() => choice.leave(pools[leaves.pool] ?? "a"))
        yield* Effect.forkChild(Effect.andThen(Effect.sleep(leaves.after), leave))
      }
      let outcome: Choice.Outcome = yield* choice.next
      while (outcome._tag === "Refused") {
        refusals[index] = (refusals[index] ?? 0) + 1
        outcome = yield* choice.next
      }
      answers[index] = (answers[index] ?? 0) + 1
      const { reservation } = outcome
      const charged = Math.floor(call.tokens * call.charged / 100)
      reservation.sentUnsafe()
      const serving = yield* Effect.forkDetach(Effect.gen(function*() {
        yield* Effect.sleep(call.going)
        const now = yield* Clock.currentTimeMillis
        const own = servers[pools.findIndex((name) => name === reservation.pool)] ?? []
        const charges = own.map(({ requests, tokens }) => {
          if (requests.arrive(1, now) === undefined) wrong.push(`${reservation.pool}, ${requests.name}: a request`)
          const charge = tokens.arrive(call.tokens, now)
          if (charge === undefined) wrong.push(`${reservation.pool}, ${tokens.name}: ${call.tokens} tokens at ${now}`)
          return [tokens, charge] as const
        })
        yield* Effect.sleep(call.latency)
        for (const [server, charge] of charges) {
          if (charge !== undefined) server.lower(charge, charged, now + call.latency)
        }
      }))
      yield* Fiber.join(serving)
      const servedFor = Duration.millis(call.latency)
      yield* reservation.settle({ tokens: charged, servedFor })
    }).pipe(Effect.scoped)

  let at = 0
  const fibers: Array<Fiber.Fiber<void>> = []
  for (const [index, call] of calls.entries()) {
    at += call.after
    const limiter = limiters[index % limiters.length]
    if (limiter === undefined) continue
    const fiber = yield* Effect.forkChild(Effect.andThen(Effect.sleep(at), one(call, index, limiter)))
    fibers.push(fiber)
    if (call.interruptAfter !== null) {
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(at + call.interruptAfter), Fiber.interrupt(fiber)))
    }
  }
  yield* TestClock.adjust(at + (calls.length + 1) * (window + 1_000))
  // All that it joined refused it, or it left the last: so it waits for ever. Else it was admitted once, and heard of it once.
  for (const [index, call] of calls.entries()) {
    const ended = answers[index] === 1
    const joined = new Set(call.joins.map(({ pool }) => pool)).size
    const gone = call.interruptAfter !== null || call.leaves !== null || (refusals[index] ?? 0) >= joined
    if (!ended && !gone) wrong.push(`call ${index} was not admitted`)
    if ((admissions[index] ?? 0) > 1) wrong.push(`call ${index} was admitted ${admissions[index]} times`)
    if (ended && admissions[index] !== 1) wrong.push(`call ${index} was told of an admission that there was not`)
  }
  yield* Effect.forEach(fibers, Fiber.interrupt)
  yield* TestClock.adjust(2 * window)
  for (const limiter of limiters) {
    for (const pool of pools) {
      const { meters, shared, waiting } = yield* limiter.snapshot(pool)
      if (waiting > 0) wrong.push(`${waiting} wait for ${pool}`)
      // What all use is known as of the last word with the store.
      if (shared !== undefined) continue
      for (const { unit, used } of meters) if (used !== 0) wrong.push(`${used} ${unit} of ${pool} are in use`)
    }
    yield* limiter.shutdown("1 hour")
  }
  return wrong
})

const quotas = Schema.Array(Quota).check(Schema.isMinLength(3), Schema.isMaxLength(3))
const calls = Schema.Array(Call).check(Schema.isMaxLength(25))

const shared = (
  quotas: ReadonlyArray<typeof Quota.Type>
): Effect.Effect<ReadonlyArray<Limiter>, never, Scope.Scope> =>
  Effect.flatMap(FaultyStore.make(2), ({ links }) =>
    Effect.forEach(links, (link) =>
      FaultyStore.provide(
        RateLimiter.makeShared({ meters: meters(quotas), guard, lease: 800, beat: 20, onLoss: "wait" }),
        link
      )))

/** When each of these ends, and how: by plain reservations, or by choices among one pool. */
const ends = Effect.fnUntraced(function*(calls: ReadonlyArray<Call>, quota: typeof Quota.Type, chosen: boolean) {
  const limiter = yield* RateLimiter.make({ meters: () => meters([quota])("a"), guard })
  const log: Array<string> = calls.map(() => "")
  const one = (call: Call, index: number) =>
    Effect.gen(function*() {
      const cost: Cost.Cost = {
        pool: "a",
        requests: 1,
        tokens: call.tokens,
        priority: call.priority,
        tenant: call.going % 2 === 0 ? "even" : "odd",
        maxWait: call.maxWait === null ? undefined : Duration.millis(call.maxWait)
      }
      const reservation = yield* !chosen ? limiter.reserve(cost) : Effect.gen(function*() {
        const choice = yield* limiter.choice
        choice.join(cost)
        const outcome = yield* choice.next
        return outcome._tag === "Admitted" ? outcome.reservation : yield* outcome.error
      })
      log[index] = `${yield* Clock.currentTimeMillis}, ${reservation.booked}, ${Duration.toMillis(reservation.waited)}`
      reservation.sentUnsafe()
      yield* Effect.sleep(call.latency)
      const servedFor = Duration.millis(call.latency)
      yield* reservation.settle({ tokens: Math.floor(call.tokens * call.charged / 100), servedFor })
    }).pipe(
      Effect.scoped,
      Effect.catchTag("RateLimiterError", ({ message }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          log[index] = `${now}, ${message}`
        }))
    )
  let at = 0
  const from = yield* Clock.currentTimeMillis
  for (const [index, call] of calls.entries()) {
    at += call.after
    const fiber = yield* Effect.forkChild(Effect.andThen(Effect.sleep(at), one(call, index)))
    if (call.interruptAfter !== null) {
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(at + call.interruptAfter), Fiber.interrupt(fiber)))
    }
  }
  yield* TestClock.setTime(from + 60_000)
  return log
})

/** Pools of so many calls of 10 tokens in a second, and calls that may go to any of them: what they wait, and what was foretold. */
const backlog = Effect.fnUntraced(function*(
  rates: ReadonlyArray<number>,
  calls: number,
  every: number,
  maxWait?: Duration.Duration
) {
  const many = rates.length
  const names = Arr.makeBy(many, String)
  const meters = (pool: string) => [Meter.tokens(10 * (rates[Number(pool)] ?? 0), window)]
  const limiter = yield* RateLimiter.make({ meters, guard: 0 })
  const errors: Array<number> = []
  const waits: Array<number> = []
  let refused = 0
  const one = Effect.gen(function*() {
    const cost = (pool: string): Cost.Cost => ({ pool, requests: 1, tokens: 10, maxWait })
    const since = yield* Clock.currentTimeMillis
    const foretold = Math.min(...names.map((pool) => limiter.headroomUnsafe(cost(pool)).waitMillis))
    const choice = yield* limiter.choice
    for (const pool of names) choice.join(cost(pool))
    for (let left = many; left > 0; left--) {
      const outcome = yield* choice.next
      if (outcome._tag === "Refused") continue
      const waited = (yield* Clock.currentTimeMillis) - since
      waits.push(waited)
      if (foretold > 0 || waited > 0) errors.push(Math.abs(waited - foretold))
      outcome.reservation.sentUnsafe()
      return yield* outcome.reservation.settle({ tokens: 10, servedFor: Duration.zero })
    }
    refused++
  }).pipe(Effect.scoped)
  for (let n = 0; n < calls; n++) {
    yield* Effect.forkChild(one, { startImmediately: true })
    yield* TestClock.adjust(every)
  }
  yield* TestClock.adjust("10 minutes")
  const mean = (values: ReadonlyArray<number>) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  return { refused, served: waits.length, wait: mean(waits), error: mean(errors), longest: Math.max(...waits) }
})

describe("occupancy", () => {
  it.effect("three pools are used as fully together as one by itself, under three times of what they have", () =>
    Effect.gen(function*() {
      const limit = 2_000
      const meters = () => [Meter.tokens(limit, window)]
      /** Calls that any of the pools may serve; the part of all quotas that they were charged. */
      const occupied = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
        const limiter = yield* RateLimiter.make({ meters, guard: 0 })
        let charged = 0
        const one = Effect.gen(function*() {
          const tokens = yield* Random.nextIntBetween(1, 200)
          const latency = yield* Random.nextIntBetween(10, 100)
          const choice = yield* limiter.choice
          for (const pool of names) choice.join({ pool, requests: 1, tokens })
          const outcome = yield* choice.next
          if (outcome._tag === "Refused") return
          const { reservation } = outcome
          reservation.sentUnsafe()
          const now = yield* Clock.currentTimeMillis
          if (now >= 5 * window && now < 25 * window) charged += tokens
          yield* Effect.sleep(latency)
          yield* reservation.settle({ tokens, servedFor: Duration.millis(latency) })
        }).pipe(Effect.scoped)
        // 100 tokens each, on the average.
        const every = window / (3 * names.length * limit / 100)
        for (let at = 0; at < 26 * window; at += every) {
          yield* Effect.forkChild(one, { startImmediately: true })
          yield* TestClock.adjust(every)
        }
        return charged / (20 * names.length * limit)
      }, Effect.scoped)
      const alone = yield* Effect.provide(occupied(["a"]), TestClock.layer())
      const together = yield* Effect.provide(occupied(pools), TestClock.layer())
      assert.isAtLeast(alone, 0.95)
      assert.isAtLeast(together, alone - 0.01)
    }).pipe(Random.withSeed("occupancy")))
})

describe("forecasts", () => {
  for (const rates of [[10], [10, 10], [10, 10, 10], [10, 10, 10, 10, 10], [5, 20], [2, 10, 30]]) {
    it.effect(`of calls that may go to any of ${rates.join(", ")} are as good as of one pool`, () =>
      Effect.gen(function*() {
        const all = rates.reduce((sum, rate) => sum + rate, 0)
        // Three times of what they have.
        const { error, served, wait } = yield* backlog(rates, 10 * all, 333 / all)
        assert.strictEqual(served, 10 * all)
        assert.isAtMost(error, 0.15 * wait)
      }).pipe(Effect.scoped))
  }

  it.effect("a longest wait sends no more of them away than from one pool of as much", () =>
    Effect.gen(function*() {
      const one = yield* backlog([30], 300, 11, Duration.seconds(4))
      const three = yield* backlog([10, 10, 10], 300, 11, Duration.seconds(4))
      assert.closeTo(three.refused, one.refused, 10)
      assert.isAtMost(three.longest, 4_000)
    }).pipe(Effect.scoped))

  it.effect("who leaves a room counts whole in those that are left", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ meters: () => [Meter.tokens(10, window)], guard: 0 })
      const cost = (pool: string): Cost.Cost => ({ pool, requests: 1, tokens: 10 })
      const wait = (pool: string) => limiter.headroomUnsafe(cost(pool)).waitMillis
      for (const pool of pools) yield* limiter.limit(cost(pool))(Effect.void)
      const one = yield* limiter.choice
      const other = yield* limiter.choice
      for (const choice of [one, other]) choice.join(cost("a"))
      assert.deepStrictEqual(pools.map(wait), [3_000, 1_000, 1_000])
      for (const choice of [one, other]) choice.join(cost("b"))
      // Half of each in both.
      assert.deepStrictEqual(pools.map(wait), [2_000, 2_000, 1_000])
      for (const choice of [one, other]) choice.leave("b")
      assert.deepStrictEqual(pools.map(wait), [3_000, 1_000, 1_000])
      for (const choice of [one, other]) choice.join(cost("c"))
      assert.strictEqual(wait("a"), 2_000)
      yield* limiter.park("c", "1 hour")
      assert.strictEqual(wait("a"), 3_000)
      // How many wait, and for how much, is no matter of parts.
      one.join(cost("b"))
      const { line, waiting, waitingTokens } = yield* limiter.snapshot("a")
      assert.deepStrictEqual([waiting, waitingTokens, line[0]?.tokens], [2, 20, 20])
    }).pipe(Effect.scoped))
})

describe("calls in several rooms", () => {
  it.effect.prop(
    "each is admitted once, no pool is over its quota, and nothing is left behind",
    [calls, quotas],
    ([calls, quotas]) =>
      Effect.gen(function*() {
        const limiter = yield* RateLimiter.make({ meters: meters(quotas), guard })
        assert.deepStrictEqual(yield* send(calls, quotas, [limiter]), [])
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 300 } }
  )

  it.effect.prop(
    "nor where the quotas are shared between processes",
    [calls, quotas],
    ([calls, quotas]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* send(calls, quotas, yield* shared(quotas)), [])
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100 } }
  )

  it.effect.prop(
    "with one room it is a plain reservation, to the millisecond",
    [calls, Quota],
    ([calls, quota]) =>
      Effect.gen(function*() {
        const plain = yield* ends(calls, quota, false).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
        const chosen = yield* ends(calls, quota, true).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
        assert.deepStrictEqual(chosen, plain)
        assert.isTrue(Arr.some(plain, (end) => end !== "") || calls.every((call) => call.interruptAfter !== null))
      }),
    { arbitrary: { runs: 300 } }
  )
})
