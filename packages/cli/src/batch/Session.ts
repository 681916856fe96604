/**
 * A command at work on a batch: in view of who runs it, until it is done, or they have seen enough.
 *
 * @since 0.1.0
 */
import type { BatchError } from "@caprock/batch/BatchError"
import type { Status } from "@caprock/batch/BatchJournal"
import * as BatchOffload from "@caprock/batch/BatchOffload"
import type * as BatchPlan from "@caprock/batch/BatchPlan"
import * as CallEvents from "@caprock/bedrock/CallEvents"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import { ExitCode } from "../ExitCode.ts"
import type * as Input from "../run/Input.ts"
import * as Signals from "../Signals.ts"
import { type CliFailure, Quiet } from "../terminal/CliFailure.ts"
import * as Screen from "../terminal/Screen.ts"
import * as Failure from "./Failure.ts"
import * as Place from "./Place.ts"
import * as Progress from "./Progress.ts"
import * as Told from "./Told.ts"

/**
 * - `level`: from which on it is told what is logged. What stops a command is told in any case, and so each failed try of it need not be.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Access extends Place.Driving {
  readonly place: Place.Place
  readonly level?: "Error" | "Warn"
}

type Use<A, R> = (
  offload: BatchOffload.BatchOffload["Service"]
) => Effect.Effect<A, BatchError | CliFailure | Quiet, R>

/**
 * Runs with the batches of the bucket, and says of what stops it what to do.
 *
 * @category running
 * @since 0.1.0
 */
export const offloaded = <A, R>({ level = "Error", place, ...driving }: Access, use: Use<A, R>) =>
  Effect.flatMap(BatchOffload.BatchOffload, use).pipe(
    Effect.provide(Place.layerOffload(place, driving)),
    Effect.catchTag("BatchError", (error: BatchError) => Effect.fail(Failure.of(error, place))),
    Effect.provideServiceEffect(
      References.MinimumLogLevel,
      Effect.map(GlobalFlag.LogLevel, Option.getOrElse(() => level))
    )
  )

/**
 * - `input`: of who uploads.
 * - `stopped`: what to say to who stops it.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options extends Access {
  readonly name: string
  readonly prices: BatchPlan.Prices | undefined
  readonly input?: Input.Input | undefined
  readonly stopped: string
}

/** How often jobs are looked at, unless it is said otherwise. */
const often = BatchOffload.defaults.poll.min

/**
 * The same, with all that is known on the screen while it goes; and at the end how the batch stands, which decides the exit code. The first Ctrl-C ends it
 * as it stands, and says how to go on.
 *
 * @category running
 * @since 0.1.0
 */
export const shown = <R>(
  options: Options,
  use: (
    offload: BatchOffload.BatchOffload["Service"],
    progress: Progress.Progress
  ) => Effect.Effect<Status, BatchError | CliFailure | Quiet, R>
) =>
  Effect.gen(function*() {
    const screen = yield* Screen.Screen
    const status = yield* offloaded({ ...options, level: "Warn" }, (offload) =>
      Effect.gen(function*() {
        const progress = yield* Progress.make({
          name: options.name,
          input: options.input,
          prices: options.prices,
          every: options.every ?? often
        })
        yield* Effect.forkScoped(progress.display)
        return yield* untilSignal(
          Effect.provideService(use(offload, progress), CallEvents.CallEvents, progress.call),
          options.stopped,
          progress.stopping
        )
      }).pipe(Effect.scoped))
    yield* screen.say(Told.lines(status, Place.command(options.place)).join("\n"))
    if (status.state === "failed") return yield* new Quiet({ code: ExitCode.setup })
    if (Told.isPartial(status)) return yield* new Quiet({ code: ExitCode.partial })
  }).pipe(onScreen)

/**
 * Ends at the first Ctrl-C, with what to say then, and the exit code of that signal.
 *
 * @category running
 * @since 0.1.0
 */
export const untilSignal = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  stopped: string,
  onSignal: () => void = () => {}
) =>
  Effect.gen(function*() {
    const signals = yield* Signals.Signals
    const first = yield* signals.takeFirst
    const outcome = yield* Effect.raceFirst(
      Effect.map(effect, Result.succeed),
      Effect.map(first, (signal) => {
        onSignal()
        return Result.fail(signal)
      })
    )
    if (Result.isSuccess(outcome)) return outcome.success
    const screen = yield* Screen.Screen
    yield* screen.say(`Stopped by ${outcome.failure}. ${stopped}`)
    return yield* new Quiet({ code: Signals.exitCode[outcome.failure] })
  }).pipe(Effect.scoped)

/**
 * With a screen, above whose panel warnings stay.
 *
 * @category running
 * @since 0.1.0
 */
export const onScreen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(Screen.layerLogger), Effect.scoped, Effect.provide(Screen.layer))
