/** Processes that run a batch, each of its own. */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Order } from "./driveProcess.ts"

const program = fileURLToPath(new URL("driveProcess.ts", import.meta.url))

export interface Driver {
  /** Lets it begin. */
  readonly go: () => void
  readonly kill: () => void
  /** What it said last when it ended; nothing where it was killed before. */
  readonly ended: Effect.Effect<string>
}

/** One that is ready to begin. Ends with the scope, if not before. */
export const start = (order: Order): Effect.Effect<Driver, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [program, JSON.stringify(order)], { stdio: "pipe" })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let said = ""
    let complained = ""
    child.stderr.on("data", (bytes: Buffer) => complained += bytes.toString())
    // It may be killed before it is told to begin.
    child.stdin.on("error", () => {})
    const closed = new Promise<number | null>((resolve) => child.once("close", resolve))
    const ready = new Promise<void>((resolve) =>
      child.stdout.on("data", (bytes: Buffer) => {
        said += bytes.toString()
        resolve()
      })
    )
    yield* Effect.promise(() => Promise.race([ready, closed]))
    return {
      go: () => void child.stdin.write("go\n"),
      kill: () => void child.kill("SIGKILL"),
      ended: Effect.promise(async () => {
        const code = await closed
        if (code !== 0 && code !== null) throw new Error(`a process ended with ${code}: ${said}${complained}`)
        return code === null ? "" : said.trim().split("\n").at(-1) ?? ""
      })
    }
  })
