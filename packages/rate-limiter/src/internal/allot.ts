// Who is next of all who wait for a quota, in whatever process: by class, with ageing, then fair between tenants, then between processes.
import type { Amounts } from "../LimiterStore.ts"

/** A line as a store keeps it. */
export interface Waiting {
  readonly priority: number
  readonly tenant: string
  readonly weight: number
  /** Since when its class has not been served in its process, on the store's clock. */
  readonly since: number
  count: number
  /** What the next of them needs. */
  head: Amounts
  all: Amounts
}

/**
 * What each class, tenant and member has had of the quota. A turn is the part of the limit that it took, on the meter that is the scarcest for it,
 * divided by its weight. Who comes anew begins where the one stands that was served last, as if it had always taken part.
 */
export type Turns = Record<string, {
  /** When the class was last served. */
  served: number
  /** Where the tenant stood that was served last. */
  turn: number
  /** By the tenant's name as JSON, which is no name that an object has already. */
  tenants: Record<string, {
    turn: number
    /** Where the member stood that was served last. */
    base: number
    members: Record<string, number>
  }>
}>

/** Of so many tenants are the turns kept: of those that have had the most beyond others. */
const mostTenants = 256

/** Sums of fractions drift by less than this part: it would be a pity if the last of a limit were never enough. */
const rounding = 1e-9

/** Beyond 1 it is whole: sums of what is granted stay exact. */
const whole = (amount: number): number => amount > 1 ? Math.ceil(amount) : amount

const map = (amounts: Amounts, f: (amount: number) => number): Amounts =>
  Object.fromEntries(Object.entries(amounts).map(([meter, amount]) => [meter, f(amount)]))

/** How often it fits. */
const fitsIn = (free: Amounts, amounts: Amounts): number =>
  Object.entries(amounts).reduce(
    (least, [meter, amount]) =>
      amount > 0 ? Math.min(least, Math.floor((free[meter] ?? 0) / amount + rounding)) : least,
    Infinity
  )

/** Which part of the quota it takes, on the meter that is the scarcest for it. */
const sizeOf = (amounts: Amounts, limits: Amounts): number =>
  Object.entries(amounts).reduce(
    (most, [meter, amount]) => amount > 0 ? Math.max(most, amount / Math.max(1, limits[meter] ?? 0)) : most,
    0
  )

const compare = (one: string, other: string): number => one < other ? -1 : one > other ? 1 : 0

interface Candidate {
  readonly name: string
  readonly tenant: string
  readonly line: Waiting
}

/** What of the books matters here. */
export interface Books {
  readonly time: number
  readonly waiting: Record<string, Array<Waiting>>
  readonly turns: Turns
  readonly ageingMillis: number | null
  /** It was given something that it may not know yet, and will come for more. */
  readonly isAwaited: (name: string) => boolean
}

/**
 * Gives what is free to those who wait, in order; `grant` books it, and takes it off what is free. Where the next does not fit, or has to come first,
 * nobody else is served: it is saved up for it. Gives the names of those who got some.
 */
export const allot = (
  { ageingMillis, isAwaited, time, turns, waiting }: Books,
  free: Amounts,
  limits: Amounts,
  grant: (name: string, amounts: Amounts) => void
): ReadonlySet<string> => {
  const served = new Set<string>()
  const lines = Object.entries(waiting).flatMap(([name, lines]) =>
    lines.map((line): Candidate => ({ line, name, tenant: JSON.stringify(line.tenant) }))
  )
  // How long a class has waited is a matter of all: however old a process's own count is, its class had its turn in another.
  const since = new Map<number, number>()
  for (const { line } of lines) {
    since.set(line.priority, Math.min(line.since, since.get(line.priority) ?? Infinity))
  }
  for (const [priority, at] of since) since.set(priority, Math.max(at, turns[priority]?.served ?? -Infinity))
  const rank = ({ line: { priority } }: Candidate) =>
    (ageingMillis === null ? 0 : (since.get(priority) ?? time) / ageingMillis) - priority
  const tenantTurn = ({ line: { priority }, tenant }: Candidate) =>
    Math.max(turns[priority]?.turn ?? 0, turns[priority]?.tenants[tenant]?.turn ?? 0)
  const memberTurn = ({ line: { priority }, name, tenant }: Candidate) => {
    const own = turns[priority]?.tenants[tenant]
    return Math.max(own?.base ?? 0, own?.members[name] ?? 0)
  }
  const order = (one: Candidate, other: Candidate) =>
    rank(one) - rank(other) || other.line.priority - one.line.priority ||
    tenantTurn(one) - tenantTurn(other) || compare(one.line.tenant, other.line.tenant) ||
    memberTurn(one) - memberTurn(other) || compare(one.name, other.name)
  while (lines.length > 0) {
    const next = lines.reduce((first, one) => order(one, first) < 0 ? one : first)
    const { line, name, tenant } = next
    if (isAwaited(name) || fitsIn(free, line.head) < 1) break
    grant(name, line.head)
    const mean = map(line.all, (amount) => whole(amount / line.count))
    // Several at once where there is room for many: the more lines, the finer.
    const more = Math.min(line.count - 1, Math.max(0, Math.floor(fitsIn(free, mean) / (4 * lines.length))))
    if (more > 0) grant(name, map(mean, (amount) => amount * more))
    served.add(name)
    const size = sizeOf(mean, limits) * (1 + more)
    const start = tenantTurn(next)
    const base = memberTurn(next)
    const ofClass = turns[line.priority] ??= { served: time, turn: start, tenants: {} }
    ofClass.served = time
    ofClass.turn = start
    const ofTenant = ofClass.tenants[tenant] ??= { turn: 0, base: 0, members: {} }
    ofTenant.turn = start + size / line.weight
    ofTenant.base = base
    ofTenant.members[name] = base + size
    since.set(line.priority, time)
    line.count -= 1 + more
    line.all = map(mean, (amount) => amount * line.count)
    line.head = mean
    if (line.count === 0) lines.splice(lines.indexOf(next), 1)
  }
  for (const name of served) {
    const left = (waiting[name] ?? []).filter(({ count }) => count > 0)
    if (left.length === 0) delete waiting[name]
    else waiting[name] = left
  }
  if (served.size > 0) forget(turns)
  return served
}

/** Drops what says nothing any more, and what says the least where it is too much. */
const forget = (turns: Turns): void => {
  const tenants = Object.entries(turns).flatMap(([priority, { tenants, turn }]) =>
    Object.entries(tenants).map(([tenant, own]) => ({ priority, tenant, own, lead: own.turn - turn }))
  )
  for (const { own: { base, members } } of tenants) {
    for (const [name, turn] of Object.entries(members)) if (turn <= base) delete members[name]
  }
  if (tenants.length <= mostTenants) return
  const order = tenants.toSorted((a, b) =>
    b.lead - a.lead || compare(a.tenant, b.tenant) || compare(a.priority, b.priority)
  )
  for (const { priority, tenant } of order.slice(mostTenants / 2)) delete turns[priority]?.tenants[tenant]
}
