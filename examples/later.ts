// What may wait, and finds no room within its wait, is written down: lines that `caprock run` asks when there is room, and `caprock batch` as a batch.
import { Bedrock, CallAccount, CallLimits, CallTurn, type Routes } from "@caprock/bedrock"
import { Emulator } from "@caprock/emulator"
import type { BedrockError } from "@caprock/errors"
import { LastResort } from "@caprock/router"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Array, Console, Effect, FileSystem, Layer, Semaphore } from "effect"

/** The last resort of the class `bulk`, at a file: a line is on the disk before its caller hears of it. Other classes fail as they would. */
const later = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const file = yield* fs.open(path, { flag: "a" })
  const alone = yield* Semaphore.make(1)
  const append = (line: object) =>
    alone.withPermit(
      Effect.andThen(file.writeAll(new TextEncoder().encode(`${JSON.stringify(line)}\n`)), file.sync)
    )
  const lastResort: Routes.LastResort = (reason, request) =>
    LastResort.onlyFor<Answer, BedrockError.BedrockError, never>(
      ({ ask }) => ask.priority === "bulk",
      ({ error }) => {
        const id = request.requestMetadata?.["job"] ?? ""
        // Which model it is asked of then, the run says.
        return append({ id, request: { ...request, modelId: undefined } }).pipe(
          Effect.as(said(`Job ${id} is asked later.`)),
          // Then it has failed like any other.
          Effect.catchTag("PlatformError", () => Effect.fail(error))
        )
      }
    )(reason)
  return lastResort
})

type Answer = Effect.Success<ReturnType<Routes.LastResort>>

const said = (text: string): Answer => ({
  output: { message: { role: "assistant", content: [{ text }] } },
  stopReason: "end_turn",
  usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 },
  metrics: { latencyMs: 0 },
  $metadata: {}
})

const ask = (job: string, text: string) =>
  Bedrock.Bedrock.use((bedrock) =>
    bedrock.converse({
      modelId: "jobs",
      messages: [{ role: "user", content: [{ text }] }],
      inferenceConfig: { maxTokens: 100 },
      requestMetadata: { job }
    })
  )

const program = Effect.gen(function*() {
  const jobs = yield* Effect.forEach(
    Array.range(1, 8),
    (n) => ask(`${n}`, `Describe item ${n}.`),
    { concurrency: "unbounded" }
  ).pipe(
    // They wait for nobody: what has no room now is for later.
    Effect.provideService(CallLimits.CallLimits, { maxWait: 0 }),
    Effect.provideService(CallTurn.CallTurn, { priority: "bulk" })
  )
  const deferred = jobs.filter((answer) => CallAccount.of(answer)?.lastResort === true)
  yield* Console.log(`${jobs.length - deferred.length} jobs answered, ${deferred.length} written down for later.`)
  // Who may not wait for the night waits for the minute.
  const answer = yield* ask("user", "Why is the sky blue?").pipe(
    Effect.provideService(CallTurn.CallTurn, { priority: "interactive" })
  )
  yield* Console.log(`The user is answered by ${CallAccount.of(answer)?.target}.`)
})

// A local Bedrock with a quota of 5 requests in a minute of 2 seconds.
const window = "2 seconds"

const BedrockLive = (path: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const { url } = yield* Emulator.Emulator
    return Bedrock.layer({
      endpoint: url,
      region: "us-east-1",
      credentials: { accessKeyId: "any", secretAccessKey: "any" },
      quotas: { default: { requestsPerMinute: 5 } },
      meters: { window },
      routes: { targets: { lite: { model: "amazon.nova-lite-v1:0" } }, routes: { jobs: { policy: "lite" } } },
      lastResorts: { jobs: yield* later(path) }
    })
  }))

const main = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = process.argv[2] ?? (yield* fs.makeTempFileScoped({ suffix: ".jsonl" }))
  yield* Effect.provide(program, BedrockLive(path))
  const lines = (yield* fs.readFileString(path)).trim().split("\n")
  yield* Console.log(
    `${lines.length} lines for: caprock run later.jsonl --out results.jsonl --model amazon.nova-lite-v1:0`
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(main.pipe(Effect.provide([
  Emulator.layer({ window, quota: { requests: 5 } }),
  NodeServices.layer
])))
