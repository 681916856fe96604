/**
 * The running counts of a run. One owner writes them, as things happen; the panel, the log and the summary read them.
 *
 * @since 0.1.0
 */
import type { CallEvent } from "@caprock/bedrock/CallEvents"
import * as histogram from "../internal/histogram.ts"
import type { Usage } from "../internal/usage.ts"

/**
 * Where a call is on its way: it waits for quota, is being answered, or pauses before the next attempt.
 *
 * @category models
 * @since 0.1.0
 */
export type CallState = "waiting" | "sent" | "pausing"

/**
 * What the counts are now. Times are milliseconds of the monotonic clock, sizes are bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Lines that hold something. */
  lines: number
  /** Lines whose answer was in the output already. */
  skipped: number
  /** Of those, lines whose request is no longer the one that was answered. */
  changed: number
  /** Lines answered in this run. */
  answered: number
  /** Lines that ended in an error in this run. */
  failed: number
  /** Of those, lines that were never asked. */
  badLines: number
  /** Of those that failed, lines of which another attempt may be answered. */
  curable: number
  /** Lines given back unasked because the run stopped. */
  dropped: number
  waiting: number
  sent: number
  pausing: number
  /** Requests sent, for calls that have ended. */
  requests: number
  throttles: { requests: number; tokens: number; tokensPerDay: number; unknown: number }
  /** Failed attempts that were not throttles. */
  otherFailures: number
  inputTokens: number
  outputTokens: number
  cutAtMaxTokens: number
  /** Bytes of the input up to the last line that was read. */
  bytesRead: number
  /** Bytes of lines that are done: answered, failed or skipped. */
  bytesDone: number
  /** Of those, bytes of lines that were asked in this run. */
  bytesAsked: number
  /** `debts` counts the calls that cost more than was booked for them. */
  settled: { calls: number; reserved: number; booked: number; charged: number; debts: number }
  serviceMillis: number
  waitedMillis: number
  /** Time in which something waited for quota, and in which every connection was in use. */
  timeWaiting: number
  timeConnectionsFull: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Tally {
  readonly counts: Readonly<Counts>
  readonly update: (change: (counts: Counts) => void) => void
  /** A call moves from one state to the next; `undefined` is before it began and after it ended. */
  readonly move: (from: CallState | undefined, to: CallState | undefined, now: number) => void
  readonly event: (event: CallEvent, now: number) => void
  readonly answer: (usage: Usage, stopReason: string) => void
  /** A line ended in an error, of a closed set of names. Returns whether it was the first of that name. */
  readonly failure: (name: string) => boolean
  readonly failures: ReadonlyMap<string, number>
  /** Output tokens of the answers. */
  readonly outputs: histogram.Histogram
  /** Requests sent and tokens charged within the last minute. */
  readonly lastMinute: (now: number) => { readonly requests: number; readonly tokens: number }
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: { readonly maxConnections: number; readonly now: number }): Tally => {
  const counts: Counts = {
    lines: 0,
    skipped: 0,
    changed: 0,
    answered: 0,
    failed: 0,
    badLines: 0,
    curable: 0,
    dropped: 0,
    waiting: 0,
    sent: 0,
    pausing: 0,
    requests: 0,
    throttles: { requests: 0, tokens: 0, tokensPerDay: 0, unknown: 0 },
    otherFailures: 0,
    inputTokens: 0,
    outputTokens: 0,
    cutAtMaxTokens: 0,
    bytesRead: 0,
    bytesDone: 0,
    bytesAsked: 0,
    settled: { calls: 0, reserved: 0, booked: 0, charged: 0, debts: 0 },
    serviceMillis: 0,
    waitedMillis: 0,
    timeWaiting: 0,
    timeConnectionsFull: 0
  }
  const outputs = histogram.make()
  const failures = new Map<string, number>()
  const requests = makeRecent()
  const tokens = makeRecent()
  let last = options.now

  const advance = (now: number) => {
    const elapsed = now - last
    last = now
    if (counts.sent >= options.maxConnections) counts.timeConnectionsFull += elapsed
    else if (counts.waiting > 0) counts.timeWaiting += elapsed
  }

  return {
    counts,
    outputs,
    failures,
    failure: (name) => {
      const before = failures.get(name) ?? 0
      failures.set(name, before + 1)
      counts.failed += 1
      return before === 0
    },
    update: (change) => change(counts),
    move: (from, to, now) => {
      advance(now)
      if (from !== undefined) counts[from] -= 1
      if (to !== undefined) counts[to] += 1
    },
    event: (event, now) => {
      switch (event._tag) {
        case "Admitted":
          requests.add(now, 1)
          return
        case "AttemptFailed": {
          const limit = throttleOf(event.error.reason)
          if (limit === undefined) counts.otherFailures += 1
          else counts.throttles[limit] += 1
          return
        }
        case "Settled": {
          counts.settled.calls += 1
          counts.settled.reserved += event.reserved
          counts.settled.booked += event.booked
          counts.settled.charged += event.charged
          if (event.charged > event.booked) counts.settled.debts += 1
          tokens.add(now, event.charged)
          return
        }
        case "CallEnded": {
          // Of what was admitted, not all was sent.
          counts.requests += event.attempts
          counts.serviceMillis += event.serviceMillis
          counts.waitedMillis += event.waitedMillis
          return
        }
        case "Adapted":
        case "Hedged":
        case "Left":
        case "Routed":
        case "Waiting":
          return
      }
    },
    answer: (usage, stopReason) => {
      counts.answered += 1
      counts.inputTokens += usage.inputTokens + (usage.cacheWriteInputTokens ?? 0)
      counts.outputTokens += usage.outputTokens
      if (stopReason === "max_tokens") counts.cutAtMaxTokens += 1
      outputs.add(usage.outputTokens)
    },
    lastMinute: (now) => ({ requests: requests.sum(now), tokens: tokens.sum(now) })
  }
}

/**
 * Throttles of all kinds.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const throttles = ({ throttles: { requests, tokens, tokensPerDay, unknown } }: Readonly<Counts>): number =>
  requests + tokens + tokensPerDay + unknown

type Limit = keyof Counts["throttles"]

const throttleOf = (
  reason: { readonly _tag: string; readonly limit?: string; readonly origin?: { readonly _tag: string } }
): Limit | undefined => {
  const cut: { readonly _tag: string; readonly limit?: string } = reason.origin ?? reason
  if (cut._tag !== "ThrottlingError") return undefined
  return cut.limit === "tokens-per-day" ? "tokensPerDay" : cut.limit === "requests" || cut.limit === "tokens"
    ? cut.limit
    : "unknown"
}

/** A sum over the last 60 seconds, a second at a time. */
const makeRecent = () => {
  const seconds = 60
  const sums = new Float64Array(seconds)
  let head = 0
  const forward = (now: number) => {
    const second = Math.floor(now / 1000)
    if (second - head >= seconds) sums.fill(0)
    else for (let at = head + 1; at <= second; at++) sums[at % seconds] = 0
    head = Math.max(head, second)
  }
  return {
    add: (now: number, amount: number) => {
      forward(now)
      const at = head % seconds
      sums[at] = (sums[at] ?? 0) + amount
    },
    sum: (now: number) => {
      forward(now)
      return sums.reduce((all, one) => all + one, 0)
    }
  }
}
