// HTTP/2 for the one operation that needs it: a request whose body is a stream, on a connection of its own.
import { type HttpRequest, HttpResponse } from "@smithy/core/protocols"
import * as Http2 from "node:http2"
import * as Net from "node:net"
import { Readable } from "node:stream"
import * as Tls from "node:tls"
import type { Call } from "./call.ts"
import { abortError, advised, headersOf, type Outcome, pathOf, unbracketed } from "./message.ts"

// The kernel probes a connection that is silent for so long: a user may say nothing for longer than the 350 s after which
// NAT gateways, VPC endpoints and load balancers forget it. A peer that is gone is noticed some ten seconds later.
const probeMillis = 60_000

/** @internal */
export interface Options {
  /** 0: no limit */
  readonly connectMillis: number
}

/**
 * One request and its response, both streams, and the connection that is theirs alone: a reset, a GOAWAY or a lost packet
 * concerns one call.
 *
 * - Connecting is TCP, with https the handshake that agrees on `h2`, and the server's first SETTINGS. Only then is the
 *   request sent, so that a server that speaks HTTP/1.1 alone is told apart before anything can have been charged.
 * - Each side is read only as fast as the other takes it: what is in between is bounded by HTTP/2's windows.
 * - The response has ended only with the END_STREAM of its sender. Everything else is an error. Node ends a stream that
 *   was reset, or whose connection was lost, as it ends a whole one.
 *
 * @internal
 */
export class Duplex {
  readonly socket: Net.Socket
  readonly #request: HttpRequest
  readonly #body: Readable
  readonly #options: Options
  readonly #call: Call
  readonly #outcome: Outcome
  #session: Http2.ClientHttp2Session | undefined
  #stream: Http2.ClientHttp2Stream | undefined
  #answer: Readable | undefined
  /** Why the answer ends here, once what had arrived of it has been read. */
  #cut: Error | undefined
  /** Whether the server has said that its answer is whole. */
  #whole = false
  #ended = false
  #onTimeout = (): void => {}

  constructor(options: Options, request: HttpRequest, body: Readable, call: Call, outcome: Outcome) {
    this.#options = options
    this.#request = request
    this.#body = body
    this.#call = call
    this.#outcome = outcome
    const secure = request.protocol === "https:"
    const socket = connect(request, secure)
    this.socket = socket
    this.#limit(() => {
      call.connectTimedOut = true
      this.#end(abortError(`No HTTP/2 connection within ${options.connectMillis} ms.`))
    })
    socket.on("error", (error) => this.#onError(error))
    socket.once("close", () => {
      this.#end(this.#lost())
      outcome.released()
    })
    socket.once(secure ? "secureConnect" : "connect", () => this.#onConnected(secure))
    // Where the SDK cannot sign an event, it destroys the body, with or without a reason.
    body.on("error", (error) => this.#end(error))
    body.once("close", () => {
      if (!body.readableEnded) this.#end(new Error("The events of the request broke off."))
    })
    call.started(() => this.#cancel("Request aborted"))
  }

  /** The transport is closing. */
  close(): void {
    this.#call.closed = true
    this.#cancel("The client was closed during the call.")
    this.#call.settled()
  }

  #onError(error: Error): void {
    const code = "code" in error ? String(error.code) : ""
    const alien = this.#stream === undefined && (code === "ERR_HTTP2_ERROR" || code.endsWith(noCommonProtocol))
    this.#end(alien ? this.#notHttp2(error) : advised(error))
  }

  #onConnected(secure: boolean): void {
    if (this.#ended) return
    if (secure && this.socket instanceof Tls.TLSSocket && this.socket.alpnProtocol !== "h2") {
      return this.#end(this.#notHttp2())
    }
    const session = Http2.connect(`${this.#request.protocol}//${this.#request.hostname}`, {
      createConnection: () => this.socket,
      settings: { enablePush: false }
    })
    this.#session = session
    session.on("error", (error) => this.#onError(error))
    session.once("remoteSettings", () => this.#onReady(session))
  }

  #onReady(session: Http2.ClientHttp2Session): void {
    if (this.#ended) return
    this.#limit(undefined)
    this.#guarded(() => {
      const { method } = this.#request
      const stream = session.request(
        { ...this.#request.headers, ":method": method, ":path": pathOf(this.#request) },
        { endStream: false }
      )
      this.#stream = stream
      this.#listen(stream)
      // Node hands the request's head to the kernel before this turn of the event loop is over, and says nothing of it.
      this.#call.flushed()
      this.#body.pipe(stream)
    })
  }

  #listen(stream: Http2.ClientHttp2Stream): void {
    // At END_STREAM, and again when the stream is closed, however it is: only the first is the server's word.
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#whole = true
      return push(chunk, encoding)
    }
    stream.once("response", (headers) => this.#onResponse(stream, headers))
    stream.on("data", (chunk) => {
      if (this.#answer?.push(chunk) !== true) stream.pause()
    })
    stream.once("end", () => this.#onEnd(stream))
    stream.on("error", (error) => this.#end(error))
    stream.once("close", () => {
      if (!this.#whole) this.#end(this.#lost())
    })
  }

  #onResponse(stream: Http2.ClientHttp2Stream, headers: Http2.IncomingHttpHeaders & Http2.IncomingHttpStatusHeader) {
    const head = { statusCode: headers[":status"] ?? 0, headers: headersOf(headers) }
    if (!this.#guarded(() => this.#call.responded(head))) return
    const answer = new Readable({
      highWaterMark: 0,
      read: () => {
        if (this.#cut === undefined) stream.resume()
        else answer.destroy(this.#cut)
      }
    })
    // Someone has to listen: an error after the reader has left must not end the process.
    answer.on("error", () => {})
    this.#answer = answer
    this.#call.body = answer
    this.#outcome.resolve(new HttpResponse({ ...head, body: answer }))
  }

  #onEnd(stream: Http2.ClientHttp2Stream): void {
    if (!this.#whole) return this.#end(this.#lost())
    if (stream.writableFinished) return this.#finish()
    // The server is done before the request is. If it was for an error, its RST_STREAM is on the way: an answer to a ping
    // comes after it.
    const session = this.#session
    if (session === undefined || session.destroyed) return this.#finish()
    this.#limit(() => this.#finish())
    session.ping(() => this.#finish())
  }

  #finish(): void {
    if (this.#ended) return
    const code = this.#stream?.rstCode ?? Http2.constants.NGHTTP2_NO_ERROR
    if (code !== Http2.constants.NGHTTP2_NO_ERROR) return this.#end(reset(code))
    this.#ended = true
    this.#body.unpipe()
    this.#answer?.push(null)
    this.#outcome.ended()
    if (this.#stream?.writableFinished === true) this.#session?.close()
    else this.#disconnect()
  }

  #cancel(message: string): void {
    const error = abortError(message)
    this.#end(error)
    // Not before: the SDK takes the end of the body for the error of the call, if it sees it first.
    this.#body.destroy()
    this.#answer?.destroy(error)
  }

  // Only the first end counts.
  #end(error: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#body.unpipe()
    this.#disconnect()
    this.#outcome.ended()
    if (this.#answer === undefined) return this.#outcome.reject(error)
    this.#cut = error
    if (this.#answer.readableLength === 0) this.#answer.destroy(error)
  }

  // The socket first: a stream that Node closes with a code sends END_STREAM before it, as if the input had come to its end.
  #disconnect(): void {
    this.socket.destroy()
    this.#session?.destroy()
  }

  /** Only while connecting and at the end: nothing limits how long both sides are silent in between. */
  #limit(onTimeout: (() => void) | undefined): void {
    const { socket } = this
    socket.removeListener("timeout", this.#onTimeout)
    socket.setTimeout(0)
    if (onTimeout === undefined) return
    this.#onTimeout = onTimeout
    socket.setTimeout(this.#options.connectMillis, onTimeout)
  }

  #lost(): Error {
    const message = this.#stream === undefined
      ? `${this.#host} closed the connection before it had said a word of HTTP/2.`
      : "The HTTP/2 connection or stream was closed before the response had ended."
    return Object.assign(new Error(message), { code: "ECONNRESET" })
  }

  #notHttp2(cause?: Error): Error {
    const message = `${this.#host} does not speak HTTP/2, without which a request cannot be a stream. Is it the ` +
      "endpoint itself, or a proxy that has to let HTTP/2 through?"
    return Object.assign(new Error(message, { cause }), { code: "ERR_HTTP2_ERROR" })
  }

  get #host(): string {
    const { hostname, port } = this.#request
    return port === undefined ? hostname : `${hostname}:${port}`
  }

  // An observer's exception fails the call instead of the process; so does a header that HTTP/2 does not allow.
  #guarded(step: () => void): boolean {
    try {
      step()
      return true
    } catch (cause) {
      this.#end(cause instanceof Error ? cause : new Error(String(cause)))
      return false
    }
  }
}

const connect = (request: HttpRequest, secure: boolean): Net.Socket => {
  const host = unbracketed(request.hostname)
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: probeMillis, noDelay: true }
  if (!secure) return Net.connect({ ...keepAlive, host, port: request.port ?? 80 })
  return Tls.connect({
    ...keepAlive,
    host,
    port: request.port ?? 443,
    ALPNProtocols: ["h2"],
    // TLS has no server name for an address.
    ...(Net.isIP(host) === 0 ? { servername: host } : {})
  })
}

const reset = (code: number): Error =>
  Object.assign(new Error(`The server reset the HTTP/2 stream after its end, with error code ${code}.`), {
    code: "ERR_HTTP2_STREAM_ERROR"
  })

// The alert of a server that was offered `h2` and speaks something else.
const noCommonProtocol = "NO_APPLICATION_PROTOCOL"
