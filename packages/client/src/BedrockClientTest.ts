/**
 * A client for your own tests: it answers from a script and keeps what it was asked.
 *
 * **Example** (Testing a program against scripted answers)
 *
 * ```ts
 * import { BedrockClient, BedrockClientTest } from "@caprock/client"
 * import { BedrockError, Reason } from "@caprock/errors"
 * import { Console, Effect } from "effect"
 *
 * const busy = new BedrockError.BedrockError({
 *   operation: "Converse",
 *   attempts: 1,
 *   httpStatus: 429,
 *   reason: new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" })
 * })
 *
 * export const main = Effect.gen(function*() {
 *   const client = yield* BedrockClient.BedrockClient
 *   const ask = client.converse({ modelId: "amazon.nova-lite-v1:0", messages: [] })
 *   const answer = yield* Effect.retry(ask, { times: 1 })
 *   const test = yield* BedrockClientTest.BedrockClientTest
 *   yield* Console.log(answer.stopReason, (yield* test.requests).length) // => end_turn 2
 * }).pipe(
 *   Effect.provide(BedrockClient.layerTest({ converse: [busy, BedrockClientTest.answer("Hello.")] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type {
  ConverseCommandOutput,
  ConverseStreamOutput,
  InvokeModelWithBidirectionalStreamInput,
  InvokeModelWithBidirectionalStreamOutput,
  StopReason
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as BidirectionalStream from "./BidirectionalStream.ts"
import type { Operations } from "./Operations.ts"
import type * as Usage from "./Usage.ts"

/**
 * The replies of one operation: a list, used from its start, one for each call; or a function of the input and of the
 * number of calls before. A call for which there is no reply dies with a defect that says so.
 *
 * @category models
 * @since 0.1.0
 */
export type Replies<Input, Output> =
  | ReadonlyArray<Output | BedrockError>
  | ((input: Input, index: number) => Output | BedrockError | Effect.Effect<Output, BedrockError>)

/**
 * The replies of a streaming operation. Each is the list of its events (an error in the list cuts the stream there), an
 * error instead of a stream, or a `Stream`. The rule of the real client holds: events without a proper end make an
 * `InterruptedStreamError`.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamReplies<Input, Event> =
  | ReadonlyArray<StreamReply<Event>>
  | ((input: Input, index: number) => StreamReply<Event>)

/**
 * The reply of a streaming operation to one call: see {@link StreamReplies}.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamReply<Event> =
  | ReadonlyArray<Event | BedrockError>
  | BedrockError
  | Stream.Stream<Event, BedrockError>

/**
 * What the test client answers: the replies of each operation, under its name.
 *
 * In a session (`invokeModelWithBidirectionalStream`) a list of events is said when the input has ended. A `Stream` made by a
 * function may read the input as it comes, in the `body`.
 *
 * @category models
 * @since 0.1.0
 */
export type Script =
  & { readonly [Name in keyof Operations]?: RepliesOf<Operations[Name]> | undefined }
  & {
    readonly region?: string | undefined
    readonly invokeModelWithBidirectionalStream?:
      | StreamReplies<BidirectionalStream.Input, InvokeModelWithBidirectionalStreamOutput>
      | undefined
  }

/**
 * The replies of an operation of this type.
 *
 * @category models
 * @since 0.1.0
 */
export type RepliesOf<Operation> = Operation extends (input: infer Input) => Effect.Effect<infer Output, BedrockError> ?
  Replies<Input, Output>
  : Operation extends (input: infer Input) => Stream.Stream<infer Event, BedrockError> ? StreamReplies<Input, Event>
  : never

/**
 * One request that the test client got: `operation` is the service's name of it, such as `"Converse"`.
 *
 * @category models
 * @since 0.1.0
 */
export type Request =
  | {
    readonly [Name in keyof Operations]: {
      readonly operation: Capitalize<Name>
      readonly input: Parameters<Operations[Name]>[0]
    }
  }[keyof Operations]
  | SessionRequest

/**
 * A session that the test client was asked for, and the events of its input that were read so far.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionRequest {
  readonly operation: "InvokeModelWithBidirectionalStream"
  readonly input: Omit<BidirectionalStream.Input, "body">
  readonly sent: ReadonlyArray<InvokeModelWithBidirectionalStreamInput>
}

/**
 * What the test client was asked, in order.
 *
 * @category services
 * @since 0.1.0
 */
export class BedrockClientTest extends Context.Service<BedrockClientTest, {
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
}>()("@caprock/client/BedrockClientTest") {}

/**
 * What {@link answer} and {@link events} fill in; by default the model ended its turn, after as many output tokens as the
 * text has words.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnswerOptions {
  readonly usage?: Usage.Usage | undefined
  readonly stopReason?: StopReason | undefined
}

/**
 * A Converse answer with a text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answer = (text: string, options: AnswerOptions = {}): ConverseCommandOutput => ({
  $metadata: { httpStatusCode: 200, requestId: "test", attempts: 1, totalRetryDelay: 0 },
  output: { message: { role: "assistant", content: [{ text }] } },
  stopReason: options.stopReason ?? "end_turn",
  usage: usageOf(text, options),
  metrics: { latencyMs: 0 }
})

/**
 * The events of a complete ConverseStream answer, one delta for each text.
 *
 * @category constructors
 * @since 0.1.0
 */
export const events = (
  texts: ReadonlyArray<string>,
  options: AnswerOptions = {}
): ReadonlyArray<ConverseStreamOutput> => [
  { messageStart: { role: "assistant" } },
  ...texts.map((text): ConverseStreamOutput => ({ contentBlockDelta: { contentBlockIndex: 0, delta: { text } } })),
  { contentBlockStop: { contentBlockIndex: 0 } },
  { messageStop: { stopReason: options.stopReason ?? "end_turn" } },
  { metadata: { usage: usageOf(texts.join(""), options), metrics: { latencyMs: 0 } } }
]

const usageOf = (text: string, options: AnswerOptions) => {
  const usage = options.usage ??
    { inputTokens: 1, outputTokens: text.split(/\s+/).filter((word) => word !== "").length }
  const cached = (usage.cacheReadInputTokens ?? 0) + (usage.cacheWriteInputTokens ?? 0)
  return { ...usage, totalTokens: usage.inputTokens + usage.outputTokens + cached }
}
