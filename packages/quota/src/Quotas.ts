/**
 * The limits of pools, from flags or a file, and the meters that enforce them.
 *
 * **Details**
 *
 * A quota file is a JSON object. Each key is a model id, inference profile or ARN as requests use it, `default` for every
 * pool without an entry of its own, or `account` for what all models of an account and Region have together. Each value
 * names limits; what is left out is not limited (newer models have no requests per minute), and 0 admits nothing (new
 * accounts have such quotas):
 *
 * ```json
 * {
 *   "default": { "requestsPerMinute": 100, "tokensPerMinute": 200000 },
 *   "account": { "tokensPerDay": 700000000 },
 *   "us.anthropic.claude-sonnet-4-6": { "tokensPerMinute": 6000000 },
 *   "amazon.nova-lite-v1:0": { "requestsPerMinute": 2000, "tokensPerMinute": 4000000 },
 *   "amazon.nova-2-sonic-v1:0": { "concurrentRequests": 20 },
 *   "us.anthropic.claude-sonnet-4-5-20250929-v1:0@1m": { "tokensPerMinute": 1000000 }
 * }
 * ```
 *
 * An entry is the quota of the pool that its key draws on: `us.` and `eu.` of one model are the same entry, since a source
 * Region has one cross-Region quota per model, while the bare id is another. `@reserved` and `@<variant>` after an id name
 * reserved capacity and a quota variant; without an entry of their own these use the model's.
 *
 * @since 0.1.0
 */
import { type Meter, shared, type Unit } from "@caprock/rate-limiter/Meter"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ModelId from "./ModelId.ts"
import * as Pool from "./Pool.ts"

const Limit = Schema.Int.check(
  Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, {
    message: "Expected a whole number, 0 or more (leave the field out when there is no such limit)"
  })
)

/**
 * The limits of one pool. An absent one does not limit; 0 admits nothing.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Quota = Schema.Struct({
  requestsPerMinute: Schema.optionalKey(Limit),
  tokensPerMinute: Schema.optionalKey(Limit),
  tokensPerDay: Schema.optionalKey(Limit),
  /**
   * Requests at once: "On-demand InvokeModel concurrent requests for …", which a few models have in place of the others (Nova Sonic,
   * Pegasus; AWS General Reference, copy of 2026-04).
   */
  concurrentRequests: Schema.optionalKey(Limit)
})

/**
 * The limits of one pool.
 *
 * @category models
 * @since 0.1.0
 */
export type Quota = typeof Quota.Type

/**
 * What all pools of an account and Region have together: since 2026-09-21 their tokens per day ("Cross-Model Max Tokens Per Day", L-E3F10727;
 * quotas-runtime, Bedrock user guide).
 *
 * @category models
 * @since 0.1.0
 */
export type AccountQuota = Pick<Quota, "tokensPerDay">

/**
 * Quotas by pool, with what holds for all others, and for all together.
 *
 * @category models
 * @since 0.1.0
 */
export interface Quotas {
  readonly default: Quota | undefined
  readonly account?: AccountQuota | undefined
  /** By access path, capacity, model and variant; see {@link lookup}. */
  readonly pools: ReadonlyMap<string, Quota>
}

/**
 * The quotas can't be read. `message` names the entry and the field.
 *
 * @category errors
 * @since 0.1.0
 */
export class QuotaError extends Schema.TaggedError<QuotaError>()("QuotaError", {
  reason: Schema.Literals(["json", "shape", "model-id", "duplicate", "account"]),
  message: Schema.String
}) {}

const File = Schema.Record(Schema.String, Quota)
const decodeFile = Schema.decodeUnknownResult(File, { errors: "all", onExcessProperty: "error" })

/**
 * The same limits for every pool: what `--rpm` and `--tpm` set.
 *
 * @category constructors
 * @since 0.1.0
 */
export const uniform = (quota: Quota): Quotas => ({ default: quota, pools: new Map() })

/**
 * Quotas from entries in the form of a quota file. Costs one parse per entry.
 *
 * **Example** (One entry for all geographic profiles of a model)
 *
 * ```ts
 * import { Quotas } from "@caprock/quota"
 * import { Result } from "effect"
 *
 * const quotas = Quotas.make({
 *   default: { requestsPerMinute: 100 },
 *   "us.amazon.nova-lite-v1:0": { requestsPerMinute: 2000, tokensPerMinute: 4_000_000 }
 * })
 * console.log(Result.isSuccess(quotas)) // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (entries: Readonly<Record<string, Quota>>): Result.Result<Quotas, QuotaError> => {
  const pools = new Map<string, Quota>()
  const names = new Map<string, string>()
  const { account, default: fallback, ...named } = entries
  const { tokensPerDay: _, ...others } = account ?? {}
  if (Object.keys(others).length > 0) {
    return Result.fail(
      new QuotaError({
        reason: "account",
        message:
          `Entry "account" can't have ${
            Object.keys(others).join(", ")
          }: all models of an account have only tokensPerDay together. ` +
          "Limits of each model go into its own entry, or into \"default\""
      })
    )
  }
  for (const [name, quota] of Object.entries(named)) {
    const at = name.lastIndexOf("@")
    const [id, suffix] = at < 0 ? [name] : [name.slice(0, at), name.slice(at + 1)]
    const parsed = ModelId.parse(id)
    if (Result.isFailure(parsed)) {
      return Result.fail(new QuotaError({ reason: "model-id", message: `Entry ${parsed.failure.message}` }))
    }
    // Ids without a provider have digits: a few letters are a word that was misspelt, and its limits would hold for nothing.
    if (/^[A-Za-z]{1,11}$/.test(id)) {
      return Result.fail(
        new QuotaError({
          reason: "model-id",
          message: `Entry ${JSON.stringify(id)} is not a model id, and neither "default" nor "account"`
        })
      )
    }
    const pool = Pool.metered(parsed.success)
    const key = indexKey(pool.path, pool.model, suffix)
    const other = names.get(key)
    if (other !== undefined) {
      return Result.fail(
        new QuotaError({
          reason: "duplicate",
          message: `Entries ${JSON.stringify(other)} and ${JSON.stringify(name)} are the same pool. Keep one of them`
        })
      )
    }
    names.set(key, name)
    pools.set(key, quota)
  }
  return Result.succeed({ default: fallback, account, pools })
}

/**
 * Quotas from the text of a quota file.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromJson = (text: string): Result.Result<Quotas, QuotaError> => {
  const json = Result.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => new QuotaError({ reason: "json", message: `Not JSON: ${describe(cause)}` })
  })
  return Result.flatMap(json, (entries) =>
    Result.flatMap(
      Result.mapError(decodeFile(entries), (error) =>
        new QuotaError({
          reason: "shape",
          message: `${error.message}\nEach entry has any of ${Object.keys(Quota.fields).join(", ")}`
        })),
      make
    ))
}

// Stryker disable next-line StringLiteral: what reads throws errors
const describe = (cause: unknown): string => cause instanceof Error ? cause.message : "unreadable"

/**
 * The quota of a pool: its own entry, else the entry of its model on the same access path, else the default, else
 * `undefined`: nothing limits it. Constant time.
 *
 * @category accessors
 * @since 0.1.0
 */
export const lookup = (quotas: Quotas, pool: Pool.Pool): Quota | undefined => {
  const { path, model } = pool
  return (pool.variant === undefined ? undefined : quotas.pools.get(indexKey(path, model, pool.variant)))
    ?? quotas.pools.get(indexKey(path, model, pool.capacity))
    ?? quotas.pools.get(indexKey(path, model))
    ?? quotas.default
}

// Stryker disable next-line StringLiteral: any suffix does that no other has
const indexKey = (path: Pool.AccessPath, model: string, suffix = ""): string => `${path}|${model}|${suffix}`

/**
 * How the limits of a quota become meters.
 *
 * @category models
 * @since 0.1.0
 */
export interface MeterOptions {
  /** What counts as a minute. Shorter against an emulator that is sped up. @default "1 minute" */
  readonly window?: Duration.Input | undefined
  /** What counts as a day. @default "24 hours" */
  readonly day?: Duration.Input | undefined
  /**
   * Further meters that let at most `share` of each limit per minute through in a shorter `window`, for a server that
   * meters more finely than in minutes. Off unless set: AWS documents no such meter. No single request may cost more
   * tokens than the share, or it can never be sent.
   */
  readonly burst?: { readonly share: number; readonly window: Duration.Input } | undefined
}

/**
 * The meters that enforce a quota. None for an absent quota or an empty one.
 *
 * **Details**
 *
 * The tokens per day of a quota are the pool's own. Those of the account are in {@link metersFor}.
 *
 * **Example** (With a shorter meter beside each)
 *
 * ```ts
 * import { Quotas } from "@caprock/quota"
 * import { Duration } from "effect"
 *
 * const quota = { requestsPerMinute: 600, tokensPerMinute: 200_000 }
 * const meters = Quotas.metersOf(quota, { burst: { share: 0.1, window: "1 second" } })
 * for (const { limit, unit, window } of meters) console.log(limit, unit, Duration.format(window))
 * // => 600 requests 1m
 * // => 60 requests 1s
 * // => 200000 tokens 1m
 * // => 20000 tokens 1s
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const metersOf = (quota: Quota | undefined, options?: MeterOptions): ReadonlyArray<Meter> => {
  if (quota === undefined) return []
  const meters: Array<Meter> = []
  const add = (unit: Unit, limit: number, window: Duration.Input) =>
    meters.push({ unit, limit, window: Duration.fromInputUnsafe(window) })
  const minute = (unit: Unit, limit: number | undefined) => {
    if (limit === undefined) return
    add(unit, limit, options?.window ?? "1 minute")
    const burst = options?.burst
    // At least 1, so that a small share of a small quota still lets something through.
    if (burst !== undefined) add(unit, Math.min(limit, Math.max(1, Math.floor(limit * burst.share))), burst.window)
  }
  minute("requests", quota.requestsPerMinute)
  minute("tokens", quota.tokensPerMinute)
  if (quota.tokensPerDay !== undefined) add("tokens", quota.tokensPerDay, options?.day ?? "24 hours")
  if (quota.concurrentRequests !== undefined) add("concurrency", quota.concurrentRequests, 0)
  return meters
}

/**
 * The meters of a pool: of its quota (see {@link lookup}), and the one that it shares with all pools of its account and Region.
 *
 * **Details**
 *
 * AWS weights the account's tokens per day by price (aws-samples/sample-bedrock-quota-checker, 2026-10), which token counts can't tell: here each
 * quota token is one of it. With models of very different prices, give less than the quota.
 *
 * **Gotchas**
 *
 * `withoutQuota` are the meters of a pool that has no entry and finds no default: none unless given.
 *
 * @category conversions
 * @since 0.1.0
 */
export const metersFor = (
  quotas: Quotas,
  pool: Pool.Pool,
  options?: MeterOptions & { readonly withoutQuota?: ReadonlyArray<Meter> | undefined }
): ReadonlyArray<Meter> => {
  const quota = lookup(quotas, pool)
  const own = quota === undefined ? options?.withoutQuota ?? [] : metersOf(quota, options)
  const account = metersOf(quotas.account, options)
  const name = `${pool.account}/${pool.region}`
  return account.length === 0 ? own : [...own, ...account.map((meter) => shared(meter, name))]
}

/**
 * The meters of a pool whose quota nobody told: requests and tokens are found by what the server refuses. Requests begin with 100 a minute, which is
 * among the smaller default quotas ("Bedrock endpoints and quotas", copy of 2026-04), and grow within seconds; as long as few are in flight,
 * tokens have no limit before the first refusal.
 *
 * @category conversions
 * @since 0.1.0
 */
export const metersOfUnknown = (options?: MeterOptions): ReadonlyArray<Meter> => {
  const window = Duration.fromInputUnsafe(options?.window ?? "1 minute")
  return [
    { unit: "requests", limit: Infinity, window, start: 100 },
    { unit: "tokens", limit: Infinity, window, start: Infinity }
  ]
}
