/**
 * The root command. Each subcommand is one module in `commands/`, and is added in `bin.ts`.
 *
 * @since 0.1.0
 */
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import type * as Layer from "effect/Layer"

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
export const version = "0.0.0"

/**
 * How the program speaks: a wrong invocation gets its error and where help is, on standard error, instead of the whole
 * help on standard output, which may be a file of results.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
        [
          ...event.errors.map((error) => error.message),
          `Try \`${event.commandPath.join(" ")} --help\`.`
        ].join("\n")
      )
      : CliOutput.defaultPresenter.present(event)
})
