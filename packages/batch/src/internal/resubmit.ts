/** What is asked again: the records without an answer, and nothing else. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Corrupt, InputChanged, StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Part, Upload } from "../BatchJournal.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import * as Answers from "./answers.ts"
import type { Line } from "./item.ts"
import { isUnbegun, mayAgain } from "./machine.ts"
import * as PartWriter from "./partWriter.ts"
import type { Place } from "./place.ts"
import * as Sources from "./sources.ts"
import * as Survey from "./survey.ts"

/** Of one part: what failed in it, or did not come back. In the order of the input. */
const again = (
  place: Place,
  journal: Pick<BatchJournal, "settings">,
  part: Part
): Stream.Stream<Line, StoreFailed | Corrupt> =>
  Stream.unwrap(Effect.map(Survey.survey(place, journal, part), ({ fates, names }) =>
    Sources.inputs(
      place,
      part,
      names,
      (position) => fates[position] === Survey.fate.none || fates[position] === Survey.fate.failed
    ).pipe(
      Stream.map(({ line, position }) => ({
        index: names.indexAt(position),
        id: names.idAt(position),
        text: line.toString("utf8"),
        bytes: line.length + 1
      }))
    )))

/**
 * Uploads the parts of a round: what the round before did not answer. Records that the model rejected are not among them, nor those of a part whose
 * `rest` is settled, nor those that were asked as often as they may be. The same outputs give the same parts.
 */
export const formRound = (
  place: Place,
  journal: BatchJournal,
  round: number
): Effect.Effect<ReadonlyArray<Upload>, StoreFailed | Corrupt | InputChanged> => {
  const { generation, limits, parts } = journal
  const before = parts.filter((part) =>
    part.round === round - 1 && part.rest === undefined && isWanting(part) && mayAgain(journal, part)
  )
    .toSorted((a, b) => a.part - b.part)
  return Stream.runCollect(PartWriter.write(
    place,
    { limits, round, generation, known: [], sealed: false },
    Stream.flatMap(Stream.fromIterable(before), (part) => again(place, journal, part))
  ))
}

const isWanting = ({ phase, tally }: Part): boolean =>
  phase === "collected" && tally !== undefined && tally.failed + tally.missing > 0

const open = (journal: BatchJournal): BatchJournal => ({
  ...journal,
  parts: journal.parts.map((part) => {
    if (!isUnbegun(journal, part)) return part
    const { rest: _, ...asked } = part
    return asked
  })
})

/** Everything that has no answer, was not rejected, and is not settled otherwise: what was answered on demand meanwhile is not in it. */
export const leftOver = (
  place: Place,
  written: BatchJournal
): Stream.Stream<BatchRecord & { readonly index: number }, StoreFailed | Corrupt> => {
  const journal = open(written)
  return Stream.unwrap(
    Effect.map(
      Sources.lateOf(place, journal),
      (late) =>
        Stream.flatMap(
          Stream.fromIterable(Sources.firstRound(journal)),
          (part) =>
            Stream.unwrap(Effect.gen(function*() {
              const { ledger, lines, names } = yield* Sources.open(place, journal, part, { late, over: true })
              yield* Stream.runForEachArray(lines, (lines) => Effect.sync(() => lines.forEach(ledger.take)))
              return Sources.inputs(place, part, names, ledger.isOpen).pipe(
                Stream.map(({ line, position }) => ({
                  index: names.indexAt(position),
                  id: names.idAt(position),
                  input: Answers.of(line)?.input ?? null
                }))
              )
            }))
        )
    )
  )
}
