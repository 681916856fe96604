/**
 * Whose turn it is when not all calls can go at once: those of users before those of jobs, and no tenant at the cost of another.
 *
 * @since 0.1.0
 */
import type { Priority } from "@caprock/rate-limiter/Priority"
import * as Context from "effect/Context"

/**
 * What a caller may say of its own calls.
 *
 * - `priority`: higher classes are admitted first. `"standard"` unless set.
 * - `tenant`: within a class, tenants share the quota fairly, by what they take of it. All calls without one are one tenant's.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallTurn {
  readonly priority?: Priority | undefined
  readonly tenant?: string | undefined
}

/**
 * The turn of the calls made by this fiber.
 *
 * **Example** (A question that goes before a job)
 *
 * ```ts
 * import { Bedrock, CallTurn } from "@caprock/bedrock"
 * import { Array, Console, Effect } from "effect"
 *
 * const ask = (name: string) =>
 *   Bedrock.Bedrock.use((bedrock) =>
 *     bedrock.converse({
 *       modelId: "us.amazon.nova-lite-v1:0",
 *       messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
 *       inferenceConfig: { maxTokens: 100 }
 *     })
 *   ).pipe(Effect.andThen(Console.log(name)))
 *
 * export const main = Effect.gen(function*() {
 *   const job = Effect.forEach(Array.range(1, 3), () => ask("job"), { concurrency: "unbounded" }).pipe(
 *     Effect.provideService(CallTurn.CallTurn, { priority: "bulk", tenant: "nightly" })
 *   )
 *   const question = ask("question").pipe(Effect.provideService(CallTurn.CallTurn, { priority: "interactive" }))
 *   yield* Effect.all([job, Effect.delay(question, "50 millis")], { concurrency: "unbounded" })
 * }).pipe(
 *   // One request a second, by a minute of the emulator's that is as short.
 *   Effect.provide(Bedrock.layer({
 *     region: "us-east-1",
 *     quotas: { default: { requestsPerMinute: 1 } },
 *     meters: { window: "1 second" }
 *   }))
 * )
 * // => job
 * // => question
 * // => job
 * // => job
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const CallTurn = Context.Reference<CallTurn>("@caprock/bedrock/CallTurn", { defaultValue: () => ({}) })
