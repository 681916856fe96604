/** Answers whose blocks were given, as JSON has them in an answer of Converse. */
import type { Output } from "../OutputModel.ts"
import * as EventStream from "./eventStream.ts"
import * as Json from "./json.ts"
import * as Text from "./text.ts"

type Content = NonNullable<Output["content"]>

/** What is said to the user, for the operations that know nothing else. */
export const textOf = (content: Content): string => content.map((block) => Json.text(block["text"])).join("")

/** What is counted: the words, and the JSON of what has none. */
export const writtenOf = (content: Content): string =>
  content.map((block) => typeof block["text"] === "string" ? block["text"] : JSON.stringify(block)).join("\n")

export const calls = (content: Content | undefined): boolean => content?.some((block) => "toolUse" in block) ?? false

/** How many events a text is told in. */
const pieces = 4

/** The frames of ConverseStream that bring these blocks, each event by itself. */
export const frames = (content: Content): ReadonlyArray<ReadonlyArray<Buffer>> =>
  content.flatMap((block, contentBlockIndex) =>
    [...eventsOf(block), stop].map(({ name, payload }) => [
      EventStream.event(name, { contentBlockIndex, ...payload })
    ])
  )

interface Event {
  readonly name: "contentBlockStart" | "contentBlockDelta" | "contentBlockStop"
  readonly payload: Readonly<Record<string, unknown>>
}

const stop: Event = { name: "contentBlockStop", payload: {} }
const delta = (delta: unknown): Event => ({ name: "contentBlockDelta", payload: { delta } })
const start = (start: unknown): Event => ({ name: "contentBlockStart", payload: { start } })

const split = (text: string): ReadonlyArray<string> => Text.split(text, pieces)

const eventsOf = (block: Readonly<Record<string, unknown>>): ReadonlyArray<Event> => {
  const { citationsContent, image, reasoningContent, text, toolResult, toolUse } = block
  if (typeof text === "string") return split(text).map((text) => delta({ text }))
  if (Json.isRecord(toolUse)) {
    const { input, ...call } = toolUse
    return [
      start({ toolUse: call }),
      ...split(JSON.stringify(input ?? {})).map((input) => delta({ toolUse: { input } }))
    ]
  }
  if (Json.isRecord(reasoningContent)) {
    const { reasoningText, redactedContent } = reasoningContent
    const { signature, text } = Json.record(reasoningText)
    return [
      ...(typeof text === "string" ? split(text).map((text) => delta({ reasoningContent: { text } })) : []),
      ...(signature === undefined ? [] : [delta({ reasoningContent: { signature } })]),
      ...(redactedContent === undefined ? [] : [delta({ reasoningContent: { redactedContent } })])
    ]
  }
  if (Json.isRecord(citationsContent)) {
    return [
      ...Json.list(citationsContent["content"]).map((content) => delta(content)),
      ...Json.list(citationsContent["citations"]).map((citation) => delta({ citation }))
    ]
  }
  if (Json.isRecord(toolResult)) {
    const { content, ...result } = toolResult
    return [start({ toolResult: result }), delta({ toolResult: content })]
  }
  if (Json.isRecord(image)) {
    return [start({ image: { format: image["format"] } }), delta({ image: { source: image["source"] } })]
  }
  return [delta(block)]
}
