/**
 * Where one part ends and the next begins: pure, and decided by the sizes of the items alone, so that the same input is split alike
 * whenever it is read.
 *
 * A part is filled until its next item would be too much. Only the end of the input can leave one with fewer records than the service
 * takes; therefore the last of them are held back, and when the input ends they make up the last part, if they don't fit into the one before.
 */
import type { BatchLimits } from "../BatchLimits.ts"

export interface Placed<A> {
  readonly item: A
  /** From 0. */
  readonly part: number
  /** In its part, from 0. */
  readonly file: number
}

export interface Splitter<A> {
  /** What is decided now: as a rule an item that was pushed before. */
  readonly push: (item: A) => ReadonlyArray<Placed<A>>
  readonly end: () => ReadonlyArray<Placed<A>>
}

/**
 * The longest line that can be split by these limits: of lines so long twice the minimum, less one, fit into a job. One part less than that
 * could be full with fewer than the minimum in it, or leave too few for the next.
 */
export const longestLine = ({ bytesPerFile, bytesPerJob, minimumRecords }: BatchLimits): number =>
  Math.min(bytesPerFile, Math.floor(bytesPerJob / (2 * minimumRecords - 1)))

/**
 * `bytesOf` is 0 for what is in no file: it counts as a record towards the most that a part has, so that a part is never more than memory
 * holds, and not towards the least. A part of which nearly all is such may have fewer records than the minimum. Holds as many items as the
 * minimum, and what is in no file among them.
 */
export const make = <A extends object>(limits: BatchLimits, bytesOf: (item: A) => number): Splitter<A> => {
  const { bytesPerFile, bytesPerJob, minimumRecords, recordsPerFile, recordsPerJob } = limits
  let held: Array<A> = []
  let from = 0
  let heldLines = 0
  let heldBytes = 0
  let part = 0
  let file = 0
  const inPart = { items: 0, bytes: 0 }
  const inFile = { lines: 0, bytes: 0 }

  const nextFile = (): void => {
    file++
    inFile.lines = inFile.bytes = 0
  }
  const nextPart = (): void => {
    part++
    file =
      inFile.lines =
      inFile.bytes =
      inPart.items =
      inPart.bytes =
        0
  }
  const fits = (items: number, bytes: number): boolean =>
    inPart.items + items <= recordsPerJob && inPart.bytes + bytes <= bytesPerJob

  const place = (item: A): Placed<A> => {
    const bytes = bytesOf(item)
    if (inPart.items > 0 && !fits(1, bytes)) nextPart()
    inPart.items++
    if (bytes > 0) {
      if (inFile.lines + 1 > recordsPerFile || inFile.bytes + bytes > bytesPerFile) nextFile()
      inPart.bytes += bytes
      inFile.lines++
      inFile.bytes += bytes
    }
    return { item, part, file }
  }

  /** The first that is held, out of those that are. */
  const taken = (item: A): A => {
    from++
    if (from * 2 > held.length) {
      held = held.slice(from)
      from = 0
    }
    const bytes = bytesOf(item)
    heldBytes -= bytes
    if (bytes > 0) heldLines--
    return item
  }

  return {
    push: (item) => {
      const bytes = bytesOf(item)
      held.push(item)
      heldBytes += bytes
      if (bytes > 0) heldLines++
      const placed: Array<Placed<A>> = []
      for (let first = held[from]; first !== undefined; first = held[from]) {
        if (heldLines <= minimumRecords && held.length - from <= recordsPerJob) break
        placed.push(place(taken(first)))
      }
      return placed
    },
    end: () => {
      const rest = held.slice(from)
      if (inPart.items > 0 && !fits(rest.length, heldBytes)) nextPart()
      held = []
      from = heldLines = heldBytes = 0
      return rest.map(place)
    }
  }
}
