// The requests of one admission: the one that was admitted, and a second one beside it where it is slower than most.
import type * as Backoff from "@caprock/backoff/Backoff"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Judged } from "../Health.ts"
import { TargetClosed } from "../RouterError.ts"
import type { Restore } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Call } from "./call.ts"
import type { Desk, Fund } from "./desk.ts"
import type { Flights, Leg } from "./flights.ts"
import { type End, race } from "./hedge.ts"
import { lateAfter } from "./late.ts"
import type { Schedule } from "./schedule.ts"

/** How they ended, in that order. */
export type Ends<A, E, R> = ReadonlyArray<End<Leg<A, E, R>, A, E | TargetClosed>>

/** So many answers have to be known before any is called slow: fewer say nothing of the slowest in a hundred. */
export const fewestAnswers = 100

/** A second request is sent only to a pool of which so much is free: it must not make others wait. */
const freeEnough = 0.2

/** No model writes slower than 20 tokens a second: who waits for the whole of a long answer waits for that too, and the target is not sick. */
const millisPerToken = 50

/** @internal */
export class Requests<A, E extends Backoff.Retryable, R> {
  private readonly desk: Desk
  private readonly call: Call<A, E, R>
  private readonly fund: Fund
  private readonly flights: Flights<A, E, R>
  private readonly schedule: Schedule

  constructor(desk: Desk, call: Call<A, E, R>, fund: Fund, flights: Flights<A, E, R>, schedule: Schedule) {
    this.desk = desk
    this.call = call
    this.fund = fund
    this.flights = flights
    this.schedule = schedule
  }

  /** After what time the call goes on beside it; `Infinity` where it has nowhere else to go, or may send nothing more. */
  lateAfter({ candidate: { target } }: Leg<A, E, R>): number {
    const { call, desk } = this
    if (call.route.targets.length < 2 || call.attempts + 2 > desk.attempts) return Infinity
    return lateAfter(call.board.latencies(target), this.writingMillis, call.deadline - call.now())
  }

  /** All of them, each of which is noted in `legs` when it begins. To be run where nothing interrupts it, with what does. */
  all(leg: Leg<A, E, R>, legs: Array<Leg<A, E, R>>): Effect.Effect<Ends<A, E, R>, never, R> {
    legs.push(leg)
    const afterMillis = this.slowAfter(leg.candidate.target)
    if (afterMillis === undefined) {
      return Effect.map(Effect.exit(this.send(leg, Effect.interruptible)), (exit) => [{ leg, exit }])
    }
    const second = (one: Leg<A, E, R>) => {
      legs.push(one)
      return Effect.onExit(this.send(one, Effect.interruptible), () => {
        if (one.attempt === undefined) this.fund.purse?.giveBack()
        return Effect.void
      })
    }
    return race(
      Effect.interruptible,
      leg,
      (one) => one === leg ? this.send(leg, Effect.interruptible) : second(one),
      afterMillis,
      Effect.suspend(() => this.second(leg)),
      this.isCallers,
      (given) => {
        given.lost = true
      }
    )
  }

  /** To be run where nothing interrupts it. */
  send(leg: Leg<A, E, R>, restore: Restore): Effect.Effect<A, E | TargetClosed, R> {
    const { call, desk } = this
    const { candidate: { target, why }, hedge, offer, reservation, scope } = leg
    const sent = Effect.suspend(() => {
      const isFirst = !call.hasSentTo(target)
      this.schedule.counts()
      const attempt = call.sent(leg)
      const request = offer.send({ reservation, attempt, why, hedge, restore })
      const sent = offer.withdrawn === undefined ? restore(request) : request
      return isFirst ? Effect.andThen(desk.budget.deposit(offer.cost.pool), sent) : sent
    })
    return Scope.provide(sent, scope).pipe(
      desk.health.watch(target.name, this.judged(target), {
        retryAfter: retryAfterOf,
        writingMillis: this.writingMillis,
        leftMillis: call.deadline - call.now(),
        interrupted: () => leg.lost && call.isSilent(leg) ? "sick" : "ignore"
      }),
      Effect.onExit((exit) => {
        call.ended(leg, exit)
        return Effect.void
      })
    )
  }

  /** What the answer itself may take, after its first content. */
  private get writingMillis(): number {
    const { needs, output } = this.call.sending.ask
    return needs.includes("streaming") ? 0 : output * millisPerToken
  }

  private judged(target: BuiltTarget): (exit: Exit.Exit<A, E>) => Judged {
    return (exit) => {
      if (Exit.isSuccess(exit)) return "well"
      const error = errorOf(exit.cause)
      return error !== undefined && this.call.judge(error, target) === "sick" ? "sick" : "ignore"
    }
  }

  readonly isCallers = (leg: Leg<A, E, R>, exit: Exit.Exit<A, E | TargetClosed>): boolean => {
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
    const { call, desk, fund: { purse } } = this
    const { hedge } = call.route
    if (hedge === undefined || purse === undefined || call.attempts + 2 > desk.attempts) return undefined
    const latencies = call.board.latencies(target)
    return latencies === undefined || latencies.count < fewestAnswers
      ? undefined
      : latencies.percentile(hedge.percentile)
  }

  /** To be run where nothing interrupts it. */
  private second(first: Leg<A, E, R>): Effect.Effect<Leg<A, E, R> | undefined> {
    const { call, desk, fund: { purse } } = this
    if (purse === undefined || !purse.hasOne) return Effect.undefined
    // Something else is under way for the call already, or was: it may have no request left.
    if (first.late !== undefined || call.attempts + 1 > desk.attempts) return Effect.undefined
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
}

export const errorOf = <E>(cause: Cause.Cause<E>): E | undefined => cause.reasons.find(Cause.isFailReason)?.error

const retryAfterOf = (exit: Exit.Exit<unknown, Backoff.Retryable>): Duration.Duration | undefined =>
  Exit.isSuccess(exit) ? undefined : errorOf(exit.cause)?.retryAfter
