/**
 * What the exit code of `caprock` says.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"

/**
 * The exit codes of every command.
 *
 * @category constants
 * @since 0.1.0
 */
export const ExitCode = {
  /** Everything that was asked for is done. */
  done: 0,
  /** Finished, but something in it failed: with `run`, some lines ended in an error. */
  partial: 1,
  /** Could not start, or had to stop: wrong usage, no access, an output that can't be written. */
  setup: 2
} as const

/**
 * An error of the command line's own (unknown flag, missing value) counts as wrong usage; every other error says its
 * code itself through `Runtime.errorExitCode`.
 *
 * @category running
 * @since 0.1.0
 */
export const teardown: Runtime.Teardown = (exit, onExit) => {
  if (Exit.isSuccess(exit)) return onExit(ExitCode.done)
  if (Cause.hasInterruptsOnly(exit.cause)) return onExit(130)
  const error = Cause.squash(exit.cause)
  if (typeof error === "object" && error !== null && "_tag" in error && error._tag === "ShowHelp") {
    return onExit("errors" in error && Array.isArray(error.errors) && error.errors.length > 0 ? ExitCode.setup : 0)
  }
  return onExit(Runtime.getErrorExitCode(error))
}
