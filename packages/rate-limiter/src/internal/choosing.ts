// One call that stands in the rooms of several pools: the first admission takes it out of all others.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Choice, Outcome } from "../Choice.ts"
import type { Booking, Cost } from "../Cost.ts"
import { RateLimiterError } from "../RateLimiterError.ts"
import type { Door } from "./door.ts"
import type { OpenReservation } from "./openReservation.ts"
import type { Pool } from "./pool.ts"
import { Visit } from "./visit.ts"

/** Its place in one room. */
class Stand extends Visit {
  readonly since: number
  /** How many of it the pool admits in a millisecond of its whole quota. */
  readonly rate: number
  /** Stops the clock of its longest wait. */
  stop: (() => void) | undefined
  private readonly won: (stand: Stand) => void

  constructor(cost: Cost, pool: Pool, door: Door, since: number, won: (stand: Stand) => void) {
    super(cost, pool, door)
    this.since = since
    this.rate = 1 / pool.sizeOf(cost)
    this.won = won
  }

  override admit(amount: Booking): void {
    super.admit(amount)
    this.won(this)
  }
}

/** @internal */
export class Choosing implements Choice {
  private readonly door: Door
  private readonly stands = new Map<string, Stand>()
  private refused: Array<Extract<Outcome, { readonly _tag: "Refused" }>> = []
  /** When it first had to wait. */
  private since: number | undefined
  /** The place that admitted it: from then on it stands nowhere. */
  private winner: Stand | undefined
  private reservation: OpenReservation | undefined
  private taken = false
  private over = false
  private readonly hearers = new Set<() => void>()
  private hear: (() => void) | undefined

  constructor(door: Door) {
    this.door = door
  }

  readonly join = (cost: Cost): void => {
    const { door } = this
    if (this.isChosen || this.stands.has(cost.pool)) return
    const pool = door.enter(cost)
    if (pool instanceof RateLimiterError) return this.refuse(cost.pool, pool)
    const now = door.now()
    const held = pool.admitNow(cost)
    if (held !== undefined) {
      return this.admitted(door.admitted(cost, pool, held, now - (this.since ?? now)))
    }
    const late = door.tooLate(cost, pool, now)
    if (late !== undefined) return this.refuse(cost.pool, late)
    this.since ??= now
    door.waits(cost)
    const stand = new Stand(cost, pool, door, now, this.won)
    this.stands.set(cost.pool, stand)
    const { maxWait } = cost
    if (maxWait !== undefined && Duration.isFinite(maxWait)) {
      stand.stop = door.after(Duration.toMillis(maxWait), () => this.expire(stand, maxWait))
    }
    stand.begin((error) => {
      if (error === undefined) return this.proceed()
      // Whoever is told may come back here in the same step.
      this.forget(stand)
      this.weigh()
      this.refuse(cost.pool, error)
    })
    this.weigh()
  }

  readonly leave = (pool: string): void => {
    this.refused = this.refused.filter((one) => one.pool !== pool)
    const stand = this.stands.get(pool)
    if (stand === undefined) return
    this.goFrom(stand)
    this.weigh()
  }

  readonly heedUnsafe = (hear: () => void): void => {
    this.hear = hear
  }

  readonly next: Effect.Effect<Outcome> = Effect.suspend(() => {
    const outcome = this.nextUnsafe()
    return outcome === undefined ? Effect.andThen(this.heard, this.next) : Effect.succeed(outcome)
  })

  readonly nextUnsafe = (): Outcome | undefined => {
    const { reservation } = this
    if (reservation === undefined) return this.refused.shift()
    this.taken = true
    return { _tag: "Admitted", reservation }
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.over = true
    this.leaveAll()
    const { reservation, winner } = this
    if (reservation !== undefined) return this.taken ? reservation.abandon : reservation.release
    // It was admitted in this very step, and nobody could be told yet.
    if (winner !== undefined) this.goFrom(winner)
    return Effect.void
  })

  private readonly heard = Effect.callback<void>((resume) => {
    const hearer = () => resume(Effect.void)
    this.hearers.add(hearer)
    return Effect.sync(() => this.hearers.delete(hearer))
  })

  /** In the midst of a pool's round: it is booked there, and must not be admitted anywhere else. */
  private readonly won = (winner: Stand): void => {
    this.winner = winner
    this.forget(winner)
    for (const stand of this.stands.values()) stand.leave()
  }

  /** The round is over, and whoever hears of it may do anything. */
  private proceed(): void {
    const { winner } = this
    if (this.over || winner?.granted === undefined) return
    const { cost, granted, pool } = winner
    this.admitted(this.door.admitted(cost, pool, granted, this.door.now() - (this.since ?? winner.since)))
  }

  private get isChosen(): boolean {
    return this.over || this.winner !== undefined || this.reservation !== undefined
  }

  private admitted(reservation: OpenReservation): void {
    this.reservation = reservation
    this.leaveAll()
    this.wake()
  }

  private refuse(pool: string, error: RateLimiterError): void {
    this.refused.push({ _tag: "Refused", pool, error })
    this.wake()
  }

  private wake(): void {
    const hearers = [...this.hearers]
    this.hearers.clear()
    for (const hearer of hearers) hearer()
    this.hear?.()
  }

  private expire(stand: Stand, maxWait: Duration.Duration): void {
    if (this.stands.get(stand.cost.pool) !== stand) return
    stand.stop = undefined
    this.forget(stand)
    stand.leave()
    this.weigh()
    this.refuse(stand.cost.pool, this.door.tooLong(stand.cost, this.door.now() - stand.since, maxWait))
  }

  /**
   * It will be served in one room, most likely in the one that goes on fastest. Counted whole in each, everybody would be told a wait that is as many
   * times too long as there are rooms, and be sent away by it.
   */
  private weigh(): void {
    if (this.isChosen) return
    const { size } = this.stands
    let rates = 0
    for (const stand of this.stands.values()) rates += stand.rate
    for (const stand of this.stands.values()) stand.reweigh(rates < Infinity ? stand.rate / rates : 1 / size)
  }

  private goFrom(stand: Stand): void {
    this.forget(stand)
    stand.leave()
    this.door.left(stand.cost, stand.since)
  }

  private leaveAll(): void {
    for (const stand of this.stands.values()) this.goFrom(stand)
  }

  private forget(stand: Stand): void {
    stand.stop?.()
    this.stands.delete(stand.cost.pool)
  }
}
