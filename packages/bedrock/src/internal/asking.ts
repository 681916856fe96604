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
  const prefixes = prefixesOf(blocks.slice(0, blocks.findLastIndex(isMark) + 1))
  return prefixes.length === 0 ? { needs } : { needs, prefixes }
}

/** The body is the model's own, and is not looked into. */
export const invokeModel = (streaming: boolean): Wants => ({ needs: streaming ? ["streaming"] : [] })

/** The two times that Bedrock keeps a prompt for (user guide, prompt-caching, read 2026-11). */
const usualMillis = 300_000
const hourMillis = 3_600_000

const markOf = (block: { readonly cachePoint?: CachePointBlock | undefined }): CachePointBlock | undefined =>
  block.cachePoint

const isMark = (block: object): boolean => markOf(block) !== undefined

/** So many blocks before a mark Bedrock looks for what an earlier request had marked there (user guide, prompt-caching, of Claude, read 2026-11). */
const lookedBack = 20

/**
 * What stands for what is before each mark, in the order in which Bedrock reads a request: tools, system, messages. The marks themselves do not count: they
 * move on from turn to turn, and what ended at one a turn ago is found by the blocks before it. Two prompts that are taken for one cost a cache's miss and
 * nothing else.
 */
const prefixesOf = (blocks: ReadonlyArray<object>): ReadonlyArray<Prefix> => {
  const ends: Array<{ readonly key: string; millis: number }> = []
  let hash = 0
  let length = 0
  for (const block of blocks) {
    const mark = markOf(block)
    if (mark === undefined) {
      const text = JSON.stringify(block, brief)
      hash = Hash.combine(hash, Hash.string(text))
      length += text.length
      ends.push({ key: `${hash.toString(36)}.${length}`, millis: 0 })
    } else {
      const end = ends.at(-1)
      if (end !== undefined) end.millis = Math.max(end.millis, mark.ttl === "1h" ? hourMillis : usualMillis)
    }
  }
  let marked = Infinity
  const looked = ends.map(() => false)
  for (let index = ends.length - 1; index >= 0; index--) {
    if ((ends[index]?.millis ?? 0) > 0) marked = index
    looked[index] = marked - index <= lookedBack
  }
  return ends.filter((_, index) => looked[index])
}

/**
 * Pictures and documents are large: their length and ends tell them apart well enough. Asked as they are: a `Buffer` would have become a list of all its
 * numbers by now.
 */
function brief(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const own = this[key]
  return own instanceof Uint8Array ? `${own.length} ${own.subarray(0, 64).join()} ${own.subarray(-64).join()}` : value
}
