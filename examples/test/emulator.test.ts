import { Bedrock } from "@caprock/bedrock"
import { Emulator, Fault } from "@caprock/emulator"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

const EmulatorTest = Emulator.layer({ quota: { tokens: 50_000 } })

const BedrockTest = Layer.unwrap(Effect.map(Emulator.Emulator, ({ url }) =>
  Bedrock.layer({
    endpoint: url,
    region: "us-east-1",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    backoff: { base: "10 millis" }
  })))

// Time is real here (`it.live`): sockets do not wait for a test clock.
it.live("outlives two errors", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.inject(Fault.error("ServiceUnavailableException"), { times: 2 })

    const bedrock = yield* Bedrock.Bedrock
    const answer = yield* bedrock.converse({
      modelId: "us.amazon.nova-lite-v1:0",
      messages: [{ role: "user", content: [{ text: "Hello [[emulate output=20]]" }] }],
      inferenceConfig: { maxTokens: 100 }
    })

    assert.strictEqual(answer.stopReason, "end_turn")
    const { answered, errors, requests, throttled } = yield* emulator.stats
    assert.deepStrictEqual(
      { answered, errors, requests, throttled: throttled.total },
      { answered: 1, errors: { ServiceUnavailableException: 2 }, requests: 3, throttled: 0 }
    )
  }).pipe(Effect.provide(BedrockTest.pipe(Layer.provideMerge(EmulatorTest)))))
