// Events off the wire: whatever has arrived is decoded at once, when the consumer asks for more.
import { eventStreamSerdeProvider, getMessageUnmarshaller } from "@smithy/core/event-streams"
import type { EventStreamMarshaller, EventStreamSerdeProvider, Message } from "@smithy/types"
import { Readable } from "node:stream"
import { Messages } from "./bounds.ts"
import { decode } from "./frame.ts"

/**
 * The events of a stream, in batches: those that have arrived when they are asked for. Empty when there are no more.
 *
 * A batch costs the consumer one wait, however many events it holds. It holds few, and of what has been read of the connection
 * already: a slow consumer still holds the connection, and not a buffer.
 *
 * @internal
 */
export interface Batches<Event> {
  readonly next: () => Promise<ReadonlyArray<Event>>
  /** Whether the end has arrived, so that nothing has to be waited for any more. */
  readonly ending: () => boolean
}

/** Where nothing is known of what has arrived: one by one. @internal */
export const singly = <Event>(events: AsyncIterator<Event>): Batches<Event> => ({
  next: () => events.next().then((result) => result.done === true ? [] : [result.value]),
  ending: () => false
})

/**
 * The batches of what the SDK gave for a body. It has come as far as to ask for the first event; with the others it would do
 * nothing but hand them on, one by one.
 *
 * @internal
 */
export const batchesOf = <Event>(body: object | undefined, given: AsyncIterable<Event>): Batches<Event> => {
  const events = given[Symbol.asyncIterator]()
  const reader = readerOf(body)
  if (reader === undefined) return singly(events)
  // What the reader decodes are the events of what the SDK gave: the type of these is the type of those.
  const batch = (first: ReadonlyArray<Event>) => reader.batch([...first]) as Promise<ReadonlyArray<Event>>
  let begun = false
  return {
    ending: () => begun && reader.ending,
    next: () => {
      if (begun) return batch([])
      begun = true
      return events.next().then((first) => first.done === true ? [] : batch([first.value]))
    }
  }
}

/**
 * What the SDK reads event streams with, in place of its own reader: the same models, without its codec and five async generators on
 * top of each other, and with a way to ask for more than one event.
 *
 * @internal
 */
export const eventStreams: EventStreamSerdeProvider = (options) => {
  const own: EventStreamMarshaller = eventStreamSerdeProvider(options)
  return {
    serialize: (events, serializer) => own.serialize(events, serializer),
    deserialize: <T>(body: unknown, deserializer: (input: Record<string, Message>) => Promise<T>): AsyncIterable<T> => {
      if (!(body instanceof Readable)) return own.deserialize(body, deserializer)
      // An event of no type that is modelled is the one thing that the SDK looks into.
      const model = deserializer as (input: Record<string, Message>) => Promise<Record<string, unknown>>
      const unmarshal = getMessageUnmarshaller(
        (input) => initialResponse in input ? Promise.resolve({ $unknown: input }) : model(input),
        options.utf8Encoder
      )
      const reader = new Reader(body, (message) => unmarshal(decode(message)))
      Object.assign(body, { [reading]: reader })
      return reader as AsyncIterable<unknown> as AsyncIterable<T>
    }
  }
}

// Other protocols of AWS begin a stream with members of the answer. Bedrock has them in HTTP's headers (restJson1): from it this would be
// an event of a type that nobody knows, and the SDK would hand on an event without a member for it.
const initialResponse = "initial-response"

// More at once would cost no less each, and keep whoever waits for the first of them waiting.
const mostAtOnce = 32

// Where a body has its reader: the SDK knows of the one, and we of the other.
const reading = Symbol("@caprock/client/Reader")

const readerOf = (body: object | undefined): Reader | undefined =>
  body !== undefined && reading in body && body[reading] instanceof Reader ? body[reading] : undefined

// Reads one body. Who asks waits for the answer before asking again.
class Reader implements AsyncIterable<unknown>, AsyncIterator<unknown> {
  readonly #body: Readable
  readonly #decode: (message: Uint8Array) => Promise<unknown>
  readonly #messages = new Messages()
  /** Why there will be no further event. */
  #failure: { readonly cause: unknown } | undefined
  /** What the body broke off with. */
  #error: { readonly cause: unknown } | undefined
  #wake = (): void => {}

  constructor(body: Readable, decode: (message: Uint8Array) => Promise<unknown>) {
    this.#body = body
    this.#decode = decode
    const wake = () => this.#wake()
    body.on("readable", wake)
    body.once("end", wake)
    body.once("close", wake)
    body.on("error", (cause) => {
      this.#error ??= { cause }
      wake()
    })
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return this
  }

  next(): Promise<IteratorResult<unknown>> {
    return this.#collect([], 1).then((events) =>
      events.length === 0 ? { done: true, value: undefined } : { done: false, value: events[0] }
    )
  }

  /** These, and what has arrived; waits only where there are none. */
  batch(events: Array<unknown>): Promise<ReadonlyArray<unknown>> {
    return this.#collect(events, mostAtOnce)
  }

  get ending(): boolean {
    return "complete" in this.#body && this.#body.complete === true
  }

  #collect(events: Array<unknown>, most: number): Promise<ReadonlyArray<unknown>> {
    const { promise, reject, resolve } = Promise.withResolvers<ReadonlyArray<unknown>>()
    const fail = (cause: unknown): void => {
      this.#failure = { cause }
      // What came before it comes first.
      if (events.length === 0) reject(cause)
      else resolve(events)
    }
    const collected = (event: unknown): void => {
      if (event !== undefined) events.push(event)
      collect()
    }
    const collect = (): void => {
      if (events.length >= most) return resolve(events)
      try {
        const message = this.#messages.take()
        if (message !== undefined) return void this.#decode(message).then(collected, fail)
        if (events.length > 0) return resolve(events)
        this.#read(collect, () => resolve(events))
      } catch (cause) {
        fail(cause)
      }
    }
    if (this.#failure === undefined) collect()
    else reject(this.#failure.cause)
    return promise
  }

  /** The next chunk, now or when it is there. */
  #read(then: () => void, atEnd: () => void): void {
    const chunk: Uint8Array | null = this.#body.read()
    if (chunk !== null) {
      this.#messages.push(chunk)
      return then()
    }
    if (this.#error !== undefined) throw this.#error.cause
    if (this.#body.readableEnded) {
      this.#messages.end()
      return atEnd()
    }
    if (this.#body.closed) {
      throw Object.assign(new Error("The connection was closed before the stream had ended."), { code: "ECONNRESET" })
    }
    this.#wake = () => {
      this.#wake = () => {}
      then()
    }
  }
}
