/**
 * An S3 that somebody else wrote, and that keeps conditions by itself: moto's server, where it is installed. Where it is not, fauxqs
 * behind the door of `s3Server` is what the tests stand on.
 */
import { Effect, type Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { createServer } from "node:net"
import { setTimeout } from "node:timers/promises"

const works = (command: string, args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(command, args, { stdio: "ignore", timeout: 60_000 })
    return true
  } catch {
    return false
  }
}

/** Whether there is one to be had. */
export const installed = works("moto_server", ["--help"])

/** Ends with whoever started it, however that ends, where the system knows how. */
const leash = installed && works("setpriv", ["--version"]) ? ["setpriv", "--pdeathsig", "KILL"] : []

const freePort = Effect.promise(() =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
)

/** Its URL. */
export const start: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const port = yield* freePort
  const [command = "moto_server", ...args] = [...leash, "moto_server", "-H", "127.0.0.1", "-p", String(port)]
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { stdio: "ignore" })),
    (child) =>
      Effect.promise(() =>
        new Promise<void>((resolve) => {
          child.once("close", () => resolve())
          child.kill("SIGKILL")
        })
      )
  )
  const url = `http://127.0.0.1:${port}`
  // It takes seconds, and the clock of a test may stand still.
  yield* Effect.promise(async () => {
    for (let tries = 0; tries < 600; tries++) {
      if (await fetch(`${url}/moto-api/`).then(() => true, () => false)) return
      await setTimeout(100)
    }
    throw new Error("moto did not start")
  })
  return url
})
