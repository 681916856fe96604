// What of a request decides which of its targets can do it.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import type { Capability } from "@caprock/router/Target"
import * as Hash from "effect/Hash"

type ConverseInput = Parameters<BedrockClient["Service"]["converse"]>[0]

/** What a target has to be able to do, and what stands for the part of the prompt that a cache may have. */
export interface Wants {
  readonly needs: ReadonlyArray<Capability>
  readonly prefix?: string
}

/** A mark for a cache is no need: what has none leaves it out. */
export const converse = (input: ConverseInput, streaming: boolean): Wants => {
  const needs: Array<Capability> = []
  if ((input.toolConfig?.tools?.length ?? 0) > 0) needs.push("tools")
  const blocks = (input.messages ?? []).flatMap(({ content }) => content ?? [])
  if (blocks.some(({ image }) => image !== undefined)) needs.push("images")
  if (blocks.some(({ document }) => document !== undefined)) needs.push("documents")
  if (streaming) needs.push("streaming")
  const prefix = prefixOf(input)
  return prefix === undefined ? { needs } : { needs, prefix }
}

/** The body is the model's own, and is not looked into. */
export const invokeModel = (streaming: boolean): Wants => ({ needs: streaming ? ["streaming"] : [] })

/**
 * What stands before the last mark, in the order in which Bedrock reads a request: tools, system, messages. Two prompts that are taken for one
 * cost a cache's miss and nothing else.
 */
const prefixOf = ({ messages = [], system = [], toolConfig }: ConverseInput): string | undefined => {
  const blocks: ReadonlyArray<object> = [
    ...(toolConfig?.tools ?? []),
    ...system,
    ...messages.flatMap(({ content = [] }) => content)
  ]
  const last = blocks.findLastIndex((block) => "cachePoint" in block && block.cachePoint !== undefined)
  if (last <= 0) return undefined
  const text = JSON.stringify(blocks.slice(0, last), (_, value: unknown) =>
    // Pictures and documents are large: their length and ends tell them apart well enough.
    value instanceof Uint8Array
      ? `${value.length} ${value.subarray(0, 64).join()} ${value.subarray(-64).join()}`
      : value)
  return `${Hash.string(text).toString(36)}.${text.length}`
}
