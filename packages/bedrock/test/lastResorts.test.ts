// A last resort for the bodies of a model's own, and for their streams.
import { CallAccount, type Routes } from "@caprock/bedrock"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Stream } from "effect"
import { ask, claude, file, nova, scripted, unavailable } from "./routeRig.ts"

const pro = "amazon.nova-pro-v1:0"
const bytesOf = (text: string) => new TextEncoder().encode(text)
const chunkOf = (text: string) => ({ chunk: { bytes: bytesOf(text) } })
const textOf = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)

const routes = file({ one: { model: nova, region: "us-east-1" } }, "one", { fence: ["us-*"] })

const smaller = {
  body: Object.assign(bytesOf("smaller"), { transformToString: () => "smaller" }),
  contentType: undefined,
  $metadata: {}
}

const house = (lastResorts: Routes.LastResorts) =>
  scripted({
    invokeModel: ({ modelId }) => modelId === pro ? smaller : unavailable,
    invokeModelWithResponseStream: ({ modelId }) => modelId === pro ? [chunkOf("small"), chunkOf("er")] : unavailable,
    converse: () => unavailable
  }, { backoff: { attempts: 1 }, routes, lastResorts: { chat: lastResorts } })

const input = { modelId: "chat", body: JSON.stringify({ messages: [] }) }

describe("a last resort of invokeModel", () => {
  it.effect("answers with a body, with the reason and the request", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house({
        invokeModel: ({ error, route }, { body }) =>
          Effect.succeed({
            body: `${route} ${error._tag} ${String(body)}`,
            contentType: "text/plain"
          })
      })
      const answer = yield* bedrock.invokeModel(input)
      const text = `chat BedrockError ${input.body}`
      assert.deepStrictEqual([textOf(answer.body), answer.body.transformToString()], [text, text])
      assert.strictEqual(answer.body.transformToString("base64"), btoa(text))
      assert.strictEqual(answer.contentType, "text/plain")
      const { lastResort, target } = CallAccount.of(answer) ?? {}
      assert.deepStrictEqual([lastResort, target], [true, undefined])
      // None of the others has it.
      const stream = Stream.runDrain(bedrock.invokeModelWithResponseStream(input))
      assert.strictEqual((yield* Effect.flip(stream)).reason._tag, "ServerError")
      assert.strictEqual((yield* Effect.flip(bedrock.converse(ask("chat")))).reason._tag, "ServerError")
    }).pipe(Effect.scoped))

  it.effect("may ask the service for another model's, inside the fence", () =>
    Effect.gen(function*() {
      const { bedrock } = yield* house({
        invokeModel: (_, input, bedrock) => bedrock.invokeModel({ ...input, modelId: pro }),
        invokeModelWithResponseStream: (_, input, bedrock) =>
          bedrock.invokeModelWithResponseStream({ ...input, modelId: `global.${claude}` })
      })
      assert.strictEqual(textOf((yield* bedrock.invokeModel(input)).body), "smaller")
      const { message } = yield* Effect.flip(Stream.runDrain(bedrock.invokeModelWithResponseStream(input)))
      assert.include(message, "outside of the fence us-*")
    }).pipe(Effect.scoped))
})

describe("a last resort of a stream of chunks", () => {
  const read = (own: NonNullable<Routes.LastResorts["invokeModelWithResponseStream"]>) =>
    Effect.gen(function*() {
      const { bedrock } = yield* house({ invokeModelWithResponseStream: own })
      const seen: Array<string> = []
      const end = yield* bedrock.invokeModelWithResponseStream(input).pipe(
        Stream.runForEach(({ chunk }) => Effect.sync(() => seen.push(textOf(chunk?.bytes)))),
        Effect.result
      )
      return [seen, Result.isSuccess(end) ? "ended" : end.failure.message.split(":")[0]] as const
    }).pipe(Effect.scoped)

  it.effect("is handed on as it comes", () =>
    Effect.gen(function*() {
      const smaller = yield* read((_, input, bedrock) =>
        bedrock.invokeModelWithResponseStream({ ...input, modelId: pro })
      )
      assert.deepStrictEqual(smaller, [["small", "er"], "ended"])
      assert.deepStrictEqual(yield* read(() => Stream.empty), [[], "ended"])
      const [seen, end] = yield* read(({ error }) => Stream.concat(Stream.make(chunkOf("a")), Stream.fail(error)))
      assert.deepStrictEqual([seen, end !== "ended"], [["a"], true])
      const [, nothing] = yield* read(({ error }) => Stream.fail(error))
      assert.notStrictEqual(nothing, "ended")
    }))

  it.effect("stays inside the fence to its end", () =>
    Effect.gen(function*() {
      const [seen, end] = yield* read((_, __, bedrock) =>
        Stream.make("a", "b").pipe(
          Stream.rechunk(1),
          Stream.mapEffect((text) =>
            Effect.as(text === "a" ? Effect.void : bedrock.converse(ask(`global.${claude}`)), chunkOf(text))
          )
        )
      )
      assert.deepStrictEqual(seen, ["a"])
      assert.include(end, "Converse")
    }))
})
