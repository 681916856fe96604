/**
 * Which ids have been seen, in constant memory per id: 128 bits of SHA-256 in typed arrays, open addressing. One million
 * ids take 57 MB, whatever their length. That two of them share 128 bits has a chance of 1 in 10^26.
 *
 * @since 0.1.0
 */
import { hash } from "node:crypto"

/**
 * What is known of one id.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The number of the input line that has it, 0 when none was read yet. */
  readonly line: number
  /** The digest of the request that the output already answers, `undefined` when it has no answer. */
  readonly answered: string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface IdTable {
  readonly size: () => number
  /** Ids for which the output has an answer. */
  readonly answered: () => number
  readonly get: (id: string) => Entry | undefined
  /** Notes the line on which the id stands. The first line wins; returns what was known before. */
  readonly seen: (id: string, line: number) => Entry | undefined
  /** Notes that the output answers this id. Returns false, and changes nothing, when that was known. */
  readonly answer: (id: string, digest: string) => boolean
}

const slotWords = 4
/** Above this share of full slots, probes get long. */
const maxLoad = 0.7
const initialSlots = 1 << 12

/**
 * An empty table.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): IdTable => {
  let slots = initialSlots
  let keys = new Uint32Array(slots * slotWords)
  let lines = new Uint32Array(slots)
  let digests = new BigUint64Array(slots)
  // 0 empty, 1 known, 2 known and answered.
  let states = new Uint8Array(slots)
  let size = 0
  let answered = 0
  const key = new Uint32Array(slotWords)

  const load = (id: string) => {
    const bytes = hash("sha256", id, "buffer")
    for (let i = 0; i < slotWords; i++) key[i] = bytes.readUInt32LE(i * 4)
  }

  const word = (words: Uint32Array, at: number) => words[at] ?? 0

  /** The slot that holds the loaded key, or the empty one where it belongs. */
  const find = (): number => {
    const mask = slots - 1
    for (let slot = word(key, 0) & mask;; slot = (slot + 1) & mask) {
      if (states[slot] === 0) return slot
      const at = slot * slotWords
      if (
        keys[at] === key[0] && keys[at + 1] === key[1] && keys[at + 2] === key[2] && keys[at + 3] === key[3]
      ) return slot
    }
  }

  const grow = () => {
    const old = { slots, keys, lines, digests, states }
    slots *= 2
    keys = new Uint32Array(slots * slotWords)
    lines = new Uint32Array(slots)
    digests = new BigUint64Array(slots)
    states = new Uint8Array(slots)
    const mask = slots - 1
    for (let from = 0; from < old.slots; from++) {
      const state = old.states[from] ?? 0
      if (state === 0) continue
      let to = word(old.keys, from * slotWords) & mask
      while (states[to] !== 0) to = (to + 1) & mask
      keys.set(old.keys.subarray(from * slotWords, (from + 1) * slotWords), to * slotWords)
      lines[to] = old.lines[from] ?? 0
      digests[to] = old.digests[from] ?? 0n
      states[to] = state
    }
  }

  const insert = (slot: number): number => {
    let at = slot
    if (size + 1 > slots * maxLoad) {
      grow()
      at = find()
    }
    keys.set(key, at * slotWords)
    states[at] = 1
    size += 1
    return at
  }

  const entry = (slot: number): Entry | undefined => {
    const state = states[slot]
    if (state === 0) return undefined
    return { line: lines[slot] ?? 0, answered: state === 2 ? digestText(digests[slot] ?? 0n) : undefined }
  }

  return {
    size: () => size,
    answered: () => answered,
    get: (id) => {
      load(id)
      return entry(find())
    },
    seen: (id, line) => {
      load(id)
      const slot = find()
      const before = entry(slot)
      // `insert` may replace the arrays, so it comes first.
      const at = before === undefined ? insert(slot) : slot
      if (before === undefined || before.line === 0) lines[at] = line
      return before
    },
    answer: (id, digest) => {
      load(id)
      const found = find()
      if (states[found] === 2) return false
      const slot = states[found] === 0 ? insert(found) : found
      states[slot] = 2
      digests[slot] = BigInt(`0x${digest}`)
      answered += 1
      return true
    }
  }
}

const digestText = (digest: bigint): string => digest.toString(16).padStart(16, "0")

/**
 * 64 bits of SHA-256 as 16 hexadecimal digits: enough to notice that a line's request has changed.
 *
 * @category hashing
 * @since 0.1.0
 */
export const digestOf = (text: string): string => hash("sha256", text, "hex").slice(0, 16)
