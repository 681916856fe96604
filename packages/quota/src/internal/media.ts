/**
 * Tokens of what is not text. Stated rules, not measurements: the learned ratio corrects their level.
 *
 * - Images: by their pixels, as their family counts them (`families.ts`). The size is read from the header of PNG, JPEG, GIF and WebP.
 *   The number of bytes plays no role.
 * - Documents: text formats by their characters; PDF by its pages, 2,500 tokens each (text and picture of a page), pages
 *   counted by their markers, else one per 60 kB; office formats, which are compressed text, one token per 4 bytes.
 * - Video: about 300 tokens a second at 1 Mbit/s, so one per 400 bytes. Audio: about 32 a second at 128 kbit/s, one per 500.
 * - What lies in S3 has no size here: an image is what its family says, any other 30,000.
 */
import type { Image } from "../Family.ts"
import * as Text from "./text.ts"

export type Kind = "image" | "document" | "video" | "audio"

/** Bytes that may be in base64 already, as they are in JSON. */
export interface Bytes {
  readonly length: number
  readonly at: (index: number) => number
}

export const fromArray = (bytes: Uint8Array): Bytes => ({ length: bytes.length, at: (index) => bytes[index] ?? 0 })

/** The six bits of a character of either alphabet, `+/` or `-_`. */
const sextet = (code: number): number => {
  if (code >= 97) return code - 71
  if (code === 95) return 63
  if (code >= 65) return code - 65
  if (code >= 48) return code + 4
  return code === 47 ? 63 : 62
}

/** Reads single bytes out of base64 text, so that a header costs no decoding of megabytes. */
export const fromBase64 = (text: string): Bytes => ({
  length: Math.floor(text.length * 3 / 4),
  at: (index) => {
    const group = Math.floor(index / 3) * 4
    const part = index % 3
    const first = sextet(text.charCodeAt(group + part))
    const second = sextet(text.charCodeAt(group + part + 1))
    return ((first << (2 + 2 * part)) | (second >> (4 - 2 * part))) & 0xff
  }
})

const unknownSize = 30_000

/** Estimated tokens of a piece of media, of an unknown kind as of a document; `undefined` bytes are those that are not here. */
export const tokensOf = (
  image: Image,
  kind: Kind | undefined,
  format: string | undefined,
  bytes: Bytes | undefined
): number => {
  if (kind === "image") return bytes === undefined ? image.unknown : imageTokens(image, bytes)
  if (bytes === undefined) return unknownSize
  if (kind === "video") return bytes.length / 400
  if (kind === "audio") return bytes.length / 500
  return documentTokens(format, bytes)
}

const imageTokens = (image: Image, bytes: Bytes): number => {
  const size = sizeOf(bytes)
  if (size === undefined) return image.unknown
  const scale = Math.min(1, image.longEdge / Math.max(size.width, size.height))
  const tokens = size.width * scale * size.height * scale / image.pixelsPerToken
  return Math.min(image.most, Math.max(image.least, tokens))
}

/** The first bytes of files. */
const pngMagic = 0x89504e47
const gifMagic = 0x47494638
const webpMagic = 0x57454250
const pdfMagic = 0x25504446
const jpegMagic = 0xffd8

const big16 = (bytes: Bytes, index: number) => (bytes.at(index) << 8) | bytes.at(index + 1)
const big32 = (bytes: Bytes, index: number) => big16(bytes, index) * 0x10000 + big16(bytes, index + 2)
const little16 = (bytes: Bytes, index: number) => bytes.at(index) | (bytes.at(index + 1) << 8)

/** Width and height in pixels from the header of a PNG, JPEG, GIF or WebP; `undefined` where there is none to be read. */
export const sizeOf = (bytes: Bytes): { readonly width: number; readonly height: number } | undefined => {
  if (bytes.length < 30) return undefined
  const magic = big32(bytes, 0)
  const size = magic === pngMagic
    ? { width: big16(bytes, 18), height: big16(bytes, 22) }
    : magic === gifMagic
    ? { width: little16(bytes, 6), height: little16(bytes, 8) }
    : big16(bytes, 0) === jpegMagic
    ? jpegSize(bytes)
    : big32(bytes, 8) === webpMagic
    ? webpSize(bytes)
    : undefined
  return size === undefined || size.width === 0 || size.height === 0 ? undefined : size
}

const isPdf = (bytes: Bytes): boolean => big32(bytes, 0) === pdfMagic

/** Estimated tokens of what is an image or a PDF by its first bytes; `undefined` for all else. */
export const recognisedTokens = (image: Image, bytes: Bytes): number | undefined => {
  if (isPdf(bytes)) return documentTokens(undefined, bytes)
  return sizeOf(bytes) === undefined ? undefined : imageTokens(image, bytes)
}

const jpegSize = (bytes: Bytes) => {
  // Segment by segment: each begins with 0xff, which is nowhere behind the end.
  let index = 2
  while (bytes.at(index) === 0xff) {
    const marker = bytes.at(index + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return { width: big16(bytes, index + 7), height: big16(bytes, index + 5) }
    index += 2 + big16(bytes, index + 2)
  }
  return undefined
}

const webpSize = (bytes: Bytes) => {
  switch (bytes.at(15)) {
    case 0x58: // VP8X
      return { width: 1 + little16(bytes, 24), height: 1 + little16(bytes, 27) }
    case 0x4c: // VP8L: 14 bits each
      return {
        width: 1 + (little16(bytes, 21) & 0x3fff),
        height: 1 + ((little16(bytes, 22) >> 6) | ((bytes.at(24) & 0x0f) << 10))
      }
    default: // VP8
      return { width: little16(bytes, 26) & 0x3fff, height: little16(bytes, 28) & 0x3fff }
  }
}

const textFormats: ReadonlySet<string> = new Set(["txt", "md", "html", "csv"])
const perPage = 2500
const bytesPerPage = 60_000

const documentTokens = (format: string | undefined, bytes: Bytes): number => {
  if (format === undefined ? isPdf(bytes) : format.endsWith("pdf")) {
    return perPage * Math.max(1, pagesOf(bytes), bytes.length / bytesPerPage)
  }
  const isText = format !== undefined && (textFormats.has(format) || format.startsWith("text/"))
  return isText ? textTokens(bytes) : bytes.length / 4
}

const copyOf = (bytes: Bytes, length: number): Uint8Array => new Uint8Array(length).map((_, index) => bytes.at(index))

const textTokens = (bytes: Bytes): number => Text.tokensOf(new TextDecoder().decode(copyOf(bytes, bytes.length)))

/** How much of a PDF is searched for page markers, from its beginning: 1 MB takes a few milliseconds. */
const searched = 1_000_000

/** Counts `/Type /Page` (and neither `/Pages` nor `/PageLabels`); newer PDFs compress these away, so that none are found. */
const pagesOf = (bytes: Bytes): number => {
  const beginning = new TextDecoder("latin1").decode(copyOf(bytes, Math.min(bytes.length, searched)))
  const pages = beginning.split(/\/Page(?![A-Za-z])/).length - 1
  return pages * Math.max(1, bytes.length / searched)
}
