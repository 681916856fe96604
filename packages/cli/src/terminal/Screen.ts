/**
 * Standard error, as people read it: lines that stay, and on a terminal one panel below them that is redrawn in place.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Semaphore from "effect/Semaphore"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

/**
 * Where a command speaks to the one who runs it.
 *
 * @category services
 * @since 0.1.0
 */
export class Screen extends Context.Service<Screen, {
  /** Whether it is a terminal, on which `panel` shows. */
  readonly live: boolean
  /** Characters that fit on a row of the panel. */
  readonly columns: Effect.Effect<number>
  /** Writes text that stays, above the panel. */
  readonly say: (text: string) => Effect.Effect<void>
  /** Replaces the panel; no rows remove it. Rows that are too long are cut. Does nothing where `live` is false. */
  readonly panel: (rows: ReadonlyArray<string>) => Effect.Effect<void>
}>()("@caprock/cli/terminal/Screen") {}

/**
 * A screen on anything that text can be written to. The panel is removed when the scope ends.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly live: boolean
  readonly columns: Effect.Effect<number>
  readonly write: (text: string) => Effect.Effect<void>
}) =>
  Effect.gen(function*() {
    const turn = Semaphore.makeUnsafe(1)
    let shown: ReadonlyArray<string> = []

    const panel = (rows: ReadonlyArray<string>) =>
      Effect.uninterruptible(
        turn.withPermits(1)(Effect.gen(function*() {
          const columns = yield* options.columns
          const next = rows.map((row) => row.length < columns ? row : row.slice(0, Math.max(0, columns - 1)))
          if (next.length === 0 && shown.length === 0) return
          const text = erase(shown.length) + next.map((row) => `${row}\n`).join("")
          shown = next
          yield* options.write(text)
        }))
      )

    const say = (text: string) =>
      Effect.uninterruptible(
        turn.withPermits(1)(
          Effect.suspend(() =>
            options.write(`${erase(shown.length)}${text}\n${shown.map((row) => `${row}\n`).join("")}`)
          )
        )
      )

    if (options.live) yield* Effect.addFinalizer(() => panel([]))
    return Screen.of({
      live: options.live,
      columns: options.columns,
      say,
      panel: options.live ? panel : () => Effect.void
    })
  })

/** Often enough to look alive, seldom enough to cost nothing. */
const panelInterval = "250 millis"
const logInterval = "10 seconds"

/**
 * Shows how something goes, again and again, until it is interrupted: the panel on a terminal, and anywhere else a line now and then, where there is one.
 *
 * @category running
 * @since 0.1.0
 */
export const display = (
  screen: Screen["Service"],
  view: {
    readonly panel: Effect.Effect<ReadonlyArray<string>>
    readonly line: Effect.Effect<string | undefined>
  }
): Effect.Effect<never> =>
  Effect.forever(
    screen.live
      ? Effect.andThen(Effect.flatMap(view.panel, screen.panel), Effect.sleep(panelInterval))
      : Effect.andThen(
        Effect.sleep(logInterval),
        Effect.flatMap(view.line, (line) => line === undefined ? Effect.void : screen.say(line))
      )
  ).pipe(Effect.ensuring(screen.panel([])))

/**
 * Standard error of this process.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Screen, never, Stdio.Stdio> = Layer.effect(
  Screen,
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    const live = yield* stdio.stderrIsTerminal
    return yield* make({
      live,
      columns: Effect.sync(() => process.stderr.columns ?? 80),
      // Whoever closed standard error does not want to read it: no reason to stop.
      write: (text) => Effect.ignore(Stream.run(Stream.make(text), stdio.stderr({ endOnDone: false })))
    })
  })
)

/**
 * A logger that writes above the panel.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLogger: Layer.Layer<never, never, Screen> = Layer.unwrap(Effect.gen(function*() {
  const screen = yield* Screen
  const run = Effect.runForkWith(yield* Effect.context<never>())
  return Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void run(screen.say(line)))])
}))

const erase = (rows: number): string => rows === 0 ? "" : `\r\u001b[${rows}A\u001b[0J`
