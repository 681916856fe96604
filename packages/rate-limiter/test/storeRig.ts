/**
 * What the suites of the limiter's stores need of one: the store, on a clock that the test sets, and what may happen to its books.
 */
import type { LimiterStore } from "@caprock/rate-limiter"
import { Clock, Context, Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import * as MemoryStore from "../src/internal/memoryStore.ts"
import * as RedisStore from "../src/internal/redisStore.ts"
import type * as SharedQuota from "../src/internal/sharedQuota.ts"

/** A store whose time stands still but where a test moves it. */
export interface Service {
  readonly store: LimiterStore.LimiterStore["Service"]
  /** What a quota's clock says from now on. */
  readonly setTime: (quota: string, millis: number) => Effect.Effect<void>
  /** Its books are gone. */
  readonly wipe: (quota: string) => Effect.Effect<void>
  /** Its books, to be put back later. */
  readonly save: (quota: string) => Effect.Effect<Effect.Effect<void>>
}

export class Rig extends Context.Service<Rig, Service>()("@caprock/rate-limiter/test/storeRig/Rig") {}

export const memory: Effect.Effect<Service> = Effect.gen(function*() {
  const quotas = new Map<string, SharedQuota.SharedQuota>()
  const clock = yield* Clock.Clock
  let now = 0
  const store = yield* MemoryStore.makeIn(quotas).pipe(
    Effect.provideService(Clock.Clock, { ...clock, monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n })
  )
  return {
    store,
    setTime: (_, millis) =>
      Effect.sync(() => {
        now = millis
      }),
    wipe: (quota) => Effect.sync(() => quotas.delete(quota)),
    save: (quota) =>
      Effect.sync(() => {
        const saved = structuredClone(quotas.get(quota))
        return Effect.sync(() => saved === undefined ? quotas.delete(quota) : quotas.set(quota, structuredClone(saved)))
      })
  }
})

/** The fields that only a test's store has, in the hash of the quota, so that they are on the same node of a cluster. */
const surroundings = {
  clock: "tonumber(redis.call('HGET', KEYS[1], 'clock'))",
  place: "redis.call('HGET', KEYS[1], 'place') or ''"
}

let rigs = 0

export const redis = Effect.fnUntraced(function*(redis: Redis.Redis["Service"]) {
  const prefix = `test${rigs++}:`
  const store = yield* RedisStore.make({ prefix, timeout: "1 minute" }, surroundings)
  const key = (quota: string) => `${prefix}${quota}`
  const send = (command: string, ...args: ReadonlyArray<string>) => Effect.orDie(redis.send(command, ...args))
  let now = 0
  const setTime = (quota: string, millis: number) =>
    Effect.suspend(() => {
      now = millis
      return Effect.asVoid(send("HSET", key(quota), "clock", String(millis)))
    })
  /** It has a new history, and says so where it is told to. */
  const setPlace = (quota: string, place: string) => Effect.asVoid(send("HSET", key(quota), "place", place))
  return {
    store,
    setTime,
    setPlace,
    wipe: (quota) => Effect.andThen(send("DEL", key(quota)), setTime(quota, now)),
    save: (quota) =>
      Effect.gen(function*() {
        const copy = `{${key(quota)}}copy`
        yield* send("COPY", key(quota), copy, "REPLACE")
        return Effect.andThen(send("COPY", copy, key(quota), "REPLACE"), Effect.suspend(() => setTime(quota, now)))
      }),
    ttl: (quota: string) => Effect.orDie(redis.send<number>("PTTL", key(quota)))
  } satisfies Service & Record<string, unknown>
})

export const layerMemory = Layer.effect(Rig, memory)

export const layerRedis = Layer.effect(Rig, Effect.flatMap(Redis.Redis, redis))
