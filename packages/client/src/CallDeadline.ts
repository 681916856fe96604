/**
 * The moment by which requests have to be over, whatever their own time limits allow.
 *
 * Time limits (`Timeouts`) count the waiting for one answer. A deadline is a moment, and so holds for everything that
 * is done until then: several requests, the waits between them, and the time that a consumer takes to read a stream.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * The deadline of the requests made by this fiber, in milliseconds of the clock's monotonic time; `Infinity`, which is the
 * default, for none. {@link after} makes one.
 *
 * After it no request is sent. One that is under way is ended, and its connection closed at once, also while nobody reads: it
 * fails with a `TimeoutError` of kind `deadline`, or, where content of its stream had been given, with an
 * `InterruptedStreamError` of that origin. An answer that has arrived whole is whole.
 *
 * **Example** (Two calls within ten seconds)
 *
 * ```ts
 * import { BedrockClient, CallDeadline } from "@caprock/client"
 * import { Console, Effect } from "effect"
 *
 * const ask = (text: string) =>
 *   BedrockClient.BedrockClient.use((client) =>
 *     client.converse({ modelId: "us.amazon.nova-lite-v1:0", messages: [{ role: "user", content: [{ text }] }] })
 *   )
 *
 * // The emulator behind this example does what the prompt says: the second answer takes a minute.
 * export const main = ask("Why is the sky blue?").pipe(
 *   Effect.andThen(ask("And why is the night dark? [[emulate latency=60000]]")),
 *   Effect.provideServiceEffect(CallDeadline.CallDeadline, CallDeadline.after("200 millis")),
 *   Effect.catchReason("BedrockError", "TimeoutError", ({ kind }) => Console.log(kind)), // => deadline
 *   Effect.provide(BedrockClient.layer({ region: "us-east-1" }))
 * )
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CallDeadline = Context.Reference<number>("@caprock/client/CallDeadline", {
  defaultValue: () => Infinity
})

/**
 * The moment so long from now, or the deadline that holds already if that is nearer: a part never has more time than the whole.
 *
 * @category constructors
 * @since 0.1.0
 */
export const after = (duration: Duration.Input): Effect.Effect<number> =>
  Effect.withFiber((fiber) => {
    const now = Number(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()) / 1e6
    return Effect.succeed(
      Math.min(fiber.getRef(CallDeadline), now + Duration.toMillis(Duration.fromInputUnsafe(duration)))
    )
  })
