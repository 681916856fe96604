/**
 * A process that holds a share of a quota, as simple as can be: it charges what it may, and tells the store of it. Of meters whose charges stay a
 * while only.
 */
import type { LimiterStore } from "@caprock/rate-limiter"

export const lease = 800

export type Meters = LimiterStore.Message["meters"]

type Sums = Record<string, number>

/** What a test lets a process say beside what it has to. */
export type Wish =
  & Partial<Pick<LimiterStore.Message, "lines" | "ahead" | "foreign" | "parkMillis" | "ageingMillis">>
  & {
    /** Of what it does not use, what it gives back, in percent. */
    readonly gives?: number
    /** From now on it gives back all that it does not use, and uses nothing again of what leaves, until it hears that nobody waits. */
    readonly yields?: boolean
  }

export interface Charge {
  readonly meter: string
  readonly at: number
  readonly amount: number
}

export const line = (
  count: number,
  amounts: LimiterStore.Amounts,
  more: Partial<LimiterStore.Line> = {}
): LimiterStore.Line => ({
  priority: 0,
  tenant: "",
  weight: 1,
  sinceMillis: 0,
  count,
  head: amounts,
  all: Object.fromEntries(Object.entries(amounts).map(([meter, amount]) => [meter, amount * count])),
  ...more
})

export class Process {
  readonly name: string
  readonly meters: Meters
  readonly leaseMillis: number
  readonly charges: Array<Charge> = []
  standing: LimiterStore.Standing | undefined
  private granted: Sums = {}
  private given: Sums = {}
  private fence = -Infinity
  private heardAt = 0
  /** It said that it yields, last then. */
  private yieldedAt: number | undefined
  private messages = 0

  constructor(name: string, meters: Meters, leaseMillis = lease) {
    this.name = name
    this.leaseMillis = leaseMillis
    this.meters = meters
  }

  share(meter: string): number {
    return (this.granted[meter] ?? 0) - (this.given[meter] ?? 0)
  }

  used(meter: string, now: number): number {
    const stays = this.meters[meter]?.staysMillis ?? 0
    return this.charges.reduce((sum, one) => one.meter === meter && one.at + stays > now ? sum + one.amount : sum, 0)
  }

  spare(meter: string, now: number): number {
    return Math.max(0, this.share(meter) - this.used(meter, Math.min(now, this.yieldedAt ?? now)))
  }

  /** Charges so much of each meter, if it may: all or nothing. */
  charge(amounts: LimiterStore.Amounts, now: number): boolean {
    const entries = Object.entries(amounts)
    if (now >= this.fence || entries.some(([meter, amount]) => amount > this.spare(meter, now))) return false
    for (const [meter, amount] of entries) if (amount > 0) this.charges.push({ meter, at: now, amount })
    return true
  }

  message(now: number, { gives = 0, yields = false, ...wish }: Wish = {}): LimiterStore.Message {
    const { meters, standing } = this
    if (yields || this.yieldedAt !== undefined) this.yieldedAt = now
    for (const meter of Object.keys(meters)) {
      const spare = this.spare(meter, now)
      // Whoever was away for a lease has no claim to what it does not use.
      const give = now >= this.fence || this.yieldedAt !== undefined ? spare : Math.floor(spare * gives / 100)
      this.given[meter] = (this.given[meter] ?? 0) + give
    }
    return {
      member: this.name,
      leaseMillis: this.leaseMillis,
      ageingMillis: null,
      meters,
      epoch: standing?.epoch ?? null,
      anew: false,
      version: standing?.version ?? 0,
      fresh: `${1 + (Number.parseInt(this.standing?.epoch ?? "", 10) || 0)}:${this.name}:${++this.messages}`,
      number: this.messages,
      knows: standing?.members.filter((name) => name !== this.name) ?? [],
      remains: Object.fromEntries(
        Object.entries(standing?.remains ?? {}).flatMap(([meter, { amount, inMillis }]) => {
          const left = inMillis - (now - this.heardAt)
          return left > 0 ? [[meter, { amount, inMillis: left }]] : []
        })
      ),
      granted: { ...this.granted },
      given: { ...this.given },
      owed: Object.fromEntries(
        Object.keys(meters).map((meter) => [meter, Math.max(0, this.used(meter, now) - this.share(meter))])
      ),
      yields: this.yieldedAt !== undefined,
      leaving: Object.fromEntries(
        Object.entries(meters).map(([meter, { staysMillis }]) => [
          meter,
          this.charges.filter((one) => one.meter === meter && one.at + staysMillis > now)
            .map(({ amount, at }) => [at + staysMillis - now, amount] as const)
        ])
      ),
      lines: [],
      ahead: {},
      foreign: null,
      parkMillis: 0,
      ...wish
    }
  }

  /** What was answered to a message that was sent then. */
  heard(standing: LimiterStore.Standing, sentAt: number, now: number): void {
    if (standing.epoch !== this.standing?.epoch) {
      this.granted = {}
      this.given = {}
    }
    for (const meter of Object.keys(this.meters)) {
      this.granted[meter] = Math.max(this.granted[meter] ?? 0, standing.granted[meter] ?? 0)
      this.given[meter] = Math.max(this.given[meter] ?? 0, standing.given[meter] ?? 0)
    }
    if (!standing.wanted) this.yieldedAt = undefined
    this.standing = standing
    this.heardAt = now
    this.fence = sentAt + this.leaseMillis
  }

  woken(wake: LimiterStore.Wake): void {
    if (wake._tag !== "Granted" || wake.epoch !== this.standing?.epoch) return
    for (const [meter, amount] of Object.entries(wake.granted)) {
      this.granted[meter] = Math.max(this.granted[meter] ?? 0, amount)
    }
  }
}
