/**
 * What happens to calls, told as data: metrics, logs and progress displays listen here, and the calls know none of them.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { Account } from "@caprock/router/Account"
import * as Context from "effect/Context"
import type { Told } from "./internal/told.ts"

/**
 * One event of a call. Times are milliseconds. `pool` is the key of the model's pool; of a call that passes no limiter, such as
 * `ApplyGuardrail`, the name of the operation, and there is no `Waiting`, `Admitted`, `Left` or `Settled`.
 *
 * - `Waiting`: an attempt asks for admission; `tokens` are what the server is thought to reserve for it.
 * - `Admitted`: it may send now, `waitedMillis` after it asked.
 * - `Left`: it does not wait there any more, and was not admitted: refused, given up, or admitted to another pool of its route. Each `Waiting` of a pool is
 *   followed by exactly one `Admitted` or `Left` of it, before `CallEnded`.
 * - `Routed`: an attempt of a call by a route goes to this target, and why. `Hedged`: the same of a second one, beside one that takes long.
 * - `AttemptFailed`: it failed with `error`; whether another follows is decided after this.
 * - `Settled`: of `reserved` by the server and `booked` by us, `charged` was what it cost. Only where that is known.
 * - `CallEnded`: exactly one for each call, whatever its end; a model id of which no pool is known fails before it is one. `attempts` counts the requests that were sent,
 *   `waitedMillis` is the wait for quota over all attempts, `serviceMillis` the time with the server. Of a call by a route, `account` says who answered and
 *   what was tried; it waits for all the pools that may serve it, and `Waiting` is told of each.
 * - `Adapted`: what of a request was changed for the target of its route that it is sent to.
 *
 * @category models
 * @since 0.1.0
 */
export type CallEvent = Told<BedrockError, Account>

/**
 * Who listens to the calls made by this fiber. It is called in the middle of the call and must return at once; nobody
 * listens by default. What it throws harms no call: it loses that event, and the first time is logged as a warning.
 *
 * **Example** (Counting attempts)
 *
 * ```ts
 * import { Bedrock, CallEvents } from "@caprock/bedrock"
 * import { Console, Effect } from "effect"
 *
 * let requests = 0
 * const counted = <A, E, R>(call: Effect.Effect<A, E, R>) =>
 *   call.pipe(Effect.provideService(CallEvents.CallEvents, (event) => {
 *     if (event._tag === "CallEnded") requests += event.attempts
 *   }))
 *
 * const call = Bedrock.Bedrock.use((bedrock) =>
 *   bedrock.converse({
 *     modelId: "us.amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }]
 *   })
 * )
 *
 * export const main = Effect.gen(function*() {
 *   yield* counted(call)
 *   yield* Console.log(requests) // => 1
 * }).pipe(Effect.provide(Bedrock.layer({ region: "us-east-1" })))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CallEvents = Context.Reference<(event: CallEvent) => void>("@caprock/bedrock/CallEvents", {
  defaultValue: () => nobody
})

const nobody = (): void => {}
