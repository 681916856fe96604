/** Powers of two up to here have a place of their own, larger ones share the last. */
const places = 64

/**
 * How many amounts there are of each order of magnitude, and so a bound that none of them is below: to within a factor of two, in the
 * time of a handful of steps, however many there are.
 */
export class Sizes {
  private readonly counts = new Float64Array(places)
  /** The first place that may not be empty. */
  private first = places

  add(amount: number): void {
    const place = placeOf(amount)
    this.counts[place] = (this.counts[place] as number) + 1
    this.first = Math.min(this.first, place)
  }

  remove(amount: number): void {
    const place = placeOf(amount)
    this.counts[place] = (this.counts[place] as number) - 1
  }

  /** None of the amounts is smaller; `Infinity` when there are none. */
  get least(): number {
    const { counts } = this
    while (this.first < places && counts[this.first] === 0) this.first++
    return this.first === places ? Infinity : this.first === 0 ? 0 : 2 ** (this.first - 1)
  }
}

const placeOf = (amount: number): number => amount < 1 ? 0 : Math.min(places - 1, 1 + Math.floor(Math.log2(amount)))
