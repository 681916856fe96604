/**
 * `caprock demo`: the same burst twice, through the plain AWS SDK and through Caprock.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Contest from "../demo/Contest.ts"
import * as Layered from "../demo/Layered.ts"
import * as PlainSdk from "../demo/PlainSdk.ts"
import * as Workload from "../demo/Workload.ts"
import * as Screen from "../terminal/Screen.ts"

/**
 * @category commands
 * @since 0.1.0
 */
export const demo = Command.make(
  "demo",
  {},
  Effect.fnUntraced(
    function*() {
      yield* Contest.run({
        server: Workload.server,
        quota: { ...Workload.quota, windowMillis: Workload.windowMillis },
        prompts: yield* Workload.prompts(Workload.size),
        contestants: [
          { name: "AWS SDK at its defaults", contestant: PlainSdk.make },
          { name: "Caprock at its defaults", contestant: Layered.make }
        ],
        // Twice what it should take: a machine that is too slow for this must still come to an end.
        limit: "70 seconds"
      })
    },
    Effect.scoped,
    Effect.provide(Screen.layer)
  )
).pipe(
  Command.withDescription("Sends one burst twice to an emulated Bedrock: with the plain AWS SDK, and with Caprock"),
  Command.withExamples([{ command: "caprock demo", description: "About a minute; needs no AWS account" }])
)
