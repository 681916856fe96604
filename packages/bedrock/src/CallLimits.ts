/**
 * How long one call may take, where that is not what holds for all of them: an interactive call has seconds, a bulk one
 * an hour, and both go through one layer and draw on one quota.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"

/**
 * What a caller may set for its own calls. What is left out is as the layer's options say; `Duration.infinity` lifts it.
 *
 * - `deadline`: for the whole call, from when it is made: its waits for quota, its attempts, the waits between them, and of a
 *   stream the time of its consumer too. Nothing is begun that can't be done by then: a call whose predicted wait for quota
 *   is longer fails at once, and so does one whose next attempt would begin too late. A request that is under way then is
 *   ended, and what it may have been charged stays booked.
 * - `maxWait`: for quota, of each attempt.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallLimits {
  readonly deadline?: Duration.Input | undefined
  readonly maxWait?: Duration.Input | undefined
}

/**
 * The limits of the calls made by this fiber; by default those of the layer.
 *
 * **Example** (One layer, and a call that is in a hurry)
 *
 * ```ts
 * import { Bedrock, CallLimits } from "@caprock/bedrock"
 * import { Console, Effect } from "effect"
 *
 * // The emulator behind this example does what the prompt says: it answers after a minute.
 * const call = Bedrock.Bedrock.use((bedrock) =>
 *   bedrock.converse({
 *     modelId: "us.amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue? [[emulate latency=60000]]" }] }]
 *   })
 * )
 *
 * export const main = call.pipe(
 *   Effect.provideService(CallLimits.CallLimits, { deadline: "200 millis" }),
 *   Effect.catchReason("BedrockError", "TimeoutError", ({ kind }) => Console.log(kind)), // => deadline
 *   Effect.provide(Bedrock.layer({ region: "us-east-1", deadline: "1 hour" }))
 * )
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CallLimits = Context.Reference<CallLimits>("@caprock/bedrock/CallLimits", { defaultValue: () => ({}) })
