/**
 * How a command ends when it can't go on.
 *
 * @since 0.1.0
 */
import * as CliError from "effect/cli/CliError"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { ExitCode } from "../ExitCode.ts"

/**
 * A command could not start, or had to stop: what is wrong, and what to do about it. It is printed as it stands, and
 * ends the process with `ExitCode.setup`.
 *
 * @category errors
 * @since 0.1.0
 */
export class CliFailure extends Schema.TaggedError<CliFailure>()("CliFailure", {
  problem: Schema.String,
  remedy: Schema.String
}) {
  /** @since 0.1.0 */
  override get message(): string {
    return `${this.problem}\n${this.remedy}`
  }

  /** @since 0.1.0 */
  override get [CliError.userMessage](): string {
    // Effect's CLI indents the first row.
    return `${this.problem}\n  ${this.remedy}`
  }

  /** @since 0.1.0 */
  override readonly [Runtime.errorExitCode] = ExitCode.setup
}

/**
 * Ends the process with a code and nothing more to say: everything was said before.
 *
 * @category errors
 * @since 0.1.0
 */
export class Quiet extends Schema.TaggedError<Quiet>()("Quiet", { code: Schema.Int }) {
  /** @since 0.1.0 */
  override readonly [Runtime.errorExitCode] = this.code
  /** @since 0.1.0 */
  override readonly [Runtime.errorReported] = false
}
