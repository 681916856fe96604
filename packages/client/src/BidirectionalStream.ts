/**
 * `InvokeModelWithBidirectionalStream`: a conversation in which both sides speak at once, such as with Amazon Nova Sonic.
 *
 * **Details**
 *
 * What is sent is a `Stream` of the SDK's events, what comes back is another. Each is read only as fast as the other side takes
 * it. The operation needs HTTP/2: each session has a connection of its own, which counts in `maxConnections`.
 *
 * - _The end._ The output ends in success when the server has ended it and the answer is whole. For models of the Nova Sonic
 *   family it is whole when each `completionStart` had its `completionEnd`; of other models nothing is known, and the clean end of
 *   their output is the end of their answer. Everything else is an error, after the first content an `InterruptedStreamError` with
 *   the text that had arrived.
 * - _The input._ Its failure ends the call at once, and is the failure of the output. When the output ends first, in whatever way, the
 *   input is interrupted.
 * - _Time._ As long as the input is open, nobody can tell a user who is silent from a server that is: only `connect` and `call` hold.
 *   From the end of the input on the server owes the rest, and `firstToken` and `betweenTokens` hold too.
 * - _Interrupting_ closes the connection at once.
 *
 * **Gotchas**
 *
 * A session is not asked for again once anything of its input was read: what a user has said can't be said again. Bedrock takes no API
 * key for it (AWS, "API keys reference", read 2026-11): it needs credentials that sign, also where a token is given for the rest.
 *
 * **Example** (Saying one thing, and hearing the answer)
 *
 * ```ts
 * import { BedrockClient, BidirectionalStream } from "@caprock/client"
 * import { Console, Effect, Stream } from "effect"
 *
 * const promptName = "prompt"
 * const contentName = "question"
 * const events = [
 *   { sessionStart: { inferenceConfiguration: { maxTokens: 1024, topP: 0.9, temperature: 0.7 } } },
 *   { promptStart: { promptName, textOutputConfiguration: { mediaType: "text/plain" } } },
 *   { contentStart: { promptName, contentName, type: "TEXT", interactive: true, role: "USER" } },
 *   { textInput: { promptName, contentName, content: "Why is the sky blue?" } },
 *   { contentEnd: { promptName, contentName } },
 *   { promptEnd: { promptName } },
 *   { sessionEnd: {} }
 * ]
 *
 * export const main = Effect.gen(function*() {
 *   const client = yield* BedrockClient.BedrockClient
 *   const kinds = yield* client.invokeModelWithBidirectionalStream({
 *     modelId: "amazon.nova-sonic-v1:0",
 *     body: Stream.fromIterable(events).pipe(Stream.map((event) => BidirectionalStream.chunk({ event })))
 *   }).pipe(
 *     Stream.map(BidirectionalStream.json),
 *     Stream.runFold(() => "", (_, json) => Object.keys(Object(json).event).join())
 *   )
 *   yield* Console.log(kinds) // => completionEnd
 * }).pipe(Effect.provide(BedrockClient.layer({ region: "us-east-1" })))
 * ```
 *
 * @since 0.1.0
 */
import type {
  InvokeModelWithBidirectionalStreamCommandInput,
  InvokeModelWithBidirectionalStreamInput,
  InvokeModelWithBidirectionalStreamOutput
} from "@aws-sdk/client-bedrock-runtime"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type * as Stream from "effect/Stream"

/**
 * The SDK's input, with a `Stream` for a body. It may fail with anything, and need services.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input<E = never, R = never> extends Omit<InvokeModelWithBidirectionalStreamCommandInput, "body"> {
  readonly body: Stream.Stream<InvokeModelWithBidirectionalStreamInput, E, R>
}

/**
 * The operation: one session. What the input fails with, the output fails with.
 *
 * @category models
 * @since 0.1.0
 */
export type Operation = <E = never, R = never>(
  input: Input<E, R>
) => Stream.Stream<InvokeModelWithBidirectionalStreamOutput, BedrockError | E, R>

/**
 * An event of the input that holds a JSON value, as models of the Nova Sonic family take them: `chunk({ event: { promptEnd: … } })`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const chunk = (json: unknown): InvokeModelWithBidirectionalStreamInput => ({
  chunk: { bytes: new TextEncoder().encode(JSON.stringify(json)) }
})

/**
 * The JSON value in an event of the output; `undefined` where there is none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const json = (event: InvokeModelWithBidirectionalStreamOutput): unknown => {
  const bytes = event.chunk?.bytes
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
