/**
 * A binary heap of items by key, smallest first: O(log n) to push and pop, and nothing allocated beyond its two arrays.
 */
export class MinHeap<A> {
  private readonly keys: Array<number> = []
  private readonly items: Array<A> = []

  get size(): number {
    return this.keys.length
  }

  /** The smallest key; `Infinity` when empty. */
  get minKey(): number {
    return this.keys[0] ?? Infinity
  }

  forEach(f: (item: A, key: number) => void): void {
    for (const [index, item] of this.items.entries()) f(item, this.keys[index] as number)
  }

  push(key: number, item: A): void {
    const { items, keys } = this
    let index = keys.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      const parentKey = keys[parent] as number
      // Stryker disable next-line EqualityOperator: equal keys may stand in any order
      if (parentKey <= key) break
      keys[index] = parentKey
      items[index] = items[parent] as A
      index = parent
    }
    keys[index] = key
    items[index] = item
  }

  /** Removes and returns the item of the smallest key; `undefined` when empty. */
  pop(): A | undefined {
    const { items, keys } = this
    const lastKey = keys.pop() as number
    const lastItem = items.pop() as A
    const size = keys.length
    if (size === 0) return lastItem
    const top = items[0]
    let index = 0
    while (true) {
      let child = 2 * index + 1
      if (child >= size) break
      // Stryker disable next-line EqualityOperator: of equal keys either may come first
      if ((keys[child + 1] ?? Infinity) < (keys[child] as number)) child++
      const childKey = keys[child] as number
      // Stryker disable next-line EqualityOperator: equal keys may stand in any order
      if (childKey >= lastKey) break
      keys[index] = childKey
      items[index] = items[child] as A
      index = child
    }
    keys[index] = lastKey
    items[index] = lastItem
    return top
  }
}
