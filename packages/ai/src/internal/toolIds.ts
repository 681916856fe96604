// Ids of tool calls as Converse allows them: each call has one of its own. Those of another provider, from a conversation that went on here, may be anything,
// and come again: some count the calls of each turn.

const allowed = /^[a-zA-Z0-9_-]{1,64}$/

/** What each call of a conversation is called in the request. To be asked in the order in which they stand there. */
export interface ToolIds {
  /** Of a call. */
  readonly call: (id: string) => string
  /** Of a result that is of no call, as far as is known: as the last call of that id. */
  readonly stray: (id: string) => string
}

/**
 * An id that is allowed stays as it is, the first time. Any other is numbered in the order in which they come, which is the same each time that the same
 * conversation is sent: so the prompt cache knows it again.
 */
export const make = (known: Iterable<string>): ToolIds => {
  const taken = new Set([...known].filter((id) => allowed.test(id)))
  const used = new Set<string>()
  /** What the last call of an id is called. */
  const last = new Map<string, string>()
  let numbered = 0
  const number = (): string => {
    do numbered++
    while (taken.has(`call_${numbered}`))
    return `call_${numbered}`
  }
  const call = (id: string): string => {
    const name = allowed.test(id) && !used.has(id) ? id : number()
    used.add(name)
    last.set(id, name)
    return name
  }
  return {
    call,
    // The result of a call that nobody made is what it is: Bedrock says so.
    stray: (id) => last.get(id) ?? (allowed.test(id) ? id : call(id))
  }
}
