// CPU per call of the client, next to the SDK with its own transports. The server is an emulator in a process of its
// own, so that only the client is measured. Prints ratios; bounded to some thousand calls.
//
//   node bench/client.ts [calls]
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime"
import { BedrockClient } from "@caprock/client"
import { Emulator, LatencyModel, OutputModel } from "@caprock/emulator"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import { Effect, Stream } from "effect"
import { fork } from "node:child_process"

const serve = Effect.gen(function*() {
  const { url } = yield* Emulator.make({ latency: LatencyModel.fixed(5), output: OutputModel.fixed(40) })
  process.send?.(url)
  return yield* Effect.never
}).pipe(Effect.scoped)

const request = {
  modelId: "us.amazon.nova-lite-v1:0",
  messages: [{ role: "user" as const, content: [{ text: "What is a caprock? ".repeat(20) }] }],
  inferenceConfig: { maxTokens: 100 }
}
const concurrency = 32
const credentials = { accessKeyId: "bench", secretAccessKey: "bench" }

interface Way {
  readonly name: string
  readonly converse: Effect.Effect<unknown, unknown>
  readonly stream: Effect.Effect<unknown, unknown>
}

const sdk = (name: string, client: BedrockRuntimeClient): Way => ({
  name,
  converse: Effect.tryPromise(() => client.send(new ConverseCommand(request))),
  stream: Effect.tryPromise(async () => {
    const { stream } = await client.send(new ConverseStreamCommand(request))
    let events = 0
    for await (const _ of stream ?? []) events++
    return events
  })
})

const cpuOf = (call: Effect.Effect<unknown, unknown>, calls: number) =>
  Effect.gen(function*() {
    const before = process.cpuUsage()
    yield* Effect.forEach(Array.from({ length: calls }), () => call, { concurrency, discard: true })
    const { system, user } = process.cpuUsage(before)
    return (system + user) / calls
  })

const compare = (url: string, calls: number) =>
  Effect.gen(function*() {
    const options = { region: "us-east-1", endpoint: url, credentials, maxAttempts: 1 }
    const caprock = yield* BedrockClient.make({ region: "us-east-1", endpoint: url, credentials })
    const ways: ReadonlyArray<Way> = [
      sdk("SDK, its default (a connection per request)", new BedrockRuntimeClient(options)),
      sdk(
        "SDK, NodeHttpHandler (keep-alive)",
        new BedrockRuntimeClient({
          ...options,
          requestHandler: new NodeHttpHandler({ httpAgent: { maxSockets: 1024 } })
        })
      ),
      {
        name: "@caprock/client",
        converse: caprock.converse(request),
        stream: Stream.runDrain(caprock.converseStream(request))
      }
    ]
    for (const operation of ["converse", "stream"] as const) {
      const best = new Map<string, number>()
      // The best of some rounds, taken in turns: other work on the machine only ever makes a round worse.
      for (let round = 0; round < 4; round++) {
        for (const way of ways) {
          const micros = yield* cpuOf(way[operation], Math.ceil(calls / 4))
          if (round > 0) best.set(way.name, Math.min(best.get(way.name) ?? Infinity, micros))
        }
      }
      const base = best.get(ways[0]?.name ?? "") ?? NaN
      for (const [name, micros] of best) {
        console.log(
          `${operation.padEnd(9)} ${name.padEnd(46)} ${micros.toFixed(0).padStart(6)} µs  ${(micros / base).toFixed(2)}`
        )
      }
    }
  }).pipe(Effect.scoped)

if (process.argv[2] === "serve") {
  Effect.runFork(serve)
} else {
  const calls = Math.min(Number(process.argv[2] ?? 4_000), 20_000)
  const server = fork(import.meta.filename, ["serve"])
  server.once("message", (url) => {
    Effect.runPromise(compare(String(url), calls)).then(
      () => server.kill(),
      (error: unknown) => {
        server.kill()
        console.error(error)
        process.exitCode = 1
      }
    )
  })
}
