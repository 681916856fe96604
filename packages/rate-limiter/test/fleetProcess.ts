// A process of the fleet, for `fleet.test.ts`: does what it is given, as the quota that it shares with others allows.
import { LimiterStore, Meter, RateLimiter } from "@caprock/rate-limiter"
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"

export interface Start {
  readonly limits: { readonly requests: number; readonly tokens: number }
  readonly window: number
  readonly store: { readonly redis: string } | { readonly path: string }
  readonly jobs: ReadonlyArray<{ readonly id: number; readonly tokens: number }>
}

export interface Said {
  readonly id: number
  /** When it was sent, on the clock of all processes of the machine; `undefined` where this is the answer. */
  readonly sentAt?: number
}

const say = (said: Said) => Effect.sync(() => process.send?.(said))

const work = ({ jobs, limits, store, window }: Start) => {
  const layer: Layer.Layer<LimiterStore.LimiterStore, unknown> = "redis" in store
    ? Layer.provide(LimiterStore.layerRedis(), NodeRedis.layer({ url: store.redis, disableOfflineQueue: true }))
    : LimiterStore.layerLocal(store)
  const limiter = RateLimiter.layerShared({
    meters: () => [Meter.requests(limits.requests, window), Meter.tokens(limits.tokens, window)],
    guard: "20 millis",
    lease: "2 seconds",
    onLoss: "wait"
  })
  return Effect.forEach(jobs, ({ id, tokens }) =>
    Effect.scoped(Effect.gen(function*() {
      const limiter = yield* RateLimiter.RateLimiter
      const reservation = yield* limiter.reserve({
        pool: "pool",
        requests: 1,
        tokens,
        priority: id % 4 === 0 ? "interactive" : "bulk"
      })
      // No server has it before it was sent.
      yield* say({ id, sentAt: Number(process.hrtime.bigint()) / 1e6 })
      reservation.sentUnsafe()
      yield* Effect.sleep(50)
      yield* reservation.settle({ tokens })
      yield* say({ id })
    })), { concurrency: "unbounded", discard: true }).pipe(Effect.provide(Layer.provide(limiter, layer)))
}

process.once("message", (start: Start) => void Effect.runPromise(work(start)).then(() => process.disconnect()))
process.once("disconnect", () => process.exit())
