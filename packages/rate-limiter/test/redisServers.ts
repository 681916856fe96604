/**
 * Real servers for tests: Redis, Valkey, and a cluster of either, on loopback, each started for its test and ended with it.
 *
 * Where a server is not installed, Debian's own is fetched into `node_modules/.cache` and run from there: nothing of the system changes. Where
 * that is impossible too, `installed` says loudly what is not tested, and fails where `CI` is set.
 */
import { NodeRedis } from "@effect/platform-node"
import { Data, Effect, Layer, Schedule } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export type Kind = "redis" | "valkey"

export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

const cache = fileURLToPath(new URL("../../../node_modules/.cache/caprock-servers/", import.meta.url))

const run = (command: string, args: ReadonlyArray<string>, cwd?: string): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 240_000 })

const works = (binary: string, env: NodeJS.ProcessEnv): boolean => {
  try {
    execFileSync(binary, ["--version"], { env, stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

interface Binary {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
}

/** Ends with whoever started it, however that ends, where the system knows how. */
const leash = works("setpriv", process.env) ? ["setpriv", "--pdeathsig", "KILL"] : []

const fetchedTo = (kind: Kind) => join(cache, kind)

const find = (kind: Kind): Binary | undefined => {
  const name = `${kind}-server`
  if (works(name, process.env)) return { path: name, env: process.env }
  const root = fetchedTo(kind)
  const libraries = existsSync(join(root, "usr/lib"))
    ? readdirSync(join(root, "usr/lib")).map((one) => join(root, "usr/lib", one))
    : []
  const env = { ...process.env, LD_LIBRARY_PATH: libraries.join(":") }
  const path = join(root, "usr/bin", name)
  return existsSync(path) && works(path, env) ? { path, env } : undefined
}

/** Debian's packages of it and of what it needs that is not here, unpacked beside the system. Two at once do it twice, and the first counts. */
const fetchServer = (kind: Kind): void => {
  mkdirSync(cache, { recursive: true })
  const own = mkdtempSync(join(cache, `${kind}-`))
  try {
    for (const folder of ["lists/partial", "cache/archives/partial", "root"]) {
      mkdirSync(join(own, folder), { recursive: true })
    }
    const system = existsSync("/etc/apt/sources.list") ? readFileSync("/etc/apt/sources.list", "utf8") : ""
    writeFileSync(join(own, "sources.list"), system)
    // The system's own sources, and beside them those in a list of ours; what is there is written down in folders of ours.
    const options = [
      `Dir::Etc::sourcelist=${join(own, "sources.list")}`,
      `Dir::State::lists=${join(own, "lists")}`,
      `Dir::Cache=${join(own, "cache")}`,
      "Debug::NoLocking=1",
      "APT::Sandbox::User=root"
    ].flatMap((option) => ["-o", option])
    run("apt-get", [...options, "update"])
    const [, codename = ""] = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync("/etc/os-release", "utf8")) ?? []
    const targets = run("apt-get", [...options, "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"])
    const mirror = targets.split("\n").find((line) => line.endsWith(` ${codename} main`))?.split(" ")[0]
    if (mirror !== undefined) {
      // Some of it is in what was made for the release later.
      const key = "/usr/share/keyrings/debian-archive-keyring.gpg"
      const more = `\ndeb [signed-by=${key}] ${mirror} ${codename}-backports main\n`
      if (!targets.includes(` ${codename}-backports main`)) writeFileSync(join(own, "sources.list"), system + more)
      run("apt-get", [...options, "update"])
    }
    run("apt-get", [...options, "install", "--download-only", "--yes", "--no-install-recommends", `${kind}-server`])
    for (const file of readdirSync(join(own, "cache/archives"))) {
      if (file.endsWith(".deb")) run("dpkg-deb", ["-x", join(own, "cache/archives", file), join(own, "root")])
    }
    if (!existsSync(fetchedTo(kind))) renameSync(join(own, "root"), fetchedTo(kind))
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

/** Whether there is one to be had. */
export const installed = (kind: Kind): boolean => {
  if (find(kind) !== undefined) return true
  let problem = "it was fetched, and does not run"
  try {
    fetchServer(kind)
    if (find(kind) !== undefined) return true
  } catch (cause) {
    problem = String(cause)
  }
  const message = `NOT TESTED: no ${kind}-server here, and none to be fetched: ${problem}`
  if (process.env["CI"] !== undefined) throw new Error(message)
  console.error(`\n${"!".repeat(100)}\n${message}\n${"!".repeat(100)}\n`)
  return false
}

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
  const binary = find(kind)
  if (binary === undefined) return yield* new ServerError({ message: `no ${kind}-server` })
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
    const [command = binary.path, ...rest] = [...leash, binary.path, ...args]
    const started = spawn(command, rest, { env: binary.env, stdio: ["ignore", "pipe", "pipe"] })
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
