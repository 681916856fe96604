/** The input of a batch: read once, checked, and uploaded part by part. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { hash } from "node:crypto"
import { type InputChanged, RecordRefused, type StoreFailed, type Unsupported } from "../BatchError.ts"
import type { BatchJournal, Input, Upload } from "../BatchJournal.ts"
import type { BatchRecord } from "../BatchRecord.ts"
import type { Item } from "./item.ts"
import * as PartWriter from "./partWriter.ts"
import type { Place } from "./place.ts"
import { firstRound } from "./sources.ts"
import * as Validate from "./validate.ts"

/** A part that is in the bucket now, and what the input is up to its end. */
export interface Written {
  readonly upload: Upload
  readonly input: typeof Input.Type
}

type Refusal = StoreFailed | InputChanged | RecordRefused | Unsupported

/**
 * Gives each part that was not in the journal before, when its files are complete. What is in the journal is read again and compared.
 *
 * Costs about 100 MiB, and as many lines as the minimum of a job.
 */
export const write = <E, R>(
  place: Place,
  journal: BatchJournal,
  records: Stream.Stream<BatchRecord, E, R>
): Stream.Stream<Written, Refusal | E, R> =>
  Stream.suspend((): Stream.Stream<Written, Refusal | E, R> => {
    const { generation, input, limits, settings } = journal
    const unsupported = Validate.unsupported(settings)
    if (unsupported !== undefined) return Stream.fail(unsupported)
    const known = firstRound(journal)
    const lineOf = Validate.make(settings, limits)
    let index = 0
    // Few at a time: what is made of them is forgotten before it gets old, and long ones don't keep the event loop for long.
    const few = Stream.rechunk(records, 32)
    const items = settings.strict
      ? Stream.mapEffect(few, (record) => strictly(lineOf(record, index++)))
      : Stream.map(few, (record): Item => lineOf(record, index++))
    let so: Omit<Written["input"], "sealed"> = { records: 0, refused: 0, bytes: 0, chain: "" }
    return PartWriter.write(place, { limits, round: 0, generation, known, sealed: input.sealed }, items).pipe(
      Stream.map((upload): Written => {
        so = {
          records: so.records + upload.records + upload.refused,
          refused: so.refused + upload.refused,
          bytes: so.bytes + upload.bytes,
          chain: hash("sha256", `${so.chain} ${upload.digest}`)
        }
        return { upload, input: { sealed: false, ...so } }
      }),
      Stream.drop(known.length)
    )
  })

const strictly = (item: Item): Effect.Effect<Item, RecordRefused> =>
  "refused" in item
    ? Effect.fail(new RecordRefused({ id: item.id, index: item.index, problem: item.refused }))
    : Effect.succeed(item)
