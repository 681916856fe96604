/**
 * One round of the demo: a fresh emulator, and a burst that is sent to it at once.
 *
 * @since 0.1.0
 */
import type { ConverseCommandInput } from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import type { EmulatorError } from "@caprock/emulator/EmulatorError"
import type * as Options from "@caprock/emulator/Options"
import type * as Stats from "@caprock/emulator/Stats"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * Who sends, by the address of the server.
 *
 * @category models
 * @since 0.1.0
 */
export type Contestant = (
  endpoint: string
) => Effect.Effect<
  (input: ConverseCommandInput) => Effect.Effect<unknown, { readonly name: string }>,
  never,
  Scope.Scope
>

/**
 * How far a round is: the client's count of its calls, and the server's of everything.
 *
 * @category models
 * @since 0.1.0
 */
export interface Progress {
  readonly prompts: number
  readonly answered: number
  /** By name of the error. */
  readonly failures: Readonly<Record<string, number>>
  readonly elapsedMillis: number
  readonly stats: Stats.Stats
}

/**
 * A round that is over.
 *
 * @category models
 * @since 0.1.0
 */
export interface Result extends Progress {
  /** Each request that the server got. */
  readonly log: ReadonlyArray<Stats.RequestRecord>
}

/**
 * Sends every prompt at once and waits for all of them, at most `limit`: what is not answered by then is lost. `show` is
 * called four times a second.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (options: {
  readonly server: Options.Options
  readonly prompts: ReadonlyArray<ConverseCommandInput>
  readonly contestant: Contestant
  readonly limit: Duration.Input
  readonly show: (progress: Progress) => Effect.Effect<void>
}): Effect.Effect<Result, EmulatorError> =>
  Effect.scoped(Effect.gen(function*() {
    const emulator = yield* Emulator.make(options.server)
    const send = yield* options.contestant(emulator.url)
    const failures: Record<string, number> = {}
    let answered = 0
    const ask = (input: ConverseCommandInput) =>
      Effect.match(send(input), {
        onSuccess: () => {
          answered += 1
        },
        onFailure: ({ name }) => {
          failures[name] = (failures[name] ?? 0) + 1
        }
      })
    const started = yield* Clock.currentTimeMillis
    const progress = Effect.gen(function*() {
      const elapsedMillis = (yield* Clock.currentTimeMillis) - started
      const stats = yield* emulator.stats
      return { prompts: options.prompts.length, answered, failures: { ...failures }, elapsedMillis, stats }
    })
    const showing = yield* Effect.forkChild(
      Effect.forever(Effect.andThen(Effect.flatMap(progress, options.show), Effect.sleep("250 millis")))
    )
    yield* Effect.forEach(options.prompts, ask, { concurrency: "unbounded", discard: true }).pipe(
      Effect.timeoutOption(options.limit)
    )
    const end = yield* progress
    yield* Effect.sync(() => showing.interruptUnsafe())
    return { ...end, log: yield* emulator.log }
  }))
