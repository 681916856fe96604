/**
 * What is known of each model: burndown, largest output, quota names. Dated data, which an application overrides or extends.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import { rows } from "./internal/models.ts"
import type { AccessPath } from "./Pool.ts"

/**
 * One row: what a source said of a model (or a family of versions of it) at a date.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row {
  /**
   * Model ids that the row is for, each either whole (`amazon.titan-embed-text-v2:0`) or without its version
   * (`anthropic.claude-sonnet-4-5`), which then stands for all versions of that name. A version is `-20250929`, `-v1`, `:0` or a run
   * of these in this order. Nothing else is guessed: `anthropic.claude-sonnet-4` says nothing of `anthropic.claude-sonnet-4-5`.
   */
  readonly ids: ReadonlyArray<string>
  /** The model's name in the console. */
  readonly name: string
  /** Quota tokens charged per output token, on bedrock-runtime. `undefined` where no source names the model. */
  readonly burndown?: number | undefined
  /** Largest output in tokens, which is reserved where a request sets no limit. `undefined` where no source was found. */
  readonly maxOutputTokens?: number | undefined
  /** The model as quota names write it, after "for": `Anthropic Claude Sonnet 4.5 V1`. */
  readonly quotaLabel?: string | undefined
  /** False for models that can be reached through inference profiles only. */
  readonly onDemand?: boolean | undefined
  /** Where it was read. */
  readonly source: string
  /** When the source said so: `2026-10-06`. */
  readonly asOf: string
}

/**
 * What the catalogue says of a model, with nothing left open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** False where no row matches: burndown and output are then cautious guesses. */
  readonly known: boolean
  readonly name: string
  readonly burndown: number
  /** False where `burndown` is a cautious guess. */
  readonly burndownKnown: boolean
  readonly maxOutputTokens: number
  /** False where `maxOutputTokens` is a cautious guess. */
  readonly maxOutputKnown: boolean
  readonly quotaLabel: string | undefined
  readonly onDemand: boolean
  readonly source: string
  readonly asOf: string
}

/**
 * A set of rows, indexed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Catalogue {
  readonly rows: ReadonlyArray<Row>
  /** @internal */
  readonly index: ReadonlyMap<string, Row>
}

/**
 * A catalogue of the given rows alone. Where two rows have the same id the later wins.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (rows: ReadonlyArray<Row>): Catalogue => ({
  rows,
  index: new Map(rows.flatMap((row) => row.ids.map((id) => [id, row] as const)))
})

/**
 * A catalogue with further rows; they win over those of the same id that are there.
 *
 * **Example** (A model that this release does not know)
 *
 * ```ts
 * import { Catalogue } from "@caprock/quota"
 *
 * const catalogue = Catalogue.extend(Catalogue.builtIn, [{
 *   ids: ["acme.sage"],
 *   name: "Sage",
 *   burndown: 1,
 *   maxOutputTokens: 8192,
 *   source: "our own measurement",
 *   asOf: "2026-11-20"
 * }])
 * console.log(Catalogue.lookup(catalogue, "acme.sage-v1:0").maxOutputTokens) // => 8192
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const extend = (catalogue: Catalogue, rows: ReadonlyArray<Row>): Catalogue => make([...catalogue.rows, ...rows])

/** What follows a family's name in a version: `-20250929`, `-v1`, `:0`, each at most once and in this order. */
const version = /^(.*?)(?:-\d{8})?(?:-v\d+)?(?::\d+)?$/

/**
 * What is known of a bare model id (`ModelId.modelOf`). An id that no row names gets cautious figures, flagged
 * `known: false`. Constant time.
 *
 * **Example** (A model that is known, and one that is not)
 *
 * ```ts
 * import { Catalogue } from "@caprock/quota"
 *
 * const known = Catalogue.lookup(Catalogue.builtIn, "anthropic.claude-sonnet-4-6")
 * const unknown = Catalogue.lookup(Catalogue.builtIn, "acme.sage-v1:0")
 * console.log(known.known, known.burndown, known.maxOutputTokens) // => true 5 131072
 * console.log(unknown.known) // => false
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const lookup = (catalogue: Catalogue, model: string): Entry => {
  const row = catalogue.index.get(model) ?? catalogue.index.get(version.exec(model)?.[1] ?? model)
  return row === undefined ? unknown(model) : {
    known: true,
    name: row.name,
    burndown: row.burndown ?? cautiousBurndown(model),
    burndownKnown: row.burndown !== undefined,
    maxOutputTokens: row.maxOutputTokens ?? cautiousOutput,
    maxOutputKnown: row.maxOutputTokens !== undefined,
    quotaLabel: row.quotaLabel,
    onDemand: row.onDemand ?? true,
    source: row.source,
    asOf: row.asOf
  }
}

/** The largest output of any row: a reservation of less might be too little. */
const cautiousOutput = 131_072

/**
 * The highest burndown that a provider's models have had. A model that is newer than the catalogue has the burndown of the newest rows
 * rather than of most. Assumed too low, it is throttled; too high, more is booked while a request is in flight.
 */
const highestBurndown: ReadonlyMap<string, number> = new Map([
  ["anthropic", 15],
  ["openai", 10],
  ["moonshot", 10],
  ["moonshotai", 10]
])

const cautiousBurndown = (model: string): number =>
  highestBurndown.get(model.slice(0, Math.max(0, model.indexOf(".")))) ?? 1

const unknown = (model: string): Entry => ({
  known: false,
  name: model,
  burndown: cautiousBurndown(model),
  burndownKnown: false,
  maxOutputTokens: cautiousOutput,
  maxOutputKnown: false,
  quotaLabel: undefined,
  onDemand: true,
  source: "none: cautious figures",
  asOf: "2026-11-21"
})

/**
 * The name of a quota of a model in Service Quotas, or `undefined` where the catalogue has no label for it or the access
 * path has no such quota. `unit` is what is counted per minute.
 *
 * @category accessors
 * @since 0.1.0
 */
export const quotaName = (entry: Entry, path: AccessPath, unit: "requests" | "tokens"): string | undefined =>
  entry.quotaLabel === undefined || path === "provisioned"
    ? undefined
    : `${pathNames[path]} model inference ${unit} per minute for ${entry.quotaLabel}`

/** Capitals vary between quotas (`Cross-Region` for one of 2024), so compare without regard to them. */
const pathNames: Record<Exclude<AccessPath, "provisioned">, string> = {
  "on-demand": "On-demand",
  "cross-region": "Cross-region",
  "global": "Global cross-region"
}

/**
 * What to say of a refused call to a model by an access path that the catalogue says it lacks, or `undefined`. A hint for
 * a message, not a reason to refuse: the rows may be older than the service.
 *
 * @category accessors
 * @since 0.1.0
 */
export const accessHint = (entry: Entry, path: AccessPath, model: string): string | undefined =>
  path === "on-demand" && !entry.onDemand
    ? `${entry.name} can't be invoked by its own id (${entry.source}, ${entry.asOf}). Use an inference profile, for example `
      + `us.${model} or global.${model}`
    : undefined

/**
 * The rows that come with this release.
 *
 * @category constants
 * @since 0.1.0
 */
export const builtIn: Catalogue = make(rows)

/**
 * The catalogue that applies. Provide another to correct or extend it.
 *
 * @category services
 * @since 0.1.0
 */
export const Current: Context.Reference<Catalogue> = Context.Reference<Catalogue>("@caprock/quota/Catalogue", {
  defaultValue: () => builtIn
})
