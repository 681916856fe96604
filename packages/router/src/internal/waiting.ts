// A call's wait to be admitted by any of its candidates: in the line of each that is due, until the first has room.
import type { Choice } from "@caprock/rate-limiter/Choice"
import type { Cost } from "@caprock/rate-limiter/Cost"
import { RateLimiterError, WaitTooLong } from "@caprock/rate-limiter/RateLimiterError"
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Candidate, Decision, WhyNot } from "../Decision.ts"
import type { Offer } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Board } from "./board.ts"
import type { Lookout, Waiter } from "./lookout.ts"

/** A place in the line of a target's pool. */
interface Stand<A, E, R> {
  readonly candidate: Candidate
  readonly offer: Offer<A, E, R>
  /** How long the call had waited when it came to it. */
  readonly before: number
}

/** Where it was admitted. */
export interface Admitted<A, E, R> {
  readonly candidate: Candidate
  readonly offer: Offer<A, E, R>
  readonly reservation: Reservation
}

/** What a wait has to know of its call. */
export interface Host<A, E, R> {
  readonly board: Board
  readonly lookout: Lookout
  /** What it asks a pool for, as far as is known without an offer. */
  readonly asks: Waiter["asks"]
  /** A moment of the monotonic clock, in milliseconds. */
  readonly deadline: number
  now(): number
  /** Calls back after so many milliseconds, never in the same step; what it gives stops that. */
  after(millis: number, then: () => void): () => void
  decide(): Decision
  offer(target: BuiltTarget): Offer<A, E, R>
  /** The pool that it is charged to there. */
  poolOf(target: BuiltTarget): string
  refused(target: BuiltTarget, error: RateLimiterError): void
}

/**
 * Who waits hears of what may change where it goes. What changes without a word, such as how long its own line takes, it sees when it asks again: after so
 * long, then after twice that and so on.
 */
const firstLook = 1_000

/** About when is never so soon that it would be asked again and again. */
const soonest = 10

/** What became of its admission, or that no target takes the call, as the decision says. */
export type Outcome<L> = { readonly admitted: L } | { readonly nowhere: Decision }

/** `L`: what an admission becomes, in the same step: who is interrupted right then does not lose it. */
export class Waiting<A, E, R, L> implements Waiter {
  private readonly host: Host<A, E, R>
  private readonly choice: Choice
  private readonly own: (admitted: Admitted<A, E, R>) => L
  private readonly stands = new Map<string, Stand<A, E, R>>()
  /** When each target's line is worth standing in. What was told before counts: deciding again puts nothing off. */
  private readonly due = new Map<number, number>()
  /** When it first stood in a line: from then on counts its longest wait. */
  private since: number | undefined
  private patience = firstLook
  private woken = false
  /** While it sleeps. */
  private resume: (() => void) | undefined
  /** Where it was told that there is room. */
  private beckoned: string | undefined
  private admittedIn: string | undefined
  /** To whose lines it would come, and until when it sleeps. */
  private aside: ReadonlyArray<string> = []
  private until = Infinity

  constructor(host: Host<A, E, R>, choice: Choice, own: (admitted: Admitted<A, E, R>) => L) {
    this.host = host
    this.choice = choice
    this.own = own
    // From now on: a fiber may have to give way between its first look and its sleep.
    choice.heedUnsafe(this.wake)
  }

  get asks(): Waiter["asks"] {
    return this.host.asks
  }

  /** Waits until it is admitted, or has nobody to wait for. Interrupting it leaves it where it is: `end` follows. */
  readonly admission: Effect.Effect<Outcome<L>> = Effect.suspend(() => {
    const outcome = this.enter()
    return outcome === undefined ? this.slept : Effect.succeed(outcome)
  })

  /** Once `enter` gave nothing: waits, and enters again. */
  readonly slept: Effect.Effect<Outcome<L>> = Effect.suspend(() => Effect.flatMap(this.sleep, () => this.admission))

  /** Joins whoever is due. What comes of it in the same step, if anything does. */
  enter(): Outcome<L> | undefined {
    const { beckoned, host } = this
    this.beckoned = undefined
    if (beckoned !== undefined) host.board.moved(beckoned)
    host.lookout.wakes(this, this.aside)
    const outcome = this.look()
    // What it was told in this step it has seen.
    this.woken = false
    if (outcome === undefined) host.lookout.sleeps(this, this.aside)
    if (beckoned !== undefined) host.lookout.answered(beckoned, this.admittedIn === beckoned)
    return outcome
  }

  /** Whatever came of it: who was not admitted leaves all lines. */
  end(): void {
    const { beckoned, host } = this
    this.beckoned = undefined
    host.lookout.wakes(this, this.aside)
    for (const [pool, stand] of this.stands) this.leave(pool, stand)
    if (beckoned !== undefined) host.lookout.answered(beckoned, false)
  }

  readonly wake = (pool?: string): void => {
    this.beckoned = pool ?? this.beckoned
    this.woken = true
    this.host.lookout.wakes(this, this.aside)
    this.resume?.()
  }

  private readonly sleep = Effect.callback<void>((resume) => {
    const { host } = this
    if (this.woken) return resume(Effect.void)
    const now = host.now()
    const look = now + this.patience
    const stop = host.after(Math.min(this.until, look) - now, () => {
      if (look <= this.until) this.patience *= 2
      this.wake()
    })
    const over = () => {
      this.resume = undefined
      stop()
    }
    this.resume = () => {
      over()
      resume(Effect.void)
    }
    return Effect.sync(over)
  })

  private look(): Outcome<L> | undefined {
    const { host } = this
    const now = host.now()
    let decision = host.decide()
    while (true) {
      if (now >= host.deadline) return { nowhere: decision }
      const came = this.join(decision, now)
      if (came === "refused") decision = host.decide()
      else if (came !== undefined) return came
      else break
    }
    const next = this.nextDue(decision, now)
    if (this.stands.size === 0 && next === Infinity) return { nowhere: decision }
    this.until = Math.min(next, this.nextOpen(decision, now), host.deadline)
    this.aside = this.others(decision)
    return undefined
  }

  /** Leaves the lines of those who take nobody now, and joins those that are due, in order, until one admits it. */
  private join({ candidates, excluded }: Decision, now: number): { readonly admitted: L } | "refused" | undefined {
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
      if (due > now) {
        this.due.set(target.index, due)
        continue
      }
      if (!this.joinOne(candidate, now)) continue
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

  private joinOne(candidate: Candidate, now: number): boolean {
    const { host, stands } = this
    const { target } = candidate
    if (stands.has(host.poolOf(target))) return false
    const offer = host.offer(target)
    const { pool } = offer.cost
    // Two targets of one pool are one line, and the first of them stands in it.
    if (stands.has(pool)) {
      offer.withdrawn?.()
      return false
    }
    const before = this.since === undefined ? 0 : now - this.since
    this.since ??= now
    stands.set(pool, { candidate, offer, before })
    host.lookout.stands(this, pool)
    this.choice.join(this.within(offer.cost, before, now))
    host.board.moved(pool)
    return true
  }

  /** Its longest wait counts from the first line that it stood in, whichever it comes to later, and ends with its time. */
  private within(cost: Cost, before: number, now: number): Cost {
    const { deadline } = this.host
    if (cost.maxWait === undefined && deadline === Infinity) return cost
    const own = cost.maxWait === undefined ? Infinity : Duration.toMillis(cost.maxWait) - before
    const longest = Math.max(0, Math.min(own, deadline - now))
    return { ...cost, maxWait: longest === Infinity ? undefined : Duration.millis(longest) }
  }

  private nextDue({ candidates }: Decision, now: number): number {
    let next = Infinity
    for (const { target } of candidates) {
      const due = this.due.get(target.index) ?? Infinity
      if (due > now) next = Math.min(next, due)
    }
    return next
  }

  /** Who is parked says for how long, and of who comes back it is known: nobody waits for that alone. */
  private nextOpen({ excluded }: Decision, now: number): number {
    let next = Infinity
    for (const { target, why } of excluded) {
      if (why._tag === "Refused") next = Math.min(next, now + (this.host.board.factsOf(target)?.waitMillis ?? Infinity))
      if (why._tag === "Recovering" && why.forMillis !== undefined) {
        next = Math.min(next, now + Math.max(soonest, why.forMillis))
      }
    }
    return next
  }

  /** In whose lines it does not stand, and might. */
  private others({ candidates, excluded }: Decision): ReadonlyArray<string> {
    const { host, stands } = this
    const others: Array<string> = []
    for (const { target } of candidates) {
      if (!stands.has(host.poolOf(target))) others.push(host.poolOf(target))
    }
    for (const { target, why } of excluded) {
      if (mayCome(why) && !stands.has(host.poolOf(target))) others.push(host.poolOf(target))
    }
    return others
  }

  private admitted(reservation: Reservation): L {
    const { stands } = this
    const { pool } = reservation
    const own = stands.get(pool)
    this.admittedIn = pool
    stands.delete(pool)
    this.host.lookout.left(this, pool)
    this.end()
    // The choice admits to pools that were joined, and each has its stand until it is left.
    if (own === undefined) throw new Error(`admitted to ${pool}, whose line was never joined`)
    const { candidate, offer } = own
    return this.own({ candidate, offer, reservation })
  }

  private refuse(pool: string, error: RateLimiterError): void {
    const stand = this.stands.get(pool)
    if (stand === undefined) return
    this.stands.delete(pool)
    this.host.lookout.left(this, pool)
    stand.offer.withdrawn?.()
    this.host.refused(stand.candidate.target, inAll(error, stand.before))
  }

  private leave(pool: string, { offer }: Stand<A, E, R>): void {
    this.stands.delete(pool)
    this.host.lookout.left(this, pool)
    this.choice.leave(pool)
    this.host.board.moved(pool)
    offer.withdrawn?.()
  }
}

/** A target that was well when it was joined, and is not now. What else excludes it later does not cost it a place that it has. */
const isShut = ({ _tag }: WhyNot): boolean => _tag === "Open" || _tag === "Probing"

/** What may change while a call waits. */
const mayCome = ({ _tag }: WhyNot): boolean =>
  _tag === "Open" || _tag === "Probing" || _tag === "Recovering" || _tag === "TooLate" || _tag === "Refused"

/** A wait that is too long is told as the call has it: with what it had waited before it came to that line. */
const inAll = (error: RateLimiterError, before: number): RateLimiterError => {
  const { pool, reason } = error
  if (before === 0 || reason._tag !== "WaitTooLong") return error
  const add = (wait: Duration.Duration) => Duration.sum(wait, Duration.millis(before))
  return new RateLimiterError({
    pool,
    reason: new WaitTooLong({ predicted: add(reason.predicted), maxWait: add(reason.maxWait) })
  })
}
