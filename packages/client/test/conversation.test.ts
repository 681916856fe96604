import type { InvokeModelWithBidirectionalStreamOutput } from "@aws-sdk/client-bedrock-runtime"
import { BidirectionalStream } from "@caprock/client"
import { assert, describe, it } from "@effect/vitest"
import { conversation } from "../src/internal/conversation.ts"

const bytes = (text: string): InvokeModelWithBidirectionalStreamOutput => ({
  chunk: { bytes: new TextEncoder().encode(text) }
})
const event = (name: string, value: unknown = {}): InvokeModelWithBidirectionalStreamOutput => {
  const { chunk } = BidirectionalStream.chunk({ event: { [name]: value } })
  return chunk === undefined ? assert.fail() : { chunk }
}

/** What a conversation of these events amounts to. */
const after = (
  events: ReadonlyArray<InvokeModelWithBidirectionalStreamOutput>,
  inputEnded = true,
  asked = true
) => {
  const progress = conversation({ ended: () => inputEnded, asked: () => asked })
  for (const one of events) progress.observe(one)
  return {
    content: progress.content(),
    satisfied: progress.satisfied?.(),
    endsWell: progress.endsWell(),
    ...progress.partial()
  }
}

const block = (contentId: string, role: string, text: string, stage?: string) => [
  event("contentStart", {
    contentId,
    role,
    type: "TEXT",
    ...(stage === undefined ? {} : { additionalModelFields: `{"generationStage":"${stage}"}` })
  }),
  event("textOutput", { contentId, role, content: text }),
  event("contentEnd", { contentId, type: "TEXT" })
]

describe("a conversation with Nova Sonic", () => {
  const turn = [
    event("usageEvent", { totalInputTokens: 5, totalOutputTokens: 0 }),
    event("completionStart"),
    ...block("a", "USER", "Hello?", "FINAL"),
    ...block("b", "ASSISTANT", "Hello there", "SPECULATIVE"),
    event("contentStart", { contentId: "c", role: "ASSISTANT", type: "AUDIO" }),
    event("audioOutput", { contentId: "c", content: "AAAA" }),
    event("contentEnd", { contentId: "c", type: "AUDIO" })
  ]
  const rest = [
    ...block("d", "ASSISTANT", "Hello there.", "FINAL"),
    event("usageEvent", { totalInputTokens: 25, totalOutputTokens: 40 }),
    event("completionEnd", { stopReason: "END_TURN" })
  ]

  it("is whole when each completion is over; then, and when the input has ended, nothing more is owed", () => {
    assert.deepStrictEqual(after([...turn, ...rest]), {
      content: true,
      satisfied: true,
      endsWell: true,
      text: "Hello there.",
      usage: { inputTokens: 25, outputTokens: 40 },
      stopReason: "END_TURN"
    })
    const { endsWell, satisfied } = after([...turn, ...rest], false)
    assert.deepStrictEqual([satisfied, endsWell], [false, true])
  })

  it("that is cut has the text that was announced, where it was not said yet", () => {
    assert.deepStrictEqual(after(turn), {
      content: true,
      satisfied: false,
      endsWell: false,
      text: "Hello there",
      usage: { inputTokens: 5, outputTokens: 0 }
    })
  })

  it("is not whole with a second completion that is open", () => {
    const { endsWell, satisfied } = after([...turn, ...rest, event("completionStart")])
    assert.deepStrictEqual([satisfied, endsWell], [false, false])
  })

  it("carries the input of a tool", () => {
    const { content, toolInput } = after([event("toolUse", { toolName: "weather", content: "{\"city\":\"Oslo\"}" })])
    assert.deepStrictEqual([content, toolInput], [true, "{\"city\":\"Oslo\"}"])
  })

  it("has no content in what only frames it", () => {
    assert.isFalse(after(turn.slice(0, 3)).content)
  })

  it("in which nothing was answered ends well if nothing was asked, and its input had ended", () => {
    for (const events of [[], [event("usageEvent")]]) {
      assert.isTrue(after(events, true, false).endsWell)
      assert.isFalse(after(events, false, false).endsWell)
      assert.isFalse(after(events, true, true).endsWell)
    }
  })

  it("has no event without bytes", () => {
    assert.throws(() => after([{ chunk: {} }]), TypeError)
  })
})

describe("a conversation with an unknown model", () => {
  for (
    const text of [
      "not JSON",
      "{\"n\":1}",
      "null",
      "[]",
      "{\"event\":{}}",
      "{\"event\":{\"applause\":{}}}",
      "{\"event\":5}"
    ]
  ) {
    it(`whose events are such as ${text} is over when it ends`, () => {
      const { content, endsWell, satisfied } = after([bytes(text)], false)
      assert.deepStrictEqual([content, satisfied, endsWell], [true, false, true])
    })
  }
})
