// What a process says that wants as much of a quota as it can have, and gives it back as it goes.
import type { LimiterStore } from "@caprock/rate-limiter"

export const limit = 100

export const stays = 60_000

export interface Asks {
  /** So many wait, for one each. */
  readonly message: (waiting: number, changed?: Partial<LimiterStore.Message>) => LimiterStore.Message
  readonly after: (standing: LimiterStore.Standing) => Asks
}

export const asking = (member: string, standing?: LimiterStore.Standing, sent = { count: 0 }): Asks => ({
  message: (waiting, changed = {}) => ({
    member,
    leaseMillis: 4000,
    ageingMillis: 10_000,
    meters: { requests: { limit, staysMillis: stays } },
    epoch: standing?.epoch ?? null,
    anew: false,
    number: ++sent.count,
    version: standing?.version ?? 0,
    fresh: `of ${member}`,
    knows: standing?.members ?? [],
    remains: standing?.remains ?? {},
    granted: standing?.granted ?? {},
    given: {},
    yields: false,
    owed: {},
    leaving: {},
    lines: waiting === 0 ? [] : [{
      priority: 0,
      tenant: "",
      weight: 1,
      sinceMillis: 0,
      count: waiting,
      head: { requests: 1 },
      all: { requests: waiting }
    }],
    ahead: {},
    foreign: null,
    parkMillis: 0,
    ...changed
  }),
  after: (standing) => asking(member, standing, sent)
})
