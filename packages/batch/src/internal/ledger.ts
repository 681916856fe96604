/**
 * What the records of a part of the first round have come to, by the outputs of that part and of all that took up what it left: each record
 * ends in exactly one result, whatever comes, how often and in what order.
 */
import type { RecordError } from "../BatchRecord.ts"
import * as Answers from "./answers.ts"
import type { Names } from "./names.ts"
import * as RecordId from "./recordId.ts"
import { fate, fateOf } from "./survey.ts"

export interface Ledger {
  /** Another source took these up: whether it sent them, and what they end in where nothing comes. */
  readonly taken: (
    indices: Iterable<number>,
    by: { readonly sent: boolean; readonly rest: RecordError | undefined }
  ) => void
  /**
   * Reads a line of it. Gives what is news: an answer or an error of a record that had no answer, and nothing better than that error. Why a
   * record failed is kept.
   */
  readonly take: (line: Buffer) => { readonly position: number; readonly answer: Answers.Answer } | undefined
  readonly attemptsAt: (position: number) => number
  /** Why a record failed, so far as this is final; `undefined` where it did not, or may be answered yet. */
  readonly failureAt: (position: number) => RecordError | undefined
  /** Whether asking again could bring an answer, and nothing has settled that there will be none. */
  readonly isOpen: (position: number) => boolean
}

const missing: RecordError = { kind: "missing", message: "no output has it" }

/** `over`: nothing is asked again. */
export const make = (names: Names, over: boolean): Ledger => {
  const fates = new Uint8Array(names.count)
  const attempts = new Uint8Array(names.count)
  const errors = new Map<number, RecordError>()
  const rests: Array<RecordError | undefined> = [undefined]
  /** By position, in `rests`. */
  const ends = new Uint8Array(names.count)

  return {
    taken: (indices, { rest, sent }) => {
      const end = rest === undefined ? 0 : rests.push(rest) - 1
      for (const index of indices) {
        const position = names.positionOf(index)
        if (position === undefined) continue
        if (sent) attempts[position] = (attempts[position] ?? 0) + 1
        ends[position] = end
      }
    },
    take: (line) => {
      // Most lines of a later round are of other parts: no need to parse them.
      const known = RecordId.indexOfLine(line)
      if (known !== undefined && names.positionOf(known) === undefined) return undefined
      const answer = Answers.of(line)
      const position = answer === undefined ? undefined : names.positionOf(answer.index)
      if (answer === undefined || position === undefined) return undefined
      const before = fates[position] ?? fate.none
      const now = fateOf(answer)
      if (before === fate.answered || now < before) return undefined
      fates[position] = now
      if (answer.via === "on-demand") attempts[position] = (attempts[position] ?? 0) + 1
      if (answer.error !== undefined) errors.set(position, answer.error)
      return { position, answer }
    },
    attemptsAt: (position) => attempts[position] ?? 0,
    isOpen: (position) =>
      names.refusedAt(position) === undefined && (fates[position] ?? fate.none) < fate.rejected &&
      rests[ends[position] ?? 0] === undefined,
    failureAt: (position) => {
      const refused = names.refusedAt(position)
      if (refused !== undefined) return { kind: "refused", message: refused }
      const now = fates[position] ?? fate.none
      if (now === fate.answered || (now !== fate.rejected && !over)) return undefined
      return errors.get(position) ?? rests[ends[position] ?? 0] ?? missing
    }
  }
}
