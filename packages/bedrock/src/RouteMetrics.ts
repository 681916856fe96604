/**
 * What becomes of calls by routes, as metrics of Effect: whoever exports metrics (`effect/observability`) has them, and for all others they cost next
 * to nothing. Each call is counted when it ends, whatever its end; what its requests cost the pools is in `CallMetrics` and the limiter's events.
 *
 * | attribute         | value                                                                                                           |
 * | ----------------- | --------------------------------------------------------------------------------------------------------------- |
 * | `caprock.route`   | the route's name                                                                                                |
 * | `caprock.target`  | who answered; none where nobody did                                                                             |
 * | `caprock.outcome` | `answered`, `rejected` (an answer that the caller's check rejected), `last-resort`, or `failed`                 |
 * | `error.type`      | of what failed: the tag of the reason, `interrupted`, or `_OTHER` for what is none of Bedrock's                 |
 *
 * A layer keeps 1,000 series of each. What would be another is counted in one whose only attribute is `otel.metric.overflow`.
 *
 * **Example** (How many calls the second target had to take)
 *
 * ```ts
 * import { Bedrock, RouteMetrics } from "@caprock/bedrock"
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
 *   bedrock.converse({ modelId: "chat", messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }] })
 * )
 *
 * export const main = Effect.gen(function*() {
 *   yield* ask
 *   const fallbacks = Metric.withAttributes(RouteMetrics.fallbacks, { "caprock.route": "chat", "caprock.target": "oregon" })
 *   const { count } = yield* Metric.value(fallbacks)
 *   yield* Console.log(count) // => 1
 * }).pipe(
 *   // Metrics are kept for the whole process, unless it is said where.
 *   Effect.provideService(Metric.MetricRegistry, new Map()),
 *   Effect.provide(Bedrock.layerTest({ converse: [unavailable, BedrockClientTest.answer("It scatters.")] }, {
 *     routes: {
 *       targets: {
 *         ohio: { model: "amazon.nova-lite-v1:0", region: "us-east-2" },
 *         oregon: { model: "amazon.nova-lite-v1:0", region: "us-west-2" }
 *       },
 *       routes: { chat: { policy: { ordered: ["ohio", "oregon"] } } }
 *     }
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Calls that ended: `caprock.route.calls`, by `caprock.route`, `caprock.target`, `caprock.outcome` and `error.type`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const calls: Metric.Counter<number> = Metric.counter("caprock.route.calls", {
  description: "Calls by a route",
  incremental: true
})

/**
 * Calls that another target answered than the one that they were sent to first: `caprock.route.fallbacks`, by `caprock.route` and `caprock.target`. One that
 * found its first target full, and was never sent there, is none.
 *
 * @category metrics
 * @since 0.1.0
 */
export const fallbacks: Metric.Counter<number> = Metric.counter("caprock.route.fallbacks", {
  description: "Calls answered by another target than they were sent to first",
  incremental: true
})

/**
 * Calls for which a second request was sent beside one that took long: `caprock.route.hedges`, by `caprock.route`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const hedges: Metric.Counter<number> = Metric.counter("caprock.route.hedges", {
  description: "Calls with a second request beside a slow one",
  incremental: true
})

/**
 * The upper bounds of the buckets of {@link waited}, in milliseconds: none, what nobody notices, what a person notices, what a person leaves for, and minutes.
 *
 * @category constants
 * @since 0.1.0
 */
export const boundaries: ReadonlyArray<number> = [0, 100, 1_000, 3_000, 10_000, 30_000, 60_000, 300_000]

/**
 * Milliseconds that a call waited to be admitted by any target, or for one to be well again: `caprock.route.waited`, by `caprock.route`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waited: Metric.Histogram<number> = Metric.histogram("caprock.route.waited", {
  description: "What calls by a route waited before they were sent",
  boundaries,
  attributes: { unit: "milliseconds" }
})
