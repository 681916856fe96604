/**
 * Calls with all that may happen to them, sent through limiters to servers that all count them.
 */
import type { Cost, RateLimiter } from "@caprock/rate-limiter"
import { Clock, Duration, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { bucket, fixed, rolling, type Server } from "./servers.ts"

export const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

export const window = 1000
export const guard = 50
const pool = "pool"

export const Call = Schema.Struct({
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

export const Quota = Schema.Struct({ requests: between(1, 6), tokens: between(100, 300) })

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

/** A process that sends: its limiter, and what it has in flight. */
export interface Sender {
  readonly limiter: RateLimiter.RateLimiter["Service"]
  readonly inFlight: Set<{ readonly growth: number; at: number }>
  /** It ends: it sends no more, and what is served for it stops. */
  dead: boolean
  readonly calls: Array<Fiber.Fiber<unknown, unknown>>
}

export const senderOf = (limiter: RateLimiter.RateLimiter["Service"]): Sender => ({
  limiter,
  inFlight: new Set(),
  dead: false,
  calls: []
})

/** Sends calls through limiters, one after the other in turn, to servers that all count them, and gives the refusals. */
export const send = Effect.fnUntraced(function*(
  calls: ReadonlyArray<typeof Call.Type>,
  quota: typeof Quota.Type,
  phases: ReadonlyArray<number>,
  senders: ReadonlyArray<Sender>,
  longest = (calls.length + 1) * (window + 5000)
) {
  const servers = (limit: number): ReadonlyArray<Server> => [
    rolling(limit, window),
    bucket(limit, window),
    ...phases.map((phase) => fixed(limit, window, phase))
  ]
  const requests = servers(quota.requests)
  const tokens = servers(quota.tokens)
  const refusals: Array<string> = []
  const clock = yield* Clock.Clock
  let answered = 0
  let at = 0
  const fibers = []
  for (const [index, call] of calls.entries()) {
    const sender = senders[index % senders.length] as Sender
    const { inFlight, limiter } = sender
    at += call.after
    const arrives = at
    const one = Effect.scoped(Effect.gen(function*() {
      yield* Effect.sleep(arrives)
      if (sender.dead) return
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
        if (may === "grow" && !sender.dead) { for (const server of tokens) server.grow(growth, now) }
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
    sender.calls.push(fiber)
  }
  // Interrupting or not, all is over after a turn of the window for each call.
  yield* TestClock.adjust(at + longest)
  for (const [index, fiber] of fibers.entries()) {
    if (fiber.pollUnsafe() === undefined) refusals.push(`call ${index} is not over`)
  }
  yield* Effect.forEach(fibers, Fiber.interrupt)
  const snapshots = yield* Effect.forEach(senders, ({ limiter }) => limiter.snapshot(pool))
  return { refusals, answered, waiting: snapshots.reduce((sum, { waiting }) => sum + waiting, 0) }
})
