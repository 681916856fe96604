/**
 * Where processes that draw on one quota agree who may use how much of it.
 *
 * **When to use**
 *
 * Use when the limiter's own stores (Redis, and the one for a single machine) are not what you have: whatever can run
 * one function at a time on a small document, tells the time and can wake others, can be a store.
 *
 * **Details**
 *
 * Each process keeps books of its own, for a *share* of the quota that is its own as long as it holds it. What all
 * hold never is more than the limit, and so neither is what all are charged, in any rolling window. A process that has
 * more than it needs while others wait gives it back, and the store gives it to who is next. A process that dies holds what it
 * may have been charged until that has left its window.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Memory from "./internal/memoryStore.ts"

/**
 * So much on each meter, by the meters' names.
 *
 * @category models
 * @since 0.1.0
 */
export type Amounts = Readonly<Record<string, number>>

/**
 * What one process has waiting of one class and one tenant.
 *
 * @category models
 * @since 0.1.0
 */
export interface Line {
  /** Higher goes first. */
  readonly priority: number
  readonly tenant: string
  /** The tenant's, within its class. */
  readonly weight: number
  /** How long ago the class was last served in this process, or the first of those who wait came. */
  readonly sinceMillis: number
  /** How many wait. */
  readonly count: number
  /** What the first of them needs to start. */
  readonly head: Amounts
  /** What all of them ask for. */
  readonly all: Amounts
}

/**
 * What a process tells the store of one quota, and asks of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message {
  /** The process's own name; another one each time that it starts. */
  readonly member: string
  /** So long its share is its own without another word of it. */
  readonly leaseMillis: number
  /** So long the next of a class is kept waiting before it goes before one of a class that is higher by 1; `null` for ever. */
  readonly ageingMillis: number | null
  /** Each meter's limit, and how long after it was sent a charge stays in it at most; 0 where it goes with the request's end. */
  readonly meters: Readonly<Record<string, { readonly limit: number; readonly staysMillis: number }>>
  /** The books of the store that it knows; `null` when it knows none. */
  readonly epoch: string | null
  /** Its share is what it says, granted less given back, whatever the store knows: it went on by itself while the store was away. */
  readonly anew: boolean
  /** How far those were when it last heard of them. */
  readonly version: number
  /**
   * A name for new books, if the store has none: nobody has used it before. It begins with a number, higher than that of the books that the process
   * knows: so those are known as older if they come back.
   */
  readonly fresh: string
  /**
   * How many messages about this quota it has sent, this one included. One that was heard before, or comes after a later one, or when the process
   * is taken for dead since, is answered and not listened to.
   */
  readonly number: number
  /** Who else held a share then. */
  readonly knows: ReadonlyArray<string>
  /** What was left of the dead then, and in how many milliseconds, from now, the last of it leaves. */
  readonly remains: Readonly<Record<string, { readonly amount: number; readonly inMillis: number }>>
  /** All that it ever was granted in these books, as far as it knows. */
  readonly granted: Amounts
  /** All that it ever gave back in these books. */
  readonly given: Amounts
  /** Others wait, as it knows: of what leaves from here on it uses nothing again, unless it is answered that nobody does. */
  readonly yields: boolean
  /** What it was charged beyond its share, now: a debt. Nobody else may have it either, and it is not the process's to use again. */
  readonly owed: Amounts
  /** Of its share, what was sent and leaves in so many milliseconds: at the end of a part of the window that it leaves in. */
  readonly leaving: Readonly<Record<string, ReadonlyArray<readonly [inMillis: number, amount: number]>>>
  /** Who waits, in any order. */
  readonly lines: ReadonlyArray<Line>
  /** What it would like to hold beyond its use, if nobody waits. */
  readonly ahead: Amounts
  /** The server refused what should have fitted on this meter: whatever nobody holds of it is in use by somebody else. */
  readonly foreign: string | null
  /** Nobody is to be admitted for so long. */
  readonly parkMillis: number
}

/**
 * How a quota stands, and what a process holds of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Standing {
  readonly epoch: string
  readonly version: number
  /** All that the process ever was granted in these books. Where they are not the ones that it knew, its share, and it has given nothing back. */
  readonly granted: Amounts
  /** All that it gave back in these books, as the store has it: more than it said where the store took something for lost to it. */
  readonly given: Amounts
  /** The store did not know it. */
  readonly joined: boolean
  /** All who hold a share, by name. */
  readonly members: ReadonlyArray<string>
  /** Others wait for what somebody may give back. */
  readonly wanted: boolean
  /** How many of those that the process has waiting were not granted yet, as far as the store knows. */
  readonly listed: number
  /** What nobody holds. Less than nothing when debts are more. */
  readonly free: Amounts
  readonly limits: Amounts
  /** What others have waiting, by class. */
  readonly waiting: ReadonlyArray<{ readonly priority: number; readonly all: Amounts }>
  readonly remains: Readonly<Record<string, { readonly amount: number; readonly inMillis: number }>>
  /** Nothing is granted for so long, since the books were lost. */
  readonly opensInMillis: number
  readonly parkedMillis: number
  /** When to ask again, if one waits and nobody wakes one; `null` for never. */
  readonly againMillis: number | null
}

/**
 * What wakes a process: what it holds now, in so far as it knows the books; or that others wait, and it may have something to give.
 *
 * @category models
 * @since 0.1.0
 */
export type Wake =
  | {
    readonly _tag: "Granted"
    readonly quota: string
    readonly epoch: string
    readonly granted: Amounts
    readonly listed: number
  }
  | { readonly _tag: "Wanted"; readonly quota: string; readonly by: string }

/**
 * The store could not be asked, or did not understand.
 *
 * @category errors
 * @since 0.1.0
 */
export class LimiterStoreError extends Schema.TaggedError<LimiterStoreError>()("LimiterStoreError", {
  problem: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the limiter's store ${this.problem}`
  }
}

/**
 * The store.
 *
 * @category services
 * @since 0.1.0
 */
export class LimiterStore extends Context.Service<LimiterStore, {
  /** One step of a quota's books: atomic, on the store's own clock, safe to repeat when nobody knows whether it was done. */
  readonly exchange: (quota: string, message: Message) => Effect.Effect<Standing, LimiterStoreError>
  /** Gives up a process's share. What it was charged stays until it has left its window. */
  readonly leave: (quota: string, message: Message) => Effect.Effect<void, LimiterStoreError>
  /** Whatever wakes a process, on any quota, for as long as the scope is open. Some may be lost: who is not woken asks again. */
  readonly listen: (member: string, wake: (wake: Wake) => void) => Effect.Effect<void, LimiterStoreError, Scope.Scope>
}>()("@caprock/rate-limiter/LimiterStore") {}

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A store in memory: for several limiters in one process, and for tests.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<LimiterStore> = Layer.effect(LimiterStore, Memory.make)

/**
 * Options of the store in Redis.
 *
 * - `prefix`: what the names of its keys and channels begin with. Limiters with the same prefix share their quotas. Default `"caprock:"`.
 * - `timeout`: how long one question may take. Default 1 second.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface RedisOptions {
  readonly prefix?: string | undefined
  readonly timeout?: Duration.Input | undefined
}

/**
 * A store in Redis 7, Valkey, or a cluster of either, for processes on any number of machines: on the `Redis` of `effect/persistence`, which
 * `@effect/platform-node/NodeRedis` makes. A step is one script, on the server's clock; all keys of a quota are in one hash slot.
 *
 * **Gotchas**
 *
 * The server's clock is the one of its machine: when that is set forward, leases and windows end early by as much.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options: RedisOptions = {}): Layer.Layer<LimiterStore, never, Redis.Redis> =>
  Layer.effect(
    LimiterStore,
    // Loaded only where it is asked for: Effect may change its Redis in a minor version.
    Effect.flatMap(Effect.promise(() => import("./internal/redisStore.ts")), ({ make }) => make(options))
  )

/**
 * A store in a file, for the processes of one machine, without a server. Needs Node 24, whose SQLite it uses; any of them may be killed at any time.
 * Beside the file are two more, with `-wal` and `-shm` at the end of their names. It is its owner's alone (mode 0600). An exchange takes about
 * 50 µs of CPU, and what wakes others gets there in 20 ms, or 100 where nobody waits.
 *
 * Fails where the file can't be used, and says what to do: no room, nothing to write in, damage, a network's file system, another version of it. What
 * is not its own it leaves as it is.
 *
 * **Gotchas**
 *
 * The clock is the machine's monotonic one. After a start of the machine a file that is older grants nothing until the machine has been up for a window.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLocal = (
  options: { /** The file: made where there is none, in a folder that exists. */ readonly path: string }
): Layer.Layer<LimiterStore, LimiterStoreError> =>
  Layer.effect(
    LimiterStore,
    Effect.flatMap(Effect.promise(() => import("./internal/localStore.ts")), ({ make }) => make(options))
  )
