// A call's way to an answer: one budget of requests, one deadline, and one schedule over all targets.
import type { Retryable, Tries } from "@caprock/backoff/Backoff"
import type { RetryBudget } from "@caprock/backoff/RetryBudget"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Account, Routed, RouteFailure } from "../Account.ts"
import type { Ask, Decision } from "../Decision.ts"
import * as Fence from "../Fence.ts"
import type { Health, Judged } from "../Health.ts"
import { type RouterError, TargetClosed } from "../RouterError.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Call } from "./call.ts"
import { Flights, type Leg } from "./flights.ts"
import { type End, race } from "./hedge.ts"
import { Waiting } from "./waiting.ts"

/** What all calls of a router share. */
export interface Desk {
  readonly limiter: RateLimiter["Service"]
  readonly health: Health["Service"]
  readonly budget: RetryBudget["Service"]
  /** Requests that may be sent for a call. */
  readonly attempts: number
  /** How long a target is left alone that failed, while others can be asked: the first time, then twice that and so on, up to the cap. */
  readonly baseMillis: number
  readonly capMillis: number
  /** A call answered there: what of it a cache may have is in the target's now. */
  readonly touch: (ask: Ask, target: BuiltTarget) => void
}

/** What came of one admission, and of what was sent with it. */
type Step<A, E, R> =
  | { readonly _tag: "Answered"; readonly leg: Leg<A, E, R>; readonly value: A }
  | { readonly _tag: "Ended"; readonly ends: ReadonlyArray<End<Leg<A, E, R>, A, E | TargetClosed>> }
  | { readonly _tag: "Again" }
  | { readonly _tag: "Nowhere"; readonly decision: Decision }

/** Whether it goes on, or why not: the error is the caller's own, or nobody is left to be asked. */
type Next = "again" | "caller" | "exhausted"

/** A circuit that rejects calls of a target which it tells to be well: after so often it is not asked any more. */
const mostClosings = 8

/** So many answers have to be known before any is called slow: fewer say nothing of the slowest in a hundred. */
export const fewestAnswers = 100

/** A second request is sent only to a pool of which so much is free: it must not make others wait. */
const freeEnough = 0.2

/** No model writes slower than 20 tokens a second: who waits for the whole of a long answer waits for that too, and the target is not sick. */
const millisPerToken = 50

/** @internal */
export class Runner<A, E extends Retryable, R> {
  private readonly desk: Desk
  private readonly call: Call<A, E, R>
  private readonly tries: Tries
  /** What second requests of the route are drawn from. */
  private readonly hedges: RetryBudget["Service"] | undefined
  private closings = 0

  constructor(desk: Desk, call: Call<A, E, R>, tries: Tries, hedges: RetryBudget["Service"] | undefined) {
    this.desk = desk
    this.call = call
    this.tries = tries
    this.hedges = hedges
  }

  /** Uninterruptible but for the waits, the requests and what the caller gave: what is open has its owner in the same step. */
  readonly run: Effect.Effect<Routed<A>, RouteFailure<E>, R | Scope.Scope> = Effect.uninterruptibleMask((restore) => {
    const { call, hedges } = this
    const { check, lastResort } = call.sending
    const { fence, self } = { fence: call.innerFence, self: this }
    return Effect.gen(function*() {
      const scope = yield* Effect.scope
      if (hedges !== undefined) yield* hedges.deposit()
      let rejected: { readonly leg: Leg<A, E, R>; readonly value: A; readonly flights: Flights<A, E, R> } | undefined
      const leaveRejected = (exit: Exit.Exit<unknown, unknown>) => rejected?.flights.close(exit) ?? Effect.void

      while (true) {
        const flights = new Flights<A, E, R>(scope)
        const exit = yield* Effect.exit(restore(self.step(flights)))
        if (Exit.isFailure(exit)) {
          yield* Effect.andThen(flights.close(exit), leaveRejected(exit))
          return yield* Effect.failCause(exit.cause)
        }
        const came = exit.value
        if (came._tag === "Answered") {
          const { leg, value } = came
          yield* flights.close(exit, leg)
          const good = check === undefined ? Exit.succeed(true) : yield* Effect.exit(restore(check(value)))
          if (Exit.isFailure(good)) {
            yield* Effect.andThen(flights.close(good), leaveRejected(good))
            const error = good.cause.reasons.find(Cause.isFailReason)?.error
            return yield* error === undefined
              ? Effect.failCause(cleared(good.cause))
              : self.fail(error, call.account(undefined))
          }
          if (good.value) {
            yield* leaveRejected(good)
            return self.answered(leg, value, false)
          }
          call.rejected(leg)
          yield* leaveRejected(good)
          rejected = { leg, value, flights }
          if (
            call.escalate(leg.candidate.target) && (yield* self.tries.next(worthAnother, "elsewhere")) !== undefined
          ) continue
          return self.answered(leg, value, true)
        }
        yield* flights.close(exit)
        const next = yield* restore(self.next(came))
        if (next === "again") continue
        if (rejected !== undefined) return self.answered(rejected.leg, rejected.value, true)
        const error = call.error()
        if (next === "caller" || lastResort === undefined) return yield* self.fail(error, call.account(undefined))
        const account = call.account(undefined, { lastResort: true })
        const last = yield* Effect.exit(
          restore(Effect.provideService(lastResort(call.exhausted(error, account)), Fence.CurrentFence, fence))
        )
        if (Exit.isSuccess(last)) {
          call.over(true, account)
          return { value: last.value, account }
        }
        const failed = last.cause.reasons.find(Cause.isFailReason)?.error
        return yield* failed === undefined ? Effect.failCause(cleared(last.cause)) : self.fail(failed, account)
      }
    })
  })

  private answered(leg: Leg<A, E, R>, value: A, rejected: boolean): Routed<A> {
    const { call, desk } = this
    desk.touch(call.sending.ask, leg.candidate.target)
    const account = call.account(leg, { rejected })
    call.over(true, account)
    return { value, account }
  }

  private fail(error: E | RouterError, account: Account): Effect.Effect<never, RouteFailure<E>> {
    return Effect.suspend(() => {
      this.call.over(false, account)
      return Effect.fail({ _tag: "RouteFailure", error, account })
    })
  }

  // ---------------------------------------------------------------------------
  // One admission, and what is sent with it
  // ---------------------------------------------------------------------------

  private step(flights: Flights<A, E, R>): Effect.Effect<Step<A, E, R>, never, R> {
    const { call, desk } = this
    return Effect.gen({ self: this }, function*() {
      const flight = flights.begin()
      const choice = yield* Scope.provide(desk.limiter.choice, flight.scope)
      const since = call.now()
      const waiting = new Waiting(call, choice, (admitted) => flight.admitted(admitted, call.now() - since, false))
      flight.waiting = waiting
      const came = yield* Effect.onExit(waiting.admission, () =>
        Effect.sync(() => {
          call.waitedMillis += call.now() - since
        }))
      if ("nowhere" in came) return { _tag: "Nowhere", decision: came.nowhere }
      const leg = came.admitted
      const { target } = leg.candidate
      if (call.hasSentTo(target) && !(yield* desk.budget.withdraw(leg.offer.cost.pool))) {
        call.strike(target, "no retry is left in the budget")
        return { _tag: "Again" }
      }
      const afterMillis = this.slowAfter(target)
      const ends = afterMillis === undefined
        ? [{ leg, exit: yield* Effect.exit(this.send(leg)) }]
        : yield* race(leg, this.send, afterMillis, this.second(flights, leg), this.isCallers, (given) => {
          given.lost = true
        })
      const last = ends.at(-1)
      return last !== undefined && Exit.isSuccess(last.exit)
        ? { _tag: "Answered", leg: last.leg, value: last.exit.value }
        : { _tag: "Ended", ends }
    })
  }

  private readonly send = (leg: Leg<A, E, R>): Effect.Effect<A, E | TargetClosed, R> => {
    const { call, desk, tries } = this
    const { candidate: { target, why }, hedge, offer, reservation, scope } = leg
    const { needs, output } = call.sending.ask
    const writingMillis = needs.includes("streaming") ? 0 : output * millisPerToken
    const sent = Effect.suspend(() => {
      const isFirst = !call.hasSentTo(target)
      tries.sent()
      const attempt = call.sent(leg)
      const sent = offer.send({ reservation, attempt, why, hedge })
      return isFirst ? Effect.andThen(desk.budget.deposit(offer.cost.pool), sent) : sent
    })
    const leftMillis = call.deadline - call.now()
    return Scope.provide(sent, scope).pipe(
      desk.health.watch(target.name, this.judged(target), { retryAfter: retryAfterOf, writingMillis, leftMillis }),
      Effect.onExit((exit) => Effect.sync(() => call.ended(leg, exit)))
    )
  }

  private judged(target: BuiltTarget): (exit: Exit.Exit<A, E>) => Judged {
    return (exit) => {
      if (Exit.isSuccess(exit)) return "well"
      const error = exit.cause.reasons.find(Cause.isFailReason)?.error
      return error !== undefined && this.call.judge(error, target) === "sick" ? "sick" : "ignore"
    }
  }

  private readonly isCallers = (leg: Leg<A, E, R>, exit: Exit.Exit<A, E | TargetClosed>): boolean => {
    if (Exit.isSuccess(exit)) return false
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    return error === undefined ||
      !(error instanceof TargetClosed) && this.call.judge(error, leg.candidate.target) === "caller"
  }

  // ---------------------------------------------------------------------------
  // A second request beside a slow one
  // ---------------------------------------------------------------------------

  /** After what time a request to it is slow, where a second one may be sent then. */
  private slowAfter(target: BuiltTarget): number | undefined {
    const { call, desk, hedges } = this
    const { hedge } = call.route
    if (hedge === undefined || hedges === undefined || call.attempts + 2 > desk.attempts) return undefined
    const latencies = call.board.latencies(target)
    return latencies === undefined || latencies.count < fewestAnswers
      ? undefined
      : latencies.percentile(hedge.percentile)
  }

  private second(flights: Flights<A, E, R>, first: Leg<A, E, R>): Effect.Effect<Leg<A, E, R> | undefined> {
    const { call, desk, hedges } = this
    return Effect.gen(function*() {
      if (hedges === undefined) return undefined
      const candidate = call.decide().candidates.find(({ target }) => {
        const facts = call.board.factsOf(target)
        return call.at(target.index) === undefined && target !== first.candidate.target &&
          call.poolOf(target) !== first.reservation.pool && facts !== undefined && facts.waitMillis === 0 &&
          facts.free >= freeEnough && facts.standing._tag === "Closed" && facts.standing.share === 1
      })
      if (candidate === undefined || !(yield* hedges.withdraw())) return undefined
      const flight = flights.begin()
      const choice = yield* Scope.provide(desk.limiter.choice, flight.scope)
      const offer = call.offer(candidate.target)
      choice.join(offer.cost)
      call.board.moved(offer.cost.pool)
      const outcome = choice.nextUnsafe()
      if (outcome?._tag !== "Admitted") {
        // It was not free after all. It does not wait for it.
        offer.withdrawn()
        yield* Scope.close(flight.scope, Exit.void)
        return undefined
      }
      call.hedged = true
      return flight.admitted({ candidate, offer, reservation: outcome.reservation }, 0, true)
    }).pipe(Effect.uninterruptible)
  }

  // ---------------------------------------------------------------------------
  // What follows
  // ---------------------------------------------------------------------------

  private next(came: Exclude<Step<A, E, R>, { readonly _tag: "Answered" }>): Effect.Effect<Next> {
    if (came._tag === "Again") return Effect.succeed("again")
    return came._tag === "Nowhere" ? this.hold(came.decision) : this.failed(came.ends)
  }

  /** Nobody takes the call. Where that is for their health it waits for the first that may be back, as after a failure. */
  private hold(decision: Decision): Effect.Effect<Next> {
    const { call, tries } = this
    let soonest = Infinity
    for (const { why } of decision.excluded) {
      if (why._tag === "Open") soonest = Math.min(soonest, why.forMillis)
      if (why._tag === "Probing") soonest = 0
    }
    if (decision.candidates.length > 0 || soonest === Infinity) return Effect.succeed("exhausted")
    tries.sent()
    return Effect.flatMap(
      tries.next({ ...worthAnother, retryAfter: Duration.millis(soonest) }, "here"),
      (wait): Effect.Effect<Next> => {
        if (wait === undefined) return Effect.succeed("exhausted")
        const since = call.now()
        call.held(Duration.toMillis(wait))
        return Effect.as(Effect.sleep(wait), "again" as const).pipe(
          Effect.onExit(() =>
            Effect.sync(() => {
              call.waitedMillis += call.now() - since
            })
          )
        )
      }
    )
  }

  private failed(ends: ReadonlyArray<End<Leg<A, E, R>, A, E | TargetClosed>>): Effect.Effect<Next> {
    const { call, desk, tries } = this
    return Effect.gen({ self: this }, function*() {
      let next: Next = "again"
      for (const { exit, leg } of ends) {
        if (Exit.isSuccess(exit)) continue
        const { target } = leg.candidate
        const error = exit.cause.reasons.find(Cause.isFailReason)?.error
        if (error === undefined) return yield* Effect.failCause(cleared(exit.cause))
        if (error instanceof TargetClosed) {
          if (++this.closings >= mostClosings) call.strike(target, "its circuit is closed to calls")
          continue
        }
        const judgement = call.failed(target, error)
        if (judgement === "caller") return "caller"
        const elsewhere = call.decide().candidates.length > 0
        if (!elsewhere && !error.retryable) {
          next = "exhausted"
          continue
        }
        const wait = yield* tries.next(error, elsewhere ? "elsewhere" : "here")
        if (wait === undefined) return "exhausted"
        next = "again"
        if (!error.retryable) continue
        const own = elsewhere
          ? Math.min(desk.capMillis, desk.baseMillis * 2 ** (call.timesSentTo(target) - 1))
          : Duration.toMillis(wait)
        const asked = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
        call.comeBack(target, Math.max(own, asked), error, judgement)
      }
      return next
    })
  }
}

/** Of the shape of an error that is worth another try anywhere. */
const worthAnother: Retryable = { retryable: true, retryableElsewhere: true }

const retryAfterOf = (exit: Exit.Exit<unknown, Retryable>): Duration.Duration | undefined =>
  Exit.isSuccess(exit) ? undefined : exit.cause.reasons.find(Cause.isFailReason)?.error.retryAfter

/** What is no failure of the caller's kind: a defect, or an interruption. */
const cleared = (cause: Cause.Cause<unknown>): Cause.Cause<never> =>
  Cause.fromReasons(cause.reasons.filter((reason) => !Cause.isFailReason(reason)))
