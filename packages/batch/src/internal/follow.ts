/** Results as jobs end: what has become final since the journal was looked at before. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BatchJournal, Part } from "../BatchJournal.ts"
import type { Place } from "./place.ts"
import * as Results from "./results.ts"
import * as Sources from "./sources.ts"

/**
 * Gives the results of one journal after the other, each record once, in any order. A part is read when its job has been collected, for what
 * was answered then, and once more when the batch is over, if it left anything. Remembers a bit for each record.
 *
 * One journal after the other, and each to its end.
 */
export const follow = (
  place: Place,
  options: Pick<Results.Options, "input">
): (journal: BatchJournal) => Results.Results => {
  const given = new Map<number, Given>()
  return (journal) => {
    const over = Results.isOver(journal)
    const news = Sources.firstRound(journal).flatMap((part) => {
      const mine = given.get(part.part) ?? of(part)
      given.set(part.part, mine)
      return mine.left > 0 && (over || (part.phase === "collected" && !mine.read)) ? [mine] : []
    })
    const numbers = new Set(news.map(({ part }) => part))
    // They come part by part.
    let at = news[0]
    return Results.results(place, journal, { order: "any", input: options.input }, ({ part }) => numbers.has(part))
      .pipe(
        Stream.filter(({ index }) => {
          if (at === undefined || !has(at, index)) at = news.find((one) => has(one, index))
          return at !== undefined && isFirst(at, index)
        }),
        Stream.onEnd(Effect.sync(() => {
          for (const one of news) one.read = true
        }))
      )
  }
}

/** What was given of a part. */
interface Given {
  readonly part: number
  readonly first: number
  readonly last: number
  /** A bit for each record. */
  readonly bits: Uint8Array
  left: number
  /** Since it was collected. */
  read: boolean
}

const of = ({ first, last, part }: Part): Given => ({
  part,
  first,
  last,
  bits: new Uint8Array(Math.ceil((last - first + 1) / 8)),
  left: last - first + 1,
  read: false
})

const has = ({ first, last }: Given, index: number): boolean => first <= index && index <= last

const isFirst = (given: Given, index: number): boolean => {
  const at = index - given.first
  const bit = 1 << (at & 7)
  const byte = given.bits[at >> 3] ?? 0
  if ((byte & bit) !== 0) return false
  given.bits[at >> 3] = byte | bit
  given.left--
  return true
}
