// One call's own books: what it asked, what it tried and what came of it. Nothing here waits or sends.
import type { Retryable } from "@caprock/backoff/Backoff"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { Account, Routed, RouteFailure, Trial } from "../Account.ts"
import { type Ask, decide, type Decision, type Trace } from "../Decision.ts"
import type { Fence } from "../Fence.ts"
import type { Exhausted } from "../LastResort.ts"
import { NoTarget, OutsideFence, RouterError, TargetClosed } from "../RouterError.ts"
import type { Ending, RouterEvent } from "../RouterEvent.ts"
import type { BuiltRoute } from "../RouteTable.ts"
import type { Judgement, Offer, Sending } from "../Sending.ts"
import type { BuiltTarget } from "../Target.ts"
import type { Board } from "./board.ts"
import { within } from "./fences.ts"
import type { Leg } from "./flights.ts"
import type { Tell } from "./listeners.ts"
import type { Lookout, Waiter } from "./lookout.ts"
import { type Failure, messageOf, mostTelling, nameOf } from "./telling.ts"
import { plan } from "./tree.ts"
import type { Host } from "./waiting.ts"

/** What time it is: in milliseconds since 1970, and on a clock that only goes forward. */
export interface Now {
  readonly wall: () => number
  readonly monotonic: () => number
  /** Calls back after so many milliseconds, never in the same step; what it gives stops that. */
  readonly after: (millis: number, then: () => void) => () => void
}

/** @internal */
export class Call<A, E extends Retryable, R> implements Host<A, E, R> {
  readonly board: Board
  readonly lookout: Lookout
  readonly asks: Waiter["asks"]
  readonly deadline: number
  readonly route: BuiltRoute
  readonly sending: Sending<A, E, R>
  waitedMillis = 0
  /** Requests sent. */
  attempts = 0
  /** Whether a second request was sent because the first took long. */
  hedged = false
  private level: number | undefined
  private readonly fence: Fence | undefined
  private readonly chance: number
  private readonly time: Now
  private readonly tell: Tell<RouterEvent>
  private readonly traces: Array<Trace | undefined> = []
  private readonly failures: Array<Failure<E>> = []
  private readonly legs: Array<Leg<A, E, R>> = []
  private readonly trials: Array<Trial> = []
  /** The last decision: who is asked why, in the end. */
  private decision: Decision | undefined

  constructor(
    board: Board,
    lookout: Lookout,
    route: BuiltRoute,
    sending: Sending<A, E, R>,
    fence: Fence | undefined,
    chance: number,
    time: Now,
    tell: Tell<RouterEvent>
  ) {
    this.board = board
    this.lookout = lookout
    this.route = route
    this.sending = sending
    const { input, output, priority } = sending.ask
    this.asks = { requests: 1, tokens: input + output, priority }
    this.deadline = sending.deadline ?? Infinity
    this.level = sending.ask.level
    this.fence = fence
    this.chance = chance
    this.time = time
    this.tell = tell
  }

  // ---------------------------------------------------------------------------
  // Where it goes
  // ---------------------------------------------------------------------------

  now(): number {
    return this.time.monotonic()
  }

  after(millis: number, then: () => void): () => void {
    return this.time.after(millis, then)
  }

  at(index: number): Trace | undefined {
    return this.traces[index]
  }

  decide(): Decision {
    const { board, route } = this
    const ask = this.ask()
    this.decision = decide(route, ask, board.refresh(route, ask), this, this.chance, this.time.wall())
    return this.decision
  }

  offer(target: BuiltTarget): Offer<A, E, R> {
    return this.sending.offer(target)
  }

  poolOf(target: BuiltTarget): string {
    return this.board.poolOf(target, this.sending.ask)
  }

  /** The next level of difficulty after that of who answered, if there is one: it is asked from now on. */
  escalate(answered: BuiltTarget): boolean {
    const levels = this.route[plan].ladder?.levels
    if (levels === undefined) return false
    const own = levels.findIndex(({ targets }) => targets.includes(answered))
    const next = Math.max(own, this.decision?.level?.index ?? 0) + 1
    if (next >= levels.length) return false
    this.level = next
    return true
  }

  /** The fence of what this call's check and last resort do: its own and that of its route. */
  get innerFence(): Fence | undefined {
    return within(this.fence, this.route.fence)
  }

  private ask(): Ask {
    const { ask } = this.sending
    const leftMillis = this.deadline === Infinity ? ask.leftMillis : this.deadline - this.now()
    return { ...ask, leftMillis, level: this.level, fence: this.fence }
  }

  // ---------------------------------------------------------------------------
  // What came of it
  // ---------------------------------------------------------------------------

  /** The limiter does not admit it there: it is not asked again for this call. */
  refused(target: BuiltTarget, refusal: RateLimiterError): void {
    const error = this.sending.refused(target, refusal)
    this.failures.push({ error, judgement: "refused" })
    this.strike(target, nameOf(refusal))
  }

  /** A target is out for this call. */
  strike(target: BuiltTarget, why: string): void {
    this.traces[target.index] = { notBeforeMillis: Infinity, sick: false, why }
  }

  /** A target may be asked again after so long; after all others, where it failed. */
  comeBack(target: BuiltTarget, afterMillis: number, error: E, judgement: Judgement): void {
    this.traces[target.index] = {
      notBeforeMillis: this.time.wall() + afterMillis,
      sick: judgement === "sick",
      why: nameOf(error)
    }
  }

  judge(error: E, target: BuiltTarget): Judgement {
    return (this.sending.judge ?? defaultJudge)(error, target)
  }

  /** Notes what an error means: for whom it came from, and for those who can't do it either. */
  failed(target: BuiltTarget, error: E): Judgement {
    const { goes = defaultGoes } = this.sending
    const judgement = this.judge(error, target)
    this.failures.push({ error, judgement })
    if (judgement === "caller") return judgement
    for (const other of this.route.targets) {
      if (other !== target && !goes(error, target, other)) this.strike(other, nameOf(error))
    }
    this.strike(target, nameOf(error))
    return judgement
  }

  /** Whether a request was sent there before. */
  hasSentTo(target: BuiltTarget): boolean {
    return this.legs.some(({ candidate }) => candidate.target === target)
  }

  timesSentTo(target: BuiltTarget): number {
    return this.legs.reduce((times, { candidate }) => candidate.target === target ? times + 1 : times, 0)
  }

  /** It is sent now. Gives which of the call's requests it is. */
  sent(leg: Leg<A, E, R>): number {
    const { candidate: { target, why }, hedge, waitedMillis } = leg
    const attempt = ++this.attempts
    leg.attempt = attempt
    leg.sentAt = this.now()
    if (hedge) this.hedged = true
    this.legs.push(leg)
    this.tell(() => ({ _tag: "Sent", route: this.route.name, target: target.name, attempt, why, waitedMillis, hedge }))
    return attempt
  }

  /** Whether what is late is more likely no answer at all than a slow one: nothing that was sent there after it was answered. */
  isSilent({ candidate: { target }, late, sentAt }: Leg<A, E, R>): boolean {
    return late !== undefined && this.board.answeredUpTo(target) < sentAt
  }

  ended(leg: Leg<A, E, R>, exit: Exit.Exit<A, E | TargetClosed>): void {
    const { attempt, candidate: { target, why }, late, lost, sentAt, waitedMillis } = leg
    if (attempt === undefined) return
    const tookMillis = this.now() - sentAt
    // Only what is known to be so long counts: a target whose slow answers were not counted would look the faster the more are given up.
    // What is late is no answer at all; but while the circuit is not closed only probes can find that the target has become slower.
    const isLong = lost && (!this.isSilent(leg) || !this.board.isClosed(target))
    if (Exit.isSuccess(exit) || isLong) this.board.took(target, tookMillis)
    if (Exit.isSuccess(exit)) this.board.answered(target, sentAt)
    const trial = { target: target.name, why, attempt, waitedMillis, tookMillis }
    const error = Exit.isSuccess(exit) ? undefined : exit.cause.reasons.find(Cause.isFailReason)?.error
    if (error === undefined || error instanceof TargetClosed) {
      const outcome = lost ? late === undefined ? "lost" : "late" : Exit.isSuccess(exit) ? "answered" : "lost"
      this.trials.push({ ...trial, outcome })
      return
    }
    const failed = nameOf(error)
    const message = messageOf(error)
    this.trials.push({ ...trial, outcome: { failed, message } })
    const judgement = this.judge(error, target)
    this.tell(() => ({
      _tag: "Failed",
      route: this.route.name,
      target: target.name,
      attempt,
      failed,
      message,
      judgement
    }))
  }

  /** The caller's check rejected its answer. */
  rejected({ attempt }: Leg<A, E, R>): void {
    const index = this.trials.findIndex((trial) => trial.attempt === attempt)
    const trial = this.trials[index]
    if (trial !== undefined) this.trials[index] = { ...trial, outcome: "rejected" }
  }

  held(forMillis: number): void {
    this.tell(() => ({ _tag: "Held", route: this.route.name, forMillis }))
  }

  // ---------------------------------------------------------------------------
  // How it ends
  // ---------------------------------------------------------------------------

  account(
    answered: Leg<A, E, R> | undefined,
    more: { readonly rejected?: boolean; readonly lastResort?: boolean } = {}
  ): Account {
    return {
      route: this.route.name,
      target: answered?.candidate.target.name,
      trials: this.trials,
      waitedMillis: this.waitedMillis,
      usd: this.usd(),
      adapted: answered?.offer.adapted ?? [],
      hedged: this.hedged,
      rejected: more.rejected ?? false,
      lastResort: more.lastResort ?? false,
      attempts: this.attempts
    }
  }

  private usd(): number | undefined {
    let sum: number | undefined
    for (const { offer } of this.legs) {
      const usd = offer.usd?.()
      if (usd !== undefined) sum = (sum ?? 0) + usd
    }
    return sum
  }

  over(exit: Exit.Exit<Routed<A>, RouteFailure<E>>): void {
    this.tell(() => {
      if (Exit.isSuccess(exit)) return { _tag: "Ended", how: "answered", account: exit.value.account }
      const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
      const how: Ending = failure !== undefined ? "failed" : Cause.hasDies(exit.cause) ? "died" : "interrupted"
      return { _tag: "Ended", how, account: failure?.account ?? this.account(undefined) }
    })
  }

  /** The error that tells the most of what went wrong. */
  error(): E | RouterError {
    return mostTelling(this.failures)?.error ?? new RouterError({ route: this.route.name, reason: this.nobody() })
  }

  exhausted(error: E | RouterError, account: Account): Exhausted<E> {
    return {
      route: this.route.name,
      ask: this.sending.ask,
      error,
      retryAfter: this.retryAfter(),
      excluded: this.decision?.excluded ?? [],
      account
    }
  }

  private nobody(): RouterError["reason"] {
    const excluded = this.decision?.excluded ?? []
    const { fence } = this
    if (fence !== undefined && excluded.length > 0 && excluded.every(({ why }) => why._tag === "Outside")) {
      return new OutsideFence({ fence })
    }
    const retryAfter = this.retryAfter()
    const targets = excluded.map(({ target, why }) => ({ target: target.name, why: why._tag }))
    return new NoTarget(retryAfter === undefined ? { targets } : { targets, retryAfter })
  }

  /** The soonest of what anything tells: when a target is probed, when one would admit, when one wants to be asked again. */
  private retryAfter(): Duration.Duration | undefined {
    let soonest = Infinity
    for (const { target, why } of this.decision?.excluded ?? []) {
      if (why._tag === "Refused") soonest = Math.min(soonest, this.board.factsOf(target)?.waitMillis ?? Infinity)
      if (why._tag === "Open") soonest = Math.min(soonest, why.forMillis)
      if (why._tag === "TooLate") soonest = Math.min(soonest, why.predictedMillis)
    }
    for (const { error } of this.failures) {
      if (error.retryAfter !== undefined) soonest = Math.min(soonest, Duration.toMillis(error.retryAfter))
    }
    return soonest === Infinity ? undefined : Duration.millis(soonest)
  }
}

const defaultJudge = ({ retryAfter, retryable, retryableElsewhere }: Retryable): Judgement =>
  retryableElsewhere ? retryAfter === undefined ? "sick" : "limited" : retryable ? "limited" : "caller"

const defaultGoes = ({ retryableElsewhere }: Retryable): boolean => retryableElsewhere
