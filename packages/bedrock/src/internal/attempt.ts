// One attempt of a call: its reservation, what it told the listener, and its one end.
import type { Limit } from "@caprock/backoff/Backoff"
import { CallObserver, type ResponseHead } from "@caprock/client/CallObserver"
import type { BedrockError } from "@caprock/errors/BedrockError"
import type { Reason, ServerError, ThrottlingError } from "@caprock/errors/Reason"
import type * as Accounting from "@caprock/quota/Accounting"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { CallTurn } from "../CallTurn.ts"
import * as Refund from "../Refund.ts"
import type { Accountant, Entry, Request } from "./accountant.ts"
import { fromLimiter, type Subject } from "./failures.ts"
import { type Limits, monotonic, timely } from "./limits.ts"
import type { Tell } from "./listening.ts"

/** What the attempts of a call share. */
export interface Call {
  readonly subject: Subject
  readonly request: Request
  readonly limiter: RateLimiter["Service"]
  readonly accountant: Accountant
  readonly limits: Limits
  readonly turn: CallTurn
  readonly countThrottled: boolean
  /** Of the caller: where metrics are kept. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly tell: Tell
  readonly tally: Tally
}

/** What a call has cost so far. */
export interface Tally {
  attempts: number
  sent: number
  waitedMillis: number
  serviceMillis: number
  /** What ended the retries, if anything but the error did. */
  gaveUp: Limit | undefined
}

/** What an answer tells of its cost. */
export interface Served {
  readonly usage: Accounting.Usage | undefined
  /** The server's own time from the request's arrival to its end. */
  readonly latencyMillis: number | undefined
}

/** An attempt that was admitted. Its end comes exactly once: the first of `succeeded`, `failed` and `abandoned`. */
export interface Attempt {
  readonly observer: CallObserver
  head(): ResponseHead | undefined
  succeeded(served: () => Served): Effect.Effect<void>
  failed(error: BedrockError): Effect.Effect<void>
  /** What it cost is known already, though it has not ended. */
  learned(served: Served): void
  /** Its caller was interrupted, or left a stream early: what was sent stays charged, what was not is given back. */
  readonly abandoned: Effect.Effect<void>
}

/** Makes a part interruptible again, as far as the whole is. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Reserves for one attempt, waits for admission, and goes on. Whoever calls it is not to be interrupted before the end of the
 * attempt; `restore` is for the wait. The scope has to be closed after that end.
 *
 * @internal
 */
export const admit = <A, R>(
  call: Call,
  restore: Restore,
  use: (attempt: Attempt) => Effect.Effect<A, BedrockError, R>
): Effect.Effect<A, BedrockError, R | Scope.Scope> => {
  const { accountant, clock, limiter, limits, request, subject, tally, tell, turn } = call
  const { pool } = request
  // Where nothing is left the client sends nothing.
  const left = limits.deadline === Infinity ? Infinity : Math.max(0, limits.deadline - monotonic(clock))
  const longest = Math.min(limits.maxWait, left)
  const entry = accountant.open(request, longest === Infinity ? undefined : Duration.millis(longest), turn)
  tell?.({ _tag: "Waiting", pool, tokens: entry.cost.tokens })
  return Effect.matchCauseEffect(restore(limiter.reserve(entry.cost)), {
    onSuccess: (reservation) => use(admitted(call, entry, reservation)),
    // Refused, or interrupted while it waited: nobody else will end it.
    onFailure: (cause) => {
      const refusal = Cause.map(
        cause,
        (error) => fromLimiter(subject, error, left <= limits.maxWait ? "its deadline leaves it" : "maxWait is")
      )
      const error = failureOf(refusal)
      tell?.({ _tag: "Left", pool })
      if (error !== undefined) tell?.({ _tag: "AttemptFailed", pool, attempt: tally.attempts, error })
      entry.end()
      return Effect.failCause(refusal)
    }
  })
}

/** The attempt of an entry that was admitted. @internal */
export const admitted = (call: Call, entry: Entry, reservation: Reservation): Attempt => {
  const { request: { pool }, tally, tell } = call
  tally.attempts++
  const waitedMillis = Duration.toMillis(reservation.waited)
  tally.waitedMillis += waitedMillis
  entry.begin()
  tell?.({ _tag: "Admitted", pool, attempt: tally.attempts, waitedMillis })
  return new Admitted(call, entry, reservation)
}

/**
 * One attempt for one answer: admitted, sent and settled.
 *
 * @internal
 */
export const make = <A>(
  call: Call,
  sent: Effect.Effect<A, BedrockError>,
  servedBy: (answer: A, attempt: Attempt) => Served
): Effect.Effect<A, BedrockError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.scoped(admit(call, restore, (attempt) => settled(call, restore, attempt, sent, servedBy)))
  )

/** Sends the request of an attempt that was admitted, and settles it by how it ends. @internal */
export const settled = <A>(
  { limits }: Call,
  restore: Restore,
  attempt: Attempt,
  sent: Effect.Effect<A, BedrockError>,
  servedBy: (answer: A, attempt: Attempt) => Served
): Effect.Effect<A, BedrockError> =>
  Effect.onExit(
    restore(timely(Effect.provideService(sent, CallObserver, attempt.observer), limits)),
    (exit) => {
      if (Exit.isSuccess(exit)) return attempt.succeeded(() => servedBy(exit.value, attempt))
      const error = failureOf(exit.cause)
      return error === undefined ? attempt.abandoned : attempt.failed(error)
    }
  )

/** What an effect failed with, if it did. @internal */
export const failureOf = <E>(cause: Cause.Cause<E>): E | undefined => cause.reasons.find(Cause.isFailReason)?.error

/** What says that the server is short of capacity, which fewer requests at once help and fewer a minute do not. */
const ofCapacity: ReadonlySet<ServerError["kind"]> = new Set(["unavailable", "overloaded"])

const dayMillis = 86_400_000
const hourMillis = 3_600_000

/**
 * How long a pool is parked whose tokens of the day are used up. AWS does not say when its day begins, or whether the quota is one of a rolling
 * day: so until the next day of UTC, and for an hour at most, which is 24 refused requests a day.
 */
const untilTheDayMayBegin = (now: number): Duration.Duration =>
  Duration.millis(Math.min(hourMillis, dayMillis - now % dayMillis))

/** Whether a throttle is a matter of the model's minute, whose guard it widens: tokens per day and guardrails are not. */
const ofTheMinute = (
  limit: ThrottlingError["limit"]
): limit is Exclude<typeof limit, "tokens-per-day" | "guardrails"> =>
  limit !== "tokens-per-day" && limit !== "guardrails"

class Admitted implements Attempt {
  private readonly call: Call
  private readonly entry: Entry
  private readonly reservation: Reservation
  private readonly admittedAt: number
  private sentAt: number | undefined
  private answeredAt: number | undefined
  private response: ResponseHead | undefined
  private served: Served | undefined
  private open = true
  readonly observer: CallObserver

  constructor(call: Call, entry: Entry, reservation: Reservation) {
    this.call = call
    this.entry = entry
    this.reservation = reservation
    this.admittedAt = this.now()
    this.observer = {
      onFlushed: () => {
        if (this.sentAt !== undefined) return
        this.sentAt = this.now()
        call.tally.sent++
        reservation.sentUnsafe()
      },
      onResponse: (head) => {
        this.response = head
        this.answeredAt ??= this.now()
      }
    }
  }

  head(): ResponseHead | undefined {
    return this.response
  }

  private now(): number {
    return monotonic(this.call.clock)
  }

  /** How long ago the server had the request: since the first byte of its answer, or as it says, whichever is longer. */
  private servedFor(latencyMillis: number | undefined): Duration.Duration {
    const sinceAnswer = this.answeredAt === undefined ? 0 : this.now() - this.answeredAt
    return Duration.millis(Math.max(sinceAnswer, latencyMillis ?? 0))
  }

  /** The end, where this is the first that is told. What follows from it is returned, for the limiter. */
  private once(settle: () => Effect.Effect<void>): Effect.Effect<void> {
    if (!this.open) return Effect.void
    this.open = false
    this.call.tally.serviceMillis += this.now() - this.admittedAt
    try {
      return settle()
    } finally {
      // Before the refund admits the next, who books by what is in flight.
      this.entry.end()
    }
  }

  /** `whole`: its answer had come to its end. */
  private charge({ latencyMillis, usage }: Served, whole: boolean): Effect.Effect<void> {
    if (usage === undefined) return this.unknown(this.servedFor(latencyMillis))
    const { call: { request: { pool }, tell }, entry, reservation: { booked } } = this
    // Before it learns from the answer.
    const reserved = tell === undefined ? 0 : entry.reserved()
    const charged = whole ? entry.charged(usage) : entry.atLeast(usage)
    tell?.({ _tag: "Settled", pool, reserved, booked, charged: charged.tokens })
    return this.reservation.settle({ ...charged, servedFor: this.servedFor(latencyMillis) })
  }

  /** It was sent, and what it is charged is not known: what was reserved, and what such requests grow by. */
  private unknown(servedFor: Duration.Duration, growth = this.entry.growth()): Effect.Effect<void> {
    return this.reservation.settle({ tokens: this.reservation.booked + growth, growth, servedFor })
  }

  /** No answer came: nothing more is known of its arrival than when it was sent. */
  private unanswered(sentAt: number, growth?: number): Effect.Effect<void> {
    return this.unknown(Duration.millis(this.now() - sentAt), growth)
  }

  succeeded(served: () => Served): Effect.Effect<void> {
    return this.once(() => this.charge(served(), true))
  }

  failed(error: BedrockError): Effect.Effect<void> {
    return this.once(() => {
      const { countThrottled, limiter, request, tally, tell } = this.call
      const { reason } = error
      tell?.({ _tag: "AttemptFailed", pool: request.pool, attempt: tally.attempts, error })
      const learned = this.learn(reason, limiter, request.pool)
      // Before it is given back: what it had booked is part of the debt that may explain the throttle.
      return Effect.andThen(learned, this.giveBack(error, countThrottled))
    })
  }

  private learn(reason: Reason, limiter: RateLimiter["Service"], pool: string): Effect.Effect<void> {
    if (reason._tag === "ServerError" && ofCapacity.has(reason.kind)) return limiter.overloaded(pool)
    if (reason._tag !== "ThrottlingError") return Effect.void
    if (ofTheMinute(reason.limit)) {
      return limiter.throttled(pool, reason.limit === "unknown" ? undefined : reason.limit)
    }
    return reason.limit === "tokens-per-day"
      ? limiter.park(pool, reason.retryAfter ?? untilTheDayMayBegin(this.call.clock.currentTimeMillisUnsafe()))
      : Effect.void
  }

  private giveBack({ reason }: BedrockError, countThrottled: boolean): Effect.Effect<void> {
    const begun = this.response !== undefined && this.response.statusCode < 300
    const back = Refund.of(reason, this.sentAt !== undefined, begun)
    switch (back) {
      case "everything":
        return this.reservation.release
      case "tokens":
      case "output":
        return this.reservation.settle({
          tokens: back === "tokens" ? 0 : Math.min(this.entry.input(), this.reservation.booked),
          requests: reason._tag === "ThrottlingError" && !countThrottled ? 0 : 1,
          refused: reason._tag === "ThrottlingError",
          servedFor: this.servedFor(undefined)
        })
      case "nothing":
        if (this.response === undefined && this.sentAt !== undefined) return this.unanswered(this.sentAt)
        return this.charge({
          usage: reason._tag === "InterruptedStreamError" ? reason.partial.usage : this.served?.usage,
          latencyMillis: undefined
        }, false)
    }
  }

  learned(served: Served): void {
    this.served = served
  }

  get abandoned(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.once(() => {
        if (this.sentAt === undefined) return this.reservation.release
        // Nobody will tell what it has cost: it is the upper bound that stays.
        return this.served?.usage === undefined
          ? this.unanswered(this.sentAt, this.entry.mostGrowth())
          : this.charge(this.served, false)
      })
    )
  }
}
