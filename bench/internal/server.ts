/** The parent's side of the emulator's process. */
import type * as Stats from "@caprock/emulator/Stats"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Start } from "./emulatorProcess.ts"

interface Seen {
  readonly stats: Stats.Stats
  readonly log: ReadonlyArray<Stats.RequestRecord>
}

export interface Server {
  readonly url: string
  readonly seen: Effect.Effect<Seen>
}

const answer = <A>(child: ChildProcess, question: unknown): Effect.Effect<A> =>
  Effect.promise(async () => {
    const reply = once(child, "message")
    child.send(question as object)
    const [value] = await reply
    return value as A
  })

/** Starts an emulator; it ends with the scope. */
export const start = (options: Start): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(fileURLToPath(new URL("./emulatorProcess.ts", import.meta.url)), { stdio: "inherit" })),
      (child) => Effect.sync(() => child.disconnect())
    )
    const url = yield* answer<string>(child, options)
    return { url, seen: answer<Seen>(child, "seen") }
  })
