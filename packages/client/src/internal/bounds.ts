// How much of a response is taken: what claims to be larger than any answer is none, and is not waited for.
import type { Readable } from "node:stream"
import { crc32 } from "node:zlib"

/**
 * The largest message of an event stream that AWS's own library takes, 24 MiB (`AWS_EVENT_STREAM_MAX_MESSAGE_SIZE` of
 * aws-c-event-stream, read 2026-11). The bytes of a chunk are one megabyte at most (service model, 2023-09-30).
 */
const maxMessage = 24 * 1024 * 1024

/**
 * The largest body that is read into memory, 64 MiB: more than twice the 25 MB of the largest that Bedrock states (the body of
 * InvokeModel; service model, 2023-09-30).
 */
const maxBody = 64 * 1024 * 1024

/**
 * What is wrong with the bytes of a response.
 *
 * @internal
 */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
  readonly kind: "protocol" | "closed"
  /** The message as it was: the SDK adds to those of errors that pass through it. */
  readonly problem: string

  constructor(kind: Unreadable["kind"], problem: string) {
    super(problem)
    this.kind = kind
    this.problem = problem
  }
}

/** Two lengths and their checksum. */
const preludeLength = 12

/** The smallest message: a prelude, and the checksum of it all. */
const minMessage = 16

const nothing = new Uint8Array()

/**
 * Cuts what arrives into the messages of an event stream. What lies in one chunk is not copied; what does not, once.
 *
 * A length is four bytes that nobody has checked: one bit that is another one and it asks for gigabytes, and waits for bytes that never
 * come. A message begins with a checksum of its own for that length, so it is compared before anything is made of it.
 *
 * @internal
 */
export class Messages {
  #bytes: Uint8Array = nothing
  #at = 0
  #later: Array<Uint8Array> = []
  #length = 0

  push(chunk: Uint8Array): void {
    if (this.#at === this.#bytes.length) {
      this.#bytes = chunk
      this.#at = 0
    } else this.#later.push(chunk)
    this.#length += chunk.length
  }

  /** The next message, if it is whole. Throws where there can be none. */
  take(): Uint8Array | undefined {
    if (this.#length < preludeLength) return undefined
    const length = lengthOf(this.#next(preludeLength))
    if (this.#length < length) return undefined
    const message = this.#next(length)
    this.#at += length
    this.#length -= length
    // A chunk may be a part of something much larger, and the next message an hour away.
    if (this.#at === this.#bytes.length) {
      this.#bytes = nothing
      this.#at = 0
    }
    return message
  }

  /** Throws where the beginning of a message is left. */
  end(): void {
    if (this.#length > 0) throw new Unreadable("closed", "The stream ended within a message.")
  }

  // The next so many bytes, in one piece.
  #next(length: number): Uint8Array {
    if (this.#bytes.length - this.#at < length) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#later])
      this.#at = 0
      this.#later = []
    }
    return this.#bytes.subarray(this.#at, this.#at + length)
  }
}

const lengthOf = (prelude: Uint8Array): number => {
  const view = new DataView(prelude.buffer, prelude.byteOffset, preludeLength)
  if (crc32(prelude.subarray(0, 8)) !== view.getUint32(8)) {
    throw new Unreadable("protocol", "A message of the stream has the wrong checksum for its length.")
  }
  const length = view.getUint32(0)
  if (length < minMessage || length > maxMessage || view.getUint32(4) > length - minMessage) {
    throw new Unreadable("protocol", `A message of the stream is said to have ${length} bytes, which none can have.`)
  }
  return length
}

/**
 * Reads a body to its end, as the SDK's own collector does, and no more than there can be of it.
 *
 * @internal
 */
export const collect = (body: Readable): Promise<Uint8Array> => {
  const { promise, reject, resolve } = Promise.withResolvers<Uint8Array>()
  const parts: Array<Uint8Array> = []
  let length = 0
  body.on("data", (part: Uint8Array) => {
    length += part.length
    if (length <= maxBody) parts.push(part)
    else body.destroy(new Unreadable("protocol", `The body has more than ${maxBody} bytes.`))
  })
  body.once("error", reject)
  // An error takes a stack as it is made: none for the close that follows each end.
  body.once("close", () => {
    if (!body.readableEnded) reject(new Unreadable("closed", "The connection was closed within the body."))
  })
  body.once("end", () => resolve(Buffer.concat(parts)))
  return promise
}
