// A prompt of `effect/ai` as the system and messages of a Converse request.
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { CachePoint, Citation } from "../BedrockOptions.ts"
import * as files from "./files.ts"
import { jsonOf } from "./json.ts"
import { refuse } from "./refusal.ts"
import type { Block, CachePoint as CacheBlock, Message, ResultBlock, SystemBlock, ToolResult } from "./sdk.ts"
import * as toolIds from "./toolIds.ts"

/** What a prompt is in a request. */
export interface Conversation {
  readonly system: Array<SystemBlock>
  readonly messages: Array<Message>
  /** The tools that were called, by name: a request that tells of calls has to have tools. */
  readonly called: ReadonlySet<string>
  /** The media types of its documents, in their order: what is cited is told by its number. */
  readonly documents: ReadonlyArray<string>
}

/**
 * Throws a refusal where something can't be said to Bedrock. `providerNames`: what tools that Bedrock runs itself are called there, by the names
 * that who asks has for them. `takesReasoning`: the model may have written the reasoning that is signed.
 */
export const conversation = (
  { content }: Prompt.Prompt,
  providerNames: ReadonlyMap<string, string> = new Map(),
  takesReasoning = true
): Conversation => {
  const reading = new Reading(idsOf(content), resultsOf(content), providerNames, takesReasoning)
  for (const message of content) reading.message(message)
  reading.end()
  return { system: reading.system, messages: reading.messages(), called: reading.called, documents: reading.documents }
}

/** Every call has an id, and a result has that of its call. */
const idsOf = (content: ReadonlyArray<Prompt.Message>): ReadonlyArray<string> =>
  content.flatMap((message) =>
    message.role === "assistant" ? message.content.flatMap((part) => part.type === "tool-call" ? [part.id] : []) : []
  )

/** Which result is of which call, and where those are that do not come before the model speaks again. */
interface Results {
  /** By their calls: an id may come again, of another call. */
  readonly of: ReadonlyMap<Prompt.Part, Prompt.ToolResultPart>
  /** Those that come later, by the message of their calls: an approved call's comes after what the model said of it. */
  readonly late: ReadonlyMap<Prompt.Message, ReadonlyArray<Prompt.ToolResultPart>>
  /** The same. */
  readonly moved: ReadonlySet<Prompt.Part>
  /** Calls that have none, and should. */
  readonly unanswered: ReadonlySet<Prompt.Part>
}

const resultsOf = (content: ReadonlyArray<Prompt.Message>): Results => {
  const of = new Map<Prompt.Part, Prompt.ToolResultPart>()
  const late = new Map<Prompt.Message, Array<Prompt.ToolResultPart>>()
  const moved = new Set<Prompt.Part>()
  const unanswered = new Set<Prompt.Part>()
  // Of two calls of one id each has a result of its own.
  const taken = new Set<Prompt.Part>()
  for (const [at, message] of content.entries()) {
    if (message.role !== "assistant") continue
    for (const part of message.content) {
      if (part.type !== "tool-call") continue
      const found = resultOf(part, content, at, taken)
      if (found !== undefined) {
        taken.add(found.result)
        of.set(part, found.result)
      }
      // What Bedrock ran itself stands where Bedrock told it.
      if (part.providerExecuted) continue
      if (found === undefined) unanswered.add(part)
      else if (found.late) {
        late.set(message, [...late.get(message) ?? [], found.result])
        moved.add(found.result)
      }
    }
  }
  return { of, late, moved, unanswered }
}

/** The result of a call in the message at `at`. An id may come again, of another call. What Bedrock ran, the model answers. */
const resultOf = (
  { id, providerExecuted }: Prompt.ToolCallPart,
  content: ReadonlyArray<Prompt.Message>,
  at: number,
  taken: ReadonlySet<Prompt.Part>
) => {
  for (const [n, message] of content.entries()) {
    if (n < at || message.role === "system" || message.role === "user") continue
    if (providerExecuted && message.role !== "assistant") continue
    for (const part of message.content) {
      if (part.type === "tool-result" && part.id === id && !taken.has(part)) {
        const late = content.slice(at + 1, n + 1).some(({ role }) => role === "assistant")
        return { result: part, late }
      }
      if (n > at && part.type === "tool-call" && part.id === id) return undefined
    }
  }
  return undefined
}

/** The messages of one side that follow each other, which Converse wants to be one. */
interface Turn {
  readonly role: "user" | "assistant"
  /** Results of tools, which have to come before all else. */
  readonly results: Array<Block>
  readonly blocks: Array<Block>
}

class Reading {
  readonly system: Array<SystemBlock> = []
  readonly called = new Set<string>()
  readonly documents: Array<string> = []
  private readonly turns: Array<Turn> = []
  private readonly names: files.Names = new Set()
  private readonly ids: toolIds.ToolIds
  private readonly results: Results
  /** What the calls of results are called, by these. */
  private readonly callOf = new Map<Prompt.Part, string>()
  /** The calls of the last turn that have no result. */
  private unanswered: Array<string> = []
  /** Files of the last answer. */
  private shown: Array<Block> = []
  private readonly providerNames: ReadonlyMap<string, string>
  private readonly takesReasoning: boolean

  constructor(
    ids: ReadonlyArray<string>,
    results: Results,
    providerNames: ReadonlyMap<string, string>,
    takesReasoning: boolean
  ) {
    this.ids = toolIds.make(ids)
    this.results = results
    this.providerNames = providerNames
    this.takesReasoning = takesReasoning
  }

  /** Has to be asked once, after the last message. */
  end(): void {
    if (this.unanswered.length > 0) this.turn("user")
    if (this.shown.length > 0) {
      refuse(
        "prompt",
        "The last message is an answer with a file: Bedrock takes images and documents of users only, so a message of the user has to follow it"
      )
    }
  }

  messages(): Array<Message> {
    return this.turns.flatMap(({ blocks, results, role }) =>
      results.length + blocks.length === 0 ? [] : [{ role, content: [...results, ...blocks] }]
    )
  }

  message(message: Prompt.Message): void {
    switch (message.role) {
      case "system":
        return this.systemMessage(message)
      case "user": {
        const { blocks } = this.turn("user")
        return this.parts(blocks, message, (part) => part.type === "text" ? this.text(part) : this.file(part))
      }
      case "assistant": {
        const { blocks } = this.turn("assistant")
        this.parts(blocks, message, (part) => this.answered(part))
        const content = this.results.late.get(message)
        if (content === undefined) return
        const { results } = this.turn("user")
        return this.parts(results, { content, options: {} }, (part) => ({ toolResult: this.result(part) }))
      }
      case "tool": {
        const { results } = this.turn("user")
        return this.parts(
          results,
          message,
          (part) =>
            part.type === "tool-result" && !this.results.moved.has(part)
              ? { toolResult: this.result(part) }
              : undefined
        )
      }
    }
  }

  private systemMessage({ content, options: { bedrock } }: Prompt.SystemMessage): void {
    if (isBlank(content)) return
    const { cachePoint, guard } = bedrock ?? {}
    this.system.push(
      guard === undefined ? { text: content } : { guardContent: { text: guarded(content, guard) } }
    )
    if (cachePoint !== undefined) this.system.push({ cachePoint: cacheBlock(cachePoint) })
  }

  private turn(role: Turn["role"]): Turn {
    let last = this.turns.at(-1)
    // Of which nothing came, because it had no word.
    while (last !== undefined && last.results.length + last.blocks.length === 0) {
      this.turns.pop()
      last = this.turns.at(-1)
    }
    const isNew = last?.role !== role
    const turn: Turn = last !== undefined && !isNew ? last : { role, results: [], blocks: [] }
    if (role === "user") {
      turn.results.push(...this.unanswered.splice(0).map(interrupted))
      turn.blocks.push(...this.shown.splice(0))
    }
    if (isNew) this.turns.push(turn)
    return turn
  }

  /** The blocks of a message's parts, each with the cache point that is said of it, and last that of the message. */
  private parts<Part extends Prompt.Part>(
    blocks: Array<Block>,
    { content, options }: {
      readonly content: ReadonlyArray<Part>
      readonly options: { readonly bedrock?: { readonly cachePoint?: CachePoint } | null }
    },
    blockOf: (part: Part) => Block | undefined
  ): void {
    let cached = true
    for (const part of content) {
      const block = blockOf(part)
      if (block === undefined) continue
      blocks.push(block)
      const cachePoint = cachePointOf(part)
      cached = cachePoint !== undefined
      if (cachePoint !== undefined) blocks.push({ cachePoint: cacheBlock(cachePoint) })
    }
    const { cachePoint } = options.bedrock ?? {}
    if (cachePoint !== undefined && !cached) blocks.push({ cachePoint: cacheBlock(cachePoint) })
  }

  private text({ options: { bedrock }, text }: Prompt.TextPart): Block | undefined {
    if (isBlank(text)) return undefined
    const { guard } = bedrock ?? {}
    return guard === undefined ? { text } : { guardContent: { text: guarded(text, guard) } }
  }

  private file(part: Prompt.FilePart): Block {
    const document = files.documentType(part)
    if (document !== undefined) this.documents.push(document)
    return part.options.bedrock?.guard === undefined
      ? files.block(part, this.names)
      : { guardContent: files.guardedImage(part) }
  }

  private answered(part: Prompt.AssistantMessagePart): Block | undefined {
    switch (part.type) {
      case "text": {
        const { citations } = part.options.bedrock ?? {}
        if (isBlank(part.text)) return undefined
        return citations === undefined
          ? { text: part.text }
          : { citationsContent: { content: [{ text: part.text }], citations: citations.map(citationOf) } }
      }
      case "file":
        this.show(part)
        return undefined
      case "reasoning":
        return this.takesReasoning ? reasoned(part) : undefined
      case "tool-call": {
        const name = part.providerExecuted ? this.providerNames.get(part.name) ?? part.name : part.name
        this.called.add(name)
        const toolUseId = this.ids.call(part.id)
        if (this.results.unanswered.has(part)) this.unanswered.push(toolUseId)
        const result = this.results.of.get(part)
        if (result !== undefined) this.callOf.set(result, toolUseId)
        const input = Option.getOrElse(
          jsonOf(part.params ?? {}),
          () => refuse("prompt", `The parameters of the call ${part.id} of ${part.name} are no JSON`)
        )
        return {
          toolUse: { toolUseId, name, input, ...(part.providerExecuted ? { type: "server_tool_use" } : {}) }
        }
      }
      case "tool-result":
        return { toolResult: this.result(part) }
      // Both of who asks and who answers `effect/ai` itself keeps account.
      case "tool-approval-request":
        return undefined
    }
  }

  /**
   * "You can only include images and documents if the role is user" (Message, Amazon Bedrock API reference, 2026-11): so what a model answered with is
   * shown to it in the turn after that. A document has to have a text beside it.
   */
  private show(part: Prompt.FilePart): void {
    if (this.shown.length === 0) this.shown.push({ text: "Of your answer above:" })
    this.shown.push(this.file(part))
    const cachePoint = cachePointOf(part)
    if (cachePoint !== undefined) this.shown.push({ cachePoint: cacheBlock(cachePoint) })
  }

  private result(part: Prompt.ToolResultPart): ToolResult {
    const { type } = part.options.bedrock ?? {}
    const content = part.modelOutput === undefined
      ? [written(part)]
      : part.modelOutput.flatMap((output): Array<ResultBlock> =>
        output.type === "file"
          ? [files.resultBlock(output, this.names)]
          : isBlank(output.text)
          ? []
          : [{ text: output.text }]
      )
    return {
      toolUseId: this.callOf.get(part) ?? this.ids.stray(part.id),
      // "The content field at messages.2.content.0.toolResult cannot be empty when status value is error"
      // (aws-samples/sample-multi-agent-orchestration-chat-on-agentcore#15).
      content: part.isFailure && content.every(({ text }) => text !== undefined && isBlank(text))
        ? [{ text: "It failed, and did not say why." }]
        : content,
      ...(part.isFailure ? { status: "error" as const } : {}),
      ...(type === undefined ? {} : { type })
    }
  }
}

// A call without a result is refused, and with it all that comes after: so it is where a stream broke off, or was left, before its tool had
// answered.
const interrupted = (toolUseId: string): Block => ({
  toolResult: { toolUseId, content: [{ text: "There is no result: the call was interrupted." }], status: "error" }
})

// Models refuse texts without a word.
const isBlank = (text: string): boolean => text.trim() === ""

// Of `json`, Bedrock takes objects alone.
const written = ({ id, name, result }: Prompt.ToolResultPart): ResultBlock => {
  if (typeof result === "string") return { text: result }
  const json = Option.getOrElse(
    jsonOf(result ?? null),
    () => refuse("prompt", `The result of the call ${id} of ${name} is no JSON`)
  )
  return Predicate.isObject(json) ? { json } : { text: JSON.stringify(json) }
}

const reasoned = ({ options: { bedrock }, text }: Prompt.ReasoningPart): Block | undefined => {
  const { redacted, signature } = bedrock ?? {}
  if (redacted !== undefined) {
    const bytes = Base64.decode(redacted)
    return Result.isSuccess(bytes)
      ? { reasoningContent: { redactedContent: new Uint8Array(bytes.success) } }
      : refuse("prompt", "Redacted reasoning has to be base64, as its metadata had it")
  }
  return signature === undefined ? undefined : { reasoningContent: { reasoningText: { text, signature } } }
}

const cachePointOf = (part: Prompt.Part): CachePoint | undefined => {
  const { bedrock } = part.options
  return Predicate.hasProperty(bedrock, "cachePoint") && isCachePoint(bedrock.cachePoint)
    ? bedrock.cachePoint
    : undefined
}

const isCachePoint = (u: unknown): u is CachePoint =>
  u === true || (Predicate.hasProperty(u, "ttl") && (u.ttl === "5m" || u.ttl === "1h"))

/** A cache point, as Bedrock has it. */
export const cacheBlock = (cachePoint: CachePoint): CacheBlock =>
  cachePoint === true ? { type: "default" } : { type: "default", ttl: cachePoint.ttl }

type Guard = NonNullable<NonNullable<Prompt.TextPart["options"]["bedrock"]>["guard"]>

const guarded = (text: string, guard: Guard) => guard === true ? { text } : { text, qualifiers: [...guard.qualifiers] }

type CitationBlock = NonNullable<NonNullable<Block["citationsContent"]>["citations"]>[number]

const citationOf = ({ location, source, sourceContent, title }: Citation): CitationBlock => ({
  ...(title === undefined ? {} : { title }),
  ...(source === undefined ? {} : { source }),
  ...(sourceContent === undefined ? {} : { sourceContent: sourceContent.map(({ text = "" }) => ({ text })) }),
  // Exactly one of its members is there: so it came.
  ...(location === undefined ? {} : { location: location as NonNullable<CitationBlock["location"]> })
})
