/**
 * How often calls are sent, as a metric of Effect: whoever exports metrics (`effect/observability`) has it, and for all others it costs next
 * to nothing.
 *
 * In OpenTelemetry's GenAI conventions a retry is no word. So the name and what is ours among the attributes begin with `caprock.`;
 * `error.type` is theirs. (A Prometheus page has `_` in place of the points.)
 *
 * **Example** (Requests for each call)
 *
 * ```ts
 * import { Bedrock, CallMetrics } from "@caprock/bedrock"
 * import { BedrockClientTest } from "@caprock/client"
 * import { BedrockError, Reason } from "@caprock/errors"
 * import { Console, Effect, Metric } from "effect"
 *
 * const unavailable = new BedrockError.BedrockError({
 *   operation: "Converse",
 *   attempts: 1,
 *   reason: new Reason.ServerError({ kind: "unavailable", message: "Try again." })
 * })
 *
 * const ask = Bedrock.Bedrock.use((bedrock) =>
 *   bedrock.converse({
 *     modelId: "amazon.nova-lite-v1:0",
 *     messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }]
 *   })
 * )
 *
 * const attempts = CallMetrics.attempts.pipe(
 *   Metric.withAttributes({ "caprock.pool": "default|us-east-1|on-demand|shared|amazon.nova-lite-v1:0" })
 * )
 *
 * export const main = Effect.gen(function*() {
 *   yield* ask
 *   const { count, sum } = yield* Metric.value(attempts)
 *   yield* Console.log(`${sum} requests for ${count} call`) // => 2 requests for 1 call
 * }).pipe(
 *   // Metrics are kept for the whole process, unless it is said where.
 *   Effect.provideService(Metric.MetricRegistry, new Map()),
 *   Effect.provide(Bedrock.layerTest({ converse: [unavailable, BedrockClientTest.answer("It scatters.")] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * The upper bounds of its buckets: each number that is usual by itself, and a call that was never sent.
 *
 * @category constants
 * @since 0.1.0
 */
export const boundaries: ReadonlyArray<number> = [0, 1, 2, 3, 4, 6, 8, 16]

/**
 * Requests that were sent for one call, counted when the call ends, whatever its end: `caprock.call.attempts`. It is the error's
 * `attempts`, and that of `CallEnded`.
 *
 * `sum` divided by `count` is by how much retries multiply the load: 1 in good times, and bounded by
 * `backoff.attempts` for each call and by `retryBudget` for all calls of a pool.
 *
 * | attribute         | value                                                                                                     |
 * | ----------------- | --------------------------------------------------------------------------------------------------------- |
 * | `caprock.pool`    | the key of the model's pool; the name of the operation where no model's quota meters it                   |
 * | `error.type`      | the tag of the reason, `interrupted`, or `_OTHER` for what is none of Bedrock's; without it, a success          |
 * | `caprock.gave_up` | the bound that ended the retries, as the error has it: `attempts`, `elapsed`, `budget`, `deadline`; or none |
 *
 * A layer keeps 1,000 series. What would be another is counted in one whose only attribute is `otel.metric.overflow`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const attempts: Metric.Histogram<number> = Metric.histogram("caprock.call.attempts", {
  description: "Requests sent to Bedrock for one call",
  boundaries
})
