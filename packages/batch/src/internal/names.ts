/** Which records a part has: their places in the input, and what their callers call them. In memory while the part is read. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Corrupt, type StoreFailed } from "../BatchError.ts"
import type { Upload } from "../BatchJournal.ts"
import { idsKey, type Place } from "./place.ts"
import * as Reading from "./reading.ts"

/** Positions are places in the part, from 0; indices are places in the input. Both are in one order. */
export interface Names {
  readonly count: number
  readonly indexAt: (position: number) => number
  readonly idAt: (position: number) => string
  /** Why it was never sent. */
  readonly refusedAt: (position: number) => string | undefined
  /** `undefined` where the part does not have it, or never sent it. */
  readonly positionOf: (index: number) => number | undefined
}

const isName = Schema.is(
  Schema.Union([
    Schema.Tuple([Schema.Finite, Schema.String]),
    Schema.Tuple([Schema.Finite, Schema.String, Schema.String])
  ])
)

export const read = Effect.fnUntraced(function*(
  place: Place,
  part: Upload
): Effect.fn.Return<Names, StoreFailed | Corrupt> {
  const key = idsKey(place, part)
  const count = part.records + part.refused
  const indices = new Float64Array(count)
  const ids: Array<string> = []
  const refused = new Map<number, string>()
  const wrong = (problem: string) => new Corrupt({ key, problem })

  yield* Reading.lines(place, { key, bytes: 0 }).pipe(
    Stream.runForEachArray((lines) => {
      for (const line of lines) {
        const name = Reading.parse(line)
        if (!isName(name)) return Effect.fail(wrong("a line of it is no name of a record"))
        const [index, id, refusal] = name
        const position = ids.length
        if (position < count) indices[position] = index
        if (index <= (indices[position - 1] ?? -1)) return Effect.fail(wrong("its records are in another order"))
        if (refusal !== undefined) refused.set(position, refusal)
        ids.push(id)
      }
      return Effect.void
    })
  )
  if (ids.length !== count) return yield* wrong(`it names ${ids.length} records, and the part has ${count}`)

  const first = indices[0] ?? 0
  // Of a round but the first, a part has gaps.
  const dense = count === 0 || (indices[count - 1] ?? 0) - first === count - 1
  const found = (index: number): number => {
    if (dense) return index - first
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((indices[middle] ?? 0) < index) low = middle + 1
      else high = middle
    }
    return low
  }
  return {
    count,
    indexAt: (position) => indices[position] ?? -1,
    idAt: (position) => ids[position] ?? "",
    refusedAt: (position) => refused.get(position),
    positionOf: (index) => {
      const position = found(index)
      return indices[position] === index && !refused.has(position) ? position : undefined
    }
  }
})
