/**
 * What has become of the records of a part, by its outputs: one pass over them, in any order, with any line twice or not at all.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Corrupt, StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Part, Tally } from "../BatchJournal.ts"
import * as Answers from "./answers.ts"
import * as Names from "./names.ts"
import { outputsOf, type Place } from "./place.ts"

/** Of a record: the better wins, whatever comes first. */
export const fate = { none: 0, failed: 1, rejected: 2, answered: 3 } as const

/** A byte for each record of a part. */
export interface Survey {
  readonly names: Names.Names
  readonly fates: Uint8Array
  readonly tally: Tally
}

/** Where the outputs of a part are; nowhere where it never was a job. */
export const outputs = (place: Place, { job }: Part): Stream.Stream<Buffer, StoreFailed | Corrupt> =>
  job?.arn === undefined ? Stream.empty : Answers.lines(place, outputsOf(place, job.arn))

export const fateOf = ({ error }: Answers.Answer): number =>
  error === undefined ? fate.answered : error.kind === "rejected" ? fate.rejected : fate.failed

export const survey = Effect.fnUntraced(function*(
  place: Place,
  { settings }: Pick<BatchJournal, "settings">,
  part: Part
): Effect.fn.Return<Survey, StoreFailed | Corrupt> {
  const names = yield* Names.read(place, part)
  const fates = new Uint8Array(names.count)
  const usageOf = Answers.usageOf(settings)
  let foreign = 0
  let repeated = 0
  let inputTokens = 0
  let outputTokens = 0
  yield* outputs(place, part).pipe(
    Stream.runForEachArray((lines) =>
      Effect.sync(() => {
        for (const line of lines) {
          const answer = Answers.of(line)
          const position = answer === undefined ? undefined : names.positionOf(answer.index)
          if (answer === undefined || position === undefined) {
            foreign++
            continue
          }
          const before = fates[position] ?? fate.none
          const now = fateOf(answer)
          if (before !== fate.none) repeated++
          if (now <= before) continue
          fates[position] = now
          const usage = now === fate.answered ? usageOf(answer.output) : undefined
          inputTokens += usage?.inputTokens ?? 0
          outputTokens += usage?.outputTokens ?? 0
        }
      })
    )
  )
  const counts = [0, 0, 0, 0]
  for (const one of fates) counts[one] = (counts[one] ?? 0) + 1
  const [none = 0, failed = 0, rejected = 0, succeeded = 0] = counts
  return {
    names,
    fates,
    tally: { succeeded, rejected, failed, missing: none - part.refused, foreign, repeated, inputTokens, outputTokens }
  }
})
