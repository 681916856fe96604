// What stands behind `BedrockClient.layerTest`: operations that answer from a script, by the rules of the real ones.
import type {
  InvokeModelWithBidirectionalStreamInput,
  InvokeModelWithBidirectionalStreamOutput
} from "@aws-sdk/client-bedrock-runtime"
import { type BedrockError, isBedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Replies, Request, Script, SessionRequest, StreamReplies, StreamReply } from "../BedrockClientTest.ts"
import type * as BidirectionalStream from "../BidirectionalStream.ts"
import { CallObserver } from "../CallObserver.ts"
import type { Operations } from "../Operations.ts"
import { Call } from "./call.ts"
import { singly } from "./events.ts"
import { Failures } from "./failures.ts"
import { Patience, unlimited } from "./patience.ts"
import type { Progress } from "./progress.ts"
import * as session from "./session.ts"
import { assemble } from "./streaming.ts"
import * as table from "./table.ts"

/**
 * All operations, each on the replies that the script has for it, and what they were asked.
 *
 * @internal
 */
export const make = (
  script: Script
): {
  readonly operations: Operations
  readonly session: BidirectionalStream.Operation
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
} => {
  const requests: Array<Request> = []
  // Script and requests have each operation's own types under its name, and here the name is any of them.
  const record = (operation: string) => (input: unknown) => {
    requests.push({ operation, input } as Request)
  }
  const operations = table.make({
    unary: <I, O>({ operation }: table.Unary<I, O>, name: keyof Operations) =>
      unary(operation, script[name] as Replies<I, O> | undefined, record(operation)),
    streaming: <I, E>({ operation, progress }: table.Streaming<I, E>, name: keyof Operations) =>
      streaming(operation, script[name] as StreamReplies<I, E> | undefined, progress, record(operation))
  })
  return {
    operations,
    session: sessions(script.invokeModelWithBidirectionalStream, (request) => {
      requests.push(request)
    }),
    requests: Effect.sync(() => [...requests])
  }
}

/**
 * An operation that answers from its script. It lets the observer know of flush and response as the transport would: of
 * no flush where the scripted error says that nothing was sent.
 */
const unary = <I, O>(
  operation: string,
  replies: Replies<I, O> | undefined,
  record: (input: I) => void
): (input: I) => Effect.Effect<O, BedrockError> => {
  const reply = player(operation, replies)
  return (input) =>
    Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(unlimited, fiber.context, () => {})
      const failures = new Failures(operation, table.modelIdOf(input), undefined, call)
      const late = Effect.suspend(() => Effect.fail(failures.expired(patience.late)))
      if (patience.left === 0) return late
      record(input)
      const next = reply(input)
      const outcome: Effect.Effect<O, BedrockError> = isBedrockError(next)
        ? Effect.fail(next)
        : Effect.isEffect(next)
        ? next
        : Effect.succeed(next)
      const timely = patience.left === Infinity ? outcome : Effect.timeoutOrElse(outcome, {
        duration: patience.left,
        // It was on its way.
        orElse: () => Effect.andThen(Effect.sync(() => call.flushed()), late)
      })
      return timely.pipe(
        Effect.tapError((error) => Effect.sync(() => failed(call, error))),
        Effect.tap(() => Effect.sync(() => answered(call)))
      )
    })
}

const streaming = <I, E>(
  operation: string,
  replies: StreamReplies<I, E> | undefined,
  progress: () => Progress<E>,
  record: (input: I) => void
): (input: I) => Stream.Stream<E, BedrockError> => {
  const reply = player(operation, replies)
  return (input) =>
    Stream.unwrap(Effect.withFiber((fiber) => {
      const call = new Call(fiber.getRef(CallObserver))
      const patience = new Patience(unlimited, fiber.context, () => {})
      const failures = new Failures(operation, table.modelIdOf(input), undefined, call)
      if (patience.left === 0) return Effect.succeed(Stream.fail(failures.expired(patience.late)))
      record(input)
      const next: StreamReply<E> = reply(input)
      if (isBedrockError(next)) {
        failed(call, next)
        return Effect.succeed(Stream.fail(next))
      }
      answered(call)
      const events = Stream.isStream(next) ? next : eventsOf(next)
      const iterator = Stream.toAsyncIterableWith(events, fiber.context)[Symbol.asyncIterator]()
      return Effect.as(
        Effect.addFinalizer(() => {
          patience.end()
          return Effect.promise<unknown>(() => iterator.return?.() ?? Promise.resolve())
        }),
        assemble(
          () => Promise.resolve(singly(iterator)),
          progress(),
          patience,
          failures
        )
      )
    }))
}

/** Sessions of the real kind, over a script in place of the SDK. */
const sessions = (
  replies: StreamReplies<BidirectionalStream.Input, InvokeModelWithBidirectionalStreamOutput> | undefined,
  record: (request: SessionRequest) => void
): BidirectionalStream.Operation => {
  const reply = player(session.operation, replies)
  return (input) =>
    Stream.unwrap(Effect.withFiber((fiber) => {
      const asked = Promise.withResolvers<AsyncIterable<InvokeModelWithBidirectionalStreamInput>>()
      const sent: Array<InvokeModelWithBidirectionalStreamInput> = []
      const body = Stream.unwrap(
        Effect.map(Effect.promise(() => asked.promise), (events) => Stream.fromAsyncIterable(events, (cause) => cause))
      ).pipe(Stream.tap((event) => Effect.sync(() => sent.push(event))), Stream.orDie)
      let next: StreamReply<InvokeModelWithBidirectionalStreamOutput> = []
      if (new Patience(unlimited, fiber.context, () => {}).left > 0) {
        record({ operation: session.operation, input: { modelId: input.modelId }, sent })
        next = reply({ ...input, body })
      }
      const operation = session.make({
        limits: unlimited,
        region: undefined,
        send: ({ body: events }, { call }, context) => {
          if (isBedrockError(next)) {
            failed(call, next)
            return Promise.reject(next)
          }
          answered(call)
          if (events !== undefined) asked.resolve(events)
          const said = Stream.isStream(next) ? next : Stream.concat(Stream.drain(body), eventsOf(next))
          const iterator = Stream.toAsyncIterableWith(said, context)[Symbol.asyncIterator]()
          call.started(() => void iterator.return?.())
          return Promise.resolve({ [Symbol.asyncIterator]: () => iterator })
        }
      })
      return Effect.succeed(operation(input))
    }))
}

const eventsOf = <E>(events: ReadonlyArray<E | BedrockError>): Stream.Stream<E, BedrockError> =>
  Stream.fromIterable(events).pipe(
    Stream.mapEffect((event) => isBedrockError(event) ? Effect.fail(event) : Effect.succeed(event))
  )

const player = <I, R>(operation: string, replies: ReadonlyArray<R> | ((input: I, index: number) => R) | undefined) => {
  let index = 0
  return (input: I): R => {
    const at = index++
    if (typeof replies === "function") return replies(input, at)
    const reply = replies?.[at]
    if (reply !== undefined) return reply
    throw new Error(
      `BedrockClient.layerTest: call ${at + 1} of ${operation} has no reply: its script has ${replies?.length ?? 0}.`
    )
  }
}

const answered = (call: Call): void => call.responded({ statusCode: 200, headers: {} })

const failed = (call: Call, error: BedrockError): void => {
  if (error.httpStatus !== undefined) call.responded({ statusCode: error.httpStatus, headers: {} })
  else if (error.attempts > 0) call.flushed()
}
