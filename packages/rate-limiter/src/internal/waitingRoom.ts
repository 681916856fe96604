// Who waits for a pool, and in which order they are admitted.
import type { Booking } from "../Cost.ts"
import type { LimiterStoreError } from "../LimiterStore.ts"
import type { Foretold } from "./accuracy.ts"
import { FairQueue, type Line, type Queued, type Taken } from "./fairQueue.ts"
import { IndexedHeap, type Ranked } from "./indexedHeap.ts"
import { Sizes } from "./sizes.ts"

/** The order, as numbers. */
export interface Order {
  /** How long the next of a class is kept waiting before it goes before one of a class that is higher by 1. */
  readonly ageingMillis: number
  readonly weightOf: (tenant: string) => number
  readonly guarantees: ReadonlyArray<{
    readonly priority?: number | undefined
    readonly tenant?: string | undefined
    readonly share: number
  }>
  /** How many may wait, and for how many tokens. */
  readonly mostRequests: number
  readonly mostTokens: number
}

/** What a waiter asks for, and what becomes of it. */
export interface Request extends Owner {
  /** What to book, as things are now. */
  readonly amount: () => Booking
  readonly admit: (amount: Booking) => void
  /** It was admitted, and may go on. */
  readonly proceed: () => void
  readonly close: () => void
  /** Its pool admits nobody for long. */
  readonly park: () => void
  /** There was no room for it. */
  readonly shed: () => void
  /** The store that its quota is shared through is lost. */
  readonly lose: (error: LimiterStoreError) => void
}

/** One who waits. The room owns all but its request. */
export class Waiter implements Queued {
  line: Line<this> | undefined
  ahead: this | undefined
  behind: this | undefined
  /** Those of its class who came just before and just after it. */
  older: this | undefined
  newer: this | undefined
  waiting = false
  part = 1
  foretold: Foretold | undefined
  readonly request: Request
  readonly size: number
  readonly turn: number

  constructor(request: Request, size: number, turn: number) {
    this.request = request
    this.size = size
    this.turn = turn
  }

  get tenant(): string {
    return this.request.tenant
  }

  get requests(): number {
    return this.request.requests
  }

  get tokens(): number {
    return this.request.tokens
  }
}

/** Those of one priority. */
class Class implements Ranked {
  place = -1
  rank = 0
  turn = 0
  /** When somebody of it was last served, or the first of those who wait came. */
  since = 0
  count = 0
  /** Of the parts that are likely to be served here. */
  requests = 0
  tokens = 0
  newest: Waiter | undefined
  readonly priority: number
  readonly queue: FairQueue<Waiter>

  constructor(priority: number, weightOf: (tenant: string) => number) {
    this.priority = priority
    this.queue = new FairQueue(weightOf)
  }
}

/** A share of the quota that is kept for a class or a tenant as long as it has use for it. */
class Guarantee {
  readonly priority: number | undefined
  readonly tenant: string | undefined
  readonly share: number
  /** What of its share it has not had, in milliseconds of the whole quota. */
  private credit: number
  private readonly most: number
  private since: number

  constructor({ priority, share, tenant }: Order["guarantees"][number], windowMillis: number, now: number) {
    this.priority = priority
    this.tenant = tenant
    this.share = share
    this.most = share * windowMillis
    this.credit = this.most
    this.since = now
  }

  /** What it has not had, as a part of its share. */
  open(now: number): number {
    this.credit = Math.min(this.most, this.credit + this.share * (now - this.since))
    this.since = now
    return this.credit / this.most
  }

  isOf(priority: number, tenant: string): boolean {
    return (this.priority ?? priority) === priority && (this.tenant ?? tenant) === tenant
  }

  /** What it borrowed is made good within a window, and no longer held against it. */
  had(size: number): void {
    this.credit = Math.min(this.most, Math.max(-this.most, this.credit - size))
  }
}

/** A waiter taken out for its turn. */
export type Turn = Taken<Waiter>

/** Whose, and how much. */
export interface Owner {
  readonly priority: number
  readonly tenant: string
  readonly requests: number
  readonly tokens: number
  readonly units?: Readonly<Record<string, number>> | undefined
}

/**
 * Who waits for a pool, in the order of admission: first whoever has not had a share that is guaranteed to it; then by priority, with
 * ageing; within a class fair between tenants, by what they take of the quota and by weight; within a tenant first come.
 *
 * **Ageing** counts from when the class was last served: of each class that is lower by n somebody goes after n times the ageing, whatever
 * comes in above, and a whole backlog that has grown old does not go before the urgent ones who came last.
 *
 * Adding and taking cost O(log n), and O(g) for g guarantees.
 */
export class WaitingRoom {
  private readonly order: Order
  private readonly classes = new Map<number, Class>()
  private readonly heap = new IndexedHeap<Class>()
  private readonly guarantees: ReadonlyArray<Guarantee>
  readonly sizeOf: (requests: number, tokens: number) => number
  private readonly tokenSizes = new Sizes()
  private readonly requestSizes = new Sizes()
  private turns = 0
  private count = 0
  private totalRequests = 0
  private totalTokens = 0

  /** `sizeOf` tells which time of the whole quota an amount takes, in milliseconds; a guarantee may be saved up for `windowMillis`. */
  constructor(
    order: Order,
    sizeOf: (requests: number, tokens: number) => number,
    windowMillis: number,
    now: number
  ) {
    this.order = order
    this.sizeOf = sizeOf
    this.guarantees = order.guarantees.map((guarantee) => new Guarantee(guarantee, windowMillis, now))
  }

  /** How many wait. */
  get size(): number {
    return this.count
  }

  /** Requests of all who wait. */
  get requests(): number {
    return this.totalRequests
  }

  /** Tokens of all who wait. */
  get tokens(): number {
    return this.totalTokens
  }

  /** Whether somebody may be small enough for this; false is certain. */
  mayHold(requests: number, tokens: number): boolean {
    return this.count > 0 && this.requestSizes.least <= requests && this.tokenSizes.least <= tokens
  }

  /** The next in order. */
  head(now: number): Waiter | undefined {
    return this.entitled(now) ?? this.heap.first?.queue.head
  }

  add(request: Request, now: number): Waiter {
    const waiter = new Waiter(request, this.sizeOf(request.requests, request.tokens), this.turns++)
    const own = this.classOf(request.priority)
    waiter.older = own.newest
    if (own.newest !== undefined) own.newest.newer = waiter
    own.newest = waiter
    own.queue.add(waiter)
    if (own.place === -1) this.enter(own, now)
    waiter.waiting = true
    this.counted(own, waiter, 1)
    return waiter
  }

  /** Takes a waiter out who waits no longer, wherever it stands. False when it is not in the room. */
  remove(waiter: Waiter): boolean {
    if (!waiter.waiting) return false
    const own = this.classOf(waiter.request.priority)
    own.queue.remove(waiter)
    if (own.queue.head === undefined) this.heap.remove(own)
    this.leave(own, waiter)
    return true
  }

  /** One who waits is likely to be served here with this part of it, and elsewhere with the rest: so much less do others wait for it. */
  reweigh(waiter: Waiter, part: number): void {
    if (!waiter.waiting) return
    const own = this.classOf(waiter.request.priority)
    own.requests += (part - waiter.part) * waiter.requests
    own.tokens += (part - waiter.part) * waiter.tokens
    own.queue.reweigh(waiter, part)
  }

  /** Takes the next in order out for its turn. Until it is said that it was `served` it is counted, and can be put back. */
  take(now: number): Turn | undefined {
    const waiter = this.head(now)
    if (waiter === undefined) return undefined
    const own = this.classOf(waiter.request.priority)
    const taken = own.queue.take(waiter)
    if (own.queue.head === undefined) this.heap.remove(own)
    return taken
  }

  /** It had its turn. */
  served(turn: Turn, now: number): void {
    const { waiter } = turn
    const own = this.classOf(waiter.request.priority)
    own.queue.served(turn)
    own.since = now
    if (own.place !== -1) this.rank(own)
    this.leave(own, waiter)
    this.had(waiter.request)
  }

  /** Its turn did not come after all. Of several, the last taken goes back first. */
  putBack(turn: Turn): void {
    const own = this.classOf(turn.waiter.request.priority)
    own.queue.putBack(turn)
    if (own.place === -1) this.heap.push(own)
  }

  /** So much was had by a class and a tenant, waiting or not. */
  had({ priority, requests, tenant, tokens }: Owner): void {
    if (this.guarantees.length === 0) return
    const size = this.sizeOf(requests, tokens)
    for (const guarantee of this.guarantees) if (guarantee.isOf(priority, tenant)) guarantee.had(size)
  }

  /** What they had was less, by so much, than was thought when they were served. */
  refund(owner: Owner, queued: boolean): void {
    const size = this.sizeOf(owner.requests, owner.tokens)
    // Who did not wait took no turn from anybody.
    if (queued) this.classes.get(owner.priority)?.queue.refund(owner.tenant, size)
    for (const guarantee of this.guarantees) if (guarantee.isOf(owner.priority, owner.tenant)) guarantee.had(-size)
  }

  /**
   * Makes room for one of a class: the newest of the lowest class goes, as often as that is needed and it is lower. False when that does not
   * do: then nobody goes.
   */
  makeRoom({ priority, tokens }: Owner): boolean {
    const { mostRequests, mostTokens } = this.order
    let requests = this.count + 1
    let all = this.totalTokens + tokens
    if (requests <= mostRequests && all <= mostTokens) return true
    const shed: Array<Waiter> = []
    const lower = [...this.classes.values()].filter((one) => one.priority < priority)
    for (const one of lower.toSorted((a, b) => a.priority - b.priority)) {
      for (let newest = one.newest; newest !== undefined; newest = newest.older) {
        shed.push(newest)
        requests--
        all -= newest.tokens
        if (requests > mostRequests || all > mostTokens) continue
        for (const waiter of shed) this.remove(waiter)
        for (const { request } of shed) request.shed()
        return true
      }
    }
    return false
  }

  /**
   * Requests and tokens that go before one who came now, if nobody came after it, by the parts that are likely to be served here: all of higher priority, and of its class what other
   * tenants have in the time in which its own has what waits before it.
   */
  ahead(request: Owner): { readonly requests: number; readonly tokens: number } {
    let requests = 0
    let tokens = 0
    for (const one of this.classes.values()) {
      if (one.priority > request.priority) {
        requests += one.requests
        tokens += one.tokens
      } else if (one.priority === request.priority) {
        const own = one.queue.lineOf(request.tenant)
        const time = ((own?.likely.size ?? 0) + this.sizeOf(request.requests, request.tokens)) /
          (own?.weight ?? this.order.weightOf(request.tenant))
        for (const line of one.queue.waiting()) {
          const { likely } = line
          const part = line === own ? 1 : Math.min(1, time * line.weight / likely.size)
          requests += likely.requests * part
          tokens += likely.tokens * part
        }
      }
    }
    return { requests, tokens }
  }

  /** The highest priority of those who wait. */
  get highest(): number {
    let highest = -Infinity
    for (const { priority } of this.classes.values()) highest = Math.max(highest, priority)
    return highest
  }

  /** Those who wait, by class and tenant; and since when their class was not served. */
  *waiting(): Iterable<{ readonly priority: number; readonly since: number; readonly line: Line<Waiter> }> {
    for (const { priority, queue, since } of this.classes.values()) {
      for (const line of queue.waiting()) yield { priority, since, line }
    }
  }

  private classOf(priority: number): Class {
    const known = this.classes.get(priority)
    if (known !== undefined) return known
    const own = new Class(priority, this.order.weightOf)
    this.classes.set(priority, own)
    return own
  }

  private enter(own: Class, now: number): void {
    own.since = now
    own.turn = this.turns
    own.rank = this.rankOf(own)
    this.heap.push(own)
  }

  private rank(own: Class): void {
    own.rank = this.rankOf(own)
    this.heap.moved(own)
  }

  private rankOf({ priority, since }: Class): number {
    return since / this.order.ageingMillis - priority
  }

  /** Out of the lists of its class. */
  private leave(own: Class, waiter: Waiter): void {
    if (waiter.newer === undefined) own.newest = waiter.older
    else waiter.newer.older = waiter.older
    if (waiter.older !== undefined) waiter.older.newer = waiter.newer
    waiter.older = undefined
    waiter.newer = undefined
    waiter.waiting = false
    this.counted(own, waiter, -1)
    // Who comes to an empty class begins anew.
    if (own.count === 0) this.classes.delete(own.priority)
  }

  private counted(own: Class, { part, requests, tokens }: Waiter, sign: 1 | -1): void {
    own.count += sign
    own.requests += sign * part * requests
    own.tokens += sign * part * tokens
    this.count += sign
    // Sums of fractions drift.
    this.totalRequests = this.count === 0 ? 0 : this.totalRequests + sign * requests
    this.totalTokens = this.count === 0 ? 0 : this.totalTokens + sign * tokens
    if (sign === 1) {
      this.requestSizes.add(requests)
      this.tokenSizes.add(tokens)
    } else {
      this.requestSizes.remove(requests)
      this.tokenSizes.remove(tokens)
    }
  }

  private entitled(now: number): Waiter | undefined {
    let most = 0
    let first: Waiter | undefined
    for (const guarantee of this.guarantees) {
      const open = guarantee.open(now)
      if (open <= most) continue
      const head = this.headOf(guarantee)
      if (head === undefined) continue
      most = open
      first = head
    }
    return first
  }

  private headOf({ priority, tenant }: Guarantee): Waiter | undefined {
    if (priority !== undefined) {
      const queue = this.classes.get(priority)?.queue
      return tenant === undefined ? queue?.head : queue?.headOf(tenant)
    }
    let first: Class | undefined
    let head: Waiter | undefined
    for (const one of this.classes.values()) {
      const own = tenant === undefined ? one.queue.head : one.queue.headOf(tenant)
      if (own === undefined || (first !== undefined && first.rank <= one.rank)) continue
      first = one
      head = own
    }
    return head
  }
}
