/**
 * The framing of `application/vnd.amazon.eventstream`, written from its description alone: the SDK's codec, which the
 * tests decode it with, is the other witness.
 */
import * as Zlib from "node:zlib"
import type { Damage, Fault } from "../Fault.ts"

type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** Type 7: a UTF-8 string with a 16-bit length. */
const stringHeader = 7

const encodeHeaders = (headers: Headers): Buffer => {
  const parts: Array<Buffer> = []
  for (const [name, value] of headers) {
    const key = Buffer.from(name, "utf8")
    const text = Buffer.from(value, "utf8")
    const header = Buffer.allocUnsafe(1 + key.length + 3 + text.length)
    header.writeUInt8(key.length, 0)
    key.copy(header, 1)
    header.writeUInt8(stringHeader, 1 + key.length)
    header.writeUInt16BE(text.length, 2 + key.length)
    text.copy(header, 4 + key.length)
    parts.push(header)
  }
  return Buffer.concat(parts)
}

const frame = (headers: Buffer, payload: Buffer): Buffer => {
  const total = 16 + headers.length + payload.length
  const message = Buffer.allocUnsafe(total)
  message.writeUInt32BE(headers.length, 4)
  headers.copy(message, 12)
  payload.copy(message, 12 + headers.length)
  return claim(message, total)
}

/** Writes a length into a frame, and the checksums that go with it. */
const claim = (message: Buffer, length: number): Buffer => {
  message.writeUInt32BE(length, 0)
  message.writeUInt32BE(Zlib.crc32(message.subarray(0, 8)), 8)
  message.writeUInt32BE(Zlib.crc32(message.subarray(0, message.length - 4)), message.length - 4)
  return message
}

const headersOf = (message: Buffer): Buffer => message.subarray(12, 12 + message.readUInt32BE(4))

const payloadOf = (message: Buffer): Buffer => message.subarray(12 + message.readUInt32BE(4), message.length - 4)

const flipped = (message: Buffer, at: number): Buffer => {
  const copy = Buffer.from(message)
  copy.writeUInt8(copy.readUInt8(at) ^ 0x01, at)
  return copy
}

const noFrame = Buffer.from("\r\n\r\n\0\0 no frame begins like this: <html></html>", "utf8")

/** A frame with something wrong in it. */
export const damaged = (message: Buffer, damage: Damage): Buffer => {
  const payload = payloadOf(message)
  switch (damage) {
    case "payload":
      return flipped(message, message.length - 4 - Math.ceil(payload.length / 2))
    case "message-checksum":
      return flipped(message, message.length - 1)
    case "prelude-checksum":
      return flipped(message, 8)
    case "longer":
      return claim(Buffer.from(message), message.length + 1_000_000)
    case "shorter":
      return claim(Buffer.from(message), message.length - 1)
    case "zero":
      return claim(Buffer.from(message), 0)
    case "huge":
      return claim(Buffer.from(message), 0xffff_ffff)
    case "headers":
      return frame(Buffer.alloc(headersOf(message).length, 0xff), payload)
    case "json":
      return frame(headersOf(message), payload.subarray(0, Math.floor(payload.length / 2)))
    case "null":
      return frame(headersOf(message), Buffer.from("null", "utf8"))
    case "garbage":
      return Buffer.concat([noFrame, message])
  }
}

const eventHeaders = new Map<string, Buffer>()

/** An event of the union. The few names there are have their headers encoded once. */
export const event = (name: EventName, payload: unknown): Buffer => {
  let headers = eventHeaders.get(name)
  if (headers === undefined) {
    headers = encodeHeaders([[":event-type", name], [":content-type", "application/json"], [":message-type", "event"]])
    eventHeaders.set(name, headers)
  }
  return frame(headers, Buffer.from(JSON.stringify(payload), "utf8"))
}

export type EventName =
  | "messageStart"
  | "contentBlockStart"
  | "contentBlockDelta"
  | "contentBlockStop"
  | "messageStop"
  | "metadata"
  | "chunk"

/** An exception of the union, or any other name. */
export const exception = (name: string, payload: unknown): Buffer =>
  frame(
    encodeHeaders([[":exception-type", name], [":content-type", "application/json"], [":message-type", "exception"]]),
    Buffer.from(JSON.stringify(payload), "utf8")
  )

/** An error that is not modelled. */
const error = (code: string, message: string): Buffer =>
  frame(
    encodeHeaders([[":error-code", code], [":error-message", message], [":message-type", "error"]]),
    Buffer.alloc(0)
  )

/** What a fault says inside a stream. */
export const fault = (fault: Extract<Fault, { _tag: "StreamError" }>, requestId: string): Buffer => {
  const message = fault.message ?? `An exception inside the stream (request ${requestId}).`
  return fault.frame === "error" ? error(fault.name, message) : exception(fault.name, { message })
}
