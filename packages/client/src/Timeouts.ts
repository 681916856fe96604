/**
 * How long a call may wait, and for what.
 *
 * All but `connect` run on Effect's `Clock` (virtual in tests), and measure only the time that was spent waiting for the
 * server: a consumer that reads a stream slowly never makes one expire.
 *
 * **Example** (An answer that does not come)
 *
 * ```ts
 * import { BedrockClient } from "@caprock/client"
 * import { Console, Effect } from "effect"
 *
 * // The emulator behind this example does what the prompt says: it answers after ten seconds.
 * const call = BedrockClient.BedrockClient.use((client) =>
 *   client.converse({
 *     modelId: "us.amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue? [[emulate latency=10000]]" }] }]
 *   })
 * )
 *
 * export const main = call.pipe(
 *   Effect.catchReason("BedrockError", "TimeoutError", ({ kind }) => Console.log(kind)), // => first-token
 *   Effect.provide(BedrockClient.layer({ region: "us-east-1", timeouts: { firstToken: "100 millis" } }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as Reason from "@caprock/errors/Reason"
import * as Duration from "effect/Duration"

/**
 * - `credentials`: finding them, where the SDK has none that are still good: a file, a process, STS, SSO, an endpoint of the
 *   container or the instance.
 * - `connect`: TCP and TLS handshake of a new connection. Not the wait for a free one when `maxConnections` are in use.
 * - `firstToken`: from the start of the call to the first content of the answer; without streaming, to the whole answer.
 * - `betweenTokens`: silence within a stream, after its first content.
 * - `call`: all the waiting of one call.
 *
 * In a conversation (`BidirectionalStream`) `connect` ends when both sides have agreed on HTTP/2, and `firstToken` and `betweenTokens`
 * begin when its input has ended: until then nobody can tell a silent user from a silent server.
 *
 * `Duration.infinity` switches one off.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Timeouts {
  readonly credentials?: Duration.Input | undefined
  readonly connect?: Duration.Input | undefined
  readonly firstToken?: Duration.Input | undefined
  readonly betweenTokens?: Duration.Input | undefined
  readonly call?: Duration.Input | undefined
}

/**
 * What holds where nothing else is said.
 *
 * - `credentials` 1 min: enough for a `credential_process` that asks for a code, and for the SDK's own tries, of which the longest, of the
 *   container's endpoint, is over in 3 s. The SDK itself would wait for ever.
 * - `connect` 10 s: three retransmissions of a lost SYN (after 1, 3 and 7 s) still count.
 * - `firstToken` 60 min: Bedrock's own limit for an inference, for which AWS asks clients to wait (User Guide, "Inference
 *   using Claude 3.7 Sonnet" and "Amazon Nova": read timeout of at least 3,600 s; read 2026-11). An answer without
 *   streaming shows nothing until it is whole.
 * - `betweenTokens` 5 min: the idle time at which the SDK's default transport ends a stream (300 s,
 *   `@smithy/node-http-handler` 4.14), which it does without an error.
 * - `call` 61 min: the 60 min, and a minute to transfer the answer.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  credentials: Duration.minutes(1),
  connect: Duration.seconds(10),
  firstToken: Duration.minutes(60),
  betweenTokens: Duration.minutes(5),
  call: Duration.minutes(61)
} as const satisfies Timeouts

/**
 * Which of them expired, as an error's `kind` names it.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = Reason.TimeoutError["kind"]
