// A call's way to an answer: one budget of requests, one deadline, and one schedule over all targets.
import * as Backoff from "@caprock/backoff/Backoff"
import type { RetryBudget } from "@caprock/backoff/RetryBudget"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Scope from "effect/Scope"
import type { Routed, RouteFailure } from "../Account.ts"
import type { Ask, Decision } from "../Decision.ts"
import * as Fence from "../Fence.ts"
import type { Health, Judged } from "../Health.ts"
import { type RouterError, TargetClosed } from "../RouterError.ts"
import type { Judgement, Restore } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Call } from "./call.ts"
import { Flights, type Leg } from "./flights.ts"
import { type End, type Purse, race } from "./hedge.ts"
import { type Outcome, Waiting } from "./waiting.ts"

/** What all calls of a router share. */
export interface Desk {
  readonly limiter: RateLimiter["Service"]
  readonly health: Health["Service"]
  readonly budget: RetryBudget["Service"]
  readonly backoff: Backoff.Options
  /** Requests that may be sent for a call. */
  readonly attempts: number
  /** How long a target is left alone that failed, while others can be asked: the first time, then twice that and so on, up to the cap. */
  readonly baseMillis: number
  readonly capMillis: number
  /** A call answered there: what of it a cache may have is in the target's now. */
  readonly touch: (ask: Ask, target: BuiltTarget) => void
}

/** What comes next, up to how the call ends. */
type Rest<A, E, R> = Effect.Effect<Routed<A>, RouteFailure<E>, R>

interface Failed<E> {
  readonly target: BuiltTarget
  readonly error: E
  readonly judgement: Judgement
}

/** A circuit that rejects calls of a target which it tells to be well: after so often it is not asked any more. */
const mostClosings = 8

/** So many answers have to be known before any is called slow: fewer say nothing of the slowest in a hundred. */
export const fewestAnswers = 100

/** A second request is sent only to a pool of which so much is free: it must not make others wait. */
const freeEnough = 0.2

/** No model writes slower than 20 tokens a second: who waits for the whole of a long answer waits for that too, and the target is not sick. */
const millisPerToken = 50

/** @internal */
export class Runner<A, E extends Backoff.Retryable, R> {
  private readonly desk: Desk
  private readonly call: Call<A, E, R>
  /** What second requests of the route are paid from. */
  private readonly purse: Purse | undefined
  private readonly flights: Flights<A, E, R>
  private restore: Restore = identity
  private tries: Backoff.Tries | undefined
  /** Requests that were sent, and holds, before the first failure. */
  private before = 0
  private closings = 0
  /** The last answer that the caller's check rejected. */
  private rejected: { readonly leg: Leg<A, E, R>; readonly value: A } | undefined

  constructor(desk: Desk, call: Call<A, E, R>, purse: Purse | undefined, scope: Scope.Scope) {
    this.desk = desk
    this.call = call
    this.purse = purse
    this.flights = new Flights(scope)
  }

  /** Uninterruptible but for the waits, the requests and what the caller gave: what is open has its owner in the same step. */
  readonly run: Rest<A, E, R> = Effect.uninterruptibleMask((restore) => {
    this.restore = restore
    this.purse?.deposit()
    return Effect.onExit(Effect.suspend(() => this.attempt()), (exit) => {
      const over = Effect.sync(() => this.call.over(exit))
      const left = Exit.isSuccess(exit) ? undefined : this.flights.leave(exit)
      return left === undefined ? over : Effect.andThen(left, over)
    })
  })

  // ---------------------------------------------------------------------------
  // One admission, and what is sent with it
  // ---------------------------------------------------------------------------

  private attempt(): Rest<A, E, R> {
    const { call, desk, restore } = this
    const flight = this.flights.begin()
    return Effect.flatMap(Scope.provide(desk.limiter.choice, flight.scope), (choice) => {
      const since = call.now()
      const waiting = new Waiting(call, choice, (admitted) => flight.admitted(admitted, call.now() - since, false))
      flight.waiting = waiting
      const outcome = waiting.enter()
      if (outcome !== undefined) return this.entered(outcome)
      const slept = Effect.onExit(restore(waiting.slept), () => {
        call.waitedMillis += call.now() - since
        return Effect.void
      })
      return Effect.flatMap(slept, (outcome) => this.entered(outcome))
    })
  }

  /** Leaves what is open, but for an answer that may still be the best, and asks again. */
  private again(): Rest<A, E, R> {
    return this.after(Exit.void, () => this.attempt())
  }

  private after(exit: Exit.Exit<unknown, unknown>, then: () => Rest<A, E, R>): Rest<A, E, R> {
    const left = this.flights.leave(exit, this.rejected?.leg)
    return left === undefined ? then() : Effect.flatMap(left, then)
  }

  private entered(outcome: Outcome<Leg<A, E, R>>): Rest<A, E, R> {
    const { call, desk } = this
    if ("nowhere" in outcome) return this.after(Exit.void, () => this.hold(outcome.nowhere))
    const leg = outcome.admitted
    const { target } = leg.candidate
    if (!call.hasSentTo(target)) return this.fly(leg)
    return Effect.flatMap(desk.budget.withdraw(leg.offer.cost.pool), (granted) => {
      if (granted) return this.fly(leg)
      call.strike(target, "no retry is left in the budget")
      return this.again()
    })
  }

  private fly(leg: Leg<A, E, R>): Rest<A, E, R> {
    const afterMillis = this.slowAfter(leg.candidate.target)
    if (afterMillis === undefined) {
      return Effect.matchCauseEffect(this.send(leg, this.restore), {
        onSuccess: (value) => this.answered(leg, value),
        onFailure: (cause) => this.failed([{ leg, exit: Exit.failCause(cause) }])
      })
    }
    const ends = race(
      this.restore,
      leg,
      (leg) => this.send(leg, Effect.interruptible),
      afterMillis,
      Effect.suspend(() => this.second(leg)),
      this.isCallers,
      (given) => {
        given.lost = true
      }
    )
    return Effect.flatMap(ends, (ends) => {
      const last = ends.at(-1)
      return last !== undefined && Exit.isSuccess(last.exit)
        ? this.answered(last.leg, last.exit.value)
        : this.failed(ends)
    })
  }

  /** To be run where nothing interrupts it. */
  private send(leg: Leg<A, E, R>, restore: Restore): Effect.Effect<A, E | TargetClosed, R> {
    const { call, desk } = this
    const { candidate: { target, why }, hedge, offer, reservation, scope } = leg
    const { needs, output } = call.sending.ask
    const writingMillis = needs.includes("streaming") ? 0 : output * millisPerToken
    const sent = Effect.suspend(() => {
      const isFirst = !call.hasSentTo(target)
      this.counts()
      const attempt = call.sent(leg)
      const request = offer.send({ reservation, attempt, why, hedge, restore })
      const sent = offer.withdrawn === undefined ? restore(request) : request
      return isFirst ? Effect.andThen(desk.budget.deposit(offer.cost.pool), sent) : sent
    })
    const leftMillis = call.deadline - call.now()
    return Scope.provide(sent, scope).pipe(
      desk.health.watch(target.name, this.judged(target), { retryAfter: retryAfterOf, writingMillis, leftMillis }),
      Effect.onExit((exit) => {
        call.ended(leg, exit)
        if (hedge && leg.attempt === undefined) this.purse?.giveBack()
        return Effect.void
      })
    )
  }

  private judged(target: BuiltTarget): (exit: Exit.Exit<A, E>) => Judged {
    return (exit) => {
      if (Exit.isSuccess(exit)) return "well"
      const error = errorOf(exit.cause)
      return error !== undefined && this.call.judge(error, target) === "sick" ? "sick" : "ignore"
    }
  }

  private readonly isCallers = (leg: Leg<A, E, R>, exit: Exit.Exit<A, E | TargetClosed>): boolean => {
    if (Exit.isSuccess(exit)) return false
    const error = errorOf(exit.cause)
    return error === undefined ||
      !(error instanceof TargetClosed) && this.call.judge(error, leg.candidate.target) === "caller"
  }

  // ---------------------------------------------------------------------------
  // A second request beside a slow one
  // ---------------------------------------------------------------------------

  /** After what time a request to it is slow, where a second one may be sent then. */
  private slowAfter(target: BuiltTarget): number | undefined {
    const { call, desk, purse } = this
    const { hedge } = call.route
    if (hedge === undefined || purse === undefined || call.attempts + 2 > desk.attempts) return undefined
    const latencies = call.board.latencies(target)
    return latencies === undefined || latencies.count < fewestAnswers
      ? undefined
      : latencies.percentile(hedge.percentile)
  }

  /** To be run where nothing interrupts it. */
  private second(first: Leg<A, E, R>): Effect.Effect<Leg<A, E, R> | undefined> {
    const { call, desk, purse } = this
    if (purse === undefined || !purse.hasOne) return Effect.undefined
    const candidate = call.decide().candidates.find(({ target }) => {
      const facts = call.board.factsOf(target)
      return call.at(target.index) === undefined && target !== first.candidate.target &&
        call.poolOf(target) !== first.reservation.pool && facts !== undefined && facts.waitMillis === 0 &&
        facts.free >= freeEnough && facts.standing._tag === "Closed" && facts.standing.share === 1
    })
    if (candidate === undefined) return Effect.undefined
    const flight = this.flights.begin()
    return Effect.flatMap(Scope.provide(desk.limiter.choice, flight.scope), (choice) => {
      const offer = call.offer(candidate.target)
      choice.join(offer.cost)
      call.board.moved(offer.cost.pool)
      const outcome = choice.nextUnsafe()
      if (outcome?._tag === "Admitted" && purse.take()) {
        return Effect.succeed(flight.admitted({ candidate, offer, reservation: outcome.reservation }, 0, true))
      }
      // It was not free after all, and does not wait for it; or another call was quicker to take what was paid.
      offer.withdrawn?.()
      const left = outcome?._tag === "Admitted" ? outcome.reservation.release : Effect.void
      return Effect.as(Effect.andThen(left, Scope.close(flight.scope, Exit.void)), undefined)
    })
  }

  // ---------------------------------------------------------------------------
  // What follows
  // ---------------------------------------------------------------------------

  private answered(leg: Leg<A, E, R>, value: A): Rest<A, E, R> {
    const { call, restore } = this
    const { check } = call.sending
    if (check === undefined) return this.give(leg, value, false)
    const left = this.flights.leave(Exit.void, leg, this.rejected?.leg) ?? Effect.void
    const good = Effect.flatMap(left, () =>
      restore(Effect.mapError(
        Effect.provideService(check(value), Fence.CurrentFence, call.innerFence),
        (error) => this.failure(error)
      )))
    return Effect.flatMap(good, (good) => {
      if (good) return this.give(leg, value, false)
      call.rejected(leg)
      this.rejected = { leg, value }
      if (!call.escalate(leg.candidate.target)) return this.give(leg, value, true)
      return Effect.flatMap(
        this.next(worthAnother, "elsewhere"),
        (wait) => wait === undefined ? this.give(leg, value, true) : this.again()
      )
    })
  }

  /** The answer, and nothing else stays open. */
  private give(leg: Leg<A, E, R>, value: A, rejected: boolean): Rest<A, E, R> {
    const { call, desk } = this
    const left = this.flights.leave(Exit.void, leg)
    const given = (): Routed<A> => {
      desk.touch(call.sending.ask, leg.candidate.target)
      return { value, account: call.account(leg, { rejected }) }
    }
    return left === undefined ? Effect.succeed(given()) : Effect.map(left, given)
  }

  /** All of them are noted before it is asked what comes next: the call's error is the most telling of all. */
  private failed(ends: ReadonlyArray<End<Leg<A, E, R>, A, E | TargetClosed>>): Rest<A, E, R> {
    const { call } = this
    const failures: Array<Failed<E>> = []
    for (const { exit, leg } of ends) {
      if (Exit.isSuccess(exit)) continue
      const { target } = leg.candidate
      const error = errorOf(exit.cause)
      if (error === undefined) return Effect.failCause(cleared(exit.cause))
      if (!(error instanceof TargetClosed)) {
        failures.push({ target, error, judgement: call.failed(target, error) })
      } else if (++this.closings >= mostClosings) {
        call.strike(target, "its circuit is closed to calls")
      }
    }
    return this.after(ends[0]?.exit ?? Exit.void, () => {
      if (failures.some(({ judgement }) => judgement === "caller")) return this.conclude("caller")
      return failures.length === 0 ? this.attempt() : this.retry(failures)
    })
  }

  private retry(failures: ReadonlyArray<Failed<E>>): Rest<A, E, R> {
    const { call, desk } = this
    const elsewhere = call.decide().candidates.length > 0
    const here = failures.filter(({ error }) => error.retryable)
    const first = here[0] ?? failures[0]
    if (first === undefined || !elsewhere && here.length === 0) return this.conclude("exhausted")
    return Effect.flatMap(this.next(first.error, elsewhere ? "elsewhere" : "here"), (wait) => {
      if (wait === undefined) return this.conclude("exhausted")
      for (const { error, judgement, target } of here) {
        const own = elsewhere
          ? Math.min(desk.capMillis, desk.baseMillis * 2 ** (call.timesSentTo(target) - 1))
          : Duration.toMillis(wait)
        const asked = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
        call.comeBack(target, Math.max(own, asked), error, judgement)
      }
      return this.attempt()
    })
  }

  /** Nobody takes the call. Where that is for their health it waits for the first that may be back, as after a failure. */
  private hold(decision: Decision): Rest<A, E, R> {
    const { call, restore } = this
    let soonest = Infinity
    for (const { why } of decision.excluded) {
      if (why._tag === "Open") soonest = Math.min(soonest, why.forMillis)
      if (why._tag === "Probing") soonest = 0
    }
    if (decision.candidates.length > 0 || soonest === Infinity) return this.conclude("exhausted")
    this.counts()
    return Effect.flatMap(this.next({ ...worthAnother, retryAfter: Duration.millis(soonest) }, "here"), (wait) => {
      if (wait === undefined) return this.conclude("exhausted")
      const since = call.now()
      call.held(Duration.toMillis(wait))
      const slept = Effect.onExit(restore(Effect.sleep(wait)), () => {
        call.waitedMillis += call.now() - since
        return Effect.void
      })
      return Effect.flatMap(slept, () => this.attempt())
    })
  }

  /** No further request is sent. */
  private conclude(why: "caller" | "exhausted"): Rest<A, E, R> {
    const { call, rejected, restore } = this
    const { lastResort } = call.sending
    // An answer that was rejected is better than none.
    if (rejected !== undefined) return this.give(rejected.leg, rejected.value, true)
    const error = call.error()
    if (why === "caller" || lastResort === undefined) return Effect.fail(this.failure(error))
    const account = call.account(undefined, { lastResort: true })
    const last = Effect.suspend(() => lastResort(call.exhausted(error, account)))
    return restore(Effect.provideService(last, Fence.CurrentFence, call.innerFence)).pipe(
      Effect.mapBoth({
        onSuccess: (value) => ({ value, account }),
        onFailure: (error): RouteFailure<E> => ({ _tag: "RouteFailure", error, account })
      })
    )
  }

  private failure(error: E | RouterError): RouteFailure<E> {
    return { _tag: "RouteFailure", error, account: this.call.account(undefined) }
  }

  // ---------------------------------------------------------------------------
  // The one schedule. Most calls never ask it: it is begun by the first failure
  // ---------------------------------------------------------------------------

  private counts(): void {
    if (this.tries === undefined) this.before++
    else this.tries.sent()
  }

  private next(error: Backoff.Retryable, how: "here" | "elsewhere"): Effect.Effect<Duration.Duration | undefined> {
    const { call, desk, tries } = this
    if (tries !== undefined) return tries.next(error, how)
    const deadline = Math.max(0, call.deadline - call.now())
    return Effect.flatMap(Backoff.begin({ ...desk.backoff, deadline }), (tries) => {
      this.tries = tries
      for (let sent = 0; sent < this.before; sent++) tries.sent()
      return tries.next(error, how)
    })
  }
}

/** Of the shape of an error that is worth another try anywhere. */
const worthAnother: Backoff.Retryable = { retryable: true, retryableElsewhere: true }

const errorOf = <E>(cause: Cause.Cause<E>): E | undefined => cause.reasons.find(Cause.isFailReason)?.error

const retryAfterOf = (exit: Exit.Exit<unknown, Backoff.Retryable>): Duration.Duration | undefined =>
  Exit.isSuccess(exit) ? undefined : errorOf(exit.cause)?.retryAfter

/** What is no failure of the caller's kind: a defect, or an interruption. */
const cleared = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.filter((reason) => !Cause.isFailReason(reason)))
