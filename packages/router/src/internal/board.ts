// What is known of all targets, for decisions: read as plain numbers, and asked again only where they may have changed.
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Ask, Facts } from "../Decision.ts"
import type { Health } from "../Health.ts"
import type { BuiltRoute, RouteTable } from "../RouteTable.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Affinity } from "./affinity.ts"
import { Latencies } from "./latencies.ts"

/** Others may have used what was free: a wait that was told so long ago is asked for again. Many decisions fall into that time. */
const freshMillis = 20

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

interface Place {
  readonly target: BuiltTarget
  /** That of calls which do not say otherwise. */
  readonly usual: string
  readonly latencies: Latencies
  readonly facts: Mutable<Facts>
  /** When which of its pools was asked, and for what. */
  at: number
  pool: string
  tokens: number
  priority: Ask["priority"]
}

export class Board {
  private readonly places: ReadonlyArray<Place>
  private readonly facts: ReadonlyArray<Facts>
  private readonly waiting = new Set<() => void>()
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
    this.places = table.targets.map((target) => {
      const usual = pool(target)
      return {
        target,
        usual,
        latencies: new Latencies(),
        facts: {
          waitMillis: 0,
          free: 1,
          refused: undefined,
          standing: health.standingUnsafe(target.name),
          latencyMillis: undefined,
          warm: 0
        },
        at: -Infinity,
        pool: usual,
        tokens: 0,
        priority: undefined
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
      const pool = ask.pool === undefined ? place.usual : ask.pool(target)
      if (!isFresh(place, pool, tokens, ask.priority, now)) this.askAgain(place, pool, tokens, ask.priority, now)
      facts.standing = this.health.standingUnsafe(name)
      facts.warm = ask.prefixes === undefined ? 0 : this.affinity.warm(ask.prefixes, index, now)
    }
    return this.facts
  }

  /** Something was booked in a pool, or somebody stands in its line: what was told of it does not hold any more. */
  moved(pool: string): void {
    for (const place of this.places) if (place.pool === pool) place.at = -Infinity
  }

  /** That which a call is charged to there. */
  poolOf(target: BuiltTarget, ask: Ask): string {
    return ask.pool?.(target) ?? this.places[target.index]?.usual ?? target.name
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

  latencies(target: BuiltTarget): Latencies | undefined {
    return this.places[target.index]?.latencies
  }

  /** A target's health has changed: who waits decides again. */
  changed(): void {
    const woken = [...this.waiting]
    this.waiting.clear()
    for (const wake of woken) wake()
  }

  /** Waits for that. */
  readonly change: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const wake = () => resume(Effect.void)
    this.waiting.add(wake)
    return Effect.sync(() => this.waiting.delete(wake))
  })

  private askAgain(place: Place, pool: string, tokens: number, priority: Ask["priority"], now: number): void {
    const { free, refused, waitMillis } = this.limiter.headroomUnsafe({
      pool,
      requests: 1,
      tokens,
      priority
    })
    place.facts.waitMillis = waitMillis
    place.facts.free = free
    place.facts.refused = refused
    place.at = now
    place.pool = pool
    place.tokens = tokens
    place.priority = priority
  }
}

/** Whether what was told for another call holds for this one as well. A smaller one waits no longer, which is all that has to be known of no wait. */
const isFresh = (place: Place, pool: string, tokens: number, priority: Ask["priority"], now: number): boolean =>
  now - place.at < freshMillis && place.pool === pool && place.priority === priority &&
  (place.tokens === tokens ||
    place.tokens > tokens && place.facts.waitMillis === 0 && place.facts.refused === undefined)
