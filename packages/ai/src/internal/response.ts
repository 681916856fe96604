// A whole answer of Converse as the parts of an answer in `effect/ai`.
import type * as Response from "effect/ai/Response"
import * as Base64 from "effect/encoding/Base64"
import { callPart, citationOf, finishPart, finishReason, memberOf, resultPart, sourcePart } from "./answer.ts"
import { imageType } from "./files.ts"
import type { Question } from "./request.ts"
import type { Block, Output, ToolResult } from "./sdk.ts"
import * as structured from "./structured.ts"

/** `timestamp`: when it came, as ISO 8601 has it. */
export const partsOf = (answer: Output, question: Question, timestamp: string): Array<Response.PartEncoded> => {
  const { requestId } = answer.$metadata
  const reading = new Reading(question)
  for (const block of answer.output?.message?.content ?? []) reading.block(block)
  const { parts, shaped } = reading.end()
  return [
    {
      type: "response-metadata",
      modelId: question.modelId,
      timestamp,
      ...(requestId === undefined ? {} : { id: requestId, metadata: { bedrock: { requestId } } })
    },
    ...parts,
    finishPart(answer, answer, {
      stopReason: answer.stopReason,
      // The call that was asked for is the answer, and nobody has to do anything about it.
      reason: shaped && answer.stopReason === "tool_use" ? "stop" : finishReason(answer.stopReason),
      fields: answer.additionalModelResponseFields,
      skipped: reading.skipped,
      requestId
    })
  ]
}

class Reading {
  readonly skipped: Array<string> = []
  private readonly parts: Array<Response.PartEncoded> = []
  private readonly question: Question
  private shaped: string | undefined
  private sources = 0
  /** The names of the calls, by their ids. */
  private readonly calls = new Map<string, string>()

  constructor(question: Question) {
    this.question = question
  }

  /** The parts, and whether they are the object that was asked for: then what else was said is no part of it. */
  end(): { readonly parts: Array<Response.PartEncoded>; readonly shaped: boolean } {
    const { parts, shaped } = this
    return shaped === undefined
      ? { parts, shaped: false }
      : { parts: [...parts.filter(({ type }) => type !== "text"), { type: "text", text: shaped }], shaped: true }
  }

  block(block: Block): void {
    const { citationsContent, image, reasoningContent, text, toolResult, toolUse } = block
    if (text !== undefined) this.parts.push({ type: "text", text })
    else if (toolUse !== undefined) this.call(toolUse)
    else if (reasoningContent !== undefined) this.reasoning(reasoningContent)
    else if (citationsContent !== undefined) this.cited(citationsContent)
    else if (toolResult !== undefined) this.result(toolResult)
    else if (image?.source?.bytes !== undefined && image.format !== undefined) {
      this.parts.push({ type: "file", mediaType: imageType(image.format), data: Base64.encode(image.source.bytes) })
    } else this.skipped.push(memberOf(block))
  }

  private call({ input, name = "", toolUseId = "", type }: NonNullable<Block["toolUse"]>): void {
    const { ownNames, shape } = this.question
    if (shape?.name === name) {
      this.shaped ??= structured.textOf(shape, input)
      return
    }
    const called = ownNames.get(name) ?? name
    this.calls.set(toolUseId, called)
    this.parts.push(callPart(toolUseId, called, input, type))
  }

  private reasoning({ reasoningText, redactedContent }: NonNullable<Block["reasoningContent"]>): void {
    if (redactedContent !== undefined) {
      const redacted = Base64.encode(redactedContent)
      this.parts.push({ type: "reasoning", text: "", metadata: { bedrock: { redacted } } })
    }
    if (reasoningText !== undefined) {
      const { signature, text = "" } = reasoningText
      this.parts.push({
        type: "reasoning",
        text,
        ...(signature === undefined ? {} : { metadata: { bedrock: { signature } } })
      })
    }
  }

  private cited({ citations = [], content = [] }: NonNullable<Block["citationsContent"]>): void {
    const text = content.map(({ text = "" }) => text).join("")
    const told = citations.map(citationOf)
    this.parts.push({ type: "text", text, metadata: { bedrock: { citations: told } } })
    for (const citation of told) {
      const source = sourcePart(citation, this.sources, this.question.documents)
      if (source === undefined) continue
      this.sources++
      this.parts.push(source)
    }
  }

  private result(result: ToolResult): void {
    this.parts.push(resultPart(result, this.calls.get(result.toolUseId ?? "") ?? ""))
  }
}
