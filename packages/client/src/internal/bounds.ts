// How much of a response is taken: what claims to be larger than any answer is none, and is not waited for.
import { eventStreamSerdeProvider } from "@smithy/core/event-streams"
import type { EventStreamSerdeProvider } from "@smithy/types"
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

/**
 * The SDK's reader of event streams, behind a look at the beginning of each message.
 *
 * It makes room for a message when it has read its length, four bytes that nobody has checked: one bit that is another one and it takes
 * gigabytes, and waits for bytes that never come. A message begins with a checksum of its own for that length, so here it is compared
 * first.
 *
 * @internal
 */
export const eventStreams: EventStreamSerdeProvider = (options) => {
  const marshaller = eventStreamSerdeProvider(options)
  return {
    deserialize: (body: AsyncIterable<Uint8Array>, deserializer) =>
      marshaller.deserialize({ [Symbol.asyncIterator]: () => new Messages(body) }, deserializer),
    serialize: (input, serializer) => marshaller.serialize(input, serializer)
  }
}

/** Two lengths and their checksum. */
const preludeLength = 12

/** The smallest message: a prelude, and the checksum of it all. */
const minMessage = 16

const nothing = new Uint8Array()

/**
 * Hands the bytes on as they come, but those of a prelude only when all of it is there and right. Where it is not, what came before
 * is handed on first.
 */
class Messages implements AsyncIterator<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>
  /** How much of the message under way is still to come. */
  #left = 0
  /** The beginning of a prelude that came in parts. */
  #held: Uint8Array = nothing
  #broken: Unreadable | undefined

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return this.#broken === undefined ? this.#source.next().then(this.#onResult) : Promise.reject(this.#broken)
  }

  readonly #onResult = (
    result: IteratorResult<Uint8Array>
  ): IteratorResult<Uint8Array> | Promise<IteratorResult<Uint8Array>> => {
    if (result.done === true) {
      if (this.#held.length > 0) throw new Unreadable("closed", "The stream ended within the length of a message.")
      return result
    }
    const checked = this.#check(result.value)
    return checked.length > 0 ? { done: false, value: checked } : this.next()
  }

  #check(received: Uint8Array): Uint8Array {
    const bytes = this.#held.length === 0 ? received : Buffer.concat([this.#held, received])
    let at = this.#left
    while (at + preludeLength <= bytes.length) {
      const length = lengthOf(bytes, at)
      if (typeof length !== "number") {
        this.#broken = length
        return bytes.subarray(0, at)
      }
      at += length
    }
    this.#left = Math.max(0, at - bytes.length)
    this.#held = bytes.subarray(at)
    return at >= bytes.length ? bytes : bytes.subarray(0, at)
  }
}

const lengthOf = (bytes: Uint8Array, at: number): number | Unreadable => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, preludeLength)
  if (crc32(bytes.subarray(at, at + 8)) !== view.getUint32(8)) {
    return new Unreadable("protocol", "A message of the stream has the wrong checksum for its length.")
  }
  const length = view.getUint32(0)
  if (length < minMessage || length > maxMessage || view.getUint32(4) > length - minMessage) {
    return new Unreadable("protocol", `A message of the stream is said to have ${length} bytes, which none can have.`)
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
  body.once("end", () => resolve(Buffer.concat(parts)))
  body.once("close", () => reject(new Unreadable("closed", "The connection was closed within the body.")))
  return promise
}
