/**
 * How an answer came to be, of a call that went by a route: who answered, what was tried before and why, what was waited, what it cost.
 *
 * **Example** (Who answered)
 *
 * ```ts
 * import { Bedrock, CallAccount } from "@caprock/bedrock"
 * import { Console, Effect } from "effect"
 *
 * const ask = Bedrock.Bedrock.use((bedrock) =>
 *   bedrock.converse({
 *     modelId: "chat",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }]
 *   })
 * )
 *
 * export const main = Effect.gen(function*() {
 *   const answer = yield* ask
 *   yield* Console.log(CallAccount.of(answer)?.target) // => ohio
 * }).pipe(Effect.provide(Bedrock.layer({
 *   region: "us-east-1",
 *   routes: {
 *     targets: {
 *       ohio: { model: "amazon.nova-lite-v1:0", region: "us-east-2" },
 *       oregon: { model: "amazon.nova-lite-v1:0", region: "us-west-2" }
 *     },
 *     routes: { chat: { policy: { ordered: ["ohio", "oregon"] } } }
 *   }
 * })))
 * ```
 *
 * @since 0.1.0
 */
import type { Account } from "@caprock/router/Account"
import { type Accounted, key } from "./internal/accounts.ts"

/**
 * The account of an answer, or of the event of a stream that tells what it cost (`metadata`; of `InvokeModelWithResponseStream`, the
 * chunk with Bedrock's own metrics). `undefined` for what did not go by a route. It is no field of the answer's, and no copy has it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const of = (answer: object): Account | undefined => (answer as Accounted)[key]
