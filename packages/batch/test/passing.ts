import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/**
 * Lets virtual time pass while something works whose requests are real. It passes a hundred times as fast, and no faster: else what is given up after a
 * minute would be given up before a busy machine has answered.
 */
export const passing = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("100 millis")
      yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1)))
    }
    return yield* Fiber.join(fiber)
  })
