// A program that needs only this package and its peers. `pnpm packages` runs it in an empty project.
import { BedrockClient, BedrockClientTest } from "@caprock/client"
import { Effect } from "effect"

const ask = BedrockClient.BedrockClient.use((client) =>
  client.converse({
    modelId: "amazon.nova-lite-v1:0",
    messages: [{ role: "user", content: [{ text: "Are you there?" }] }]
  })
)
const answer = await Effect.runPromise(
  ask.pipe(Effect.provide(BedrockClient.layerTest({ converse: [BedrockClientTest.answer("Yes.")] })))
)
// Nothing listens there: the SDK and our transport are used, up to the refused connection.
const refused = await Effect.runPromise(
  Effect.flip(ask).pipe(Effect.provide(BedrockClient.layer({
    region: "us-east-1",
    endpoint: "http://127.0.0.1:1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" }
  })))
)

if (answer.stopReason !== "end_turn" || refused.reason._tag !== "TransportError") {
  throw new Error(`${answer.stopReason}, ${refused.message}`)
}
