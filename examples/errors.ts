// Only the errors and the retries, around a client of the AWS SDK that a program has already.
import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime"
import { Backoff } from "@caprock/backoff"
import { Emulator, Fault } from "@caprock/emulator"
import { Classification } from "@caprock/errors"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const client = new BedrockRuntimeClient({
    endpoint: emulator.url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    // One owner of the retries: not the SDK.
    maxAttempts: 1
  })
  const modelId = "us.amazon.nova-lite-v1:0"
  const ask = (text: string) =>
    Effect.tryPromise({
      try: (abortSignal) =>
        client.send(new ConverseCommand({ modelId, messages: [{ role: "user", content: [{ text }] }] }), {
          abortSignal
        }),
      catch: (error) => Classification.fromUnknown(error, { operation: "Converse", modelId })
    })

  // Two failures that pass, then an answer.
  yield* emulator.inject(Fault.error("ThrottlingException"))
  yield* emulator.inject(Fault.error("ServiceUnavailableException"))
  const answer = yield* ask("Why is the sky blue?").pipe(
    Effect.tapError((error) => Console.log(`${error.reason._tag}, worth another try: ${error.retryable}`)),
    Backoff.retry({ base: "50 millis" })
  )
  yield* Console.log(`answered: ${answer.stopReason}`)

  // One that no retry cures, and that says what it is.
  yield* emulator.inject(Fault.error("ValidationException", { message: "Input is too long for requested model." }))
  yield* ask("A very long question").pipe(
    Backoff.retry(),
    Effect.catchReason(
      "BedrockError",
      "ValidationError",
      ({ kind }) => Console.log(`ValidationError, ${kind}: not tried again`)
    )
  )
  client.destroy()
})

NodeRuntime.runMain(program.pipe(Effect.provide(Emulator.layer())))
