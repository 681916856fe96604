// What an operation and the transport know of one request together.
import type { HttpHandlerOptions } from "@smithy/types"
import type { CallObserver, ResponseHead } from "../CallObserver.ts"

/**
 * The state of one request between an operation and the transport.
 *
 * It travels in the options of `client.send`, which the SDK hands to its request handler unchanged, so that nothing has
 * to be looked up and no abort listener is needed.
 *
 * @internal
 */
export class Call {
  /** Whether what is waited for is not ours: the transport has it, built and signed, or it has no place there yet. */
  prepared = false
  /** Whether it waits for a place among the connections. */
  queued = false
  /** Whether the request was, or may have been, handed to the kernel whole. */
  sent = false
  /** Whether opening the connection took longer than it may. */
  connectTimedOut = false
  /** Whether the transport was closed under the call. */
  closed = false
  /** Whether the head of the response says that the request succeeded. */
  accepted = false
  /** What the service calls this request, once it has answered. */
  requestId: string | undefined

  /** What the answer comes in, once there is one. */
  body: object | undefined

  readonly observer: CallObserver
  /** Whether it is the SDK's own, for credentials, and nobody's call. */
  readonly own: boolean
  #aborted = false
  #cancel: (() => void) | undefined
  #leave: (() => void) | undefined

  constructor(observer: CallObserver, own = false) {
    this.observer = observer
    this.own = own
  }

  get aborted(): boolean {
    return this.#aborted
  }

  /** There is no place for it yet; `cancel` leaves the queue. */
  waits(cancel: () => void): void {
    this.queued = true
    this.prepared = true
    this.#cancel = cancel
  }

  /** It has a place among the connections, which `leave` gives back. */
  seated(leave: () => void): void {
    this.queued = false
    this.prepared = false
    this.#cancel = undefined
    this.#leave = leave
  }

  /** Whether it had a place. From now on that is the request's, and not given back by the call. */
  sits(): boolean {
    const seated = this.#leave !== undefined
    this.#leave = undefined
    return seated
  }

  /** The transport has taken the request over; `cancel` closes its connection. */
  started(cancel: () => void): void {
    this.prepared = true
    this.#cancel = cancel
  }

  flushed(): void {
    if (this.sent) return
    this.sent = true
    this.observer.onFlushed()
  }

  responded(head: ResponseHead): void {
    this.flushed()
    this.accepted = head.statusCode < 300
    this.requestId = head.headers["x-amzn-requestid"]
    this.observer.onResponse(head)
  }

  /** The exchange is over and its connection belongs to the pool again: there is nothing left to abort. */
  settled(): void {
    this.#cancel = undefined
  }

  /** Ends the request at once and closes its connection, or gives up its place. Does nothing when it is over. */
  abort(): void {
    this.#aborted = true
    const cancel = this.#cancel
    const leave = this.#leave
    this.#cancel = undefined
    this.#leave = undefined
    cancel?.()
    leave?.()
  }
}

/**
 * The options of a `send`, as our request handler gets them.
 *
 * @internal
 */
export interface CallOptions extends HttpHandlerOptions {
  readonly call: Call
}
