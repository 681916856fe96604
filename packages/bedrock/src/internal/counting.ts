// How often calls were sent, by pool and outcome.
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as CallMetrics from "../CallMetrics.ts"
import type { Tally } from "./attempt.ts"

// As many as the pools that a `RetryBudget` keeps.
const mostSeries = 1_000

/** The counts of one layer. What was counted is where its callers keep their metrics. */
export class Counters {
  readonly #series = new Map<string, Metric.Histogram<number>>()
  readonly #others = seriesOf({ "otel.metric.overflow": "true" })

  /** `context` is that of the caller. */
  count(
    pool: string,
    { gaveUp, sent }: Pick<Tally, "gaveUp" | "sent">,
    exit: Exit.Exit<unknown, unknown>,
    context: Context.Context<never>
  ): void {
    const error = exit._tag === "Success" ? undefined : typeOf(exit.cause)
    this.#of(pool, error, gaveUp).updateUnsafe(sent, context)
  }

  #of(pool: string, error: string | undefined, gaveUp: Tally["gaveUp"]): Metric.Histogram<number> {
    const key = error === undefined ? pool : `${error} ${gaveUp} ${pool}`
    const known = this.#series.get(key)
    if (known !== undefined) return known
    if (this.#series.size >= mostSeries) return this.#others
    const series = seriesOf({
      "caprock.pool": pool,
      ...(error === undefined ? {} : { "error.type": error }),
      ...(error === undefined || gaveUp === undefined ? {} : { "caprock.gave_up": gaveUp })
    })
    this.#series.set(key, series)
    return series
  }
}

/** One of its own rather than `Metric.withAttributes`, which makes the text of all attributes anew where series take turns. */
const seriesOf = (attributes: Readonly<Record<string, string>>): Metric.Histogram<number> =>
  Metric.histogram(CallMetrics.attempts.id, {
    description: CallMetrics.attempts.description,
    boundaries: CallMetrics.boundaries,
    attributes
  })

// A stream ends with its consumer, who may fail with anything.
const typeOf = (cause: Cause.Cause<unknown>): string => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  if (error instanceof BedrockError) return error.reason._tag
  return Cause.hasInterruptsOnly(cause) ? "interrupted" : "_OTHER"
}
