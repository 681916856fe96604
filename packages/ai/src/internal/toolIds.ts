// Ids of tool calls as Converse allows them. Those of another provider, from a conversation that went on here, may be anything.

const allowed = /^[a-zA-Z0-9_-]{1,64}$/

/** What each call of a conversation is called in the request. */
export interface ToolIds {
  readonly of: (id: string) => string
}

/**
 * An id that is allowed stays as it is. Any other is numbered in the order in which they come, which is the same each time that the same conversation
 * is sent: so the prompt cache knows it again.
 */
export const make = (known: Iterable<string>): ToolIds => {
  const taken = new Set([...known].filter((id) => allowed.test(id)))
  const renamed = new Map<string, string>()
  return {
    of: (id) => {
      if (allowed.test(id)) return id
      const before = renamed.get(id)
      if (before !== undefined) return before
      let n = renamed.size + 1
      while (taken.has(`call_${n}`)) n++
      const name = `call_${n}`
      taken.add(name)
      renamed.set(id, name)
      return name
    }
  }
}
