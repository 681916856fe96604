// Streams over the wire: each kind of part, in its order; what comes before a failure; and that who goes away leaves nothing open.
import { AiErrors } from "@caprock/ai"
import { Fault, LatencyModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schema, Stream } from "effect"
import { Chat, LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import * as streaming from "../src/internal/stream.ts"
import { modelId, rig, scripted } from "./rig.ts"

const Tools = Toolkit.make(
  Tool.make("Look", { parameters: Schema.Struct({ at: Schema.String }), success: Schema.String })
)
const toolkit = Effect.provide(Tools, Tools.toLayer({ Look: () => Effect.succeed("found") }))

/** The parts of a stream, without what every part has; texts in their pieces joined. */
const shortened = (parts: ReadonlyArray<Response.AnyPart>) =>
  parts.flatMap((part): ReadonlyArray<string> => {
    const { metadata: { bedrock }, type } = part
    const more = bedrock === undefined || type === "finish" ? "" : ` ${JSON.stringify(bedrock)}`
    return "delta" in part || type === "response-metadata"
      ? []
      : [`${type}${"id" in part ? ` ${part.id}` : ""}${type === "finish" ? ` ${part.reason}` : ""}${more}`]
  })

const deltas = (parts: ReadonlyArray<Response.AnyPart>, id: string) =>
  parts.map((part) => "delta" in part && part.id === id ? part.delta : "").join("")

const read = <E>(stream: Stream.Stream<Response.AnyPart, E>) =>
  Effect.gen(function*() {
    const parts: Array<Response.AnyPart> = []
    const end = yield* Effect.result(Stream.runForEach(stream, (part) => Effect.sync(() => void parts.push(part))))
    return { parts, error: end._tag === "Failure" ? end.failure : undefined }
  })

describe("a stream", () => {
  it.live("has its text piece by piece, what it cost, and why it ended", () =>
    Effect.gen(function*() {
      const { lm } = yield* rig({ emulator: { output: () => ({ content: [{ text: "One two three four." }] }) } })
      const { parts } = yield* read(lm.streamText({ prompt: "Hi" }))
      assert.deepStrictEqual(shortened(parts), ["text-start 0", "text-end 0", "finish stop"])
      assert.strictEqual(deltas(parts, "0"), "One two three four.")
      assert.isAbove(parts.filter(({ type }) => type === "text-delta").length, 2)
      const [told] = parts
      const finish = parts.at(-1)
      if (told?.type !== "response-metadata" || finish?.type !== "finish") return assert.fail()
      assert.strictEqual(told.modelId, modelId)
      assert.isAbove(finish.usage.inputTokens.total ?? 0, 0)
      assert.isAbove(finish.usage.outputTokens.total ?? 0, 0)
      assert.strictEqual(finish.metadata.bedrock?.stopReason, "end_turn")
    }).pipe(Effect.scoped))

  it.live("has reasoning with its signature and its redacted part, and calls with their parameters", () =>
    Effect.gen(function*() {
      const content = [
        { reasoningContent: { reasoningText: { text: "I should look there.", signature: "sig" } } },
        { reasoningContent: { redactedContent: "c2VjcmV0" } },
        { text: "I look." },
        { toolUse: { toolUseId: "t-1", name: "Look", input: { at: "the sky above" } } }
      ]
      const { lm } = yield* rig({ emulator: { output: () => ({ content }) } })
      const { parts } = yield* read(lm.streamText({ prompt: "Hi", toolkit }))
      assert.deepStrictEqual(shortened(parts), [
        "reasoning-start 0",
        "reasoning-end 0 {\"signature\":\"sig\"}",
        "reasoning-start 1",
        "reasoning-end 1 {\"redacted\":\"c2VjcmV0\"}",
        "text-start 2",
        "text-end 2",
        "tool-params-start t-1",
        "tool-params-end t-1",
        "tool-call t-1",
        "tool-result t-1",
        "finish tool-calls"
      ])
      assert.strictEqual(deltas(parts, "0"), "I should look there.")
      assert.strictEqual(deltas(parts, "t-1"), "{\"at\":\"the sky above\"}")
      const call = parts.find((part) => part.type === "tool-call")
      assert.deepStrictEqual(call?.params, { at: "the sky above" })
    }).pipe(Effect.scoped))

  it.live("has citations, of the web and of documents, and images", () =>
    Effect.gen(function*() {
      const page = { title: "Report", location: { documentPage: { documentIndex: 1, start: 1, end: 2 } } }
      const web = { title: "Sky", location: { web: { url: "https://example.com/sky" } } }
      const content = [
        { citationsContent: { content: [{ text: "It grew." }], citations: [page, web] } },
        { image: { format: "png", source: { bytes: "AQI=" } } }
      ]
      const { lm } = yield* rig({ emulator: { output: () => ({ content }) } })
      const prompt = [{
        role: "user" as const,
        content: [
          { type: "file" as const, mediaType: "text/csv", data: "AQI=" },
          { type: "file" as const, mediaType: "application/pdf", data: "AQI=" },
          { type: "text" as const, text: "Did it grow?" }
        ]
      }]
      const { parts } = yield* read(lm.streamText({ prompt }))
      assert.deepStrictEqual(parts.filter(({ type }) => type !== "response-metadata").map(({ type }) => type), [
        "text-start",
        "text-delta",
        "source",
        "source",
        "text-end",
        "file",
        "finish"
      ])
      const [document, url] = parts.flatMap((part) => part.type === "source" ? [part] : [])
      assert.strictEqual(document?.sourceType === "document" ? document.mediaType : "", "application/pdf")
      assert.strictEqual(url?.sourceType === "url" ? url.url.href : "", "https://example.com/sky")
      const end = parts.find((part) => part.type === "text-end")
      assert.deepStrictEqual(end?.metadata.bedrock?.citations, [page, web])
      const file = parts.find((part) => part.type === "file")
      assert.deepStrictEqual([file?.mediaType, file?.data], ["image/png", Uint8Array.of(1, 2)])
      // And in one piece it is the same.
      const whole = yield* lm.generateText({ prompt })
      assert.deepStrictEqual(whole.content.map(({ type }) => type), [
        "response-metadata",
        "text",
        "source",
        "source",
        "file",
        "finish"
      ])
    }).pipe(Effect.scoped))

  it.live("of a chat comes back as it was: reasoning signed, calls and results in their places", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({
        content: [
          { reasoningContent: { reasoningText: { text: "Look.", signature: "sig" } } },
          { text: "I look." },
          { toolUse: { toolUseId: "t-1", name: "Look", input: { at: "it" } } }
        ]
      }, { text: "So." })
      const { lm } = yield* rig({ emulator: { output } })
      const chat = yield* Chat.empty
      const turn = (prompt: string | []) =>
        chat.streamText({ prompt, toolkit }).pipe(
          Stream.runDrain,
          Effect.provideService(LanguageModel.LanguageModel, lm)
        )
      yield* turn("Hi")
      yield* turn([])
      assert.deepStrictEqual(requests[1]?.messages, [
        { role: "user", content: [{ text: "Hi" }] },
        {
          role: "assistant",
          content: [
            { reasoningContent: { reasoningText: { text: "Look.", signature: "sig" } } },
            { text: "I look." },
            { toolUse: { toolUseId: "t-1", name: "Look", input: { at: "it" } } }
          ]
        },
        { role: "user", content: [{ toolResult: { toolUseId: "t-1", content: [{ text: "found" }] } }] }
      ])
    }).pipe(Effect.scoped))

  it.live("of a chat that breaks off while a tool runs leaves a conversation that goes on", () =>
    Effect.gen(function*() {
      const content = [
        { toolUse: { toolUseId: "t-1", name: "Look", input: { at: "it" } } },
        { text: "One two three four five six seven eight nine ten eleven twelve." }
      ]
      const { output, requests } = scripted({ content }, { text: "So." })
      const { emulator, lm } = yield* rig({ emulator: { output } })
      const slow = Effect.provide(Tools, Tools.toLayer({ Look: () => Effect.never }))
      const chat = yield* Chat.empty
      const turn = (prompt: string) =>
        read(Stream.provideService(chat.streamText({ prompt, toolkit: slow }), LanguageModel.LanguageModel, lm))
      yield* emulator.inject(Fault.cut({ frame: 12 }), { times: 1 })
      const { error, parts } = yield* turn("Hi")
      assert.strictEqual(error?._tag === "AiError" ? error.reason._tag : error, "InvalidResponseError")
      assert.isTrue(parts.some(({ type }) => type === "tool-call"))
      assert.isUndefined((yield* turn("Go on")).error)
      assert.deepStrictEqual(requests[1]?.messages.at(-1)?.content, [
        {
          toolResult: {
            toolUseId: "t-1",
            content: [{ text: "There is no result: the call was interrupted." }],
            status: "error"
          }
        },
        { text: "Go on" }
      ])
    }).pipe(Effect.scoped))
})

describe("a stream that fails", () => {
  const text = "One two three four five six seven eight nine ten eleven twelve."
  const broken: ReadonlyArray<readonly [string, Fault.Fault]> = [
    ["is cut", Fault.cut({ frame: 4 })],
    ["ends early, cleanly", Fault.truncate({ frame: 4 })],
    ["has an exception in it", Fault.streamError("modelStreamErrorException", { at: { frame: 4 } })]
  ]

  it.live.each(broken)("because it %s gives what arrived, and then says so", ([, fault]) =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({ emulator: { output: () => ({ content: [{ text }] }) } })
      yield* emulator.inject(fault, { times: 1 })
      const { error, parts } = yield* read(lm.streamText({ prompt: "Hi" }))
      const arrived = deltas(parts, "0")
      assert.isTrue(arrived.length > 0 && arrived.length < text.length && text.startsWith(arrived), arrived)
      assert.strictEqual(error?._tag === "AiError" ? error.reason._tag : error, "InvalidResponseError")
      const original = error === undefined ? undefined : Option.getOrUndefined(AiErrors.toBedrock(error))
      const { reason } = original ?? {}
      assert.strictEqual(reason?._tag === "InterruptedStreamError" ? reason.partial.text : reason, arrived)
      assert.strictEqual((yield* emulator.log).length, 1)
    }).pipe(Effect.scoped))

  it.live("before its first content is asked for again, and nobody notices", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({ emulator: { output: () => ({ content: [{ text }] }) } })
      yield* emulator.inject(Fault.error("ThrottlingException"), { times: 1 })
      yield* emulator.inject(Fault.streamError("throttlingException", { at: 0 }), { times: 1 })
      yield* emulator.inject(Fault.truncate({ frame: 1 }), { times: 1 })
      const { error, parts } = yield* read(lm.streamText({ prompt: "Hi" }))
      assert.isUndefined(error)
      assert.strictEqual(deltas(parts, "0"), text)
      assert.strictEqual(parts.filter(({ type }) => type === "response-metadata").length, 1)
      assert.strictEqual((yield* emulator.log).length, 4)
    }).pipe(Effect.scoped))

  it.live("whose reader goes away closes its connection: the server generates no more", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({
        emulator: {
          output: () => ({ outputTokens: 400, text: "word ".repeat(400) }),
          latency: LatencyModel.perToken(5, 50)
        }
      })
      const some = yield* lm.streamText({ prompt: "Hi" }).pipe(
        Stream.filter(({ type }) => type === "text-delta"),
        Stream.take(2),
        Stream.runCollect
      )
      assert.strictEqual(some.length, 2)
      const fiber = yield* Effect.forkChild(Stream.runDrain(lm.streamText({ prompt: "Hi again" })))
      yield* Effect.repeat(emulator.stats, { until: ({ requests }) => requests === 2 })
      yield* Fiber.interrupt(fiber)
      const log = yield* Effect.repeat(Effect.andThen(Effect.yieldNow, emulator.log), {
        until: ({ length }) => length === 2
      })
      assert.deepStrictEqual(log.map(({ outcome }) => outcome), ["Disconnected", "Disconnected"])
    }).pipe(Effect.scoped))
})

describe("a call whose parameters are no JSON", () => {
  const question = {
    input: { modelId, messages: [] },
    modelId,
    shape: undefined,
    ownNames: new Map<string, string>(),
    documents: [],
    callable: ["Look"]
  }
  const events = (stopReason: "tool_use" | "end_turn" | "max_tokens") => {
    const reading = new streaming.Reading(question)
    return [
      { contentBlockStart: { contentBlockIndex: 0, start: { toolUse: { toolUseId: "1", name: "Look" } } } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input: "{\"at\": \"th" } } } },
      { contentBlockStop: { contentBlockIndex: 0 } },
      { messageStop: { stopReason } }
    ].map((event) => reading.event(event, ""))
  }

  it("because the model had to stop there is no call", () => {
    const results = events("max_tokens")
    assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
    const parts = results.flatMap((result) => result._tag === "Success" ? result.success : [])
    assert.deepStrictEqual(parts.map(({ type }) => type), ["tool-params-start", "tool-params-delta", "tool-params-end"])
  })

  it.each(["tool_use", "end_turn"] as const)(
    "though the model meant to end it (%s) is an error of the model's",
    (stopReason) => {
      const last = events(stopReason).at(-1)
      assert.strictEqual(last?._tag === "Failure" ? last.failure._tag : last, "ToolParameterValidationError")
    }
  )
})

describe("events that are not as they should be", () => {
  const read = (...events: ReadonlyArray<Parameters<streaming.Reading["event"]>[0]>) => {
    const reading = new streaming.Reading({
      input: { modelId, messages: [] },
      modelId,
      shape: undefined,
      ownNames: new Map(),
      documents: [],
      callable: undefined
    })
    return events.flatMap((event) => {
      const result = reading.event(event, "")
      return result._tag === "Success" ? result.success : assert.fail(String(result.failure))
    })
  }
  const stop = { messageStop: { stopReason: "end_turn" as const } }
  const text = (text: string, contentBlockIndex = 0) => ({ contentBlockDelta: { contentBlockIndex, delta: { text } } })
  const thought = (text: string) => ({
    contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { text } } }
  })
  const types = (parts: ReadonlyArray<Response.StreamPartEncoded>) =>
    parts.map((part) => `${part.type}${"id" in part ? ` ${part.id}` : ""}`)

  it("a block that has no end ends with the answer", () => {
    assert.deepStrictEqual(types(read(text("a"), stop)), ["text-start 0", "text-delta 0", "text-end 0"])
  })

  it("a text in the place of a thought ends it", () => {
    assert.deepStrictEqual(types(read(thought("a"), text("b"), stop)), [
      "reasoning-start 0",
      "reasoning-delta 0",
      "reasoning-end 0",
      "text-start 1",
      "text-delta 1",
      "text-end 1"
    ])
  })

  const call = (...inputs: ReadonlyArray<string>) => [
    {
      contentBlockStart: { contentBlockIndex: 0, start: { toolUse: { toolUseId: "1", name: "Look", type: undefined } } }
    },
    ...inputs.map((input) => ({ contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input } } } })),
    { contentBlockStop: { contentBlockIndex: 0 } },
    stop
  ]

  it("a call without parameters has none, whether it is told so or not at all", () => {
    for (const events of [call(), call("")]) {
      const parts = read(...events)
      assert.deepStrictEqual(types(parts), ["tool-params-start 1", "tool-params-end 1", "tool-call 1"])
      const [, , called] = parts
      assert.deepStrictEqual(called?.type === "tool-call" ? called.params : called, {})
    }
  })

  it("a signature may come in pieces", () => {
    const signed = (signature: string) => ({
      contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { signature } } }
    })
    const end = read(thought("a"), signed("si"), signed("g"), stop).at(-1)
    assert.strictEqual(end?.type === "reasoning-end" ? end.metadata?.bedrock?.signature : end, "sig")
  })

  it("an empty delta says nothing", () => {
    assert.isEmpty(read(text(""), { contentBlockStop: { contentBlockIndex: 0 } }, stop))
  })

  it("what nobody knows is told at the end", () => {
    const metadata = {
      metadata: { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 }, metrics: { latencyMs: 4 } }
    }
    const unknown: Parameters<streaming.Reading["event"]>[0] = {
      contentBlockDelta: { contentBlockIndex: 0, delta: { $unknown: ["hologram", {}] } }
    }
    const [finish] = read(unknown, stop, metadata)
    assert.deepStrictEqual(finish?.type === "finish" ? finish.metadata?.bedrock?.skipped : finish, ["hologram"])
  })
})
