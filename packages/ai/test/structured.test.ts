// Objects over the wire: as the input of a tool, or in Bedrock's own format.
import { Fault, type OutputModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { rig, scripted } from "./rig.ts"

const Plan = Schema.Struct({
  city: Schema.String.annotate({ description: "Where to" }),
  days: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 }))
}).annotate({ identifier: "Plan", description: "A journey" })

const plan = { city: "Oslo", days: 3 }

const given = (input: unknown, name = "Plan"): OutputModel.Output => ({
  content: [{ text: "Here it is:" }, { toolUse: { toolUseId: "t-1", name, input } }]
})

/** Called again with something else, as no model should. */
const twice = (input: unknown): OutputModel.Output => ({
  content: [...given(input).content ?? [], { toolUse: { toolUseId: "t-2", name: "Plan", input: {} } }]
})

const tools = (body: { readonly toolConfig?: { readonly tools: ReadonlyArray<unknown> } } | undefined) =>
  JSON.parse(JSON.stringify(body?.toolConfig?.tools ?? []))

const planned = LanguageModel.generateObject({ prompt: "Where to?", schema: Plan })

describe("an object, as the input of a tool", () => {
  it.live("is asked for by a tool that has to be called, and its call is the answer", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted(twice(plan))
      const { lm } = yield* rig({ emulator: { output } })
      const answer = yield* Effect.provideService(planned, LanguageModel.LanguageModel, lm)
      assert.deepStrictEqual(answer.value, plan)
      assert.strictEqual(answer.finishReason, "stop")
      assert.isEmpty(answer.toolCalls)
      assert.deepStrictEqual(requests[0]?.toolConfig?.toolChoice, { any: {} })
      const [{ toolSpec }] = tools(requests[0])
      assert.deepStrictEqual([toolSpec.name, toolSpec.description], ["Plan", "A journey"])
      assert.strictEqual(toolSpec.inputSchema.json.type, "object")
      assert.deepStrictEqual(toolSpec.inputSchema.json.required, ["city", "days"])
      assert.isUndefined(requests[0]?.outputConfig)
    }).pipe(Effect.scoped))

  it.live("is only offered to a model that can't be forced, and may be told as a text", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: JSON.stringify(plan) })
      const { lm } = yield* rig({ emulator: { output }, settings: { structured: "tool-auto" } })
      const answer = yield* Effect.provideService(planned, LanguageModel.LanguageModel, lm)
      assert.deepStrictEqual(answer.value, plan)
      assert.isUndefined(requests[0]?.toolConfig?.toolChoice)
      assert.strictEqual(tools(requests[0]).length, 1)
    }).pipe(Effect.scoped))

  it.live("that is none is one of its fields, for tools take objects", () =>
    Effect.gen(function*() {
      const Shape = Schema.Union([
        Schema.Struct({ kind: Schema.Literal("circle"), radius: Schema.Finite }),
        Schema.Struct({ kind: Schema.Literal("square"), side: Schema.Finite })
      ])
      const square = { kind: "square" as const, side: 2 }
      const { output, requests } = scripted(given({ value: square }, "generateObject"))
      const { lm } = yield* rig({ emulator: { output } })
      const answer = yield* lm.generateObject({ prompt: "Draw", schema: Shape })
      assert.deepStrictEqual(answer.value, square)
      const { json } = tools(requests[0])[0].toolSpec.inputSchema
      assert.deepStrictEqual([json.type, json.required], ["object", ["value"]])
    }).pipe(Effect.scoped))

  it.live("with definitions of its own has them where they are looked for", () =>
    Effect.gen(function*() {
      interface Tree {
        readonly name: string
        readonly children: ReadonlyArray<Tree>
      }
      const Tree: Schema.Codec<Tree> = Schema.Struct({
        name: Schema.String,
        children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
      }).annotate({ identifier: "Tree" })
      const tree = { name: "a", children: [{ name: "b", children: [] }] }
      const { output, requests } = scripted(given(tree, "Tree"))
      const { lm } = yield* rig({ emulator: { output } })
      assert.deepStrictEqual((yield* lm.generateObject({ prompt: "Grow", schema: Tree })).value, tree)
      const { json } = tools(requests[0])[0].toolSpec.inputSchema
      assert.strictEqual(json.type, "object")
      assert.property(json.$defs, JSON.stringify(json.properties).match(/#\/\$defs\/(\w+)/)?.[1] ?? "none")
    }).pipe(Effect.scoped))

  it.live("comes beside the tools of who asks, and its tool has a name of its own", () =>
    Effect.gen(function*() {
      const toolkit = Toolkit.make(Tool.make("Plan", { success: Schema.String }))
      const { output, requests } = scripted(given(plan, "Plan_"))
      const { lm } = yield* rig({ emulator: { output } })
      const answer = yield* lm.generateObject({
        prompt: "Where to?",
        schema: Plan,
        toolkit: Effect.provide(toolkit, toolkit.toLayer({ Plan: () => Effect.succeed("noon") }))
      })
      assert.deepStrictEqual(answer.value, plan)
      assert.deepStrictEqual(
        tools(requests[0]).map((tool: { toolSpec: { name: string } }) => tool.toolSpec.name),
        ["Plan", "Plan_"]
      )
    }).pipe(Effect.scoped))

  it.live("that is whole says nevertheless why the model had to stop", () =>
    Effect.gen(function*() {
      const { lm } = yield* rig({ emulator: { output: () => ({ ...given(plan), stopReason: "max_tokens" }) } })
      const answer = yield* Effect.provideService(planned, LanguageModel.LanguageModel, lm)
      assert.strictEqual(answer.finishReason, "length")
    }).pipe(Effect.scoped))

  it.live("is all that may be called where no tool may be", () =>
    Effect.gen(function*() {
      const toolkit = Toolkit.make(Tool.make("Look", { success: Schema.String }))
      const { output, requests } = scripted(given(plan))
      const { lm } = yield* rig({ emulator: { output } })
      yield* lm.generateObject({
        prompt: "Where to?",
        schema: Plan,
        toolkit: Effect.provide(toolkit, toolkit.toLayer({ Look: () => Effect.succeed("noon") })),
        toolChoice: "none"
      })
      assert.deepStrictEqual(
        tools(requests[0]).map((tool: { toolSpec: { name: string } }) => tool.toolSpec.name),
        ["Plan"]
      )
    }).pipe(Effect.scoped))

  it.live("that is not what was asked for is a StructuredOutputError; a throttle before it is nobody's business", () =>
    Effect.gen(function*() {
      const { emulator, lm } = yield* rig({ emulator: { output: () => given({ city: "Oslo", days: 99 }) } })
      yield* emulator.inject(Fault.error("ThrottlingException"), { times: 1 })
      const error = yield* Effect.flip(Effect.provideService(planned, LanguageModel.LanguageModel, lm))
      assert.strictEqual(error._tag === "AiError" ? error.reason._tag : error, "StructuredOutputError")
      assert.strictEqual((yield* emulator.log).length, 2)
    }).pipe(Effect.scoped))
})

describe("an object, in Bedrock's own format", () => {
  it.live("is asked for by its schema, rewritten to what is allowed there", () =>
    Effect.gen(function*() {
      const { output, requests } = scripted({ text: JSON.stringify(plan) })
      const { lm } = yield* rig({ emulator: { output }, settings: { structured: "native" } })
      const answer = yield* Effect.provideService(planned, LanguageModel.LanguageModel, lm)
      assert.deepStrictEqual(answer.value, plan)
      assert.isUndefined(requests[0]?.toolConfig)
      const format = JSON.parse(JSON.stringify(requests[0]?.outputConfig?.textFormat))
      const { description, name, schema } = format.structure.jsonSchema
      assert.deepStrictEqual([format.type, name, description], ["json_schema", "Plan", "A journey"])
      const json = JSON.parse(schema)
      assert.strictEqual(json.additionalProperties, false)
      assert.notInclude(schema, "maximum\":")
    }).pipe(Effect.scoped))

  it.live("whose schema can't be said there is refused, before anything is sent", () =>
    Effect.gen(function*() {
      interface Tree {
        readonly children: ReadonlyArray<Tree>
      }
      const Tree: Schema.Codec<Tree> = Schema.Struct({
        children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
      }).annotate({ identifier: "Tree" })
      const { emulator, lm } = yield* rig({ settings: { structured: "native" } })
      const error = yield* Effect.flip(lm.generateObject({ prompt: "Grow", schema: Tree }))
      assert.strictEqual(error._tag === "AiError" ? error.reason._tag : error, "UnsupportedSchemaError")
      assert.isEmpty(yield* emulator.log)
    }).pipe(Effect.scoped))
})
