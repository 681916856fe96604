// Effect's own programs, as they came with it, on Bedrock: over sockets, against the emulator. Nothing of their text is changed but the lines that import a
// provider.
import { Emulator, Fault, LatencyModel, type OutputModel } from "@caprock/emulator"
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Layer, Stream } from "effect"
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { afterAll } from "vitest"
import * as providers from "./providers.ts"

const programs = join(dirname(createRequire(import.meta.url).resolve("effect/package.json")), "ai-docs/src/71_ai")
const copies = join(import.meta.dirname, ".doctest", `ai-docs-${process.pid}`)
const imported = /^import \{ ([^}]*) \} from "@effect\/ai-[a-z]+"$/gm

/** A program with our layers in the place of its providers'. */
const program = async (name: string): Promise<Readonly<Record<string, unknown>>> => {
  const text = readFileSync(join(programs, name), "utf8")
  const names = [...text.matchAll(imported)].flatMap(([, names = ""]) => names.split(", "))
  assert.includeMembers(Object.keys(providers), names)
  mkdirSync(copies, { recursive: true })
  cpSync(join(programs, "fixtures"), join(copies, "fixtures"), { recursive: true })
  writeFileSync(join(copies, name), text.replace(imported, "import { $1 } from \"../../providers.ts\""))
  return import(join(copies, name))
}
afterAll(() => rmSync(copies, { recursive: true, force: true }))

/** A service of a program: its class, and the layer that it has. */
interface Made<A> extends Context.Service<A, A> {
  readonly layer: Layer.Layer<A>
}

interface Asked {
  readonly modelId: string
  readonly body: {
    readonly messages: ReadonlyArray<
      { readonly role: string; readonly content: ReadonlyArray<Readonly<Record<string, unknown>>> }
    >
    readonly system?: unknown
    readonly toolConfig?: { readonly tools: ReadonlyArray<{ readonly toolSpec: { readonly name: string } }> }
  }
}

/** Runs it with its service made, on an emulator that answers by `output`, and that throttles its first request twice. */
const run = <A, B, E>(
  service: Made<A>,
  output: (asked: Asked) => OutputModel.Output,
  use: (service: A, answered: () => ReadonlyArray<Asked>) => Effect.Effect<B, E>
) =>
  Effect.gen(function*() {
    const asked: Array<Asked> = []
    const emulator = yield* Emulator.make({
      latency: LatencyModel.fixed(0),
      output: (request) => {
        const one = request as Asked
        asked.push(one)
        return output(one)
      }
    })
    yield* emulator.inject(Fault.error("ThrottlingException"), { times: 2 })
    const context = yield* Layer.build(service.layer).pipe(Effect.provideService(providers.Endpoint, emulator.url))
    const result = yield* Effect.flatMap(service, (made) => use(made, () => asked.slice(2))).pipe(
      Effect.provide(context)
    )
    const { errors } = yield* emulator.stats
    assert.deepStrictEqual(errors, { ThrottlingException: 2 })
    return result
  }).pipe(Effect.scoped)

const toolsOf = ({ body }: Asked) => body.toolConfig?.tools.map(({ toolSpec }) => toolSpec.name) ?? []
const resultsOf = ({ body }: Asked) =>
  body.messages.flatMap(({ content }) => content.filter((block) => "toolResult" in block))

describe("a program of Effect's own", () => {
  it.live("language models: a text by a plan, an object, a stream", () =>
    Effect.gen(function*() {
      interface Writer {
        readonly draftAnnouncement: (product: string) => Effect.Effect<object, unknown>
        readonly extractLaunchPlan: (notes: string) => Effect.Effect<object, unknown>
        readonly streamReleaseHighlights: (version: string) => Stream.Stream<string, unknown>
      }
      const { AiWriter } = yield* Effect.promise(() => program("10_language-model.ts"))
      const plan: object = {
        audience: "developers",
        channels: ["blog"],
        launchDate: "2026-12-01",
        summary: "It is out.",
        keyRisks: ["none"]
      }
      yield* run(
        AiWriter as Made<Writer>,
        (asked) => {
          const [tool] = toolsOf(asked)
          return tool === undefined ? { text: "Words, and more words." } : { toolUse: { name: tool, input: plan } }
        },
        Effect.fnUntraced(function*(writer, answered) {
          assert.deepStrictEqual(yield* writer.draftAnnouncement("Effect Cloud"), {
            provider: "amazon-bedrock",
            text: "Words, and more words."
          })
          assert.deepStrictEqual({ ...(yield* writer.extractLaunchPlan("Notes")) }, plan)
          assert.strictEqual(
            (yield* Stream.runCollect(writer.streamReleaseHighlights("4.1"))).join(""),
            "Words, and more words."
          )
          assert.deepStrictEqual(answered().map(({ modelId }) => modelId), [
            providers.ids["gpt-5.2"],
            providers.ids["gpt-4.1"],
            providers.ids["gpt-4.1"]
          ])
        })
      )
    }))

  it.live("tools: its handler runs, once", () =>
    Effect.gen(function*() {
      interface Assistant {
        readonly answer: (question: string) => Effect.Effect<object, unknown>
      }
      const { ProductAssistant } = yield* Effect.promise(() => program("20_tools.ts"))
      yield* run(
        ProductAssistant as Made<Assistant>,
        () => ({ toolUse: { name: "SearchProducts", input: { query: "headphones" } } }),
        Effect.fnUntraced(function*(assistant, answered) {
          assert.deepStrictEqual(yield* assistant.answer("Which headphones?"), { text: "", toolCallCount: 1 })
          assert.deepStrictEqual(answered().map(toolsOf), [["SearchProducts", "GetInventory"]])
        })
      )
    }))

  it.live("chat: turns with their history, and a loop with tools", () =>
    Effect.gen(function*() {
      interface Assistant {
        readonly chat: (message: string) => Effect.Effect<string, unknown>
        readonly agent: (question: string) => Effect.Effect<string, unknown>
      }
      const { AiAssistant } = yield* Effect.promise(() => program("30_chat.ts"))
      yield* run(
        AiAssistant as Made<Assistant>,
        (asked) =>
          toolsOf(asked).length === 0
            ? { text: `Turn ${asked.body.messages.length}` }
            : resultsOf(asked).length === 0
            ? { toolUse: { name: "getCurrentTime", input: { id: "1" } } }
            : { text: "It is late." },
        Effect.fnUntraced(function*(assistant, answered) {
          assert.strictEqual(yield* assistant.chat("Hello"), "Turn 1")
          assert.strictEqual(yield* assistant.chat("And now?"), "Turn 3")
          assert.strictEqual(yield* assistant.agent("What time is it?"), "It is late.")
          assert.strictEqual(answered().length, 4)
          assert.deepStrictEqual(answered()[0]?.body.system, [{
            text: "You are a helpful assistant that answers questions."
          }])
        })
      )
    }))
})
