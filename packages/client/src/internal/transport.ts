// HTTP for the SDK: Node's own client over connections that are kept, counted and closed.
import type { HttpHandler, HttpRequest } from "@smithy/core/protocols"
import { HttpResponse } from "@smithy/core/protocols"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import { Readable } from "node:stream"
import { Call, type CallOptions } from "./call.ts"
import { Duplex } from "./duplex.ts"
import { abortError, advised, headersOf, type Outcome, pathOf, unbracketed } from "./message.ts"
import type { Seats } from "./seat.ts"

// Idle connections are dropped before anyone in between does it for us: NAT gateways, VPC endpoints and load balancers
// cut what is silent for 350 s (AWS, "Troubleshooting API error codes", read 2026-11). 60 s is the idle limit of the AWS
// SDK for Java; the shorter, the rarer the race in which a server closes the socket that we are about to use.
const idleMillis = 60_000

// The kernel probes a silent connection from here on, so that a long answer in the making stays below those 350 s too.
const probeMillis = 60_000

/**
 * The transport: Node's own HTTP/1.1 client behind the SDK's `requestHandler`, and for a request whose body is a stream a
 * connection of HTTP/2 (`Duplex`). Both count in `maxConnections`.
 *
 * It is not `NodeHttpHandler`, because that hides the `ClientRequest` and with it the only documented sign that a request
 * was handed to the kernel (its `finish` event), starts two timers per request, and counts the wait for a free socket as
 * connecting.
 *
 * @internal
 */
export interface Transport extends Seats {
  readonly handler: HttpHandler
  /** The same, for a client that signs as HTTP/2 has it: the host is `:authority` there. */
  readonly duplexHandler: HttpHandler
  /** Ends every call, closes every connection, and is done when the last one is closed. */
  readonly close: Effect.Effect<void>
}

/** @internal */
export interface Options {
  readonly maxConnections: number
  /** 0: no limit */
  readonly connectMillis: number
  /** How long a request for credentials may be silent: the SDK makes its own, to STS and SSO, over this transport. 0: no limit */
  readonly searchMillis: number
}

/** @internal */
export const make = (options: Options): Transport => {
  const agentOptions: Http.AgentOptions = {
    keepAlive: true,
    keepAliveMsecs: probeMillis,
    maxFreeSockets: options.maxConnections,
    timeout: idleMillis
  }
  const shared: Shared = {
    plain: new Http.Agent(agentOptions),
    secure: new Https.Agent(agentOptions),
    connectMillis: options.connectMillis,
    searchMillis: options.searchMillis,
    established: new WeakSet()
  }
  // The agents have no limit of their own: theirs would keep a request that is not wanted any more in its queue, and
  // open a connection for it.
  const running = new Set<Exchange | Duplex>()
  // Those of the agents are theirs.
  const own = new Set<Socket>()
  const waiting = new Set<Waiting>()
  let connections = 0
  let closed = false

  const start = (
    request: HttpRequest,
    call: Call,
    resolve: (output: { response: HttpResponse }) => void,
    reject: (error: unknown) => void
  ): void => {
    try {
      const outcome: Outcome = {
        resolve: (response) => resolve({ response }),
        reject,
        ended: () => running.delete(exchange),
        released
      }
      const exchange: Exchange | Duplex = request.body instanceof Readable
        ? duplex(request, request.body, call, outcome)
        : new Exchange(shared, request, call, outcome)
      running.add(exchange)
    } catch (cause) {
      reject(cause)
      released()
    }
  }

  const duplex = (request: HttpRequest, body: Readable, call: Call, outcome: Outcome): Duplex => {
    const exchange = new Duplex(shared, request, body, call, outcome)
    const { socket } = exchange
    own.add(socket)
    socket.once("close", () => own.delete(socket))
    return exchange
  }

  const taken = (call: Call): void => {
    connections++
    call.seated(released)
  }

  const released = (): void => {
    connections--
    for (const next of waiting) {
      if (connections >= options.maxConnections) return
      waiting.delete(next)
      taken(next.call)
      next.resolve()
    }
  }

  const seat = (call: Call): boolean => {
    // Who comes after the close learns it from the handler.
    if (connections >= options.maxConnections && !closed) return false
    taken(call)
    return true
  }

  const queue = (call: Call): Promise<void> => {
    const { promise, reject, resolve } = Promise.withResolvers<void>()
    // One may have become free since it was looked for.
    if (seat(call)) resolve()
    else {
      const self: Waiting = { call, resolve }
      waiting.add(self)
      call.waits(() => {
        waiting.delete(self)
        reject(abortError("Request aborted"))
      })
    }
    return promise
  }

  const handle = (request: HttpRequest, handlerOptions?: Partial<CallOptions>): Promise<{ response: HttpResponse }> => {
    const call = handlerOptions?.call ?? new Call({ onFlushed: () => {}, onResponse: () => {} }, true)
    const { promise, reject, resolve } = Promise.withResolvers<{ response: HttpResponse }>()
    if (closed) {
      call.closed = true
      reject(abortError("The client is closed."))
    } else if (call.aborted) {
      reject(abortError("Request aborted"))
    } else {
      // Calls come with a place of theirs. The SDK's own requests have none: while all are full of answers, calls may wait for one,
      // but not the credentials without which none begins.
      if (!call.sits()) connections++
      start(request, call, resolve, reject)
    }
    return promise
  }

  const sockets = (): ReadonlyArray<Socket> => [
    ...own,
    ...[shared.plain, shared.secure].flatMap(({ freeSockets, sockets }) =>
      [sockets, freeSockets].flatMap((byOrigin) => Object.values(byOrigin).flatMap((sockets) => sockets ?? []))
    )
  ]

  const handlerOf = (handlerProtocol: string): HttpHandler => ({
    metadata: { handlerProtocol },
    handle,
    destroy: () => {},
    updateHttpClientConfig: () => {},
    httpHandlerConfigs: () => ({})
  })

  return {
    handler: handlerOf("http/1.1"),
    duplexHandler: handlerOf("h2"),
    seat,
    queue,
    close: Effect.suspend(() => {
      closed = true
      for (const { call } of waiting) {
        call.closed = true
        call.abort()
      }
      const open = sockets()
      for (const exchange of running) exchange.close()
      return Effect.forEach(open, closeSocket, { concurrency: "unbounded", discard: true })
    })
  }
}

// A call that has no place yet.
interface Waiting {
  readonly call: Call
  readonly resolve: () => void
}

// What the requests of one client have in common.
interface Shared {
  readonly plain: Http.Agent
  readonly secure: Https.Agent
  readonly connectMillis: number
  readonly searchMillis: number
  /** Sockets that are connected and, with https, have done their handshake. */
  readonly established: WeakSet<Socket>
}

const closeSocket = (socket: Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.closed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
    socket.destroy()
  })

// One request and its response.
class Exchange {
  readonly #request: Http.ClientRequest
  readonly #shared: Shared
  readonly #call: Call
  readonly #outcome: Outcome
  #ready = false
  #ended = false
  #broken: Error | undefined

  constructor(shared: Shared, request: HttpRequest, call: Call, outcome: Outcome) {
    this.#shared = shared
    this.#call = call
    this.#outcome = outcome
    const secure = request.protocol === "https:"
    const body = bytesOf(request.body)
    const outgoing = (secure ? Https.request : Http.request)({
      agent: secure ? shared.secure : shared.plain,
      method: request.method,
      host: unbracketed(request.hostname),
      port: request.port,
      path: pathOf(request),
      headers: request.headers
    })
    this.#request = outgoing
    outgoing.once("socket", (socket) => this.#onSocket(socket, secure))
    // "Emitted when the request has been sent. More specifically, this event is emitted when the last segment of the
    // headers and body have been handed off to the operating system" (Node, http.ClientRequest). Older versions emit it
    // for a write that failed, too: on a socket that never was ready.
    outgoing.once("finish", () => this.#ready && this.#guarded(() => this.#call.flushed()))
    outgoing.once("response", (response) => this.#onResponse(response))
    outgoing.on("error", (error) => {
      this.#broken = error
      this.#end(() => advised(error))
    })
    outgoing.once("close", () => {
      this.#end(() => Object.assign(new Error("The connection was closed without a response."), { code: "ECONNRESET" }))
      // The agent takes the socket back right after this event.
      queueMicrotask(this.#outcome.released)
    })
    call.started(() => this.#cancel("Request aborted"))
    outgoing.end(body)
  }

  /** The transport is closing. */
  close(): void {
    this.#call.closed = true
    this.#cancel("The client was closed during the call.")
    this.#call.settled()
  }

  #onSocket(socket: Socket, secure: boolean): void {
    const { connectMillis, established } = this.#shared
    if (established.has(socket)) return this.#onReady(socket)
    const onTimeout = () => {
      this.#call.connectTimedOut = true
      this.#cancel(`No connection within ${connectMillis} ms.`)
    }
    socket.setTimeout(connectMillis, onTimeout)
    socket.once(secure ? "secureConnect" : "connect", () => {
      socket.removeListener("timeout", onTimeout)
      established.add(socket)
      this.#onReady(socket)
    })
  }

  #onReady(socket: Socket): void {
    const { searchMillis } = this.#shared
    this.#ready = true
    // It may still carry the limit for connecting, or for idle ones.
    socket.setTimeout(this.#call.own ? searchMillis : 0)
    if (!this.#call.own) return
    // Nobody else has patience with it: who waits for credentials waits for the one search that the SDK has under way.
    const onTimeout = () => this.#cancel(`No answer within ${searchMillis} ms.`, "TimeoutError")
    socket.once("timeout", onTimeout)
    this.#request.once("close", () => socket.removeListener("timeout", onTimeout))
  }

  #onResponse(response: Http.IncomingMessage): void {
    // Someone has to listen: an error after the reader has left must not end the process. (Node 24 sees to it by itself,
    // but does not promise it.)
    response.on("error", () => {})
    response.once("end", () => {
      this.#end()
      // What came after its end says that its length was wrong: nobody can tell what it was a part of. Node reports that to the
      // request alone.
      if (this.#broken !== undefined) response.emit("error", this.#broken)
      // Answered before it had read the whole request: the server may never read the rest, and until it is written the
      // connection would count as in use.
      if (!this.#request.writableFinished) this.#request.destroy()
    })
    response.once("close", () => this.#end())
    const head = { statusCode: response.statusCode ?? 0, headers: headersOf(response.headers) }
    if (!this.#guarded(() => this.#call.responded(head))) return
    this.#call.body = response
    this.#outcome.resolve(
      new HttpResponse({ ...head, reason: response.statusMessage ?? "", body: response })
    )
  }

  #cancel(message: string, name = "AbortError"): void {
    // The write may have reached the kernel in this very turn, before its callback could say so.
    if (this.#ready && this.#request.writableEnded) this.#guarded(() => this.#call.flushed())
    this.#request.destroy()
    // A request that still waits for a socket reports nothing when it is destroyed.
    this.#end(() => Object.assign(abortError(message), { name }))
  }

  // Only the first end counts. `reason` says why there will be no response, unless there was one.
  #end(reason?: () => unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#call.settled()
    this.#outcome.ended()
    if (reason !== undefined) this.#outcome.reject(reason())
  }

  // An observer's exception fails the call instead of the process.
  #guarded(notify: () => void): boolean {
    try {
      notify()
      return true
    } catch (cause) {
      this.#request.destroy()
      this.#end(() => cause)
      return false
    }
  }
}

// What is no stream is sent whole.
const bytesOf = (body: unknown): string | Uint8Array | undefined => {
  if (body === undefined || body === null) return undefined
  if (typeof body === "string" || body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  throw new TypeError("This transport sends strings, bytes and streams of Node.")
}
