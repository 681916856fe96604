/**
 * Real servers for tests: Redis, Valkey, and a cluster of either, on loopback, each started for its test and ended with it.
 *
 * Where a server is not installed, Debian's own is fetched and run from where it was put (`tools/debian.ts`). Where that is impossible too,
 * `installed` says loudly what is not tested, and fails where `CI` is set.
 */
import { NodeRedis } from "@effect/platform-node"
import { Data, Effect, Layer, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Debian from "../../../tools/debian.ts"

export type Kind = "redis" | "valkey"

export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

const wantedOf = (kind: Kind): Debian.Wanted => ({
  name: kind,
  programs: [`${kind}-server`],
  packages: [`${kind}-server`]
})

/** Whether there is one to be had. */
export const installed = (kind: Kind): boolean => Debian.obtain(wantedOf(kind)) !== undefined

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    // A node of a cluster takes the port 10,000 above as well.
    server.close(() => resume(port < 55_000 ? Effect.succeed(port) : freePort))
  })
})

/** What a server answers to a line, as it comes. */
export const ask = (port: number, line: string): Effect.Effect<string, ServerError> =>
  Effect.callback((resume) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${line}\r\n`))
    socket.setTimeout(2_000, () => socket.destroy(new Error("no answer")))
    socket.once("data", (data) => {
      socket.destroy()
      resume(Effect.succeed(String(data)))
    })
    socket.once("close", () => resume(Effect.fail(new ServerError({ message: `${line}: the connection was closed` }))))
    socket.once("error", (cause) => resume(Effect.fail(new ServerError({ message: `${line}: ${String(cause)}` }))))
    return Effect.sync(() => socket.destroy())
  })

interface Server {
  readonly port: number
  readonly url: string
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Ends it at once. */
  readonly kill: Effect.Effect<void>
  /** Starts it once more, at the same port, with nothing in it. */
  readonly restart: Effect.Effect<void, ServerError>
}

/** A server, for as long as the scope is open. */
export const start = Effect.fnUntraced(function*(kind: Kind, more: ReadonlyArray<string> = []) {
  const found = Debian.find(wantedOf(kind))
  if (found === undefined) return yield* new ServerError({ message: `no ${kind}-server` })
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `caprock-${kind}-`))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  let child: ChildProcess | undefined
  const kill = Effect.callback<void>((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
  const launch = Effect.fnUntraced(function*(port: number) {
    yield* kill
    const args = [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      folder,
      ...more
    ]
    const binary = `${kind}-server`
    const [command = binary, ...rest] = [...Debian.leash, binary, ...args]
    const started = spawn(command, rest, { env: found.env, stdio: ["ignore", "pipe", "pipe"] })
    child = started
    process.once("exit", () => started.kill("SIGKILL"))
    let log = ""
    for (const stream of [started.stdout, started.stderr]) stream.on("data", (data) => log += String(data))
    yield* ask(port, "PING").pipe(
      Effect.filterOrFail((answer) => answer.startsWith("+PONG"), (answer) => new ServerError({ message: answer })),
      Effect.retry({
        schedule: Schedule.spaced("20 millis"),
        times: 1_000,
        while: () => started.exitCode === null
      }),
      Effect.mapError(({ message }) => new ServerError({ message: `${message}\n${log}` }))
    )
    return port
  })
  yield* Effect.addFinalizer(() => kill)
  // Between asking for a free port and taking it, somebody else may.
  const port = yield* Effect.retry(Effect.flatMap(freePort, launch), { times: 5 })
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    signal: (signal) => Effect.sync(() => child?.kill(signal)),
    kill,
    restart: Effect.asVoid(launch(port))
  } satisfies Server
})

/** A client of a server of its own. */
export const layer = (kind: Kind, more?: ReadonlyArray<string>) =>
  Layer.unwrap(Effect.map(start(kind, more), ({ url }) => NodeRedis.layer({ url })))
