// One call through a client of the SDK: its requests, one after the other, as Effects, and what became of the last one.
import type { CallObserver as Observer } from "@caprock/client/CallObserver"
import { CallObserver } from "@caprock/client/CallObserver"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Classification from "@caprock/errors/Classification"
import * as Reason from "@caprock/errors/Reason"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as questions from "../questions.ts"

/** What the SDK gives for a request that was answered. */
export interface Answered<Output> {
  readonly output: Output
  readonly response: unknown
}

/** Which call it is. */
export interface Named {
  readonly operation: string
  readonly modelId: string | undefined
  readonly region: string
}

/**
 * Nobody tells when a request was handed to the kernel: that is what the SDK's own handlers hide. So an attempt counts as sent when its
 * answer begins; and one that ends without an answer, at that moment, unless it shows that it never left this machine, or was never
 * given to the handler. Until then it does not leave its window, so that it can only be booked for too long.
 */
export class Exchange<Output extends object> {
  /** Requests that were given to the SDK's handler. */
  attempts = 0
  /** Whether the SDK has a request of it that has not failed. */
  underWay = false
  /** What is asked for. */
  input: object
  readonly #call: Named
  readonly #request: (input: object) => Promise<Answered<Output>>
  #answer: Answered<Output> | undefined
  #id: string | undefined
  #observer: Observer | undefined
  #handed = false
  #failure: { readonly reason: Reason.Reason; readonly thrown: unknown } | undefined

  /** `request` makes one of an input that no other request has. */
  constructor(call: Named, input: object, request: (input: object) => Promise<Answered<Output>>) {
    this.#call = call
    this.input = input
    this.#request = request
  }

  /** The answer to the last request. */
  get answered(): Answered<Output> {
    if (this.#answer === undefined) throw new Error("There is no answer yet.")
    return this.#answer
  }

  /** What the SDK calls the requests of one call, all of them alike. */
  get id(): string {
    return this.#id ?? ""
  }

  /** The SDK gives the request to its handler. */
  handed(): void {
    if (this.#observer === undefined) return
    this.attempts++
    this.#handed = true
  }

  /** The head of the answer is there. */
  responded(response: unknown): void {
    this.#observer?.onFlushed()
    if (isHead(response)) this.#observer?.onResponse(response)
  }

  /** What the SDK threw, if that was the reason. */
  thrown(reason: Reason.Reason): { readonly cause: unknown } | undefined {
    if (this.#failure?.reason !== reason) return undefined
    const cause = this.#failure.thrown
    if (cause instanceof Error) this.#count(cause)
    return { cause }
  }

  /** One request, and its answer. An interruption only leaves it: what ended the call ends the request as well. */
  readonly send: Effect.Effect<Answered<Output>, BedrockError> = Effect.flatMap(
    questions.token,
    (id) =>
      Effect.withFiber((fiber) =>
        Effect.callback<Answered<Output>, BedrockError>((resume) => {
          this.#id ??= id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
          this.#observer = fiber.getRef(CallObserver)
          this.#handed = false
          this.underWay = true
          this.#request({ ...this.input }).then(
            (answer) => {
              this.responded(answer.response)
              this.#count(answer.output)
              this.#answer = answer
              resume(Effect.succeed(answer))
            },
            (thrown: unknown) => resume(Effect.fail(this.#failed(thrown, false)))
          )
          return Effect.sync(() => this.#left())
        })
      )
  )

  /** The events of one request. Who leaves them, or fails in between, closes what they come in. */
  events<Event>(
    member: "stream" | "body",
    isContent: (event: Event) => boolean
  ): Stream.Stream<Event, BedrockError> {
    return Stream.unwrap(Effect.map(this.send, ({ output, response }) => {
      let content = false
      const events = Reflect.get(output, member) as AsyncIterable<Event> | undefined
      return events === undefined ? Stream.empty : Stream.fromAsyncIterable(
        events,
        (thrown) => this.#failed(thrown, content)
      ).pipe(
        Stream.map((event) => {
          content ||= isContent(event)
          return event
        }),
        Stream.ensuring(Effect.sync(() => close(response)))
      )
    }))
  }

  #failed(thrown: unknown, content: boolean): BedrockError {
    const error = Classification.fromUnknown(thrown, this.#call)
    if (this.#handed && error.attempts > 0) this.#observer?.onFlushed()
    this.underWay = false
    this.#failure = { reason: error.reason, thrown }
    if (!content) return error
    // It is no refusal any more: something has been generated.
    const reason = new Reason.InterruptedStreamError({
      partial: { text: "" },
      content: true,
      message: `The stream ended before the answer was complete: ${error.reason.message}`,
      ...(error.reason._tag === "InterruptedStreamError" ? {} : { origin: error.reason })
    })
    this.#failure = { reason, thrown }
    return new BedrockError({ ...error, ...(error.cause === undefined ? {} : { cause: error.cause }), reason })
  }

  /** As the SDK says it, of answers and of errors. */
  #count(of: object): void {
    const metadata: unknown = Reflect.get(of, "$metadata")
    Reflect.set(of, "$metadata", { ...Predicate.isObject(metadata) ? metadata : {}, attempts: this.attempts })
  }

  #left(): void {
    if (this.#handed) this.#observer?.onFlushed()
    this.#observer = undefined
  }
}

const isHead = (
  response: unknown
): response is { readonly statusCode: number; readonly headers: Readonly<Record<string, string>> } =>
  Predicate.hasProperty(response, "statusCode") && typeof response.statusCode === "number" &&
  Predicate.hasProperty(response, "headers") && Predicate.isObject(response.headers)

/** Does nothing where it has come to its end. */
const close = (response: unknown): void => {
  if (!Predicate.hasProperty(response, "body") || !Predicate.isObject(response.body)) return
  const { body } = response
  if (Predicate.hasProperty(body, "destroy") && typeof body.destroy === "function") body.destroy()
}
