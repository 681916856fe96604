// What whole answers and streams have in common: why they end, what they cost, and how they came to be.
import * as CallAccount from "@caprock/bedrock/CallAccount"
import type * as Response from "effect/ai/Response"
import type { Account, Citation, FinishMetadata } from "../BedrockOptions.ts"
import { compact, json } from "./json.ts"
import type { Citation as CitationBlock, Event, Metadata, Output, ToolResult } from "./sdk.ts"

// Each stop reason of the service model (3.1162.0).
const reasons: Readonly<Record<string, Response.FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  tool_use: "tool-calls",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  guardrail_intervened: "content-filter",
  content_filtered: "content-filter",
  malformed_model_output: "error",
  malformed_tool_use: "error"
}

/** `"unknown"` where Bedrock does not say, `"other"` where it says what nobody knows yet. */
export const finishReason = (stopReason: string | undefined): Response.FinishReason =>
  stopReason === undefined ? "unknown" : reasons[stopReason] ?? "other"

type Told = Pick<Metadata, "usage" | "metrics" | "serviceTier" | "performanceConfig"> & { readonly trace?: unknown }

/** Of Bedrock's `inputTokens` what was read from or written to a cache is no part, so the total is the sum. */
const usageOf = (usage: Told["usage"]): typeof Response.Usage.Encoded => {
  const [uncached, cacheRead, cacheWrite, output] = [
    usage?.inputTokens,
    usage?.cacheReadInputTokens,
    usage?.cacheWriteInputTokens,
    usage?.outputTokens
  ].map(count)
  const total = uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0)
  return { inputTokens: compact({ uncached, total, cacheRead, cacheWrite }), outputTokens: compact({ total: output }) }
}

/** What is no count is none: an answer is worth more than the number beside it. */
const count = (tokens: number | undefined): number | undefined =>
  tokens !== undefined && Number.isSafeInteger(tokens) && tokens >= 0 ? tokens : undefined

/** The last part of an answer. `from`: the answer or the event, which has the account of a call by a route. */
export const finishPart = (
  from: Event | Output,
  told: Told,
  { fields, reason, requestId, skipped, stopReason }: {
    readonly stopReason: string | undefined
    readonly reason: Response.FinishReason
    readonly fields: unknown
    readonly skipped: ReadonlyArray<string>
    readonly requestId: string | undefined
  }
): Response.FinishPartEncoded => {
  const bedrock: FinishMetadata = compact({
    stopReason,
    latencyMillis: told.metrics?.latencyMs,
    usage: json(told.usage),
    trace: json(told.trace),
    serviceTier: told.serviceTier?.type,
    latency: told.performanceConfig?.latency,
    fields: json(fields),
    account: accountOf(from),
    skipped: skipped.length === 0 ? undefined : [...skipped]
  })
  return {
    type: "finish",
    reason,
    usage: usageOf(told.usage),
    ...(requestId === undefined
      ? {}
      : { response: { status: 200, headers: { "x-amzn-requestid": requestId } } }),
    metadata: { bedrock }
  }
}

const accountOf = (from: object): Account | undefined => {
  const account = CallAccount.of(from)
  if (account === undefined) return undefined
  const { adapted: _, target, trials, usd, ...rest } = account
  return {
    ...rest,
    ...compact({ target, usd }),
    trials: trials.map(({ attempt, outcome, target, tookMillis, waitedMillis }) => ({
      target,
      attempt,
      waitedMillis,
      tookMillis,
      ...(typeof outcome === "string" ? { outcome } : { outcome: outcome.failed, message: outcome.message })
    }))
  }
}

/** A citation, or what of one an event of a stream brings. */
type Cited = Pick<CitationBlock, "title" | "source" | "location"> & {
  readonly sourceContent?: ReadonlyArray<{ readonly text?: string | undefined }> | undefined
}

/** What of a citation is JSON. */
export const citationOf = ({ location, source, sourceContent, title }: Cited): Citation =>
  compact({
    title,
    source,
    sourceContent: sourceContent?.map(({ text }) => compact({ text })),
    // So it came, and a `$unknown` member is JSON too.
    location: json(location) as Citation["location"]
  })

/** What was cited, as a part of its own; none where Bedrock does not say what it was. `n` is its number in the answer. */
export const sourcePart = (
  citation: Citation,
  n: number,
  documents: ReadonlyArray<string>
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded | undefined => {
  const { location, title } = citation
  const id = `source-${n}`
  const metadata = { bedrock: citation }
  const url = location?.web?.url
  if (url !== undefined) {
    return URL.canParse(url)
      ? { type: "source", sourceType: "url", id, url, title: title ?? location?.web?.domain ?? url, metadata }
      : undefined
  }
  const { documentIndex } = location?.documentChar ?? location?.documentPage ?? location?.documentChunk ?? {}
  const mediaType = documentIndex === undefined ? undefined : documents[documentIndex]
  return mediaType === undefined
    ? undefined
    : { type: "source", sourceType: "document", id, mediaType, title: title ?? "", metadata }
}

/** A call of a tool. */
export const callPart = (
  id: string,
  name: string,
  input: unknown,
  type: string | undefined
): Response.ToolCallPartEncoded => ({
  type: "tool-call",
  id,
  name,
  params: input ?? {},
  ...(isOwn(type) ? { providerExecuted: true } : {})
})

/** Whether Bedrock runs a tool itself. */
export const isOwn = (type: string | undefined): boolean => type === "server_tool_use"

/** What a tool gave that Bedrock ran itself. */
export const resultPart = (
  { content = [], status, toolUseId = "", type }: ToolResult,
  name: string
): Response.ToolResultPartEncoded => {
  const blocks = content.map((block) => block.json ?? block.text ?? block)
  return {
    type: "tool-result",
    id: toolUseId,
    name,
    result: json(blocks.length === 1 ? blocks[0] : blocks) ?? null,
    isFailure: status === "error",
    providerExecuted: true,
    ...(type === undefined ? {} : { metadata: { bedrock: { type } } })
  }
}

/** What the one member of a union is called, also of one that this version of the SDK does not know. */
export const memberOf = (union: { readonly $unknown?: readonly [string, unknown] }): string =>
  union.$unknown?.[0] ?? Object.keys(union).join()
