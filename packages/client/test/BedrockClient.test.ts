import { BedrockClient, BedrockClientTest, CallObserver } from "@caprock/client"
import { BedrockError, Reason } from "@caprock/errors"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { answer, clientOf, credentials, frames, request, sendJson, server, startStream } from "./server.ts"

const environmentOf = (environment: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(environment).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, environment)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) delete process.env[name]
          else process.env[name] = value
        }
      })
  )

describe("BedrockClient", () => {
  it.effect("gives the SDK's own output types", () =>
    Effect.gen(function*() {
      const { url } = yield* server((incoming, response, body) => {
        const path = decodeURIComponent(incoming.url ?? "")
        if (path === `/model/${request.modelId}/count-tokens`) return sendJson(response, { inputTokens: 9 })
        if (path === `/model/${request.modelId}/invoke`) {
          return sendJson(response, { echo: JSON.parse(body) }, 200, { "x-amzn-bedrock-input-token-count": "7" })
        }
        assert.strictEqual(path, `/model/${request.modelId}/converse`)
        assert.deepStrictEqual(JSON.parse(body), { messages: request.messages })
        sendJson(response, answer)
      })
      const client = yield* clientOf(url)
      const { modelId } = request
      const converse = yield* client.converse(request)
      assert.strictEqual(converse.output?.message?.content?.[0]?.text, "Hello.")
      assert.strictEqual(converse.$metadata.requestId, "request-1")
      assert.strictEqual(converse.$metadata.attempts, 1)
      const count = yield* client.countTokens({ modelId, input: { converse: { messages: request.messages } } })
      assert.strictEqual(count.inputTokens, 9)
      const invoke = yield* client.invokeModel({ modelId, body: JSON.stringify({ a: "ü" }) })
      assert.strictEqual(new TextDecoder().decode(invoke.body), "{\"echo\":{\"a\":\"ü\"}}")
    }))

  it.effect("sends one request for a call, whatever comes back", () =>
    Effect.gen(function*() {
      let requests = 0
      const { url } = yield* server((incoming, response) => {
        requests++
        assert.strictEqual(incoming.headers["amz-sdk-request"], "attempt=1; max=1")
        sendJson(response, { message: "Too many tokens, please wait before trying again." }, 429, {
          "x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"
        })
      })
      const client = yield* clientOf(url)
      const error = yield* Effect.flip(client.converse(request))
      assert.strictEqual(error.reason._tag === "ThrottlingError" && error.reason.limit, "tokens")
      assert.deepStrictEqual(
        [error.operation, error.modelId, error.region, error.requestId, error.attempts, error.httpStatus],
        ["Converse", request.modelId, "us-east-1", "request-1", 1, 429]
      )
      assert.strictEqual(requests, 1)
    }))

  it.effect("is a typed error, not a defect, when the input makes no request", () =>
    Effect.gen(function*() {
      const { opened, url } = yield* server(() => {})
      const client = yield* clientOf(url)
      const error = yield* Effect.flip(client.converse({ modelId: undefined, messages: [] }))
      assert.strictEqual(error.attempts, 0)
      const headers = yield* Effect.flip(client.invokeModel({ modelId: "m", body: "{}", accept: "a\nb" }))
      assert.strictEqual(headers.attempts, 0)
      assert.strictEqual(opened(), 0)
      // The connection that was not used is there for others.
      const one = yield* clientOf(url, { maxConnections: 1 })
      yield* Effect.flip(one.invokeModel({ modelId: "m", body: "{}", accept: "a\nb" }))
      assert.strictEqual(opened(), 0)
    }))

  const authorizations = (options: BedrockClient.Options) =>
    Effect.gen(function*() {
      let authorization = ""
      const { url } = yield* server((incoming, response) => {
        authorization = incoming.headers.authorization ?? ""
        sendJson(response, answer)
      })
      const client = yield* BedrockClient.make({ region: "us-east-1", endpoint: url, ...options })
      yield* client.converse(request)
      return authorization
    })

  it.effect("signs with credentials, and sends a token where one is given", () =>
    Effect.gen(function*() {
      const token = Redacted.make("bedrock-api-key-1")
      assert.match(yield* authorizations({ credentials }), /^AWS4-HMAC-SHA256 Credential=AKIDTEST/)
      assert.strictEqual(yield* authorizations({ token }), "Bearer bedrock-api-key-1")
      assert.strictEqual(yield* authorizations({ token, credentials }), "Bearer bedrock-api-key-1")
    }))

  it.effect("leaves to the SDK what is not given, and prefers what is", () =>
    Effect.gen(function*() {
      const { url } = yield* server((incoming, response) =>
        sendJson(response, { ...answer, stopReason: incoming.headers.authorization?.split(" ")[0] })
      )
      const environment = {
        AWS_REGION: "eu-west-3",
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url,
        AWS_BEARER_TOKEN_BEDROCK: "from-the-environment"
      }
      yield* environmentOf(environment)
      const client = yield* BedrockClient.make()
      assert.strictEqual(client.region, "eu-west-3")
      assert.strictEqual((yield* client.converse(request)).stopReason as string, "Bearer")
      const signed = yield* BedrockClient.make({ credentials })
      assert.strictEqual((yield* signed.converse(request)).stopReason as string, "AWS4-HMAC-SHA256")
    }))

  it.live("no retry mode of the environment holds calls back", () =>
    Effect.gen(function*() {
      yield* environmentOf({ AWS_RETRY_MODE: "adaptive" })
      const { url } = yield* server((_incoming, response) =>
        sendJson(response, { message: "Too many requests" }, 429, { "x-amzn-errortype": "ThrottlingException" })
      )
      const client = yield* clientOf(url)
      // The SDK's adaptive mode sends one in 2 s after a throttle.
      yield* Effect.flip(client.converse(request)).pipe(
        Effect.repeat({ times: 2 }),
        Effect.timeout("1500 millis")
      )
    }))

  it.effect("works as a layer, from options or from configuration", () =>
    Effect.gen(function*() {
      const { url } = yield* server((_incoming, response) => {
        startStream(response)
        response.end(Buffer.concat([frames.start, frames.text("Hi"), frames.stop, frames.metadata]))
      })
      const count = Effect.gen(function*() {
        const client = yield* BedrockClient.BedrockClient
        return yield* Stream.runCount(client.converseStream(request))
      })
      const options = { region: "us-east-1", endpoint: url, credentials }
      assert.strictEqual(yield* Effect.provide(count, BedrockClient.layer(options)), 4)
      assert.strictEqual(yield* Effect.provide(count, BedrockClient.layerConfig(options)), 4)
    }))
})

describe("layerTest", () => {
  const busy = new BedrockError.BedrockError({
    operation: "Converse",
    attempts: 1,
    httpStatus: 429,
    reason: new Reason.ThrottlingError({ limit: "requests", message: "Too many requests" })
  })

  it.effect("answers from its script, in order, and keeps the requests", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const test = yield* BedrockClientTest.BedrockClientTest
      assert.strictEqual((yield* Effect.flip(client.converse(request))).reason._tag, "ThrottlingError")
      const answer = yield* client.converse(request)
      assert.strictEqual(answer.usage?.outputTokens, 2)
      assert.strictEqual((yield* client.countTokens({ modelId: "abc", input: undefined })).inputTokens, 3)
      assert.deepStrictEqual(yield* test.requests, [
        { operation: "Converse", input: request },
        { operation: "Converse", input: request },
        { operation: "CountTokens", input: { modelId: "abc", input: undefined } }
      ])
    }).pipe(Effect.provide(BedrockClient.layerTest({
      converse: [busy, BedrockClientTest.answer("Two words.")],
      countTokens: (input, index) =>
        Effect.succeed({ $metadata: {}, inputTokens: (input.modelId?.length ?? 0) + index })
    }))))

  it.effect("holds streams to the rule of the real one", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const run = Effect.result(Stream.runCollect(client.converseStream(request)))
      const whole = yield* run
      assert.strictEqual(whole._tag === "Success" && whole.success.length, 6)
      for (const [text, origin] of [["Hel", undefined], ["Hello", "ThrottlingError"]] as const) {
        const cut = yield* run
        const reason = cut._tag === "Failure" ? cut.failure.reason : undefined
        if (reason?._tag !== "InterruptedStreamError") return assert.fail("not interrupted")
        assert.strictEqual(reason.partial.text, text)
        assert.strictEqual(reason.origin?._tag, origin)
      }
      const refused = yield* run
      assert.strictEqual(refused._tag === "Failure" && refused.failure.reason._tag, "ThrottlingError")
      const live = yield* run
      assert.strictEqual(live._tag === "Success" && live.success.length, 5)
    }).pipe(Effect.provide(BedrockClient.layerTest({
      converseStream: [
        BedrockClientTest.events(["Hel", "lo"]),
        BedrockClientTest.events(["Hel", "lo"]).slice(0, 2),
        [...BedrockClientTest.events(["Hel", "lo"]).slice(0, 3), busy],
        busy,
        Stream.fromIterable(BedrockClientTest.events(["Hello"]))
      ]
    }))))

  it.effect("tells the observer what a real call would", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const seen: Array<string> = []
      const observer = {
        onFlushed: () => seen.push("flushed"),
        onResponse: (head: CallObserver.ResponseHead) => seen.push(`${head.statusCode}`)
      }
      const watch = Effect.provideService(CallObserver.CallObserver, observer)
      for (let i = 0; i < 4; i++) yield* watch(Effect.result(client.converse(request)))
      assert.deepStrictEqual(seen, ["flushed", "429", "flushed", "200", "flushed"])
    }).pipe(Effect.provide(BedrockClient.layerTest({
      converse: [
        busy,
        BedrockClientTest.answer("Yes"),
        new BedrockError.BedrockError({
          operation: "Converse",
          attempts: 1,
          reason: new Reason.TransportError({ kind: "reset", message: "cut" })
        }),
        new BedrockError.BedrockError({
          operation: "Converse",
          attempts: 0,
          reason: new Reason.TransportError({ kind: "connect", message: "refused" })
        })
      ]
    }))))

  it.effect("dies where the script has ended", () =>
    Effect.gen(function*() {
      const client = yield* BedrockClient.BedrockClient
      const exit = yield* Effect.exit(client.converse(request))
      assert.include(String(exit), "call 1 of Converse has no reply: its script has 0.")
    }).pipe(Effect.provide(BedrockClient.layerTest({}))))
})
