/**
 * Cuts bytes into lines in constant memory, and tells where each line stands. Nothing is decoded here: a line that is
 * not text is the reader's to report, with its number.
 */
import * as Stream from "effect/Stream"

export interface RawLine {
  /** Counted from 1, blank lines included, so that it is the number an editor shows. */
  readonly number: number
  /** Bytes of the file up to and including this line's terminator. */
  readonly end: number
  /** Without the terminator; `undefined` when the line is longer than the limit and was dropped. */
  readonly bytes: Uint8Array | undefined
  /** Bytes of the line without its terminator. */
  readonly length: number
  /** False only for a last line that the file ends without a line feed. */
  readonly terminated: boolean
}

const lineFeed = 10

export interface Splitter {
  readonly push: (chunk: Uint8Array) => ReadonlyArray<RawLine>
  /** What is left when the bytes end: a last line without a terminator. */
  readonly end: () => ReadonlyArray<RawLine>
}

const makeSplitter = (options: { readonly maxBytes: number }): Splitter => {
  let number = 0
  let position = 0
  let length = 0
  let pending: Array<Uint8Array> = []

  const keep = (part: Uint8Array) => {
    length += part.length
    position += part.length
    if (part.length === 0) return
    if (length > options.maxBytes) pending = []
    else pending.push(part)
  }

  const take = (terminated: boolean): RawLine => {
    number += 1
    const line: RawLine = {
      number,
      end: position,
      bytes: length > options.maxBytes ? undefined : joined(pending, length),
      length,
      terminated
    }
    pending = []
    length = 0
    return line
  }

  return {
    push: (chunk) => {
      const lines: Array<RawLine> = []
      let start = 0
      for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, start)) {
        keep(chunk.subarray(start, at))
        position += 1
        lines.push(take(true))
        start = at + 1
      }
      keep(chunk.subarray(start))
      return lines
    },
    end: () => length === 0 ? [] : [take(false)]
  }
}

const joined = (parts: ReadonlyArray<Uint8Array>, length: number): Uint8Array => {
  const [first] = parts
  if (parts.length === 1 && first !== undefined) return first
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export const split = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  options: { readonly maxBytes: number }
): Stream.Stream<RawLine, E, R> =>
  Stream.mapAccum(
    bytes,
    () => makeSplitter(options),
    (splitter, chunk) => [splitter, splitter.push(chunk)],
    { onHalt: (splitter) => splitter.end() }
  )

const fatalUtf8 = new TextDecoder("utf-8", { fatal: true })

/** The text of a line without a carriage return or a byte order mark; `undefined` when it is not UTF-8. */
export const decode = (bytes: Uint8Array): string | undefined => {
  const end = bytes[bytes.length - 1] === 13 ? bytes.length - 1 : bytes.length
  try {
    // The decoder drops a byte order mark by itself.
    return fatalUtf8.decode(bytes.subarray(0, end))
  } catch {
    return undefined
  }
}
