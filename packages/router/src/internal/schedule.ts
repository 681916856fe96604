// The one schedule of a call, over all of its targets. Most calls never ask it: it is begun by the first failure.
import * as Backoff from "@caprock/backoff/Backoff"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Call } from "./call.ts"

/** Of the shape of an error that is worth another try anywhere. */
export const worthAnother: Backoff.Retryable = { retryable: true, retryableElsewhere: true }

/** @internal */
export class Schedule {
  private readonly options: Backoff.Options
  private readonly call: Pick<Call<never, never, never>, "deadline" | "now">
  private tries: Backoff.Tries | undefined
  /** Requests that were sent, and holds, before the first failure. */
  private before = 0

  constructor(options: Backoff.Options, call: Pick<Call<never, never, never>, "deadline" | "now">) {
    this.options = options
    this.call = call
  }

  counts(): void {
    if (this.tries === undefined) this.before++
    else this.tries.sent()
  }

  next(error: Backoff.Retryable, how: "here" | "elsewhere"): Effect.Effect<Duration.Duration | undefined> {
    const { call, options, tries } = this
    if (tries !== undefined) return tries.next(error, how)
    const deadline = Math.max(0, call.deadline - call.now())
    return Effect.flatMap(Backoff.begin({ ...options, deadline }), (tries) => {
      this.tries = tries
      for (let sent = 0; sent < this.before; sent++) tries.sent()
      return tries.next(error, how)
    })
  }
}
