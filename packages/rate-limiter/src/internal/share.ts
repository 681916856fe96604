// This process's share of a quota that several processes draw on: what it may use, when it asks for more, and what it gives back.
import type { Booking, Growth } from "../Cost.ts"
import type { Amounts, LimiterStoreError, Line, Message, Standing, Wake } from "../LimiterStore.ts"
import type { Owner } from "./waitingRoom.ts"

/** A meter of which this process has but a share. */
export interface SharedMeter {
  readonly name: string
  readonly unit: string
  /** The limit that was told. */
  readonly told: number
  /** The limit now: another than was told where one was learned. */
  readonly limit: () => number
  readonly staysMillis: () => number
  readonly setShare: (share: number) => void
  /** The limit that holds for all: the smallest of those that any of them has been told or has learned. */
  readonly setLimitOfAll: (limit: number) => void
  readonly used: (now: number) => number
  readonly leaving: (now: number) => ReadonlyArray<readonly [inMillis: number, amount: number]>
  readonly nextLeaving: () => number
  /** What must be free beside what is used, for growth. */
  readonly kept: (growth: ReadonlyArray<Growth>, now: number) => number
  /** What of it a request takes for which so many tokens are booked. */
  readonly amountOf: (owner: Pick<Owner, "requests" | "units">, tokens: number) => number
}

/** Those of one class and tenant who wait: a line as the store is told, but for what they need of each meter. */
export interface Queue extends Omit<Line, "head" | "all"> {
  readonly first: Owner
  /** What to book for it: of the next of all who wait here with what grows, of others without. */
  readonly booking: Booking
  readonly requests: number
  readonly tokens: number
}

/** A pool that uses a share. */
export interface Sharer {
  readonly waiting: number
  /** It uses other shares as well, and needs of all of them at once. */
  readonly hasSeveral: boolean
  /** The highest priority of those who wait. */
  readonly highest: number
  /** What may grow of what is in flight. */
  readonly growth: (now: number) => ReadonlyArray<Growth>
  readonly queues: (now: number) => ReadonlyArray<Queue>
  /** There may be room where there was none. */
  readonly admit: () => void
  /** The store is lost, and so is who waits. */
  readonly lose: (error: LimiterStoreError) => void
  readonly park: (millis: number) => void
}

/** What a process does when the store is away for longer than its lease. */
type OnLoss = "fail" | "wait" | "share"

/** What a share needs of the world. */
export interface World {
  readonly member: string
  readonly leaseMillis: number
  /** Between two questions of one process to the store there is so much time at least. */
  readonly beatMillis: number
  readonly ageingMillis: number | null
  readonly onLoss: OnLoss
  readonly now: () => number
  readonly after: (millis: number, wake: () => void) => () => void
  readonly ask: (quota: string, message: Message, answer: (answer: Standing | LimiterStoreError) => void) => void
}

/** So often within a lease the store hears of a process that holds something, and of one that waits: who waits and is silent is given nothing. */
const wordsPerLease = 4
const wordsPerLeaseWaiting = 8

/** What is held ahead is what was used in the last moments: of a process that dies it is lost for a window. */
const aheadMillis = 300

/** If there was less to be had ahead than was asked for, it is asked for again after so long. */
const aheadAgainMillis = 250

/** Less than this part of a limit is a rounding. */
const trifle = 1e-9

/** A store that is away is asked again after these parts of a lease: sooner than new books open, which is after 0.375 of it. */
const firstRetry = 1 / 40
const longestRetry = 1 / 4

/** The store is told of so many lines at most: those who are next. */
const mostLines = 16

/** What was granted to one who waits for other shares too is held for so many beats. */
const holdBeats = 4

type Mutable = Record<string, number>

/** What an amount is on one meter. */
const at = (amounts: Amounts, meter: string): number => amounts[meter] ?? 0

/**
 * A share. While others wait for the same quota, whatever comes free here is given back, and who waits here gets it from the store, in the order of
 * all; while nobody else does, it is used here at once, without a word.
 *
 * @internal
 */
export class Share {
  readonly quota: string
  readonly meters: ReadonlyArray<SharedMeter>
  private readonly world: World
  private readonly sharers = new Set<Sharer>()
  private standing: Standing | undefined
  private granted: Mutable = {}
  private given: Mutable = {}
  private heardAt = -Infinity
  private fenceAt = -Infinity
  private askedAt = -Infinity
  private wanted = false
  /** Until then the store gives nothing to anybody: what is given back would be idle. */
  private closedUntil = -Infinity
  private listed = 0
  /** It was given something by what others said, and is given no more before it says something itself. */
  private pushed = false
  /** How many of those who wait the store was told of, and how many not, since it is told of so many lines only. */
  private told = 0
  private untold = 0
  private toldPriority = -Infinity
  private asking = false
  /** It is being worked out who is admitted with what was granted. */
  private admitting = false
  private timer: { readonly at: number; readonly stop: () => void } | undefined
  private failures = 0
  private retryAt = -Infinity
  private lostWith: LimiterStoreError | undefined
  private alone = false
  /** So long it is not given back what was granted, since who waits needs of other shares too, which are granted at another time. */
  private heldUntil = -Infinity
  private closed = false
  private messages = 0
  private aheadAt = -Infinity
  private foreign: string | null = null
  private foreignAt = -Infinity
  /** Nobody is to be admitted until then, and the store may not know it yet. */
  private parkedUntil = -Infinity
  /** What was used in the last moments. */
  private readonly recent: Mutable = {}
  /** What the store knows to be owed. */
  private toldOwed: Amounts = {}
  private recentAt = 0

  constructor(quota: string, meters: ReadonlyArray<SharedMeter>, world: World) {
    this.quota = quota
    this.meters = meters
    this.world = world
    for (const meter of meters) meter.setShare(0)
  }

  add(sharer: Sharer): void {
    this.sharers.add(sharer)
  }

  /** Whether anybody may be admitted now. */
  mayAdmit(now: number): boolean {
    return this.alone || (now < this.fenceAt && (!this.yields(now) || this.admitting || now < this.heldUntil))
  }

  /** Why nobody is admitted, where that is to be told at once. */
  get lost(): LimiterStoreError | undefined {
    const { onLoss } = this.world
    // Who never had an answer does not know with how many it would share.
    return onLoss === "fail" || (onLoss === "share" && this.standing === undefined) ? this.lostWith : undefined
  }

  /** How many processes hold a share, and whether the store answers. */
  get state(): { readonly members: number; readonly reachable: boolean } {
    return { members: this.standing?.members.length ?? 1, reachable: this.failures === 0 }
  }

  /** How a meter stands for all processes; `undefined` where it is none of these, or nobody has said yet. */
  levelOf(
    meter: string,
    now: number
  ): { readonly limit: number; readonly used: number; readonly share: number } | undefined {
    const limit = this.standing?.limits[meter]
    const own = this.meters.find(({ name }) => name === meter)
    if (own === undefined || limit === undefined) return undefined
    const share = this.shareOf(own)
    const free = at(this.standing?.free ?? {}, meter) + Math.max(0, share - own.used(now))
    return { limit, used: limit - free, share }
  }

  /** So much was booked. */
  took(owner: Owner, tokens: number): void {
    const now = this.world.now()
    this.decay(now)
    for (const meter of this.meters) {
      this.recent[meter.name] = at(this.recent, meter.name) + meter.amountOf(owner, tokens)
    }
  }

  /** The pool is to be parked everywhere. */
  parks(millis: number): void {
    this.parkedUntil = this.world.now() + millis
    this.changed()
  }

  /** The server refused what should have fitted on a meter. */
  drawnOn(meter: string): void {
    if (!this.meters.some(({ name }) => name === meter)) return
    this.foreign = meter
    this.foreignAt = this.world.now()
    this.changed()
  }

  /** Something of what this was told, or will say, is another now. */
  changed(): void {
    // It is looked at again when the answer is here.
    if (this.asking || this.closed) return
    const now = this.world.now()
    if (this.timer !== undefined && this.timer.at <= this.soonest(now)) return
    this.schedule(now)
  }

  /** When a request would start, if what all have waiting before it came one after the other. */
  forecast(
    owner: Owner,
    ahead: { readonly requests: number; readonly tokens: number },
    tokens: number,
    now: number
  ): number {
    const { standing } = this
    if (standing === undefined) return now
    let wait = standing.opensInMillis - (now - this.heardAt)
    let own = 0
    for (const meter of this.meters) {
      const limit = standing.limits[meter.name] ?? meter.limit()
      const stays = meter.staysMillis()
      const needed = meter.amountOf({ requests: ahead.requests }, ahead.tokens) + meter.amountOf(owner, tokens)
      const before = standing.waiting.reduce(
        (sum, { all, priority }) => priority >= owner.priority ? sum + at(all, meter.name) : sum,
        0
      )
      const share = this.shareOf(meter)
      const spare = Math.max(0, share - meter.used(now))
      const over = before + needed - at(standing.free, meter.name) - spare
      if (over > 0 && stays > 0) wait = Math.max(wait, over / limit * stays)
      if (needed > spare) own = Math.max(own, share > 0 && stays > 0 ? (needed - spare) / share * stays : Infinity)
    }
    // While the store gives nothing, what leaves here is used here.
    return now + Math.max(0, now < this.closedUntil ? Math.min(wait, own) : wait)
  }

  /** What wakes it from outside. */
  woken(wake: Wake): void {
    if (this.closed || this.standing === undefined) return
    if (wake._tag === "Wanted") {
      if (wake.by === this.world.member) return
      this.wanted = true
    } else if (wake.epoch === this.standing.epoch && !this.alone) {
      this.listed = wake.listed
      this.pushed = true
      this.grant(wake.granted)
    }
    this.changed()
  }

  /** The last word, if there is one to say: what is charged stays, and the rest is free. */
  close(): Message | undefined {
    const now = this.world.now()
    this.closed = true
    this.timer?.stop()
    this.timer = undefined
    return this.standing === undefined || now >= this.fenceAt ? undefined : this.message(now, true)
  }

  /** Somebody waits here who needs of other shares as well. */
  private get needsOthers(): boolean {
    return [...this.sharers].some(({ hasSeveral, waiting }) => hasSeveral && waiting > 0)
  }

  /** What comes free here is for others. */
  private yields(now: number): boolean {
    return this.wanted && now >= this.closedUntil
  }

  private get waiting(): number {
    let sum = 0
    for (const { waiting } of this.sharers) sum += waiting
    return sum
  }

  private get highest(): number {
    let highest = -Infinity
    for (const sharer of this.sharers) highest = Math.max(highest, sharer.highest)
    return highest
  }

  /** What all may have of it together, as far as is known: of what others were told or learned, and what was learned here since. */
  private limitOf(meter: SharedMeter, standing: Standing | undefined): number {
    return Math.min(meter.limit(), standing?.limits[meter.name] ?? Infinity)
  }

  private shareOf({ name }: SharedMeter): number {
    return at(this.granted, name) - at(this.given, name)
  }

  /** What may still be used, and need not be kept for what grows. */
  private spareOf(meter: SharedMeter, now: number): number {
    const spare = this.shareOf(meter) - meter.used(now) - this.keptOf(meter, now)
    return spare > meter.told * trifle ? spare : 0
  }

  private keptOf(meter: SharedMeter, now: number): number {
    let kept = 0
    for (const sharer of this.sharers) kept += meter.kept(sharer.growth(now), now)
    return kept
  }

  private owedOf(meter: SharedMeter, now: number): number {
    const owed = meter.used(now) - this.shareOf(meter)
    return owed > meter.told * trifle ? owed : 0
  }

  private aheadOf({ name }: SharedMeter): number {
    return Math.ceil(at(this.recent, name))
  }

  private decay(now: number): void {
    const factor = Math.exp((this.recentAt - now) / aheadMillis)
    this.recentAt = now
    for (const { name } of this.meters) {
      const rest = at(this.recent, name) * factor
      this.recent[name] = rest < 0.5 ? 0 : rest
    }
  }

  private soonest(now: number): number {
    return Math.max(now, this.askedAt + this.world.beatMillis, this.failures > 0 ? this.retryAt : -Infinity)
  }

  /** When the store is to be asked next; `Infinity` for not at all, as things are. */
  private due(now: number): number {
    const { closedUntil, fenceAt, foreign, heardAt, listed, meters, parkedUntil, standing, told, untold, waiting } =
      this
    const wanted = this.yields(now)
    const soonest = this.soonest(now)
    const holds = meters.some((meter) => this.shareOf(meter) > 0 || meter.used(now) > 0)
    if (this.lostWith !== undefined) return soonest
    if (!holds && waiting === 0 && listed === 0) return foreign === null && parkedUntil <= now ? Infinity : soonest
    if (this.failures > 0 || standing === undefined || now >= fenceAt) return soonest
    if (foreign !== null || parkedUntil > now || (this.pushed && waiting > 0)) return soonest
    // The store lists too few of them, or too many, or not those who go first.
    const tellable = waiting - untold
    if (tellable > 2 * listed || 2 * tellable < listed || (waiting > 0 && this.highest > this.toldPriority)) {
      return soonest
    }
    if (untold > 0 && 2 * listed < told) return soonest
    let next = this.askedAt + this.world.leaseMillis / (waiting > 0 ? wordsPerLeaseWaiting : wordsPerLease)
    if (waiting > 0 && standing.againMillis !== null) next = Math.min(next, heardAt + standing.againMillis)
    for (const meter of meters) {
      const owed = this.owedOf(meter, now) - at(this.toldOwed, meter.name)
      if (owed > 0 || (wanted && owed < 0)) return soonest
      const spare = this.spareOf(meter, now)
      if (now < closedUntil) next = Math.min(next, closedUntil)
      else if (wanted || waiting > 0) {
        if (spare > 0) return soonest
        next = Math.min(next, meter.nextLeaving())
      } else if (2 * spare < at(this.recent, meter.name)) next = Math.min(next, this.aheadAt)
    }
    return Math.max(next, soonest)
  }

  private schedule(now: number): void {
    const due = this.due(now)
    if (this.timer !== undefined) {
      if (this.timer.at === due) return
      this.timer.stop()
      this.timer = undefined
    }
    if (due === Infinity) return
    const stop = this.world.after(Math.max(0, Math.ceil(due - now)), () => {
      this.timer = undefined
      this.ask()
    })
    this.timer = { at: due, stop }
  }

  private ask(): void {
    const now = this.world.now()
    if (this.closed || this.asking) return
    // It may have become needless while the timer ran.
    if (this.due(now) > now) return this.schedule(now)
    const message = this.message(now, false)
    this.asking = true
    this.pushed = false
    this.askedAt = now
    this.world.ask(this.quota, message, (answer) => {
      this.asking = false
      if (this.closed) return
      if ("epoch" in answer) this.heard(answer, message, now)
      else {
        // It may not know it: to be told twice of a refusal is better than not at all.
        this.foreign ??= message.foreign
        this.failed(answer)
      }
      this.schedule(this.world.now())
    })
  }

  private heard(standing: Standing, message: Message, askedAt: number): void {
    const now = this.world.now()
    // Other books take its word for what it holds, and it has given nothing back in those.
    if (standing.epoch !== this.standing?.epoch) {
      this.granted = {}
      this.given = {}
    }
    // What was not believed counts as given back.
    for (const { name } of this.meters) {
      this.given[name] = Math.max(at(this.given, name), at(standing.given, name))
    }
    this.standing = standing
    this.heardAt = now
    this.fenceAt = askedAt + this.world.leaseMillis
    this.wanted = standing.wanted
    this.closedUntil = now + standing.opensInMillis
    this.listed = standing.listed
    if (message.parkMillis > 0) this.parkedUntil = -Infinity
    this.failures = 0
    this.lostWith = undefined
    this.alone = false
    if (
      Object.entries(message.ahead).some(([meter, amount]) =>
        at(standing.granted, meter) < at(message.granted, meter) + amount
      )
    ) this.aheadAt = now + aheadAgainMillis
    for (const meter of this.meters) meter.setLimitOfAll(this.limitOf(meter, standing))
    if (standing.parkedMillis > 0) { for (const sharer of this.sharers) sharer.park(standing.parkedMillis) }
    this.grant(standing.granted)
  }

  private grant(granted: Amounts): void {
    const now = this.world.now()
    const before = { ...this.granted }
    for (const meter of this.meters) {
      // While others wait, what came free here since the store was last told goes by it as well.
      const aside = this.yields(now) ? this.spareOf(meter, now) : 0
      this.granted[meter.name] = Math.max(at(this.granted, meter.name), at(granted, meter.name))
      meter.setShare(this.shareOf(meter) - aside)
    }
    this.admit()
    for (const meter of this.meters) meter.setShare(this.shareOf(meter))
    const isMore = this.meters.some(({ name }) => at(this.granted, name) > at(before, name))
    if (isMore && this.needsOthers) {
      this.heldUntil = now + this.world.beatMillis * holdBeats
    }
  }

  private admit(): void {
    this.admitting = true
    for (const sharer of this.sharers) sharer.admit()
    this.admitting = false
  }

  private failed(error: LimiterStoreError): void {
    const now = this.world.now()
    this.retryAt = now + this.world.leaseMillis * Math.min(longestRetry, firstRetry * 2 ** this.failures)
    this.failures++
    if (now < this.fenceAt) return
    this.lostWith = error
    if (this.lost !== undefined) { for (const sharer of this.sharers) sharer.lose(error) }
    else if (this.world.onLoss === "share" && this.standing !== undefined) this.goOn(now, this.standing)
  }

  /** Each goes on with an equal part of the limit; with more than it held only when what others held beyond theirs has left. */
  private goOn(now: number, standing: Standing): void {
    this.alone = true
    for (const meter of this.meters) {
      const part = Math.floor(this.limitOf(meter, standing) / standing.members.length)
      const settled = now >= this.fenceAt + this.world.leaseMillis + meter.staysMillis()
      const share = settled ? part : Math.min(this.shareOf(meter), part)
      this.granted[meter.name] = share
      this.given[meter.name] = 0
      meter.setShare(share)
    }
    this.admit()
  }

  /** What the store is told now. What is given back with it may not be used from here on. */
  private message(now: number, all: boolean): Message {
    const { alone, meters, standing, waiting, world } = this
    const wanted = this.yields(now)
    // A store that does not answer gives to nobody what is given back: it would be idle. Who goes on alone says that it holds what it does.
    const keeps = alone || (this.failures > 0 && (now < this.fenceAt || world.onLoss === "share"))
    const rest: Mutable = {}
    const owed: Mutable = {}
    const ahead: Mutable = {}
    const isHeld = !all && now < Math.max(this.heldUntil, this.closedUntil) && now < this.fenceAt
    this.decay(now)
    for (const meter of meters) {
      const { name } = meter
      const used = meter.used(now)
      const spare = this.spareOf(meter, now)
      const wish = this.aheadOf(meter)
      // After the end of its lease it may use what it was charged for, and no more.
      // With who waits here it comes back, as much of it as all that they need together allows.
      const give = isHeld || (!all && keeps)
        ? 0
        : all || wanted || waiting > 0 || now >= this.fenceAt
        ? spare
        : Math.max(0, spare - 2 * wish)
      this.given[name] = at(this.given, name) + give
      const share = this.shareOf(meter)
      meter.setShare(share)
      owed[name] = this.owedOf(meter, now)
      rest[name] = Math.max(0, share - used)
      ahead[name] = all || wanted ? 0 : Math.max(0, wish - (spare - give))
    }
    const lines = all ? [] : this.lines(now, rest)
    this.toldPriority = lines.reduce((most, { priority }) => Math.max(most, priority), -Infinity)
    this.told = lines.reduce((sum, { count }) => sum + count, 0)
    this.untold = all ? 0 : waiting - this.told
    const parkMillis = Math.max(0, this.parkedUntil - now)
    const drawn = meters.find(({ name }) => name === this.foreign)
    // What was drawn longer ago has left.
    const foreign = drawn !== undefined && now - this.foreignAt < drawn.staysMillis() ? drawn.name : null
    this.foreign = null
    this.toldOwed = owed
    const busy = waiting > 0 || meters.some((meter) => meter.used(now) > 0)
    return {
      member: world.member,
      leaseMillis: world.leaseMillis,
      ageingMillis: world.ageingMillis,
      // What one learned and does not use any more holds up nobody.
      meters: Object.fromEntries(meters.map((meter) => [meter.name, {
        limit: busy ? meter.limit() : meter.told,
        staysMillis: Math.ceil(meter.staysMillis())
      }])),
      epoch: standing?.epoch ?? null,
      anew: alone,
      version: standing?.version ?? 0,
      // Later books have a name that begins with a higher number: if these are lost and older ones come back, that tells them apart.
      fresh: `${1 + (Number.parseInt(standing?.epoch ?? "", 10) || 0)}:${world.member}:${++this.messages}`,
      number: this.messages,
      knows: standing?.members.filter((name) => name !== world.member) ?? [],
      remains: Object.fromEntries(
        Object.entries(standing?.remains ?? {}).flatMap(([meter, { amount, inMillis }]) => {
          const left = Math.ceil(inMillis - (now - this.heardAt))
          return left > 0 ? [[meter, { amount, inMillis: left }]] : []
        })
      ),
      granted: { ...this.granted },
      given: { ...this.given },
      owed,
      // Who may be given something to hold for a moment uses meanwhile what leaves.
      yields: wanted && !alone && !isHeld && !this.needsOthers,
      leaving: Object.fromEntries(
        meters.map((meter) => [meter.name, coarse(meter.leaving(now), this.keptOf(meter, now))])
      ),
      lines,
      ahead,
      foreign,
      parkMillis: Math.ceil(parkMillis)
    }
  }

  private lines(now: number, rest: Amounts): ReadonlyArray<Line> {
    const queues = [...this.sharers].flatMap((sharer) => sharer.queues(now))
    const perPriority = this.world.ageingMillis ?? Infinity
    const rank = ({ priority, sinceMillis }: Queue) => sinceMillis / perPriority + priority
    return queues.toSorted((a, b) => rank(b) - rank(a)).slice(0, mostLines).map((queue) => {
      const { booking, count, first, priority, requests, sinceMillis, tenant, tokens, weight } = queue
      const head: Mutable = {}
      const all: Mutable = {}
      for (const meter of this.meters) {
        const { name } = meter
        // More than there is nobody gets, and who waits for it would hold up all.
        const most = this.limitOf(meter, this.standing)
        const needed = Math.min(most, meter.amountOf(first, booking.tokens) + meter.kept(booking.growth, now))
        // What is left here already is for the next of them, and the store does not know which that is.
        head[name] = Math.max(0, needed - at(rest, name))
        const sum = meter.amountOf({ requests, units: first.units }, tokens)
        all[name] = meter.unit === "requests" || meter.unit === "tokens"
          ? sum
          : meter.amountOf(first, first.tokens) * count
      }
      // No number that JSON does not know.
      const bounded = Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, priority))
      return { priority: bounded, tenant, weight, sinceMillis: Math.ceil(sinceMillis), count, head, all }
    })
  }
}

/** So many parts of a window the store is told at most. */
const mostParts = 128

/** The same in fewer parts, each at the end of the last that it is made of. What is kept for growth is taken out, from those that leave first. */
const coarse = (
  leaving: ReadonlyArray<readonly [inMillis: number, amount: number]>,
  kept: number
): ReadonlyArray<readonly [inMillis: number, amount: number]> => {
  const size = Math.max(1, Math.ceil(leaving.length / mostParts))
  const parts: Array<readonly [number, number]> = []
  let sum = -kept
  for (const [index, [inMillis, amount]] of leaving.entries()) {
    sum += amount
    if ((index + 1) % size !== 0 && index + 1 !== leaving.length) continue
    if (sum <= 0) continue
    parts.push([Math.ceil(inMillis), sum])
    sum = 0
  }
  return parts
}
