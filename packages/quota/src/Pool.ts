/**
 * What AWS meters: account × source Region × model × access path × capacity × quota variant. Two ids can share a pool,
 * and one model has several.
 *
 * **Details**
 *
 * Sources: quotas-runtime, inference-profiles and service-tiers-inference in the Bedrock user guide (copies of 2026).
 * - The bare id, the geographic profiles and the global profile of a model draw on three separate quotas of the source
 *   Region. All geographic prefixes that a source Region offers (`apac.` and `jp.` in Tokyo) share one.
 * - The tiers `default`, `priority` and `flex` share a quota; `reserved` is capacity of its own.
 * - Requests of the long-context variants of some models count against a quota of their own ("1M Context Length").
 * - Application inference profiles draw on the quota of what they were copied from, which their id does not tell: map it
 *   in `resolve`. Unmapped, such an id gets a pool of its own that is flagged `resolved: false`, because several of them may
 *   share one quota unnoticed.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ModelId from "./ModelId.ts"

/**
 * How a request reaches the model.
 *
 * @category models
 * @since 0.1.0
 */
export type AccessPath = "on-demand" | "cross-region" | "global" | "provisioned"

/**
 * One metered pool. Two pools with equal {@link key}s are the same.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pool {
  /** The account's id, or any name for "the account behind these credentials". */
  readonly account: string
  /** The source Region: where the request is sent, not where it runs. */
  readonly region: string
  /** The bare model id, or the resource's own id where that is what is metered. */
  readonly model: string
  readonly path: AccessPath
  readonly capacity: "shared" | "reserved"
  /** A quota variant of the model, such as `1m`. */
  readonly variant?: string
  /** False where the id hides which quota it draws on. */
  readonly resolved: boolean
}

/**
 * Where a request is sent from, and as what.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  /** The Region of the endpoint. */
  readonly region: string
  /** Account id, or a namespace per credential. @default "default" */
  readonly account?: string | undefined
  /** The request's `serviceTier`; only `reserved` changes the pool. @default "default" */
  readonly tier?: "default" | "priority" | "flex" | "reserved" | undefined
  /** The quota variant, see {@link variantOf}. */
  readonly variant?: string | undefined
  /** Which id (model, profile) an application profile, prompt or other opaque id stands for, by the id as it is used. */
  readonly resolve?: ReadonlyMap<string, string> | undefined
}

/**
 * The id can't be placed in a pool. `message` says what to do.
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolError extends Schema.TaggedError<PoolError>()("PoolError", {
  id: Schema.String,
  reason: Schema.Literals(["region-missing", "region-mismatch", "unresolvable"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.id}: ${this.detail}`
  }
}

/**
 * The pool that a request to this id is charged to. Constant time, no look-up outside `resolve`.
 *
 * **Example** (A profile and its bare id are different pools)
 *
 * ```ts
 * import { ModelId, Pool } from "@caprock/quota"
 * import { Result } from "effect"
 *
 * const poolOf = (id: string) =>
 *   Result.getOrThrow(Result.flatMap(ModelId.parse(id), (modelId) => Pool.of(modelId, { region: "us-east-1" })))
 * console.log(Pool.key(poolOf("us.amazon.nova-lite-v1:0"))) // => default|us-east-1|cross-region|shared|amazon.nova-lite-v1:0
 * console.log(Pool.key(poolOf("amazon.nova-lite-v1:0"))) // => default|us-east-1|on-demand|shared|amazon.nova-lite-v1:0
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (modelId: ModelId.ModelId, options: Options): Result.Result<Pool, PoolError> => {
  if (options.region === "") {
    return Result.fail(
      new PoolError({
        id: modelId.id,
        reason: "region-missing",
        detail: "quotas are per source Region, and none is set. Set the Region, for example us-east-1"
      })
    )
  }
  const arn = "arn" in modelId ? modelId.arn : undefined
  // A foundation model's ARN may have none.
  if (arn !== undefined && arn.region !== "" && arn.region !== options.region) {
    return Result.fail(
      new PoolError({
        id: modelId.id,
        reason: "region-mismatch",
        detail: `the ARN belongs to ${arn.region} but requests are sent to ${options.region}. Use the ARN of `
          + `${options.region}, or a client for ${arn.region}`
      })
    )
  }
  const target = options.resolve?.get(modelId.id)
  if (target === undefined) return Result.succeed(place(modelId, options))
  const parsed = ModelId.parse(target)
  if (Result.isFailure(parsed)) {
    return Result.fail(
      new PoolError({
        id: modelId.id,
        reason: "unresolvable",
        detail: `it is mapped to an id that can't be read. ${parsed.failure.message}`
      })
    )
  }
  const placed = place(parsed.success, options)
  return placed.resolved ? Result.succeed(placed) : Result.fail(
    new PoolError({
      id: modelId.id,
      reason: "unresolvable",
      detail: `it is mapped to ${target}, which does not name a model either. Map it to a model id or a system profile`
    })
  )
}

const place = (modelId: ModelId.ModelId, options: Options): Pool => ({
  account: options.account ?? "default",
  region: options.region,
  ...metered(modelId),
  capacity: options.tier === "reserved" ? "reserved" : "shared",
  ...(options.variant === undefined ? {} : { variant: options.variant })
})

/**
 * The part of a pool that the id alone decides.
 *
 * @category accessors
 * @since 0.1.0
 */
export const metered = (modelId: ModelId.ModelId): Pick<Pool, "model" | "path" | "resolved"> => {
  switch (modelId._tag) {
    case "FoundationModel":
      return { model: modelId.model, path: "on-demand", resolved: true }
    case "InferenceProfile":
      return { model: modelId.model, path: modelId.scope === "global" ? "global" : "cross-region", resolved: true }
    // Units bought for this one resource: nothing else draws on them.
    case "ProvisionedModel":
    case "MarketplaceEndpoint":
      return { model: modelId.id, path: "provisioned", resolved: true }
    // Copies of imported weights are started for this model alone.
    case "ImportedModel":
      return { model: modelId.id, path: "on-demand", resolved: true }
    case "CustomModel":
    case "CustomModelDeployment":
    case "ApplicationInferenceProfile":
    case "Prompt":
    case "PromptRouter":
    case "Name":
      return { model: modelId.id, path: "on-demand", resolved: false }
  }
}

/** Parts are joined with `|`, so a `|` inside one is escaped, and with it the escape. */
const escape = (part: string): string => part.replaceAll("%", "%25").replaceAll("|", "%7C")

/**
 * The pool's name as one string: `account|region|path|capacity|model`, and `|variant` where it has one. Stable between
 * processes and versions, so that it can name the pool in a shared store. Different pools have different keys.
 *
 * @category accessors
 * @since 0.1.0
 */
export const key = (pool: Pool): string => {
  const parts = [pool.account, pool.region, pool.path, pool.capacity, pool.model]
  return (pool.variant === undefined ? parts : [...parts, pool.variant]).map(escape).join("|")
}

const accessPaths: ReadonlySet<string> = new Set<AccessPath>(["on-demand", "cross-region", "global", "provisioned"])
const isAccessPath = (part: string): part is AccessPath => accessPaths.has(part)

/**
 * The pool that a {@link key} names; `undefined` for any other string. A key does not say whether the model was
 * resolved, so `resolved` is true.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromKey = (key: string): Pool | undefined => {
  const [account, region, path, capacity, model, variant, ...more] = key.split("|").map((part) =>
    part.replaceAll("%7C", "|").replaceAll("%25", "%")
  )
  // Stryker disable next-line ConditionalExpression,LogicalOperator: with a model there is all that stands before it
  if (account === undefined || region === undefined || path === undefined) return undefined
  if (model === undefined || more.length > 0) return undefined
  if (!isAccessPath(path) || (capacity !== "shared" && capacity !== "reserved")) return undefined
  return {
    account,
    region,
    path,
    capacity,
    model,
    ...(variant === undefined ? {} : { variant }),
    resolved: true
  }
}

/** The `anthropic_beta` value that asks for the million-token window of Claude Sonnet 4 and 4.5 (Bedrock user guide, 2025-08). */
const longContextBeta = "context-1m-2025-08-07"

/**
 * The quota variant that a request asks for: `1m` where it sets Anthropic's long-context beta, else none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const variantOf = (fields: unknown): string | undefined => {
  if (typeof fields !== "object" || fields === null || !("anthropic_beta" in fields)) return undefined
  const betas = fields.anthropic_beta
  return Array.isArray(betas) && betas.includes(longContextBeta) ? "1m" : undefined
}
