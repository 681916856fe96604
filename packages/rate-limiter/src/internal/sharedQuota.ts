// One quota that several processes share: who holds how much of it, who waits, and what the dead may have been charged. A plain
// document and the one step that changes it, so that any store can keep it that does one step at a time. The script for Redis is the same in
// Lua, and one suite of tests holds both.
import type { Amounts, Message, Standing } from "../LimiterStore.ts"
import { allot, type Turns, type Waiting } from "./allot.ts"

/** What a process holds, and what becomes of it if the process dies. */
interface Member {
  /** Of the messages that it sent, the last that was heard. */
  readonly number: number
  readonly leaseMillis: number
  /** When its lease ends. */
  expires: number
  readonly meters: Message["meters"]
  granted: Record<string, number>
  given: Amounts
  /** What it was charged beyond its share. */
  readonly owed: Amounts
  /** It uses nothing again of what leaves: it knows that others wait. */
  yields: boolean
  /** What of its share was sent, by when it leaves: the end of a part of the window, on the store's clock. */
  readonly leaving: Readonly<Record<string, ReadonlyArray<readonly [at: number, amount: number]>>>
}

/** What somebody may have been charged who is not there any more: it counts until it leaves. */
interface Remains {
  readonly member: string
  /** Of the messages that it sent, the last that was heard. */
  readonly number: number
  readonly meter: string
  readonly at: number
  readonly amount: number
}

/** The books. All of it is JSON. */
export interface SharedQuota {
  readonly epoch: string
  /** How many steps there were. */
  version: number
  /** The store's clock at the last step: it never runs backwards. Where it was set back, or is another machine's, it goes on from where it was. */
  time: number
  skew: number
  readonly begunAt: number
  /** Nothing is granted before. */
  opensAt: number
  /** Books before these were lost. */
  lost: boolean
  /** The books were lost, and these have not said yet what they hold. */
  expected: Array<string>
  parkedUntil: number
  members: Record<string, Member>
  waiting: Record<string, Array<Waiting>>
  /** Who was given something by what others said, and when: it has not been heard since. */
  pushed: Record<string, number>
  remains: Array<Remains>
  turns: Turns
  ageingMillis: number | null
}

/** What a step makes of the books, and for whom there is something to know. */
export interface Outcome {
  readonly quota: SharedQuota
  readonly granted: ReadonlyArray<{ readonly member: string; readonly granted: Amounts; readonly listed: number }>
  /** Somebody waits for what others may give back, and nobody did before. */
  readonly wanted: boolean
}

/** And what is answered. */
export interface Step extends Outcome {
  readonly standing: Standing
}

/** New books open after this part of a lease: by then, whoever holds a share from lost ones has said so. */
const opensAfterLeases = 0.375

/** Nobody was heard of for so long, in leases: it was the store that was away, and whoever was alive then still may be. */
const awayFromLeases = 0.5
const awayToLeases = 3

/** In so many parts does it leave that a refusal was about: as often is the server asked again within a window. */
const foreignParts = 12

/** Who waits says something twice as often. One that does not, for this part of a lease, may be dead: what is free goes to others for now. */
const silentAfterLeases = 0.25

/**
 * Who was given something by what others said comes for more within a beat, and so long its turn is kept. It is given no more before: had it died,
 * what it was given would be lost to all for a window.
 */
const comesWithinLeases = 1 / 32

const valueOf = (amounts: Amounts, meter: string): number => amounts[meter] ?? 0

const shareOf = ({ given, granted }: Pick<Member, "given" | "granted">, meter: string): number =>
  valueOf(granted, meter) - valueOf(given, meter)

const longestOf = ({ meters }: Message): number =>
  Math.max(0, ...Object.values(meters).map(({ staysMillis }) => staysMillis))

/** Of a longer window, what only lost books knew of the dead is too little to keep a quota closed for. */
const longestClosedMillis = 600_000

/** For so long may charges count of which only books that were lost knew. */
export const closedOf = ({ meters }: Pick<Message, "meters">): number =>
  Object.values(meters).reduce(
    (closed, { staysMillis }) => staysMillis <= longestClosedMillis ? Math.max(closed, staysMillis) : closed,
    0
  )

/** What it holds of a meter. */
const heldBy = (member: Member, meter: string): number => shareOf(member, meter) + valueOf(member.owed, meter)

/** The books, made anew: everybody has to say what it holds. */
const begin = (message: Message, now: number, before: SharedQuota | undefined): SharedQuota => {
  const longest = longestOf(message)
  return {
    epoch: message.fresh,
    version: 0,
    time: now,
    skew: before?.skew ?? 0,
    begunAt: now,
    opensAt: now + message.leaseMillis * opensAfterLeases,
    lost: false,
    expected: [],
    parkedUntil: before?.parkedUntil ?? 0,
    members: {},
    waiting: {},
    pushed: {},
    // Nobody knows how far the clock of those was.
    remains: (before?.remains ?? []).map((one) => ({ ...one, at: Math.max(one.at, now + longest) })),
    turns: {},
    ageingMillis: message.ageingMillis
  }
}

/** Somebody knows of books before these: nothing is granted for as long as anything in those may count, or until all whom it knows have come. */
const lose = (quota: SharedQuota, message: Message, others: ReadonlyArray<string>): void => {
  // Who cannot reach these goes on with what it holds until its lease is over.
  const closesAt = quota.begunAt + message.leaseMillis + closedOf(message)
  if (quota.time >= closesAt) return
  quota.opensAt = closesAt
  quota.lost = true
  const expected = new Set([...quota.expected, ...message.knows, ...others])
  for (const name of [message.member, ...Object.keys(quota.members)]) expected.delete(name)
  quota.expected = [...expected]
  for (const [meter, { amount, inMillis }] of Object.entries(message.remains)) {
    const known = quota.remains.reduce((sum, one) => one.meter === meter ? sum + one.amount : sum, 0)
    if (amount > known) {
      quota.remains.push({ member: "", number: 0, meter, at: quota.time + inMillis, amount: amount - known })
    }
  }
}

/** Those who held a share hold it no longer, from a time on. What they may have been charged stays until it leaves. */
const bury = (quota: SharedQuota, name: string, from: number): void => {
  const member = quota.members[name]
  if (member === undefined) return
  delete quota.members[name]
  delete quota.waiting[name]
  delete quota.pushed[name]
  for (const [meter, { staysMillis }] of Object.entries(member.meters)) {
    if (staysMillis === 0) continue
    let rest = heldBy(member, meter)
    for (const [at, amount] of member.leaving[meter] ?? []) {
      const part = Math.min(rest, amount)
      // What had left by then may have been used once more, unless it was for others.
      if (part <= 0 || (at <= from && !member.yields)) continue
      rest -= part
      if (at <= from) continue
      quota.remains.push({ member: name, number: member.number, meter, at, amount: part })
    }
    if (rest > 0) {
      quota.remains.push({ member: name, number: member.number, meter, at: from + staysMillis, amount: rest })
    }
  }
}

/** Where they don't agree, the smallest holds: it is what somebody has learned, or what is meant from now on. */
const limitsOf = ({ members }: SharedQuota): Record<string, number> => {
  const limits: Record<string, number> = {}
  for (const { meters } of Object.values(members)) {
    for (const [meter, { limit }] of Object.entries(meters)) limits[meter] = Math.min(limits[meter] ?? Infinity, limit)
  }
  return limits
}

const freeOf = ({ members, remains }: SharedQuota, limits: Amounts): Record<string, number> => {
  const free = { ...limits }
  for (const meter of Object.keys(free)) {
    for (const member of Object.values(members)) free[meter] = valueOf(free, meter) - heldBy(member, meter)
  }
  for (const { amount, meter } of remains) {
    if (meter in free) free[meter] = valueOf(free, meter) - amount
  }
  return free
}

const grant = (member: Member, amounts: Amounts, free: Record<string, number>): void => {
  for (const [meter, amount] of Object.entries(amounts)) {
    member.granted[meter] = valueOf(member.granted, meter) + amount
    free[meter] = valueOf(free, meter) - amount
  }
}

/** Of each meter, the larger. */
const larger = (one: Amounts, other: Amounts): Amounts =>
  Object.fromEntries(
    [...Object.keys(one), ...Object.keys(other)].map((
      meter
    ) => [meter, Math.max(valueOf(one, meter), valueOf(other, meter))])
  )

/** Lets go of what is over by now. */
const advance = (quota: SharedQuota, now: number): void => {
  const away = now - quota.time
  const members = Object.values(quota.members)
  const alive = members.filter(({ expires }) => expires > quota.time)
  const longest = Math.max(0, ...alive.map(({ leaseMillis }) => leaseMillis))
  // Who holds something says so more often.
  const held = members.some((member) => Object.keys(member.granted).some((meter) => heldBy(member, meter) > 0))
  if (away > awayFromLeases * longest && alive.length > 0 && held) {
    // They may have gone on by themselves: they say first what they hold.
    quota.opensAt = Math.max(quota.opensAt, now + longest * opensAfterLeases)
    for (const member of alive) {
      if (away < awayToLeases * longest) member.expires = Math.max(member.expires, now + member.leaseMillis)
    }
  }
  quota.time = now
  for (const [name, { expires }] of Object.entries(quota.members)) {
    if (expires <= quota.time) bury(quota, name, expires)
  }
  quota.remains = quota.remains.filter(({ at }) => at > quota.time)
}

/**
 * Whoever these books don't know says what it holds. They believe it, but for one that they buried: while it was away others may have got what
 * it takes for its own. Where they are the books that it knew its counters go on, since it may have to say the same again.
 */
const join = (quota: SharedQuota, message: Message): Member => {
  const { anew, epoch, granted, given, leaseMillis, member: name, meters } = message
  const known = epoch === quota.epoch
  if (epoch !== null && !known) lose(quota, message, [])
  const held = Object.keys(meters).map((meter) => {
    const most = known && !anew
      ? quota.remains.reduce((sum, one) => one.member === name && one.meter === meter ? sum + one.amount : sum, 0)
      : Infinity
    return [meter, Math.min(most, Math.max(0, shareOf({ granted, given }, meter)))] as const
  })
  quota.remains = quota.remains.filter(({ member }) => member !== name)
  quota.expected = quota.expected.filter((other) => other !== name)
  const before = (meter: string) => known ? Math.max(valueOf(granted, meter), valueOf(given, meter)) : 0
  const member: Member = {
    number: message.number,
    leaseMillis,
    expires: quota.time + leaseMillis,
    meters,
    granted: Object.fromEntries(held.map(([meter, amount]) => [meter, known ? before(meter) : amount])),
    given: Object.fromEntries(held.map(([meter, amount]) => [meter, known ? before(meter) - amount : 0])),
    owed: {},
    yields: false,
    leaving: {}
  }
  quota.members[name] = member
  return member
}

/** How many books there were before these, as far as whoever began them knew: what a name begins with. */
const generationOf = (epoch: string): number => Number.parseInt(epoch, 10) || 0

/** Whether the member knows more than these books do: they are older than some that it has seen. */
const isRolledBack = (quota: SharedQuota, { anew, epoch, granted, member, version }: Message): boolean => {
  if (epoch === null) return false
  if (epoch !== quota.epoch) return generationOf(epoch) > generationOf(quota.epoch)
  const known = quota.members[member]?.granted ?? granted
  return version > quota.version ||
    (!anew && Object.entries(granted).some(([meter, amount]) => amount > valueOf(known, meter)))
}

const leavingAt = ({ leaving }: Message, now: number): Member["leaving"] =>
  Object.fromEntries(
    Object.entries(leaving).map((
      [meter, parts]
    ) => [meter, parts.map(([inMillis, amount]) => [now + inMillis, amount])])
  )

const timeOf = (quota: SharedQuota, now: number): number => {
  quota.skew = Math.max(quota.skew, quota.time - now)
  return now + quota.skew
}

const booksFor = (known: SharedQuota | undefined, message: Message, now: number): SharedQuota => {
  if (known === undefined) return begin(message, now, undefined)
  if (!isRolledBack(known, message)) return known
  const anew = begin(message, timeOf(known, now), known)
  lose(anew, message, Object.keys(known.members))
  return anew
}

const listedOf = ({ waiting }: SharedQuota, name: string): number =>
  (waiting[name] ?? []).reduce((sum, { count }) => sum + count, 0)

const told = (quota: SharedQuota, name: string): Step["granted"][number] => ({
  member: name,
  granted: { ...quota.members[name]?.granted },
  listed: listedOf(quota, name)
})

/** The books as they are now. */
const open = (known: SharedQuota | undefined, message: Message, now: number): SharedQuota => {
  const quota = booksFor(known, message, now)
  advance(quota, timeOf(quota, now))
  return quota
}

/** It was heard before, or another that was sent later; or its member is gone since. */
const isLate = ({ members, remains }: SharedQuota, { member, number }: Message): boolean => {
  const own = members[member]
  return own === undefined ? remains.some((one) => one.member === member && number <= one.number) : number <= own.number
}

/** What a member says is written down: all but who gets what. */
const hear = (quota: SharedQuota, message: Message) => {
  const { leaseMillis, member: name, meters } = message
  const { time } = quota
  const own = message.epoch === quota.epoch && !message.anew ? quota.members[name] : undefined
  const waitedBefore = name in quota.waiting
  const member: Member = {
    ...(own ?? join(quota, message)),
    number: message.number,
    leaseMillis,
    expires: time + leaseMillis,
    meters,
    // Where the store took something for lost to it, the member may not know it yet.
    ...(own === undefined ? {} : { given: larger(own.given, message.given) }),
    owed: message.owed,
    yields: false,
    leaving: leavingAt(message, time)
  }
  quota.members[name] = member
  delete quota.pushed[name]
  quota.version++
  quota.ageingMillis = message.ageingMillis
  if (message.parkMillis > 0) quota.parkedUntil = Math.max(quota.parkedUntil, time + message.parkMillis)
  if (quota.lost && quota.expected.length === 0) {
    quota.lost = false
    quota.opensAt = Math.min(quota.opensAt, Math.max(time, quota.begunAt + leaseMillis * opensAfterLeases))
  } else if (time >= quota.opensAt) {
    quota.lost = false
    quota.expected = []
  }
  const limits = limitsOf(quota)
  const free = freeOf(quota, limits)
  if (message.foreign !== null) fill(quota, message.foreign, message, free)
  quota.waiting[name] = message.lines.map(({ sinceMillis, ...line }) => ({ ...line, since: time - sinceMillis }))
  if (message.lines.length === 0) delete quota.waiting[name]
  return { member, joined: own === undefined, waitedBefore, limits, free }
}

const isOpen = ({ opensAt, parkedUntil, time }: SharedQuota): boolean => time >= opensAt && time >= parkedUntil

/** Gives what is free to those who wait, and names them. */
const share = (
  quota: SharedQuota,
  free: Record<string, number>,
  limits: Amounts,
  { member: speaker }: Message
): ReadonlySet<string> => {
  if (!isOpen(quota)) return new Set()
  const { ageingMillis, members, pushed, time, turns } = quota
  const lines = Object.entries(quota.waiting)
  const waiting = Object.fromEntries(lines.filter(([name]) => {
    const member = members[name]
    if (member === undefined) return false
    const { expires, leaseMillis } = member
    return expires >= time + leaseMillis * (1 - silentAfterLeases) &&
      (pushed[name] ?? time) >= time - leaseMillis * comesWithinLeases
  }))
  const silent = lines.filter(([name]) => !(name in waiting))
  const isAwaited = (name: string) => name in pushed
  const served = allot({ ageingMillis, time, turns, waiting, isAwaited }, free, limits, (name, amounts) => {
    const member = members[name]
    if (member === undefined) return
    grant(member, amounts, free)
    if (name !== speaker) pushed[name] = time
  })
  quota.waiting = { ...Object.fromEntries(silent), ...waiting }
  return served
}

const standingOf = (
  quota: SharedQuota,
  name: string,
  { free, joined, limits }: { readonly free: Amounts; readonly joined: boolean; readonly limits: Amounts }
): Standing => {
  const { time } = quota
  const others = Object.keys(quota.members).filter((other) => other !== name)
  return {
    epoch: quota.epoch,
    version: quota.version,
    granted: { ...quota.members[name]?.granted },
    given: { ...quota.members[name]?.given },
    joined,
    members: [...others, name],
    // Where it was not listened to, what it was answered before holds.
    wanted: quota.members[name]?.yields === true || others.some((other) => other in quota.waiting),
    listed: listedOf(quota, name),
    free,
    limits,
    waiting: waitingOf(quota, others),
    remains: remainsOf(quota),
    opensInMillis: Math.max(0, quota.opensAt - time),
    parkedMillis: Math.max(0, quota.parkedUntil - time),
    againMillis: againOf(quota, others)
  }
}

/** One step: what a member says, and what it and others have of it. */
export const exchange = (known: SharedQuota | undefined, message: Message, now: number): Step => {
  const quota = open(known, message, now)
  const name = message.member
  if (isLate(quota, message)) {
    const limits = limitsOf(quota)
    const standing = standingOf(quota, name, {
      joined: message.epoch !== quota.epoch,
      limits,
      free: freeOf(quota, limits)
    })
    return { quota, standing, granted: [], wanted: false }
  }
  const { free, joined, limits, member, waitedBefore } = hear(quota, message)
  const served = share(quota, free, limits, message)
  // While nothing is given to anybody it is told so, and uses again what leaves.
  member.yields = message.yields && quota.time >= quota.opensAt &&
    Object.keys(quota.waiting).some((other) => other !== name)
  // Nobody waits: what one may need next it may hold, as long as there is as much for each.
  if (isOpen(quota) && Object.keys(quota.waiting).length === 0) {
    const most = (meter: string) => valueOf(free, meter) / (2 * Object.keys(quota.members).length)
    const ahead = Object.entries(message.ahead).map(([meter, amount]) =>
      [meter, Math.max(0, Math.floor(Math.min(amount, most(meter))))] as const
    )
    grant(member, Object.fromEntries(ahead), free)
  }
  return {
    quota,
    standing: standingOf(quota, name, { joined, limits, free }),
    granted: [...served].filter((other) => other !== name).map((other) => told(quota, other)),
    wanted: name in quota.waiting && !waitedBefore
  }
}

/** A member goes, and tells what it was charged. What it holds beyond that is free at once. */
export const leave = (known: SharedQuota | undefined, message: Message, now: number): Outcome | undefined => {
  if (known === undefined || message.epoch !== known.epoch || !(message.member in known.members)) return undefined
  const quota = open(known, message, now)
  if (isLate(quota, message)) return { quota, granted: [], wanted: false }
  hear(quota, { ...message, lines: [] })
  bury(quota, message.member, quota.time)
  const limits = limitsOf(quota)
  const served = share(quota, freeOf(quota, limits), limits, message)
  return { quota, granted: [...served].map((name) => told(quota, name)), wanted: false }
}

/** Somebody else draws on it, and nobody knows since when: what is free is taken to leave evenly. */
const fill = (quota: SharedQuota, meter: string, { meters }: Message, free: Record<string, number>): void => {
  const missing = Math.floor(valueOf(free, meter)) + 1
  const staysMillis = meters[meter]?.staysMillis ?? 0
  if (missing <= 1 || staysMillis === 0) return
  // Whole parts, so that sums stay exact.
  const until = (part: number) => Math.floor(missing * part / foreignParts)
  for (let part = 1; part <= foreignParts; part++) {
    const amount = until(part) - until(part - 1)
    if (amount > 0) {
      quota.remains.push({ member: "", number: 0, meter, at: quota.time + staysMillis * part / foreignParts, amount })
    }
  }
  free[meter] = valueOf(free, meter) - missing
}

const remainsOf = ({ remains, time }: SharedQuota): Standing["remains"] => {
  const sums: Record<string, { amount: number; inMillis: number }> = {}
  for (const { amount, at, meter } of remains) {
    const known = sums[meter] ?? { amount: 0, inMillis: 0 }
    sums[meter] = { amount: known.amount + amount, inMillis: Math.max(known.inMillis, at - time) }
  }
  return sums
}

/** What these have waiting, by class, the highest first. */
const waitingOf = ({ waiting }: SharedQuota, names: ReadonlyArray<string>): Standing["waiting"] => {
  const classes = new Map<number, Record<string, number>>()
  for (const { all, priority } of names.flatMap((name) => waiting[name] ?? [])) {
    const sums = classes.get(priority) ?? {}
    for (const [meter, amount] of Object.entries(all)) sums[meter] = valueOf(sums, meter) + amount
    classes.set(priority, sums)
  }
  return [...classes].toSorted(([a], [b]) => b - a).map(([priority, all]) => ({ priority, all }))
}

const againOf = (quota: SharedQuota, others: ReadonlyArray<string>): number | null => {
  const { opensAt, parkedUntil, remains, time } = quota
  const times = [
    opensAt,
    parkedUntil,
    ...remains.map(({ at }) => at),
    ...others.map((other) => quota.members[other]?.expires ?? 0)
  ]
  const next = Math.min(...times.filter((at) => at > time))
  return next === Infinity ? null : Math.ceil(next - time)
}
