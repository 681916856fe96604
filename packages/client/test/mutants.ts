// Event streams with something wrong in them: each is drawn from one number, and from nothing else.
import { crc32 } from "node:zlib"
import { chunk, event, exception, rawFrame, unmodelled } from "./server.ts"

type Operation = "converseStream" | "invokeModelWithResponseStream"

/** A response as it goes over the wire, and what a reader of it may know. */
export interface Mutant {
  readonly operation: Operation
  /** What is said of it when it makes trouble. */
  readonly story: ReadonlyArray<string>
  /** The bytes of the response, as they are written one after the other. */
  readonly packets: ReadonlyArray<Buffer>
  readonly ending: "keep" | "end" | "reset"
  /** What arrives of the body where HTTP's own framing is sound. */
  readonly body: Buffer
  /** Whether HTTP's framing is sound, and the body comes to its end. */
  readonly whole: boolean
  /** Whether all payloads are what a service may write: whoever reads frames alone, knows then how it has to end. */
  readonly honest: boolean
}

/** Drawing numbers from a seed (mulberry32). */
export class Draw {
  #state: number

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e37_79b9) >>> 0
    // Seeds that lie side by side begin alike.
    for (let i = 0; i < 3; i++) this.real()
  }

  real(): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.real() * end)
  }

  chance(share: number): boolean {
    return this.real() < share
  }

  pick<A>(from: readonly [A, ...ReadonlyArray<A>]): A {
    return from[this.below(from.length)] ?? from[0]
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }
}

// -----------------------------------------------------------------------------
// Streams as services write them
// -----------------------------------------------------------------------------

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** One event: its type, and its payload. A chunk's payload is what is in its bytes. */
type Event = readonly [type: string, payload: Json]

const delta = (delta: Json, contentBlockIndex = 0): Event => ["contentBlockDelta", { contentBlockIndex, delta }]
const text = (...texts: ReadonlyArray<string>): ReadonlyArray<Event> => texts.map((text) => delta({ text }))
const converseEnd = (stopReason: string, usage: { readonly [key: string]: Json } = {}): ReadonlyArray<Event> => [
  ["contentBlockStop", { contentBlockIndex: 0 }],
  ["messageStop", { stopReason }],
  ["metadata", { usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10, ...usage }, metrics: { latencyMs: 12 } }]
]
const begin: Event = ["messageStart", { role: "assistant" }]

const converses: readonly [ReadonlyArray<Event>, ...ReadonlyArray<ReadonlyArray<Event>>] = [
  [begin, ...text("The sky ", "is blue ", "because ", "— Rayleigh 🌈"), ...converseEnd("end_turn")],
  [
    begin,
    ["contentBlockStart", { contentBlockIndex: 0, start: { toolUse: { toolUseId: "t1", name: "weather" } } }],
    delta({ toolUse: { input: "{\"city\":" } }),
    delta({ toolUse: { input: "\"Bern\"}" } }),
    ...converseEnd("tool_use")
  ],
  [
    begin,
    delta({ reasoningContent: { text: "Hm." } }),
    delta({ reasoningContent: { signature: "c2lnbmF0dXJl" } }),
    ["contentBlockStop", { contentBlockIndex: 0 }],
    delta({ text: "Yes." }, 1),
    ...converseEnd("end_turn", { cacheReadInputTokens: 2048, cacheWriteInputTokens: 0 })
  ],
  [begin, ...converseEnd("guardrail_intervened")],
  [begin, ...text("x".repeat(5000)), ...converseEnd("max_tokens")]
]

const metrics = {
  "amazon-bedrock-invocationMetrics": {
    inputTokenCount: 5,
    outputTokenCount: 2,
    invocationLatency: 12,
    firstByteLatency: 3
  }
}

const invocations: readonly [ReadonlyArray<Json>, ...ReadonlyArray<ReadonlyArray<Json>>] = [
  [
    { type: "message_start", message: { id: "msg_1", usage: { input_tokens: 5, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "ping" },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "The sky " } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "is blue." } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 2 } },
    { type: "message_stop", ...metrics }
  ],
  [
    { type: "message_start", message: { id: "msg_1" } },
    { type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "t", name: "f", input: {} } },
    { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "{\"a\":" } },
    { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "1}" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "tool_use" } },
    { type: "message_stop" }
  ],
  [
    { messageStart: { role: "assistant" } },
    { contentBlockDelta: { delta: { text: "The sky" }, contentBlockIndex: 0 } },
    { contentBlockStop: { contentBlockIndex: 0 } },
    { messageStop: { stopReason: "end_turn" } },
    { metadata: { usage: { inputTokens: 5, outputTokens: 2 }, metrics: {} }, ...metrics }
  ],
  [
    { outputText: "The ", index: 0, totalOutputTextTokenCount: null, completionReason: null, inputTextTokenCount: 5 },
    { outputText: "sky", index: 0, totalOutputTextTokenCount: 2, completionReason: "FINISH", ...metrics }
  ],
  [
    { generation: "The ", prompt_token_count: 5, generation_token_count: null, stop_reason: null },
    { generation: "sky", prompt_token_count: null, generation_token_count: 2, stop_reason: "stop", ...metrics }
  ],
  [{ outputs: [{ text: "The ", stop_reason: null }] }, { outputs: [{ text: "sky", stop_reason: "stop" }], ...metrics }],
  [
    { choices: [{ index: 0, delta: { role: "assistant", content: "The sky" }, finish_reason: null }] },
    { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
    { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 }, ...metrics }
  ],
  [
    { event_type: "text-generation", text: "The sky", is_finished: false },
    { event_type: "stream-end", finish_reason: "COMPLETE", is_finished: true, ...metrics }
  ],
  [{ tokens: ["some", "format"] }, { tokens: ["of", "its", "own"] }]
]

// -----------------------------------------------------------------------------
// What is done to them
// -----------------------------------------------------------------------------

const deep = (levels: number): Json => {
  let value: Json = []
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

const hostile: readonly [Json, ...ReadonlyArray<Json>] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  1e308,
  9_007_199_254_740_991,
  -1e-308,
  "",
  "NaN",
  "toString",
  "\u0000\ud800",
  "x".repeat(20_000),
  [],
  [null],
  {},
  { "$unknown": ["a", 1] },
  { constructor: { prototype: { polluted: 1 } } },
  deep(500)
]

/** JSON in which `__proto__` is a member as any other: an object of this program could not hold it. */
const protoText = `{"__proto__":{"polluted":true,"text":"x","usage":{}},"constructor":null}`

type Path = ReadonlyArray<string | number>

const pathsOf = (value: Json, path: Path = []): ReadonlyArray<Path> => {
  if (Array.isArray(value)) return [path, ...value.flatMap((inner, i) => pathsOf(inner, [...path, i]))]
  if (typeof value === "object" && value !== null) {
    return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
  }
  return [path]
}

const setAt = (value: Json, path: Path, change: (old: Json) => Json | undefined): Json | undefined => {
  const [key, ...rest] = path
  if (key === undefined) return change(value)
  if (Array.isArray(value)) {
    return value.flatMap((inner: Json, i) => {
      const next = i === key ? setAt(inner, rest, change) : inner
      return next === undefined ? [] : [next]
    })
  }
  if (typeof value !== "object" || value === null) return value
  const out: Record<string, Json> = {}
  for (const [name, inner] of Object.entries(value)) {
    const next = name === key ? setAt(inner, rest, change) : inner
    if (next !== undefined) out[name] = next
  }
  return out
}

/** Another JSON text than a service would write. */
const otherText = (draw: Draw, payload: Json): string => {
  const kind = draw.below(7)
  if (kind === 0) return protoText
  if (kind === 1) {
    return draw.pick(["", "null", "5", "[]", "{", "nope", "\"text\"", "{\"a\":1}}", "\u0000", "1e999", "[1e999]"])
  }
  const paths = pathsOf(payload)
  const path = paths[draw.below(paths.length)] ?? []
  const changed = setAt(payload, path, (old) => {
    if (kind <= 4) return draw.pick(hostile)
    if (kind === 5) return undefined
    return typeof old === "object" && old !== null && !Array.isArray(old)
      ? {
        ...old,
        [draw.pick(["text", "type", "usage", "stopReason", "bytes", "messageStop", "p", "$unknown"])]: draw.pick(
          hostile
        )
      }
      : [old, old]
  })
  const text = JSON.stringify(changed ?? null)
  return draw.chance(0.1)
    ? text.replace(/:(\d+)/, draw.pick([":1e999", ":-0", ":00", ":0x1", `:${"9".repeat(400)}`]))
    : text
}

const jsonFrame = (type: string, text: string): Buffer => {
  const header = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.from([name.length]),
      Buffer.from(name),
      Buffer.from([7, value.length >> 8, value.length & 255]),
      Buffer.from(value)
    ])
  const headers = Buffer.concat([
    header(":event-type", type),
    header(":content-type", "application/json"),
    header(":message-type", "event")
  ])
  return signed(headers, Buffer.from(text, "utf8"))
}

/** A frame of these parts with right lengths and checksums. */
const signed = (headers: Uint8Array, payload: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(16 + headers.length + payload.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.writeUInt32BE(headers.length, 4)
  bytes.set(headers, 12)
  bytes.set(payload, 12 + headers.length)
  return resigned(bytes)
}

/** The same frame with the checksums that it should have. */
const resigned = (frame: Buffer): Buffer => {
  const bytes = Buffer.from(frame)
  if (bytes.length < 16) return bytes
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
  return bytes
}

const eventFrame = (operation: Operation, [type, payload]: Event): Buffer =>
  Buffer.from(operation === "converseStream" ? event(type, payload) : chunk(payload))

const otherTypes = [
  "messageStart",
  "metadata",
  "messageStop",
  "chunk",
  "hologram",
  "initial-response",
  "__proto__",
  "toString",
  "constructor",
  "__type",
  "",
  "$unknown"
] as const

const names = [
  "throttlingException",
  "validationException",
  "internalServerException",
  "modelStreamErrorException",
  "serviceUnavailableException",
  "modelTimeoutException",
  "neverHeardOfException",
  "messageStart",
  "chunk",
  "metadata",
  "__proto__",
  "toString",
  "",
  "TypeError",
  "AbortError",
  "Error"
] as const

/** A frame that is sound, and says something else than a service would. */
const oddFrame = (draw: Draw, operation: Operation, events: ReadonlyArray<Event>): Buffer => {
  const [type, payload] = events[draw.below(events.length)] ?? begin
  switch (draw.below(7)) {
    case 0: {
      const text = otherText(draw, payload)
      if (operation === "converseStream") return jsonFrame(type, text)
      return jsonFrame("chunk", JSON.stringify({ bytes: Buffer.from(text).toString("base64") }))
    }
    case 1:
      return operation === "converseStream"
        ? jsonFrame(draw.pick(otherTypes), otherText(draw, payload))
        : jsonFrame(
          "chunk",
          draw.pick([`{"bytes":5}`, `{"bytes":"*"}`, `{"bytes":null}`, `{}`, "null", `{"bytes":"e30"}`, `{"bytes":{}}`])
        )
    case 2:
      return Buffer.from(exception(draw.pick(names), draw.pick(["Too many tokens", "", "x".repeat(3000)])))
    case 3:
      return Buffer.from(unmodelled(draw.pick(names), draw.pick(["We broke it", ""])))
    case 4:
      // Headers of any type, and any bytes for headers.
      return Buffer.from(
        rawFrame(
          draw.pick([
            draw.bytes(draw.below(40)),
            Buffer.from("\x0d:message-type\x00", "latin1"),
            Buffer.from("\x0d:message-type\x04\0\0\0\x01", "latin1"),
            Buffer.from("\x0d:message-type\x07\0\x05event", "latin1"),
            Buffer.from(
              "\x0d:message-type\x07\0\x05error\x0b:error-code\x04\0\0\0\x05\x0e:error-message\x07\0\0",
              "latin1"
            ),
            Buffer.from("\x09__proto__\x07\0\x05event\x0d:message-type\x07\0\x09exception", "latin1"),
            Buffer.from("\x0d:message-type\x07\0\x05other\x0b:event-type\x07\0\x04x\0yz", "latin1")
          ]),
          JSON.stringify(payload)
        )
      )
    case 5: {
      // A header of a sound frame is changed, and the checksums with it.
      const frame = eventFrame(operation, [type, payload])
      const at = 12 + draw.below(Math.max(1, frame.readUInt32BE(4)))
      frame.writeUInt8(draw.below(256), at)
      return resigned(frame)
    }
    default: {
      const frame = eventFrame(operation, [type, payload])
      frame.writeUInt32BE(draw.pick([0, 1, frame.readUInt32BE(4) + 1, frame.length, 0xffff_ffff]), 4)
      return resigned(frame)
    }
  }
}

interface Work {
  readonly draw: Draw
  readonly operation: Operation
  readonly events: ReadonlyArray<Event>
  frames: Array<Buffer>
  honest: boolean
}

/** What can be done to the frames. */
const onFrames: ReadonlyArray<readonly [name: string, change: (work: Work) => void]> = [
  ["dropped a frame", ({ draw, frames }) => void frames.splice(draw.below(frames.length), 1)],
  ["doubled a frame", ({ draw, frames }) => {
    const at = draw.below(frames.length)
    frames.splice(at, 0, frames[at] ?? Buffer.alloc(0))
  }],
  ["moved a frame", ({ draw, frames }) => {
    const [moved] = frames.splice(draw.below(frames.length), 1)
    if (moved !== undefined) frames.splice(draw.below(frames.length + 1), 0, moved)
  }],
  ["cut off the frames behind", ({ draw, frames }) => void frames.splice(draw.below(frames.length + 1))],
  ["spliced in frames of another stream", (work) => {
    const { draw } = work
    const other = streamOf(draw, work.operation).map((one) => eventFrame(work.operation, one))
    const from = draw.below(other.length)
    work.frames.splice(
      draw.below(work.frames.length + 1),
      draw.below(3),
      ...other.slice(from, from + 1 + draw.below(4))
    )
  }],
  ["put in a frame that says something odd", (work) => {
    const { draw, frames } = work
    frames.splice(draw.below(frames.length + 1), draw.below(2), oddFrame(draw, work.operation, work.events))
    work.honest = false
  }],
  ["changed the JSON of a frame", (work) => {
    const { draw, events, frames, operation } = work
    const at = draw.below(events.length)
    const [type, payload] = events[at] ?? begin
    const text = otherText(draw, payload)
    frames.splice(
      Math.min(at, frames.length),
      1,
      operation === "converseStream"
        ? jsonFrame(type, text)
        : jsonFrame("chunk", JSON.stringify({ bytes: Buffer.from(text).toString("base64") }))
    )
    work.honest = false
  }],
  [
    "put garbage between frames",
    ({ draw, frames }) =>
      void frames.splice(
        draw.below(frames.length + 1),
        0,
        draw.pick([
          draw.bytes(1 + draw.below(40)),
          Buffer.alloc(1 + draw.below(40)),
          Buffer.from("<html>502 Bad Gateway</html>")
        ])
      )
  ],
  ["changed a length", ({ draw, frames }) => {
    const at = draw.below(frames.length)
    const frame = Buffer.from(frames[at] ?? Buffer.alloc(16))
    if (frame.length < 16) return
    const length = draw.pick([
      0,
      1,
      15,
      16,
      frame.length - 1,
      frame.length + 1,
      frame.length * 2,
      1_000_000,
      20_000_000,
      0x7fff_ffff,
      0xffff_ffff
    ])
    frame.writeUInt32BE(length, 0)
    frames[at] = draw.chance(0.5) ? resigned(frame) : frame
  }],
  ["flipped bits of a frame", ({ draw, frames }) => {
    const at = draw.below(frames.length)
    const frame = Buffer.from(frames[at] ?? Buffer.alloc(1))
    if (frame.length === 0) return
    for (let i = draw.below(4); i >= 0; i--) {
      const byte = draw.below(frame.length)
      frame.writeUInt8(frame.readUInt8(byte) ^ (1 << draw.below(8)), byte)
    }
    frames[at] = frame
  }]
]

/** What can be done to the bytes of the whole body. */
const onBytes: ReadonlyArray<readonly [name: string, change: (draw: Draw, body: Buffer) => Buffer]> = [
  ["flipped a bit", (draw, body) => {
    const bytes = Buffer.from(body)
    if (bytes.length === 0) return bytes
    const at = draw.below(bytes.length)
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << draw.below(8)), at)
    return bytes
  }],
  ["cut off the end", (draw, body) => body.subarray(0, draw.below(body.length + 1))],
  ["cut off the beginning", (draw, body) => body.subarray(draw.below(body.length + 1))],
  ["took out a part", (draw, body) => {
    const at = draw.below(body.length + 1)
    return Buffer.concat([body.subarray(0, at), body.subarray(at + draw.below(30))])
  }],
  ["put in bytes", (draw, body) => {
    const at = draw.below(body.length + 1)
    return Buffer.concat([body.subarray(0, at), draw.bytes(1 + draw.below(20)), body.subarray(at)])
  }],
  ["repeated a part", (draw, body) => {
    const at = draw.below(body.length + 1)
    return Buffer.concat([body.subarray(0, at + draw.below(200)), body.subarray(at)])
  }]
]

const streamOf = (draw: Draw, operation: Operation): ReadonlyArray<Event> =>
  operation === "converseStream"
    ? draw.pick(converses)
    : draw.pick(invocations).map((payload): Event => ["chunk", payload])

// -----------------------------------------------------------------------------
// As HTTP
// -----------------------------------------------------------------------------

const head = (headers: ReadonlyArray<string>): Buffer =>
  Buffer.from(
    [
      "HTTP/1.1 200 OK",
      "content-type: application/vnd.amazon.eventstream",
      "x-amzn-requestid: request-1",
      ...headers,
      "",
      ""
    ].join("\r\n")
  )

const chunked = (draw: Draw, body: Buffer): Buffer => {
  const parts: Array<Buffer> = []
  for (let at = 0; at < body.length;) {
    const size = Math.min(body.length - at, 1 + draw.below(draw.chance(0.2) ? 12 : 2000))
    parts.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from("\r\n"))
    at += size
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")])
}

const split = (draw: Draw, bytes: Buffer): ReadonlyArray<Buffer> => {
  const cuts = draw.chance(0.5) ? 0 : 1 + draw.below(6)
  const at = Array.from({ length: cuts }, () => draw.below(bytes.length + 1)).toSorted((a, b) => a - b)
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length)).filter((packet) => packet.length > 0)
}

/** The mutant of a number. */
export const mutant = (seed: number): Mutant => {
  const draw = new Draw(seed)
  const operation = draw.pick<Operation>(["converseStream", "invokeModelWithResponseStream"])
  const events = streamOf(draw, operation)
  const work: Work = {
    draw,
    operation,
    events,
    frames: events.map((one) => eventFrame(operation, one)),
    honest: true
  }
  const story: Array<string> = []
  for (let changes = draw.pick([0, 1, 1, 1, 2, 3]); changes > 0; changes--) {
    const [name, change] = onFrames[draw.below(onFrames.length)] ?? ["nothing", () => {}]
    if (work.frames.length === 0) break
    change(work)
    story.push(name)
  }
  let body = Buffer.concat(work.frames)
  if (draw.chance(0.3)) {
    const [name, change] = onBytes[draw.below(onBytes.length)] ?? ["nothing", (_: Draw, body: Buffer) => body]
    body = Buffer.from(change(draw, body))
    story.push(name)
  }
  const framing = draw.pick(["chunked", "chunked", "chunked", "length", "close"] as const)
  story.push(framing)
  const bytes = framing === "chunked"
    ? Buffer.concat([head(["transfer-encoding: chunked"]), chunked(draw, body)])
    : framing === "length"
    ? Buffer.concat([head([`content-length: ${body.length}`]), body])
    : Buffer.concat([head(["connection: close"]), body])
  const fate = draw.real()
  // Of a body that ends with its connection nobody can tell a part from the whole.
  const common = { operation, story, body, honest: work.honest }
  if (fate < 0.06 && framing !== "close") {
    story.push("the connection ends within it")
    const kept = bytes.subarray(0, Math.max(1, bytes.length - 1 - draw.below(body.length + 7)))
    return { ...common, packets: split(draw, kept), ending: draw.chance(0.5) ? "end" : "reset", whole: false }
  }
  if (fate < 0.1) {
    story.push("HTTP itself is damaged")
    const damaged = Buffer.from(bytes)
    for (let i = draw.below(3); i >= 0; i--) damaged.writeUInt8(draw.below(256), draw.below(damaged.length))
    return { ...common, packets: split(draw, damaged), ending: "end", whole: false }
  }
  return { ...common, packets: split(draw, bytes), ending: framing === "close" ? "end" : "keep", whole: true }
}
