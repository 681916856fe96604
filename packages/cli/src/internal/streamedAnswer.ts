/** Puts the answer together again that `ConverseStream` sends in pieces. */
import type {
  Citation,
  CitationsDelta,
  ContentBlock,
  ContentBlockDelta,
  ContentBlockStart,
  ConverseStreamOutput,
  ImageBlock,
  ImageBlockDelta,
  TokenUsage,
  ToolResultBlock,
  ToolResultContentBlock
} from "@aws-sdk/client-bedrock-runtime"
import type { Answer } from "../run/Target.ts"
import { usageOf } from "./usage.ts"

interface Block {
  text: string | undefined
  toolUse: { readonly toolUseId: string; readonly name: string; input: string } | undefined
  toolResult: ToolResultBlock & { readonly content: Array<ToolResultContentBlock> } | undefined
  reasoning: { text: string; signature: string | undefined; redacted: Array<Uint8Array> } | undefined
  image: ImageBlock | undefined
  readonly citations: Array<Citation>
  /** Of a kind that this version of the SDK does not know: kept as it came. */
  readonly unknown: Array<ContentBlock>
}

export interface Folding {
  readonly add: (event: ConverseStreamOutput) => void
  readonly answer: () => Answer
}

export const make = (): Folding => {
  const blocks = new Map<number, Block>()
  let stopReason = ""
  let usage: TokenUsage | undefined

  const at = (index: number | undefined): Block => {
    const key = index ?? 0
    const known = blocks.get(key)
    if (known !== undefined) return known
    const block: Block = {
      text: undefined,
      toolUse: undefined,
      toolResult: undefined,
      reasoning: undefined,
      image: undefined,
      citations: [],
      unknown: []
    }
    blocks.set(key, block)
    return block
  }

  return {
    add: (event) => {
      if (event.contentBlockStart !== undefined) {
        const { contentBlockIndex, start } = event.contentBlockStart
        begin(at(contentBlockIndex), start)
      } else if (event.contentBlockDelta !== undefined) {
        const { contentBlockIndex, delta } = event.contentBlockDelta
        extend(at(contentBlockIndex), delta)
      } else if (event.messageStop !== undefined) {
        stopReason = event.messageStop.stopReason ?? ""
      } else if (event.metadata !== undefined) {
        usage = event.metadata.usage
      }
    },
    answer: () => ({
      content: [...blocks].sort(([a], [b]) => a - b).flatMap(([, block]) => finish(block)),
      stopReason,
      usage: usageOf(usage)
    })
  }
}

const begin = (block: Block, start: ContentBlockStart | undefined): void => {
  if (start?.toolUse !== undefined) {
    block.toolUse = { toolUseId: start.toolUse.toolUseId ?? "", name: start.toolUse.name ?? "", input: "" }
  } else if (start?.toolResult !== undefined) {
    block.toolResult = { ...start.toolResult, content: [] }
  } else if (start?.image !== undefined) {
    block.image = { format: start.image.format, source: undefined }
  }
}

const extend = (block: Block, delta: ContentBlockDelta | undefined): void => {
  if (delta === undefined) return
  if (delta.text !== undefined) {
    block.text = (block.text ?? "") + delta.text
  } else if (delta.toolUse !== undefined) {
    if (block.toolUse !== undefined) block.toolUse.input += delta.toolUse.input ?? ""
  } else if (delta.reasoningContent !== undefined) {
    const reasoning = block.reasoning ??= { text: "", signature: undefined, redacted: [] }
    const { redactedContent, signature, text } = delta.reasoningContent
    if (text !== undefined) reasoning.text += text
    if (signature !== undefined) reasoning.signature = signature
    if (redactedContent !== undefined) reasoning.redacted.push(redactedContent)
  } else if (delta.toolResult !== undefined) {
    for (const part of delta.toolResult) block.toolResult?.content.push(part)
  } else if (delta.citation !== undefined) {
    block.citations.push(citationOf(delta.citation))
  } else if (delta.image !== undefined) {
    block.image = withMore(block.image, delta.image)
  } else {
    block.unknown.push(delta)
  }
}

const citationOf = ({ sourceContent, ...rest }: CitationsDelta): Citation => ({
  ...rest,
  ...(sourceContent === undefined ? {} : { sourceContent: sourceContent.map(({ text }) => ({ text: text ?? "" })) })
})

const withMore = (image: ImageBlock | undefined, { error, source }: ImageBlockDelta): ImageBlock => {
  const before = image?.source?.bytes
  const more = source?.bytes
  return {
    format: image?.format,
    source: before !== undefined && more !== undefined
      ? { bytes: Buffer.concat([before, more]) }
      : source ?? image?.source,
    ...(error === undefined ? {} : { error })
  }
}

const finish = (block: Block): ReadonlyArray<ContentBlock> => {
  const content: Array<ContentBlock> = []
  const { citations, image, reasoning, text, toolResult, toolUse } = block
  if (reasoning !== undefined) {
    content.push({
      reasoningContent: reasoning.redacted.length > 0
        ? { redactedContent: Buffer.concat(reasoning.redacted) }
        : {
          reasoningText: {
            text: reasoning.text,
            ...(reasoning.signature === undefined ? {} : { signature: reasoning.signature })
          }
        }
    })
  }
  if (citations.length > 0) {
    content.push({ citationsContent: { content: text === undefined ? [] : [{ text }], citations } })
  } else if (text !== undefined) {
    content.push({ text })
  }
  if (toolUse !== undefined) {
    const { input, name, toolUseId } = toolUse
    content.push({ toolUse: { toolUseId, name, input: jsonOr(input) } })
  }
  if (toolResult !== undefined) content.push({ toolResult })
  if (image !== undefined) content.push({ image })
  return [...content, ...block.unknown]
}

/** A tool's input is JSON, unless `maxTokens` cut it. */
const jsonOr = (text: string) => {
  if (text === "") return {}
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
