/** Counts a request's input, piece by piece, and notes where it may be cached. */
import * as TokenCounter from "../TokenCounter.ts"
import { seedOf } from "./random.ts"

/** The prompt up to a cache checkpoint. */
export interface Checkpoint {
  readonly tokens: number
  readonly digest: string
}

export interface Prompt {
  readonly tokens: number
  readonly checkpoints: ReadonlyArray<Checkpoint>
  /** The text of the last user message. */
  readonly last: string
}

export interface Builder {
  readonly text: (text: string) => void
  readonly overhead: (tokens: number) => void
  /** Anything else that is JSON: names, numbers and brackets cost as they are written. */
  readonly json: (value: unknown) => void
  readonly image: () => void
  readonly bytes: (base64: string) => void
  readonly checkpoint: () => void
  readonly setLast: (text: string) => void
  readonly build: () => Prompt
}

/** `cached`: whether checkpoints can occur at all; if not, nothing is kept to digest. */
export const make = (cached: boolean): Builder => {
  let tokens = 0
  let last = ""
  const checkpoints: Array<Checkpoint> = []
  const prefix: Array<string> = []
  const keep = (piece: string): void => {
    if (cached) prefix.push(piece)
  }
  return {
    text: (text) => {
      tokens += TokenCounter.count(text)
      keep(text)
    },
    overhead: (n) => {
      tokens += n
    },
    json: (value) => {
      if (value === undefined) return
      const text = JSON.stringify(value)
      tokens += TokenCounter.count(text)
      keep(text)
    },
    image: () => {
      tokens += TokenCounter.imageTokens
      keep("image")
    },
    bytes: (base64) => {
      // A document's text is about as long as its bytes say: three quarters of the base64, four bytes to a token.
      tokens += Math.ceil(base64.length * 3 / 16)
      keep(base64)
    },
    checkpoint: () => {
      checkpoints.push({ tokens, digest: seedOf(prefix.join("\u0000")).join("-") })
    },
    setLast: (text) => {
      last = text
    },
    build: () => ({ tokens, checkpoints, last })
  }
}
