// Ids of tool calls as Converse allows them: each call has one of its own. Those of another provider, from a conversation that went on here, may be anything,
// and come again: some count the calls of each turn.

const allowed = /^[a-zA-Z0-9_-]{1,64}$/

/** What each call of a conversation is called in the request. To be asked in the order in which they stand there. */
export interface ToolIds {
  /** Of a call. */
  readonly call: (id: string) => string
  /** Of a result: as the first call of that id that has none yet, else the last one. */
  readonly result: (id: string) => string
}

/**
 * An id that is allowed stays as it is, the first time. Any other is numbered in the order in which they come, which is the same each time that the same
 * conversation is sent: so the prompt cache knows it again.
 */
export const make = (known: Iterable<string>): ToolIds => {
  const taken = new Set([...known].filter((id) => allowed.test(id)))
  const used = new Set<string>()
  /** By their ids: what they are called, and how many of them have a result. */
  const calls = new Map<string, { readonly names: Array<string>; answered: number }>()
  let numbered = 0
  const number = (): string => {
    do numbered++
    while (taken.has(`call_${numbered}`))
    return `call_${numbered}`
  }
  const call = (id: string): string => {
    const name = allowed.test(id) && !used.has(id) ? id : number()
    used.add(name)
    const same = calls.get(id)
    if (same === undefined) calls.set(id, { names: [name], answered: 0 })
    else same.names.push(name)
    return name
  }
  return {
    call,
    result: (id) => {
      const same = calls.get(id)
      // The result of a call that nobody made is what it is: Bedrock says so.
      if (same === undefined) return allowed.test(id) ? id : call(id)
      return same.names[same.answered++] ?? same.names.at(-1) ?? id
    }
  }
}
