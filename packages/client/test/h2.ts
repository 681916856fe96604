// Servers of HTTP/2 that say what a test wants them to say: one on Node's own, and one that writes its frames itself, for what
// Node would not send.
import { EventStreamCodec } from "@smithy/core/event-streams"
import { fromUtf8, toUtf8 } from "@smithy/core/serde"
import { Effect } from "effect"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import type { Server } from "./server.ts"

const codec = new EventStreamCodec(toUtf8, fromUtf8)

/** Takes frames out of a stream of bytes, however it is cut. */
export const frameReader = (onFrame: (frame: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (bytes: Uint8Array) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 4 && rest.length >= rest.readUInt32BE(0)) {
      const length = rest.readUInt32BE(0)
      onFrame(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}

/** The event inside a signed frame; nothing in the last one, which is empty. */
export const unwrap = (frame: Uint8Array): Uint8Array => codec.decode(frame).body

/** The JSON that the client sent in an event. */
export const said = (event: Uint8Array): unknown => {
  const { bytes } = JSON.parse(Buffer.from(codec.decode(event).body).toString())
  return JSON.parse(Buffer.from(bytes, "base64").toString())
}

export const respond = (stream: Http2.ServerHttp2Stream, headers: Http2.OutgoingHttpHeaders = {}) =>
  stream.respond({
    ":status": 200,
    "content-type": "application/vnd.amazon.eventstream",
    "x-amzn-requestid": "request-1",
    ...headers
  })

/** Sends back each event, and its end. As fast as the client takes it, if `polite`. */
export const echo = (stream: Http2.ServerHttp2Stream, onEvent: (event: Uint8Array) => void = () => {}): void => {
  respond(stream)
  const read = frameReader((frame) => {
    const event = unwrap(frame)
    if (event.length === 0) return
    onEvent(event)
    if (!stream.write(event)) {
      stream.pause()
      stream.once("drain", () => stream.resume())
    }
  })
  stream.on("data", read)
  stream.on("end", () => stream.end())
}

export interface Http2Server extends Server {
  readonly sessions: Set<Http2.ServerHttp2Session>
}

export const http2Server = (
  handle: (stream: Http2.ServerHttp2Stream, headers: Http2.IncomingHttpHeaders) => void,
  tls?: { readonly cert: string; readonly key: string }
) =>
  Effect.acquireRelease(
    Effect.callback<Http2Server & { readonly close: Effect.Effect<void> }>((resume) => {
      const open = new Set<Net.Socket>()
      const sessions = new Set<Http2.ServerHttp2Session>()
      let opened = 0
      const server = tls === undefined ? Http2.createServer() : Http2.createSecureServer(tls)
      server.on("sessionError", () => {})
      server.on("session", (session) => {
        sessions.add(session)
        session.on("close", () => sessions.delete(session))
      })
      server.on("stream", (stream, headers) => {
        stream.on("error", () => {})
        handle(stream, headers)
      })
      server.on("connection", (socket) => {
        opened++
        open.add(socket)
        socket.on("close", () => open.delete(socket))
        socket.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({
          url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
          open,
          sessions,
          opened: () => opened,
          close: Effect.callback<void>((resume) => {
            for (const session of sessions) session.destroy()
            for (const socket of open) socket.destroy()
            server.close(() => resume(Effect.void))
          })
        }))
      })
    }),
    (server) => server.close
  )

const frameOf = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

const numbers = (...values: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4))
  return bytes
}

/** Frames of HTTP/2 (RFC 9113) for the first stream of a connection. */
export const h2frames = {
  settings: frameOf(4, 0, 0, Buffer.alloc(0)),
  /** `:status: 200`, from HPACK's static table. */
  head: frameOf(1, 4, 1, Buffer.from([0x88])),
  data: (bytes: Uint8Array, end = false) => frameOf(0, end ? 1 : 0, 1, bytes),
  reset: (code: number) => frameOf(3, 0, 1, numbers(code)),
  goaway: (lastStream: number, code: number) => frameOf(7, 0, 0, numbers(lastStream, code)),
  pong: (payload: Uint8Array) => frameOf(6, 1, 0, payload)
}

/** What a client of {@link rawServer} sent. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly payload: Buffer
}

export const frameTypes = { data: 0, headers: 1, reset: 3, ping: 6 } as const

/** A server that gets each frame of a client, after the preface, and answers with what it is told to write. */
export const rawServer = (
  onFrame: (frame: Frame, socket: Net.Socket) => void,
  greeting: Uint8Array = h2frames.settings
) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly open: Set<Net.Socket>; readonly server: Net.Server }>((resume) => {
      const open = new Set<Net.Socket>()
      const server = Net.createServer((socket) => {
        open.add(socket)
        socket.on("close", () => open.delete(socket))
        socket.on("error", () => {})
        let rest: Buffer = Buffer.alloc(0)
        let greeted = false
        socket.on("data", (bytes) => {
          rest = Buffer.concat([rest, Buffer.from(bytes)])
          if (!greeted) {
            if (rest.length < 24) return
            rest = rest.subarray(24)
            greeted = true
            socket.write(greeting)
          }
          while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
            const end = 9 + rest.readUIntBE(0, 3)
            onFrame({ type: rest.readUInt8(3), flags: rest.readUInt8(4), payload: rest.subarray(9, end) }, socket)
            rest = rest.subarray(end)
          }
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, open, server }))
      })
    }),
    ({ open, server }) =>
      Effect.callback<void>((resume) => {
        for (const socket of open) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )
