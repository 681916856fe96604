// What a call through a client of the SDK passes, by its operation: the limiter and the retries, or the retries alone.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import * as Effect from "effect/Effect"
import type { Request } from "../accountant.ts"
import type { Attempt, Served } from "../attempt.ts"
import * as calls from "../calls.ts"
import { answer, Events, modelIdOf } from "../facade/answers.ts"
import * as questions from "../questions.ts"
import * as readings from "../readings.ts"
import type { Reading } from "../streaming.ts"
import type { SdkCall } from "./call.ts"
import type { Answered, Exchange } from "./exchange.ts"

type Operations = BedrockClient["Service"]
type Input<Name extends "converse" | "invokeModel"> = Parameters<Operations[Name]>[0]
type Output<Name extends "converse" | "invokeModel"> = Effect.Success<ReturnType<Operations[Name]>>

/** Ends the streams that nobody holds any more, read or not. */
export type Unread = FinalizationRegistry<Pick<Events<unknown>, "return">>

/** @internal */
export const serve = <O extends object>(
  operation: string,
  input: object,
  call: SdkCall<O>,
  exchange: Exchange<O>,
  books: Effect.Effect<calls.Desk>,
  unread: Unread
): Promise<Answered<O>> => {
  const unary = (
    question: () => questions.Question,
    servedBy: (output: object, attempt: Attempt, request: Request) => Served
  ) =>
    answer(
      call,
      Effect.flatMap(books, (books) =>
        calls.unary(books, question, () =>
          exchange.send, ({ output }, attempt, request) =>
          servedBy(output, attempt, request)))
    )

  const unmetered = (input: Effect.Effect<object>) =>
    answer(
      call,
      Effect.flatMap(Effect.zip(books, input), ([books, input]) => {
        exchange.input = input
        return calls.unmetered(books, operation, () => exchange.send)(input)
      })
    )

  const streamed = <Event>(
    question: () => questions.Question,
    member: "body" | "stream",
    reading: (request?: Request) => Reading<Event>,
    once = false
  ): Promise<Answered<O>> => {
    const { isContent } = reading()
    const asked = Effect.map(
      books,
      (books) => calls.streamed(books, question, () => exchange.events(member, isContent), reading, once)
    )
    return begun(exchange, member, new Events(call, asked), unread)
  }

  switch (operation) {
    case "Converse":
      return unary(
        () => questions.converse(operation, input as Input<"converse">),
        (output) => readings.conversed(output as Output<"converse">)
      )
    case "ConverseStream":
      return streamed(
        () => questions.converse(operation, input as Input<"converse">),
        "stream",
        () => readings.converse
      )
    case "InvokeModel":
      return unary(
        () => questions.invokeModel(operation, input as Input<"invokeModel">),
        (output, attempt, { family }) =>
          readings.invoked(attempt.head(), (output as Output<"invokeModel">).body, family)
      )
    case "InvokeModelWithResponseStream":
      return streamed(
        () => questions.invokeModel(operation, input as Input<"invokeModel">),
        "body",
        (request) => readings.chunks(request?.family)
      )
    case "InvokeModelWithBidirectionalStream":
      return streamed(() => questions.session(modelIdOf(input)), "body", () => readings.session, true)
    case "StartAsyncInvoke":
      return unmetered(questions.tokened(input))
    default:
      return unmetered(Effect.succeed(input))
  }
}

/** A stream is there with its first content: until then it may be asked for again. */
const begun = <O extends object, Event>(
  exchange: Exchange<O>,
  member: "body" | "stream",
  events: Events<Event>,
  unread: Unread
): Promise<Answered<O>> => {
  const first = events.next()
  return first.then(() => {
    const { output, response } = exchange.answered
    const given = new Begun(first, events)
    unread.register(given, events)
    return { response, output: { ...output, [member]: given } }
  })
}

/** The events of an answer of which the first was asked for already. */
class Begun<Event> implements AsyncIterableIterator<Event, undefined, undefined> {
  #first: Promise<IteratorResult<Event, undefined>> | undefined
  readonly #rest: Events<Event>

  constructor(first: Promise<IteratorResult<Event, undefined>>, rest: Events<Event>) {
    this.#first = first
    this.#rest = rest
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const first = this.#first
    this.#first = undefined
    return first ?? this.#rest.next()
  }

  return(): Promise<IteratorResult<Event, undefined>> {
    this.#first = undefined
    return this.#rest.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
