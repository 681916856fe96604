/** Where the answers of a part of the first round are: its own outputs, those of later rounds, and what was answered on demand. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Corrupt, StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Part } from "../BatchJournal.ts"
import type { Listed } from "../ObjectStore.ts"
import * as Answers from "./answers.ts"
import * as Ledger from "./ledger.ts"
import * as Names from "./names.ts"
import { late, type Place } from "./place.ts"
import * as Reading from "./reading.ts"
import * as RecordId from "./recordId.ts"
import { outputs } from "./survey.ts"

/** Those whose outputs have been read and counted: of others more may come. */
const isCollected = ({ phase }: Part): boolean => phase === "collected"

export const firstRound = ({ parts }: BatchJournal): ReadonlyArray<Part> =>
  parts.filter(({ round }) => round === 0).toSorted((a, b) => a.part - b.part)

/** What may have taken up a record of a part, in the order of the rounds. */
const later = ({ parts }: BatchJournal, { first, last }: Part): ReadonlyArray<Part> =>
  parts.filter((part) => part.round > 0 && part.first <= last && part.last >= first)
    .toSorted((a, b) => a.round - b.round || a.part - b.part)

function* indicesOf(names: Names.Names): Generator<number> {
  for (let i = 0; i < names.count; i++) if (names.refusedAt(i) === undefined) yield names.indexAt(i)
}

/** What was answered on demand: its files, each with the first and the last of its records. */
export type Late = ReadonlyArray<Listed & { readonly first: number; readonly last: number }>

/** Reads all of them once, so that for each part only those have to be read that have something of it. */
export const lateOf = (place: Place, journal: BatchJournal): Effect.Effect<Late, StoreFailed | Corrupt> =>
  journal.late === undefined ? Effect.succeed([]) : Answers.files(place, late(place)).pipe(
    Stream.mapEffect((file) =>
      Reading.lines(place, file).pipe(
        Stream.runFold(
          () => ({ ...file, first: Infinity, last: -Infinity }),
          (so, line) => {
            const index = Answers.indexOf(line)
            return index === undefined
              ? so
              : { ...so, first: Math.min(so.first, index), last: Math.max(so.last, index) }
          }
        )
      ), { concurrency: Reading.inFlight }),
    Stream.runCollect
  )

export interface Opened {
  readonly names: Names.Names
  readonly ledger: Ledger.Ledger
  /** All lines, source by source: each is for the ledger to take. */
  readonly lines: Stream.Stream<Buffer, StoreFailed | Corrupt>
}

/** `over`: nothing is asked again, and what has no answer has failed. */
export const open = Effect.fnUntraced(function*(
  place: Place,
  journal: BatchJournal,
  part: Part,
  { late, over }: { readonly late: Late; readonly over: boolean }
): Effect.fn.Return<Opened, StoreFailed | Corrupt> {
  const names = yield* Names.read(place, part)
  const ledger = Ledger.make(names, over)
  const taken = ({ job, rest }: Part, names: Names.Names): void => {
    ledger.taken(indicesOf(names), { sent: job?.arn !== undefined, rest })
  }
  const own = Stream.suspend(() => {
    taken(part, names)
    return isCollected(part) ? outputs(place, part) : Stream.empty
  })
  const rounds = Stream.fromIterable(later(journal, part)).pipe(
    Stream.flatMap((another) =>
      Stream.unwrap(Effect.map(Names.read(place, another), (theirs) => {
        taken(another, theirs)
        return isCollected(another) ? outputs(place, another) : Stream.empty
      }))
    )
  )
  const onDemand = Reading.linesOfAll(
    place,
    Stream.fromIterable(late.filter(({ first, last }) => first <= part.last && last >= part.first))
  )
  return { names, ledger, lines: own.pipe(Stream.concat(rounds), Stream.concat(onDemand)) }
})

/** The lines that were sent of those records of a part that are wanted, in the order of the input. Reads no further than to the last. */
export const inputs = (
  place: Place,
  part: Part,
  names: Names.Names,
  wanted: (position: number) => boolean
): Stream.Stream<{ readonly position: number; readonly line: Buffer }, StoreFailed | Corrupt> =>
  Stream.suspend(() => {
    let left = 0
    for (let position = 0; position < names.count; position++) {
      if (names.refusedAt(position) === undefined && wanted(position)) left++
    }
    if (left === 0) return Stream.empty
    return Reading.linesOfAll(place, Stream.fromIterable(part.files)).pipe(
      Stream.mapArray((lines) => {
        const found: Array<{ readonly position: number; readonly line: Buffer }> = []
        for (const line of lines) {
          const index = RecordId.indexOfLine(line)
          const position = index === undefined ? undefined : names.positionOf(index)
          if (position !== undefined && wanted(position)) found.push({ position, line })
        }
        return [found] as const
      }),
      Stream.flattenIterable,
      Stream.take(left)
    )
  })
