// What is open for a call: its places in lines and its requests, each in a scope of its own, and how they are left.
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Candidate } from "../Decision.ts"
import type { Offer } from "../Sending.ts"
import type { Admitted, Waiting } from "./waiting.ts"

/** A request to a target, from its admission to its end. */
export interface Leg<A, E, R> {
  readonly candidate: Candidate
  readonly offer: Offer<A, E, R>
  readonly reservation: Reservation
  readonly scope: Scope.Closeable
  readonly waitedMillis: number
  readonly hedge: boolean
  /** Which of the call's requests it is; `undefined` until it is sent. */
  attempt: number | undefined
  sentAt: number
  /** Another one answered: what it took so far is the least that it would have taken. */
  lost: boolean
  /** What it is under way in, where it takes so long that the call does something else meanwhile. */
  late: Fiber.Fiber<unknown> | undefined
}

/** @internal */
export class Flight<A, E, R> {
  readonly scope: Scope.Closeable
  waiting: Pick<Waiting<A, E, R, Leg<A, E, R>>, "end"> | undefined
  leg: Leg<A, E, R> | undefined

  constructor(scope: Scope.Closeable) {
    this.scope = scope
  }

  admitted({ candidate, offer, reservation }: Admitted<A, E, R>, waitedMillis: number, hedge: boolean): Leg<A, E, R> {
    const { scope } = this
    this.leg = {
      candidate,
      offer,
      reservation,
      scope,
      waitedMillis,
      hedge,
      attempt: undefined,
      sentAt: 0,
      lost: false,
      late: undefined
    }
    return this.leg
  }

  /** What was not sent is given back; what was has ended. */
  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { leg, scope, waiting } = this
      waiting?.end()
      const closed = leg?.late === undefined
        ? Scope.close(scope, exit)
        : Effect.andThen(Fiber.interrupt(leg.late), Scope.close(scope, exit))
      if (leg === undefined || leg.attempt !== undefined) return closed
      leg.offer.withdrawn?.()
      return Effect.andThen(leg.reservation.release, closed)
    })
  }
}

/** @internal */
export class Flights<A, E, R> {
  private readonly parent: Scope.Scope
  private open: Array<Flight<A, E, R>> = []

  constructor(parent: Scope.Scope) {
    this.parent = parent
  }

  begin(): Flight<A, E, R> {
    const flight = new Flight<A, E, R>(Scope.forkUnsafe(this.parent))
    this.open.push(flight)
    return flight
  }

  /** Leaves all that are open but those of these, which stay so as long as the caller's scope. `undefined` where there is nothing to leave. */
  leave(
    exit: Exit.Exit<unknown, unknown>,
    ...kept: ReadonlyArray<Leg<A, E, R> | undefined>
  ): Effect.Effect<void> | undefined {
    const stays = ({ leg }: Flight<A, E, R>) => leg !== undefined && kept.includes(leg)
    if (this.open.every(stays)) return undefined
    const gone = this.open.filter((flight) => !stays(flight))
    this.open = this.open.filter(stays)
    return Effect.forEach(gone, (flight) => flight.close(exit), { discard: true })
  }
}
