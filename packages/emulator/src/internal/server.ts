/**
 * One loopback port that speaks HTTP/1.1 and HTTP/2 with prior knowledge: a connection is looked at first, and an
 * HTTP/2 client says so with its first bytes. The SDK's default handler for Bedrock is of the second kind.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import * as Routes from "./routes.ts"

/** Hands on the body of a request as it comes, and tells its end. It is read only from then on. */
type Incoming = (onBytes: (bytes: Buffer) => void, onEnd: () => void) => void

/** One request, whole, and the means to answer it. The same for both protocols. */
export interface Exchange {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  /** Where the operation is a session and HTTP/2 carries it: its body, which is not in `body`. */
  readonly incoming: Incoming | undefined
  /** The body was longer than allowed and has not been kept. */
  readonly tooLarge: boolean
  /** Answers in one piece. Header names and values alternate. */
  readonly respond: (status: number, headers: ReadonlyArray<string>, body: string | Buffer) => void
  /** Answers piece by piece. */
  readonly open: (status: number, headers: ReadonlyArray<string>) => void
  /** `flushed` is called when the bytes have been handed on, and not at all when the client has gone. */
  readonly write: (bytes: Buffer, flushed?: () => void) => void
  readonly end: (bytes?: Buffer) => void
  /**
   * Answers with bytes that need not be HTTP, and closes the connection. HTTP/2 has a frame for this, which resets the stream.
   */
  readonly raw: (bytes: Buffer) => void
  /** Resets the TCP connection. */
  readonly reset: () => void
  /** Destroys the socket, as a peer that dies. */
  readonly cut: () => void
}

export interface Handlers {
  readonly onConnection: () => void
  /** Called when the whole body is there, or at once for a session. The result is called if the client goes before the answer is complete. */
  readonly onExchange: (exchange: Exchange) => () => void
}

export interface Server {
  readonly host: string
  readonly port: number
  /** How many connections are open now. */
  readonly open: () => number
}

type AnyRequest = Http.IncomingMessage | Http2.Http2ServerRequest

/** What both kinds of response can do. */
interface AnyResponse {
  on(event: "close" | "error", listener: () => void): unknown
  writeHead(status: number, headers: Http.OutgoingHttpHeaders): unknown
  write(bytes: Uint8Array, flushed: () => void): boolean
  end(): unknown
  end(bytes: Uint8Array | string): unknown
}

const http2Preface = 0x50 // "P" of "PRI * HTTP/2.0"; a POST begins with one too

const isHttp2 = (first: Buffer): boolean => first[0] === http2Preface && first[1] === 0x52

const headerObject = (headers: ReadonlyArray<string>): Record<string, string> => {
  const object: Record<string, string> = {}
  for (let i = 0; i + 1 < headers.length; i += 2) object[headers[i] ?? ""] = headers[i + 1] ?? ""
  return object
}

/** Collects the body, unless it is a session's, then hands the exchange over. */
const serve = (
  request: AnyRequest,
  response: AnyResponse,
  socket: Net.Socket | undefined,
  maxBody: number,
  handlers: Handlers
): void => {
  const chunks: Array<Buffer> = []
  let size = 0
  let gone = (): void => {}
  // A client that goes takes its socket's errors with it: 'close' below is what counts.
  request.on("error", () => {})
  response.on("error", () => {})
  let closed = false
  let unflushed = 0
  let cutting = false
  response.on("close", () => {
    closed = true
    gone()
  })
  const start = (incoming: Incoming | undefined): void => {
    const exchange: Exchange = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: chunks.length === 1 ? chunks[0] ?? Buffer.alloc(0) : Buffer.concat(chunks),
      incoming,
      tooLarge: size > maxBody,
      respond: (status, headers, body) => {
        gone = () => {}
        if (closed) return
        // Ended with a string, head and body leave in one write.
        response.writeHead(status, { ...headerObject(headers), "content-length": String(Buffer.byteLength(body)) })
        response.end(body)
      },
      open: (status, headers) => {
        if (!closed) response.writeHead(status, headerObject(headers))
      },
      write: (bytes, flushed) => {
        if (closed) return
        if (bytes.length === 0) return flushed?.()
        unflushed++
        response.write(bytes, () => {
          unflushed--
          if (cutting && unflushed === 0) socket?.destroy()
          flushed?.()
        })
      },
      end: (bytes) => {
        gone = () => {}
        if (closed) return
        if (bytes === undefined) response.end()
        else response.end(bytes)
      },
      raw: (bytes) => {
        gone = () => {}
        if (closed) return
        if (request instanceof Http2.Http2ServerRequest) request.stream.close(Http2.constants.NGHTTP2_PROTOCOL_ERROR)
        else socket?.end(bytes)
      },
      reset: () => {
        gone = () => {}
        socket?.resetAndDestroy()
      },
      cut: () => {
        gone = () => {}
        // What was sent before the cut reaches the client; it is a server that dies, not a network that forgets.
        cutting = true
        if (unflushed === 0) socket?.destroy()
      }
    }
    gone = handlers.onExchange(exchange)
  }
  if (request instanceof Http2.Http2ServerRequest && Routes.isSession(request.url)) {
    start((onBytes, onEnd) => {
      request.on("data", onBytes)
      request.on("end", onEnd)
    })
    return
  }
  request.on("data", (chunk: Buffer) => {
    size += chunk.length
    if (size <= maxBody) chunks.push(chunk)
    else chunks.length = 0
  })
  request.on("end", () => start(undefined))
}

/** Listens until the scope closes; then nothing is left open. */
export const listen = (options: {
  readonly host: string
  readonly port: number
  readonly maxBody: number
  readonly handlers: Handlers
}): Effect.Effect<Server, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    const sessions = new Map<Http2.Http2Session, Net.Socket>()

    const http1 = Http.createServer({
      // Bedrock keeps idle connections for minutes; closing them early would only inject resets nobody asked for.
      keepAliveTimeout: 0,
      requestTimeout: 0,
      headersTimeout: 0,
      maxHeaderSize: 65_536
    }, (request, response) => serve(request, response, request.socket, options.maxBody, options.handlers))
    http1.on("clientError", (_error, socket) => socket.destroy())

    const http2 = Http2.createServer({ settings: { maxConcurrentStreams: 10_000 } })
    let connecting: Net.Socket | undefined
    http2.on("session", (session) => {
      const socket = connecting
      if (socket === undefined) return
      sessions.set(session, socket)
      session.on("error", () => {})
      session.on("close", () => sessions.delete(session))
    })
    http2.on("request", (request, response) => {
      const session = request.stream.session
      const socket = session === undefined ? undefined : sessions.get(session)
      serve(request, response, socket, options.maxBody, options.handlers)
    })
    http2.on("sessionError", () => {})

    const server = Net.createServer({ noDelay: true }, (socket) => {
      sockets.add(socket)
      options.handlers.onConnection()
      socket.on("close", () => sockets.delete(socket))
      socket.on("error", () => {})
      socket.once("readable", () => {
        const first: Buffer | null = socket.read()
        if (first === null) return
        socket.unshift(first)
        if (isHttp2(first)) {
          connecting = socket
          http2.emit("connection", socket)
          connecting = undefined
        } else http1.emit("connection", socket)
      })
    })

    yield* Effect.acquireRelease(
      Effect.callback<void, Error>((resume) => {
        const failed = (error: Error): void => resume(Effect.fail(error))
        server.once("error", failed)
        server.listen({ host: options.host, port: options.port, backlog: 4096 }, () => {
          server.off("error", failed)
          resume(Effect.void)
        })
        return Effect.sync(() => server.close())
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const session of sessions.keys()) session.destroy()
          for (const socket of sockets) socket.destroy()
          http1.close()
          http2.close()
        })
    )
    const address = server.address()
    return {
      host: options.host,
      port: typeof address === "object" && address !== null ? address.port : options.port,
      open: () => sockets.size
    }
  })
