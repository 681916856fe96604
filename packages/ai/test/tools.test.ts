// Tools over the wire: how they are told, chosen, called and answered; and that no handler runs twice for what goes wrong below.
import { BedrockTool } from "@caprock/ai"
import { Fault, type OutputModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { Chat, LanguageModel, type Prompt, Tool, Toolkit } from "effect/ai"
import { rig, scripted } from "./rig.ts"

const Weather = Tool.make("Weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String.annotate({ description: "Its name" }) }),
  success: Schema.Struct({ degrees: Schema.Finite }),
  failure: Schema.Struct({ reason: Schema.String }),
  failureMode: "return"
})
const Clock = Tool.make("Clock", { description: "", success: Schema.String })
const Tools = Toolkit.make(Weather, Clock)

/** The tools, with handlers that count how often they ran. */
const counted = () => {
  const ran: Array<string> = []
  const toolkit = Effect.provide(
    Tools,
    Tools.toLayer({
      Weather: ({ city }) =>
        Effect.suspend(() => {
          ran.push(city)
          return city === "Atlantis" ? Effect.fail({ reason: "It sank." }) : Effect.succeed({ degrees: 20 })
        }),
      Clock: () =>
        Effect.sync(() => {
          ran.push("clock")
          return "noon"
        })
    })
  )
  return { ran, toolkit }
}

const call = (city: string, toolUseId = "t-1") => ({ toolUse: { toolUseId, name: "Weather", input: { city } } })
const done: OutputModel.Output = { text: "It is warm." }

const specs = (body: { readonly toolConfig?: { readonly tools: ReadonlyArray<unknown> } } | undefined) =>
  JSON.parse(JSON.stringify(body?.toolConfig?.tools ?? []))

describe("a tool", () => {
  it.live("is told with its description and the schema of its parameters", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted(done)
      const { lm } = yield* rig({ emulator: { output } })
      yield* lm.generateText({ prompt: "Hi", toolkit: counted().toolkit })
      assert.deepStrictEqual(specs(requests[0]), [
        {
          toolSpec: {
            name: "Weather",
            description: "The weather of a city",
            inputSchema: {
              json: {
                type: "object",
                properties: { city: { type: "string", description: "Its name" } },
                required: ["city"],
                additionalProperties: true
              }
            }
          }
        },
        { toolSpec: { name: "Clock", inputSchema: { json: { type: "object", additionalProperties: false } } } }
      ])
      assert.isUndefined(requests[0]?.toolConfig?.toolChoice)
    }).pipe(Effect.scoped))

  it.live("whose parameters are a class has the object at the top, as Bedrock wants it", () =>
    Effect.gen(function*() {
      class Place extends Schema.Class<Place>("Place")({ city: Schema.String }) {}
      const toolkit = Toolkit.make(Tool.make("Go", { parameters: Place, success: Schema.String }))
      const { output, requests } = scripted(done)
      const { lm } = yield* rig({ emulator: { output } })
      yield* lm.generateText({
        prompt: "Hi",
        toolkit: Effect.provide(toolkit, toolkit.toLayer({ Go: () => Effect.succeed("") }))
      })
      assert.strictEqual(specs(requests[0])[0].toolSpec.inputSchema.json.type, "object")
    }).pipe(Effect.scoped))

  it.live("may be strict, and have a cache point after it", () =>
    Effect.gen(function*() {
      const strict = Tool.make("Strict", { success: Schema.String }).annotate(Tool.Strict, true)
        .annotate(BedrockTool.CachePoint, { ttl: "5m" })
      const toolkit = Toolkit.make(strict)
      const { output, requests } = scripted(done)
      const { lm } = yield* rig({ emulator: { output } })
      yield* lm.generateText({
        prompt: "Hi",
        toolkit: Effect.provide(toolkit, toolkit.toLayer({ Strict: () => Effect.succeed("") }))
      })
      const [tool, cachePoint] = specs(requests[0])
      assert.isTrue(tool.toolSpec.strict)
      assert.deepStrictEqual(cachePoint, { cachePoint: { type: "default", ttl: "5m" } })
    }).pipe(Effect.scoped))

  it.live("that another provider runs is refused, before anything is sent", () =>
    Effect.gen(function*() {
      const search = Tool.providerDefined({
        id: "openai.web_search",
        customName: "Search",
        providerName: "web_search"
      })(undefined)
      const { emulator, lm } = yield* rig({})
      const error = yield* Effect.flip(
        lm.generateText({ prompt: "Hi", toolkit: Toolkit.make(search) })
      )
      if (error._tag !== "AiError" || error.reason._tag !== "ToolConfigurationError") return assert.fail(String(error))
      assert.strictEqual(error.reason.toolName, "Search")
      assert.isEmpty(yield* emulator.log)
    }).pipe(Effect.scoped))

  it.live("that Bedrock runs itself is told by its name, and its call and result are parts of the answer", () =>
    Effect.gen(function*() {
      const Grounding = Tool.providerDefined({
        id: "bedrock.nova_grounding",
        customName: "Ground",
        providerName: "nova_grounding",
        parameters: Schema.Unknown,
        success: Schema.Unknown,
        failure: Schema.Unknown
      })(undefined)
      const toolkit = Toolkit.make(Grounding, BedrockTool.systemTool("nova_code_interpreter"))
      const url = "https://example.com/sky"
      const content = [
        { toolUse: { toolUseId: "s-1", name: "nova_grounding", input: {}, type: "server_tool_use" } },
        { toolResult: { toolUseId: "s-1", content: [{ json: { found: 1 } }], type: "nova_grounding_result" } },
        { toolUse: { toolUseId: "s-2", name: "nova_code_interpreter", input: {}, type: "server_tool_use" } },
        { toolResult: { toolUseId: "s-2", content: [{ text: "no" }, { text: "way" }], status: "error" } },
        {
          citationsContent: {
            content: [{ text: "It scatters." }],
            citations: [{ location: { web: { url, domain: "example.com" } } }]
          }
        }
      ]
      const { output, requests } = scripted({ content, stopReason: "end_turn" })
      const { lm } = yield* rig({ emulator: { output } })
      const chat = yield* Chat.empty
      const turn = chat.generateText({ prompt: "Why is the sky blue?", toolkit }).pipe(
        Effect.provideService(LanguageModel.LanguageModel, lm)
      )
      const answer = yield* turn
      yield* turn
      // It goes back under Bedrock's name, and not under ours.
      assert.deepStrictEqual(requests[1]?.messages[1]?.content[0], content[0])
      assert.deepStrictEqual(specs(requests[0]), [
        { systemTool: { name: "nova_grounding" } },
        { systemTool: { name: "nova_code_interpreter" } }
      ])
      const [called] = answer.toolCalls
      const [found, failed] = answer.toolResults
      assert.deepStrictEqual([called?.name, called?.providerExecuted], ["Ground", true])
      assert.deepStrictEqual([failed?.name, failed?.isFailure], ["nova_code_interpreter", true])
      assert.deepStrictEqual(failed?.result, ["no", "way"])
      assert.deepStrictEqual([found?.result, found?.metadata.bedrock?.type], [{ found: 1 }, "nova_grounding_result"])
      assert.strictEqual(answer.text, "It scatters.")
      const source = answer.content.find((part) => part.type === "source")
      assert.strictEqual(source?.sourceType === "url" ? source.url.href : source, url)
    }).pipe(Effect.scoped))
})

describe("the choice of tools", () => {
  const history: ReadonlyArray<Prompt.MessageEncoded> = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: [{ type: "tool-call", id: "1", name: "Weather", params: { city: "Oslo" } }] },
    {
      role: "tool",
      content: [{ type: "tool-result", id: "1", name: "Weather", isFailure: false, result: { degrees: 2 } }]
    }
  ]

  const chosen = Effect.fnUntraced(function*(toolChoice: LanguageModel.ToolChoice<"Weather" | "Clock">) {
    const { output, requests } = scripted(done)
    const { lm } = yield* rig({ emulator: { output } })
    yield* lm.generateText({ prompt: "Hi", toolkit: counted().toolkit, toolChoice })
    yield* lm.generateText({ prompt: history, toolkit: counted().toolkit, toolChoice })
    return requests.map(({ toolConfig }) => ({
      tools: specs({ toolConfig: toolConfig ?? { tools: [] } }).map((tool: { toolSpec: { name: string } }) =>
        tool.toolSpec.name
      ),
      choice: toolConfig?.toolChoice
    }))
  }, Effect.scoped)

  const both = ["Weather", "Clock"]

  it.live.each(
    [
      ["auto", { tools: both, choice: undefined }],
      ["required", { tools: both, choice: { any: {} } }],
      [{ tool: "Clock" }, { tools: both, choice: { tool: { name: "Clock" } } }],
      [{ oneOf: ["Clock"] }, { tools: ["Clock"], choice: undefined }],
      [{ mode: "required", oneOf: ["Clock"] }, { tools: ["Clock"], choice: { any: {} } }]
    ] as const
  )("%j is sent", ([choice, expected]) =>
    Effect.map(chosen(choice), (sent) => {
      assert.deepStrictEqual(sent, [expected, expected])
    }))

  it.live("none sends no tools, unless the messages tell of calls: Converse refuses these without", () =>
    Effect.map(chosen("none"), (sent) => {
      assert.deepStrictEqual(sent, [{ tools: [], choice: undefined }, { tools: both, choice: undefined }])
    }))

  it.live("of tools that are no longer there names those that were called", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted(done)
      const { lm } = yield* rig({ emulator: { output } })
      yield* lm.generateText({ prompt: history })
      assert.deepStrictEqual(specs(requests[0]), [
        { toolSpec: { name: "Weather", inputSchema: { json: { type: "object" } } } }
      ])
    }).pipe(Effect.scoped))

  it.live("none runs no handler, though the model may call one", () =>
    Effect.gen(function*() {
      const { lm } = yield* rig({ emulator: { output: () => ({ content: [call("Oslo")] }) } })
      const { ran, toolkit } = counted()
      const error = yield* Effect.flip(lm.generateText({ prompt: history, toolkit, toolChoice: "none" }))
      assert.strictEqual(error._tag === "AiError" ? error.reason._tag : error, "ToolNotFoundError")
      assert.isEmpty(ran)
    }).pipe(Effect.scoped))
})

describe("a call", () => {
  it.live("is handled, several at once, and what each gave is told the model in its turn", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted(
        {
          content: [{ text: "I look." }, call("Oslo", "a"), call("Atlantis", "b"), {
            toolUse: { toolUseId: "c", name: "Clock", input: {} }
          }]
        },
        done
      )
      const { lm } = yield* rig({ emulator: { output } })
      const { ran, toolkit } = counted()
      const chat = yield* Chat.empty
      const turn = (prompt: Prompt.RawInput) =>
        chat.generateText({ prompt, toolkit }).pipe(Effect.provideService(LanguageModel.LanguageModel, lm))
      const first = yield* turn("How warm is it?")
      assert.strictEqual(first.finishReason, "tool-calls")
      assert.sameMembers(ran, ["Oslo", "Atlantis", "clock"])
      const second = yield* turn([])
      assert.strictEqual(second.text, "It is warm.")
      const [, assistant, user] = requests[1]?.messages ?? []
      assert.deepStrictEqual(assistant?.content, [
        { text: "I look." },
        call("Oslo", "a"),
        call("Atlantis", "b"),
        { toolUse: { toolUseId: "c", name: "Clock", input: {} } }
      ])
      assert.strictEqual(user?.role, "user")
      assert.sameDeepMembers([...user?.content ?? []], [
        { toolResult: { toolUseId: "a", content: [{ json: { degrees: 20 } }] } },
        { toolResult: { toolUseId: "b", content: [{ json: { reason: "It sank." } }], status: "error" } },
        { toolResult: { toolUseId: "c", content: [{ text: "noon" }] } }
      ])
      assert.strictEqual(requests.length, 2)
    }).pipe(Effect.scoped))

  it.live("of a tool that there is not is an error that names those there are; or is given as it is, to who asked for that", () =>
    Effect.gen(function*() {
      const content = [{ toolUse: { toolUseId: "1", name: "Wheather", input: { city: "Oslo" } } }]
      const { lm } = yield* rig({ emulator: { output: () => ({ content }) } })
      const { toolkit } = counted()
      const error = yield* Effect.flip(lm.generateText({ prompt: "Hi", toolkit }))
      if (error._tag !== "AiError" || error.reason._tag !== "ToolNotFoundError") return assert.fail(String(error))
      assert.deepStrictEqual([error.reason.toolName, error.reason.availableTools], ["Wheather", ["Weather", "Clock"]])
      const deferred = yield* lm.generateText({
        prompt: "Hi",
        toolkit,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      })
      assert.strictEqual(deferred.toolCalls[0]?.name, "Wheather")
    }).pipe(Effect.scoped))
})

describe("what goes wrong below the handlers", () => {
  const faults: ReadonlyArray<readonly [string, Fault.Fault]> = [
    ["a throttle", Fault.error("ThrottlingException")],
    ["a failure of the server", Fault.error("InternalServerException")],
    ["no capacity", Fault.error("ServiceUnavailableException")],
    ["a connection that is reset", Fault.reset],
    ["an answer that is cut", Fault.cut(0.5)]
  ]

  it.live.each(faults)("%s runs no handler twice", ([, fault]) =>
    Effect.gen(function*() {
      let asked = 0
      // A request that fails is asked of the function too: what it gives goes by what the messages have.
      const output: OutputModel.OutputFunction = ({ body }) => {
        asked++
        return JSON.stringify(body).includes("toolResult") ? done : { content: [call("Oslo"), call("Rome", "t-2")] }
      }
      const { emulator, lm } = yield* rig({ emulator: { output } })
      const { ran, toolkit } = counted()
      const chat = yield* Chat.empty
      const turn = (prompt: Prompt.RawInput) =>
        chat.generateText({ prompt, toolkit }).pipe(Effect.provideService(LanguageModel.LanguageModel, lm))
      yield* emulator.inject(fault, { times: 2 })
      yield* turn("How warm is it?")
      assert.sameMembers(ran, ["Oslo", "Rome"])
      yield* emulator.inject(fault, { times: 2 })
      assert.strictEqual((yield* turn([])).text, "It is warm.")
      assert.sameMembers(ran, ["Oslo", "Rome"])
      assert.strictEqual((yield* emulator.log).length, 6)
      assert.strictEqual(asked, 6)
    }).pipe(Effect.scoped))

  it.live.each(
    [...faults, ["a stream that ends early", Fault.truncate(0)], [
      "an exception first",
      Fault.streamError("throttlingException", { at: 0 })
    ]] as const
  )("%s runs no handler twice in a stream either", ([, fault]) =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({
        emulator: { output: () => ({ content: [call("Oslo"), call("Rome", "t-2")] }) }
      })
      const { ran, toolkit } = counted()
      // Before any content the stream is asked for again; afterwards never.
      const early = fault._tag === "Cut" ? Fault.cut(0) : fault
      yield* emulator.inject(early, { times: 2, operation: "ConverseStream" })
      const parts = yield* Stream.runCollect(lm.streamText({ prompt: "How warm is it?", toolkit }))
      assert.sameMembers(ran, ["Oslo", "Rome"])
      assert.strictEqual(parts.filter(({ type }) => type === "tool-result").length, 2)
      assert.strictEqual((yield* emulator.log).length, 3)
    }).pipe(Effect.scoped))
})
