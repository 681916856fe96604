/**
 * The root command. Each subcommand is one module in `commands/`, and is added in `bin.ts`.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"

/**
 * `caprock`, which prints its help.
 *
 * @category commands
 * @since 0.1.0
 */
export const root = Command.make("caprock").pipe(
  Command.withDescription("Drives prompts through Amazon Bedrock at exactly the speed of your quota.")
)

/**
 * What `caprock --version` prints.
 *
 * @category constants
 * @since 0.1.0
 */
export const version = "0.1.0"
