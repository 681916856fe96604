/** Reads what a client sends as `application/vnd.amazon.eventstream`, from its description alone, as it is written here. */
import * as Zlib from "node:zlib"

/** A frame that has been checked and opened. Only the headers that anybody looks at here keep their value. */
export interface Message {
  readonly headers: ReadonlyMap<string, string | Buffer | undefined>
  readonly payload: Buffer
}

/** The least frame: its lengths, and two checksums. */
const least = 16

/** Lengths of the values of headers by their type; those of 6 and 7, bytes and text, say their own. */
const lengths: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 }

const bytesHeader = 6
const textHeader = 7

const headersOf = (bytes: Buffer): Message["headers"] | undefined => {
  const headers = new Map<string, string | Buffer | undefined>()
  let at = 0
  while (at < bytes.length) {
    const nameEnd = at + 1 + bytes.readUInt8(at)
    if (nameEnd >= bytes.length) return undefined
    const name = bytes.toString("utf8", at + 1, nameEnd)
    const type = bytes.readUInt8(nameEnd)
    at = nameEnd + 1
    const varies = type === bytesHeader || type === textHeader
    if (varies && at + 2 > bytes.length) return undefined
    const length = varies ? bytes.readUInt16BE(at) : lengths[type]
    if (varies) at += 2
    if (length === undefined || at + length > bytes.length) return undefined
    const value = bytes.subarray(at, at + length)
    headers.set(name, type === textHeader ? value.toString("utf8") : type === bytesHeader ? value : undefined)
    at += length
  }
  return headers
}

/** Opens a whole frame; `undefined` where it is none. */
export const open = (frame: Buffer): Message | undefined => {
  if (frame.length < least || frame.readUInt32BE(0) !== frame.length) return undefined
  const headersEnd = 12 + frame.readUInt32BE(4)
  if (headersEnd > frame.length - 4) return undefined
  if (frame.readUInt32BE(8) !== Zlib.crc32(frame.subarray(0, 8))) return undefined
  if (frame.readUInt32BE(frame.length - 4) !== Zlib.crc32(frame.subarray(0, -4))) return undefined
  const headers = headersOf(frame.subarray(12, headersEnd))
  return headers === undefined ? undefined : { headers, payload: frame.subarray(headersEnd, frame.length - 4) }
}

/**
 * What takes bytes as they come and gives each frame to `onFrame`, opened; `undefined` for what is no frame, and then
 * nothing more. `most` is the longest frame that is taken.
 */
export const make = (
  most: number,
  onFrame: (message: Message | undefined) => void
): { readonly take: (bytes: Buffer) => void; readonly idle: () => boolean } => {
  let rest: Buffer = Buffer.alloc(0)
  let broken = false
  return {
    take: (bytes) => {
      if (broken) return
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      while (rest.length >= 4 && !broken) {
        const length = rest.readUInt32BE(0)
        const wrong = length < least || length > most
        if (!wrong && rest.length < length) return
        const message = wrong ? undefined : open(rest.subarray(0, length))
        broken = message === undefined
        rest = rest.subarray(length)
        onFrame(message)
      }
    },
    idle: () => rest.length === 0
  }
}
