/**
 * A map that keeps what was used last: reading or making an entry makes it the youngest, and the oldest gives way.
 */
export interface Lru<V> {
  readonly get: (key: string) => V
  readonly peek: (key: string) => V | undefined
}

export const make = <V>(capacity: number, create: () => V): Lru<V> => {
  const entries = new Map<string, V>()
  return {
    get: (key) => {
      const value = entries.get(key) ?? create()
      entries.delete(key)
      entries.set(key, value)
      if (entries.size > capacity) {
        for (const oldest of entries.keys()) {
          entries.delete(oldest)
          break
        }
      }
      return value
    },
    peek: (key) => entries.get(key)
  }
}
