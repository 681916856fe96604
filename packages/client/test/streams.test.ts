import type { ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import { AnswerContent } from "@caprock/client"
import type { BedrockError } from "@caprock/errors/BedrockError"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import type * as Http from "node:http"
import {
  chunk,
  clientOf,
  event,
  eventually,
  exception,
  frames,
  rawEvent,
  rawFrame,
  request,
  server,
  startStream,
  unmodelled
} from "./server.ts"

type Ending = (response: Http.ServerResponse) => void

const end: Ending = (response) => response.end()
const cut: Ending = (response) => {
  // The bytes before must get out first.
  setImmediate(() => response.socket?.resetAndDestroy())
}

const whole = [frames.start, frames.text("Hel"), frames.text("lo."), frames.blockStop, frames.stop, frames.metadata]

/** Runs one stream against a server that writes these bytes and then ends so. */
const run = (bytes: ReadonlyArray<Uint8Array>, ending: Ending) =>
  Effect.gen(function*() {
    const { open, opened, url } = yield* server((_request, response) => {
      startStream(response).write(Buffer.concat(bytes), () => ending(response))
    })
    const client = yield* clientOf(url)
    const events: Array<ConverseStreamOutput> = []
    const result = yield* client.converseStream(request).pipe(
      Stream.runForEach((event) => Effect.sync(() => events.push(event))),
      Effect.result
    )
    return { result, events, open, opened, client }
  })

const failure = (run_: Effect.Success<ReturnType<typeof run>>): BedrockError => {
  if (run_.result._tag === "Success") return assert.fail("the stream ended well")
  return run_.result.failure
}

const interrupted = (error: BedrockError) =>
  error.reason._tag === "InterruptedStreamError" ? error.reason : assert.fail(error.message)

describe("converseStream", () => {
  it.effect("gives every event of a whole answer, and keeps the connection", () =>
    Effect.gen(function*() {
      const { client, events, opened, result } = yield* run(whole, end)
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(events.map((event) => Object.keys(event)[0]), [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata"
      ])
      yield* Stream.runDrain(client.converseStream(request))
      assert.strictEqual(opened(), 1)
    }))

  it.effect.each([0, 1, 2, 3, 4, 5])(
    "fails when the server ends it cleanly after %i of 6 events",
    (count) =>
      Effect.gen(function*() {
        const error = failure(yield* run(whole.slice(0, count), end))
        const reason = interrupted(error)
        assert.strictEqual(reason.content, count >= 2)
        assert.strictEqual(reason.partial.text, count >= 3 ? "Hello." : count === 2 ? "Hel" : "")
        assert.strictEqual(reason.partial.stopReason, count === 5 ? "end_turn" : undefined)
        assert.isUndefined(reason.origin)
        assert.strictEqual(error.retryable, count < 2)
        assert.strictEqual(error.attempts, 1)
        assert.strictEqual(error.requestId, "request-1")
      })
  )

  it.effect("fails when the metadata are there and the stop is not", () =>
    Effect.gen(function*() {
      const reason = interrupted(failure(yield* run([frames.start, frames.text("a"), frames.metadata], end)))
      assert.deepStrictEqual(reason.partial, { text: "a", usage: { inputTokens: 7, outputTokens: 3 } })
    }))

  it.effect("carries the input of the tool call that was being written, and of no other", () =>
    Effect.gen(function*() {
      const start = event("contentBlockStart", {
        contentBlockIndex: 1,
        start: { toolUse: { toolUseId: "t", name: "f" } }
      })
      const input = (input: string) =>
        event("contentBlockDelta", { contentBlockIndex: 1, delta: { toolUse: { input } } })
      const first = [frames.start, start, input("{\"a\":"), input("1}"), frames.blockStop]
      const one = interrupted(failure(yield* run([frames.start, start], end)))
      assert.deepStrictEqual([one.content, one.partial], [true, { text: "", toolInput: "" }])
      const two = interrupted(failure(yield* run([...first, start, input("{\"b\"")], end)))
      assert.strictEqual(two.partial.toolInput, "{\"b\"")
    }))

  it.effect("takes the start of a block that says nothing for no content", () =>
    Effect.gen(function*() {
      const start = event("contentBlockStart", { contentBlockIndex: 0 })
      const error = failure(yield* run([frames.start, start], end))
      assert.isFalse(interrupted(error).content)
      assert.isTrue(error.retryable)
    }))

  it.effect("does not mind how the connection ends after a whole answer", () =>
    Effect.gen(function*() {
      const { events, result } = yield* run(whole, cut)
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(events.length, 6)
    }))

  it.effect("carries the partial text and the reset when the connection is cut after content", () =>
    Effect.gen(function*() {
      const error = failure(yield* run(whole.slice(0, 3), cut))
      const reason = interrupted(error)
      assert.strictEqual(reason.partial.text, "Hello.")
      assert.isTrue(reason.content)
      assert.strictEqual(reason.origin?._tag, "TransportError")
      assert.isFalse(error.retryable)
      assert.isDefined(error.cause)
    }))

  it.effect("is the reset itself when the connection is cut before content", () =>
    Effect.gen(function*() {
      const error = failure(yield* run(whole.slice(0, 1), cut))
      assert.strictEqual(error.reason._tag, "TransportError")
      assert.isTrue(error.retryable)
    }))

  const inBand = [
    ["throttlingException", "Too many tokens, please wait before trying again.", "ThrottlingError"],
    ["internalServerException", "oops", "ServerError"],
    ["modelStreamErrorException", "oops", "ServerError"],
    ["serviceUnavailableException", "oops", "ServerError"],
    ["validationException", "wrong", "ValidationError"],
    ["modelTimeoutException", "not in this union", "ServerError"],
    ["neverHeardOfException", "news", "UnknownError"]
  ] as const

  // `send` itself rejects here, and adds its own words to the name of what it does not know.
  it.effect.each(inBand.slice(0, -1))(
    "%s in the first frame is the error",
    ([name, message, tag]) =>
      Effect.gen(function*() {
        const { open, result } = yield* run([exception(name, message)], () => {})
        assert.strictEqual(result._tag === "Failure" && result.failure.reason._tag, tag)
        assert.strictEqual(result._tag === "Failure" && result.failure.attempts, 1)
        // The server had left the response open: nobody would have read the rest of it.
        yield* eventually(() => open.size === 0)
      })
  )

  it.effect.each(inBand)("%s before content is the error", ([name, message, tag]) =>
    Effect.gen(function*() {
      const error = failure(yield* run([frames.start, exception(name, message)], end))
      assert.strictEqual(error.reason._tag, tag)
    }))

  it.effect.each(inBand)("%s after content is an interruption by it", ([name, message, tag]) =>
    Effect.gen(function*() {
      const error = failure(yield* run([frames.start, frames.text("Hel"), exception(name, message)], end))
      const reason = interrupted(error)
      assert.strictEqual(reason.partial.text, "Hel")
      assert.strictEqual(reason.origin?._tag, tag)
      assert.isFalse(error.retryable)
    }))

  it.effect("reads an error without a model", () =>
    Effect.gen(function*() {
      const error = failure(
        yield* run([frames.start, frames.text("a"), unmodelled("InternalFailure", "We broke it")], end)
      )
      assert.strictEqual(interrupted(error).origin?._tag, "ServerError")
    }))

  it.effect.each([1, 3, 5, 20])("fails on a frame of which only %i bytes arrive", (length) =>
    Effect.gen(function*() {
      const bytes = [frames.start, frames.text("a"), frames.stop.slice(0, length)]
      const reason = interrupted(failure(yield* run(bytes, end)))
      assert.strictEqual(reason.partial.text, "a")
    }))

  const bytes = Buffer.concat(whole)
  const offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: bytes.length }))
  const boundaries = whole.map((_frame, index) => Buffer.concat(whole.slice(0, index + 1)).length)

  it.effect.prop(
    "cut at any byte, in either way: whole exactly when all of it arrived, else with the text that did",
    { offset, clean: Schema.Boolean },
    ({ clean, offset }) =>
      Effect.gen(function*() {
        const { events, result } = yield* run([bytes.subarray(0, offset)], clean ? end : cut)
        const arrived = boundaries.filter((boundary) => boundary <= offset).length
        const text = events.map((event) => event.contentBlockDelta?.delta?.text ?? "").join("")
        // A reset may overtake the last bytes, so fewer events may have been read than had been sent.
        if (clean) assert.strictEqual(events.length, arrived)
        else assert.isAtMost(events.length, arrived)
        if (result._tag === "Success") {
          assert.strictEqual(events.length, whole.length)
          return
        }
        assert.isBelow(events.length, whole.length)
        const { reason } = result.failure
        if (events.length >= 2) {
          assert.strictEqual(interrupted(result.failure).partial.text, text)
          assert.isTrue(interrupted(result.failure).content)
        } else if (reason._tag === "InterruptedStreamError") assert.isFalse(reason.content)
        assert.strictEqual(result.failure.retryable, events.length < 2)
      }),
    { arbitrary: { runs: 150 } }
  )

  const damaged = (frame: Uint8Array, at: number) => frame.with(at, (frame.at(at) ?? 0) ^ 0xff)
  const noBytes = new Uint8Array()
  /** Headers that say the type of a message, of five letters, and of an event. */
  const type = (message: string, event: string) =>
    Buffer.from(`\x0d:message-type\x07\0\x05${message}\x0b:event-type${event}`, "latin1")

  const garbage: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
    ["a payload that was damaged", damaged(frames.text("b"), -8)],
    ["a checksum that was damaged", damaged(frames.text("b"), -1)],
    ["the checksum of the prelude damaged", damaged(frames.text("b"), 9)],
    ["a length of nothing", rawFrame(noBytes, "", 0)],
    ["a length below the smallest", rawFrame(noBytes, "", 9)],
    ["a length that none has", rawFrame(noBytes, "x", 0xffff_ffff)],
    ["a length beyond what comes", rawFrame(noBytes, "x", 1_000_000)],
    ["no frame at all", Buffer.from("<html>502 Bad Gateway</html>")],
    ["headers that are none", rawFrame(new Uint8Array([200, 1, 2, 3]), "{}")],
    ["a header of a type that is none", rawFrame(new Uint8Array([1, 97, 77]), "{}")],
    // The SDK would take what follows for the rest of the value: an event that nobody knows, and passes over.
    ["a text for a header that goes beyond them", rawFrame(type("event", "\x07\0\x0aholo"), "gram{}")],
    ["bytes for a header that go beyond them", rawFrame(type("event", "\x07\0\x04holo\x01x\x06\0\x03ab"), "{}")],
    ["a number for a header that goes beyond them", rawFrame(type("event", "\x07\0\x04holo\x01x\x05abcdefg"), "{}")],
    ["no headers", rawFrame(noBytes, "{}")],
    [
      "a type of message that is none",
      rawFrame(type("other", "\x07\0\x01x"), "{}")
    ],
    ["the name of an event for an exception", exception("messageStop", "no exception")],
    ["a payload that is not JSON", rawEvent("contentBlockDelta", "{nope")],
    ["a payload of null", rawEvent("contentBlockDelta", "null")],
    ["an end of null", rawEvent("messageStop", "null")]
  ]

  it.effect.each(garbage)(
    "a frame with %s breaks the stream off, and only before content is it asked again",
    ([, bytes]) =>
      Effect.gen(function*() {
        for (const before of [[], [frames.start], [frames.start, frames.text("a")]]) {
          const { events, result } = yield* run([...before, bytes, frames.stop, frames.metadata], end)
          if (result._tag === "Success") return assert.fail("the stream ended well")
          assert.strictEqual(events.length, before.length)
          const { reason } = result.failure
          if (before.length === 2) {
            assert.strictEqual(interrupted(result.failure).partial.text, "a")
            assert.strictEqual(interrupted(result.failure).origin?._tag, "TransportError")
          } else {
            assert.strictEqual(reason._tag, "TransportError", result.failure.message)
          }
          assert.strictEqual(result.failure.retryable, before.length < 2)
        }
      })
  )

  it.effect.each([
    event("hologramStart", { depth: 3 }),
    // The SDK takes these for members of the answer, as they are in other protocols than Bedrock's.
    event("initial-response", { role: "assistant" })
  ])("passes over events of types that are yet to come, wherever they stand", (news) =>
    Effect.gen(function*() {
      const { events, result } = yield* run(whole.flatMap((frame) => [news, frame]), end)
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(events.length, whole.length)
    }))

  it.effect("hands on what it does not know inside an event", () =>
    Effect.gen(function*() {
      const news = event("contentBlockDelta", { contentBlockIndex: 0, delta: { hologram: { depth: 3 } } })
      const { events, result } = yield* run([frames.start, news, ...whole.slice(1)], end)
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(events[1]?.contentBlockDelta?.delta, { $unknown: ["hologram", { depth: 3 }] })
    }))

  it.effect("gives what came before a frame that is damaged, though all came at once", () =>
    Effect.gen(function*() {
      const huge = rawFrame(noBytes, "", 0xffff_ffff)
      const { events, result } = yield* run([Buffer.concat([...whole.slice(0, 3), huge, ...whole.slice(3)])], end)
      assert.strictEqual(events.length, 3)
      const { origin, partial } = interrupted(result._tag === "Failure" ? result.failure : assert.fail("it ended well"))
      assert.strictEqual(partial.text, "Hello.")
      assert.deepInclude(origin, { _tag: "TransportError", kind: "protocol" })
    }))

  it.effect("gives what arrived together at once, few at a time, and what arrives alone alone", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      let write = (_bytes: Uint8Array): void => {}
      const { opened, url } = yield* server((_request, response) => {
        startStream(response)
        write = (bytes) => void response.write(bytes)
        write(Buffer.concat([frames.start, ...Array.from({ length: 69 }, () => frames.text("a"))]))
      })
      const client = yield* clientOf(url)
      const reading = yield* client.converseStream(request).pipe(
        Stream.mapArray((events) => {
          sizes.push(events.length)
          return events
        }),
        Stream.tap((event) =>
          Effect.sync(() => {
            if (event.contentBlockStop !== undefined) write(frames.stop)
            if (event.messageStop !== undefined) write(frames.metadata)
            if (event.metadata !== undefined) write(frames.text("late"))
          })
        ),
        Stream.takeUntil((event) => event.contentBlockDelta?.delta?.text === "late"),
        Stream.runCount,
        Effect.forkChild
      )
      yield* eventually(() => sizes.length === 3)
      write(frames.blockStop)
      assert.strictEqual(yield* Fiber.join(reading), 74)
      assert.deepStrictEqual(sizes, [32, 32, 6, 1, 1, 1, 1])
      assert.strictEqual(opened(), 1)
    }))

  it.effect("finds the messages whatever pieces they arrive in", () =>
    Effect.gen(function*() {
      const bytes = Buffer.concat(whole)
      for (const size of [1, 2, 11, 13, 100]) {
        const { url } = yield* server((_request, response) => {
          startStream(response)
          const send = (from: number): void => {
            if (from >= bytes.length) return void response.end()
            response.write(bytes.subarray(from, from + size), () => setImmediate(send, from + size))
          }
          send(0)
        })
        const client = yield* clientOf(url)
        const events = yield* Stream.runCollect(client.converseStream(request))
        assert.strictEqual(events.length, whole.length)
      }
    }))

  it.effect("takes for text only what is one", () =>
    Effect.gen(function*() {
      const number = event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: 5 } })
      const input = event("contentBlockDelta", { contentBlockIndex: 0, delta: { toolUse: { input: {} } } })
      const { partial } = interrupted(failure(yield* run([frames.start, frames.text("a"), number, input], end)))
      assert.deepStrictEqual(partial, { text: "a" })
    }))

  it.effect("names the request where an exception comes before content", () =>
    Effect.gen(function*() {
      const error = failure(yield* run([frames.start, exception("throttlingException", "Too many tokens")], end))
      assert.strictEqual(error.requestId, "request-1")
    }))

  it.effect("hands on what comes after the end of the answer, and not forever", () =>
    Effect.gen(function*() {
      const { events, open, result } = yield* run(
        [...whole, ...Array.from({ length: 1_000 }, () => frames.text("more"))],
        () => {}
      )
      assert.strictEqual(result._tag, "Success")
      assert.isAbove(events.length, whole.length)
      assert.isBelow(events.length, 100)
      yield* eventually(() => open.size === 0)
    }))

  it.effect("carries no stop reason that is none", () =>
    Effect.gen(function*() {
      const error = failure(yield* run([...whole.slice(0, 4), event("messageStop", { stopReason: 5 })], end))
      assert.isUndefined(interrupted(error).partial.stopReason)
    }))
})

describe("invokeModelWithResponseStream", () => {
  const text = (text: string) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })
  const metrics = {
    "amazon-bedrock-invocationMetrics": { inputTokenCount: 5, outputTokenCount: 2, invocationLatency: 1 }
  }
  const invoke = (bytes: ReadonlyArray<Uint8Array>, ending: Ending) =>
    Effect.gen(function*() {
      const { url } = yield* server((_request, response) => {
        startStream(response).write(Buffer.concat(bytes), () => ending(response))
      })
      const client = yield* clientOf(url)
      return yield* client.invokeModelWithResponseStream({ modelId: "m", body: "{}" }).pipe(
        Stream.runCount,
        Effect.result
      )
    })

  it.effect.each(
    [
      ["Anthropic", [{ type: "message_start" }, text("a"), { type: "message_stop" }]],
      ["Anthropic with metrics", [{ type: "message_start" }, text("a"), { type: "message_stop", ...metrics }]],
      ["Nova", [
        { messageStart: {} },
        { contentBlockDelta: { delta: { text: "a" } } },
        { messageStop: { stopReason: "end_turn" } },
        { metadata: { usage: {} }, ...metrics }
      ]],
      ["Titan", [{ outputText: "a", completionReason: null }, { outputText: "b", completionReason: "FINISH" }]],
      ["Llama", [{ generation: "a", stop_reason: null }, { generation: "", stop_reason: "stop" }]],
      ["Mistral", [{ outputs: [{ text: "a", stop_reason: null }] }, { outputs: [{ text: "", stop_reason: "stop" }] }]],
      ["OpenAI", [
        { choices: [{ delta: { content: "a" }, finish_reason: null }] },
        { choices: [{ delta: {}, finish_reason: "stop" }] }
      ]],
      ["Cohere", [{ event_type: "text-generation", text: "a", is_finished: false }, {
        event_type: "stream-end",
        is_finished: true
      }]],
      ["metrics alone", [{ anything: 1 }, metrics]],
      ["unknown JSON", [{ anything: 1 }]],
      ["no JSON", ["plain text"]]
    ] as const
  )("is whole: %s", ([_name, chunks]) =>
    Effect.gen(function*() {
      const result = yield* invoke(chunks.map((json) => chunk(json)), end)
      assert.strictEqual(result._tag === "Success" && result.success, chunks.length)
    }))

  it.effect.each(
    [
      ["nothing", [], ""],
      ["Anthropic", [{ type: "message_start" }, text("a"), {
        type: "message_delta",
        delta: { stop_reason: "end_turn" }
      }], "a"],
      ["Nova", [{ messageStart: {} }, { contentBlockDelta: { delta: { text: "a" } } }, { messageStop: {} }], "a"],
      ["Titan", [{ outputText: "a", completionReason: null }], "a"],
      ["Llama", [{ generation: "a", stop_reason: null }], "a"],
      ["Mistral", [{ outputs: [{ text: "a", stop_reason: null }] }], "a"],
      ["OpenAI", [{ choices: [{ delta: { content: "a" }, finish_reason: null }] }], "a"],
      ["Cohere", [{ event_type: "text-generation", text: "a", is_finished: false }], "a"],
      // An error within the answer, in the words of the model's own server.
      ["Anthropic's error", [{ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }], ""],
      ["an error of an imported model", [{ error: "CUDA out of memory" }], ""]
    ] as const
  )("is cut: %s", ([_name, chunks, partial]) =>
    Effect.gen(function*() {
      const result = yield* invoke(chunks.map((json) => chunk(json)), end)
      if (result._tag === "Success") return assert.fail("the stream ended well")
      assert.strictEqual(interrupted(result.failure).partial.text, partial)
      assert.strictEqual(interrupted(result.failure).content, partial !== "")
    }))

  it.effect("carries the input of the tool call that was being written", () =>
    Effect.gen(function*() {
      const result = yield* invoke([
        chunk({ type: "content_block_start", content_block: { type: "tool_use", name: "f" } }),
        chunk({ type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "{\"a\":" } }),
        chunk({ type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "1" } })
      ], cut)
      if (result._tag === "Success") return assert.fail("the stream ended well")
      const reason = interrupted(result.failure)
      assert.strictEqual(reason.partial.toolInput, "{\"a\":1")
      assert.strictEqual(reason.origin?._tag, "TransportError")
    }))

  const arguments_ = (text: string, name?: string) => ({
    choices: [{ delta: { content: null, tool_calls: [{ index: 0, function: { name, arguments: text } }] } }]
  })

  it.effect("carries the input of the tool call that OpenAI's models were writing", () =>
    Effect.gen(function*() {
      const chunks = [arguments_("{}", "f"), arguments_("", "g"), arguments_("{\"a\":"), arguments_("1", "")]
      const result = yield* invoke(chunks.map((json) => chunk(json)), end)
      if (result._tag === "Success") return assert.fail("the stream ended well")
      const { content, partial } = interrupted(result.failure)
      assert.deepStrictEqual([content, partial.toolInput], [true, "{\"a\":1"])
    }))

  it.each(
    [
      [false, { choices: [{ delta: { role: "assistant", content: "", refusal: null, tool_calls: [] } }] }],
      [true, { choices: [{ delta: { role: "assistant", content: "", reasoning_content: "Hm" } }] }],
      [true, arguments_("", "f")],
      [false, { event_type: "stream-start", is_finished: false, generation_id: "1" }],
      [true, { event_type: "tool-calls-chunk", is_finished: false, tool_call_delta: { index: 0 } }],
      [true, { event_type: "tool-calls-generation", is_finished: false, tool_calls: [{ name: "f" }] }],
      [false, { type: "error", error: { type: "overloaded_error" } }]
    ] as const
  )("says something, %s: %j", (says, json) => {
    const bytes = new TextEncoder().encode(JSON.stringify(json))
    assert.strictEqual(AnswerContent.inChunk({ chunk: { bytes } }), says)
  })

  it.effect("is over with what is no chunk, after its end", () =>
    Effect.gen(function*() {
      const whole = [chunk(text("a")), chunk({ type: "message_stop" })]
      for (const payload of [`{"bytes":{}}`, "{}", "null", "5"]) {
        const result = yield* invoke([...whole, rawEvent("chunk", payload), ...whole], end)
        assert.strictEqual(result._tag === "Success" && result.success, 2, payload)
      }
    }))

  it.effect("fails on a chunk that is no base64, and passes over events of types that are yet to come", () =>
    Effect.gen(function*() {
      const news = event("hologram", { depth: 3 })
      const good = [news, chunk(text("a")), news, chunk({ type: "message_stop" })]
      const whole = yield* invoke(good, end)
      assert.strictEqual(whole._tag === "Success" && whole.success, 2)
      const result = yield* invoke([chunk(text("a")), rawEvent("chunk", `{"bytes":5}`), ...good], end)
      if (result._tag === "Success") return assert.fail("the stream ended well")
      assert.strictEqual(interrupted(result.failure).origin?._tag, "TransportError")
    }))
})
