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

/** All bytes of an object. A stream that is cut goes on from where it was. A size of 0 is one that nobody knows. */
const whole = (
  { store }: Place,
  { bytes: size, key }: Pick<Listed, "bytes" | "key">
): Stream.Stream<Uint8Array, StoreFailed> =>
  Stream.suspend(() => {
    const cut = new StoreFailed({ operation: "get", key, kind: "unavailable", problem: "it ended early" })
    let offset = 0
    let fruitless = 0
    const from: Stream.Stream<Uint8Array, StoreFailed> = Stream.suspend(() =>
      store.get(key, offset).pipe(
        Stream.mapArray((chunks) => {
          for (const { length } of chunks) offset += length
          fruitless = 0
          return chunks
        }),
        // Ended in peace, and too early all the same.
        Stream.concat(Stream.suspend(() => offset < size ? Stream.fail(cut) : Stream.empty)),
        Stream.catch((failure: StoreFailed) =>
          failure.retryable && ++fruitless < tries
            ? Stream.unwrap(Effect.as(Effect.sleep(Duration.times(pause, 2 ** (fruitless - 1))), from))
            : Stream.fail(failure)
        )
      )
    )
    return from
  })

/** The lines of an object, without their ends and without empty ones: views of what came, to be read before long. */
export const lines = (
  place: Place,
  object: Pick<Listed, "bytes" | "key">
): Stream.Stream<Buffer, StoreFailed | Corrupt> =>
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
    return whole(place, object).pipe(
      Stream.mapArrayEffect((chunks) => {
        const found: Array<Buffer> = []
        let turn = false
        for (const chunk of chunks) {
          const bytes = viewOf(chunk)
          if (isLong(bytes.length)) turn = true
          let from = 0
          for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
            const line = ended(bytes.subarray(from, end))
            if (line.length > 0) found.push(line)
            from = end + 1
          }
          if (from === bytes.length) continue
          rest.push(bytes.subarray(from))
          length += bytes.length - from
        }
        if (length > longest) {
          return Effect.fail(new Corrupt({ key: object.key, problem: `a line of it is longer than ${longest} bytes` }))
        }
        const next: [ReadonlyArray<Buffer>] = [found]
        return turn ? Effect.as(Effect.yieldNow, next) : Effect.succeed(next)
      }),
      Stream.concat(Stream.suspend(() => Stream.succeed(length === 0 ? [] : [ended(new Uint8Array())]))),
      Stream.flattenIterable
    )
  })

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** JSON of ours, or of the service; `undefined` where it is none. */
export const parse = (line: Buffer): unknown => {
  try {
    return JSON.parse(line.toString("utf8"))
  } catch {
    return undefined
  }
}
