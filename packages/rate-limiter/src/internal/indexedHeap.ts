/** What stands in an {@link IndexedHeap}: it knows its place, so that it can be moved or taken out. */
export interface Ranked {
  /** Where it stands; -1 while it is in no heap. Written by the heap alone. */
  place: number
  /** Smallest first. */
  rank: number
  /** Of equal ranks, the smallest first: no two alike. */
  turn: number
}

/**
 * A binary heap of items by rank, and by turn where ranks are equal. Any of them can be taken out, or moved when its rank has changed, in
 * O(log n).
 */
export class IndexedHeap<A extends Ranked> {
  private readonly items: Array<A> = []

  get size(): number {
    return this.items.length
  }

  /** The first; `undefined` when empty. */
  get first(): A | undefined {
    return this.items[0]
  }

  push(item: A): void {
    this.rise(item, this.items.length)
  }

  /** Its rank or turn has changed. */
  moved(item: A): void {
    const { place } = item
    this.rise(item, place)
    if (item.place === place) this.sink(item, place)
  }

  remove(item: A): void {
    const { place } = item
    const last = this.items.pop() as A
    item.place = -1
    if (last === item) return
    last.place = place
    this.items[place] = last
    this.moved(last)
  }

  private rise(item: A, from: number): void {
    const { items } = this
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      const above = items[parent] as A
      if (!goesBefore(item, above)) break
      items[place] = above
      above.place = place
      place = parent
    }
    items[place] = item
    item.place = place
  }

  private sink(item: A, from: number): void {
    const { items } = this
    let place = from
    while (true) {
      let child = 2 * place + 1
      if (child >= items.length) break
      const right = items[child + 1]
      if (right !== undefined && goesBefore(right, items[child] as A)) child++
      const below = items[child] as A
      if (!goesBefore(below, item)) break
      items[place] = below
      below.place = place
      place = child
    }
    items[place] = item
    item.place = place
  }
}

const goesBefore = (a: Ranked, b: Ranked): boolean => a.rank < b.rank || (a.rank === b.rank && a.turn < b.turn)
