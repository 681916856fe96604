// A service of your own on top of `Bedrock`: it asks, reads the stream as it comes, and decides what each error means.
import { Bedrock } from "@caprock/bedrock"
import { Emulator, Fault } from "@caprock/emulator"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Context, Effect, Layer, Stream } from "effect"

class Tickets extends Context.Service<Tickets, {
  readonly summarise: (ticket: string) => Effect.Effect<string>
}>()("example/Tickets") {
  static readonly layer = Layer.effect(
    Tickets,
    Effect.map(Bedrock.Bedrock, (bedrock) => ({
      summarise: (ticket) =>
        bedrock.converseStream({
          modelId: "us.amazon.nova-lite-v1:0",
          system: [{ text: "Summarise the ticket in one sentence." }],
          messages: [{ role: "user", content: [{ text: ticket }] }],
          inferenceConfig: { maxTokens: 200 }
        }).pipe(
          Stream.map((event) => event.contentBlockDelta?.delta?.text ?? ""),
          Stream.mkString,
          // Cut off in the middle, after the first words had come: what there is may be enough.
          Effect.catchReason(
            "BedrockError",
            "InterruptedStreamError",
            ({ partial }) => Effect.succeed(`${partial.text} …`)
          ),
          // Whatever else: the retries are over by now, or it was not worth any. The message says what to do.
          Effect.catchTag("BedrockError", (error) => Effect.succeed(`no summary: ${error.message}`))
        )
    }))
  )
}

const program = Effect.gen(function*() {
  const tickets = yield* Tickets
  const summaries = yield* Effect.forEach(
    Array.range(1, 40),
    (n) => tickets.summarise(`Ticket ${n}: my order has not arrived, and nobody answers.`),
    { concurrency: "unbounded" }
  )
  const cut = summaries.filter((summary) => summary.endsWith("…")).length
  const missing = summaries.filter((summary) => summary.startsWith("no summary")).length
  yield* Console.log(`${summaries.length} tickets: ${cut} summaries cut off, ${missing} missing.`)
})

// A local Bedrock that fails now and then, with a quota of 30 requests in a minute of 2 seconds.
const window = "2 seconds"
const EmulatorLive = Emulator.layer({
  window,
  quota: { requests: 30 },
  faults: [{ rate: 0.05, fault: Fault.error("InternalServerException") }, { rate: 0.1, fault: Fault.cut(0.5) }]
})

const BedrockLive = Layer.unwrap(Effect.map(Emulator.Emulator, ({ url }) =>
  Bedrock.layer({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    quotas: { default: { requestsPerMinute: 30 } },
    meters: { window }
  })))

NodeRuntime.runMain(program.pipe(
  Effect.provide(Tickets.layer.pipe(Layer.provide(BedrockLive), Layer.provide(EmulatorLive)))
))
