/**
 * Bounds retries across all calls of a process, so that an outage is not answered with four times the load.
 *
 * Each call's first attempt pays a fraction of a retry into a balance, time adds a little, and each retry costs one. With
 * the defaults, in the long run at most one request in six is a retry, plus one per second. When the balance is empty the
 * retry is refused, and the caller gets the error that the attempt ended with.
 *
 * In any span of time, retries ≤ capacity + ratio × calls + perSecond × seconds.
 *
 * Balances are kept apart by pool, because an outage of one model says nothing about another.
 *
 * **Example** (One budget for a program)
 *
 * ```ts
 * import { Backoff, RetryBudget } from "@caprock/backoff"
 * import { Array, Console, Effect } from "effect"
 *
 * // Nothing is answered, and a hundred calls are made.
 * let requests = 0
 * const down: Effect.Effect<string, Backoff.Retryable> = Effect.suspend(() => {
 *   requests++
 *   return Effect.fail({ retryable: true, retryableElsewhere: true })
 * })
 *
 * export const main = Effect.gen(function*() {
 *   const budget = yield* RetryBudget.RetryBudget
 *   const call = down.pipe(Backoff.retry({ budget, pool: "claude" }), Effect.ignore)
 *   yield* Effect.all(Array.makeBy(100, () => call), { concurrency: "unbounded" })
 *   yield* Console.log(requests) // => 110
 * }).pipe(Effect.provide(RetryBudget.layerTest(10)))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as balances from "./internal/balance.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * One pool's balance, for a metric.
 *
 * - `available`: retries that would be granted now (a fraction is on its way to the next).
 * - `calls`, `granted`, `refused`: counted since the pool was first seen, or since it was forgotten (see {@link make}).
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly pool: string
  readonly available: number
  readonly capacity: number
  readonly calls: number
  readonly granted: number
  readonly refused: number
}

// -----------------------------------------------------------------------------
// Options
// -----------------------------------------------------------------------------

/**
 * The default of each option.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /**
   * A fifth: what Finagle, Linkerd and Envoy use. Well above the few per cent of failures of an ordinary day, far below
   * the 3 retries per call of an outage.
   */
  ratio: 0.2,
  /** So that a program with a few calls a minute can still retry them; far below the quota of any pool worth a limiter. */
  perSecond: 1,
  /**
   * A burst of failures that is absorbed at once, and the balance to begin with: the SDK's bucket allows the same
   * (500 tokens at 5 for a throttle, @smithy/core 3.41.0).
   */
  capacity: 100
} as const

const atLeastZero = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Options of {@link make}, and what the environment's values are checked against.
 *
 * - `ratio` (0.2): retries that one call pays for, 0 or more.
 * - `perSecond` (1): retries per second that are there without any call, 0 or more.
 * - `capacity` (100): the largest balance, and the one to begin with, 0 or more. Less than 1 allows no retry at all.
 *
 * @category configuration
 * @since 0.1.0
 */
export const Options = Schema.Struct({
  ratio: atLeastZero.pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.ratio))),
  perSecond: atLeastZero.pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.perSecond))),
  capacity: atLeastZero.pipe(Schema.withDecodingDefaultKey(Effect.succeed(defaults.capacity)))
})

/**
 * Options of {@link make}: see the schema of the same name.
 *
 * @category configuration
 * @since 0.1.0
 */
export type Options = typeof Options.Encoded

/**
 * The options as they are found in configuration, each with its default: `CAPROCK_RETRY_RATIO`,
 * `CAPROCK_RETRY_PER_SECOND` and `CAPROCK_RETRY_CAPACITY`.
 *
 * @category configuration
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  ratio: Config.schema(atLeastZero, "RATIO").pipe(Config.withDefault(defaults.ratio)),
  perSecond: Config.schema(atLeastZero, "PER_SECOND").pipe(Config.withDefault(defaults.perSecond)),
  capacity: Config.schema(atLeastZero, "CAPACITY").pipe(Config.withDefault(defaults.capacity))
}).pipe(Config.nested("RETRY"), Config.nested("CAPROCK"))

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * The budget of a process.
 *
 * - `deposit`: a call begins.
 * - `withdraw`: asks for one retry; `true` when it is granted, and then it is paid for.
 * - `snapshot`: the balance of every pool that is known.
 *
 * Without a pool, all calls share one balance.
 *
 * @category services
 * @since 0.1.0
 */
export class RetryBudget extends Context.Service<RetryBudget, {
  readonly deposit: (pool?: string) => Effect.Effect<void>
  readonly withdraw: (pool?: string) => Effect.Effect<boolean>
  readonly snapshot: Effect.Effect<ReadonlyArray<Snapshot>>
}>()("@caprock/backoff/RetryBudget") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

// Far more pools than an account has quotas for. Beyond it, those at full balance go first, which loses nothing but their
// counts: a new balance is full as well.
const maxPools = 1_000

const shared = ""

/**
 * Makes a budget.
 *
 * Cost: O(1) per call and per retry; memory for at most 1,000 pools, then those with a full balance are forgotten, and
 * if none has one, the one that was first seen. Fails where an option is out of range.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(
  function*(options: Options = {}): Effect.fn.Return<RetryBudget["Service"], Schema.SchemaError> {
    const terms = yield* Schema.decodeEffect(Options)(options)
    const pools = new Map<string, balances.Balance>()

    const forget = (now: number): void => {
      for (const [pool, balance] of pools) {
        if (balances.accrue(terms, balance, now).available >= terms.capacity) pools.delete(pool)
      }
      for (const oldest of pools.keys()) {
        if (pools.size < maxPools) break
        pools.delete(oldest)
      }
    }

    const get = (pool: string, now: number): balances.Balance => {
      const known = pools.get(pool)
      if (known !== undefined) return known
      if (pools.size >= maxPools) forget(now)
      return balances.full(terms, now)
    }

    return RetryBudget.of({
      deposit: (pool = shared) =>
        // Each call makes one: in one step.
        Effect.withFiber((fiber) => {
          const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
          pools.set(pool, balances.deposit(terms, get(pool, now), now))
          return Effect.void
        }),
      withdraw: (pool = shared) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const [granted, balance] = balances.withdraw(terms, get(pool, now), now)
          pools.set(pool, balance)
          return granted
        }),
      snapshot: Effect.map(Clock.currentTimeMillis, (now) =>
        Array.from(pools, ([pool, balance]) => {
          const { available, calls, granted, refused } = balances.accrue(terms, balance, now)
          return { pool, available, capacity: terms.capacity, calls, granted, refused }
        }))
    })
  }
)

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * A budget for everything that the layer is given to. See {@link make}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<RetryBudget, Schema.SchemaError> =>
  Layer.effect(RetryBudget, make(options))

/**
 * {@link layer}, with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Config<Options> = config
): Layer.Layer<RetryBudget, Schema.SchemaError | Config.ConfigError> => Layer.unwrap(Effect.map(options, layer))

/**
 * A budget that grants exactly so many retries per pool and never grows, for tests.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (retries: number): Layer.Layer<RetryBudget, Schema.SchemaError> =>
  layer({ ratio: 0, perSecond: 0, capacity: retries })
