// What of a request decides which of its targets can do it.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type { Prefix } from "@caprock/router/Decision"
import type { Capability } from "@caprock/router/Target"
import * as Hash from "effect/Hash"

/** A mark for a cache, as far as it is read. */
interface CachePointBlock {
  readonly ttl?: string | undefined
}

type ConverseInput = Parameters<BedrockClient["Service"]["converse"]>[0]

/** What a target has to be able to do, and which parts of the prompt a cache may have. */
export interface Wants {
  readonly needs: ReadonlyArray<Capability>
  readonly prefixes?: ReadonlyArray<Prefix>
}

/** A mark for a cache is no need: what has none leaves it out. */
export const converse = (input: ConverseInput, streaming: boolean): Wants => {
  const needs: Array<Capability> = []
  if ((input.toolConfig?.tools?.length ?? 0) > 0) needs.push("tools")
  const said = (input.messages ?? []).flatMap(({ content }) => content ?? [])
  if (said.some(({ image }) => image !== undefined)) needs.push("images")
  if (said.some(({ document }) => document !== undefined)) needs.push("documents")
  if (streaming) needs.push("streaming")
  const blocks: ReadonlyArray<object> = [
    ...(input.toolConfig?.tools ?? []),
    ...(input.system ?? []),
    ...said
  ]
  const prefixes: Array<Prefix> = []
  for (const [at, block] of blocks.entries()) {
    const mark = markOf(block)
    if (mark === undefined || at === 0) continue
    prefixes.push({ key: keyOf(blocks.slice(0, at)), millis: mark.ttl === "1h" ? hourMillis : usualMillis })
  }
  return prefixes.length === 0 ? { needs } : { needs, prefixes }
}

/** The body is the model's own, and is not looked into. */
export const invokeModel = (streaming: boolean): Wants => ({ needs: streaming ? ["streaming"] : [] })

/** The two times that Bedrock keeps a prompt for (user guide, prompt-caching, read 2026-11). */
const usualMillis = 300_000
const hourMillis = 3_600_000

const markOf = (block: { readonly cachePoint?: CachePointBlock | undefined }): CachePointBlock | undefined =>
  block.cachePoint

/**
 * What stands for what is before a mark, in the order in which Bedrock reads a request: tools, system, messages. Two prompts that are taken for one
 * cost a cache's miss and nothing else.
 */
const keyOf = (blocks: ReadonlyArray<object>): string => {
  const text = JSON.stringify(
    blocks,
    (_, value: unknown) =>
      // Pictures and documents are large: their length and ends tell them apart well enough.
      value instanceof Uint8Array
        ? `${value.length} ${value.subarray(0, 64).join()} ${value.subarray(-64).join()}`
        : value
  )
  return `${Hash.string(text).toString(36)}.${text.length}`
}
