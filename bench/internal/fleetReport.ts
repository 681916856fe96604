// What the judge's log says of the fleet.
import type * as Stats from "@caprock/emulator/Stats"
import type { Verdict } from "./fleetJudge.ts"
import { type Class, classOf, slotOf } from "./fleetTraffic.ts"

/** One process, from its start to its end, and how many waited in it as it said. */
export interface Life {
  readonly slot: number
  readonly samples: ReadonlyArray<readonly [at: number, waiting: Readonly<Record<Class, number>>]>
  readonly endedAt: number
}

interface Change {
  readonly at: number
  readonly tokens: number
  readonly requests: number
  readonly waiting: number
}

export interface Occupied {
  readonly at: number
  /** Of the limit that is nearer to its end. */
  readonly part: number
  readonly waiting: number
}

const isAdmitted = ({ outcome, reserved }: Stats.RequestRecord): boolean =>
  reserved > 0 && !outcome.startsWith("Throttled")

const all: ReadonlyArray<Class> = ["interactive", "bulk"]

/** When a life waits with calls of these classes: from a sample with somebody waiting to the next without. */
const spansOf = (
  { endedAt, samples }: Life,
  classes: ReadonlyArray<Class>
): ReadonlyArray<readonly [from: number, to: number]> => {
  const spans: Array<readonly [number, number]> = []
  let from: number | undefined
  for (const [at, waiting] of samples) {
    if (classes.some((of) => waiting[of] > 0)) from ??= at
    else if (from !== undefined) {
      spans.push([from, at])
      from = undefined
    }
  }
  if (from !== undefined) spans.push([from, endedAt])
  return spans
}

/** How much of the quota is taken, by the server's own log: from each instant at which it is another to the next. */
export const occupied = (
  { log, origin }: Verdict,
  lives: ReadonlyArray<Life>,
  quota: { readonly requests: number; readonly tokens: number },
  window: number
): ReadonlyArray<Occupied> => {
  const changes: Array<Change> = []
  for (const record of log.filter(isAdmitted)) {
    const arrivedAt = record.arrivedAt + origin
    const endedAt = record.endedAt + origin
    const leavesAt = arrivedAt + window
    changes.push({ at: arrivedAt, tokens: record.reserved, requests: 1, waiting: 0 })
    const settled = endedAt < leavesAt ? record.settled : record.reserved
    if (settled !== record.reserved) {
      changes.push({ at: endedAt, tokens: settled - record.reserved, requests: 0, waiting: 0 })
    }
    changes.push({ at: leavesAt, tokens: -settled, requests: -1, waiting: 0 })
  }
  for (const [from, to] of lives.flatMap((life) => spansOf(life, all))) {
    changes.push({ at: from, tokens: 0, requests: 0, waiting: 1 }, { at: to, tokens: 0, requests: 0, waiting: -1 })
  }
  changes.sort((one, other) => one.at - other.at)
  let tokens = 0
  let requests = 0
  let waiting = 0
  return changes.map((change) => {
    tokens += change.tokens
    requests += change.requests
    waiting += change.waiting
    return { at: change.at, part: Math.max(tokens / quota.tokens, requests / quota.requests), waiting }
  })
}

/** The mean from one time to another, of the time at which somebody waits. */
export const meanOf = (levels: ReadonlyArray<Occupied>, from: number, to: number): number => {
  let sum = 0
  let time = 0
  for (const [index, { at, part, waiting }] of levels.entries()) {
    const until = Math.min(to, levels[index + 1]?.at ?? at)
    const millis = until - Math.max(from, at)
    if (waiting === 0 || millis <= 0) continue
    sum += part * millis
    time += millis
  }
  return time === 0 ? Number.NaN : sum / time
}

export interface Fairness {
  /** Of each process that had some claim: what it got over what it would have got, had all that was admitted while it waited been shared equally. */
  readonly parts: ReadonlyArray<number>
  readonly jain: number
}

/**
 * Of the processes whose claim was at least so many tokens. What goes to a class is claimed by those who wait with calls of that class: whoever has bulk
 * only has no claim on what others' interactive calls get.
 */
export const fairness = ({ log, origin }: Verdict, lives: ReadonlyArray<Life>, leastClaim: number): Fairness => {
  const spans = lives.map((life) => ({
    life,
    spans: { interactive: spansOf(life, ["interactive"]), bulk: spansOf(life, ["bulk"]) },
    got: 0,
    claim: 0
  }))
  for (const record of log.filter(isAdmitted)) {
    const at = record.arrivedAt + origin
    const slot = slotOf(record.maxTokens)
    const of = classOf(record.maxTokens)
    const waiting = spans.filter(({ spans }) => spans[of].some(([from, to]) => from <= at && at <= to))
    const own = waiting.find(({ life }) => life.slot === slot)
    // Nobody waits in the process that sent it: it took nothing from others.
    if (own === undefined) continue
    own.got += record.settled
    for (const one of waiting) one.claim += record.settled / waiting.length
  }
  const parts = spans.filter(({ claim }) => claim >= leastClaim).map(({ claim, got }) => got / claim)
  return { parts, jain: jainOf(parts) }
}

/** 1 where all are equal, 1/n where one has it all. */
const jainOf = (parts: ReadonlyArray<number>): number => {
  const sum = parts.reduce((sum, part) => sum + part, 0)
  return sum ** 2 / (parts.length * parts.reduce((sum, part) => sum + part ** 2, 0))
}

/** Which part was interactive of what was admitted while interactive calls had been waiting in some process for so long at least. */
export const aheadPart = ({ log, origin }: Verdict, lives: ReadonlyArray<Life>, waitedMillis: number): number => {
  const spans = lives.flatMap((life) => spansOf(life, ["interactive"]))
    .map(([from, to]) => [from + waitedMillis, to] as const).filter(([from, to]) => from < to)
  const counts = { interactive: 0, bulk: 0 }
  for (const record of log.filter(isAdmitted)) {
    const at = record.arrivedAt + origin
    if (spans.some(([from, to]) => from <= at && at <= to)) counts[classOf(record.maxTokens)]++
  }
  return counts.interactive / (counts.interactive + counts.bulk)
}

export const perSecond = (
  { log, origin }: Verdict,
  from: number,
  to: number
): { readonly interactive: number; readonly bulk: number } => {
  const counts = { interactive: 0, bulk: 0 }
  for (const record of log.filter(isAdmitted)) {
    const at = record.arrivedAt + origin
    if (at >= from && at < to) counts[classOf(record.maxTokens)]++
  }
  const seconds = (to - from) / 1000
  return { interactive: counts.interactive / seconds, bulk: counts.bulk / seconds }
}

export const quantile = (numbers: ReadonlyArray<number>, part: number): number => {
  const sorted = numbers.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
