/** Large objects, read from their beginning to their end whatever becomes of the connection, and line by line. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Corrupt, StoreFailed } from "../BatchError.ts"
import type { Listed } from "../ObjectStore.ts"
import type { Place } from "./place.ts"
import * as Turns from "./turns.ts"

/** A stream that is cut so often, one after the other without a byte between, is given up. */
const tries = 6

/** Before the first new try; it doubles from there. The store has tried by itself before. */
const pause = Duration.millis(500)

/** A line is a record's input and its answer: 25 MB each at the very most. What is longer is no file of lines. */
const longest = 256 * 1024 * 1024

/**
 * So many pieces of what is to be read are on their way at once, 16 MiB of it: a connection is silent at first, and then brings less than a processor reads.
 * From 50 ms away, at 50 MB/s each, it is 180 MB/s, more than results are made of.
 */
const pieceBytes = 2 * 1024 * 1024
export const inFlight = 8

/** Of an object, from the one byte up to and without the other; without that one, to its end. A size of 0 is one that nobody knows. */
interface Piece {
  readonly key: string
  readonly from: number
  readonly to: number | undefined
  readonly size: number
}

function* piecesOf({ bytes: size, key }: Pick<Listed, "bytes" | "key">, length: number): Generator<Piece> {
  for (let from = 0; from < size; from += length) {
    const to = from + length
    yield { key, from, to: to < size ? to : undefined, size }
  }
}

/** All bytes of a piece. A stream that is cut goes on from where it was. */
const bytesOf = ({ store }: Place, { from: first, key, size, to }: Piece): Stream.Stream<Uint8Array, StoreFailed> =>
  Stream.suspend(() => {
    const cut = new StoreFailed({ operation: "get", key, kind: "unavailable", problem: "it ended early" })
    let offset = first
    let fruitless = 0
    const from: Stream.Stream<Uint8Array, StoreFailed> = Stream.suspend(() =>
      store.get(key, offset, to).pipe(
        Stream.mapArray((chunks) => {
          for (const { length } of chunks) offset += length
          fruitless = 0
          return chunks
        }),
        // Ended in peace, and too early all the same.
        Stream.concat(Stream.suspend(() => offset < (to ?? size) ? Stream.fail(cut) : Stream.empty)),
        Stream.catch((failure: StoreFailed) =>
          failure.retryable && ++fruitless < tries
            ? Stream.unwrap(Effect.as(Effect.sleep(Duration.times(pause, 2 ** (fruitless - 1))), from))
            : Stream.fail(failure)
        )
      )
    )
    return from
  })

/** Some bytes of an object; `undefined` where it ends. */
interface Some {
  readonly key: string
  readonly bytes: Uint8Array | undefined
}

const split = (all: Stream.Stream<Some, StoreFailed>): Stream.Stream<Buffer, StoreFailed | Corrupt> =>
  Stream.suspend(() => {
    let rest: Array<Uint8Array> = []
    let length = 0
    const isLong = Turns.make()
    const ended = (end: Uint8Array): Buffer => {
      const line = rest.length === 0 ? viewOf(end) : Buffer.concat([...rest, end])
      rest = []
      length = 0
      return line
    }
    // One by one: what came ahead is more than a turn is for.
    return Stream.rechunk(all, 1).pipe(
      Stream.mapArrayEffect(([{ bytes: some, key }]) => {
        const found: Array<Buffer> = []
        const next: [ReadonlyArray<Buffer>] = [found]
        if (some === undefined) {
          if (length > 0) found.push(ended(new Uint8Array()))
          return Effect.succeed(next)
        }
        const bytes = viewOf(some)
        let from = 0
        for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
          const line = ended(bytes.subarray(from, end))
          if (line.length > 0) found.push(line)
          from = end + 1
        }
        if (from < bytes.length) {
          rest.push(bytes.subarray(from))
          length += bytes.length - from
        }
        if (length > longest) {
          return Effect.fail(new Corrupt({ key, problem: `a line of it is longer than ${longest} bytes` }))
        }
        return isLong(bytes.length) ? Effect.as(Effect.yieldNow, next) : Effect.succeed(next)
      }),
      Stream.flattenIterable
    )
  })

/** The lines of an object, without their ends and without empty ones: views of what came, to be read before long. */
export const lines = (
  place: Place,
  { bytes: size, key }: Pick<Listed, "bytes" | "key">
): Stream.Stream<Buffer, StoreFailed | Corrupt> =>
  split(Stream.concat(
    Stream.map(bytesOf(place, { key, from: 0, to: undefined, size }), (bytes): Some => ({ key, bytes })),
    Stream.succeed({ key, bytes: undefined })
  ))

/** The lines of objects whose sizes are known, one object after the other, and read ahead. */
export const linesOfAll = (
  place: Place,
  objects: Stream.Stream<Pick<Listed, "bytes" | "key">, StoreFailed>,
  length = pieceBytes
): Stream.Stream<Buffer, StoreFailed | Corrupt> => {
  const fetched = (piece: Piece) =>
    Effect.map(Stream.runCollect(bytesOf(place, piece)), (all): ReadonlyArray<Some> => {
      const { key, to } = piece
      const some = all.map((bytes): Some => ({ key, bytes }))
      return to === undefined ? [...some, { key, bytes: undefined }] : some
    })
  return split(objects.pipe(
    Stream.map((object) => piecesOf(object, length)),
    Stream.flattenIterable,
    Stream.mapEffect(fetched, { concurrency: inFlight }),
    Stream.flattenIterable
  ))
}

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** JSON of ours, or of the service; `undefined` where it is none. */
export const parse = (line: Buffer): unknown => {
  try {
    return JSON.parse(line.toString("utf8"))
  } catch {
    return undefined
  }
}
