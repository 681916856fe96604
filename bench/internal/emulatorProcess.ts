/** The emulator in a process of its own, so that it and the client that it judges do not share an event loop. */
import * as Emulator from "@caprock/emulator/Emulator"
import type * as Options from "@caprock/emulator/Options"
import * as Effect from "effect/Effect"
import * as Workload from "./workload.ts"

export interface Start {
  readonly spec: Workload.Spec
  readonly options: Omit<Options.Options, "output">
}

process.once("message", (start: Start) => {
  const output = Workload.outputOf(Workload.make(start.spec).prompts)
  Effect.runFork(Effect.scoped(Effect.gen(function*() {
    const emulator = yield* Emulator.make({
      ...start.options,
      log: start.spec.requests * 8,
      output: ({ prompt }) => ({ outputTokens: output(prompt) ?? 1 })
    })
    yield* Effect.sync(() => process.send?.(emulator.url))
    // Every further message asks what was seen.
    return yield* Effect.forever(Effect.gen(function*() {
      yield* Effect.callback<void>((resume) => {
        process.once("message", () => resume(Effect.void))
      })
      const seen = yield* Effect.all({ stats: emulator.stats, log: emulator.log })
      yield* Effect.sync(() => process.send?.(seen))
    }))
  })))
})
process.once("disconnect", () => process.exit(0))
