// A reservation while it is open: the first of settle, release and abandon ends it.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Reservation, Settlement } from "../Reservation.ts"
import type { Held } from "./books.ts"
import type { Tell } from "./listeners.ts"
import type { Pool } from "./pool.ts"

/** @internal */
export class OpenReservation implements Reservation {
  readonly pool: string
  readonly booked: number
  readonly waited: Duration.Duration
  private readonly home: Pool
  private readonly held: Held
  private readonly tell: Tell
  private open = true

  constructor(home: Pool, pool: string, held: Held, waited: Duration.Duration, tell: Tell) {
    this.tell = tell
    this.home = home
    this.pool = pool
    this.held = held
    this.booked = held.charge.tokens
    this.waited = waited
  }

  readonly sentUnsafe = (): void => {
    if (this.open) this.home.sent(this.held)
  }

  settle(settlement: Settlement): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.open) return
      this.open = false
      this.home.arrived(this.held, settlement.servedFor === undefined ? 0 : Duration.toMillis(settlement.servedFor))
      this.home.settle(this.held, settlement)
      this.tellEnd(settlement.tokens)
    })
  }

  get release(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.open) return
      this.open = false
      this.home.release(this.held)
      this.tellEnd(0)
    })
  }

  /** The scope closed and nobody settled: it may have been sent, and the server may have counted it. */
  get abandon(): Effect.Effect<void> {
    return Effect.sync(() => {
      if (!this.open) return
      this.open = false
      this.home.abandon(this.held)
      this.tellEnd(undefined)
    })
  }

  private tellEnd(charged: number | undefined): void {
    this.tell(() => ({ _tag: "Settled", pool: this.pool, booked: this.booked, charged }))
  }
}
