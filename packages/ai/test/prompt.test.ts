// What a prompt of `effect/ai` becomes in a request of Converse: pure, and by what was sent in `BedrockLanguageModel.test.ts`.
import "@caprock/ai/BedrockOptions"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Prompt } from "effect/ai"
import { conversation } from "../src/internal/prompt.ts"
import { refused } from "../src/internal/refusal.ts"
import type { Block } from "../src/internal/sdk.ts"

const read = (input: Prompt.RawInput) => Result.getOrThrow(refused(() => conversation(Prompt.make(input))))

const messages = (input: Prompt.RawInput) => read(input).messages

/** The content of the only message. */
const content = (input: ReadonlyArray<Prompt.UserMessagePartEncoded>) => {
  const [message, ...others] = messages([{ role: "user", content: input }])
  assert.isEmpty(others)
  return message?.content
}

const refusal = (input: Prompt.RawInput): string => {
  const result = refused(() => conversation(Prompt.make(input)))
  return Result.isFailure(result) ? `${result.failure._tag}: ${result.failure.message}` : "it was not refused"
}

const user = (text: string): Prompt.UserMessageEncoded => ({ role: "user", content: text })
const assistant = (text: string): Prompt.AssistantMessageEncoded => ({ role: "assistant", content: text })
const call = (id: string, name = "look"): Prompt.AssistantMessageEncoded => ({
  role: "assistant",
  content: [{ type: "tool-call", id, name, params: { at: "it" } }]
})
const result = (
  id: string,
  result: unknown,
  more: Partial<Prompt.ToolResultPartEncoded> = {}
): Prompt.ToolMessageEncoded => ({
  role: "tool",
  content: [{ type: "tool-result", id, name: "look", isFailure: false, result, ...more }]
})

describe("messages", () => {
  it("take turns: those of one side that follow each other are one", () => {
    const turns = messages([user("a"), user("b"), assistant("c"), assistant("d"), user("e")])
    assert.deepStrictEqual(turns, [
      { role: "user", content: [{ text: "a" }, { text: "b" }] },
      { role: "assistant", content: [{ text: "c" }, { text: "d" }] },
      { role: "user", content: [{ text: "e" }] }
    ])
  })

  it("of the system come before all, in their order, wherever they stand", () => {
    const { messages, system } = read([
      { role: "system", content: "Be brief." },
      user("a"),
      { role: "system", content: "Be kind." }
    ])
    assert.deepStrictEqual(system, [{ text: "Be brief." }, { text: "Be kind." }])
    assert.deepStrictEqual(messages, [{ role: "user", content: [{ text: "a" }] }])
  })

  it("without a word are left out, and so are their texts", () => {
    const { messages, system } = read([
      { role: "system", content: "  " },
      user("a"),
      { role: "assistant", content: [{ type: "text", text: "" }] },
      { role: "user", content: [{ type: "text", text: "\n" }, { type: "text", text: "b" }] }
    ])
    assert.isEmpty(system)
    assert.deepStrictEqual(messages.at(-1)?.content?.at(-1), { text: "b" })
    assert.deepStrictEqual(messages.map(({ role }) => role), ["user"])
  })

  it("with results of tools have these first, before what else the user said", () => {
    const turns = messages([user("a"), call("1"), user("and hurry"), result("1", "found")])
    assert.deepStrictEqual(turns.at(-1), {
      role: "user",
      content: [{ toolResult: { toolUseId: "1", content: [{ text: "found" }] } }, { text: "and hurry" }]
    })
  })
})

describe("cache points", () => {
  it("come after what they are said of", () => {
    const { messages, system } = read([
      { role: "system", content: "long", options: { bedrock: { cachePoint: true } } },
      {
        role: "user",
        content: [
          { type: "text", text: "a", options: { bedrock: { cachePoint: { ttl: "1h" } } } },
          { type: "text", text: "b" }
        ],
        options: { bedrock: { cachePoint: true } }
      }
    ])
    assert.deepStrictEqual(system, [{ text: "long" }, { cachePoint: { type: "default" } }])
    assert.deepStrictEqual(messages[0]?.content, [
      { text: "a" },
      { cachePoint: { type: "default", ttl: "1h" } },
      { text: "b" },
      { cachePoint: { type: "default" } }
    ])
  })

  it("are not said twice, nor of what is not there", () => {
    const cachePoint = true as const
    const both = content([{ type: "text", text: "a", options: { bedrock: { cachePoint } } }])
    assert.deepStrictEqual(both, [{ text: "a" }, { cachePoint: { type: "default" } }])
    const turns = messages([
      {
        role: "user",
        content: [{ type: "text", text: "a", options: { bedrock: { cachePoint } } }],
        options: { bedrock: { cachePoint } }
      },
      { role: "assistant", content: [{ type: "text", text: "" }], options: { bedrock: { cachePoint } } }
    ])
    assert.strictEqual(turns.length, 1)
    assert.strictEqual(turns[0]?.content?.length, 2)
  })

  it("stay with a call and a result", () => {
    const options = { bedrock: { cachePoint: true as const } }
    const turns = messages([
      user("a"),
      { role: "assistant", content: [{ type: "tool-call", id: "1", name: "look", params: {}, options }] },
      result("1", "found", { options })
    ])
    const [, called, found] = turns.map(({ content }) => content?.map((block) => Object.keys(block).join()))
    assert.deepStrictEqual(called, ["toolUse", "cachePoint"])
    assert.deepStrictEqual(found, ["toolResult", "cachePoint"])
  })
})

describe("what a guardrail is to look at", () => {
  it("is marked, with what it is", () => {
    const guard = { qualifiers: ["query"] } as const
    assert.deepStrictEqual(
      content([
        { type: "text", text: "a", options: { bedrock: { guard: true } } },
        { type: "text", text: "b", options: { bedrock: { guard } } },
        { type: "file", mediaType: "image/png", data: Uint8Array.of(1), options: { bedrock: { guard: true } } }
      ]),
      [
        { guardContent: { text: { text: "a" } } },
        { guardContent: { text: { text: "b", qualifiers: ["query"] } } },
        { guardContent: { image: { format: "png", source: { bytes: Uint8Array.of(1) } } } }
      ]
    )
    const { system } = read([{ role: "system", content: "s", options: { bedrock: { guard: true } } }, user("a")])
    assert.deepStrictEqual(system, [{ guardContent: { text: { text: "s" } } }])
  })

  it("can be no image of another kind", () => {
    const file = (mediaType: string, data: string | Uint8Array) =>
      refusal([{ role: "user", content: [{ type: "file", mediaType, data, options: { bedrock: { guard: true } } }] }])
    assert.include(file("image/gif", Uint8Array.of(1)), "PNG and JPEG")
    assert.include(file("image/png", "s3://bucket/a.png"), "PNG and JPEG")
  })
})

describe("a file", () => {
  const file = (mediaType: string, more: Partial<Prompt.FilePartEncoded> = {}) =>
    content([{ type: "file", mediaType, data: Uint8Array.of(1, 2), ...more }])?.[0]

  it.each([
    ["image/png", "image", "png"],
    ["image/jpeg", "image", "jpeg"],
    ["IMAGE/JPG", "image", "jpeg"],
    ["image/gif", "image", "gif"],
    ["image/webp", "image", "webp"],
    ["application/pdf", "document", "pdf"],
    ["text/csv", "document", "csv"],
    ["application/msword", "document", "doc"],
    ["application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document", "docx"],
    ["application/vnd.ms-excel", "document", "xls"],
    ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document", "xlsx"],
    ["text/html", "document", "html"],
    ["text/plain; charset=utf-8", "document", "txt"],
    ["text/markdown", "document", "md"],
    ["video/mp4", "video", "mp4"],
    ["video/quicktime", "video", "mov"],
    ["video/3gpp", "video", "three_gp"],
    ["audio/mpeg", "audio", "mp3"],
    ["audio/wav", "audio", "wav"]
  ])("of %s is %s in the format %s", (mediaType, member, format) => {
    const block: object = file(mediaType) ?? {}
    assert.deepStrictEqual(Object.keys(block), [member])
    const [value] = Object.values(block)
    assert.strictEqual(value.format, format)
    assert.deepStrictEqual(value.source, { bytes: Uint8Array.of(1, 2) })
  })

  it.each([
    ["bytes", Uint8Array.of(1, 2), { bytes: Uint8Array.of(1, 2) }],
    ["base64", "AQI=", { bytes: Uint8Array.of(1, 2) }],
    ["a data: text", "data:image/png;base64,AQI=", { bytes: Uint8Array.of(1, 2) }],
    ["a data: URL", new URL("data:image/png;base64,AQI="), { bytes: Uint8Array.of(1, 2) }],
    ["s3://", "s3://My-Bucket/a.png", { s3Location: { uri: "s3://My-Bucket/a.png" } }],
    ["an s3: URL", new URL("s3://My-Bucket/a.png"), { s3Location: { uri: "s3://My-Bucket/a.png" } }]
  ])("may be given as %s", (_, data, source) => {
    assert.deepStrictEqual(file("image/png", { data })?.image?.source, source)
  })

  it("in the bucket of another account names it", () => {
    const block = file("image/png", { data: "s3://b/a", options: { bedrock: { bucketOwner: "123456789012" } } })
    assert.deepStrictEqual(block?.image?.source, { s3Location: { uri: "s3://b/a", bucketOwner: "123456789012" } })
  })

  it.each([
    ["https://example.com/a.png", "give the bytes"],
    ["not base64!", "bytes, base64 text, or an s3:// URL"]
  ])("given as %s is refused, and told what to do", (data, advice) => {
    const said = refusal([{ role: "user", content: [{ type: "file", mediaType: "image/png", data }] }])
    assert.include(said, "InvalidRequestError")
    assert.include(said, advice)
  })

  it("of a type that Bedrock has not is refused, and told what there is", () => {
    const said = refusal([{ role: "user", content: [{ type: "file", mediaType: "image/tiff", data: "AQI=" }] }])
    assert.include(said, "no file of type image/tiff")
  })

  it("that is a document has a name of its own, in the letters that are allowed", () => {
    const names = content(
      ["report.pdf", "report.pdf", "Q3/2026:  über_all.pdf", undefined, "...", undefined, `${"x".repeat(300)}.pdf`].map(
        (
          fileName
        ) => ({
          type: "file" as const,
          mediaType: "application/pdf",
          data: Uint8Array.of(1),
          ...(fileName === undefined ? {} : { fileName })
        })
      )
    )?.map(({ document }) => document?.name ?? "") ?? []
    assert.deepStrictEqual(names.slice(0, 6), [
      "report",
      "report (2)",
      "Q3-2026- -ber-all",
      "document",
      "document (2)",
      "document (3)"
    ])
    for (const name of names) assert.match(name, /^[a-zA-Z0-9()[\]-]+( [a-zA-Z0-9()[\]-]+)*$/)
    assert.isAtMost(names.at(-1)?.length ?? Infinity, 200)
  })

  it("that is a document may have a context, and be cited", () => {
    const block = file("application/pdf", { options: { bedrock: { context: "A report.", citations: true } } })
    assert.strictEqual(block?.document?.context, "A report.")
    assert.deepStrictEqual(block?.document?.citations, { enabled: true })
  })
})

describe("an answer that is sent back", () => {
  const back = (content: ReadonlyArray<Prompt.AssistantMessagePartEncoded>) =>
    messages([user("a"), { role: "assistant", content }])[1]?.content

  it("has its reasoning with the signature, or encrypted; what has neither is not sent", () => {
    assert.deepStrictEqual(
      back([
        { type: "reasoning", text: "so", options: { bedrock: { signature: "sig" } } },
        { type: "reasoning", text: "", options: { bedrock: { signature: "of nothing shown" } } },
        { type: "reasoning", text: "", options: { bedrock: { redacted: "AQI=" } } },
        { type: "reasoning", text: "unsigned" },
        { type: "text", text: "b" }
      ]),
      [
        { reasoningContent: { reasoningText: { text: "so", signature: "sig" } } },
        { reasoningContent: { reasoningText: { text: "", signature: "of nothing shown" } } },
        { reasoningContent: { redactedContent: Uint8Array.of(1, 2) } },
        { text: "b" }
      ]
    )
    assert.include(
      refusal([user("a"), {
        role: "assistant",
        content: [{ type: "reasoning", text: "", options: { bedrock: { redacted: "?" } } }]
      }]),
      "base64"
    )
  })

  it("has its images and documents in the user's turn after it, before what the user says: Bedrock takes them nowhere else", () => {
    const image: Prompt.AssistantMessagePartEncoded = {
      type: "file",
      mediaType: "image/png",
      data: "AQI=",
      options: { bedrock: { cachePoint: true } }
    }
    const pdf: Prompt.AssistantMessagePartEncoded = { type: "file", mediaType: "application/pdf", data: "AQI=" }
    const shown: ReadonlyArray<Block> = [
      { text: "Of your answer above:" },
      { image: { format: "png", source: { bytes: Uint8Array.of(1, 2) } } },
      { cachePoint: { type: "default" } },
      { document: { format: "pdf", name: "document", source: { bytes: Uint8Array.of(1, 2) } } }
    ]
    const text: Prompt.AssistantMessagePartEncoded = { type: "text", text: "See." }
    assert.deepStrictEqual(messages([user("a"), { role: "assistant", content: [image, text, pdf] }, user("b")]), [
      { role: "user", content: [{ text: "a" }] },
      { role: "assistant", content: [{ text: "See." }] },
      { role: "user", content: [...shown, { text: "b" }] }
    ])
    // Results come first, and an answer of files alone is none.
    assert.deepStrictEqual(
      messages([
        user("a"),
        { role: "assistant", content: [image, pdf, { type: "tool-call", id: "1", name: "look", params: {} }] },
        result("1", "found")
      ])[2]?.content?.slice(1),
      shown
    )
    assert.deepStrictEqual(messages([user("a"), { role: "assistant", content: [image, pdf] }, user("b")]), [
      { role: "user", content: [{ text: "a" }, ...shown, { text: "b" }] }
    ])
    assert.deepStrictEqual(read([user("a"), { role: "assistant", content: [pdf] }, user("b")]).documents, [
      "application/pdf"
    ])
    assert.include(refusal([user("a"), { role: "assistant", content: [text, image] }]), "has to follow it")
  })

  it("has its calls, those without parameters too", () => {
    assert.deepStrictEqual(back([{ type: "tool-call", id: "1", name: "look", params: undefined }]), [
      { toolUse: { toolUseId: "1", name: "look", input: {} } }
    ])
  })

  it("has its citations", () => {
    const citations = [{ title: "Report", location: { documentPage: { documentIndex: 0, start: 1, end: 2 } } }]
    assert.deepStrictEqual(back([{ type: "text", text: "It grew.", options: { bedrock: { citations } } }]), [
      { citationsContent: { content: [{ text: "It grew." }], citations } }
    ])
  })

  it("has the calls and results of tools that Bedrock ran", () => {
    assert.deepStrictEqual(
      back([
        { type: "tool-call", id: "1", name: "nova_grounding", params: {}, providerExecuted: true },
        {
          type: "tool-result",
          id: "1",
          name: "nova_grounding",
          isFailure: false,
          result: { found: 1 },
          providerExecuted: true,
          options: { bedrock: { type: "nova_grounding_result" } }
        }
      ]),
      [
        { toolUse: { toolUseId: "1", name: "nova_grounding", input: {}, type: "server_tool_use" } },
        { toolResult: { toolUseId: "1", content: [{ json: { found: 1 } }], type: "nova_grounding_result" } }
      ]
    )
  })
})

describe("the result of a tool", () => {
  const said = (value: unknown, more?: Partial<Prompt.ToolResultPartEncoded>) =>
    messages([user("a"), call("1"), result("1", value, more)])[2]?.content?.[0]?.toolResult

  it.each([
    ["a text", "found", [{ text: "found" }]],
    ["an object", { a: 1 }, [{ json: { a: 1 } }]],
    ["an object with what is undefined", { a: 1, b: undefined }, [{ json: { a: 1 } }]],
    ["a list", [1, 2], [{ text: "[1,2]" }]],
    ["a number", 7, [{ text: "7" }]],
    ["nothing", undefined, [{ text: "null" }]]
  ])("that is %s", (_, value, content) => {
    assert.deepStrictEqual(said(value)?.content, content)
  })

  it("that failed says so", () => {
    assert.strictEqual(said({ error: "no" }, { isFailure: true })?.status, "error")
    assert.isUndefined(said("found")?.status)
  })

  it("that failed without a word has one, for Bedrock refuses a failure that has none", () => {
    const silent: ReadonlyArray<Partial<Prompt.ToolResultPartEncoded>> = [
      {},
      { modelOutput: [] },
      { modelOutput: [{ type: "text", text: " " }] }
    ]
    for (const more of silent) {
      assert.deepStrictEqual(said("", { ...more, isFailure: true }), {
        toolUseId: "1",
        content: [{ text: "It failed, and did not say why." }],
        status: "error"
      })
    }
    assert.deepStrictEqual(said(" ")?.content, [{ text: " " }])
    const image: Prompt.ToolResultPartEncoded["modelOutput"] = [{ type: "file", mediaType: "image/png", data: "AQI=" }]
    assert.property(said("", { isFailure: true, modelOutput: image })?.content?.[0], "image")
  })

  it("comes in the turn after its call, also if the model spoke before, as of a call that had to be approved", () => {
    const found = { toolResult: { toolUseId: "1", content: [{ text: "found" }] } }
    const turns = messages([user("a"), call("1"), assistant("It is done."), result("1", "found"), user("b")])
    assert.deepStrictEqual(turns.slice(2).map(({ content }): ReadonlyArray<object> => content ?? []), [
      [found],
      [{ text: "It is done." }],
      [{ text: "b" }]
    ])
    const again = messages([user("a"), call("1"), user("b"), call("1"), result("1", "found")])
    assert.deepStrictEqual(again.map(({ content }) => content?.[0]?.toolResult?.status), [
      undefined,
      undefined,
      "error",
      undefined,
      undefined
    ])
  })

  it("that there is none of is told as an interrupted call, in the turn after it", () => {
    const none = (toolUseId: string): object => ({
      toolResult: { toolUseId, content: [{ text: "There is no result: the call was interrupted." }], status: "error" }
    })
    const blocks = (...input: ReadonlyArray<Prompt.MessageEncoded>) =>
      messages(input).map(({ content }): ReadonlyArray<object> => content ?? [])
    const [, , next] = blocks(
      user("a"),
      call("1"),
      call("2"),
      user("b"),
      assistant("c"),
      user("d"),
      result("2", "found")
    )
    assert.deepStrictEqual(next, [
      none("1"),
      { toolResult: { toolUseId: "2", content: [{ text: "found" }] } },
      { text: "b" }
    ])
    assert.deepStrictEqual(blocks(user("a"), call("1")).at(-1), [none("1")])
    assert.deepStrictEqual(blocks(user("a"), call("1"), user(" "), assistant("c")).slice(2), [
      [none("1")],
      [{ text: "c" }]
    ])
    // What Bedrock runs itself it answers itself.
    const own: Prompt.AssistantMessageEncoded = {
      role: "assistant",
      content: [{ type: "tool-call", id: "1", name: "nova_grounding", params: {}, providerExecuted: true }]
    }
    assert.deepStrictEqual(blocks(user("a"), own, user("b"))[2], [{ text: "b" }])
    const [, , , , last] = blocks(user("a"), call("1"), result("1", "x"), call("2"), user("b"))
    assert.deepStrictEqual(last, [none("2"), { text: "b" }])
  })

  it("may be what the model is to see in its place: texts, images, documents", () => {
    const modelOutput: Prompt.ToolResultPartEncoded["modelOutput"] = [
      { type: "text", text: "A map:" },
      { type: "text", text: " " },
      { type: "file", mediaType: "image/png", data: "AQI=" },
      { type: "file", mediaType: "application/pdf", data: "AQI=", fileName: "map.pdf" }
    ]
    assert.deepStrictEqual(said({ huge: true }, { modelOutput })?.content, [
      { text: "A map:" },
      { image: { format: "png", source: { bytes: Uint8Array.of(1, 2) } } },
      { document: { format: "pdf", name: "map", source: { bytes: Uint8Array.of(1, 2) } } }
    ])
    const sound: Prompt.ToolResultPartEncoded["modelOutput"] = [{ type: "file", mediaType: "audio/wav", data: "AQI=" }]
    assert.include(
      refusal([user("a"), call("1"), result("1", "", { modelOutput: sound })]),
      "in the result of a tool"
    )
  })
})

describe("ids of calls", () => {
  const ids = (...given: ReadonlyArray<string>) =>
    messages([
      user("a"),
      ...given.flatMap((id): ReadonlyArray<Prompt.MessageEncoded> => [call(id), result(id, "found")])
    ]).flatMap(({ content }) =>
      content?.flatMap(({ toolResult, toolUse }) => toolUse?.toolUseId ?? toolResult?.toolUseId ?? []) ?? []
    )

  it("that are allowed stay as they are", () => {
    assert.deepStrictEqual(ids("tooluse_A-1", "call_1"), ["tooluse_A-1", "tooluse_A-1", "call_1", "call_1"])
  })

  it("that come again are of other calls: Bedrock takes each id once", () => {
    assert.deepStrictEqual(ids("a", "b", "a", "a"), ["a", "a", "b", "b", "call_1", "call_1", "call_2", "call_2"])
    const twice = messages([
      user("a"),
      {
        role: "assistant",
        content: [1, 2, 3].map(() => ({ type: "tool-call", id: "1", name: "look", params: {} }))
      },
      {
        role: "tool",
        content: ["first", "second"].map((text) => ({
          type: "tool-result",
          id: "1",
          name: "look",
          isFailure: false,
          result: text
        }))
      },
      user("b")
    ])
    assert.deepStrictEqual(twice[1]?.content?.map(({ toolUse }) => toolUse?.toolUseId), ["1", "call_1", "call_2"])
    assert.deepStrictEqual(
      twice[2]?.content?.flatMap(({ toolResult }) =>
        toolResult === undefined ? [] : [[toolResult.toolUseId, toolResult.content?.[0]?.text]]
      ),
      [
        ["call_2", "There is no result: the call was interrupted."],
        ["1", "first"],
        ["call_1", "second"]
      ]
    )
  })

  it("that come again after a call without a result: a result has that of its own call", () => {
    const sent = messages([user("a"), call("call_0"), user("b"), call("call_0"), result("call_0", "found")])
    assert.deepStrictEqual(
      sent.map(({ content }) => content?.map(({ toolResult, toolUse }) => (toolUse ?? toolResult)?.toolUseId)),
      [[undefined], ["call_0"], ["call_0", undefined], ["call_1"], ["call_1"]]
    )
  })

  // Of each turn: the ids of its calls, how many of them have a result, and where: "own" is what Bedrock ran itself.
  const turns = [["call_0"], ["call_0", "call_0"], ["a b"], ["call_1", "call_0"]].flatMap((ids) =>
    [...ids.keys(), ids.length].flatMap((answered) =>
      (["next", "late", "own"] as const).map((where) => ({ answered, ids, where }))
    )
  )

  it.each(turns.map((turn) => [`${turn.ids.join("+")}, ${turn.answered} answered ${turn.where}`, turn] as const))(
    "that come again have their own results in the turn after them, whichever have none: %s, and any other two",
    (_, first) => {
      for (const second of turns) {
        for (const third of turns) {
          const given = [first, second, third].flatMap(({ answered, ids, where }, at): Array<Prompt.MessageEncoded> => {
            const own = { providerExecuted: where === "own" }
            const calls = ids.map((id, n) =>
              ({ type: "tool-call", id, name: "look", params: { of: `${at}.${n}` }, ...own }) as const
            )
            const results = ids.slice(0, answered).map((id, n) =>
              ({ type: "tool-result", id, name: "look", isFailure: false, result: `${at}.${n}`, ...own }) as const
            )
            return where === "own"
              ? [user("a"), { role: "assistant", content: [...calls, ...results] }]
              : [
                user("a"),
                { role: "assistant", content: calls },
                ...(where === "late" ? [assistant("wait")] : []),
                { role: "tool", content: results }
              ]
          })
          const sent = messages(given)
          const names = sent.flatMap(({ content = [] }) => content.flatMap(({ toolUse }) => toolUse?.toolUseId ?? []))
          assert.strictEqual(new Set(names).size, names.length)
          for (const [at, { content = [], role }] of sent.entries()) {
            const before = sent[role === "user" ? at - 1 : at]?.content ?? []
            for (const { toolResult } of content) {
              if (toolResult === undefined) continue
              const of = before.find(({ toolUse }) => toolUse?.toolUseId === toolResult.toolUseId)?.toolUse
              if (of === undefined) assert.fail(`No call of ${toolResult.toolUseId}: ${JSON.stringify(sent)}`)
              if (toolResult.status !== "error") {
                assert.deepStrictEqual(of.input, { of: toolResult.content?.[0]?.text ?? "" })
              }
            }
            if (role === "assistant") {
              const after = [...content, ...sent[at + 1]?.content ?? []]
              for (const { toolUse } of content) {
                if (toolUse === undefined) continue
                const results = after.filter(({ toolResult }) => toolResult?.toolUseId === toolUse.toolUseId)
                assert.isAtMost(results.length, 1)
                if (toolUse.type === undefined) assert.lengthOf(results, 1)
              }
            }
          }
        }
      }
    }
  )

  it("that are not are numbered, and never meet another", () => {
    assert.deepStrictEqual(ids("a.b", "call_2", "ü", "a.b"), [
      "call_1",
      "call_1",
      "call_2",
      "call_2",
      "call_3",
      "call_3",
      // Another call of the first id.
      "call_4",
      "call_4"
    ])
    assert.strictEqual(ids("x".repeat(65))[0], "call_1")
  })

  it.prop(
    "are allowed, those of two calls never the same, and those of what was sent before as they were",
    [Schema.Array(Schema.String.check(Schema.isMaxLength(3))), Schema.String],
    ([given, last]) => {
      const sent = ids(...given)
      for (const id of sent) assert.match(id, /^[a-zA-Z0-9_-]{1,64}$/)
      for (const [at] of given.entries()) assert.strictEqual(sent[2 * at], sent[2 * at + 1])
      assert.strictEqual(new Set(sent).size, given.length)
      // What is added later is a known id that is not allowed, or another: it changes nothing before it unless it takes a number itself.
      if (!/^call_\d+$/.test(last)) assert.deepStrictEqual(ids(...given, last).slice(0, sent.length), sent)
    }
  )
})

describe("what is told of a conversation", () => {
  it("the tools that were called, and the documents in their order", () => {
    const { called, documents } = read([
      {
        role: "user",
        content: [
          { type: "file", mediaType: "application/pdf", data: "AQI=" },
          { type: "file", mediaType: "image/png", data: "AQI=" },
          { type: "file", mediaType: "text/plain", data: "AQI=" }
        ]
      },
      call("1"),
      result("1", "found")
    ])
    assert.deepStrictEqual([...called], ["look"])
    assert.deepStrictEqual(documents, ["application/pdf", "text/plain"])
  })
})

describe("any prompt", () => {
  const part = {
    text: Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
    file: Schema.Struct({
      type: Schema.Literal("file"),
      mediaType: Schema.Literals(["image/png", "application/pdf", "text/csv", "video/mp4", "image/tiff"]),
      fileName: Schema.optionalKey(Schema.String),
      data: Schema.Literals(["AQI=", "s3://b/a", "?"])
    }),
    reasoning: Schema.Struct({
      type: Schema.Literal("reasoning"),
      text: Schema.String,
      options: Schema.Struct({ bedrock: Schema.Struct({ signature: Schema.optionalKey(Schema.String) }) })
    }),
    call: Schema.Struct({
      type: Schema.Literal("tool-call"),
      id: Schema.String,
      name: Schema.String,
      params: Schema.Json
    }),
    result: Schema.Struct({
      type: Schema.Literal("tool-result"),
      id: Schema.String,
      name: Schema.String,
      isFailure: Schema.Boolean,
      result: Schema.Json
    })
  }
  const options = Schema.Struct({
    bedrock: Schema.Struct({ cachePoint: Schema.optionalKey(Schema.Literal(true)) })
  })
  const message = Schema.Union([
    Schema.Struct({ role: Schema.Literal("system"), content: Schema.String, options }),
    Schema.Struct({
      role: Schema.Literal("user"),
      content: Schema.Array(Schema.Union([part.text, part.file])),
      options
    }),
    Schema.Struct({
      role: Schema.Literal("assistant"),
      content: Schema.Array(Schema.Union([part.text, part.reasoning, part.call])),
      options
    }),
    Schema.Struct({ role: Schema.Literal("tool"), content: Schema.Array(part.result), options })
  ])

  it.prop(
    "is refused, or a conversation as Converse wants it: in turns, nothing empty, results first, documents and calls with names of their own",
    [Schema.Array(message)],
    ([given]) => {
      const result = refused(() => conversation(Prompt.make(given)))
      if (Result.isFailure(result)) {
        // By what it says, and not because the reading broke.
        assert.notInclude(result.failure.message, "can't be read")
        return
      }
      const { messages, system } = result.success
      for (const [index, { content = [], role }] of messages.entries()) {
        assert.notStrictEqual(role, messages[index + 1]?.role)
        assert.isNotEmpty(content)
        const kinds = content.map((block) => Object.keys(block).join())
        assert.isFalse(kinds.some((kind, at) => kind === "cachePoint" && (at === 0 || kinds[at - 1] === "cachePoint")))
        const lastResult = kinds.lastIndexOf("toolResult")
        assert.isTrue(kinds.slice(0, lastResult + 1).every((kind) => kind === "toolResult" || kind === "cachePoint"))
        for (const { text, toolResult, toolUse } of content) {
          if (text !== undefined) assert.isNotEmpty(text.trim())
          const id = toolUse?.toolUseId ?? toolResult?.toolUseId
          if (id !== undefined) assert.match(id, /^[a-zA-Z0-9_-]{1,64}$/)
        }
      }
      for (const { text } of system) if (text !== undefined) assert.isNotEmpty(text.trim())
      const names = messages.flatMap(({ content }) => content?.flatMap(({ document }) => document?.name ?? []) ?? [])
      assert.strictEqual(new Set(names).size, names.length)
    }
  )
})
