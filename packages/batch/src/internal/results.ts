/** The results of a batch, from what is in the bucket: part by part, in memory that does not grow with it. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Corrupt, SpillFailed, StoreFailed } from "../BatchError.ts"
import type { BatchJournal, Part } from "../BatchJournal.ts"
import type { BatchResult } from "../BatchRecord.ts"
import * as Answers from "./answers.ts"
import type { Place } from "./place.ts"
import * as Sources from "./sources.ts"
import * as Spill from "./spill.ts"
import * as Turns from "./turns.ts"

export interface Options {
  /** `input`: in the order of the input, by way of a disk, which holds the answers of one part. */
  readonly order: "any" | "input"
  /** Whether each result has what was asked. */
  readonly input: boolean
}

export type Results = Stream.Stream<BatchResult, StoreFailed | Corrupt | SpillFailed, FileSystem.FileSystem>

/** Whether nothing is asked again: then a record without an answer has failed. */
export const isOver = ({ state }: BatchJournal): boolean => state === "done" || state === "cancelled"

/**
 * What is final: all of it when the batch has ended. A record that may be answered yet has no result here. Of the parts of the first round, those
 * that are wanted.
 */
export const results = (
  place: Place,
  journal: BatchJournal,
  options: Options,
  wanted: (part: Part) => boolean = () => true
): Results => {
  const usageOf = Answers.usageOf(journal.settings)
  const parts = Sources.firstRound(journal).filter(wanted)
  const ofPart = (part: Part, late: Sources.Late): Results =>
    Stream.unwrap(Effect.map(Sources.open(place, journal, part, { late, over: isOver(journal) }), (opened) => {
      const make = maker(opened, usageOf, options.input)
      return options.order === "input"
        ? inOrder(place, part, opened, make, options.input)
        : asTheyCome(place, part, opened, make, options.input)
    }))
  return Stream.unwrap(Effect.map(
    Sources.lateOf(place, journal),
    (late) => Stream.flatMap(Stream.fromIterable(parts), (part) => ofPart(part, late))
  ))
}

interface Maker {
  readonly success: (position: number, answer: Answers.Answer) => BatchResult
  /** `undefined` where it has not failed. */
  readonly failure: (position: number, input?: Schema.Json) => BatchResult | undefined
}

const maker = (
  { ledger, names }: Sources.Opened,
  usageOf: ReturnType<typeof Answers.usageOf>,
  withInput: boolean
): Maker => {
  const common = (position: number) => ({
    id: names.idAt(position),
    index: names.indexAt(position),
    attempts: ledger.attemptsAt(position)
  })
  return {
    success: (position, { input, output, via }) => {
      const usage = usageOf(output)
      return {
        _tag: "Success",
        ...common(position),
        ...(withInput ? { input } : {}),
        output,
        ...(usage === undefined ? {} : { usage }),
        via
      }
    },
    failure: (position, input) => {
      const error = ledger.failureAt(position)
      return error === undefined
        ? undefined
        : { _tag: "Failure", ...common(position), ...(input === undefined ? {} : { input }), error }
    }
  }
}

const inputOf = (line: Buffer): Schema.Json | undefined => Answers.of(line)?.input

/** Of the failures of a part, this much is remembered of what was asked; for others the part's own files are read again. */
const rememberedBytes = 16 * 1024 * 1024

const asTheyCome = (
  place: Place,
  part: Part,
  { ledger, lines, names }: Sources.Opened,
  make: Maker,
  withInput: boolean
): Stream.Stream<BatchResult, StoreFailed | Corrupt> => {
  const remembered = new Map<number, Buffer>()
  let room = rememberedBytes
  const taken = (line: Buffer): ReadonlyArray<BatchResult> => {
    const news = ledger.take(line)
    if (news === undefined) return []
    const { answer, position } = news
    if (answer.error === undefined) return [make.success(position, answer)]
    if (withInput && line.length <= room && !remembered.has(position)) {
      room -= line.length
      remembered.set(position, Buffer.from(line))
    }
    return []
  }
  function* failures(): Generator<BatchResult> {
    for (let position = 0; position < names.count; position++) {
      const line = remembered.get(position)
      const nothingMore = !withInput || line !== undefined || names.refusedAt(position) !== undefined
      const failure = nothingMore ? make.failure(position, line === undefined ? undefined : inputOf(line)) : undefined
      if (failure !== undefined) yield failure
    }
  }
  const others = withInput
    ? Sources.inputs(
      place,
      part,
      names,
      (position) => !remembered.has(position) && ledger.failureAt(position) !== undefined
    )
    : Stream.empty
  return lines.pipe(
    Stream.mapArray((lines): [ReadonlyArray<BatchResult>] => [lines.flatMap(taken)]),
    Stream.flattenIterable,
    Stream.concat(Stream.suspend(() => Stream.fromIterable(failures()))),
    Stream.concat(Stream.flatMap(others, ({ line, position }) => {
      const failure = make.failure(position, inputOf(line))
      return failure === undefined ? Stream.empty : Stream.succeed(failure)
    }))
  )
}

const inOrder = (
  place: Place,
  part: Part,
  { ledger, lines, names }: Sources.Opened,
  make: Maker,
  withInput: boolean
): Stream.Stream<BatchResult, StoreFailed | Corrupt | SpillFailed, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.gen(function*() {
    // As much again for the answers: where they are longer, stretches are as much larger.
    const spill = yield* Spill.make(names.count, 2 * part.bytes)
    const answered = new Uint8Array(names.count)
    const written = new Uint8Array(names.count)
    const add = (position: number, line: Buffer): boolean => {
      written[position] = 1
      return spill.add(position, line)
    }
    yield* Stream.runForEachArray(lines, (lines) =>
      Effect.suspend(() => {
        let full = false
        for (const line of lines) {
          const news = ledger.take(line)
          if (news === undefined) continue
          const { answer: { error }, position } = news
          if (error === undefined) answered[position] = 1
          // Of a failure only what was asked is wanted.
          if (error === undefined || (withInput && written[position] === 0)) full = add(position, line)
        }
        return full ? spill.drain : Effect.void
      }))
    if (withInput) {
      const others = Sources.inputs(
        place,
        part,
        names,
        (position) => written[position] === 0 && ledger.failureAt(position) !== undefined
      )
      yield* Stream.runForEachArray(others, (found) =>
        Effect.suspend(() => {
          let full = false
          for (const { line, position } of found) full = add(position, line)
          return full ? spill.drain : Effect.void
        }))
    }
    const resultAt = (position: number, line: Buffer | undefined): BatchResult | undefined => {
      if (answered[position] !== 1) return make.failure(position, line === undefined ? undefined : inputOf(line))
      const answer = line === undefined ? undefined : Answers.of(line)
      return answer === undefined ? undefined : make.success(position, answer)
    }
    const stretch = (number: number) =>
      Stream.unwrap(Effect.map(spill.load(number), (found) => {
        const [from, to] = spill.placesOf(number)
        const isLong = Turns.make()
        return Stream.paginate(from, (first) =>
          Effect.map(Effect.yieldNow, () => {
            const results: Array<BatchResult> = []
            let position = first
            for (let turn = false; position < to && !turn; position++) {
              const line = found.get(position)
              const result = resultAt(position, line)
              if (result !== undefined) results.push(result)
              turn = isLong(line?.length ?? 1)
            }
            return [results, position < to ? Option.some(position) : Option.none()] as const
          }))
      }))
    return Stream.flatMap(Stream.range(0, spill.stretches - 1), stretch)
  }))
