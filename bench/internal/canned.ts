/** What the server of a benchmark answers: the bytes of a Converse answer and of a ConverseStream, as Bedrock writes them. */
import * as Zlib from "node:zlib"

const header = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([name.length]),
    Buffer.from(name),
    // A string, of a length in 16 bits.
    Buffer.from([7, 0, value.length]),
    Buffer.from(value)
  ])

const frame = (type: string, payload: unknown): Buffer => {
  const headers = Buffer.concat([
    header(":event-type", type),
    header(":content-type", "application/json"),
    header(":message-type", "event")
  ])
  const body = Buffer.from(JSON.stringify(payload))
  const bytes = Buffer.alloc(16 + headers.length + body.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.writeUInt32BE(headers.length, 4)
  bytes.writeUInt32BE(Zlib.crc32(bytes.subarray(0, 8)), 8)
  bytes.set(headers, 12)
  bytes.set(body, 12 + headers.length)
  bytes.writeUInt32BE(Zlib.crc32(bytes.subarray(0, -4)), bytes.length - 4)
  return bytes
}

export const usage = { inputTokens: 120, outputTokens: 40, totalTokens: 160 }
export const metrics = { latencyMs: 5 }
/** Bedrock pads the payload of an event, so that its length does not tell the token's. */
const padding = "abcdefghijklmnopqrstuvwxyzABCDEFGH"
const word = (index: number): string => ` word${index}`

export const answer = (events: number): Buffer => {
  const text = Array.from({ length: events }, (_, index) => word(index)).join("")
  const message = { role: "assistant", content: [{ text }] }
  return Buffer.from(JSON.stringify({ output: { message }, stopReason: "end_turn", usage, metrics }))
}

export const stream = (events: number): ReadonlyArray<Buffer> => [
  frame("messageStart", { role: "assistant", p: padding }),
  ...Array.from({ length: events }, (_, index) =>
    frame("contentBlockDelta", {
      contentBlockIndex: 0,
      delta: { text: word(index) },
      p: padding.slice(0, index % padding.length)
    })),
  frame("contentBlockStop", { contentBlockIndex: 0, p: padding }),
  frame("messageStop", { stopReason: "end_turn", p: padding }),
  frame("metadata", { usage, metrics, p: padding })
]
