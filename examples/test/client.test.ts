import { BedrockClient, BedrockClientTest } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"

const summarise = (text: string) =>
  BedrockClient.BedrockClient.use((client) =>
    client.converse({ modelId: "amazon.nova-lite-v1:0", messages: [{ role: "user", content: [{ text }] }] })
  ).pipe(
    Effect.map((answer) => answer.output?.message?.content?.[0]?.text ?? ""),
    Effect.catchReason("BedrockError", "ThrottlingError", () => Effect.succeed("busy"))
  )

const throttled = new BedrockError.BedrockError({
  operation: "Converse",
  attempts: 1,
  httpStatus: 429,
  reason: new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" })
})

it.effect("says when it is busy", () =>
  Effect.gen(function*() {
    assert.strictEqual(yield* summarise("a"), "In short: a.")
    assert.strictEqual(yield* summarise("b"), "busy")
    const { requests } = yield* BedrockClientTest.BedrockClientTest
    assert.strictEqual((yield* requests).length, 2)
  }).pipe(
    Effect.provide(BedrockClient.layerTest({ converse: [BedrockClientTest.answer("In short: a."), throttled] }))
  ))
