/**
 * Admission to pools that meter requests and tokens: reserve, wait your turn, settle with what it really cost.
 *
 * **When to use**
 *
 * Use for any API that rejects what is over its quota instead of queueing it. The limiter keeps callers waiting just as
 * long as the quota asks for, across all fibers that share the layer, and knows nothing of what is called.
 *
 * **Details**
 *
 * The window is a true rolling one: in any window the charges of what was admitted never pass the limit, so a server
 * that counts by fixed minutes, by a log of requests or with a bucket that refills within the window admits all of it.
 * Requests and tokens, and every further meter of a pool, are admitted together or not at all. Waiters are served in
 * the order in which they came, unless costs say otherwise by priority and tenant; the next in order is admitted the first
 * instant that it fits, and others before it only where that does not move its start.
 *
 * **Gotchas**
 *
 * A charge begins to leave only when it is known that the server has counted it: call `sent` when the request goes out,
 * and settle with `servedFor`, or the time of the whole call is added to the window.
 *
 * **Example** (Wrapping a call)
 *
 * ```ts
 * import { Meter, RateLimiter } from "@caprock/rate-limiter"
 * import { Array, Clock, Console, Effect } from "effect"
 *
 * const call = Effect.flatMap(Clock.currentTimeMillis, (now) => Console.log(`sent at ${now} ms`))
 *
 * export const main = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.RateLimiter
 *   const limited = call.pipe(limiter.limit({ pool: "my-model", requests: 1, tokens: 1200 }))
 *   yield* Effect.all(Array.makeBy(3, () => limited), { concurrency: "unbounded" })
 * }).pipe(
 *   Effect.provide(RateLimiter.layer({ meters: () => [Meter.requests(2), Meter.tokens(100_000)] }))
 * )
 * // => sent at 0 ms
 * // => sent at 0 ms
 * // => sent at 60250 ms
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Choice, Headroom } from "./Choice.ts"
import type { Cost } from "./Cost.ts"
import { checkMeters, sharedPart } from "./internal/books.ts"
import { Choosing } from "./internal/choosing.ts"
import { Door } from "./internal/door.ts"
import * as Listeners from "./internal/listeners.ts"
import type { OpenReservation } from "./internal/openReservation.ts"
import { resolve } from "./internal/order.ts"
import { isPlain, SharedParts } from "./internal/parts.ts"
import * as Pool from "./internal/pool.ts"
import * as Sharing from "./internal/sharing.ts"
import { Visit } from "./internal/visit.ts"
import type { Level } from "./Ledger.ts"
import type { LimiterEvent } from "./LimiterEvent.ts"
import {
  layerLocal as storeLocal,
  layerRedis as storeRedis,
  LimiterStore,
  type LimiterStoreError,
  type RedisOptions
} from "./LimiterStore.ts"
import type { Meter, Unit } from "./Meter.ts"
import type * as Order from "./Order.ts"
import * as Priority from "./Priority.ts"
import { InvalidMeter, InvalidOption, RateLimiterError } from "./RateLimiterError.ts"
import type { Reservation, Settlement } from "./Reservation.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * How a pool stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  /** How many wait for admission. */
  readonly waiting: number
  /** Tokens that they wait for. */
  readonly waitingTokens: number
  /** The same by class and tenant. */
  readonly line: ReadonlyArray<{
    readonly priority: Priority.Priority
    readonly tenant: string
    readonly requests: number
    readonly tokens: number
  }>
  /** In what time the next of them is admitted, if nothing is refunded before; `undefined` when nobody waits, or nobody can tell. */
  readonly nextAdmission: Duration.Duration | undefined
  readonly meters: ReadonlyArray<Level>
  /**
   * How well waits were foretold, as `estimate` does: the mean of the last waits that were asked about when they began, of one in 1,024 or one a second,
   * and by how much they were longer or shorter. `undefined` while none of them is over.
   */
  readonly estimates: {
    readonly waits: number
    readonly meanWait: Duration.Duration
    readonly meanError: Duration.Duration
  } | undefined
  /** How long a charge now stays beyond its window. */
  readonly guard: Duration.Duration
  /** How long nobody is admitted yet; `undefined` when the pool is open. */
  readonly parked: Duration.Duration | undefined
  /** The processes that share the quota, this one among them, and whether their store answered when it was last asked. `undefined` for a limiter in memory. */
  readonly shared: { readonly members: number; readonly reachable: boolean } | undefined
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * What is used where an option is not set.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** Covers the way of a request to the server, and the server's own queue, on a bad day. */
  guard: Duration.millis(250),
  /** Four words of each process within it: three may be lost, or its threads be busy for that long. */
  lease: Duration.seconds(4),
  /** A twentieth of a second is less than anybody notices who waits for a quota. */
  beat: Duration.millis(50),
  onLoss: "share"
} as const

/**
 * Options of the limiter.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** The meters of each pool, asked once a pool, when it is first used. None means no limit. */
  readonly meters: (pool: string) => ReadonlyArray<Meter>
  /**
   * How long a charge stays in the books beyond its window, for the time that a request takes to reach the server.
   * It doubles, up to two seconds and once in two seconds at most, when a throttle can't be explained by the books.
   *
   * @default 250 millis
   */
  readonly guard?: Duration.Input | undefined
  /** Who goes first. First come, first served, unless costs have priorities or tenants. */
  readonly order?: Order.Options | undefined
  /** How many may wait in a pool. No bounds unless set. */
  readonly room?: Order.RoomOptions | undefined
}

/**
 * Options of a limiter that shares its quotas with other processes.
 *
 * - `onLoss`: what happens when the store does not answer for longer than the lease. `"fail"`: who waits, and who comes, fails with
 *   `StoreUnavailable`. `"wait"`: they wait until it is back. `"share"`: each process goes on with an equal part of the limits, by as many processes as
 *   it last knew, and never over them; one that has never had an answer fails. Default `"share"`.
 * - `lease`: so long is a process believed to be alive without a word; what it held and can't have used is for others then. A process that is
 *   held up for longer admits nobody until it has been heard again. Default 4 seconds.
 * - `beat`: a process asks the store once in this time at most; the shorter, the sooner those who wait hear of what others give back, and
 *   the more commands there are. Default 50 milliseconds.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface SharedOptions extends Options {
  readonly onLoss?: "fail" | "wait" | "share" | undefined
  readonly lease?: Duration.Input | undefined
  readonly beat?: Duration.Input | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The limiter.
 *
 * @category services
 * @since 0.1.0
 */
export class RateLimiter extends Context.Service<RateLimiter, {
  /**
   * Waits for admission and books the cost. Fails with `RateLimiterError`: at once when it can never fit
   * (`CostExceedsLimit`) or would wait longer than its `maxWait` (`WaitTooLong`, with the prediction).
   *
   * Interrupting it, waiting or just admitted, leaves nothing behind.
   */
  readonly reserve: (cost: Cost) => Effect.Effect<Reservation, RateLimiterError, Scope.Scope>

  /**
   * One wait for any of several pools: see {@link Choice}. Its scope is that of the reservation as well.
   */
  readonly choice: Effect.Effect<Choice, never, Scope.Scope>

  /**
   * Runs an effect when its cost is admitted. On success it settles with `settlement`, or with what was booked; on
   * failure or interruption what was booked stays charged until it leaves the window.
   */
  readonly limit: <A = unknown>(
    cost: Cost,
    settlement?: (value: A) => Settlement
  ) => <B extends A, E, R>(effect: Effect.Effect<B, E, R>) => Effect.Effect<B, E | RateLimiterError, R>

  /**
   * The server rejected a request of the pool that had been admitted, over its limit of `unit` where that is known.
   * Unless a meter of that unit is in debt, which explains it, the guard widens, and so much is booked as leaves no room for
   * what was refused; it leaves again, in parts, within a window. When that goes on for half a window, the limit itself is
   * lowered to what the server took, and raised again step by step. Tell before the request is settled: what it had booked is part of the
   * debt.
   */
  readonly throttled: (pool: string, unit?: Unit) => Effect.Effect<void>

  /**
   * The server is short of capacity: fewer are in flight from now on, by three tenths of what is, and one more for as many answers as may be. It
   * comes back by itself.
   */
  readonly overloaded: (pool: string) => Effect.Effect<void>

  /**
   * Admits nobody for so long: for a quota of the day that is used up. Who waits, and who comes, fails with `PoolParked` at once, which says when
   * to come back.
   */
  readonly park: (pool: string, remaining: Duration.Input) => Effect.Effect<void>

  /**
   * The wait that a cost would have if it were reserved now: from the books, those who wait, and whom it would go before. Of what those ask for they
   * are taken to use as large a part as the last hundred answers or so did; more urgent ones that come meanwhile make it longer. Fails as
   * `reserve` would at once.
   */
  readonly estimate: (cost: Cost) => Effect.Effect<Duration.Duration, RateLimiterError>

  /**
   * `estimate` for those who choose among many pools at every call: at once, in plain numbers, and failing with nothing. Costs about as much as a
   * reservation does to decide on where nobody waits; with many who wait, what their tenants and charges are many. What it says of a pool holds for some
   * milliseconds.
   */
  readonly headroomUnsafe: (cost: Cost) => Headroom

  /**
   * Calls back whenever there may be room in a pool that nobody waits for there: something of it was given back, or the last who waited has left. For who waits
   * elsewhere and would come then. It hears of it in the midst of the limiter's own step, and must only note it. Gives what ends it. Costs nothing
   * while nobody listens.
   */
  readonly onRoomUnsafe: (pool: string, heard: () => void) => () => void

  /**
   * Lets nobody in any more (`LimiterClosed`), and waits until all who wait have been admitted and all reservations are over. Who still waits
   * after `within` fails with `LimiterClosed`.
   */
  readonly shutdown: (within: Duration.Input) => Effect.Effect<void>

  /** What happens from now on, in all pools. A listener that is more than 4,096 events behind misses the oldest. Costs nothing while nobody listens. */
  readonly events: Stream.Stream<LimiterEvent>

  /** How a pool stands now. */
  readonly snapshot: (pool: string) => Effect.Effect<Snapshot, RateLimiterError>
}>()("@caprock/rate-limiter/RateLimiter") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Makes a limiter that keeps its books in memory. Its scope owns the waiters: when it closes they fail with
 * `LimiterClosed`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<RateLimiter["Service"], never, Scope.Scope> =>
  makeWith(options, undefined)

/**
 * Makes a limiter that shares its quotas with all processes that have the same store. What this process was charged stays in the store's books
 * when the scope closes, until it has left its window.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeShared = (
  options: SharedOptions
): Effect.Effect<RateLimiter["Service"], never, LimiterStore | Scope.Scope> =>
  Effect.flatMap(LimiterStore, (store) => makeWith(options, store))

const makeWith = Effect.fnUntraced(
  function*(
    options: SharedOptions,
    store: LimiterStore["Service"] | undefined
  ): Effect.fn.Return<RateLimiter["Service"], never, Scope.Scope> {
    const guard = Duration.fromInputUnsafe(options.guard ?? defaults.guard)
    const clock = yield* Clock.Clock
    const runFork = Effect.runForkWith(yield* Effect.context())
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const order = notPositive("lease", options.lease) ?? notPositive("beat", options.beat) ??
      resolve(options.order, options.room)
    const pools = new Map<string, Pool.Pool>()
    const shared = new SharedParts(Duration.toMillis(guard))
    const { events, tell } = Listeners.make()
    const idle = new Set<() => void>()

    const close = Effect.sync(() => {
      door.closed = true
      for (const pool of pools.values()) pool.close()
    })

    const allIdle = Effect.callback<void>((resume) => {
      const look = () => {
        for (const pool of pools.values()) if (!pool.isIdle) return
        idle.delete(look)
        resume(Effect.void)
      }
      idle.add(look)
      look()
      return Effect.sync(() => idle.delete(look))
    })

    // One timer a pool, for the first instant at which the next in order can fit. Never in the same step, not even after no time.
    const wakeAfter = (millis: number, wake: () => void) => {
      const asleep = millis > 0 ? Effect.sleep(Duration.millis(millis)) : Effect.yieldNow
      const fiber = runFork(Effect.andThen(asleep, Effect.sync(wake)))
      return () => fiber.interruptUnsafe()
    }

    const sharing = store === undefined ? undefined : yield* Sharing.make(store, {
      leaseMillis: Duration.toMillis(Duration.fromInputUnsafe(options.lease ?? defaults.lease)),
      beatMillis: Duration.toMillis(Duration.fromInputUnsafe(options.beat ?? defaults.beat)),
      ageingMillis: order instanceof InvalidOption || order.ageingMillis === Infinity ? null : order.ageingMillis,
      onLoss: options.onLoss ?? defaults.onLoss,
      now,
      after: wakeAfter
    })
    const poolOf = (name: string): Pool.Pool | RateLimiterError => {
      const known = pools.get(name)
      if (known !== undefined) return known
      if (order instanceof InvalidOption) return new RateLimiterError({ pool: name, reason: order })
      const meters = options.meters(name)
      const invalid = checkMeters(meters)
      if (invalid !== undefined) return new RateLimiterError({ pool: name, reason: invalid })
      const parts = shared.partsOf(meters)
      if (parts instanceof InvalidMeter) return new RateLimiterError({ pool: name, reason: parts })
      const pool: Pool.Pool = new Pool.Pool(
        meters,
        parts,
        order,
        Duration.toMillis(guard),
        now,
        wakeAfter,
        {
          freed: () => {
            for (const other of pools.values()) if (other !== pool && other.sharesWith(pool)) other.poke()
          },
          idle: () => {
            for (const look of idle) look()
          }
        },
        sharing && ((own) => {
          const named = meters.filter((meter) => !isPlain(meter)).flatMap(({ limit, shared, unit }, index) => {
            const part = parts[index]
            return shared === undefined || part === undefined || limit === Infinity
              ? []
              : [sharing.shareOf(`meter:${shared}:${unit}`, [sharedPart(part)])]
          })
          return own.length === 0 ? named : [sharing.shareOf(`pool:${name}`, own), ...named]
        })
      )
      pools.set(name, pool)
      return pool
    }

    const door = new Door(poolOf, now, tell, wakeAfter)
    yield* Effect.addFinalizer(() => sharing === undefined ? close : Effect.andThen(close, sharing.leave))

    const own = (scope: Scope.Scope, open: OpenReservation) => Effect.as(Scope.addFinalizer(scope, open.abandon), open)

    // Uninterruptible but for the wait: what is booked has its owner in the same step.
    const reserve = (cost: Cost): Effect.Effect<Reservation, RateLimiterError, Scope.Scope> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.withFiber((fiber) => {
          const pool = door.enter(cost)
          if (pool instanceof RateLimiterError) return Effect.fail(pool)
          const scope = Context.getUnsafe(fiber.context, Scope.Scope)
          const since = now()
          const booked = pool.admitNow(cost)
          if (booked !== undefined) return own(scope, door.admitted(cost, pool, booked, 0))
          const late = door.tooLate(cost, pool, since)
          return late === undefined ? wait(cost, pool, scope, since, restore) : Effect.fail(late)
        })
      )

    const wait = (
      cost: Cost,
      pool: Pool.Pool,
      scope: Scope.Scope,
      since: number,
      restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
    ) => {
      door.waits(cost)
      const visit = new Visit(cost, pool, door)
      const turn = Effect.callback<void, RateLimiterError>((resume) => {
        // It was shut down between the question and the wait: a fiber may have to give way there.
        if (door.closed) resume(Effect.fail(door.shut(cost)))
        else visit.begin((refused) => resume(refused === undefined ? Effect.void : Effect.fail(refused)))
      })
      const { maxWait } = cost
      const bounded = maxWait === undefined ? turn : Effect.timeoutOrElse(turn, {
        duration: maxWait,
        orElse: () =>
          Effect.suspend(() =>
            // Admitted at the very end of its wait is admitted.
            visit.granted === undefined ? Effect.fail(door.tooLong(cost, now() - since, maxWait)) : Effect.void
          )
      })
      return restore(bounded).pipe(
        Effect.onExit((exit) => {
          if (Exit.isSuccess(exit)) return Effect.void
          return Effect.sync(() => {
            if (Exit.hasInterrupts(exit)) door.left(cost, since)
            visit.leave()
          })
        }),
        Effect.flatMap(() =>
          visit.granted === undefined
            ? Effect.fail(door.shut(cost))
            : own(scope, door.admitted(cost, pool, visit.granted, now() - since))
        )
      )
    }

    const limit: RateLimiter["Service"]["limit"] = (cost, settlement) => (effect) =>
      // The scope is the reservation's own: one that the effect asks for stays its caller's.
      Effect.scopedWith((scope) =>
        Effect.flatMap(Scope.provide(reserve(cost), scope), (reservation) => {
          reservation.sentUnsafe()
          return Effect.tap(
            effect,
            (value) => reservation.settle(settlement === undefined ? { tokens: reservation.booked } : settlement(value))
          )
        })
      )

    return RateLimiter.of({
      reserve,
      choice: Effect.acquireRelease(Effect.sync(() => new Choosing(door)), (choosing) => choosing.close),
      limit,
      throttled: (name, unit) =>
        Effect.sync(() => {
          const pool = poolOf(name)
          if (pool instanceof RateLimiterError) return
          const explained = pool.throttled(unit)
          tell(() => ({ _tag: "Throttled", pool: name, unit, explained }))
        }),
      park: (name, remaining) =>
        Effect.sync(() => {
          const pool = poolOf(name)
          if (!(pool instanceof RateLimiterError)) {
            pool.parkEverywhere(Duration.toMillis(Duration.fromInputUnsafe(remaining)))
          }
        }),
      overloaded: (name) =>
        Effect.sync(() => {
          const pool = poolOf(name)
          if (!(pool instanceof RateLimiterError)) pool.overloaded()
        }),
      estimate: (cost) =>
        Effect.suspend(() => {
          const at = now()
          const pool = door.look(cost, at)
          return pool instanceof RateLimiterError
            ? Effect.fail(pool)
            : Effect.succeed(Duration.millis(pool.forecast(cost, at) - at))
        }),
      headroomUnsafe: (cost) => door.headroom(cost),
      onRoomUnsafe: (name, heard) => {
        const pool = poolOf(name)
        return pool instanceof RateLimiterError ? () => {} : pool.onRoom(heard)
      },
      shutdown: (within) =>
        Effect.suspend(() => {
          door.closed = true
          return Effect.andThen(Effect.timeoutOption(allIdle, within), close)
        }),
      events,
      snapshot: (name) =>
        Effect.suspend(() => {
          const pool = poolOf(name)
          return pool instanceof RateLimiterError ? Effect.fail(pool) : Effect.succeed({
            waiting: pool.waiting,
            waitingTokens: pool.waitingTokens,
            line: pool.line().map((part) => ({ ...part, priority: Priority.fromNumber(part.priority) })),
            nextAdmission: pool.nextAt === undefined ? undefined : Duration.millis(Math.max(0, pool.nextAt - now())),
            meters: pool.levels(),
            estimates: pool.accuracy.count === 0 ? undefined : {
              waits: pool.accuracy.count,
              meanWait: Duration.millis(pool.accuracy.meanWait),
              meanError: Duration.millis(pool.accuracy.meanError)
            },
            guard: Duration.millis(pool.guardMillis),
            parked: pool.parkedMillis > 0 ? Duration.millis(pool.parkedMillis) : undefined,
            shared: pool.sharing
          })
        })
    })
  }
)

const notPositive = (option: string, duration: Duration.Input | undefined): InvalidOption | undefined => {
  if (duration === undefined) return undefined
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  return Number.isFinite(millis) && millis > 0
    ? undefined
    : new InvalidOption({ option, problem: `is ${millis} ms: it must be finite and more than 0` })
}

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A limiter in memory, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<RateLimiter> => Layer.effect(RateLimiter, make(options))

/**
 * A limiter that shares its quotas with all processes that have the same store, as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerShared = (options: SharedOptions): Layer.Layer<RateLimiter, never, LimiterStore> =>
  Layer.effect(RateLimiter, makeShared(options))

/**
 * A limiter that shares its quotas with processes on any machine, through Redis or Valkey: the same program as with {@link layer}, and
 * all of its processes together stay within the quota.
 *
 * **Details**
 *
 * Each process holds a share of every quota and admits from it without a word to Redis; shares go to and fro in one script, `beat` apart at most.
 * Priorities and tenants count across processes: within a beat, and by the mean size of what waits in a line.
 *
 * @see `LimiterStore.layerRedis` for the store alone, and its options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (options: SharedOptions & RedisOptions): Layer.Layer<RateLimiter, never, Redis.Redis> =>
  Layer.provide(layerShared(options), storeRedis(options))

/**
 * The same for the processes of one machine, through a file and without a server. Needs Node 24.
 *
 * @see `LimiterStore.layerLocal` for the store alone.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLocal = (
  options: SharedOptions & { readonly path: string }
): Layer.Layer<RateLimiter, LimiterStoreError> => Layer.provide(layerShared(options), storeLocal(options))
