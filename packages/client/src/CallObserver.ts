/**
 * Two moments of a request that only the transport can see.
 *
 * Whoever books quota has to know them: before the request was handed to the kernel the server cannot have charged
 * anything, and from then on it may have.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * The head of a response: its status, and its headers with lower-case names.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResponseHead {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
}

/**
 * What the transport tells about one request. Both functions run inside a socket's event and must return at once; what
 * they throw cuts the connection and fails the call.
 *
 * - `onFlushed`: the whole request was handed to the kernel (or may have been: see below). It is called at most once for
 *   a call, never before the socket is connected and, with https, its handshake done. So a call that ends without it,
 *   because the connection was refused, the name not resolved or the credentials not found, was never charged.
 *   Of a conversation (`BidirectionalStream`) it is the request's head, as its body has no end yet.
 *   Where it cannot be known whether the last bytes left, such as an interruption in the same turn as the write, it is
 *   called: to book a request that never arrived is the cheaper error.
 * - `onResponse`: status and headers have arrived. Never before `onFlushed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallObserver {
  readonly onFlushed: () => void
  readonly onResponse: (head: ResponseHead) => void
}

/**
 * The observer of the calls made by this fiber. By default nobody looks.
 *
 * **Example** (Noticing when a request left)
 *
 * ```ts
 * import { BedrockClient, CallObserver } from "@caprock/client"
 * import { Console, Effect } from "effect"
 *
 * const call = BedrockClient.BedrockClient.use((client) =>
 *   client.converse({
 *     modelId: "amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }]
 *   })
 * )
 *
 * export const main = call.pipe(
 *   Effect.provideService(CallObserver.CallObserver, {
 *     onFlushed: () => console.log("sent"), // => sent
 *     onResponse: ({ statusCode }) => console.log(statusCode) // => 200
 *   }),
 *   Effect.flatMap(({ stopReason }) => Console.log(stopReason)), // => end_turn
 *   Effect.provide(BedrockClient.layer({ region: "us-east-1" }))
 * )
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CallObserver = Context.Reference<CallObserver>("@caprock/client/CallObserver", {
  defaultValue: () => ({ onFlushed: () => {}, onResponse: () => {} })
})
