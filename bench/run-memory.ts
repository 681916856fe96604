// Memory and speed of `caprock run` over many lines: an input with duplicates, of which the output answers half already,
// against a target that answers at once. Usage: node bench/run-memory.ts [lines = 1000000] [prepare|measure <folder>]
import * as Heap from "@caprock/cli/run/Heap"
import * as InputLine from "@caprock/cli/run/InputLine"
import { Journal } from "@caprock/cli/run/Journal"
import { Progress } from "@caprock/cli/run/Progress"
import * as PromptLine from "@caprock/cli/run/PromptLine"
import * as ResultLine from "@caprock/cli/run/ResultLine"
import * as Runner from "@caprock/cli/run/Runner"
import { Target } from "@caprock/cli/run/Target"
import { Signals } from "@caprock/cli/Signals"
import { make, Screen } from "@caprock/cli/terminal/Screen"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, FileSystem, Layer, Path, Result, Stream } from "effect"
import { spawnSync } from "node:child_process"

const lines = Number(process.argv[2] ?? 1_000_000)
const model = "us.anthropic.claude-sonnet-4-6"
const answer = {
  content: [{ text: "An answer of some length, as a short one from a model would be." }],
  stopReason: "end_turn",
  usage: { inputTokens: 20, outputTokens: 15 }
}
const effort = { attempts: 1, waitedMillis: 12, serviceMillis: 345 }

/** One line in a thousand repeats the id of the line before it. */
const prompt = (i: number) => {
  const id = i % 1000 === 999 ? i - 1 : i
  return `{"id":"record-${
    String(id).padStart(28, "0")
  }","prompt":"Say in one sentence what number ${i} reminds you of."}\n`
}

const prepare = (input: string, output: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const encoder = new TextEncoder()
    const batches = Array.from({ length: Math.ceil(lines / 1000) }, (_, i) => i * 1000)
    const inputs = Stream.map(Stream.fromIterable(batches), (from) =>
      encoder.encode(Array.from({ length: Math.min(1000, lines - from) }, (_, i) => prompt(from + i)).join("")))
    yield* Stream.run(inputs, fs.sink(input))
    const results = Stream.map(Stream.fromIterable(batches), (from) => {
      let text = ""
      for (let i = from; i < Math.min(from + 1000, lines / 2); i++) {
        if (i % 1000 === 999) {
          continue
        }
        const asked = Result.getOrThrow(PromptLine.parse(prompt(i), i + 1, { model }))
        text += ResultLine.encode(
          i % 100 === 0
            ? {
              id: asked.id,
              line: i + 1,
              error: { reason: "ServerError", kind: "internal", message: "Internal error", retryable: true },
              ...effort
            }
            : ResultLine.fromAnswer(asked, answer, effort)
        )
      }
      return encoder.encode(text)
    })
    yield* Stream.run(results, fs.sink(output))
  })

const target = Layer.succeed(Target, {
  ask: (_, onEvent) =>
    Effect.sync(() => {
      onEvent({ _tag: "Waiting", pool: "p", tokens: 100 })
      onEvent({ _tag: "Admitted", pool: "p", attempt: 1, waitedMillis: 0 })
      onEvent({ _tag: "Settled", pool: "p", reserved: 100, booked: 100, charged: 35 })
      onEvent({ _tag: "CallEnded", pool: "p", attempts: 1, waitedMillis: 0, serviceMillis: 1, succeeded: true })
      return answer
    }),
  snapshot: () => Effect.succeed({ waiting: 0, meters: [] })
})

const megabytes = (bytes: number) => `${Math.round(bytes / 1024 / 1024)} MB`

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const [, , , step, given] = process.argv
  const folder = given ?? (yield* fs.makeTempDirectoryScoped())
  const [input, output] = [path.join(folder, "prompts.jsonl"), path.join(folder, "results.jsonl")]
  if (step !== "measure") {
    yield* prepare(input, output)
    if (step === "prepare") return
    // Measured in a process of its own, which has nothing else to remember.
    spawnSync(process.execPath, [...process.execArgv, import.meta.filename, String(lines), "measure", folder], {
      stdio: "inherit"
    })
    return
  }

  yield* Heap.keepSmall
  const before = process.memoryUsage().rss
  let peak = 0
  yield* Effect.forkChild(Effect.forever(Effect.andThen(
    Effect.sync(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }),
    Effect.sleep("20 millis")
  )))
  const started = performance.now()
  const { opened, view } = yield* Effect.gen(function*() {
    yield* Journal
    const opened = performance.now() - started
    const progress = yield* Progress
    yield* Runner.run({
      input: Stream.orDie(fs.stream(input)),
      defaults: { model },
      checkModel: () => undefined,
      limits: { maxWaiting: 128, maxCalls: 256, maxBytes: 64 * 1024 * 1024 },
      maxLineBytes: InputLine.maxLineBytes,
      strict: false
    })
    return { opened, view: yield* progress.view }
  }).pipe(Effect.provide(
    Layer.mergeAll(Journal.layer({ output, input }), Progress.layer({ maxConnections: 256 })).pipe(
      Layer.provideMerge(target),
      Layer.provide(Layer.effect(
        Screen,
        make({ live: false, columns: Effect.succeed(100), write: () => Effect.void })
      )),
      Layer.provide(Layer.succeed(Signals, Signals.never)),
      Layer.provideMerge(Layer.succeed(Signals, Signals.never))
    )
  ))
  const { counts } = view
  console.log(
    `${lines} lines: ${counts.skipped} answered before, ${counts.answered} answered now, ${counts.failed} failed`
  )
  console.log(`opened the output in ${Math.round(opened)} ms, all in ${Math.round(performance.now() - started)} ms`)
  console.log(
    `resident before ${megabytes(before)}, peak ${megabytes(peak)}, the process's highest ${
      megabytes(process.resourceUsage().maxRSS * 1024)
    } (limit 400 MB)`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
