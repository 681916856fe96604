// An answer is the same in one piece and in a stream, however it is cut: as a conversation keeps it, and as the next request has it.
import { assert, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Prompt, Response } from "effect/ai"
import { conversation } from "../src/internal/prompt.ts"
import type { Question } from "../src/internal/request.ts"
import * as response from "../src/internal/response.ts"
import type { Event, Output } from "../src/internal/sdk.ts"
import { Reading } from "../src/internal/stream.ts"

const question: Question = {
  input: { modelId: "m", messages: [] },
  modelId: "m",
  shape: undefined,
  ownNames: new Map(),
  documents: ["application/pdf"],
  callable: undefined
}

/** A text, and where a stream cuts it. */
const Pieces = Schema.Array(Schema.String)

const Block = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("text"), pieces: Pieces }),
  Schema.Struct({ kind: Schema.Literal("reasoning"), pieces: Pieces, signature: Schema.optionalKey(Schema.String) }),
  Schema.Struct({ kind: Schema.Literal("redacted"), pieces: Schema.NonEmptyArray(Schema.Uint8Array) }),
  Schema.Struct({
    kind: Schema.Literal("call"),
    name: Schema.String,
    input: Schema.JsonObject,
    at: Schema.Array(Schema.Natural)
  }),
  Schema.Struct({ kind: Schema.Literal("cited"), pieces: Pieces, titles: Schema.NonEmptyArray(Schema.String) })
])
type Block = typeof Block.Type

type Content = NonNullable<NonNullable<NonNullable<Output["output"]>["message"]>["content"]>[number]
type Delta = NonNullable<NonNullable<Event["contentBlockDelta"]>["delta"]>
type Start = NonNullable<NonNullable<Event["contentBlockStart"]>["start"]>

const joined = (bytes: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(bytes))
const citations = (titles: ReadonlyArray<string>) =>
  titles.map((title) => ({ title, location: { documentPage: { documentIndex: 0, start: 1, end: 2 } } }))

const whole = (block: Block, id: string): Content => {
  switch (block.kind) {
    case "text":
      return { text: block.pieces.join("") }
    case "reasoning": {
      const { pieces, signature } = block
      return {
        reasoningContent: {
          reasoningText: { text: pieces.join(""), ...(signature === undefined ? {} : { signature }) }
        }
      }
    }
    case "redacted":
      return { reasoningContent: { redactedContent: joined(block.pieces) } }
    case "call":
      return { toolUse: { toolUseId: id, name: block.name, input: JSON.parse(JSON.stringify(block.input)) } }
    case "cited":
      return { citationsContent: { content: [{ text: block.pieces.join("") }], citations: citations(block.titles) } }
  }
}

const cut = (text: string, at: ReadonlyArray<number>): ReadonlyArray<string> => {
  const places = [...new Set([0, ...at.map((place) => place % (text.length + 1)), text.length])].toSorted((a, b) =>
    a - b
  )
  return places.slice(1).map((end, index) => text.slice(places[index], end))
}

const deltas = (block: Block): ReadonlyArray<Delta> => {
  switch (block.kind) {
    case "text":
      return block.pieces.map((text) => ({ text }))
    case "reasoning":
      return [
        ...block.pieces.map((text) => ({ reasoningContent: { text } })),
        ...(block.signature === undefined ? [] : [{ reasoningContent: { signature: block.signature } }])
      ]
    case "redacted":
      return block.pieces.map((piece) => ({ reasoningContent: { redactedContent: new Uint8Array(piece) } }))
    case "call":
      return cut(JSON.stringify(block.input), block.at).map((input) => ({ toolUse: { input } }))
    case "cited":
      return [...block.pieces.map((text) => ({ text })), ...citations(block.titles).map((citation) => ({ citation }))]
  }
}

const events = (block: Block, contentBlockIndex: number): ReadonlyArray<Event> => {
  const start: ReadonlyArray<Start> = block.kind === "call"
    ? [{ toolUse: { toolUseId: `t-${contentBlockIndex}`, name: block.name } }]
    : []
  return [
    ...start.map((start) => ({ contentBlockStart: { contentBlockIndex, start } })),
    ...deltas(block).map((delta) => ({ contentBlockDelta: { contentBlockIndex, delta } })),
    { contentBlockStop: { contentBlockIndex } }
  ]
}

const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 }
const timestamp = "2026-11-22T00:00:00.000Z"
const decode = Schema.decodeUnknownSync(Schema.Array(Response.AllParts()))

/** What a next request has of it. */
const next = (parts: ReadonlyArray<Response.AnyPart>) => conversation(Prompt.fromResponseParts(parts)).messages

it.prop("an answer in a stream is the answer in one piece", [Schema.Array(Block)], ([blocks]) => {
  const answer: Output = {
    $metadata: {},
    output: { message: { role: "assistant", content: blocks.map((block, index) => whole(block, `t-${index}`)) } },
    stopReason: "end_turn",
    usage,
    metrics: { latencyMs: 1 }
  }
  const inOne = decode(response.partsOf(answer, question, timestamp))
  const reading = new Reading(question)
  const stream: ReadonlyArray<Event> = [
    { messageStart: { role: "assistant" } },
    ...blocks.flatMap(events),
    { messageStop: { stopReason: "end_turn" } },
    { metadata: { usage, metrics: { latencyMs: 1 } } }
  ]
  const piecewise = decode(stream.flatMap((event) => Result.getOrThrow(reading.event(event, timestamp))))

  assert.deepStrictEqual(next(piecewise), next(inOne))
  assert.deepStrictEqual(piecewise.at(-1), inOne.at(-1))
  const sources = (parts: ReadonlyArray<Response.AnyPart>) => parts.filter(({ type }) => type === "source")
  assert.deepStrictEqual(sources(piecewise), sources(inOne))
  // Whatever has begun has ended, once.
  for (const kind of ["text", "reasoning", "tool-params"]) {
    const of = (end: string) => piecewise.filter(({ type }) => type === `${kind}-${end}`).length
    assert.strictEqual(of("start"), of("end"))
  }
})

it.each([Number.NaN, 1.5, -1, 2 ** 60, undefined])("a count of %s is none, and the answer is whole", (inputTokens) => {
  const [, text, finish] = decode(response.partsOf(
    {
      $metadata: {},
      output: { message: { role: "assistant", content: [{ text: "Yes." }] } },
      stopReason: "end_turn",
      usage: { inputTokens, outputTokens: 2, totalTokens: 3 },
      metrics: undefined
    },
    question,
    timestamp
  ))
  assert.strictEqual(text?.type === "text" ? text.text : text, "Yes.")
  if (finish?.type !== "finish") return assert.fail()
  assert.isUndefined(finish.usage.inputTokens.total)
  assert.strictEqual(finish.usage.outputTokens.total, 2)
})
