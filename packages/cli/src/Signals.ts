/**
 * What SIGINT and SIGTERM do: unless a command asks for the first one, a signal interrupts the program; a second one
 * always does, and a third one ends the process without waiting for anything.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"

/**
 * The signals that ask a program to end.
 *
 * @category models
 * @since 0.1.0
 */
export type Signal = "SIGINT" | "SIGTERM"

/**
 * The exit code a shell gives a process that died of the signal: 128 and the signal's number.
 *
 * @category constants
 * @since 0.1.0
 */
export const exitCode: Readonly<Record<Signal, number>> = { SIGINT: 130, SIGTERM: 143 }

/**
 * Lets a command take the first signal for itself, to finish what it has begun.
 *
 * @category services
 * @since 0.1.0
 */
export class Signals extends Context.Service<Signals, {
  /**
   * While the scope is open, the first signal completes the inner effect and interrupts nothing. The second one
   * interrupts the program as usual.
   */
  readonly takeFirst: Effect.Effect<Effect.Effect<Signal>, never, Scope.Scope>
}>()("@caprock/cli/Signals") {
  /**
   * Signals that a test sends by hand.
   *
   * @since 0.1.0
   */
  static readonly never = Signals.of({ takeFirst: Effect.succeed(Effect.never) })
}

/**
 * Runs a program as the process: signals as described above, and an exit code from `exitCodeOf`.
 *
 * @category running
 * @since 0.1.0
 */
export const runMain = <A, E>(effect: Effect.Effect<A, E, Signals>, teardown: Runtime.Teardown): void => {
  let taker: ((signal: Signal) => void) | undefined
  let received: Signal | undefined
  let main: Fiber.Fiber<unknown, unknown> | undefined
  let interrupted = false

  const onSignal = (signal: Signal) => {
    received ??= signal
    if (taker !== undefined) {
      const take = taker
      taker = undefined
      return take(signal)
    }
    // The program was told already and is still here: whoever asks again means now.
    if (interrupted) process.exit(exitCode[signal])
    interrupted = true
    main?.interruptUnsafe(main.id)
  }

  const signals = Signals.of({
    takeFirst: Effect.acquireRelease(
      Effect.sync(() => {
        const first = Deferred.makeUnsafe<Signal>()
        taker = (signal) => Deferred.doneUnsafe(first, Effect.succeed(signal))
        return Deferred.await(first)
      }),
      () =>
        Effect.sync(() => {
          taker = undefined
        })
    )
  })

  const onInterrupt = () => onSignal("SIGINT")
  const onTerminate = () => onSignal("SIGTERM")

  Runtime.makeRunMain(({ fiber, teardown }) => {
    main = fiber
    fiber.addObserver((exit) => {
      process.removeListener("SIGINT", onInterrupt)
      process.removeListener("SIGTERM", onTerminate)
      teardown(exit, (code) => {
        // Without a reason to end now, the process ends when nothing is left to do.
        if (received === undefined && code === 0) return
        process.exit(interrupted && received !== undefined ? exitCode[received] : code)
      })
    })
    process.on("SIGINT", onInterrupt)
    process.on("SIGTERM", onTerminate)
  })(Effect.provideService(effect, Signals, signals), { teardown })
}
