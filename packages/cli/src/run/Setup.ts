/**
 * What is checked before the first request: the model, the quotas, and what a user should know about them.
 *
 * @since 0.1.0
 */
import * as Catalogue from "@caprock/quota/Catalogue"
import * as ModelId from "@caprock/quota/ModelId"
import * as Pool from "@caprock/quota/Pool"
import * as Quotas from "@caprock/quota/Quotas"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as format from "../internal/format.ts"
import { CliFailure } from "../terminal/CliFailure.ts"
import type { QuotaNames } from "./Advice.ts"

/**
 * A model as the catalogue knows it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Model {
  readonly id: string
  readonly entry: Catalogue.Entry | undefined
  readonly path: Pool.AccessPath
  /** Its quotas' names in Service Quotas. */
  readonly quotaNames: QuotaNames
  readonly warnings: ReadonlyArray<string>
}

/**
 * Reads a model id; fails with what is wrong with it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const model = (id: string, catalogue: Catalogue.Catalogue): Result.Result<Model, ModelId.InvalidModelId> =>
  Result.map(ModelId.parse(id), (parsed): Model => {
    const { path } = Pool.metered(parsed)
    const name = ModelId.modelOf(parsed)
    // An ARN or a name of the account's own says nothing of its model, so there is nothing to know about it.
    if (name === undefined) return { id, entry: undefined, path, quotaNames: {}, warnings: [] }
    const entry = Catalogue.lookup(catalogue, name)
    const named = (unit: "requests" | "tokens"): QuotaNames => {
      const quota = Catalogue.quotaName(entry, path, unit)
      return quota === undefined ? {} : { [unit]: quota }
    }
    const hint = Catalogue.accessHint(entry, path, name)
    return {
      id,
      entry,
      path,
      quotaNames: { ...named("requests"), ...named("tokens") },
      warnings: [
        ...(entry.known
          ? []
          : [
            `Warning: ${id} is not in the catalogue of this version. It is asked all the same; each output token is taken to ` +
            `cost ${entry.burndown} of the quota, and an unset maxTokens to reserve ${
              format.count(entry.maxOutputTokens)
            }.`
          ]),
        ...(hint === undefined ? [] : [`Warning: ${hint}.`])
      ]
    }
  })

/**
 * The same of what `--model` says.
 *
 * @category parsing
 * @since 0.1.0
 */
export const readModel = (
  id: string,
  catalogue: Catalogue.Catalogue,
  remedy = "The Bedrock console lists the ids, under Model catalog."
): Effect.Effect<Model, CliFailure> =>
  Effect.fromResult(
    Result.mapError(model(id, catalogue), ({ message }) => new CliFailure({ problem: `--model: ${message}`, remedy }))
  )

/**
 * Whether an endpoint is one of AWS's, as it is where none is given. (DNS suffixes of the partitions: `partitions.json` of
 * botocore, 2026-08.) A name of one's own for a VPC endpoint can't be told from that of an emulator.
 *
 * @category accessors
 * @since 0.1.0
 */
export const isAws = (endpoint: string | undefined): boolean => {
  const host = URL.parse(endpoint ?? "")?.hostname
  return host === undefined || awsHost.test(host)
}

const awsHost =
  /\.(amazonaws\.(com|com\.cn|eu)|api\.(aws|amazonwebservices\.com\.cn)|c2s\.ic\.gov|sc2s\.sgov\.gov|csp\.hci\.ic\.gov|cloud\.adc-e\.uk)$/

/**
 * What to say where no quota was given for a model.
 *
 * @category rendering
 * @since 0.1.0
 */
export const unknownQuota = (model: Model | undefined, region: string | undefined): string => {
  const names = Object.values(model?.quotaNames ?? {})
  return `Warning: no quota is known (--rpm, --tpm, --quota-file), so the limits are found by what Bedrock refuses, which takes throttles and time. ` +
    (names.length === 0
      ? `Read yours in Service Quotas, service code "bedrock"`
      : `Read yours in Service Quotas: ${names.map((name) => `"${name}"`).join(" and ")}`) +
    `, or with: aws service-quotas list-service-quotas --service-code bedrock` +
    (region === undefined ? "" : ` --region ${region}`) +
    (model?.entry?.quotaLabel === undefined
      ? ""
      : ` --query "Quotas[?contains(QuotaName, '${model.entry.quotaLabel}')].[QuotaName,Value]"`)
}

/**
 * What to say where requests set no maxTokens, if it matters.
 *
 * @category rendering
 * @since 0.1.0
 */
export const unsetMaxTokens = (model: Model | undefined, quota: Quotas.Quota | undefined): string | undefined => {
  const reserved = model?.entry?.maxOutputTokens
  if (reserved === undefined || quota?.tokensPerMinute === undefined) return undefined
  const fit = Math.floor(quota.tokensPerMinute / reserved)
  const quotaText = `the quota of ${format.count(quota.tokensPerMinute)} tokens per minute`
  return `Warning: for lines that set no maxTokens Bedrock reserves the model's maximum, ${
    format.count(reserved)
  } tokens: ` +
    (fit === 0
      ? `none of them fits into ${quotaText}. Give --max-tokens.`
      : `${
        format.plural(fit, "request at a time fits", "requests at a time fit")
      } into ${quotaText}. --max-tokens lets more of them go.`)
}

/**
 * The quota of a model's pool.
 *
 * @category accessors
 * @since 0.1.0
 */
export const quotaOf = (
  quotas: Quotas.Quotas,
  id: string | undefined,
  region: string | undefined
): Quotas.Quota | undefined => {
  if (id === undefined) return quotas.default
  const pool = Result.flatMap(ModelId.parse(id), (parsed) => Pool.of(parsed, { region: region ?? "us-east-1" }))
  return Result.isSuccess(pool) ? Quotas.lookup(quotas, pool.success) : quotas.default
}
