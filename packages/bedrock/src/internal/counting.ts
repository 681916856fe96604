// How often calls were sent, by pool and outcome; and what became of those by routes.
import { BedrockError } from "@caprock/errors/BedrockError"
import type { Account } from "@caprock/router/Account"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as CallMetrics from "../CallMetrics.ts"
import * as RouteMetrics from "../RouteMetrics.ts"
import type { Tally } from "./attempt.ts"

// As many as the pools that a `RetryBudget` keeps.
const mostSeries = 1_000

/** The series of one metric, each made when it is needed first. Those beyond the most are counted in one. */
class Series<Input> {
  readonly #make: (attributes: Attributes) => Metric.Metric<Input, unknown>
  readonly #series = new Map<string, Metric.Metric<Input, unknown>>()
  readonly #others: Metric.Metric<Input, unknown>

  constructor(make: (attributes: Attributes) => Metric.Metric<Input, unknown>) {
    this.#make = make
    this.#others = make({ "otel.metric.overflow": "true" })
  }

  of(key: string, attributes: () => Attributes): Metric.Metric<Input, unknown> {
    const known = this.#series.get(key)
    if (known !== undefined) return known
    if (this.#series.size >= mostSeries) return this.#others
    const series = this.#make(attributes())
    this.#series.set(key, series)
    return series
  }
}

type Attributes = Readonly<Record<string, string>>

/** The counts of one layer. What was counted is where its callers keep their metrics. */
export class Counters {
  /** Of their own rather than `Metric.withAttributes`, which makes the text of all attributes anew where series take turns. */
  readonly #attempts = new Series<number>((attributes) =>
    Metric.histogram(CallMetrics.attempts.id, {
      description: CallMetrics.attempts.description,
      boundaries: CallMetrics.boundaries,
      attributes
    })
  )

  /** `context` is that of the caller. */
  count(
    pool: string,
    { gaveUp, sent }: Pick<Tally, "gaveUp" | "sent">,
    exit: Exit.Exit<unknown, unknown>,
    context: Context.Context<never>
  ): void {
    const error = exit._tag === "Success" ? undefined : typeOf(exit.cause)
    const key = error === undefined ? pool : `${error} ${gaveUp} ${pool}`
    this.#attempts.of(key, () => ({
      "caprock.pool": pool,
      ...(error === undefined ? {} : { "error.type": error }),
      ...(error === undefined || gaveUp === undefined ? {} : { "caprock.gave_up": gaveUp })
    })).updateUnsafe(sent, context)
  }
}

/** The counts of the routes of one layer. */
export class RouteCounters {
  readonly #calls = counterOf(RouteMetrics.calls)
  readonly #fallbacks = counterOf(RouteMetrics.fallbacks)
  readonly #hedges = counterOf(RouteMetrics.hedges)
  readonly #waited = new Series<number>((attributes) =>
    Metric.histogram(RouteMetrics.waited.id, {
      description: RouteMetrics.waited.description,
      boundaries: RouteMetrics.boundaries,
      attributes: { unit: "milliseconds", ...attributes }
    })
  )

  /** `account`: there is none of a call that was interrupted before it was known whose it is. */
  count(
    route: string,
    account: Account | undefined,
    waitedMillis: number,
    exit: Exit.Exit<unknown, unknown>,
    context: Context.Context<never>
  ): void {
    const ofRoute = { "caprock.route": route }
    const target = account?.target
    const ofTarget = target === undefined ? ofRoute : { ...ofRoute, "caprock.target": target }
    const error = exit._tag === "Success" ? undefined : typeOf(exit.cause)
    const outcome = error !== undefined
      ? "failed"
      : account?.lastResort === true
      ? "last-resort"
      : account?.rejected === true
      ? "rejected"
      : "answered"
    this.#calls.of(`${outcome} ${error} ${target} ${route}`, () => ({
      ...ofTarget,
      "caprock.outcome": outcome,
      ...(error === undefined ? {} : { "error.type": error })
    })).updateUnsafe(1, context)
    this.#waited.of(route, () => ofRoute).updateUnsafe(waitedMillis, context)
    const [first] = account?.trials ?? []
    if (target !== undefined && first !== undefined && first.target !== target) {
      this.#fallbacks.of(`${target} ${route}`, () => ofTarget).updateUnsafe(1, context)
    }
    if (account?.hedged === true) this.#hedges.of(route, () => ofRoute).updateUnsafe(1, context)
  }
}

const counterOf = ({ description, id }: Metric.Counter<number>) =>
  new Series<number>((attributes) => Metric.counter(id, { description, incremental: true, attributes }))

// A stream ends with its consumer, who may fail with anything.
const typeOf = (cause: Cause.Cause<unknown>): string => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  if (error instanceof BedrockError) return error.reason._tag
  return Cause.hasInterruptsOnly(cause) ? "interrupted" : "_OTHER"
}
