// From the SDK's InvokeModelWithBidirectionalStream to a Stream of a Stream.
import type {
  InvokeModelWithBidirectionalStreamCommandInput,
  InvokeModelWithBidirectionalStreamInput,
  InvokeModelWithBidirectionalStreamOutput
} from "@aws-sdk/client-bedrock-runtime"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Input, Operation } from "../BidirectionalStream.ts"
import { CallObserver } from "../CallObserver.ts"
import { Call, type CallOptions } from "./call.ts"
import { conversation } from "./conversation.ts"
import { batchesOf } from "./events.ts"
import { Failures } from "./failures.ts"
import { Feed } from "./feed.ts"
import { type Limits, Patience } from "./patience.ts"
import type { Progress } from "./progress.ts"
import { seated, type Seats } from "./seat.ts"
import { assemble } from "./streaming.ts"

/** @internal */
export const operation = "InvokeModelWithBidirectionalStream"

/**
 * The operation on whatever sends it.
 *
 * @internal
 */
export const make = (options: {
  readonly send: (
    input: InvokeModelWithBidirectionalStreamCommandInput,
    options: CallOptions,
    context: Context.Context<never>
  ) => Promise<AsyncIterable<InvokeModelWithBidirectionalStreamOutput> | undefined>
  readonly limits: Limits
  readonly region: string | undefined
  readonly seats?: Seats
}): Operation =>
<E, R>(input: Input<E, R>) =>
  Stream.unwrap(Effect.gen(function*() {
    const context = yield* Effect.context<R>()
    const observer = Context.get(context, CallObserver)
    let ended = false
    let asked = false
    const call = new Call({
      onFlushed: () => {
        observer.onFlushed()
        feed.open()
      },
      onResponse: observer.onResponse
    })
    const progress = conversation({ ended: () => ended, asked: () => asked })
    const patience = new Patience(whileOpen(options.limits), context, () => call.abort(), () => call.prepared)
    const failures = new Failures(operation, input.modelId, options.region, call)
    const body = Stream.tap(input.body, (event) =>
      Effect.sync(() => {
        asked ||= isFromUser(event)
      }))
    const feed = new Feed(Stream.provideContext(body, context), context, {
      onEnd: () => {
        ended = true
        patience.relimit(onceEnded(options.limits, progress))
      },
      onFailure: () => call.abort()
    })
    const start = () =>
      options.send({ ...input, body: feed }, { call }, context).then((events = nothing) => batchesOf(call.body, events))
    yield* Effect.addFinalizer(() => {
      patience.end()
      call.abort()
      return feed.close
    })
    // Whatever the output says of it: it was the input that ended the call.
    const failed = Stream.suspend(() => feed.failure === undefined ? Stream.empty : Stream.failCause(feed.failure))
    const before = options.seats === undefined ? undefined : seated(options.seats, call, patience, failures)
    return assemble(start, progress, patience, failures, before).pipe(
      Stream.mapError(aboutKeys),
      Stream.catchCause((cause) => Stream.concat(failed, Stream.failCause(cause))),
      Stream.concat(failed)
    )
  }))

// As a role stands in JSON. A text that says so by chance makes one who asked of one who did not, which is the safer mistake.
// What is no event is left to the SDK, which has words for it.
const isFromUser = (event: InvokeModelWithBidirectionalStreamInput | null): boolean => {
  const bytes = event?.chunk?.bytes
  return bytes instanceof Uint8Array && new TextDecoder().decode(bytes).includes("\"USER\"")
}

// Who has an API key has credentials, as far as they know.
const aboutKeys = (error: BedrockError): BedrockError => {
  const { cause, reason } = error
  if (reason._tag !== "AccessError" || reason.kind !== "no-credentials") return error
  return new BedrockError({
    ...error,
    // The one field of an error that is not enumerable.
    ...(cause === undefined ? {} : { cause }),
    reason: new Reason.AccessError({
      ...reason,
      message: `${reason.message} (A Bedrock API key does not do here: ${operation} has to be signed.)`
    })
  })
}

// A user may be silent for as long as it pleases them.
const whileOpen = (limits: Limits): Limits => ({ ...limits, firstToken: Infinity, betweenTokens: Infinity })

// A server that has no more to say ends the stream within a round trip; between two completions a model thinks.
const closingMillis = 10_000

const onceEnded = (limits: Limits, progress: Progress<never>): Limits => ({
  ...limits,
  get betweenTokens() {
    return progress.satisfied?.() === true ? Math.min(closingMillis, limits.betweenTokens) : limits.betweenTokens
  }
})

const nothing: AsyncIterable<never> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) })
}
