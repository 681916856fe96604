/**
 * What a run shows of itself while it goes: pure functions from what is known to text.
 *
 * @since 0.1.0
 */
import * as format from "../internal/format.ts"
import { type Counts, throttles } from "./Tally.ts"
import type { PoolSnapshot } from "./Target.ts"
import * as Throughput from "./Throughput.ts"

/**
 * Everything a panel shows.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly counts: Readonly<Counts>
  /** Bytes of the whole input; `undefined` where the end is not known. */
  readonly size: number | undefined
  readonly elapsedMillis: number
  readonly pool: PoolSnapshot | undefined
  /** Requests sent and tokens charged within the last minute, for a pool without quotas. */
  readonly lastMinute: { readonly requests: number; readonly tokens: number }
  readonly stopping: boolean
}

const barWidth = 24

/**
 * The live panel.
 *
 * @category rendering
 * @since 0.1.0
 */
export const render = (view: View): ReadonlyArray<string> => {
  const { counts } = view
  const share = doneShare(view)
  const left = timeLeft(view)
  return [
    share === undefined
      ? `${format.count(counts.answered)} answered of ${format.count(counts.lines)} read so far, ` +
        `${format.duration(view.elapsedMillis)}`
      : `${format.bar(share, barWidth)} ${format.percent(share).padStart(5)}  ${
        format.count(counts.answered)
      } answered` +
        (counts.skipped > 0 ? `, ${format.count(counts.skipped)} before` : "") +
        `  ${format.duration(view.elapsedMillis)}` +
        (left === undefined ? "" : `, about ${format.duration(left)} left`),
    ...meterRows(view),
    `in flight ${format.count(counts.sent)}   waiting ${format.count(counts.waiting + counts.pausing)}   throttles ${
      format.count(throttles(counts))
    }   errors ${format.count(counts.failed)}`,
    ...(view.stopping ? [stoppingText(counts)] : [])
  ]
}

/**
 * The same on one line, for a log.
 *
 * @category rendering
 * @since 0.1.0
 */
export const renderLine = (view: View): string => {
  const { counts } = view
  const share = doneShare(view)
  const left = timeLeft(view)
  return [
    `${format.duration(view.elapsedMillis)}:`,
    [
      `${format.count(counts.answered)} answered`,
      ...(share === undefined ? [] : [format.percent(share)]),
      ...(view.pool?.meters ?? []).map((meter) =>
        `${format.count(meter.used)} of ${format.count(meter.limit)} ${meter.unit} in ${windowText(meter.windowMillis)}`
      ),
      ...(view.pool === undefined || view.pool.meters.length === 0
        ? [
          `${format.count(view.lastMinute.requests)} requests and ${
            format.count(view.lastMinute.tokens)
          } tokens per minute`
        ]
        : []),
      `${format.count(counts.sent)} in flight`,
      `${format.count(counts.waiting + counts.pausing)} waiting`,
      `${format.plural(throttles(counts), "throttle")}`,
      `${format.plural(counts.failed, "error")}`,
      ...(left === undefined ? [] : [`about ${format.duration(left)} left`])
    ].join(", ")
  ].join(" ")
}

/**
 * @category rendering
 * @since 0.1.0
 */
export const stoppingText = (counts: Readonly<Counts>): string =>
  `Stopping: ${
    format.plural(counts.sent, "request is", "requests are")
  } still being answered. Ctrl-C again stops at once.`

const meterRows = (view: View): ReadonlyArray<string> => {
  const meters = view.pool?.meters ?? []
  if (meters.length === 0) {
    return [
      `${view.pool?.several === true ? "by a route" : "no quota given"}: ${
        format.count(view.lastMinute.requests)
      } requests and ${format.count(view.lastMinute.tokens)} tokens in the last minute`
    ]
  }
  return meters.map((meter) => {
    const share = meter.limit <= 0 ? 1 : meter.used / meter.limit
    return `${meter.unit.padEnd(8)} ${format.bar(share, barWidth)} ${format.percent(share).padStart(5)}  ${
      format.count(meter.used)
    } of ${format.count(meter.limit)} in ${windowText(meter.windowMillis)}`
  })
}

const windowText = (millis: number): string =>
  millis === 60_000 ? "a minute" : millis === 86_400_000 ? "a day" : format.duration(millis)

const doneShare = (view: View): number | undefined =>
  view.size === undefined || view.size === 0 ? undefined : Math.min(1, view.counts.bytesDone / view.size)

/** What a mean call took so far. */
const meanCall = (counts: Readonly<Counts>): Throughput.Call | undefined =>
  counts.settled.calls === 0 || counts.answered === 0 ? undefined : {
    booked: counts.settled.booked / counts.settled.calls,
    charged: counts.settled.charged / counts.settled.calls,
    serviceMillis: counts.serviceMillis / counts.answered
  }

/**
 * Milliseconds until the input is done: at the pace so far, or at the quota's pace where that is slower, since the first
 * window goes out in one burst that does not come again. `undefined` until something was answered.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const timeLeft = (view: View): number | undefined => {
  const { counts } = view
  const asked = counts.answered + counts.failed - counts.badLines
  if (view.size === undefined || asked === 0 || counts.bytesAsked === 0) return undefined
  const bytesLeft = Math.max(0, view.size - counts.bytesDone)
  const callsLeft = bytesLeft / (counts.bytesAsked / asked)
  const soFar = view.elapsedMillis / asked
  const call = meanCall(counts)
  const quota = call === undefined ? undefined : Throughput.bottleneck(view.pool?.meters ?? [], call)
  return callsLeft * Math.max(soFar, quota?.millisPerCall ?? 0)
}
