/** How finely a window is divided, and how many parts are kept: a third of a window more than one, for the guard. */
const partsPerWindow = 96
const parts = 128

const placeOf = (part: number): number => ((part % parts) + parts) % parts

/**
 * The tokens of one window by their stamps, to a part of the window: how many leave by when, without looking at each charge. What was
 * stamped so long ago that its place is taken anew is forgotten: too few are said to leave then, never too many.
 */
export class StampedTokens {
  private readonly partMillis: number
  private readonly tokens = new Float64Array(parts)
  /** Which part of all time stands at each place. */
  private readonly partAt = new Float64Array(parts).fill(-Infinity)
  /** The last of them. */
  private newest = -Infinity

  constructor(windowMillis: number) {
    this.partMillis = windowMillis / partsPerWindow
  }

  add(stamp: number, tokens: number): void {
    const part = Math.floor(stamp / this.partMillis)
    const place = placeOf(part)
    const known = this.partAt[place] as number
    if (known > part) return
    this.newest = Math.max(this.newest, part)
    if (known < part) {
      this.partAt[place] = part
      this.tokens[place] = 0
    }
    this.tokens[place] = (this.tokens[place] as number) + tokens
  }

  remove(stamp: number, tokens: number): void {
    const part = Math.floor(stamp / this.partMillis)
    const place = placeOf(part)
    if (this.partAt[place] === part) this.tokens[place] = (this.tokens[place] as number) - tokens
  }

  /** Tokens stamped before `time`, less those of the part that it is in. */
  before(time: number): number {
    const end = Math.floor(time / this.partMillis)
    let sum = 0
    // Stryker disable next-line EqualityOperator: at no place beyond the last does a part stand
    for (let place = 0; place < parts; place++) {
      if ((this.partAt[place] as number) < end) sum += this.tokens[place] as number
    }
    return sum
  }

  /** The first time, `time` or later, before which so many were stamped; `Infinity` when there are fewer. */
  reached(tokens: number, time: number): number {
    let sum = this.before(time)
    if (sum >= tokens) return time
    let part = Math.max(Math.floor(time / this.partMillis), this.newest - parts)
    for (let place = placeOf(part); part <= this.newest; part++) {
      if (this.partAt[place] === part) sum += this.tokens[place] as number
      if (sum >= tokens) return (part + 1) * this.partMillis
      if (++place === parts) place = 0
    }
    return Infinity
  }

  /** What was stamped, part by part: the end of each, and how much. In no order. */
  *parts(): Iterable<readonly [end: number, tokens: number]> {
    for (let place = 0; place < parts; place++) {
      const tokens = this.tokens[place] as number
      if (tokens > 0) yield [((this.partAt[place] as number) + 1) * this.partMillis, tokens]
    }
  }
}
