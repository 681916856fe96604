/** The options with their defaults, in the form in which the emulator uses them. */
import * as Duration from "effect/Duration"
import * as Batch from "../Batch.ts"
import type * as LatencyModel from "../LatencyModel.ts"
import type { Shape as MeterShape } from "../Meter.ts"
import * as Options from "../Options.ts"
import type * as OutputModel from "../OutputModel.ts"
import * as Random from "./random.ts"

/** Durations are milliseconds. */
export interface Config {
  readonly seed: Random.Seed
  readonly window: number
  readonly shape: MeterShape
  readonly during: boolean
  readonly countRejected: boolean
  readonly reserveCacheReads: boolean
  readonly quota: Options.Quota
  readonly quotas: Readonly<Record<string, Options.Quota>>
  readonly accountTokensPerDay: number | undefined
  readonly burndown: number | Readonly<Record<string, number>>
  readonly maxOutput: number | Readonly<Record<string, number>>
  readonly contextWindow: number | Readonly<Record<string, number>>
  readonly defaultMaxOutput: number
  readonly defaultContextWindow: number
  readonly models: ReadonlySet<string> | undefined
  readonly account: string | undefined
  readonly region: string
  readonly requireAuth: boolean
  readonly cacheMinimumTokens: number
  readonly cacheTtl: number
  readonly latencyOf: (region: string) => LatencyModel.LatencyModel
  readonly output: OutputModel.OutputModel | OutputModel.OutputFunction
  readonly steering: boolean
  readonly usageHeaders: boolean
  readonly guardrails: Readonly<Record<string, Options.Guardrail>> | undefined
  readonly jobDuration: number
  readonly batch: BatchConfig
}

/** Of batch jobs: what holds besides where their S3 is. */
export interface BatchConfig {
  readonly delays: Readonly<Record<keyof typeof Batch.defaults.delays, LatencyModel.LatencyModel>>
  /** How long an hour of a timeout is. */
  readonly hour: number
  readonly limits: Readonly<Record<keyof typeof Batch.defaults.limits, number>>
}

/** What is given, and for all that is not what stands in `otherwise`. */
const filled = <K extends string, A>(otherwise: Readonly<Record<K, A>>, given: object | undefined): Record<K, A> => {
  const set = Object.entries(given ?? {}).filter(([, value]) => value !== undefined)
  return { ...otherwise, ...Object.fromEntries(set) }
}

/** Fills in the defaults. */
export const of = (options: Options.Options): Config => {
  const { defaults } = Options
  return {
    seed: Random.seedOf(String(options.seed ?? defaults.seed)),
    window: Duration.toMillis(options.window ?? defaults.window),
    shape: options.shape ?? defaults.shape,
    during: (options.adjust ?? defaults.adjust) === "during",
    countRejected: options.countRejected ?? defaults.countRejected,
    reserveCacheReads: options.reserveCacheReads ?? defaults.reserveCacheReads,
    quota: options.quota ?? defaults.quota,
    quotas: options.quotas ?? {},
    accountTokensPerDay: options.accountTokensPerDay,
    burndown: options.burndown ?? defaults.burndown,
    maxOutput: options.maxOutput ?? defaults.maxOutput,
    contextWindow: options.contextWindow ?? defaults.contextWindow,
    defaultMaxOutput: defaults.maxOutput,
    defaultContextWindow: defaults.contextWindow,
    models: options.models === undefined ? undefined : new Set(options.models),
    account: options.account,
    region: options.region ?? defaults.region,
    requireAuth: options.requireAuth ?? defaults.requireAuth,
    cacheMinimumTokens: options.cacheMinimumTokens ?? defaults.cacheMinimumTokens,
    cacheTtl: Duration.toMillis(options.cacheTtl ?? defaults.cacheTtl),
    latencyOf: (region) => options.latencies?.[region] ?? options.latency ?? defaults.latency,
    output: options.output ?? defaults.output,
    steering: options.steering ?? defaults.steering,
    usageHeaders: options.usageHeaders ?? defaults.usageHeaders,
    guardrails: options.guardrails,
    jobDuration: Duration.toMillis(options.jobDuration ?? defaults.jobDuration),
    batch: {
      delays: filled<keyof typeof Batch.defaults.delays, LatencyModel.LatencyModel>(
        Batch.defaults.delays,
        options.batch?.delays
      ),
      hour: Duration.toMillis(options.batch?.hour ?? Batch.defaults.hour),
      limits: filled<keyof typeof Batch.defaults.limits, number>(Batch.defaults.limits, options.batch?.limits)
    }
  }
}
