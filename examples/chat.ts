// Conversations with a tool, told word by word, by `effect/ai`; and in the middle of the load a Region goes down. No conversation notices: its request
// goes to another Region, below the tool, which runs once for each question.
import { BedrockLanguageModel } from "@caprock/ai"
import { Bedrock } from "@caprock/bedrock"
import { Emulator, Fault, LatencyModel, type OutputModel } from "@caprock/emulator"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Array, Console, Effect, Layer, Ref, Schema, Stream } from "effect"
import { Chat, Tool, Toolkit } from "effect/ai"

const customers = 40

const Tools = Toolkit.make(Tool.make("OrderStatus", {
  description: "Where an order is",
  parameters: Schema.Struct({ order: Schema.String.annotate({ description: "Its number" }) }),
  success: Schema.String
}))

/** How often the tool ran. */
let lookups = 0
const ToolsLive = Tools.toLayer({
  OrderStatus: ({ order }) => {
    lookups++
    return Effect.succeed(`Order ${order} is on its way.`)
  }
})

/** One customer: asks, lets the model use the tool as often as it wants, and reads the answer as it comes. */
const serve = Effect.fn("serve")(function*(customer: number) {
  const chat = yield* Chat.fromPrompt([{ role: "system", content: "You help with orders. Look them up." }])
  const said = yield* Ref.make("")
  const by: Array<string> = []
  const turn = (prompt: string | []) =>
    chat.streamText({ prompt, toolkit: Tools }).pipe(
      Stream.runFoldEffect(
        () => false,
        (called, part) => {
          if (part.type === "finish") by.push(part.metadata.bedrock?.account?.target ?? "nobody")
          return part.type === "text-delta"
            ? Effect.as(Ref.update(said, (text) => text + part.delta), called)
            : Effect.succeed(called || part.type === "tool-call")
        }
      )
    )
  let goesOn = yield* turn(`Where is my order ${customer}?`)
  while (goesOn) goesOn = yield* turn([])
  return { text: yield* Ref.get(said), by }
})

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const fault = Fault.error("ServiceUnavailableException")
  const down = emulator.outage({ duration: "1 minute", region: "us-east-2", fault })
  const conversations = yield* Effect.forEach(Array.range(1, customers), (customer) =>
    Effect.gen(function*() {
      yield* Effect.sleep(customer * 25)
      // Half of them have come when the first Region goes down, and it stays away until all are served.
      if (customer === customers / 2) yield* down
      return yield* serve(customer)
    }), { concurrency: "unbounded" })
  const by = conversations.flatMap(({ by }) => by)
  const answered = conversations.filter(({ text }) => text === "It is on its way.").length
  const count = (target: string) => by.filter((name) => name === target).length
  yield* Console.log(`${answered} of ${customers} customers are answered. The tool ran ${lookups} times.`)
  yield* Console.log(`Ohio gave ${count("ohio")} answers, and Oregon ${count("oregon")}.`)
})

// A local Bedrock in place of AWS, whose model looks orders up before it answers.
const model: OutputModel.OutputFunction = ({ body, prompt }) =>
  JSON.stringify(body).includes("toolResult")
    ? { content: [{ text: "It is on its way." }] }
    : { toolUse: { name: "OrderStatus", input: { order: /\d+/.exec(prompt)?.[0] ?? "" } } }

const EmulatorLive = Emulator.layer({ output: model, latency: LatencyModel.fixed(100) })

const BedrockLive = Layer.unwrap(Effect.map(Emulator.Emulator, ({ url }) =>
  Bedrock.layer({
    endpoint: url,
    region: "us-east-2",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    quotas: { default: { requestsPerMinute: 1_000, tokensPerMinute: 1_000_000 } },
    routes: {
      targets: {
        ohio: { model: "anthropic.claude-haiku-4-5-20251001-v1:0", region: "us-east-2" },
        oregon: { model: "anthropic.claude-haiku-4-5-20251001-v1:0", region: "us-west-2" }
      },
      routes: { support: { policy: { ordered: ["ohio", "oregon"] } } }
    }
  })))

// The route's name stands where a model's id does.
const ModelLive = BedrockLanguageModel.model("support", { maxTokens: 300 }).pipe(Layer.provide(BedrockLive))

program.pipe(
  Effect.provide(Layer.mergeAll(ModelLive, ToolsLive).pipe(Layer.provideMerge(EmulatorLive))),
  NodeRuntime.runMain
)
