/** Which prompt prefixes are cached, for how long. */
import type { Checkpoint } from "./prompt.ts"

export interface Hit {
  readonly read: number
  readonly write: number
}

export interface PromptCache {
  /** What this prompt would read and write now. */
  readonly look: (now: number, scope: string, checkpoints: ReadonlyArray<Checkpoint>) => Hit
  /** Remembers the prompt's prefixes. */
  readonly store: (now: number, scope: string, checkpoints: ReadonlyArray<Checkpoint>) => void
}

const remembered = 10_000

export const make = (options: { readonly minimumTokens: number; readonly ttl: number }): PromptCache => {
  const expiry = new Map<string, number>()
  const key = (scope: string, checkpoint: Checkpoint): string => `${scope} ${checkpoint.digest}`
  const eligible = (checkpoints: ReadonlyArray<Checkpoint>): ReadonlyArray<Checkpoint> =>
    checkpoints.filter((checkpoint) => checkpoint.tokens >= options.minimumTokens)
  return {
    look: (now, scope, checkpoints) => {
      const candidates = eligible(checkpoints)
      const known = candidates.findLast((checkpoint) => (expiry.get(key(scope, checkpoint)) ?? 0) > now)
      const read = known?.tokens ?? 0
      return { read, write: (candidates.at(-1)?.tokens ?? 0) - read }
    },
    store: (now, scope, checkpoints) => {
      for (const checkpoint of eligible(checkpoints)) {
        // Set anew, it is the youngest: the first in the map is the one used longest ago.
        expiry.delete(key(scope, checkpoint))
        expiry.set(key(scope, checkpoint), now + options.ttl)
      }
      while (expiry.size > remembered) {
        for (const oldest of expiry.keys()) {
          expiry.delete(oldest)
          break
        }
      }
    }
  }
}
