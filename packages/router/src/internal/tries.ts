// STAND-IN for Backoff.begin
import * as Backoff from "@caprock/backoff/Backoff"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

export interface Tries {
  readonly next: (error: Backoff.Retryable, how: "here" | "elsewhere") => Effect.Effect<Duration.Duration | undefined>
  readonly sent: () => void
}

export const begin = (options: Backoff.Options & { readonly deadline?: number | undefined }): Effect.Effect<Tries> =>
  Effect.map(Clock.Clock, (clock): Tries => {
    const attempts = options.attempts ?? Backoff.defaults.attempts
    let sent = 0
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    return {
      sent: () => void sent++,
      next: (error, how) =>
        Effect.map(Random.next, (random) => {
          if (sent >= attempts) return undefined
          if (how === "elsewhere") return now() >= (options.deadline ?? Infinity) ? undefined : Duration.zero
          const d = Math.min(20_000, 1000 * 2 ** (sent - 1))
          const wait = Math.ceil(
            Math.max(d / 2 + random * d / 2, error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter))
          )
          return now() + wait >= (options.deadline ?? Infinity) ? undefined : Duration.millis(wait)
        })
    }
  })
