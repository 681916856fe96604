/**
 * The whole demo: a round for each contestant, and what they come to.
 *
 * @since 0.1.0
 */
import type { ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import type * as Options from "@caprock/emulator/Options"
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ExitCode } from "../ExitCode.ts"
import { CliFailure, Quiet } from "../terminal/CliFailure.ts"
import { Screen } from "../terminal/Screen.ts"
import * as Round from "./Round.ts"
import * as View from "./View.ts"

/**
 * What is to be run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Contest {
  readonly server: Options.Options
  readonly quota: View.Quota
  readonly prompts: ReadonlyArray<ConverseCommandInput>
  /** In order; the last is the one that may lose nothing. */
  readonly contestants: ReadonlyArray<{ readonly name: string; readonly contestant: Round.Contestant }>
  /** Longest time of a round. */
  readonly limit: Duration.Input
}

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
 * Runs the rounds one after the other and prints the table. Fails with `Quiet`, code 1, when the last contestant left a prompt
 * unanswered.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (contest: Contest): Effect.Effect<void, CliFailure | Quiet, Screen> =>
  Effect.gen(function*() {
    const { contestants, limit, prompts, quota, server } = contest
    const screen = yield* Screen
    yield* screen.say(`${View.opening(prompts.length, quota)}\n`)
    const rounds = yield* Effect.forEach(contestants, ({ contestant, name }) =>
      Round.run({ server, prompts, contestant, limit, show: showing(screen, name) }).pipe(
        Effect.tap((result) =>
          Effect.andThen(screen.panel([]), screen.say(View.line(name, result)))
        ),
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
  })
