// An application on Effect 3. `pnpm packages` runs it in a project that has Effect 3; here, where Effect is 4, it type-checks as well,
// since it uses what both have.
import { BedrockError, createBedrock, TransportError } from "@caprock/bedrock/promise"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const bedrock = createBedrock({
  region: "us-east-1",
  endpoint: "http://127.0.0.1:1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
  backoff: { attempts: 1 }
})
const question = {
  modelId: "us.amazon.nova-lite-v1:0",
  messages: [{ role: "user" as const, content: [{ text: "Why is the sky blue?" }] }]
}
const failed = (error: unknown): BedrockError => {
  if (error instanceof BedrockError) return error
  throw error
}

const ask = Effect.tryPromise({ try: (signal) => bedrock.converse(question, { signal }), catch: failed })
const tell = Stream.fromAsyncIterable(bedrock.converseStream(question), failed)

const program = Effect.gen(function*() {
  const errors = [yield* Effect.flip(ask), yield* Effect.flip(Stream.runDrain(tell))]
  for (const error of errors) {
    if (!(error instanceof TransportError) || error.kind !== "connect") throw error
  }
  yield* Effect.promise(() => bedrock.close())
})
await Effect.runPromise(program)
