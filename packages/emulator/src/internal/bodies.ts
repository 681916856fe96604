/**
 * What is known of each distinct body: how often it was sent, and which draws its answers have used up.
 *
 * An answer takes the lowest draw that is free, and one that fails gives its draw back. So the answers to `n` equal
 * requests have the draws 0 to n - 1, however often they were tried and in which order they came.
 */
import type * as Stats from "../Stats.ts"

interface Known {
  attempts: number
  next: number
  free: Array<number> | undefined
}

export interface Bodies {
  /** Counts an arrival; how often the body was sent before. */
  readonly arrive: (key: string) => number
  readonly take: (key: string) => number
  readonly giveBack: (key: string, draw: number) => void
  readonly stats: () => Stats.PerCall
}

/** As many bodies are remembered; one that comes again after that many others counts as new. */
const remembered = 100_000

export const make = (): Bodies => {
  const known = new Map<string, Known>()
  let distinct = 0
  let total = 0
  let max = 0
  const of = (key: string): Known => {
    const found = known.get(key)
    if (found !== undefined) return found
    if (known.size >= remembered) {
      for (const oldest of known.keys()) {
        known.delete(oldest)
        break
      }
    }
    const created: Known = { attempts: 0, next: 0, free: undefined }
    known.set(key, created)
    distinct++
    return created
  }
  return {
    arrive: (key) => {
      const body = of(key)
      total++
      max = Math.max(max, body.attempts + 1)
      return body.attempts++
    },
    take: (key) => {
      const body = of(key)
      if (body.free === undefined) return body.next++
      const lowest = Math.min(...body.free)
      const rest = body.free.filter((draw) => draw !== lowest)
      body.free = rest.length === 0 ? undefined : rest
      return lowest
    },
    giveBack: (key, draw) => {
      const body = of(key)
      if (body.free === undefined) body.free = [draw]
      else body.free.push(draw)
    },
    stats: () => ({ distinct, max, mean: distinct === 0 ? 0 : total / distinct })
  }
}
