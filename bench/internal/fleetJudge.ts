/** The emulator that judges the fleet, in a process of its own. */
import * as Emulator from "@caprock/emulator/Emulator"
import type * as Options from "@caprock/emulator/Options"
import type * as Stats from "@caprock/emulator/Stats"
import * as Effect from "effect/Effect"
import { now } from "./fleetTraffic.ts"

export interface Verdict {
  readonly stats: Stats.Stats
  readonly log: ReadonlyArray<Stats.RequestRecord>
  /** When it began, on the clock of all. */
  readonly origin: number
}

const answer = (message: object): Promise<unknown> =>
  new Promise((resolve) => {
    process.once("message", resolve)
    process.send?.(message)
  })

const judge = (options: Options.Options) =>
  Effect.scoped(Effect.gen(function*() {
    const origin = now()
    const emulator = yield* Emulator.make(options)
    yield* Effect.promise(() => answer({ url: emulator.url }))
    const verdict = yield* Effect.all({ stats: emulator.stats, log: emulator.log })
    yield* Effect.promise(() => answer({ ...verdict, origin }))
  }))

process.once("message", (options: Options.Options) => void Effect.runPromise(judge(options)))
process.once("disconnect", () => process.exit(0))
