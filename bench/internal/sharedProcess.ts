/** A process with callers that ask a limiter in Redis, one call after the other. */
import * as Meter from "@caprock/rate-limiter/Meter"
import * as Limiter from "@caprock/rate-limiter/RateLimiter"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as EffectRateLimiter from "effect/persistence/RateLimiter"
import { RateLimiterQueue, RateLimiterRedis } from "rate-limiter-flexible"
import { createClient } from "redis"

export const names = ["Caprock", "Effect's", "rate-limiter-flexible"] as const

export interface Start {
  readonly by: (typeof names)[number]
  readonly redis: string
  readonly callers: number
  readonly quota: { readonly requests: number; readonly tokens: number }
  readonly window: number
  /** How long a caller waits between two calls, on average. */
  readonly pause: number
}

/** Since it was asked last. */
export interface Took {
  readonly admitted: number
  readonly cpuMicros: number
}

const tokens = 1_000

let admitted = 0

/** Callers that are not in step. */
const pauseOf = (caller: number, { callers, pause }: Start): number => pause * (0.5 + caller / callers)

const fibers = <R>(start: Start, layer: Layer.Layer<R, unknown>, call: Effect.Effect<unknown, unknown, R>) =>
  ManagedRuntime.make(layer).runPromise(Effect.forEach(
    Array.from({ length: start.callers }, (_, caller) => caller),
    (caller) =>
      Effect.gen(function*() {
        while (true) {
          if (start.pause > 0) yield* Effect.sleep(pauseOf(caller, start))
          yield* call
          admitted++
        }
      }),
    { concurrency: "unbounded", discard: true }
  ))

const contestants: Record<Start["by"], (start: Start) => Promise<unknown>> = {
  "Caprock": (start) => {
    const { quota, redis, window } = start
    const layer = Limiter.layerRedis({
      meters: () => [Meter.requests(quota.requests, window), Meter.tokens(quota.tokens, window)]
    })
    const call = Effect.scoped(Effect.gen(function*() {
      const limiter = yield* Limiter.RateLimiter
      const reservation = yield* limiter.reserve({ pool: "pool", requests: 1, tokens })
      reservation.sentUnsafe()
      yield* reservation.settle({ tokens })
    }))
    return fibers(start, Layer.provide(layer, NodeRedis.layer({ url: redis })), call)
  },
  "Effect's": (start) => {
    const { quota, redis, window } = start
    const layer = EffectRateLimiter.layer.pipe(
      Layer.provide(EffectRateLimiter.layerStoreRedis()),
      Layer.provide(NodeRedis.layer({ url: redis }))
    )
    const call = EffectRateLimiter.RateLimiter.use((limiter) => {
      const sleep = EffectRateLimiter.sleep(limiter)
      const options = { window, algorithm: "token-bucket" } as const
      return Effect.andThen(
        sleep({ ...options, key: "requests", limit: quota.requests }),
        sleep({ ...options, key: "tokens", limit: quota.tokens, tokens })
      )
    })
    return fibers(start, layer, call)
  },
  "rate-limiter-flexible": async (start) => {
    const { callers, pause, quota, redis, window } = start
    const client = createClient({ url: redis })
    // Redis ends before those who ask it do.
    client.on("error", () => {})
    await client.connect()
    const queueOf = (points: number, keyPrefix: string) =>
      new RateLimiterQueue(
        new RateLimiterRedis({
          storeClient: client,
          useRedisPackage: true,
          points,
          duration: window / 1000,
          keyPrefix
        }),
        { maxQueueSize: callers * 2 }
      )
    const requests = queueOf(quota.requests, "r")
    const all = queueOf(quota.tokens, "t")
    const caller = async (number: number): Promise<void> => {
      while (true) {
        if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pauseOf(number, start)))
        await requests.removeTokens(1)
        await all.removeTokens(tokens)
        admitted++
      }
    }
    await Promise.all(Array.from({ length: callers }, (_, number) => caller(number)))
  }
}

process.once("message", (start: Start) => {
  void contestants[start.by](start)
  let from = process.cpuUsage()
  let before = 0
  process.send?.({})
  process.on("message", () => {
    const { system, user } = process.cpuUsage(from)
    process.send?.({ admitted: admitted - before, cpuMicros: user + system } satisfies Took)
    from = process.cpuUsage()
    before = admitted
  })
})
process.once("disconnect", () => process.exit(0))
