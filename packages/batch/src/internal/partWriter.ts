/** Items become parts: files of lines that a job reads, and beside them the names of their records. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { hash } from "node:crypto"
import { InputChanged, type StoreFailed } from "../BatchError.ts"
import type { File, Upload } from "../BatchJournal.ts"
import type { BatchLimits } from "../BatchLimits.ts"
import { bytesOf, type Item } from "./item.ts"
import * as Output from "./output.ts"
import { fileKey, idsKey, type Place } from "./place.ts"
import * as Splitter from "./splitter.ts"
import * as Turns from "./turns.ts"

export interface Options {
  readonly limits: BatchLimits
  readonly round: number
  readonly generation: number
  /** Parts that are in the bucket already: they are compared, and not written again. */
  readonly known: ReadonlyArray<Upload>
  /** There may be no more parts than these. */
  readonly sealed: boolean
}

/** A part that is being written. */
interface Open {
  readonly part: number
  readonly ids: Output.Output
  file: Output.Output | undefined
  readonly files: Array<typeof File.Type>
  readonly digests: Array<string>
  readonly first: number
  last: number
  records: number
  refused: number
  /** In the open file. */
  inFile: number
}

/** What comes of a part once its last items are known. */
type Ending = Fiber.Fiber<Upload, StoreFailed | InputChanged>

/**
 * Gives each part when all of it is in the bucket, the known ones too. Files are written one after the other; while the last of a part is on its way, the
 * next part is begun. The same items give the same parts, and the same bytes under the same keys.
 *
 * Costs a buffer or two beside what the store holds of two uploads, and the items that the splitter holds back.
 */
export const write = <E, R>(
  place: Place,
  options: Options,
  items: Stream.Stream<Item, E, R>
): Stream.Stream<Upload, StoreFailed | InputChanged | E, R> =>
  Stream.unwrap(Effect.map(
    Effect.scope,
    (scope) => {
      const writer = make(place, options, scope)
      return items.pipe(
        Stream.mapArrayEffect((chunk) => Effect.map(writer.take(chunk), (done) => [done])),
        Stream.concat(Stream.fromEffect(Effect.suspend(() => writer.end))),
        Stream.flattenIterable,
        // Two: what waits for a part asks for more items all the while.
        Stream.mapEffect(Fiber.join, { concurrency: 2 })
      )
    }
  ))

const make = (place: Place, { generation, known, limits, round, sealed }: Options, scope: Scope.Scope) => {
  const splitter = Splitter.make<Item>(limits, bytesOf)
  const isLong = Turns.make()
  let open: Open | undefined
  /** The part before the open one, whose last bytes are on their way. */
  let ending: Ending | undefined

  const object = (part: number, key: string): Effect.Effect<Output.Output, StoreFailed> =>
    Scope.provide(Output.open(place, known[part] === undefined ? key : undefined), scope)

  const begin = Effect.fnUntraced(function*(part: number, first: number) {
    if (sealed && known[part] === undefined) return yield* new InputChanged({ index: first })
    const begun: Open = {
      part,
      ids: yield* object(part, idsKey(place, { round, part, generation })),
      file: undefined,
      files: [],
      digests: [],
      first,
      last: first,
      records: 0,
      refused: 0,
      inFile: 0
    }
    return begun
  })

  const endFile = Effect.fnUntraced(function*(part: Open) {
    if (part.file === undefined) return
    const key = fileKey(place, { round, part: part.part, generation }, part.files.length)
    part.digests.push(yield* part.file.close)
    part.files.push({ key, bytes: part.file.bytes(), records: part.inFile })
    part.file = undefined
    part.inFile = 0
  })

  const endPart = Effect.fnUntraced(function*(ended: Open) {
    yield* endFile(ended)
    const { digests, files, first, ids, last, part, records, refused } = ended
    digests.push(yield* ids.close)
    const digest = hash("sha256", digests.join())
    const before = known[part]
    if (before !== undefined) {
      return before.digest === digest ? before : yield* new InputChanged({ index: first })
    }
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    const upload: Upload = { round, part, generation, first, last, records, refused, bytes, files, digest }
    return upload
  })

  /** One after the other. */
  const end = Effect.fnUntraced(function*(ended: Open) {
    if (ending !== undefined) yield* Fiber.join(ending)
    ending = yield* Effect.forkIn(endPart(ended), scope)
    return ending
  })

  const turnTo = Effect.fnUntraced(function*(ended: Array<Ending>, { file, item, part }: Splitter.Placed<Item>) {
    if (open !== undefined && open.part !== part) {
      ended.push(yield* end(open))
      open = undefined
    }
    open ??= yield* begin(part, item.index)
    if ("text" in item && (open.file === undefined || open.files.length < file)) {
      yield* endFile(open)
      open.file = yield* object(part, fileKey(place, { round, part, generation }, file))
    }
    return open
  })

  const put = (part: Open, item: Item): void => {
    part.last = item.index
    const name = JSON.stringify("text" in item ? [item.index, item.id] : [item.index, item.id, item.refused])
    // What was refused is the input's. In which words it was is not: another release of ours, or of the SDK, may have others.
    const as = "text" in item ? undefined : JSON.stringify([item.index, item.id, true])
    part.ids.line(name, Buffer.byteLength(name) + 1, as)
    if ("text" in item) {
      part.file?.line(item.text, item.bytes)
      part.records++
      part.inFile++
    } else {
      part.refused++
    }
  }

  const all = Effect.fnUntraced(function*(placed: Iterable<Splitter.Placed<Item>>) {
    const ended: Array<Ending> = []
    for (const one of placed) {
      const { file, item, part } = one
      // As a rule nothing begins or ends, and no effect is needed.
      const same = open !== undefined && open.part === part && open.files.length === file &&
        (open.file !== undefined || !("text" in item))
      const at = same && open !== undefined ? open : yield* turnTo(ended, one)
      put(at, item)
      if (at.ids.full()) yield* at.ids.drain
      if (at.file?.full() === true) yield* at.file.drain
      if (isLong(bytesOf(item) + 64)) yield* Effect.yieldNow
    }
    return ended
  })

  const pushed = function*(items: ReadonlyArray<Item>): Generator<Splitter.Placed<Item>> {
    for (const item of items) yield* splitter.push(item)
  }

  return {
    take: (items: ReadonlyArray<Item>) => all(pushed(items)),
    end: Effect.gen(function*() {
      const ended = yield* all(splitter.end())
      if (open !== undefined) ended.push(yield* end(open))
      const missing = known[open === undefined ? 0 : open.part + 1]
      if (missing !== undefined) return yield* new InputChanged({ index: missing.first })
      return ended
    })
  }
}
