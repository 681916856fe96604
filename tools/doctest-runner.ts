// Started by `tools/doctest.ts`, never by hand: runs the examples that it is given, one after the other in this process,
// and tells of each what it printed, what of it ran, and what went wrong. An emulator stands where AWS would be: an
// example that gives no endpoint finds it in the environment, as the SDK does.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { Console } from "node:console"
import { readFileSync } from "node:fs"
import { Writable } from "node:stream"
import { pathToFileURL } from "node:url"
import * as Emulator from "../packages/emulator/src/Emulator.ts"

/** What became of one example. */
export interface Outcome {
  readonly file: string
  /** Its lines, on standard output or by the console. */
  readonly printed: ReadonlyArray<string>
  /** The exports that were run or built. */
  readonly ran: ReadonlyArray<string>
  readonly error?: { readonly message: string; readonly line: number | undefined }
}

/** Real time that one example may take, on a machine that is busy with other tests. */
const patience = Duration.seconds(60)

// -----------------------------------------------------------------------------
// What it prints
// -----------------------------------------------------------------------------

let output = ""

const capture = (): void => {
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      output += String(chunk)
      done()
    }
  })
  // An object on one line, however long, so that a comment can say it.
  const captured = new Console({ stdout, colorMode: false, inspectOptions: { breakLength: Infinity, compact: 100 } })
  for (const method of ["log", "info", "warn", "error", "debug"] as const) console[method] = captured[method]
  process.stdout.write = (chunk: string | Uint8Array) => {
    output += String(chunk)
    return true
  }
}

// -----------------------------------------------------------------------------
// What runs
// -----------------------------------------------------------------------------

/** Who opens sockets lives in real time. All others live in a time that passes as soon as everyone sleeps. */
const opensSockets = (file: string): boolean =>
  /from "(?:@aws-sdk|@caprock\/(?:bedrock|client|emulator))/.test(readFileSync(file, "utf8"))

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const inVirtualTime = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* turn
      yield* TestClock.adjust("10 millis")
    }
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(TestClock.layer()))

/** Every exported Effect is run, every exported Layer built and closed. What it needs besides, it has to provide itself. */
const runnable = (value: unknown): Effect.Effect<unknown, unknown> | undefined => {
  if (Layer.isLayer(value)) return Effect.scoped(Layer.build(value as Layer.Layer<unknown, unknown>))
  if (typeof value === "function" || !Effect.isEffect(value)) return undefined
  return value as Effect.Effect<unknown, unknown>
}

type Exports = ReadonlyArray<readonly [name: string, value: unknown]>

/** The exports of a module, in the order in which they stand in it. What it throws is a defect. */
const load = (file: string): Effect.Effect<Exports> =>
  Effect.map(Effect.promise((): Promise<object> => import(pathToFileURL(file).href)), (module) => {
    const text = readFileSync(file, "utf8")
    const place = (name: string) => text.search(new RegExp(`^export (?:const|class|function\\*?) ${name}\\b`, "m"))
    return Object.entries(module).toSorted(([a], [b]) => place(a) - place(b))
  })

const run = (file: string): Effect.Effect<Outcome> => {
  output = ""
  const ran: Array<string> = []
  return Effect.gen(function*() {
    for (const [name, value] of yield* load(file)) {
      const effect = runnable(value)
      if (effect === undefined) continue
      ran.push(name)
      yield* opensSockets(file) ? effect : inVirtualTime(effect)
    }
  }).pipe(
    Random.withSeed("doctest"),
    Effect.provide(Logger.layer([])),
    Effect.timeout(patience),
    Effect.exit,
    Effect.map((exit) => ({
      file,
      ran,
      printed: output.split("\n").map((line) => line.trimEnd()).filter((line) => line !== ""),
      ...(Exit.isSuccess(exit) ? {} : { error: describe(file, exit.cause) })
    }))
  )
}

const describe = (file: string, cause: Cause.Cause<unknown>): NonNullable<Outcome["error"]> => {
  const error = Cause.squash(cause)
  const line = error instanceof Error
    ? (error.stack ?? "").split("\n").find((frame) => frame.includes(file))?.match(/:(\d+):\d+\)?$/)?.[1]
    : undefined
  return {
    message: Cause.isTimeoutError(error)
      ? `it does not end within ${Duration.format(patience)}`
      : error instanceof Error
      ? `it fails with ${error.name}: ${error.message}`
      : `it fails with ${String(error)}`,
    line: line === undefined ? undefined : Number(line)
  }
}

if (import.meta.main) {
  capture()
  const send = (message: Outcome) =>
    Effect.promise(() => new Promise<void>((resolve) => process.send?.(message, undefined, {}, () => resolve())))
  const runtime = ManagedRuntime.make(Emulator.layer({ seed: "doctest" }))
  await runtime.runPromise(Effect.gen(function*() {
    const { url } = yield* Emulator.Emulator
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "any",
      AWS_SECRET_ACCESS_KEY: "any",
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null"
    })
    for (const file of process.argv.slice(2)) yield* Effect.flatMap(run(file), send)
  }))
  await runtime.dispose()
  // What an example left open is no reason to stay.
  process.exit(0)
}
