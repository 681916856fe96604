import { Backoff } from "@caprock/backoff"
import { Clock, Duration, Effect, Fiber, Logger, Random, References } from "effect"
import { TestClock } from "effect/testing"

export const failure = (retryAfter?: Duration.Input, retryable = true): Backoff.Retryable => ({
  retryable,
  retryableElsewhere: true,
  retryAfter: retryAfter === undefined ? undefined : Duration.fromInputUnsafe(retryAfter)
})

export interface Run {
  /** The waits between the requests, in milliseconds. */
  readonly waits: ReadonlyArray<number>
  readonly requests: number
  readonly error: Backoff.Retryable
  /** The annotations of the warnings that were logged. */
  readonly warnings: ReadonlyArray<Readonly<Record<string, unknown>>>
}

/** Runs an effect that fails each time with the next of the errors (the last for ever), through years of virtual time. */
export const run = (
  options: Backoff.RetryOptions | undefined,
  errors: readonly [Backoff.Retryable, ...ReadonlyArray<Backoff.Retryable>],
  seed = "caprock"
): Effect.Effect<Run> =>
  Effect.gen(function*() {
    const starts: Array<number> = []
    const warnings: Array<Readonly<Record<string, unknown>>> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      if (logLevel === "Warn") warnings.push({ message, ...fiber.getRef(References.CurrentLogAnnotations) })
    })
    const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const error = errors[Math.min(starts.length, errors.length - 1)] ?? errors[0]
      starts.push(now)
      return Effect.fail(error)
    })
    const fiber = yield* call.pipe(
      Backoff.retry(options),
      Effect.flip,
      Random.withSeed(seed),
      Effect.provide(Logger.layer([logger])),
      Effect.forkChild
    )
    yield* TestClock.adjust("3650 days")
    const error = yield* Fiber.join(fiber)
    return {
      waits: starts.slice(1).map((start, index) => start - (starts[index] ?? 0)),
      requests: starts.length,
      error,
      warnings
    }
  })
