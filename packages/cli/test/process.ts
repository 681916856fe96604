import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

/** What the program sees of the environment: nothing of the machine's own AWS settings. */
export const environment = {
  PATH: process.env["PATH"] ?? "",
  HOME: "/nonexistent",
  AWS_EC2_METADATA_DISABLED: "true",
  // Starts in half the time.
  NODE_COMPILE_CACHE: join(tmpdir(), "caprock-test-compile-cache")
}
export const credentials = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" }

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly stderr: () => string
  readonly ended: Effect.Effect<Ended>
}

/** Starts the program as a process of its own. It is killed with the scope. */
export const start = (
  args: ReadonlyArray<string>,
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly cwd?: string
    readonly stdin?: string
    /** Kilobytes that a file may grow to. */
    readonly fileLimit?: number
  } = {}
) =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const command = options.fileLimit === undefined
        ? [process.execPath, bin, ...args]
        : ["bash", "-c", `ulimit -f ${options.fileLimit}; exec "$@"`, "bash", process.execPath, bin, ...args]
      const child = spawn(command[0] ?? "", command.slice(1), {
        env: { ...environment, ...credentials, ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        stdio: ["pipe", "pipe", "pipe"]
      })
      let stdout = ""
      let stderr = ""
      child.stdout.setEncoding("utf8").on("data", (text) => stdout += text)
      child.stderr.setEncoding("utf8").on("data", (text) => stderr += text)
      child.stdin.on("error", () => {})
      child.stdin.end(options.stdin ?? "")
      const closed = new Promise<Ended>((resolve) =>
        child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
      )
      return { child, stderr: () => stderr, ended: Effect.promise(() => closed) }
    }),
    ({ child, ended }) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), ended)
  )

export const caprock = (...[args, options]: Parameters<typeof start>) =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))
