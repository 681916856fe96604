// What is known of all targets, for decisions: read as plain numbers, and asked again only where they may have changed.
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type * as Clock from "effect/Clock"
import type { Ask, Facts } from "../Decision.ts"
import type { Health } from "../Health.ts"
import type { BuiltRoute, RouteTable } from "../RouteTable.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Affinity } from "./affinity.ts"
import { Latencies } from "./latencies.ts"

/** Others may have used what was free: a wait that was told so long ago is asked for again. Many decisions fall into that time. */
const freshMillis = 20

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** What a pool's limiter told, when, and for what. */
interface Pool {
  readonly name: string
  waitMillis: number
  free: number
  refused: Facts["refused"]
  at: number
  tokens: number
  priority: Ask["priority"]
}

interface Place {
  /** That of calls which do not say otherwise. */
  readonly usual: Pool
  /** All that calls were charged to there. */
  readonly pools: Set<string>
  readonly latencies: Latencies
  /** When the latest request was sent that it answered. */
  answeredUpTo: number
  readonly facts: Mutable<Facts>
}

export class Board {
  private readonly places: ReadonlyArray<Place>
  private readonly facts: ReadonlyArray<Facts>
  private readonly pools = new Map<string, Pool>()
  private readonly limiter: RateLimiter["Service"]
  private readonly health: Health["Service"]
  private readonly affinity: Affinity
  private readonly clock: Clock.Clock

  constructor(
    table: RouteTable,
    pool: (target: BuiltTarget) => string,
    limiter: RateLimiter["Service"],
    health: Health["Service"],
    affinity: Affinity,
    clock: Clock.Clock
  ) {
    this.limiter = limiter
    this.health = health
    this.affinity = affinity
    this.clock = clock
    this.places = table.targets.map((target): Place => {
      const usual = this.poolNamed(pool(target))
      return {
        usual,
        pools: new Set([usual.name]),
        latencies: new Latencies(),
        answeredUpTo: -Infinity,
        facts: {
          waitMillis: 0,
          free: 1,
          refused: undefined,
          standing: health.standingUnsafe(target.name),
          latencyMillis: undefined,
          warm: 0
        }
      }
    })
    this.facts = this.places.map(({ facts }) => facts)
  }

  /** What is known now of a route's targets, for a call. It is the board's own, and holds until the next one asks. */
  refresh(route: BuiltRoute, ask: Ask): ReadonlyArray<Facts> {
    const now = this.clock.currentTimeMillisUnsafe()
    const tokens = ask.input + ask.output
    for (const target of route.targets) {
      const { index, name } = target
      const place = this.places[index]
      if (place === undefined) continue
      const { facts } = place
      const pool = ask.pool === undefined ? place.usual : this.ownPool(place, ask.pool(target))
      if (!isFresh(pool, tokens, ask.priority, now)) this.askAgain(pool, tokens, ask.priority, now)
      facts.waitMillis = pool.waitMillis
      facts.free = pool.free
      facts.refused = pool.refused
      facts.standing = this.health.standingUnsafe(name)
      facts.warm = ask.prefixes === undefined ? 0 : this.affinity.warm(ask.prefixes, index, now)
    }
    return this.facts
  }

  /** Something was booked in a pool, or somebody stands in its line: what was told of it does not hold any more. */
  moved(pool: string): void {
    const known = this.pools.get(pool)
    if (known !== undefined) known.at = -Infinity
  }

  /** That which a call is charged to there. */
  poolOf(target: BuiltTarget, ask: Ask): string {
    return ask.pool?.(target) ?? this.places[target.index]?.usual.name ?? target.name
  }

  /** Those in whose lines somebody may stand for the target. */
  poolsOf(target: BuiltTarget): Iterable<string> {
    return this.places[target.index]?.pools ?? []
  }

  factsOf(target: BuiltTarget): Facts | undefined {
    return this.facts[target.index]
  }

  took(target: BuiltTarget, millis: number): void {
    const place = this.places[target.index]
    if (place === undefined) return
    place.latencies.add(millis)
    place.facts.latencyMillis = place.latencies.percentile(0.5)
  }

  answered(target: BuiltTarget, sentAt: number): void {
    const place = this.places[target.index]
    if (place !== undefined) place.answeredUpTo = Math.max(place.answeredUpTo, sentAt)
  }

  answeredUpTo(target: BuiltTarget): number {
    return this.places[target.index]?.answeredUpTo ?? -Infinity
  }

  isClosed({ name }: BuiltTarget): boolean {
    return this.health.standingUnsafe(name)._tag === "Closed"
  }

  latencies(target: BuiltTarget): Latencies | undefined {
    return this.places[target.index]?.latencies
  }

  private ownPool({ pools }: Place, name: string): Pool {
    pools.add(name)
    return this.poolNamed(name)
  }

  private poolNamed(name: string): Pool {
    const known = this.pools.get(name)
    if (known !== undefined) return known
    const pool: Pool = {
      name,
      waitMillis: 0,
      free: 1,
      refused: undefined,
      at: -Infinity,
      tokens: 0,
      priority: undefined
    }
    this.pools.set(name, pool)
    return pool
  }

  private askAgain(pool: Pool, tokens: number, priority: Ask["priority"], now: number): void {
    const { free, refused, waitMillis } = this.limiter.headroomUnsafe({
      pool: pool.name,
      requests: 1,
      tokens,
      priority
    })
    pool.waitMillis = waitMillis
    pool.free = free
    pool.refused = refused
    pool.at = now
    pool.tokens = tokens
    pool.priority = priority
  }
}

/** Whether what was told for another call holds for this one as well. A smaller one waits no longer, which is all that has to be known of no wait. */
const isFresh = (pool: Pool, tokens: number, priority: Ask["priority"], now: number): boolean =>
  now - pool.at < freshMillis && pool.priority === priority &&
  (pool.tokens === tokens || pool.tokens > tokens && pool.waitMillis === 0 && pool.refused === undefined)
