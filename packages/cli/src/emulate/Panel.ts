/**
 * What `caprock emulate` shows: pure functions from the emulator's statistics to text.
 *
 * @since 0.1.0
 */
import * as Options from "@caprock/emulator/Options"
import type * as Stats from "@caprock/emulator/Stats"
import * as Duration from "effect/Duration"
import * as format from "../internal/format.ts"

/**
 * The first line: where it is, and what it enforces.
 *
 * @category rendering
 * @since 0.1.0
 */
export const started = (url: string, options: Options.Options): string => {
  const window = Duration.toMillis(options.window ?? Options.defaults.window)
  const { requests, tokens, tokensPerDay } = options.quota ?? {}
  const limits = [
    ...(requests === undefined ? [] : [`${format.count(requests)} requests`]),
    ...(tokens === undefined ? [] : [`${format.count(tokens)} tokens`])
  ]
  const day = tokensPerDay === undefined
    ? ""
    : `${limits.length === 0 ? "" : ", "}${format.count(tokensPerDay)} tokens in ${format.duration(window * 1440)}`
  const shape = options.shape ?? Options.defaults.shape
  const minute = window === 60_000 ? "a minute" : `${format.duration(window)}, which stand for a minute`
  return `Emulating Bedrock at ${url}: ` + (
    limits.length === 0 && day === "" ? "no quota (see --rpm and --tpm)." : (
      limits.length === 0 ? "" : `${limits.join(" and ")} in ${minute} (${shape})`
    ) + `${day}, for each pool.`
  )
}

/**
 * What makes any AWS SDK talk to it, about batch jobs too where it has them.
 *
 * @category rendering
 * @since 0.1.0
 */
export const environment = (url: string, { batch }: Options.Options): string =>
  [
    `export AWS_ENDPOINT_URL_BEDROCK_RUNTIME=${url}`,
    ...(batch === undefined
      ? []
      : [`export AWS_ENDPOINT_URL_BEDROCK=${url}`, `export AWS_ENDPOINT_URL_S3=${batch.s3.endpoint}`]),
    "export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=emulated AWS_SECRET_ACCESS_KEY=emulated"
  ].join("\n")

const maxPools = 5

/**
 * The live statistics.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (stats: Stats.Stats): ReadonlyArray<string> => {
  const pools = Object.entries(stats.pools)
  return [
    `${format.plural(stats.requests, "request")}, ${format.count(stats.answered)} answered, ` +
    `${format.count(stats.inFlight)} in flight, throttled ${format.count(stats.throttled.total)}` +
    (stats.throttled.total === 0
      ? ""
      : ` (requests ${format.count(stats.throttled.requests)}, tokens ${format.count(stats.throttled.tokens)}, day ${
        format.count(stats.throttled.day)
      })`) +
    `, ${format.plural(stats.connections, "connection")}${errors(stats)}`,
    ...pools.slice(0, maxPools).map(([name, pool]) => {
      const use = (label: string, meter: { readonly used: number; readonly limit: number } | undefined) =>
        meter === undefined
          ? []
          : [
            `${label} ${format.count(meter.used)} of ${format.count(meter.limit)} (${
              format.percent(meter.limit === 0 ? 1 : meter.used / meter.limit)
            })`
          ]
      const meters = [
        ...use("requests", pool.usage.requests),
        ...use("tokens", pool.usage.tokens),
        ...use("tokens per day", pool.usage.tokensPerDay)
      ]
      return `  ${name}: ${format.plural(pool.requests, "request")}${
        meters.length === 0 ? "" : `, ${meters.join(", ")}`
      }`
    }),
    ...(pools.length > maxPools ? [`  and ${format.count(pools.length - maxPools)} more pools`] : []),
    ...(stats.jobs.accepted === 0 ? [] : [jobs(stats.jobs)])
  ]
}

const jobs = ({ accepted, records, statuses }: Stats.JobStats): string => {
  const named = Object.entries(statuses).map(([name, n]) => `${name} ${format.count(n)}`)
  return `  ${format.plural(accepted, "batch job")} (${named.join(", ")}), ${
    format.plural(records.processed, "record")
  } answered, ${format.count(records.failed)} of them failed`
}

const errors = (stats: Stats.Stats): string => {
  const named = Object.entries(stats.errors).map(([name, n]) => `${name} ${format.count(n)}`)
  return named.length === 0 ? "" : `, errors: ${named.join(", ")}`
}

/**
 * For a log: a line, where something was asked since the one before.
 *
 * @category rendering
 * @since 0.1.0
 */
export const changes = (): (stats: Stats.Stats) => string | undefined => {
  let before = 0
  return (stats) => {
    if (stats.requests === before) return undefined
    before = stats.requests
    return render(stats)[0]
  }
}
