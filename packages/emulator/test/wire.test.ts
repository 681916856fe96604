import {
  BedrockRuntimeServiceException,
  ConverseCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  ModelErrorException
} from "@aws-sdk/client-bedrock-runtime"
import * as Emulator from "@caprock/emulator/Emulator"
import * as Fault from "@caprock/emulator/Fault"
import * as LatencyModel from "@caprock/emulator/LatencyModel"
import type * as Options from "@caprock/emulator/Options"
import * as OutputModel from "@caprock/emulator/OutputModel"
import { assert, describe, it } from "@effect/vitest"
import { EventStreamCodec } from "@smithy/core/event-streams"
import { Effect, Result } from "effect"
import { client, collect, converse, converseStream, modelId, outcome, tokensUsed, type Transport } from "./helpers.ts"

const transports: ReadonlyArray<Transport> = ["h1", "h2"]

const start = (options: Options.Options = {}, transport: Transport = "h1") =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({
      latency: LatencyModel.fixed(0),
      output: OutputModel.fixed(10),
      ...options
    })
    return { emulator, sdk: yield* client(emulator, transport) }
  })

describe("errors", () => {
  // Status and name as the SDK reports them: from the service model and AWS's documentation (copies of 2026).
  const rows: ReadonlyArray<readonly [Fault.ErrorName, number, name?: string]> = [
    ["ThrottlingException", 429],
    ["ModelNotReadyException", 429],
    ["ServiceUnavailableException", 503],
    ["InternalServerException", 500],
    ["ModelTimeoutException", 408],
    ["ModelErrorException", 424],
    ["ModelStreamErrorException", 424],
    ["ServiceQuotaExceededException", 400],
    ["ValidationException", 400],
    ["AccessDeniedException", 403],
    ["ResourceNotFoundException", 404],
    ["ConflictException", 400],
    ["ExpiredTokenException", 403],
    ["UnrecognizedClientException", 403],
    ["InvalidSignatureException", 403],
    ["MissingAuthenticationTokenException", 403],
    ["IncompleteSignature", 400],
    ["RequestExpired", 400],
    ["InternalFailure", 500],
    ["FTUFormNotFilled", 404],
    ["MPAgreementBeingCreated", 403],
    ["UnknownOperationException", 404],
    ["BadGateway", 502, "502"],
    ["GatewayTimeout", 504, "504"],
    ["Overloaded", 529, "529"]
  ]

  it("every error that can be asked for has its row here", () => {
    assert.deepStrictEqual(rows.map(([name]) => name), [...Fault.ErrorName.literals])
  })

  for (const transport of transports) {
    it.effect(`arrive at the SDK over ${transport} as what they are`, () =>
      Effect.gen(function*() {
        const { emulator, sdk } = yield* start({}, transport)
        for (const [name, status, seen] of rows) {
          yield* emulator.inject(Fault.error(name, { message: `about ${name}` }))
          const { error } = yield* Effect.flip(converse(sdk, "Hi", 10))
          assert.instanceOf(error, BedrockRuntimeServiceException, name)
          assert.strictEqual(error.$metadata?.httpStatusCode, status, name)
          assert.match(error.$metadata?.requestId ?? "", /^[0-9a-f-]{36}$/)
          if (seen === undefined) {
            assert.strictEqual(error.name, name)
            assert.strictEqual(error.message, `about ${name}`)
            assert.strictEqual(
              error.$response?.headers["x-amzn-errortype"],
              `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/`
            )
          } else assert.isUndefined(error.$response?.headers["x-amzn-errortype"])
        }
        // Refused before anything was generated: the tokens are given back.
        const { errors, tokens } = yield* emulator.stats
        assert.strictEqual(tokens.settled, 0)
        assert.strictEqual(Object.values(errors).reduce((sum, n) => sum + n, 0), rows.length)
      }))
  }

  it.effect("carry Retry-After and the members of ModelErrorException", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.error("Overloaded", { retryAfter: 7 }))
      const overloaded = yield* Effect.flip(converse(sdk, "Hi", 10))
      assert.strictEqual(overloaded.error.$response?.headers["retry-after"], "7")
      yield* emulator.inject(Fault.error("ModelErrorException", { originalStatusCode: 500, resourceName: "m" }))
      const { error } = yield* Effect.flip(converse(sdk, "Hi", 10))
      assert.instanceOf(error, ModelErrorException)
      assert.deepStrictEqual([error.originalStatusCode, error.resourceName], [500, "m"])
    }))

  it.effect("have AWS's own texts unless others are given", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      yield* emulator.inject(Fault.error("ServiceUnavailableException"))
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "Bedrock is unable to process your request.")
      yield* emulator.inject(Fault.error("ThrottlingException"))
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "Too many requests, please wait before trying again.")
    }))
})

describe("validation", () => {
  it.effect("refuses what Bedrock refuses, in its words, and charges nothing", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ maxOutput: 4096, contextWindow: 100 })
      const send = (input: object) =>
        Effect.tryPromise({
          try: () => sdk.send(new ConverseCommand({ modelId, ...input })),
          catch: (error) => error as BedrockRuntimeServiceException
        }).pipe(Effect.flip)
      const user = (text: string) => ({ role: "user", content: [{ text }] })
      const cases: ReadonlyArray<readonly [object, RegExp]> = [
        [{}, /messages/],
        [{ messages: [] }, /messages/],
        [{ messages: [{ role: "user", content: [] }] }, /content field in the Message object at messages\.0 is empty/],
        [{ messages: [{ role: "robot", content: [{ text: "Hi" }] }] }, /role/],
        [{ messages: [{ role: "assistant", content: [{ text: "Hi" }] }] }, /must start with a user message/],
        [{ messages: [user("Hi")], inferenceConfig: { maxTokens: 0 } }, /greater than or equal to 1/],
        [
          { messages: [user("Hi")], inferenceConfig: { maxTokens: 4097 } },
          /^The maximum tokens you requested exceeds the model limit of 4096\./
        ],
        [{ messages: [user("Hi ".repeat(100))] }, /^Input is too long for requested model\.$/],
        [{ messages: [user("Hi")], modelId: "no-such-thing" }, /^The provided model identifier is invalid\.$/],
        [{ messages: [user("Hi")], modelId: "arn:aws:s3:::bucket" }, /^The provided model identifier is invalid\.$/]
      ]
      for (const [input, message] of cases) {
        const error = yield* send(input)
        assert.strictEqual(error.name, "ValidationException", String(message))
        assert.match(error.message, message)
      }
      const stats = yield* emulator.stats
      assert.deepStrictEqual(stats.errors, { ValidationException: cases.length })
      assert.deepStrictEqual(stats.tokens, { reserved: 0, settled: 0 })
      assert.strictEqual(stats.requests, cases.length)
    }))

  it.effect("takes every kind of id that Bedrock takes", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      for (
        const id of [
          "anthropic.claude-3-sonnet-20240229-v1:0:200k",
          "us-gov.anthropic.claude-3-haiku-20240307-v1:0",
          "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:custom-model-deployment/abcdefghij12",
          "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
          "arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
          "arn:aws-cn:bedrock:cn-north-1:123456789012:imported-model/abcdefghij12",
          "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1",
          "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1",
          "arn:aws:sagemaker:us-east-1:123456789012:endpoint/my-endpoint"
        ]
      ) {
        assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, id)), "answered", id)
      }
    }))

  it.effect("knows only the models it is told of, if it is told", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ models: [modelId] })
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10)), "answered")
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 10, `us.${modelId}`)), "answered")
      assert.strictEqual(
        yield* outcome(converse(sdk, "Hi", 10, "amazon.nova-lite-v1:0")),
        "The provided model identifier is invalid."
      )
    }))

  it.effect("refuses a body over 25 MB", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ contextWindow: 1e9 })
      const megabytes = (n: number) => "a".repeat(n * 1024 * 1024)
      assert.strictEqual(yield* outcome(converse(sdk, megabytes(24), 10)), "answered")
      assert.match(yield* outcome(converse(sdk, megabytes(25), 10)), /length less than or equal to/)
    }))

  it.effect("refuses what is not JSON, and paths that it does not know", () =>
    Effect.gen(function*() {
      const { emulator } = yield* start()
      const post = (path: string, body: string) =>
        Effect.promise(() => fetch(`${emulator.url}${path}`, { method: "POST", body }).then((r) => r.status))
      assert.strictEqual(yield* post(`/model/${encodeURIComponent(modelId)}/converse`, "{"), 400)
      assert.strictEqual(yield* post("/model/%E0%A4%A/converse", "{}"), 400)
      assert.strictEqual(yield* post(`/model/${modelId}/sing`, "{}"), 404)
      assert.strictEqual(yield* post("/", "{}"), 404)
    }))

  it.effect("credentials: any will do, or some must be there", () =>
    Effect.gen(function*() {
      const send = (emulator: Emulator.Service) =>
        Effect.promise(() =>
          fetch(`${emulator.url}/model/${modelId}/converse`, {
            method: "POST",
            body: JSON.stringify({ messages: [{ role: "user", content: [{ text: "Hi" }] }] })
          }).then((r) => r.headers.get("x-amzn-errortype") ?? r.status)
        )
      const open = yield* start()
      assert.strictEqual(yield* send(open.emulator), 200)
      const closed = yield* start({ requireAuth: true })
      assert.match(String(yield* send(closed.emulator)), /^MissingAuthenticationTokenException:/)
      assert.strictEqual(yield* outcome(converse(closed.sdk, "Hi", 10)), "answered")
    }))
})

describe("event streams", () => {
  const codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes).toString("utf8"),
    (text) => Buffer.from(text, "utf8")
  )

  it.effect("frames decode with the SDK's codec, checksums included", () =>
    Effect.gen(function*() {
      const { emulator } = yield* start({ output: () => ({ text: "Größe 你好 👋 ".repeat(20), outputTokens: 200 }) })
      const response = yield* Effect.promise(() =>
        fetch(`${emulator.url}/model/${modelId}/converse-stream`, {
          method: "POST",
          body: JSON.stringify({ messages: [{ role: "user", content: [{ text: "Hi" }] }] })
        })
      )
      assert.strictEqual(response.headers.get("content-type"), "application/vnd.amazon.eventstream")
      const bytes = Buffer.from(yield* Effect.promise(() => response.arrayBuffer()))
      const types: Array<unknown> = []
      let text = ""
      for (let at = 0; at < bytes.length;) {
        const length = bytes.readUInt32BE(at)
        const { body, headers } = codec.decode(bytes.subarray(at, at + length))
        assert.strictEqual(headers[":message-type"]?.value, "event")
        assert.strictEqual(headers[":content-type"]?.value, "application/json")
        types.push(headers[":event-type"]?.value)
        const event = JSON.parse(Buffer.from(body).toString("utf8"))
        text += event.delta?.text ?? ""
        at += length
      }
      assert.deepStrictEqual([types.at(0), ...types.slice(-3)], [
        "messageStart",
        "contentBlockStop",
        "messageStop",
        "metadata"
      ])
      assert.strictEqual(text, "Größe 你好 👋 ".repeat(20))
    }))

  it.effect("stop for what they stop for", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      const stopped = (text: string, maxTokens: number) =>
        Effect.gen(function*() {
          const { stream } = yield* converseStream(sdk, text, maxTokens)
          const { events } = yield* collect(stream)
          return events.flatMap((event) => event.messageStop?.stopReason ?? [])
        })
      assert.deepStrictEqual(yield* stopped("Hi", 11), ["end_turn"])
      assert.deepStrictEqual(yield* stopped("Hi", 10), ["max_tokens"])
      assert.deepStrictEqual(yield* stopped("Hi [[emulate output=500]]", 30), ["max_tokens"])
    }))

  it.effect("can be a tool call, in one piece or streamed", () =>
    Effect.gen(function*() {
      const input = { city: "Paris", days: [1, 2] }
      const { sdk } = yield* start({ output: () => ({ toolUse: { name: "weather", input } }) })
      const whole = yield* converse(sdk, "Hi", 100)
      const toolUse = whole.output?.message?.content?.[0]?.toolUse
      assert.deepStrictEqual([toolUse?.name, toolUse?.input, whole.stopReason], ["weather", input, "tool_use"])
      const { stream } = yield* converseStream(sdk, "Hi", 100)
      const { events } = yield* collect(stream)
      assert.strictEqual(events[1]?.contentBlockStart?.start?.toolUse?.name, "weather")
      const json = events.map((event) => event.contentBlockDelta?.delta?.toolUse?.input ?? "").join("")
      assert.deepStrictEqual(JSON.parse(json), input)
    }))

  it.effect("can be any blocks, in one piece or event by event", () =>
    Effect.gen(function*() {
      const redacted = "c2VjcmV0"
      const citation = { title: "Report", location: { documentPage: { documentIndex: 0, start: 1, end: 2 } } }
      const { emulator, sdk } = yield* start({
        output: () => ({
          content: [
            { reasoningContent: { reasoningText: { text: "I should look.", signature: "sig" } } },
            { reasoningContent: { redactedContent: redacted } },
            { text: "Let me look at it, and then see." },
            { citationsContent: { content: [{ text: "It grew." }], citations: [citation] } },
            { toolUse: { toolUseId: "t-1", name: "look", input: { at: ["it"] } } }
          ],
          more: {
            trace: { promptRouter: { invokedModelId: "m" } },
            additionalModelResponseFields: { stop_sequence: "x" }
          }
        })
      })
      const whole = yield* converse(sdk, "Hi", 1_000)
      const [reasoning, hidden, text, cited, call] = whole.output?.message?.content ?? []
      assert.strictEqual(reasoning?.reasoningContent?.reasoningText?.signature, "sig")
      assert.deepStrictEqual(
        hidden?.reasoningContent?.redactedContent,
        new Uint8Array(Buffer.from(redacted, "base64"))
      )
      assert.strictEqual(text?.text, "Let me look at it, and then see.")
      assert.deepStrictEqual(cited?.citationsContent?.citations, [citation])
      assert.strictEqual(call?.toolUse?.toolUseId, "t-1")
      assert.strictEqual(whole.stopReason, "tool_use")
      assert.strictEqual(whole.trace?.promptRouter?.invokedModelId, "m")

      const { stream } = yield* converseStream(sdk, "Hi", 1_000)
      const { events } = yield* collect(stream)
      const deltas = (index: number) =>
        events.flatMap(({ contentBlockDelta }) =>
          contentBlockDelta?.contentBlockIndex === index ? [contentBlockDelta.delta] : []
        )
      assert.strictEqual(deltas(0).map((delta) => delta?.reasoningContent?.text ?? "").join(""), "I should look.")
      assert.strictEqual(deltas(0).at(-1)?.reasoningContent?.signature, "sig")
      assert.strictEqual(deltas(1)[0]?.reasoningContent?.redactedContent?.length, 6)
      assert.strictEqual(deltas(2).map((delta) => delta?.text).join(""), text?.text)
      assert.strictEqual(deltas(2).length, 4)
      assert.deepStrictEqual(deltas(3).map((delta) => delta?.citation), [undefined, citation])
      assert.deepStrictEqual(JSON.parse(deltas(4).map((delta) => delta?.toolUse?.input).join("")), { at: ["it"] })
      assert.strictEqual(events.filter(({ contentBlockStop }) => contentBlockStop !== undefined).length, 5)
      const [stop, metadata] = events.slice(-2)
      assert.deepStrictEqual(stop?.messageStop?.additionalModelResponseFields, { stop_sequence: "x" })
      assert.strictEqual(metadata?.metadata?.trace?.promptRouter?.invokedModelId, "m")
      assert.strictEqual(metadata?.metadata?.usage?.outputTokens, whole.usage?.outputTokens)
      assert.strictEqual((yield* emulator.stats).answered, 2)
    }))
})

/** What `JSON.parse` gives: the tests say what they expect in it. */
type Parsed = ReturnType<typeof JSON.parse>

describe("output functions", () => {
  it.effect("are told what was asked, and answer in their own words", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({
        output: ({ inputTokens, maxTokens, operation, prompt }) => ({
          text: `${operation} ${prompt} ${inputTokens} ${maxTokens}`,
          stopReason: "content_filtered"
        })
      })
      const { output, stopReason, usage } = yield* converse(sdk, "ping", 50)
      assert.strictEqual(output?.message?.content?.[0]?.text, "Converse ping 5 50")
      assert.deepStrictEqual([stopReason, usage?.outputTokens], ["content_filtered", 5])
      const stopped = yield* converse(sdk, "ping", 2)
      assert.deepStrictEqual([stopped.usage?.outputTokens, stopped.output?.message?.content?.[0]?.text], [2, "Conver"])
    }))

  it.effect("that are broken break their own request only", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({
        quota: { tokens: 1000 },
        output: ({ prompt }) => {
          if (prompt === "throw") throw new Error("no idea")
          return { outputTokens: prompt === "count" ? Number.NaN : 3 }
        }
      })
      assert.strictEqual(yield* outcome(converse(sdk, "throw", 50)), "The output function threw Error: no idea")
      assert.strictEqual(yield* outcome(converse(sdk, "count", 50)), "The output function gave NaN outputTokens.")
      assert.strictEqual(yield* tokensUsed(emulator), 0)
      assert.strictEqual(yield* outcome(converse(sdk, "Hi", 50)), "answered")
    }))
})

describe("InvokeModel", () => {
  const bodies: ReadonlyArray<readonly [model: string, body: object, read: (json: Parsed) => unknown]> = [
    [
      "anthropic.claude-sonnet-4-5-20250929-v1:0",
      { anthropic_version: "bedrock-2023-05-31", max_tokens: 100, messages: [{ role: "user", content: "Hi" }] },
      (json) => [json.content[0].text, json.usage.input_tokens, json.usage.output_tokens]
    ],
    [
      "us.amazon.nova-lite-v1:0",
      { messages: [{ role: "user", content: [{ text: "Hi" }] }], inferenceConfig: { maxTokens: 100 } },
      (json) => [json.output.message.content[0].text, json.usage.inputTokens, json.usage.outputTokens]
    ],
    [
      "amazon.titan-text-express-v1",
      { inputText: "Hi", textGenerationConfig: { maxTokenCount: 100 } },
      (json) => [json.results[0].outputText, json.inputTextTokenCount, json.results[0].tokenCount]
    ],
    [
      "meta.llama3-3-70b-instruct-v1:0",
      { prompt: "Hi", max_gen_len: 100 },
      (json) => [json.generation, json.prompt_token_count, json.generation_token_count]
    ],
    [
      "mistral.mistral-large-2402-v1:0",
      { prompt: "Hi", max_tokens: 100 },
      (json) => [json.outputs[0].text, 1, 10]
    ],
    [
      "openai.gpt-oss-120b-1:0",
      { messages: [{ role: "user", content: "Hi" }], max_tokens: 100 },
      (json) => [json.choices[0].message.content, json.usage.prompt_tokens, json.usage.completion_tokens]
    ],
    [
      "ai21.jamba-1-5-mini-v1:0",
      { messages: [{ role: "user", content: "Hi" }], max_tokens: 100 },
      (json) => [json.choices[0].message.content, json.usage.prompt_tokens, json.usage.completion_tokens]
    ],
    [
      "us.deepseek.r1-v1:0",
      { prompt: "Hi", max_tokens: 100 },
      (json) => [json.choices[0].text, json.usage.prompt_tokens, json.usage.completion_tokens]
    ],
    ["cohere.command-r-v1:0", { message: "Hi", max_tokens: 100 }, (json) => [json.text, 1, 10]],
    ["cohere.command-text-v14", { prompt: "Hi", max_tokens: 100 }, (json) => [json.generations[0].text, 1, 10]],
    ["us.twelvelabs.pegasus-1-2-v1:0", { inputPrompt: "Hi", maxOutputTokens: 100 }, (json) => [json.message, 1, 10]],
    // Told by the body: the id of an imported model says nothing.
    [
      "arn:aws:bedrock:us-east-1:111122223333:imported-model/a1b2c3",
      { prompt: "Hi", max_gen_len: 100 },
      (json) => [json.generation, json.prompt_token_count, json.generation_token_count]
    ],
    [
      "arn:aws:bedrock:us-east-1:111122223333:imported-model/a1b2c3",
      { prompt: "Hi", max_tokens: 100 },
      (json) => [json.choices[0].text, json.usage.prompt_tokens, json.usage.completion_tokens]
    ]
  ]

  const invoke = (sdk: Effect.Success<ReturnType<typeof client>>, model: string, body: object) => {
    let headers: Record<string, string> = {}
    const command = new InvokeModelCommand({ modelId: model, body: JSON.stringify(body) })
    // Usage is in headers that are not modelled: this is how one reads them.
    command.middlewareStack.add((next) => async (args) => {
      const result = await next(args)
      headers = (result.response as { headers: Record<string, string> }).headers
      return result
    }, { step: "deserialize", name: "headers" })
    return Effect.promise(() => sdk.send(command)).pipe(
      Effect.map((output) => ({ json: JSON.parse(output.body.transformToString()), headers }))
    )
  }

  it.effect.each(bodies)("answers in the format of %s", ([model, body, read]) =>
    Effect.gen(function*() {
      const { sdk, emulator } = yield* start()
      const { headers, json } = yield* invoke(sdk, model, body)
      const [text, inputTokens, outputTokens] = read(json) as [string, number, number]
      assert.strictEqual(text.split(" ").length, 10)
      assert.strictEqual(outputTokens, 10)
      assert.strictEqual(headers["x-amzn-bedrock-input-token-count"], String(inputTokens))
      assert.strictEqual(headers["x-amzn-bedrock-output-token-count"], "10")
      assert.match(headers["x-amzn-bedrock-invocation-latency"] ?? "", /^[0-9]+$/)
      assert.deepStrictEqual((yield* emulator.stats).tokens, { reserved: inputTokens + 100, settled: inputTokens + 10 })
    }))

  it.effect.each(bodies)("streams in the format of %s", ([model, body]) =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      const output = yield* Effect.promise(() =>
        sdk.send(new InvokeModelWithResponseStreamCommand({ modelId: model, body: JSON.stringify(body) }))
      )
      assert.strictEqual(output.contentType, "application/json")
      const { events } = yield* collect(output.body)
      const chunks = events.map((event) => JSON.parse(Buffer.from(event.chunk?.bytes ?? []).toString("utf8")))
      const text = chunks.map((chunk) =>
        chunk.delta?.text ?? chunk.contentBlockDelta?.delta.text ?? chunk.outputText ?? chunk.generation ??
          chunk.outputs?.[0].text ?? chunk.choices?.[0].delta?.content ?? chunk.choices?.[0].text ?? chunk.text ??
          (typeof chunk.message === "string" ? chunk.message : "")
      ).join("")
      assert.strictEqual(text.split(" ").length, 10)
      const metrics = chunks.map((chunk) => chunk["amazon-bedrock-invocationMetrics"])
      assert.deepStrictEqual(metrics.slice(0, -1).filter((one) => one !== undefined), [])
      assert.strictEqual(metrics.at(-1)?.outputTokenCount, 10)
      assert.isAtLeast(metrics.at(-1)?.inputTokenCount, 1)
      assert.isAtLeast(metrics.at(-1)?.invocationLatency, metrics.at(-1)?.firstByteLatency)
    }))

  it.effect("embeds texts", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      const titan = yield* invoke(sdk, "amazon.titan-embed-text-v2:0", { inputText: "one two", dimensions: 256 })
      assert.strictEqual(titan.json.embedding.length, 256)
      assert.strictEqual(titan.json.inputTextTokenCount, 2)
      const again = yield* invoke(sdk, "amazon.titan-embed-text-v2:0", { inputText: "one two", dimensions: 256 })
      assert.deepStrictEqual(again.json.embedding, titan.json.embedding)
      assert.approximately(Math.hypot(...titan.json.embedding), 1, 1e-6)
      const raw = yield* invoke(sdk, "amazon.titan-embed-text-v2:0", { inputText: "one two", normalize: false })
      assert.isAbove(Math.hypot(...raw.json.embedding), 2)
      const cohere = yield* invoke(sdk, "cohere.embed-english-v3", { texts: ["a", "b"], input_type: "search_query" })
      assert.deepStrictEqual(cohere.json.embeddings.map((vector: Array<number>) => vector.length), [1024, 1024])
      assert.notDeepEqual(cohere.json.embeddings[0], cohere.json.embeddings[1])
      const turned = yield* invoke(sdk, "cohere.embed-english-v3", { texts: ["b", "a"], input_type: "search_query" })
      assert.deepStrictEqual(turned.json.embeddings, cohere.json.embeddings.toReversed())
    }))

  const texts = (count: number, length: number) => ({
    input_type: "clustering",
    texts: Array.from({ length: count }, () => "a".repeat(length))
  })
  const refused: ReadonlyArray<readonly [what: string, model: string, body: object, message: RegExp | undefined]> = [
    ["96 texts of 2,048 characters", "cohere.embed-english-v3", texts(96, 2_048), undefined],
    ["another text", "cohere.embed-english-v3", texts(97, 1), /maximum item count: 96, found: 97/],
    [
      "another character",
      "cohere.embed-english-v3",
      texts(1, 2_049),
      /texts\/0: expected maxLength: 2048, actual: 2049/
    ],
    ["a long text of the next version", "us.cohere.embed-v4:0", texts(96, 2_049), undefined],
    ["too many of them", "us.cohere.embed-v4:0", texts(97, 1), /maximum item count: 96/],
    ["texts without their type", "cohere.embed-english-v3", { texts: ["a"] }, /input_type/],
    [
      "50,000 characters, twice as many units",
      "amazon.titan-embed-text-v2:0",
      { inputText: "😀".repeat(50_000) },
      undefined
    ],
    ["one more", "amazon.titan-embed-text-v2:0", { inputText: "a".repeat(50_001) }, /maxLength: 50000/],
    ["no such length", "amazon.titan-embed-text-v2:0", { inputText: "a", dimensions: 384 }, /384 is not a valid enum/],
    ["one of another model", "amazon.titan-embed-image-v1", {
      inputText: "a",
      embeddingConfig: { outputEmbeddingLength: 384 }
    }, undefined]
  ]

  it.effect.each(refused)(
    "takes no more than the model does: %s",
    ([, model, body, message]) =>
      Effect.gen(function*() {
        const { sdk } = yield* start()
        const sent = yield* Effect.result(Effect.tryPromise({
          try: () => sdk.send(new InvokeModelCommand({ modelId: model, body: JSON.stringify(body) })),
          catch: (error) => error as BedrockRuntimeServiceException
        }))
        if (message === undefined) return assert.isTrue(Result.isSuccess(sent))
        if (Result.isSuccess(sent)) return assert.fail("it was taken")
        assert.strictEqual(sent.failure.name, "ValidationException")
        assert.match(sent.failure.message, message)
      })
  )

  const embeddings: ReadonlyArray<
    readonly [model: string, body: object, tokens: number, read: (json: Parsed) => unknown]
  > = [
    ["amazon.titan-embed-text-v1", { inputText: "one two" }, 2, (json) => [json.inputTextTokenCount, json.embedding]],
    [
      "amazon.titan-embed-image-v1",
      { inputImage: "aGVsbG8=", embeddingConfig: { outputEmbeddingLength: 256 } },
      0,
      (json) => [json.inputTextTokenCount, json.embedding]
    ],
    [
      "amazon.nova-2-multimodal-embeddings-v1:0",
      {
        taskType: "SINGLE_EMBEDDING",
        singleEmbeddingParams: { embeddingDimension: 256, text: { truncationMode: "END", value: "one two" } }
      },
      2,
      (json) => [json.inputTokenCount, json.embeddings[0].embedding]
    ],
    [
      "us.cohere.embed-v4:0",
      { input_type: "search_query", inputs: [{ content: [{ type: "text", text: "one two" }] }], max_tokens: 128_000 },
      2,
      (json) => [json.usage, json.embeddings.float[0]]
    ],
    ["us.twelvelabs.marengo-embed-2-7-v1:0", { inputType: "text", inputText: "one two" }, 2, (json) => [
      json.usage,
      json.data.embedding
    ]]
  ]

  it.effect.each(embeddings)(
    "%s tells its input alone, and reserves nothing for output",
    ([model, body, tokens, read]) =>
      Effect.gen(function*() {
        const { emulator, sdk } = yield* start()
        const { headers, json } = yield* invoke(sdk, model, body)
        const [told, vector] = read(json) as [number | undefined, Array<number>]
        assert.isTrue(told === undefined || told === tokens)
        assert.include([256, 1024, 1536], vector.length)
        assert.strictEqual(headers["x-amzn-bedrock-input-token-count"], String(tokens))
        assert.isUndefined(headers["x-amzn-bedrock-output-token-count"])
        assert.deepStrictEqual((yield* emulator.stats).tokens, { reserved: tokens, settled: tokens })
        const error = yield* Effect.tryPromise({
          try: () => sdk.send(new InvokeModelWithResponseStreamCommand({ modelId: model, body: JSON.stringify(body) })),
          catch: (error) => error as BedrockRuntimeServiceException
        }).pipe(Effect.flip)
        assert.strictEqual(error.message, "The model is unsupported for streaming.")
      })
  )

  it.effect("ranks without telling any tokens, and takes none", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      const body = { query: "one", documents: ["one", "two"], api_version: 2 }
      const { headers, json } = yield* invoke(sdk, "cohere.rerank-v3-5:0", body)
      assert.strictEqual(json.results.length, 2)
      assert.isDefined(headers["x-amzn-bedrock-invocation-latency"])
      assert.isUndefined(headers["x-amzn-bedrock-input-token-count"])
      assert.deepStrictEqual((yield* emulator.stats).tokens, { reserved: 0, settled: 0 })
    }))

  it.effect("tells its usage in the body alone where it is told to", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ usageHeaders: false })
      const model = "meta.llama3-3-70b-instruct-v1:0"
      const { headers, json } = yield* invoke(sdk, model, { prompt: "Hi", max_gen_len: 100 })
      assert.strictEqual(json.generation_token_count, 10)
      assert.isDefined(headers["x-amzn-bedrock-invocation-latency"])
      assert.isUndefined(headers["x-amzn-bedrock-input-token-count"])
      assert.isUndefined(headers["x-amzn-bedrock-output-token-count"])
      const output = yield* Effect.promise(() =>
        sdk.send(
          new InvokeModelWithResponseStreamCommand({
            modelId: model,
            body: JSON.stringify({ prompt: "Hi", max_gen_len: 100 })
          })
        )
      )
      const { events } = yield* collect(output.body)
      const chunks = events.map((event) => JSON.parse(Buffer.from(event.chunk?.bytes ?? []).toString("utf8")))
      assert.isTrue(chunks.every((chunk) => chunk["amazon-bedrock-invocationMetrics"] === undefined))
      assert.strictEqual(chunks.at(-1)?.generation_token_count, 10)
      assert.strictEqual(chunks[0]?.prompt_token_count, 1)
    }))

  it.effect("a tool call in the Anthropic format, and prompts that are cached", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start({ output: () => ({ toolUse: { name: "weather", input: { city: "Paris" } } }) })
      const body = {
        anthropic_version: "bedrock-2023-05-31",
        max_tokens: 100,
        system: [{ type: "text", text: "word ".repeat(2000), cache_control: { type: "ephemeral" } }],
        messages: [{ role: "user", content: "Hi" }]
      }
      const first = yield* invoke(sdk, modelId, body)
      assert.deepStrictEqual(first.json.content[0].input, { city: "Paris" })
      assert.strictEqual(first.json.usage.cache_creation_input_tokens, 2000)
      const { headers } = yield* invoke(sdk, modelId, body)
      assert.strictEqual(headers["x-amzn-bedrock-cache-read-input-token-count"], "2000")
      assert.strictEqual(headers["x-amzn-bedrock-cache-write-input-token-count"], "0")
    }))

  it.effect("refuses bodies of the wrong shape", () =>
    Effect.gen(function*() {
      const { sdk } = yield* start()
      for (
        const [model, body] of [
          [modelId, { messages: [{ role: "user", content: "Hi" }] }],
          [modelId, { max_tokens: 10, messages: [] }],
          ["meta.llama3-3-70b-instruct-v1:0", { inputText: "Hi" }],
          ["amazon.titan-text-express-v1", { prompt: "Hi" }],
          ["cohere.embed-english-v3", { input_type: "search_query" }],
          ["amazon.nova-2-multimodal-embeddings-v1:0", { inputText: "Hi" }],
          ["twelvelabs.marengo-embed-2-7-v1:0", { inputText: "Hi" }],
          ["twelvelabs.pegasus-1-2-v1:0", { prompt: "Hi" }],
          ["cohere.command-r-v1:0", { prompt: "Hi" }],
          ["cohere.command-text-v14", { message: "Hi" }],
          ["cohere.rerank-v3-5:0", { query: "Hi" }],
          ["deepseek.r1-v1:0", { messages: [] }],
          ["openai.gpt-oss-20b-1:0", { messages: [] }]
        ] as const
      ) {
        const error = yield* Effect.tryPromise({
          try: () => sdk.send(new InvokeModelCommand({ modelId: model, body: JSON.stringify(body) })),
          catch: (error) => error as BedrockRuntimeServiceException
        }).pipe(Effect.flip)
        assert.strictEqual(error.name, "ValidationException")
      }
    }))
})

describe("CountTokens", () => {
  it.effect("is free of charge, and counts as usage does", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start({ quota: { requests: 1 } })
      const converse = {
        system: [{ text: "Be brief." }],
        messages: [{ role: "user" as const, content: [{ text: "What is 12345 + 1?\nThink." }] }]
      }
      const invokeModel = {
        body: Buffer.from(JSON.stringify({
          anthropic_version: "bedrock-2023-05-31",
          max_tokens: 10,
          system: "Be brief.",
          messages: [{ role: "user", content: "What is 12345 + 1?\nThink." }]
        }))
      }
      const count = (input: ConstructorParameters<typeof CountTokensCommand>[0]["input"]) =>
        Effect.promise(() => sdk.send(new CountTokensCommand({ modelId, input }))).pipe(
          Effect.map(({ inputTokens }) => inputTokens)
        )
      const counted = yield* count({ converse })
      assert.strictEqual(yield* count({ invokeModel }), counted)
      const answer = yield* Effect.promise(() =>
        sdk.send(new ConverseCommand({ modelId, ...converse, inferenceConfig: { maxTokens: 10 } }))
      )
      assert.strictEqual(answer.usage?.inputTokens, counted)
      assert.strictEqual(yield* count({ converse }), counted)
      assert.strictEqual((yield* emulator.stats).answered, 4)
    }))

  it.effect("can fail like the others", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* start()
      const input = { converse: { messages: [{ role: "user" as const, content: [{ text: "Hi" }] }] } }
      const send = Effect.tryPromise({
        try: () => sdk.send(new CountTokensCommand({ modelId, input })),
        catch: (error) => error as BedrockRuntimeServiceException
      }).pipe(Effect.flip)
      yield* emulator.inject(Fault.error("AccessDeniedException"), { operation: "CountTokens" })
      assert.strictEqual((yield* send).name, "AccessDeniedException")
      yield* emulator.inject(Fault.reset, { operation: "CountTokens" })
      assert.strictEqual((yield* send).message, "read ECONNRESET")
    }))
})
