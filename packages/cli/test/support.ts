import type { CallEvent } from "@caprock/bedrock/CallEvents"
import { Journal } from "@caprock/cli/run/Journal"
import * as Progress from "@caprock/cli/run/Progress"
import type { AnswerLine, ErrorLine, ResultLine } from "@caprock/cli/run/ResultLine"
import * as Runner from "@caprock/cli/run/Runner"
import { type Answer, type PoolSnapshot, Target } from "@caprock/cli/run/Target"
import { type Signal, Signals } from "@caprock/cli/Signals"
import * as Screen from "@caprock/cli/terminal/Screen"
import { BedrockError } from "@caprock/errors/BedrockError"
import type * as Reason from "@caprock/errors/Reason"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Deferred, Effect, FileSystem, Layer, Path, PlatformError, Stream } from "effect"

export const model = "us.anthropic.claude-sonnet-4-6"

/** A question as a stub sees it. */
export interface Asked {
  readonly text: string
  readonly model: string
  readonly system: string | undefined
  readonly maxTokens: number | undefined
  readonly temperature: number | undefined
  readonly events: (event: CallEvent) => void
}

const answer = (text: string): Answer => ({
  content: [{ text }],
  stopReason: "end_turn",
  usage: { inputTokens: 5, outputTokens: 7 }
})

/** A line of the results, as an answer makes it. */
export const answered = (id: string, line: number, text = "yes") => ({
  id,
  line,
  model,
  text,
  stopReason: "end_turn",
  usage: { inputTokens: 1, outputTokens: 1 },
  attempts: 1,
  waitedMillis: 0,
  serviceMillis: 1,
  digest: "0123456789abcdef"
})

/** `caprock run` against an emulator. */
export const runArgs = (input: string, output: string, url: string, ...more: ReadonlyArray<string>) => [
  "run",
  input,
  "--out",
  output,
  "--model",
  model,
  "--endpoint",
  url,
  ...more
]

export const failure = (reason: Reason.Reason, attempts = 1) =>
  new BedrockError({ operation: "Converse", modelId: model, attempts, reason })

/** A target that admits at once, and answers as it is told. */
export const stub = (
  reply: (asked: Asked) => Effect.Effect<Answer, BedrockError>,
  options: { readonly asked?: Array<string>; readonly pool?: PoolSnapshot; readonly admit?: boolean } = {}
) =>
  Layer.succeed(Target, {
    ask: (input, onEvent) =>
      Effect.suspend(() => {
        const text = input.messages?.[0]?.content?.[0]?.text ?? ""
        options.asked?.push(text)
        const pool = "pool"
        onEvent({ _tag: "Waiting", pool, tokens: 10 })
        if (options.admit !== false) onEvent({ _tag: "Admitted", pool, attempt: 1, waitedMillis: 0 })
        const ended = (succeeded: boolean) =>
          onEvent({ _tag: "CallEnded", pool, attempts: 1, waitedMillis: 0, serviceMillis: 3, succeeded })
        return reply({
          text,
          model: input.modelId ?? "",
          system: input.system?.[0]?.text,
          maxTokens: input.inferenceConfig?.maxTokens,
          temperature: input.inferenceConfig?.temperature,
          events: onEvent
        }).pipe(
          Effect.tap(() =>
            Effect.sync(() => {
              onEvent({ _tag: "Settled", pool, reserved: 100, booked: 100, charged: 12 })
              ended(true)
            })
          ),
          Effect.tapError(() => Effect.sync(() => ended(false)))
        )
      }),
    snapshot: () => Effect.succeed(options.pool ?? { waiting: 0, meters: [] })
  })

export const echo = (asked: Asked) => Effect.succeed(answer(`re: ${asked.text}`))

/** What a test sees of the screen. */
const recordScreen = (written: Array<string>, live = false) =>
  Layer.effect(
    Screen.Screen,
    Screen.make({
      live,
      columns: Effect.succeed(100),
      write: (text) => Effect.sync(() => void written.push(text))
    })
  )

export const makeSignals = Effect.sync(() => {
  const first = Deferred.makeUnsafe<Signal>()
  return {
    send: (signal: Signal) => Deferred.doneUnsafe(first, Effect.succeed(signal)),
    layer: Layer.succeed(Signals, { takeFirst: Effect.succeed(Deferred.await(first)) })
  }
})

const encoder = new TextEncoder()

export interface Given {
  readonly input: string | Uint8Array
  readonly output: string
  readonly target: Layer.Layer<Target>
  readonly defaults?: Runner.Options["defaults"]
  readonly limits?: Partial<Runner.Options["limits"]>
  readonly maxLineBytes?: number
  readonly strict?: boolean
  readonly signals?: Layer.Layer<Signals>
  readonly chunk?: number
  readonly disk?: Disk
}

/** Runs prompts as `caprock run` does, in this process. */
export const runPrompts = (given: Given) => {
  const bytes = typeof given.input === "string" ? encoder.encode(given.input) : given.input
  const size = given.chunk ?? 7
  const written: Array<string> = []
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size))
  return Effect.gen(function*() {
    const journal = yield* Journal
    const outcome = yield* Runner.run({
      input: Stream.fromIterable(chunks),
      defaults: given.defaults ?? { model },
      checkModel: () => undefined,
      limits: { maxWaiting: 8, maxCalls: 64, maxBytes: 1 << 20, ...given.limits },
      maxLineBytes: given.maxLineBytes ?? 10_000,
      strict: given.strict ?? false
    })
    const progress = yield* Progress.Progress
    return { outcome, found: journal.found, view: yield* progress.view, written, tally: progress.tally }
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Journal.layer({ output: given.output, input: "prompts.jsonl" }).pipe(
          Layer.provide(onDisk(given.disk ?? { left: Infinity }))
        ),
        Progress.Progress.layer({ maxConnections: 64 })
      ).pipe(
        Layer.provideMerge(given.target),
        Layer.provideMerge(recordScreen(written)),
        Layer.provideMerge(given.signals ?? Layer.succeed(Signals, Signals.never)),
        Layer.provideMerge(NodeServices.layer)
      )
    )
  )
}

export const temporaryFolder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

export const readResults = (path: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const text = yield* fs.readFileString(path)
    assertEndsWithLineFeed(text)
    return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ResultLine)
  })

export const isError = (line: ResultLine): line is typeof ErrorLine.Type => "error" in line
export const isAnswer = (line: ResultLine): line is typeof AnswerLine.Type => !isError(line)

const assertEndsWithLineFeed = (text: string) => {
  if (text !== "" && !text.endsWith("\n")) throw new Error(`torn: ${text.slice(-80)}`)
}

/** A path in a folder that is removed with the test. */
export const outputPath = Effect.gen(function*() {
  const path = yield* Path.Path
  return path.join(yield* temporaryFolder, "results.jsonl")
})

export const platform = Effect.provide(NodeServices.layer)

/** A disk that takes so many more bytes of what is appended; a frozen one can't be truncated either. */
export interface Disk {
  left: number
  frozen?: boolean
}

/** The file system, on a disk that a test fills and frees. */
export const onDisk = (disk: Disk) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => {
      const full = PlatformError.systemError({
        _tag: "Unknown",
        module: "FileSystem",
        method: "writeAll",
        cause: Object.assign(new Error("no space left on device"), { code: "ENOSPC" })
      })
      const limited = (file: FileSystem.File): FileSystem.File => ({
        [FileSystem.FileTypeId]: FileSystem.FileTypeId,
        stat: file.stat,
        sync: file.sync,
        seek: file.seek,
        read: file.read,
        readAlloc: file.readAlloc,
        write: file.write,
        truncate: (length) => Effect.suspend(() => disk.frozen === true ? Effect.fail(full) : file.truncate(length)),
        writeAll: (buffer) =>
          Effect.suspend(() => {
            const fits = buffer.subarray(0, disk.left)
            disk.left -= fits.length
            const written = file.writeAll(fits)
            return fits.length === buffer.length ? written : Effect.andThen(written, Effect.fail(full))
          })
      })
      return { ...fs, open: (path, options) => Effect.map(fs.open(path, options), limited) }
    })
  )
