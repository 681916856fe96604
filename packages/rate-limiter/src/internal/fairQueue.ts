// One class of those who wait: its tenants take turns, each first come first served.
import { IndexedHeap, type Ranked } from "./indexedHeap.ts"

/** Who waits. The queue owns the links; others only hold it. */
export interface Queued {
  readonly tenant: string
  /** What it takes of the quota. */
  readonly size: number
  readonly requests: number
  readonly tokens: number
  /** How many came before it, ever. */
  readonly turn: number
  /** The part of it that is likely to be served here: less than 1 where it waits elsewhere too. */
  part: number
  line: Line<this> | undefined
  ahead: this | undefined
  behind: this | undefined
}

/** The requests of one tenant in one class, and how far it is with its share. */
export class Line<W extends Queued> implements Ranked {
  place = -1
  /** What the tenant has had of this class, by its weight: the tenant with the least is next. */
  rank = 0
  turn = 0
  head: W | undefined
  tail: W | undefined
  count = 0
  requests = 0
  tokens = 0
  size = 0
  /** The same of the parts that are likely to be served here. */
  readonly likely = { requests: 0, tokens: 0, size: 0 }
  /** What it was refunded since its rank was set. */
  credit = 0
  readonly tenant: string
  readonly weight: number

  constructor(tenant: string, weight: number) {
    this.tenant = tenant
    this.weight = weight
  }
}

/** A waiter who was taken out for its turn, and what that counts as. */
export interface Taken<W extends Queued> {
  readonly waiter: W
  readonly line: Line<W>
  /** Its start tag. */
  readonly start: number
  /** By how much its tenant's rank moved. */
  readonly moved: number
  /** The credit that was used up. */
  readonly credit: number
}

/**
 * Start-time fair queueing (Goyal, Vin, Cheng 1996): each tenant's next request has a start tag, the end tag of the one before or the
 * start tag last served, whichever is later, and the smallest goes. Between two tenants who both wait, what they had differs by at most one
 * request of each, by weight, whatever the others do.
 *
 * Adding costs O(log t) for t tenants who wait, so do taking and removing.
 */
export class FairQueue<W extends Queued> {
  private readonly lines = new Map<string, Line<W>>()
  private readonly heap = new IndexedHeap<Line<W>>()
  private readonly weightOf: (tenant: string) => number
  /** The start tag that was last served. */
  private virtual = 0
  private sweepAt = 32

  constructor(weightOf: (tenant: string) => number) {
    this.weightOf = weightOf
  }

  /** The next in order. */
  get head(): W | undefined {
    return this.heap.first?.head
  }

  /** The next of a tenant. */
  headOf(tenant: string): W | undefined {
    return this.lines.get(tenant)?.head
  }

  /** Those who wait, by tenant. */
  *waiting(): Iterable<Line<W>> {
    for (const line of this.lines.values()) if (line.count > 0) yield line
  }

  add(waiter: W): void {
    const line = this.opened(waiter.tenant)
    waiter.line = line
    waiter.ahead = line.tail
    waiter.behind = undefined
    if (line.tail !== undefined) line.tail.behind = waiter
    line.tail = waiter
    count(line, waiter, 1)
    if (line.head !== undefined) return
    line.head = waiter
    this.enter(line)
  }

  /** Takes a waiter out, wherever it stands. It has had nothing of its tenant's share. */
  remove(waiter: W): void {
    const line = waiter.line as Line<W>
    // Stryker disable next-line ConditionalExpression: to put a line where it is changes nothing
    const first = line.head === waiter
    if (waiter.ahead === undefined) line.head = waiter.behind
    else waiter.ahead.behind = waiter.behind
    if (waiter.behind === undefined) line.tail = waiter.ahead
    else waiter.behind.ahead = waiter.ahead
    waiter.line = undefined
    count(line, waiter, -1)
    // Stryker disable next-line ConditionalExpression: as above
    if (first) this.place(line)
  }

  /** Takes a waiter out for its turn. Until it is said that it was `served`, it can be put back. */
  take(waiter: W): Taken<W> {
    const line = waiter.line as Line<W>
    const { credit, rank } = line
    line.rank = Math.max(this.virtual, rank + waiter.size / line.weight - credit)
    line.credit = 0
    this.remove(waiter)
    return { waiter, line, start: rank, moved: line.rank - rank, credit }
  }

  /** It had its turn. */
  served({ start }: Taken<W>): void {
    // Who goes first by a guarantee is ahead of the others by as much.
    this.virtual = Math.max(this.virtual, Math.min(start, this.heap.first?.rank ?? start))
  }

  /** Its turn did not come after all: it is the first of its tenant again. Of several, the last taken goes back first. */
  putBack({ credit, line, moved, waiter }: Taken<W>): void {
    line.rank -= moved
    line.credit += credit
    waiter.line = line
    waiter.ahead = undefined
    waiter.behind = line.head
    if (line.head === undefined) line.tail = waiter
    else line.head.ahead = waiter
    line.head = waiter
    count(line, waiter, 1)
    this.place(line)
  }

  /** What a tenant had was less by so much than was thought. */
  refund(tenant: string, size: number): void {
    const line = this.lines.get(tenant)
    if (line !== undefined) line.credit += size / line.weight
  }

  /** Another part of one who waits is likely to be served here. */
  reweigh(waiter: W, part: number): void {
    if (waiter.line !== undefined) expect(waiter.line, waiter, part - waiter.part)
    waiter.part = part
  }

  /** What is known of a tenant. */
  lineOf(tenant: string): Line<W> | undefined {
    return this.lines.get(tenant)
  }

  private opened(tenant: string): Line<W> {
    const known = this.lines.get(tenant)
    if (known !== undefined) return known
    if (this.lines.size >= this.sweepAt) this.sweep()
    const line = new Line<W>(tenant, this.weightOf(tenant))
    this.lines.set(tenant, line)
    return line
  }

  private enter(line: Line<W>): void {
    line.rank = Math.max(this.virtual, line.rank - line.credit)
    line.credit = 0
    this.place(line)
  }

  /** Puts a line where it belongs after its head has changed. */
  private place(line: Line<W>): void {
    const { head } = line
    if (head === undefined) return this.heap.remove(line)
    line.turn = head.turn
    if (line.place === -1) this.heap.push(line)
    else this.heap.moved(line)
  }

  /** Who does not wait and has had no more than others is like one who never came. */
  private sweep(): void {
    for (const [tenant, line] of this.lines) {
      if (line.count === 0 && line.rank <= this.virtual) this.lines.delete(tenant)
    }
    this.sweepAt = Math.max(32, this.lines.size * 2)
  }
}

const count = <W extends Queued>(line: Line<W>, waiter: W, sign: 1 | -1): void => {
  const { part, requests, size, tokens } = waiter
  line.count += sign
  line.requests += sign * requests
  line.tokens += sign * tokens
  line.size += sign * size
  expect(line, waiter, sign * part)
}

const expect = <W extends Queued>({ count, likely }: Line<W>, { requests, size, tokens }: W, part: number): void => {
  // Sums of fractions drift.
  likely.requests = count === 0 ? 0 : likely.requests + part * requests
  likely.tokens = count === 0 ? 0 : likely.tokens + part * tokens
  likely.size = count === 0 ? 0 : likely.size + part * size
}
