import {
  type BedrockRuntimeClient,
  InvokeModelWithBidirectionalStreamCommand,
  type InvokeModelWithBidirectionalStreamInput
} from "@aws-sdk/client-bedrock-runtime"
import { Emulator, Fault } from "@caprock/emulator"
import type * as Options from "@caprock/emulator/Options"
import { assert, describe, it } from "@effect/vitest"
import { EventStreamCodec } from "@smithy/core/event-streams"
import { fromUtf8, toUtf8 } from "@smithy/core/serde"
import { Effect } from "effect"
import * as Http2 from "node:http2"
import { client } from "./helpers.ts"

const modelId = "amazon.nova-sonic-v1:0"
const promptName = "prompt"

type Said = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const start = [
  { sessionStart: { inferenceConfiguration: { maxTokens: 200 } } },
  { promptStart: { promptName, audioOutputConfiguration: { sampleRateHertz: 24_000 } } },
  { contentStart: { promptName, contentName: "system", type: "TEXT", role: "SYSTEM" } },
  { textInput: { promptName, contentName: "system", content: "Be brief." } },
  { contentEnd: { promptName, contentName: "system" } }
]
const ask = (content: string, contentName = "question") => [
  { contentStart: { promptName, contentName, type: "TEXT", interactive: true, role: "USER" } },
  { textInput: { promptName, contentName, content } },
  { contentEnd: { promptName, contentName } }
]
const speak = (millis: number, contentName = "speech") => [
  {
    contentStart: {
      promptName,
      contentName,
      type: "AUDIO",
      role: "USER",
      audioInputConfiguration: { sampleRateHertz: 16_000 }
    }
  },
  ...Array.from({ length: millis / 20 }, () => ({
    audioInput: { promptName, contentName, content: Buffer.alloc(640).toString("base64") }
  })),
  { contentEnd: { promptName, contentName } }
]
const end = [{ promptEnd: { promptName } }, { sessionEnd: {} }]

async function* inputOf(events: Iterable<unknown>): AsyncGenerator<InvokeModelWithBidirectionalStreamInput> {
  for (const event of events) yield { chunk: { bytes: Buffer.from(JSON.stringify({ event })) } }
}

/** The events of a session with the SDK as it comes, and how it ended. */
const talk = (sdk: BedrockRuntimeClient, events: Iterable<unknown>) =>
  Effect.promise(async () => {
    const heard: Array<Said> = []
    try {
      const output = await sdk.send(new InvokeModelWithBidirectionalStreamCommand({ modelId, body: inputOf(events) }))
      for await (const { chunk } of output.body ?? []) {
        if (chunk?.bytes !== undefined) heard.push(JSON.parse(Buffer.from(chunk.bytes).toString()).event)
      }
      return { heard, error: undefined }
    } catch (error) {
      return { heard, error: error instanceof Error ? error : new Error(String(error)) }
    }
  })

const names = (heard: ReadonlyArray<Said>) => heard.map((event) => Object.keys(event).join())
const of = (heard: ReadonlyArray<Said>, name: string) =>
  heard.flatMap((event): ReadonlyArray<Readonly<Record<string, unknown>>> =>
    event[name] === undefined ? [] : [event[name]]
  )

const withEmulator = (options: Options.Options = {}) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.make({ latency: { _tag: "Fixed", millis: 0 }, log: 10, ...options })
    return { emulator, sdk: yield* client(emulator, "h2") }
  })

describe("a session", () => {
  it.live("answers what was asked, in the order that is documented", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator({ output: { _tag: "Fixed", tokens: 8 } })
      const { error, heard } = yield* talk(sdk, [...start, ...ask("Why is the sky blue?"), ...end])
      assert.isUndefined(error)
      const text = ["contentStart", "textOutput", "contentEnd"]
      const audio = ["contentStart", "audioOutput", "contentEnd"]
      assert.deepStrictEqual(names(heard), [
        "completionStart",
        ...text,
        ...audio,
        ...text,
        ...audio,
        ...text,
        "usageEvent",
        "completionEnd"
      ])
      const stages = of(heard, "contentStart").map(({ additionalModelFields, role, type }) =>
        type === "AUDIO" ? type : [role, JSON.parse(String(additionalModelFields)).generationStage].join()
      )
      assert.deepStrictEqual(stages, [
        "ASSISTANT,SPECULATIVE",
        "AUDIO",
        "ASSISTANT,SPECULATIVE",
        "AUDIO",
        "ASSISTANT,FINAL"
      ])
      const texts = of(heard, "textOutput").map(({ content }) => String(content))
      assert.strictEqual(texts.slice(0, -1).join(""), texts.at(-1))
      const bytes = of(heard, "audioOutput").map(({ content }) => Buffer.from(String(content), "base64").length)
      assert.deepStrictEqual(bytes, [4 * 1920, 4 * 1920])
      const { requests } = yield* emulator.stats
      assert.strictEqual(requests, 1)
    }))

  it.live("hears speech, and counts it by its length", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator({ burndown: 5, output: { _tag: "Fixed", tokens: 8 } })
      const { heard } = yield* talk(sdk, [...start, ...speak(400), ...ask("And now?"), ...end])
      assert.strictEqual(of(heard, "textOutput")[0]?.["content"], "(speech of 400 ms)")
      const [first, second] = of(heard, "usageEvent")
      assert.deepStrictEqual(first?.["details"], {
        delta: { input: { speechTokens: 10, textTokens: 3 }, output: { speechTokens: 8, textTokens: 8 } },
        total: { input: { speechTokens: 10, textTokens: 3 }, output: { speechTokens: 8, textTokens: 8 } }
      })
      assert.deepStrictEqual([second?.["totalInputTokens"], second?.["totalOutputTokens"]], [16, 32])
      const { answered, tokens } = yield* emulator.stats
      assert.deepStrictEqual([answered, tokens], [1, { reserved: 0, settled: 16 + 32 * 5 }])
      const [record] = yield* emulator.log
      assert.deepStrictEqual(
        [record?.operation, record?.outcome, record?.inputTokens, record?.outputTokens],
        ["InvokeModelWithBidirectionalStream", "Answered", 16, 32]
      )
    }))

  it.live("speaks while it listens", () =>
    Effect.gen(function*() {
      const { sdk } = yield* withEmulator()
      const turns: Array<string> = []
      yield* Effect.promise(async () => {
        let answered = () => {}
        async function* input() {
          yield* inputOf([...start, ...ask("one", "first")])
          await new Promise<void>((resolve) => {
            answered = resolve
          })
          yield* inputOf([...ask("two", "second"), ...end])
        }
        const output = await sdk.send(new InvokeModelWithBidirectionalStreamCommand({ modelId, body: input() }))
        for await (const { chunk } of output.body ?? []) {
          const [name = ""] = Object.keys(JSON.parse(Buffer.from(chunk?.bytes ?? []).toString()).event)
          turns.push(name)
          if (name === "usageEvent") answered()
        }
      })
      assert.deepStrictEqual(turns.filter((name) => name.startsWith("completion") || name === "usageEvent"), [
        "completionStart",
        "usageEvent",
        "usageEvent",
        "completionEnd"
      ])
    }))

  it.live("says the same to the same, by the seed", () =>
    Effect.gen(function*() {
      const once = Effect.scoped(Effect.gen(function*() {
        const { sdk } = yield* withEmulator({ seed: "a" })
        const { heard } = yield* talk(sdk, [...start, ...ask("Why?"), ...end])
        return of(heard, "textOutput")
      }))
      const [first, second] = [yield* once, yield* once]
      assert.isNotEmpty(first)
      assert.deepStrictEqual(first, second)
    }))

  it.live("counts against the requests of its pool, and draws tokens as they come", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator({ quota: { requests: 1, tokens: 1_000 } })
      yield* talk(sdk, [...start, ...ask("Why?"), ...end])
      const { error } = yield* talk(sdk, start)
      assert.strictEqual(error?.name, "ThrottlingException")
      const { pools, throttled } = yield* emulator.stats
      assert.strictEqual(throttled.requests, 1)
      assert.isAbove(Object.values(pools)[0]?.usage.tokens?.used ?? 0, 0)
    }))

  it.live("is charged for what was said when the client goes", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator()
      yield* Effect.promise(async () => {
        async function* input() {
          yield* inputOf([...start, ...ask("Why?")])
          await new Promise(() => {})
        }
        const abort = new AbortController()
        const output = await sdk.send(new InvokeModelWithBidirectionalStreamCommand({ modelId, body: input() }), {
          abortSignal: abort.signal
        })
        for await (const { chunk } of output.body ?? []) {
          if (Buffer.from(chunk?.bytes ?? []).includes("usageEvent")) break
        }
        abort.abort()
      })
      yield* Effect.repeat(emulator.stats, { until: ({ inFlight }) => inFlight === 0 })
      const { errors, tokens } = yield* emulator.stats
      assert.deepStrictEqual(errors, { Disconnected: 1 })
      assert.isAbove(tokens.settled, 10)
    }))
})

describe("input that is wrong", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<unknown>]> = [
    ["does not begin with sessionStart", [{ promptStart: { promptName } }]],
    ["names no prompt that there is", [start[0], { contentStart: { promptName: "other" } }]],
    ["names no content that there is", [...start, { textInput: { promptName, contentName: "other" } }]],
    ["has an event that is not known", [...start, { contentStart: { promptName, contentName: "a" } }, {
      applause: { promptName, contentName: "a" }
    }]],
    ["has an event without a name", [{}]]
  ]
  for (const [name, events] of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { emulator, sdk } = yield* withEmulator()
        const { error } = yield* talk(sdk, events)
        assert.strictEqual(error?.name, "ValidationException")
        assert.deepStrictEqual((yield* emulator.stats).errors, { ValidationException: 1 })
      }))
  }

  const codec = new EventStreamCodec(toUtf8, fromUtf8)
  const text = (value: string) => ({ type: "string", value }) as const
  const inner = codec.encode({
    headers: { ":message-type": text("event"), ":event-type": text("chunk") },
    body: fromUtf8(JSON.stringify({ bytes: Buffer.from(JSON.stringify({ event: start[0] })).toString("base64") }))
  })
  const signed = (body: Uint8Array) =>
    codec.encode({
      headers: {
        ":date": { type: "timestamp", value: new Date(0) },
        ":chunk-signature": { type: "binary", value: new Uint8Array(32) }
      },
      body
    })

  /** What comes back for these bytes. */
  const post = (url: string, bytes: Uint8Array) =>
    Effect.promise(() =>
      new Promise<string>((resolve) => {
        const session = Http2.connect(url)
        const stream = session.request({
          ":method": "POST",
          ":path": `/model/${modelId}/invoke-with-bidirectional-stream`,
          authorization: "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/bedrock/aws4_request"
        })
        const parts: Array<Buffer> = []
        stream.on("data", (part) => parts.push(part))
        stream.on("close", () => {
          session.destroy()
          resolve(Buffer.concat(parts).toString("latin1"))
        })
        stream.end(bytes)
      })
    )

  it.live("is not signed, is no frame, or breaks off within one", () =>
    Effect.gen(function*() {
      const { emulator } = yield* withEmulator()
      const whole = signed(inner)
      const flipped = Buffer.from(whole)
      flipped.writeUInt8(flipped.readUInt8(40) ^ 1, 40)
      const long = Buffer.alloc(16, 0xff)
      for (
        const bytes of [
          inner,
          flipped,
          long,
          Buffer.from("GET / HTTP/1.1\r\n\r\n"),
          whole.subarray(0, -1),
          signed(fromUtf8("{}"))
        ]
      ) {
        const answer = yield* post(emulator.url, bytes)
        assert.include(answer, "validationException")
      }
      assert.strictEqual(yield* post(emulator.url, Buffer.concat([whole, signed(new Uint8Array())])), "")
      assert.strictEqual((yield* emulator.stats).answered, 1)
    }))
})

describe("a fault", () => {
  const question = [...start, ...ask("Why is the sky blue?"), ...end]
  const befallen = (fault: Fault.Fault) =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator({ output: { _tag: "Fixed", tokens: 40 } })
      yield* emulator.inject(fault)
      const result = yield* talk(sdk, question)
      const after = yield* talk(sdk, question)
      assert.isUndefined(after.error)
      return { ...result, errors: (yield* emulator.stats).errors, whole: after.heard.length }
    })

  it.live("may come in place of the session", () =>
    Effect.gen(function*() {
      const { error, errors } = yield* befallen(Fault.error("ModelNotReadyException"))
      assert.strictEqual(error?.name, "ModelNotReadyException")
      assert.deepStrictEqual(errors, { ModelNotReadyException: 1 })
    }))

  it.live("may be an exception in the midst of it", () =>
    Effect.gen(function*() {
      const { error, heard } = yield* befallen(Fault.streamError("modelTimeoutException"))
      assert.strictEqual(error?.name, "ModelTimeoutException")
      assert.isNotEmpty(heard)
    }))

  it.live("may strike after a number of frames, from the beginning or the end", () =>
    Effect.gen(function*() {
      const truncated = yield* befallen(Fault.truncate({ frame: 3 }))
      assert.strictEqual(truncated.heard.length, 3)
      const last = yield* befallen(Fault.truncate({ frame: -1 }))
      // The last frame of the turn, and the end of the completion after it.
      assert.strictEqual(last.heard.length, last.whole - 2)
      const after = yield* befallen(Fault.truncate(1))
      assert.strictEqual(after.heard.length, after.whole - 1)
    }))

  it.live("may be a reset, a cut, or a damaged frame", () =>
    Effect.gen(function*() {
      const [reset, cut, corrupt] = [
        yield* befallen(Fault.reset),
        yield* befallen(Fault.cut()),
        yield* befallen(Fault.corrupt("message-checksum"))
      ]
      assert.isDefined(reset.error)
      assert.deepStrictEqual(reset.errors, { Reset: 1 })
      assert.deepStrictEqual(cut.errors, { Cut: 1 })
      assert.isBelow(cut.heard.length, cut.whole)
      assert.include(corrupt.error?.message, "checksum")
    }))

  it.live("may be silence, for a time or until it is released", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator()
      for (const fault of [Fault.silence({ millis: 5 }), Fault.silence({ at: 0.5, millis: 5 })]) {
        yield* emulator.inject(fault)
        assert.isUndefined((yield* talk(sdk, question)).error)
      }
      yield* emulator.inject(Fault.silence({ at: 0.5 }))
      const result = yield* Effect.raceFirst(
        talk(sdk, question),
        Effect.forever(Effect.delay(emulator.release, "10 millis"))
      )
      assert.isUndefined(result.error)
    }))

  it.live("that is not for sessions does not befall them", () =>
    Effect.gen(function*() {
      const { emulator, sdk } = yield* withEmulator()
      yield* emulator.inject(Fault.badBody("html"))
      assert.isUndefined((yield* talk(sdk, question)).error)
    }))
})
