// What a message of an event stream holds: its headers and its payload, where both are what they are said to be.
import type { Message } from "@smithy/types"
import { crc32 } from "node:zlib"
import { Unreadable } from "./bounds.ts"

const preludeLength = 12
const checksumLength = 4

/** The types of values whose length stands in front of them. */
const bytes = 6
const text = 7

/** The length of a value of each other type. */
const lengths: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 }

const broken = (problem: string): Unreadable => new Unreadable("protocol", `A message of the stream has ${problem}.`)

/**
 * Takes a message apart whose lengths have been looked at. Throws where a checksum is wrong, or a header goes beyond the headers: the SDK
 * would take for its value what lies behind, the payload or the next message, as far as it came in the same packets. AWS's own
 * library refuses it, too (`aws_event_stream_read_headers_from_buffer` of aws-c-event-stream, read 2026-11).
 *
 * A header that is no text is left out: no event of Bedrock has one (service model, 2023-09-30). The payload is not copied.
 */
export const decode = (message: Uint8Array): Message => {
  const view = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
  const payloadEnd = view.length - checksumLength
  if (crc32(view.subarray(0, payloadEnd)) !== view.readUInt32BE(payloadEnd)) throw broken("the wrong checksum")
  const end = preludeLength + view.readUInt32BE(4)
  const headers: Message["headers"] = {}
  let at = preludeLength
  // What is read here beyond the headers is still of the message, or throws.
  while (at < end) {
    const nameEnd = at + 1 + view.readUInt8(at)
    const type = view.readUInt8(nameEnd)
    const counted = type === text || type === bytes
    const length = counted ? view.readUInt16BE(nameEnd + 1) : lengths[type]
    if (length === undefined) throw broken("a header of a type that there is not")
    const valueAt = nameEnd + (counted ? 3 : 1)
    if (valueAt + length > end) throw broken("a header that goes beyond its headers")
    if (type === text) {
      headers[view.toString("utf8", at + 1, nameEnd)] = {
        type: "string",
        value: view.toString("utf8", valueAt, valueAt + length)
      }
    }
    at = valueAt + length
  }
  return { headers, body: message.subarray(end, payloadEnd) }
}
