import type { HttpHandler, HttpRequest } from "@smithy/core/protocols"
import { buildQueryString, HttpResponse } from "@smithy/core/protocols"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import { Call, type CallOptions } from "./call.ts"

// Idle connections are dropped before anyone in between does it for us: NAT gateways, VPC endpoints and load balancers
// cut what is silent for 350 s (AWS, "Troubleshooting API error codes", read 2026-11). 60 s is the idle limit of the AWS
// SDK for Java; the shorter, the rarer the race in which a server closes the socket that we are about to use.
const idleMillis = 60_000

// The kernel probes a silent connection from here on, so that a long answer in the making stays below those 350 s too.
const probeMillis = 60_000

/**
 * The transport: Node's own HTTP/1.1 client behind the SDK's `requestHandler`.
 *
 * It is not `NodeHttpHandler`, because that hides the `ClientRequest` and with it the only documented sign that a request
 * was handed to the kernel (its `finish` event), starts two timers per request, and counts the wait for a free socket as
 * connecting.
 *
 * @internal
 */
export interface Transport {
  readonly handler: HttpHandler
  /** Ends every call, closes every connection, and is done when the last one is closed. */
  readonly close: Effect.Effect<void>
}

/** @internal */
export interface Options {
  readonly maxConnections: number
  /** 0: no limit */
  readonly connectMillis: number
}

/** @internal */
export const make = (options: Options): Transport => {
  const agentOptions: Http.AgentOptions = {
    keepAlive: true,
    keepAliveMsecs: probeMillis,
    maxSockets: options.maxConnections,
    maxFreeSockets: options.maxConnections,
    timeout: idleMillis
  }
  const plain = new Http.Agent(agentOptions)
  const secure = new Https.Agent(agentOptions)
  const active = new Set<Exchange>()
  let closed = false

  const handle = (request: HttpRequest, handlerOptions?: Partial<CallOptions>): Promise<{ response: HttpResponse }> => {
    const call = handlerOptions?.call ?? new Call({ onFlushed: () => {}, onResponse: () => {} })
    const { promise, reject, resolve } = Promise.withResolvers<{ response: HttpResponse }>()
    if (closed) {
      call.closed = true
      reject(abortError("The client is closed."))
    } else if (call.aborted) {
      reject(abortError("Request aborted"))
    } else {
      try {
        const exchange = new Exchange(request, call, request.protocol === "https:" ? secure : plain, options, {
          resolve: (response) => resolve({ response }),
          reject,
          ended: () => active.delete(exchange)
        })
        active.add(exchange)
      } catch (cause) {
        reject(cause)
      }
    }
    return promise
  }

  const sockets = (): ReadonlyArray<Socket> =>
    [plain.sockets, plain.freeSockets, secure.sockets, secure.freeSockets]
      .flatMap((byOrigin) => Object.values(byOrigin).flatMap((sockets) => sockets ?? []))

  return {
    handler: {
      metadata: { handlerProtocol: "http/1.1" },
      handle,
      destroy: () => {},
      updateHttpClientConfig: () => {},
      httpHandlerConfigs: () => ({})
    },
    close: Effect.suspend(() => {
      closed = true
      const open = sockets()
      for (const exchange of active) exchange.close()
      return Effect.forEach(open, closeSocket, { concurrency: "unbounded", discard: true })
    })
  }
}

const closeSocket = (socket: Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.closed) return resume(Effect.void)
    socket.once("close", () => resume(Effect.void))
    socket.destroy()
  })

interface Outcome {
  readonly resolve: (response: HttpResponse) => void
  readonly reject: (error: unknown) => void
  /** The connection is back in the pool, or closed. */
  readonly ended: () => void
}

// One request and its response.
class Exchange {
  readonly #request: Http.ClientRequest
  readonly #call: Call
  readonly #connectMillis: number
  readonly #outcome: Outcome
  #ready = false

  constructor(request: HttpRequest, call: Call, agent: Http.Agent, options: Options, outcome: Outcome) {
    this.#call = call
    this.#connectMillis = options.connectMillis
    this.#outcome = outcome
    const body = bytesOf(request.body)
    const send = agent instanceof Https.Agent ? Https.request : Http.request
    const outgoing = send({
      agent,
      method: request.method,
      host: unbracketed(request.hostname),
      port: request.port,
      path: pathOf(request),
      headers: request.headers
    })
    this.#request = outgoing
    outgoing.once("socket", (socket) => this.#onSocket(socket, agent instanceof Https.Agent))
    outgoing.once("finish", () => this.#guarded(() => this.#call.flushed()))
    outgoing.once("response", (response) => this.#onResponse(response))
    outgoing.on("error", (error) => this.#end(() => this.#outcome.reject(error)))
    outgoing.once("close", () => this.#end(() => this.#outcome.reject(abortError("The connection was closed."))))
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
    // A socket from the pool still carries the limit for idle ones.
    if (this.#request.reusedSocket) {
      socket.setTimeout(0)
      this.#ready = true
      return
    }
    const onTimeout = () => {
      this.#call.connectTimedOut = true
      this.#cancel(`No connection within ${this.#connectMillis} ms.`)
    }
    socket.setTimeout(this.#connectMillis, onTimeout)
    socket.once(secure ? "secureConnect" : "connect", () => {
      socket.removeListener("timeout", onTimeout)
      socket.setTimeout(0)
      this.#ready = true
    })
  }

  #onResponse(response: Http.IncomingMessage): void {
    // Someone has to listen: an error after the reader has left must not end the process.
    response.on("error", () => {})
    response.once("end", () => this.#end(() => {}))
    response.once("close", () => this.#end(() => {}))
    const head = { statusCode: response.statusCode ?? 0, headers: headersOf(response.headers) }
    if (!this.#guarded(() => this.#call.responded(head))) return
    this.#outcome.resolve(
      new HttpResponse({ ...head, reason: response.statusMessage ?? "", body: response })
    )
  }

  #cancel(message: string): void {
    // The write may have reached the kernel in this very turn, before its callback could say so.
    if (this.#ready && this.#request.writableEnded) this.#guarded(() => this.#call.flushed())
    this.#request.destroy()
    // A request that still waits for a socket reports nothing when it is destroyed.
    this.#end(() => this.#outcome.reject(abortError(message)))
  }

  #end(settle: () => void): void {
    this.#call.settled()
    settle()
    this.#outcome.ended()
  }

  // An observer's exception fails the call instead of the process.
  #guarded(notify: () => void): boolean {
    try {
      notify()
      return true
    } catch (cause) {
      this.#request.destroy()
      this.#end(() => this.#outcome.reject(cause))
      return false
    }
  }
}

const abortError = (message: string): Error => Object.assign(new Error(message), { name: "AbortError" })

const unbracketed = (hostname: string): string =>
  hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname

const pathOf = (request: HttpRequest): string => {
  const query = buildQueryString(request.query ?? {})
  return query === "" ? request.path : `${request.path}?${query}`
}

// Every operation that HTTP/1.1 can carry sends its body whole.
const bytesOf = (body: unknown): string | Uint8Array | undefined => {
  if (body === undefined || body === null) return undefined
  if (typeof body === "string" || body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  throw new TypeError("This transport sends strings and bytes only; streaming requests need HTTP/2.")
}

const headersOf = (headers: Http.IncomingHttpHeaders): Record<string, string> => {
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) out[name] = typeof value === "string" ? value : value.join(", ")
  }
  return out
}
