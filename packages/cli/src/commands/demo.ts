/**
 * `caprock demo`: the same burst twice, through the plain AWS SDK and through Caprock.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { CliFailure, Quiet } from "../CliFailure.ts"
import * as Layered from "../demo/Layered.ts"
import * as PlainSdk from "../demo/PlainSdk.ts"
import * as Round from "../demo/Round.ts"
import * as View from "../demo/View.ts"
import * as Workload from "../demo/Workload.ts"
import { ExitCode } from "../ExitCode.ts"
import { Screen } from "../Screen.ts"

const quota: View.Quota = { ...Workload.quota, windowMillis: Workload.windowMillis }

const contestants = [
  { name: "AWS SDK at its defaults", contestant: PlainSdk.make },
  { name: "Caprock at its defaults", contestant: Layered.make }
] as const

/** On a terminal a panel; else a line every five seconds. */
const showing = (screen: Screen["Service"], name: string) => {
  let next = 0
  return (progress: Round.Progress): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (screen.live) return screen.panel(View.panel(name, progress))
      if (progress.elapsedMillis < next) return Effect.void
      next += 5000
      return screen.say(View.line(name, progress))
    })
}

/**
 * @category commands
 * @since 0.1.0
 */
export const demo = Command.make(
  "demo",
  {},
  Effect.fnUntraced(
    function*() {
      const screen = yield* Screen
      const prompts = yield* Workload.prompts(Workload.size)
      yield* screen.say(`${View.opening(Workload.size, quota)}\n`)
      const rounds = yield* Effect.forEach(contestants, ({ contestant, name }) =>
        Round.run({
          server: Workload.server,
          prompts,
          contestant,
          // Twice what it should take: a machine that is too slow for this must still come to an end.
          limit: "70 seconds",
          show: showing(screen, name)
        }).pipe(
          Effect.tap((result) => Effect.andThen(screen.panel([]), screen.say(View.line(name, result)))),
          Effect.map((result) => ({ name, result }))
        )).pipe(
          Effect.mapError((error) =>
            new CliFailure({ problem: error.message, remedy: "Is it allowed to listen on 127.0.0.1?" })
          )
        )
      const least = rounds.map(({ result }) => View.leastMillis(result, quota)).find((millis) => millis !== undefined)
      const columns = rounds.map(({ name, result }) => ({ name, figures: View.figures(result, quota, least) }))
      yield* Console.log(`\n${View.table(columns)}\n\n${View.closing(rounds, least, quota)}`)
      if ((columns.at(-1)?.figures.lost ?? 0) > 0) return yield* new Quiet({ code: ExitCode.partial })
    },
    Effect.scoped,
    Effect.provide(Screen.layer)
  )
).pipe(
  Command.withDescription("Sends one burst twice to an emulated Bedrock: with the plain AWS SDK, and with Caprock"),
  Command.withExamples([{ command: "caprock demo", description: "About a minute; needs no AWS account" }])
)
