// One quota that several processes share: who holds how much of it, who waits, and what the dead may have been charged. A plain
// document and the one step that changes it, so that any store can keep it that does one step at a time. The script for Redis is the same in
// Lua, and one suite of tests holds both.
import type { Amounts, Message, Standing } from "../LimiterStore.ts"

/** What a process holds, and what becomes of it if the process dies. */
interface Member {
  /** When its lease ends. */
  expires: number
  readonly meters: Message["meters"]
  granted: Record<string, number>
  given: Amounts
  /** What it was charged beyond its share. */
  readonly owed: Amounts
  /** What of its share was sent, by when it leaves: the end of a part of the window, on the store's clock. */
  readonly leaving: Readonly<Record<string, ReadonlyArray<readonly [at: number, amount: number]>>>
}

/** A line as the store keeps it: since when its class has not been served, on the store's clock. */
interface Waiting {
  readonly priority: number
  readonly tenant: string
  readonly weight: number
  since: number
  count: number
  /** What the next of them needs. */
  head: Amounts
  all: Amounts
}

/** What somebody may have been charged who is not there any more: it counts until it leaves. */
interface Remains {
  readonly member: string
  readonly meter: string
  readonly at: number
  readonly amount: number
}

/** The books. All of it is JSON. */
export interface SharedQuota {
  readonly epoch: string
  /** How many steps there were. */
  version: number
  /** The store's clock at the last step: it never runs backwards. */
  time: number
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
  remains: Array<Remains>
  /** What each class, tenant and member has had of the quota, in turns: see `allot`. */
  turns: Record<string, number>
  ageingMillis: number | null
}

/** A step's outcome: for whoever asked, and for whom else there is something to know. */
export interface Step {
  readonly quota: SharedQuota
  readonly standing: Standing
  readonly granted: ReadonlyArray<{ readonly member: string; readonly granted: Amounts; readonly listed: number }>
  /** Somebody waits for what others may give back, and nobody did before. */
  readonly wanted: boolean
}

/** New books open after this part of a lease: by then, whoever holds a share from lost ones has said so. */
const opensAfterLeases = 0.375

/** Nobody was heard of for so long, in leases: it was the store that was away, and whoever was alive then still may be. */
const awayFromLeases = 0.5
const awayToLeases = 3

/** So many turns are remembered, of all classes, tenants and members. */
const mostTurns = 512

/** In so many parts does it leave that a refusal was about: as often is the server asked again within a window. */
const foreignParts = 12

const valueOf = (amounts: Amounts, meter: string): number => amounts[meter] ?? 0

const shareOf = ({ given, granted }: Pick<Member, "given" | "granted">, meter: string): number =>
  valueOf(granted, meter) - valueOf(given, meter)

const longestOf = ({ meters }: Message): number =>
  Math.max(0, ...Object.values(meters).map(({ staysMillis }) => staysMillis))

/** What it holds of a meter. */
const heldBy = (member: Member, meter: string): number => shareOf(member, meter) + valueOf(member.owed, meter)

/** The books, made anew: everybody has to say what it holds. */
const begin = (message: Message, now: number, before: SharedQuota | undefined): SharedQuota => {
  const longest = longestOf(message)
  return {
    epoch: message.fresh,
    version: 0,
    time: now,
    begunAt: now,
    opensAt: now + message.leaseMillis * opensAfterLeases,
    lost: false,
    expected: [],
    parkedUntil: before?.parkedUntil ?? 0,
    members: {},
    waiting: {},
    // Nobody knows how far the clock of those was.
    remains: (before?.remains ?? []).map((one) => ({ ...one, at: Math.max(one.at, now + longest) })),
    turns: {},
    ageingMillis: message.ageingMillis
  }
}

/** Somebody knows of books before these: nothing is granted for as long as anything in those may count, or until all whom it knows have come. */
const lose = (quota: SharedQuota, message: Message, others: ReadonlyArray<string>): void => {
  const closesAt = quota.begunAt + longestOf(message)
  if (quota.time >= closesAt) return
  quota.opensAt = closesAt
  quota.lost = true
  const expected = new Set([...quota.expected, ...message.knows, ...others])
  for (const name of [message.member, ...Object.keys(quota.members)]) expected.delete(name)
  quota.expected = [...expected]
  for (const [meter, { amount, inMillis }] of Object.entries(message.remains)) {
    const known = quota.remains.reduce((sum, one) => one.meter === meter ? sum + one.amount : sum, 0)
    if (amount > known) {
      quota.remains.push({ member: "", meter, at: quota.time + inMillis, amount: amount - known })
    }
  }
}

/** Those who held a share hold it no longer, from a time on. What they may have been charged stays until it leaves. */
const bury = (quota: SharedQuota, name: string, from: number): void => {
  const member = quota.members[name]
  if (member === undefined) return
  delete quota.members[name]
  delete quota.waiting[name]
  for (const [meter, { staysMillis }] of Object.entries(member.meters)) {
    if (staysMillis === 0) continue
    let rest = heldBy(member, meter)
    for (const [at, amount] of member.leaving[meter] ?? []) {
      const part = Math.min(rest, amount)
      // What had left by then may have been used once more.
      if (at <= from || part <= 0) continue
      rest -= part
      quota.remains.push({ member: name, meter, at, amount: part })
    }
    if (rest > 0) quota.remains.push({ member: name, meter, at: from + staysMillis, amount: rest })
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

const times = (amounts: Amounts, factor: number): Amounts =>
  Object.fromEntries(Object.entries(amounts).map(([meter, amount]) => [meter, amount * factor]))

/** How often it fits. */
const timesIn = (free: Amounts, amounts: Amounts): number =>
  Object.entries(amounts).reduce(
    (least, [meter, amount]) => amount > 0 ? Math.min(least, Math.floor(valueOf(free, meter) / amount)) : least,
    Infinity
  )

/** Which part of the quota it takes, on the meter that is the scarcest for it. */
const sizeOf = (amounts: Amounts, limits: Amounts): number =>
  Object.entries(amounts).reduce(
    (most, [meter, amount]) => amount > 0 ? Math.max(most, amount / Math.max(1, valueOf(limits, meter))) : most,
    0
  )

/**
 * Gives what is free to those who wait, in order: by class, with ageing; then to the tenant, and of its members to the one, that had the least of
 * it (start-time fair queueing, as within a process). Where the next does not fit, nobody else is served: it is saved up for it.
 */
const allot = (quota: SharedQuota, free: Record<string, number>, limits: Amounts): ReadonlySet<string> => {
  const served = new Set<string>()
  const { ageingMillis, members, time, turns, waiting } = quota
  const lines = Object.entries(waiting).flatMap(([name, lines]) =>
    lines.map((line) => ({
      line,
      name,
      ofClass: `${line.priority}`,
      ofTenant: JSON.stringify([line.priority, line.tenant]),
      ofMember: JSON.stringify([line.priority, line.tenant, name])
    }))
  )
  type Candidate = (typeof lines)[number]
  const rank = ({ line }: Candidate) => (ageingMillis === null ? 0 : line.since / ageingMillis) - line.priority
  const turn = (key: string, least: string) => Math.max(turns[key] ?? 0, turns[least] ?? 0)
  const tenantTurn = ({ ofClass, ofTenant }: Candidate) => turn(ofTenant, ofClass)
  const memberTurn = ({ ofMember, ofTenant }: Candidate) => turn(ofMember, `${ofTenant}+`)
  while (lines.length > 0) {
    const next = lines.reduce((first, one) =>
      (rank(one) - rank(first) || tenantTurn(one) - tenantTurn(first) || memberTurn(one) - memberTurn(first)) < 0
        ? one
        : first
    )
    const { line, name, ofClass, ofMember, ofTenant } = next
    const member = members[name]
    if (member === undefined || timesIn(free, line.head) < 1) break
    grant(member, line.head, free)
    const mean = times(line.all, 1 / line.count)
    // Several at once where there is room for many: the more lines, the finer.
    const more = Math.min(line.count - 1, Math.max(0, Math.floor(timesIn(free, mean) / (4 * lines.length))))
    if (more > 0) grant(member, times(mean, more), free)
    served.add(name)
    const size = sizeOf(mean, limits) * (1 + more)
    turns[ofClass] = tenantTurn(next)
    turns[ofTenant] = tenantTurn(next) + size / line.weight
    turns[`${ofTenant}+`] = memberTurn(next)
    turns[ofMember] = memberTurn(next) + size
    line.count -= 1 + more
    line.all = times(mean, line.count)
    line.head = mean
    // Its class had its turn.
    for (const other of lines) if (other.line.priority === line.priority) other.line.since = time
    if (line.count === 0) lines.splice(lines.indexOf(next), 1)
  }
  for (const [name, own] of Object.entries(waiting)) {
    const left = own.filter(({ count }) => count > 0)
    if (left.length === 0) delete waiting[name]
    else waiting[name] = left
  }
  const kept = Object.entries(turns)
  if (kept.length > mostTurns) {
    quota.turns = Object.fromEntries(kept.toSorted(([, a], [, b]) => b - a).slice(0, mostTurns / 2))
  }
  return served
}

/** Lets go of what is over by now. */
const advance = (quota: SharedQuota, now: number, leaseMillis: number): void => {
  const away = now - quota.time
  const alive = Object.values(quota.members).filter(({ expires }) => expires > quota.time)
  if (away > awayFromLeases * leaseMillis && alive.length > 0) {
    // They may have gone on by themselves: they say first what they hold.
    quota.opensAt = Math.max(quota.opensAt, now + leaseMillis * opensAfterLeases)
    for (const member of alive) {
      if (away < awayToLeases * leaseMillis) member.expires = Math.max(member.expires, now + leaseMillis)
    }
  }
  quota.time = Math.max(quota.time, now)
  for (const [name, { expires }] of Object.entries(quota.members)) {
    if (expires <= quota.time) bury(quota, name, expires)
  }
  quota.remains = quota.remains.filter(({ at }) => at > quota.time)
}

/** Whoever these books don't know says what it holds, and they believe it. */
const join = (quota: SharedQuota, message: Message): Member => {
  const { epoch, granted, given, leaseMillis, member: name, meters } = message
  if (epoch !== null && epoch !== quota.epoch) lose(quota, message, [])
  quota.remains = quota.remains.filter(({ member }) => member !== name)
  quota.expected = quota.expected.filter((other) => other !== name)
  const held = Object.keys(meters).map((meter) => [meter, Math.max(0, shareOf({ granted, given }, meter))] as const)
  const member: Member = {
    expires: quota.time + leaseMillis,
    meters,
    granted: Object.fromEntries(held),
    given: {},
    owed: {},
    leaving: {}
  }
  quota.members[name] = member
  return member
}

/** Whether the member knows more than these books do: they are older than some that it has seen. */
const isRolledBack = (quota: SharedQuota, { anew, epoch, granted, member, version }: Message): boolean =>
  epoch === quota.epoch && (version > quota.version ||
    !anew &&
      Object.entries(granted).some(([meter, amount]) =>
        amount > valueOf(quota.members[member]?.granted ?? granted, meter)
      ))

const leavingAt = ({ leaving }: Message, now: number): Member["leaving"] =>
  Object.fromEntries(
    Object.entries(leaving).map((
      [meter, parts]
    ) => [meter, parts.map(([inMillis, amount]) => [now + inMillis, amount])])
  )

const booksFor = (known: SharedQuota | undefined, message: Message, now: number): SharedQuota => {
  if (known === undefined) return begin(message, now, undefined)
  if (!isRolledBack(known, message)) return known
  const anew = begin(message, Math.max(now, known.time), known)
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

/** One step: what a member says, and what it and others have of it. */
export const exchange = (known: SharedQuota | undefined, message: Message, now: number): Step => {
  const quota = booksFor(known, message, now)
  const { leaseMillis, member: name, meters } = message
  advance(quota, now, leaseMillis)
  const { time } = quota
  const own = message.epoch === quota.epoch && !message.anew ? quota.members[name] : undefined
  const joined = own === undefined
  const waitedBefore = name in quota.waiting
  const member: Member = {
    ...(own ?? join(quota, message)),
    expires: time + leaseMillis,
    meters,
    ...(joined ? {} : { given: message.given }),
    owed: message.owed,
    leaving: leavingAt(message, time)
  }
  quota.members[name] = member
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
  const open = time >= quota.opensAt && time >= quota.parkedUntil
  const served = open ? allot(quota, free, limits) : new Set<string>()
  const others = Object.keys(quota.members).filter((other) => other !== name)
  // Nobody waits: what one may need next it may hold, as long as there is as much for each.
  if (open && Object.keys(quota.waiting).length === 0) {
    const most = (meter: string) => Math.floor(valueOf(free, meter) / (2 * (others.length + 1)))
    const ahead = Object.entries(message.ahead).map(([meter, amount]) =>
      [meter, Math.max(0, Math.min(amount, most(meter)))] as const
    )
    grant(member, Object.fromEntries(ahead), free)
  }
  return {
    quota,
    standing: {
      epoch: quota.epoch,
      version: quota.version,
      granted: { ...member.granted },
      joined,
      members: [...others, name],
      wanted: others.some((other) => other in quota.waiting),
      listed: listedOf(quota, name),
      free,
      limits,
      waiting: others.flatMap((other) => quota.waiting[other] ?? []).map(({ all, priority }) => ({ priority, all })),
      remains: remainsOf(quota),
      opensInMillis: Math.max(0, quota.opensAt - time),
      parkedMillis: Math.max(0, quota.parkedUntil - time),
      againMillis: againOf(quota, others)
    },
    granted: others.filter((other) => served.has(other)).map((other) => told(quota, other)),
    wanted: name in quota.waiting && !waitedBefore
  }
}

/** A member goes, and tells what it was charged. What it holds beyond that is free at once. */
export const leave = (known: SharedQuota | undefined, message: Message, now: number): Step | undefined => {
  if (known === undefined || message.epoch !== known.epoch || !(message.member in known.members)) return undefined
  const step = exchange(known, { ...message, lines: [], ahead: {} }, now)
  const { quota } = step
  bury(quota, message.member, quota.time)
  const limits = limitsOf(quota)
  const served = quota.time >= quota.opensAt && quota.time >= quota.parkedUntil
    ? allot(quota, freeOf(quota, limits), limits)
    : new Set<string>()
  return {
    ...step,
    granted: Object.keys(quota.members)
      .filter((name) => served.has(name) || step.granted.some(({ member }) => member === name))
      .map((name) => told(quota, name))
  }
}

/** Somebody else draws on it, and nobody knows since when: what is free is taken to leave evenly. */
const fill = (quota: SharedQuota, meter: string, { meters }: Message, free: Record<string, number>): void => {
  const missing = Math.floor(valueOf(free, meter)) + 1
  const staysMillis = meters[meter]?.staysMillis ?? 0
  if (missing <= 1 || staysMillis === 0) return
  for (let part = 1; part <= foreignParts; part++) {
    quota.remains.push({
      member: "",
      meter,
      at: quota.time + staysMillis * part / foreignParts,
      amount: missing / foreignParts
    })
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
