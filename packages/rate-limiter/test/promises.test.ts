import { type Cost, Meter, RateLimiter } from "@caprock/rate-limiter"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { bucket, fixed, rolling, type Server } from "./servers.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const window = 1000
const guard = 50
const pool = "pool"

const Call = Schema.Struct({
  after: between(0, 120),
  tokens: between(1, 100),
  /** What is charged in the end, in percent of the reservation: with burndown, more than was reserved. */
  charged: between(0, 250),
  /** When what it grows by is charged: this part of the latency, in percent. */
  growsAt: between(0, 100),
  /** From the limiter's admission to the body's hand-over, from there to the server, and back from it. */
  connecting: between(0, 200),
  going: between(0, guard),
  latency: between(0, 2500),
  returning: between(0, 200),
  interruptAfter: Schema.NullOr(between(0, 3000)),
  priority: between(-1, 1),
  tenant: Schema.Literals(["a", "b", "c"])
})

const Quota = Schema.Struct({ requests: between(1, 6), tokens: between(100, 300) })

/** Growth by when, each time with all before it. */
const foreseen = (
  charges: ReadonlyArray<{ readonly growth: number; readonly at: number }>,
  now: number
): ReadonlyArray<Cost.Growth> => {
  let tokens = 0
  return charges.toSorted((a, b) => a.at - b.at).map(({ at, growth }) => {
    tokens += growth
    return { withinMillis: Math.max(0, at - now), tokens }
  })
}

/** Sends calls through the limiter to servers that all count them, and gives the refusals. */
const send = Effect.fnUntraced(function*(
  calls: ReadonlyArray<typeof Call.Type>,
  quota: typeof Quota.Type,
  phases: ReadonlyArray<number>
) {
  const limiter = yield* RateLimiter.RateLimiter
  const servers = (limit: number): ReadonlyArray<Server> => [
    rolling(limit, window),
    bucket(limit, window),
    ...phases.map((phase) => fixed(limit, window, phase))
  ]
  const requests = servers(quota.requests)
  const tokens = servers(quota.tokens)
  const refusals: Array<string> = []
  const clock = yield* Clock.Clock
  const inFlight = new Set<{ readonly growth: number; at: number }>()
  let answered = 0
  let at = 0
  const fibers = []
  for (const call of calls) {
    at += call.after
    const arrives = at
    const one = Effect.scoped(Effect.gen(function*() {
      yield* Effect.sleep(arrives)
      // More than a whole quota can't be booked, only owed.
      const charged = Math.min(quota.tokens, Math.floor(call.tokens * call.charged / 100))
      const growth = Math.max(0, charged - call.tokens)
      const mine = { growth, at: 0 }
      yield* Effect.addFinalizer(() => Effect.sync(() => inFlight.delete(mine)))
      const reservation = yield* limiter.reserve({
        pool,
        requests: 1,
        tokens: call.tokens,
        priority: call.priority,
        tenant: call.tenant,
        // Foreseen to the millisecond: how well it is foreseen is somebody else's promise.
        book: () => {
          const now = clock.currentTimeMillisUnsafe()
          const left = call.interruptAfter === null ? Infinity : arrives + call.interruptAfter
          mine.at = Math.min(now + call.connecting + call.going + call.latency * call.growsAt / 100, left)
          inFlight.add(mine)
          return { tokens: call.tokens, growth: foreseen([...inFlight], now) }
        }
      })
      yield* Effect.sleep(call.connecting)
      reservation.sentUnsafe()
      const sentAt = yield* Clock.currentTimeMillis
      let may: "not yet" | "grow" | "not any more" = "not yet"
      const grow = Effect.map(Clock.currentTimeMillis, (now) => {
        if (may === "grow") { for (const server of tokens) server.grow(growth, now) }
        may = "not any more"
      })
      // What is on its way arrives, whatever becomes of the caller.
      const serving = yield* Effect.gen(function*() {
        yield* Effect.sleep(call.going)
        const now = yield* Clock.currentTimeMillis
        for (const server of requests) {
          if (server.arrive(1, now) === undefined) refusals.push(`${server.name}: a request at ${now}`)
        }
        const charges = tokens.map((server) => {
          const charge = server.arrive(call.tokens, now)
          if (charge === undefined) refusals.push(`${server.name}: ${call.tokens} tokens at ${now}`)
          return [server, charge] as const
        })
        if (may === "not yet") may = "grow"
        const growsAt = Math.floor(call.latency * call.growsAt / 100)
        yield* Effect.sleep(growsAt)
        yield* grow
        yield* Effect.sleep(call.latency - growsAt)
        for (const [server, charge] of charges) {
          if (charge !== undefined) server.lower(charge, Math.min(charged, call.tokens), now + call.latency)
        }
      }).pipe(Effect.forkDetach)
      // Who leaves stops what is served: it has grown by then, or does not.
      yield* Fiber.join(serving).pipe(
        Effect.onInterrupt(() => grow),
        Effect.andThen(Effect.sleep(call.returning)),
        // Nobody told what it was charged, so that all it may have been is booked.
        Effect.onInterrupt(() =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            reservation.settle({
              tokens: call.tokens + growth,
              growth,
              servedFor: Duration.millis(now - sentAt)
            }))
        )
      )
      yield* reservation.settle({
        tokens: charged,
        growth,
        servedFor: Duration.millis(call.latency + call.returning)
      })
      answered++
    }))
    const fiber = yield* Effect.forkChild(one)
    if (call.interruptAfter !== null) {
      yield* Effect.forkChild(Effect.andThen(Effect.sleep(arrives + call.interruptAfter), Fiber.interrupt(fiber)))
    }
    fibers.push(fiber)
  }
  // Interrupting or not, all is over after a turn of the window for each call.
  yield* TestClock.adjust(at + (calls.length + 1) * (window + 5000))
  yield* Effect.forEach(fibers, Fiber.await)
  const { waiting } = yield* limiter.snapshot(pool)
  return { refusals, answered, waiting }
})

const layerOf = (quota: typeof Quota.Type, guardMillis = guard) =>
  RateLimiter.layer({
    meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)],
    guard: guardMillis
  })

describe("never over", () => {
  it.effect.prop(
    "no server that counts by a rolling log, by fixed windows of any phase or with a bucket refuses what was admitted",
    [Schema.Array(Call).check(Schema.isMaxLength(30)), Quota, between(0, window - 1)],
    ([calls, quota, phase]) =>
      Effect.gen(function*() {
        const { answered, refusals, waiting } = yield* send(calls, quota, [0, phase]).pipe(
          Effect.provide(layerOf(quota))
        )
        assert.deepStrictEqual(refusals, [])
        assert.strictEqual(waiting, 0)
        assert.isAtLeast(answered, calls.filter((call) => call.interruptAfter === null).length)
      }),
    { arbitrary: { runs: 150 } }
  )

  it.effect("and they do refuse when the guard is shorter than the way to them", () =>
    Effect.gen(function*() {
      // The first takes its time to arrive; the second is sent when the first should have left.
      const slow = {
        after: 0,
        tokens: 100,
        charged: 100,
        growsAt: 0,
        connecting: 0,
        latency: 5000,
        returning: 0,
        interruptAfter: null,
        priority: 0,
        tenant: "a" as const
      }
      const { refusals } = yield* send(
        [{ ...slow, going: 50 }, { ...slow, going: 0 }],
        { requests: 6, tokens: 100 },
        []
      ).pipe(Effect.provide(layerOf({ requests: 6, tokens: 100 }, 20)))
      assert.deepStrictEqual(refusals, ["rolling log: 100 tokens at 1020", "bucket: 100 tokens at 1020"])
    }))
})
