/**
 * `caprock run`: drives a file of prompts through Bedrock at the quota's speed.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

/**
 * @category commands
 * @since 0.1.0
 */
export const run = Command.make(
  "run",
  {},
  Effect.fnUntraced(function*() {
    yield* Console.error("caprock run: under construction")
  })
).pipe(Command.withDescription("Drives a file of prompts through Bedrock at the quota's speed"))
