/** So many items a piece holds at most: to put one between them takes as many steps as half of it has. */
const mostInPiece = 64

interface Piece<A> {
  readonly keys: Array<number>
  readonly items: Array<A>
}

/** Where an item stands. It stays right while nothing is added or taken before it. */
export interface Place {
  piece: number
  index: number
}

/**
 * Items in order of their keys, those with the same key as they came: in pieces of some dozens, so that it costs O(1) to add one at the end and to
 * take the first, O(log n) and some dozen steps to put one anywhere else, and nothing to go through them in order.
 */
export class SortedList<A> {
  /** None is empty. */
  private readonly pieces: Array<Piece<A>> = []

  /** The smallest key; `Infinity` when empty. */
  get firstKey(): number {
    return this.pieces[0]?.keys[0] ?? Infinity
  }

  add(key: number, item: A): void {
    const { pieces } = this
    const last = pieces.at(-1)
    if (last !== undefined && key < lastKeyOf(last)) this.insert(key, item)
    else if (last !== undefined && last.keys.length < mostInPiece) {
      last.keys.push(key)
      last.items.push(item)
    } else pieces.push({ keys: [key], items: [item] })
  }

  /** Takes the first out, of at least one. A place of a later one stays that of the same, and that of the first becomes that of the next. */
  shift(place: Place): A {
    const { pieces } = this
    const { items, keys } = pieces[0] as Piece<A>
    keys.shift()
    const item = items.shift() as A
    if (place.piece === 0) place.index = Math.max(0, place.index - 1)
    if (keys.length === 0) {
      pieces.shift()
      place.piece = Math.max(0, place.piece - 1)
    }
    return item
  }

  /** The one at a place; `undefined` behind the last. A place that is behind the end of its piece becomes one in the next. */
  at(place: Place): A | undefined {
    const { pieces } = this
    // Behind the last it stays where the next one is added.
    while (place.index >= (pieces[place.piece]?.keys.length ?? Infinity) && place.piece < pieces.length - 1) {
      place.index -= (pieces[place.piece] as Piece<A>).keys.length
      place.piece++
    }
    return pieces[place.piece]?.items[place.index]
  }

  /** Of one that is there. */
  keyAt({ index, piece }: Place): number {
    return (this.pieces[piece] as Piece<A>).keys[index] as number
  }

  /** Gives one that is there a larger key: the place becomes that of the one behind it. */
  later(place: Place, key: number): void {
    const { pieces } = this
    const { items, keys } = pieces[place.piece] as Piece<A>
    keys.splice(place.index, 1)
    const [item] = items.splice(place.index, 1)
    if (keys.length === 0) {
      pieces.splice(place.piece, 1)
      // The next one may be added to the piece before.
      if (place.piece > 0) place.index = (pieces[--place.piece] as Piece<A>).keys.length
    }
    this.add(key, item as A)
  }

  /** Takes a place back by so many. */
  back(place: Place, count: number): void {
    let left = count
    while (left > place.index) {
      left -= place.index
      place.index = (this.pieces[--place.piece] as Piece<A>).keys.length
    }
    place.index -= left
  }

  /** Puts one before the last. */
  private insert(key: number, item: A): void {
    const { pieces } = this
    // The first piece that ends with a larger key.
    let low = 0
    let high = pieces.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (lastKeyOf(pieces[middle] as Piece<A>) > key) high = middle
      else low = middle + 1
    }
    const { items, keys } = pieces[low] as Piece<A>
    let index = keys.length - 1
    while (index > 0 && (keys[index - 1] as number) > key) index--
    keys.splice(index, 0, key)
    items.splice(index, 0, item)
    if (keys.length <= mostInPiece) return
    const half = keys.length >> 1
    pieces.splice(low + 1, 0, { keys: keys.splice(half), items: items.splice(half) })
  }
}

const lastKeyOf = <A>({ keys }: Piece<A>): number => keys[keys.length - 1] as number
