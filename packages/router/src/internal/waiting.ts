// A call's wait to be admitted by any of its candidates: in the line of each that is due, until the first has room.
import type { Choice } from "@caprock/rate-limiter/Choice"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import * as Effect from "effect/Effect"
import type { Candidate, Decision, WhyNot } from "../Decision.ts"
import type { Offer } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Board } from "./board.ts"

/** A place in the line of a target's pool. */
export interface Stand<A, E, R> {
  readonly candidate: Candidate
  readonly offer: Offer<A, E, R>
}

/** Where it was admitted. */
export interface Admitted<A, E, R> extends Stand<A, E, R> {
  readonly reservation: Reservation
}

/** What a wait has to know of its call. */
export interface Host<A, E, R> {
  readonly board: Board
  /** A moment of the monotonic clock, in milliseconds. */
  readonly deadline: number
  now(): number
  decide(): Decision
  offer(target: BuiltTarget): Offer<A, E, R>
  /** The pool that it is charged to there. */
  poolOf(target: BuiltTarget): string
  refused(target: BuiltTarget, error: RateLimiterError): void
}

/** Who waits asks again what is best after so long, then after twice that and so on: forecasts are no promises. */
const firstLook = 1_000

/** What became of its admission, or that no target takes the call, as the decision says. */
export type Outcome<L> = { readonly admitted: L } | { readonly nowhere: Decision }

/** `L`: what an admission becomes, in the same step: who is interrupted right then does not lose it. */
export class Waiting<A, E, R, L> {
  private readonly host: Host<A, E, R>
  private readonly choice: Choice
  private readonly own: (admitted: Admitted<A, E, R>) => L
  private readonly stands = new Map<string, Stand<A, E, R>>()
  /** When each target's line is worth standing in. What was told before counts: deciding again puts nothing off. */
  private readonly due = new Map<number, number>()

  constructor(host: Host<A, E, R>, choice: Choice, own: (admitted: Admitted<A, E, R>) => L) {
    this.host = host
    this.choice = choice
    this.own = own
  }

  /** Waits until it is admitted, or has nobody to wait for. Interrupting it leaves it where it is: `end` follows. */
  readonly admission: Effect.Effect<Outcome<L>> = Effect.suspend(() => this.look(firstLook))

  /** Whatever came of it: who was not admitted leaves all lines. */
  end(): void {
    for (const [pool, stand] of this.stands) this.leave(pool, stand)
  }

  private look(patience: number): Effect.Effect<Outcome<L>> {
    const { host } = this
    const now = host.now()
    let decision = host.decide()
    while (true) {
      if (now >= host.deadline) return Effect.succeed({ nowhere: decision })
      const admitted = this.enter(decision, now)
      if (admitted === "refused") decision = host.decide()
      else if (admitted !== undefined) return Effect.succeed(admitted)
      else break
    }
    const next = this.nextDue(decision, now)
    if (this.stands.size === 0 && next === Infinity) return Effect.succeed({ nowhere: decision })
    const asleep = Effect.as(Effect.sleep(Math.min(next, now + patience, host.deadline) - now), patience * 2)
    const heard = Effect.as(host.board.change, patience * 2)
    // Whoever loses this race has taken nothing: what was told is still there.
    const told = Effect.as(this.choice.told, patience)
    return Effect.flatMap(
      this.stands.size === 0 ? Effect.raceFirst(asleep, heard) : Effect.raceAllFirst([told, asleep, heard]),
      (patience) => this.look(patience)
    )
  }

  /** Leaves the lines of those who take nobody now, and joins those that are due, in order, until one admits it. */
  private enter({ candidates, excluded }: Decision, now: number): { readonly admitted: L } | "refused" | undefined {
    // Before any line is left: it may have been admitted there meanwhile.
    const before = this.take()
    if (before !== undefined) return before
    if (this.stands.size > 0) {
      for (const { target, why } of excluded) {
        if (isShut(why)) {
          for (const [pool, stand] of this.stands) if (stand.candidate.target === target) this.leave(pool, stand)
        }
      }
    }
    let refused = false
    for (const candidate of candidates) {
      const { afterMillis, target } = candidate
      const due = Math.min(this.due.get(target.index) ?? Infinity, now + afterMillis)
      this.due.set(target.index, due)
      if (due > now || !this.join(candidate)) continue
      const outcome = this.take()
      if (outcome === "refused") refused = true
      else if (outcome !== undefined) return outcome
    }
    return refused ? "refused" : undefined
  }

  /** What the pools have told. */
  private take(): { readonly admitted: L } | "refused" | undefined {
    let refused = false
    for (let outcome = this.choice.nextUnsafe(); outcome !== undefined; outcome = this.choice.nextUnsafe()) {
      if (outcome._tag === "Admitted") return { admitted: this.admitted(outcome.reservation) }
      this.refuse(outcome.pool, outcome.error)
      refused = true
    }
    return refused ? "refused" : undefined
  }

  private join(candidate: Candidate): boolean {
    const { host, stands } = this
    const { target } = candidate
    if (stands.has(host.poolOf(target))) return false
    const offer = host.offer(target)
    const { pool } = offer.cost
    // Two targets of one pool are one line, and the first of them stands in it.
    if (stands.has(pool)) {
      offer.withdrawn()
      return false
    }
    stands.set(pool, { candidate, offer })
    this.choice.join(offer.cost)
    host.board.moved(pool)
    return true
  }

  private nextDue({ candidates }: Decision, now: number): number {
    let next = Infinity
    for (const { target } of candidates) {
      const due = this.due.get(target.index) ?? Infinity
      if (due > now) next = Math.min(next, due)
    }
    return next
  }

  private admitted(reservation: Reservation): L {
    const { stands } = this
    const own = stands.get(reservation.pool)
    stands.delete(reservation.pool)
    this.end()
    // The choice admits to pools that were joined, and each has its stand until it is left.
    if (own === undefined) throw new Error(`admitted to ${reservation.pool}, whose line was never joined`)
    return this.own({ ...own, reservation })
  }

  private refuse(pool: string, error: RateLimiterError): void {
    const stand = this.stands.get(pool)
    if (stand === undefined) return
    this.stands.delete(pool)
    stand.offer.withdrawn()
    this.host.refused(stand.candidate.target, error)
  }

  private leave(pool: string, { offer }: Stand<A, E, R>): void {
    this.stands.delete(pool)
    this.choice.leave(pool)
    this.host.board.moved(pool)
    offer.withdrawn()
  }
}

/** A target that was well when it was joined, and is not now. What else excludes it later does not cost it a place that it has. */
const isShut = ({ _tag }: WhyNot): boolean => _tag === "Open" || _tag === "Probing"
