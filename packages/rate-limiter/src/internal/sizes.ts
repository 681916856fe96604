/** Powers of two up to here have a place of their own, larger ones share the last. */
const places = 64

/**
 * How many amounts there are of each order of magnitude, and so a bound that none of them is below: to within a factor of two, in the
 * time of a handful of steps, however many there are.
 */
export class Sizes {
  private readonly counts = new Float64Array(places)

  add(amount: number): void {
    this.change(amount, 1)
  }

  remove(amount: number): void {
    this.change(amount, -1)
  }

  private change(amount: number, by: number): void {
    const place = placeOf(amount)
    this.counts[place] = (this.counts[place] as number) + by
  }

  /** None of the amounts is smaller; `Infinity` when there are none. */
  get least(): number {
    const { counts } = this
    for (let place = 0; place < places; place++) {
      if ((counts[place] as number) > 0) {
        return place === 0
          ? 0
          : 2 ** (place - 1)
      }
    }
    return Infinity
  }
}

const placeOf = (amount: number): number => amount < 1 ? 0 : Math.min(places - 1, 1 + Math.floor(Math.log2(amount)))
