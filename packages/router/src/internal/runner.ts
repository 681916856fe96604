// A call's way to an answer: one budget of requests, one deadline, and one schedule over all targets.
import type * as Backoff from "@caprock/backoff/Backoff"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Scope from "effect/Scope"
import type { Routed, RouteFailure } from "../Account.ts"
import type { Decision } from "../Decision.ts"
import * as Fence from "../Fence.ts"
import { type RouterError, TargetClosed } from "../RouterError.ts"
import type { Judgement, Restore } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Call } from "./call.ts"
import type { Desk, Fund } from "./desk.ts"
import { Flights, type Leg } from "./flights.ts"
import { type Ends, errorOf, Requests } from "./requests.ts"
import { Schedule, worthAnother } from "./schedule.ts"
import { type Outcome, Waiting } from "./waiting.ts"
import { endsBy, firstOf, type Way } from "./ways.ts"

/** What comes next, up to how the call ends. */
type Rest<A, E, R> = Effect.Effect<Routed<A>, RouteFailure<E>, R>

interface Failed<E> {
  readonly target: BuiltTarget
  readonly error: E
  readonly judgement: Judgement
}

/** A circuit that rejects calls of a target which it tells to be well: after so often it is not asked any more. */
const mostClosings = 8

/** @internal */
export class Runner<A, E extends Backoff.Retryable, R> {
  private readonly desk: Desk
  private readonly call: Call<A, E, R>
  private readonly fund: Fund
  private readonly flights: Flights<A, E, R>
  private readonly schedule: Schedule
  private readonly requests: Requests<A, E, R>
  private restore: Restore = identity
  private closings = 0
  /** Requests that are under way beside what the call does now. */
  private readonly late = new Set<Leg<A, E, R>>()
  /** Nothing more can be sent, and what is late may still answer. */
  private spent = false
  /** The last answer that the caller's check rejected. */
  private rejected: { readonly leg: Leg<A, E, R>; readonly value: A } | undefined

  constructor(desk: Desk, call: Call<A, E, R>, fund: Fund, scope: Scope.Scope) {
    this.desk = desk
    this.call = call
    this.fund = fund
    this.flights = new Flights(scope)
    this.schedule = new Schedule(desk.backoff, call)
    this.requests = new Requests(desk, call, fund, this.flights, this.schedule)
  }

  /** Uninterruptible but for the waits, the requests and what the caller gave: what is open has its owner in the same step. */
  readonly run: Rest<A, E, R> = Effect.uninterruptibleMask((restore) => {
    this.restore = restore
    this.fund.purse?.deposit()
    this.fund.stakes.deposit()
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
      const waiting = new Waiting(
        call,
        choice,
        (admitted) => flight.admitted(admitted, call.now() - since, false)
      )
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
    const left = this.flights.leave(exit, this.rejected?.leg, ...this.late)
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
    const afterMillis = this.requests.lateAfter(leg)
    if (afterMillis < Infinity) return this.watched(leg, afterMillis)
    return Effect.matchCauseEffect(this.requests.send(leg, this.restore), {
      onSuccess: (value) => this.answered(leg, value),
      onFailure: (cause) => this.failed([{ leg, exit: Exit.failCause(cause) }])
    })
  }

  private landed(ends: Ends<A, E, R>): Rest<A, E, R> {
    const last = ends.at(-1)
    return last !== undefined && Exit.isSuccess(last.exit)
      ? this.answered(last.leg, last.exit.value)
      : this.failed(ends)
  }

  // ---------------------------------------------------------------------------
  // The rest of a call beside what is late of it
  // ---------------------------------------------------------------------------

  /** Sends it, and where it takes long goes on beside it. */
  private watched(leg: Leg<A, E, R>, afterMillis: number): Rest<A, E, R> {
    const legs: Array<Leg<A, E, R>> = []
    return Effect.flatMap(
      Effect.forkChild(this.requests.all(leg, legs), { startImmediately: true, uninterruptible: true }),
      (fiber) => this.until({ legs, fiber }, afterMillis, false)
    )
  }

  /** `unpaid`: there was no stake for it the last time. */
  private until(way: Way<A, E, R>, afterMillis: number, unpaid: boolean): Rest<A, E, R> {
    const { desk, fund: { stakes } } = this
    const waited = Effect.onExit(
      this.restore(endsBy(way, desk.alarm, this.call.now() + afterMillis, unpaid ? stakes : undefined)),
      (exit) => Exit.isSuccess(exit) ? Effect.void : Fiber.interrupt(way.fiber)
    )
    return Effect.flatMap(waited, (ends) => {
      if (ends !== undefined) return this.landed(ends)
      if (!this.hasOthers(way)) return this.until(way, afterMillis, false)
      return Effect.flatMap(this.schedule.next(worthAnother, "elsewhere"), (more) => {
        if (more === undefined) return this.until(way, Infinity, false)
        // Who is known to be sick is left for nothing.
        const isSick = way.legs.every(({ candidate: { target } }) =>
          desk.health.standingUnsafe(target.name)._tag !== "Closed"
        )
        if (isSick) return this.beside(way, false)
        return stakes.take() ? this.beside(way, true) : this.until(way, afterMillis, true)
      })
    })
  }

  private hasOthers({ legs }: Way<A, E, R>): boolean {
    const { call } = this
    return call.decide().candidates.some(({ afterMillis, target }) =>
      afterMillis < Infinity &&
      !legs.some(({ candidate, reservation }) =>
        candidate.target === target || reservation.pool === call.poolOf(target)
      )
    )
  }

  /** Goes on as if it had failed, while it may still answer. Of both the first answer counts. */
  private beside(way: Way<A, E, R>, staked: boolean): Rest<A, E, R> {
    const { call, fund: { stakes }, late, restore } = this
    const { waitedMillis } = call
    for (const leg of way.legs) {
      call.strike(leg.candidate.target, "it takes long")
      leg.late = way.fiber
      late.add(leg)
    }
    this.restore = Effect.interruptible
    // Whatever becomes of the call: only where the late request is what ends it was the other one for nothing.
    let isVain = false
    const settled = Effect.sync(() => {
      if (staked && !isVain) stakes.giveBack()
    })
    const isGivenUp = () => way.legs.every((leg) => !late.has(leg))
    const gone = () => {
      for (const leg of way.legs) late.delete(leg)
    }
    const both = (rest: Fiber.Fiber<Routed<A>, RouteFailure<E>>): Rest<A, E, R> =>
      Effect.flatMap(restore(firstOf(way.fiber, isGivenUp, rest)), (first) => {
        if (first._tag === "Late") {
          gone()
          const last = first.ends.at(-1)
          if (last !== undefined && (Exit.isSuccess(last.exit) || this.requests.isCallers(last.leg, last.exit))) {
            isVain = true
            return Effect.flatMap(Fiber.interrupt(rest), () => {
              // Nobody waited for what it waited.
              call.waitedMillis = waitedMillis
              this.spent = false
              return this.alone(restore, () => this.landed(first.ends))
            })
          }
          this.note(first.ends)
          return Effect.flatMap(
            restore(Fiber.await(rest)),
            (exit) => this.alone(restore, () => this.isSpent() ? this.conclude("exhausted") : exit)
          )
        }
        if (!this.isSpent()) return this.alone(restore, () => first.exit)
        // Nothing else is left that may answer.
        return Effect.flatMap(restore(Fiber.join(way.fiber)), (ends) => {
          gone()
          isVain = ends.some(({ exit }) => Exit.isSuccess(exit))
          return this.alone(restore, () => this.landed(ends))
        })
      }).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) ? settled : Effect.andThen(settled, Fiber.interruptAll([rest, way.fiber]))
        )
      )
    return Effect.flatMap(
      Effect.forkChild(Effect.suspend(() => this.again()), { startImmediately: true, uninterruptible: true }),
      both
    )
  }

  /** It is not beside anything any more. */
  private alone(restore: Restore, then: () => Rest<A, E, R>): Rest<A, E, R> {
    this.restore = restore
    return then()
  }

  private isSpent(): boolean {
    const { spent } = this
    this.spent = false
    return spent
  }

  // ---------------------------------------------------------------------------
  // What follows
  // ---------------------------------------------------------------------------

  private answered(leg: Leg<A, E, R>, value: A): Rest<A, E, R> {
    const { call, restore } = this
    for (const late of this.late) late.lost = true
    this.late.clear()
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
        this.schedule.next(worthAnother, "elsewhere"),
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
  private failed(ends: Ends<A, E, R>): Rest<A, E, R> {
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

  /** Of what failed while the call was at something else. */
  private note(ends: Ends<A, E, R>): void {
    for (const { exit, leg } of ends) {
      const error = Exit.isSuccess(exit) ? undefined : errorOf(exit.cause)
      if (error !== undefined && !(error instanceof TargetClosed)) this.call.failed(leg.candidate.target, error)
    }
  }

  private retry(failures: ReadonlyArray<Failed<E>>): Rest<A, E, R> {
    const { call, desk } = this
    const elsewhere = call.decide().candidates.length > 0
    const here = failures.filter(({ error }) => error.retryable)
    const first = here[0] ?? failures[0]
    if (first === undefined || !elsewhere && here.length === 0) return this.conclude("exhausted")
    return Effect.flatMap(this.schedule.next(first.error, elsewhere ? "elsewhere" : "here"), (wait) => {
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
    this.schedule.counts()
    return Effect.flatMap(
      this.schedule.next({ ...worthAnother, retryAfter: Duration.millis(soonest) }, "here"),
      (wait) => {
        if (wait === undefined) return this.conclude("exhausted")
        const since = call.now()
        call.held(Duration.toMillis(wait))
        const slept = Effect.onExit(restore(Effect.sleep(wait)), () => {
          call.waitedMillis += call.now() - since
          return Effect.void
        })
        return Effect.flatMap(slept, () => this.attempt())
      }
    )
  }

  /** No further request is sent. */
  private conclude(why: "caller" | "exhausted"): Rest<A, E, R> {
    const { call, rejected, restore } = this
    const { lastResort } = call.sending
    // An answer that was rejected is better than none.
    if (rejected !== undefined) return this.give(rejected.leg, rejected.value, true)
    const error = call.error()
    if (why === "exhausted" && this.late.size > 0) {
      this.spent = true
      return Effect.fail(this.failure(error))
    }
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
}

/** What is no failure of the caller's kind: a defect, or an interruption. */
const cleared = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.filter((reason) => !Cause.isFailReason(reason)))
