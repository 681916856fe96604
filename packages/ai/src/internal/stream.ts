// The events of ConverseStream as the parts of a stream in `effect/ai`.
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import type { Citation } from "../BedrockOptions.ts"
import { callPart, citationOf, finishPart, finishReason, isOwn, memberOf, resultPart, sourcePart } from "./answer.ts"
import { imageType } from "./files.ts"
import { compact } from "./json.ts"
import type { Question } from "./request.ts"
import type { Delta, Event, Metadata, Start, ToolResult } from "./sdk.ts"

type Parts = Array<Response.StreamPartEncoded>

/** A block of content that has begun. `id` is its number in the answer: an index of Bedrock's may come again. */
type Open =
  | { readonly kind: "text"; readonly id: string; readonly citations: Array<Citation> }
  | {
    readonly kind: "reasoning"
    readonly id: string
    signature: string | undefined
    readonly redacted: Array<Uint8Array>
  }
  | {
    readonly kind: "call"
    readonly id: string
    readonly name: string
    readonly type: string | undefined
    input: string
  }
  | {
    readonly kind: "result"
    readonly start: NonNullable<Start["toolResult"]>
    readonly content: NonNullable<ToolResult["content"]>
  }
  | { readonly kind: "image"; readonly format: string; readonly bytes: Array<Uint8Array> }

/** What has been read of one stream. It is asked for each event, in their order. */
export class Reading {
  private readonly question: Question
  private readonly open = new Map<number, Open>()
  private readonly calls = new Map<string, string>()
  private readonly skipped = new Set<string>()
  private blocks = 0
  private sources = 0
  private stopReason: string | undefined
  private fields: unknown
  /** A call whose input can't be read, which is the model's fault unless it had to stop there. */
  private unreadable: AiError.ToolParameterValidationError | undefined

  constructor(question: Question) {
    this.question = question
  }

  /** The parts that an event brings. `timestamp`: when it came, as ISO 8601 has it. */
  event(event: Event, timestamp: string): Result.Result<Parts, AiError.AiErrorReason> {
    if (event.messageStart !== undefined) {
      return Result.succeed([{ type: "response-metadata", modelId: this.question.modelId, timestamp }])
    }
    if (event.contentBlockStart !== undefined) {
      const { contentBlockIndex = 0, start } = event.contentBlockStart
      return Result.succeed(start === undefined ? [] : this.start(contentBlockIndex, start))
    }
    if (event.contentBlockDelta !== undefined) {
      const { contentBlockIndex = 0, delta } = event.contentBlockDelta
      return Result.succeed(delta === undefined ? [] : this.delta(contentBlockIndex, delta))
    }
    if (event.contentBlockStop !== undefined) {
      return Result.succeed(this.stop(event.contentBlockStop.contentBlockIndex ?? 0))
    }
    if (event.messageStop !== undefined) {
      this.stopReason = event.messageStop.stopReason
      this.fields = event.messageStop.additionalModelResponseFields
      const rest = [...this.open.keys()].flatMap((index) => this.stop(index))
      const reason = finishReason(this.stopReason)
      return this.unreadable !== undefined && (reason === "tool-calls" || reason === "stop")
        ? Result.fail(this.unreadable)
        : Result.succeed(rest)
    }
    return Result.succeed(event.metadata === undefined ? [] : [this.finish(event, event.metadata)])
  }

  private finish(event: Event, metadata: Metadata): Response.FinishPartEncoded {
    return finishPart(event, metadata, {
      stopReason: this.stopReason,
      reason: finishReason(this.stopReason),
      fields: this.fields,
      skipped: [...this.skipped],
      requestId: undefined
    })
  }

  private start(index: number, start: Start): Parts {
    const before = this.stop(index)
    const { image, toolResult, toolUse } = start
    if (toolUse !== undefined) {
      const { name = "", toolUseId: id = "", type } = toolUse
      const called = this.question.ownNames.get(name) ?? name
      this.calls.set(id, called)
      this.open.set(index, { kind: "call", id, name: called, type, input: "" })
      return [
        ...before,
        { type: "tool-params-start", id, name: called, ...(isOwn(type) ? { providerExecuted: true } : {}) }
      ]
    }
    if (toolResult !== undefined) this.open.set(index, { kind: "result", start: toolResult, content: [] })
    else if (image?.format !== undefined) this.open.set(index, { kind: "image", format: image.format, bytes: [] })
    else this.skip(start)
    return before
  }

  private delta(index: number, delta: Delta): Parts {
    const { citation, image, reasoningContent, text, toolResult, toolUse } = delta
    const open = this.open.get(index)
    if (text !== undefined) {
      if (text === "") return []
      const [id, started] = this.text(index)
      return [...started, { type: "text-delta", id, delta: text }]
    }
    if (reasoningContent !== undefined) return this.reasoning(index, reasoningContent)
    if (toolUse !== undefined && open?.kind === "call") {
      const { input = "" } = toolUse
      open.input += input
      return input === "" ? [] : [{ type: "tool-params-delta", id: open.id, delta: input }]
    }
    if (citation !== undefined) return this.cited(index, citationOf(citation))
    if (toolResult !== undefined && open?.kind === "result") {
      for (const { json, text } of toolResult) open.content.push(text === undefined ? { json: json ?? null } : { text })
    } else if (image?.source?.bytes !== undefined && open?.kind === "image") open.bytes.push(image.source.bytes)
    else this.skip(delta)
    return []
  }

  /** The block of text at an index, and what has to be said first where it begins. */
  private text(index: number): readonly [id: string, started: Parts, citations: Array<Citation>] {
    const open = this.open.get(index)
    if (open?.kind === "text") return [open.id, [], open.citations]
    const before = this.stop(index)
    const id = String(this.blocks++)
    const citations: Array<Citation> = []
    this.open.set(index, { kind: "text", id, citations })
    return [id, [...before, { type: "text-start", id }], citations]
  }

  private cited(index: number, citation: Citation): Parts {
    const [, started, citations] = this.text(index)
    citations.push(citation)
    const source = sourcePart(citation, this.sources, this.question.documents)
    if (source === undefined) return started
    this.sources++
    return [...started, source]
  }

  private reasoning(
    index: number,
    { redactedContent, signature, text }: NonNullable<Delta["reasoningContent"]>
  ): Parts {
    const known = this.open.get(index)
    const started: Parts = known?.kind === "reasoning" ? [] : this.stop(index)
    const open = known?.kind === "reasoning" ? known : this.reason()
    if (known !== open) {
      this.open.set(index, open)
      started.push({ type: "reasoning-start", id: open.id })
    }
    if (signature !== undefined) open.signature = (open.signature ?? "") + signature
    if (redactedContent !== undefined) open.redacted.push(redactedContent)
    if (text !== undefined && text !== "") started.push({ type: "reasoning-delta", id: open.id, delta: text })
    return started
  }

  private reason(): Extract<Open, { kind: "reasoning" }> {
    return { kind: "reasoning", id: String(this.blocks++), signature: undefined, redacted: [] }
  }

  /** Ends the block at an index, if there is one. */
  private stop(index: number): Parts {
    const open = this.open.get(index)
    this.open.delete(index)
    switch (open?.kind) {
      case undefined:
        return []
      case "text": {
        const { citations, id } = open
        return [{ type: "text-end", id, ...(citations.length === 0 ? {} : { metadata: { bedrock: { citations } } }) }]
      }
      case "reasoning": {
        const redacted = open.redacted.length === 0 ? undefined : Base64.encode(joined(open.redacted))
        const bedrock = compact({ signature: open.signature, redacted })
        return [{
          type: "reasoning-end",
          id: open.id,
          ...(Object.keys(bedrock).length === 0 ? {} : { metadata: { bedrock } })
        }]
      }
      case "call":
        return [{ type: "tool-params-end", id: open.id }, ...this.call(open)]
      case "result": {
        const { status, toolUseId = "", type } = open.start
        return [resultPart(
          { toolUseId, content: open.content, ...compact({ status, type }) },
          this.calls.get(toolUseId) ?? ""
        )]
      }
      case "image":
        return [{ type: "file", mediaType: imageType(open.format), data: Base64.encode(joined(open.bytes)) }]
    }
  }

  private call({ id, input, name, type }: Extract<Open, { kind: "call" }>): Parts {
    const params = input === "" ? Result.succeed({}) : Result.try((): unknown => JSON.parse(input))
    if (Result.isSuccess(params)) return [callPart(id, name, params.success, type)]
    this.unreadable = new AiError.ToolParameterValidationError({
      toolName: name,
      description: `The parameters are no JSON: ${input.slice(0, 200)}`
    })
    return []
  }

  private skip(said: Start | Delta): void {
    this.skipped.add(memberOf(said))
  }
}

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
