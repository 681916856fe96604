// A server of a few lines that says exactly what a test wants it to say, byte by byte. What a whole Bedrock would answer
// is the emulator's business.
import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import { BedrockClient } from "@caprock/client"
import { EventStreamCodec } from "@smithy/core/event-streams"
import { fromUtf8, toUtf8 } from "@smithy/core/serde"
import { Deferred, Effect, Stream } from "effect"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { crc32 } from "node:zlib"

const codec = new EventStreamCodec(toUtf8, fromUtf8)

const frame = (headers: Record<string, string>, payload: string): Uint8Array =>
  codec.encode({
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, { type: "string", value }] as const)
    ),
    body: fromUtf8(payload)
  })

export const event = (type: string, payload: unknown): Uint8Array =>
  frame(
    { ":message-type": "event", ":event-type": type, ":content-type": "application/json" },
    JSON.stringify(payload)
  )

export const exception = (type: string, message: string): Uint8Array =>
  frame(
    { ":message-type": "exception", ":exception-type": type, ":content-type": "application/json" },
    JSON.stringify({ message })
  )

export const unmodelled = (code: string, message: string): Uint8Array =>
  frame({ ":message-type": "error", ":error-code": code, ":error-message": message }, "")

/** An event whose payload is any text. */
export const rawEvent = (type: string, payload: string): Uint8Array =>
  frame({ ":message-type": "event", ":event-type": type, ":content-type": "application/json" }, payload)

/** Bytes in a frame whose checksums are right, whatever it claims about its length and holds for headers. */
export const rawFrame = (headers: Uint8Array, payload: string, length?: number): Uint8Array => {
  const bytes = Buffer.alloc(16 + headers.length + payload.length)
  bytes.writeUInt32BE(length ?? bytes.length, 0)
  bytes.writeUInt32BE(headers.length, 4)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8)
  bytes.set(headers, 12)
  bytes.write(payload, 12 + headers.length)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
  return bytes
}

export const chunk = (json: unknown): Uint8Array =>
  event("chunk", {
    bytes: Buffer.from(typeof json === "string" ? json : JSON.stringify(json)).toString("base64")
  })

export const frames = {
  start: event("messageStart", { role: "assistant" }),
  text: (text: string) => event("contentBlockDelta", { contentBlockIndex: 0, delta: { text } }),
  blockStop: event("contentBlockStop", { contentBlockIndex: 0 }),
  stop: event("messageStop", { stopReason: "end_turn" }),
  metadata: event("metadata", {
    usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 },
    metrics: { latencyMs: 12 }
  })
}

export const answer = {
  output: { message: { role: "assistant", content: [{ text: "Hello." }] } },
  stopReason: "end_turn",
  usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 },
  metrics: { latencyMs: 12 }
}

export const sendJson = (response: Http.ServerResponse, body: unknown, status = 200, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", "x-amzn-requestid": "request-1", ...headers })
  response.end(JSON.stringify(body))
}

export const startStream = (response: Http.ServerResponse) =>
  response.writeHead(200, {
    "content-type": "application/vnd.amazon.eventstream",
    "x-amzn-requestid": "request-1"
  })

export interface Server {
  readonly url: string
  /** Sockets that are open now. */
  readonly open: Set<Socket>
  /** Sockets that were ever opened. */
  readonly opened: () => number
}

/** `handle` gets each request once its body has been read. */
export const server = (
  handle: (request: Http.IncomingMessage, response: Http.ServerResponse, body: string) => void,
  tls?: { readonly cert: string; readonly key: string }
) =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly close: Effect.Effect<void> }>((resume) => {
      const open = new Set<Socket>()
      let opened = 0
      const listener: Http.RequestListener = (request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part) => parts.push(part))
        request.on("end", () => handle(request, response, Buffer.concat(parts).toString()))
      }
      const server = tls === undefined ? Http.createServer(listener) : Https.createServer(tls, listener)
      server.on("connection", (socket) => {
        opened++
        open.add(socket)
        socket.on("close", () => open.delete(socket))
        socket.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
          open,
          opened: () => opened,
          close: Effect.callback<void>((resume) => {
            for (const socket of open) socket.destroy()
            server.close(() => resume(Effect.void))
          })
        }))
      })
    }),
    (server) => server.close
  )

export const credentials = { accessKeyId: "AKIDTEST", secretAccessKey: "secret" }

export const clientOf = (url: string, options: BedrockClient.Options = {}) =>
  BedrockClient.make({ region: "us-east-1", endpoint: url, credentials, ...options })

export const request = {
  modelId: "us.amazon.nova-lite-v1:0",
  messages: [{ role: "user" as const, content: [{ text: "Hi" }] }]
}

/** Reads a stream to its end, and says when its first text is there. */
export const saying = (content: Deferred.Deferred<void>) =>
  Stream.runForEach((event: ConverseStreamOutput) =>
    event.contentBlockDelta === undefined ? Effect.void : Deferred.succeed(content, undefined)
  )

/** Waits, in real time, until a condition of the outside world holds. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const look = () => {
      if (condition()) resume(Effect.void)
      else setImmediate(look)
    }
    look()
  })

/** Lets what is under way in the event loop go on for some turns. */
export const turns = (count = 20): Effect.Effect<void> =>
  Effect.repeat(Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void))), { times: count })

/** Looks at each request of this process in the very moment in which Node makes it. */
export const onCreated = (look: (request: Http.ClientRequest) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const listener = (message: unknown) => look(Reflect.get(Object(message), "request"))
      subscribe("http.client.request.created", listener)
      return listener
    }),
    (listener) => Effect.sync(() => unsubscribe("http.client.request.created", listener))
  )
