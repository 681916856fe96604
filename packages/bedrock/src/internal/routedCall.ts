// A call by a route: what the router is told of it, and what is told of what became of it.
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type * as Accounting from "@caprock/quota/Accounting"
import * as Pool from "@caprock/quota/Pool"
import type { Account, RouteFailure } from "@caprock/router/Account"
import type { Ask } from "@caprock/router/Decision"
import type { Exhausted } from "@caprock/router/LastResort"
import type { RouterError } from "@caprock/router/RouterError"
import type { BuiltRoute } from "@caprock/router/RouteTable"
import type { Granted, Offer, Sending } from "@caprock/router/Sending"
import * as Target from "@caprock/router/Target"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { CallTurn } from "../CallTurn.ts"
import type { Check, LastResorts } from "../Routes.ts"
import type { Entry } from "./accountant.ts"
import type { Adaptation } from "./adapting.ts"
import type { Wants } from "./asking.ts"
import * as attempts from "./attempt.ts"
import type { Attempt, Call, Tally } from "./attempt.ts"
import { ended, type Place, placeOf, wrongLimits } from "./calls.ts"
import { failure, fromLimiter, withAttempts } from "./failures.ts"
import * as judging from "./judging.ts"
import { type Limits, limitsOf, monotonic } from "./limits.ts"
import type { Measure, Question } from "./questions.ts"
import type { Routing, Seat } from "./routing.ts"

/** What an operation asks for, and how its requests are made fit for a target. */
export interface Kind<I, A> {
  readonly question: (input: I) => Question
  readonly wants: (input: I) => Wants
  readonly adapt: (input: I, target: Target.BuiltTarget) => Adaptation<I>
  /** Whether an answer is good enough, as far as the route's check can tell. */
  readonly check?: (own: Check, input: I) => (answer: A) => Effect.Effect<boolean, BedrockError>
  /** The answer of the route's last resort, if it has one for the operation. `plain`: what cuts it later, in the words of the others. */
  readonly lastResort: (
    own: LastResorts,
    input: I,
    plain: (error: RouterError) => BedrockError
  ) => ((reason: Exhausted<BedrockError>) => Effect.Effect<A, BedrockError | RouterError, Scope.Scope>) | undefined
}

/** An attempt that was admitted at a target, as its request is to be sent there. */
interface Leg<I> {
  readonly call: Call
  readonly seat: Seat
  readonly input: I
  readonly attempt: Attempt
  readonly restore: attempts.Restore
}

/** A request as it goes to one target. */
interface Prepared<I> extends Adaptation<I> {
  readonly place: Place
}

/** Sends it, and tells what it used, when that is known; what it cost is given back. */
export type Send<I, A> = (
  leg: Leg<I>,
  used: (usage: Accounting.Usage) => number | undefined
) => Effect.Effect<A, BedrockError, Scope.Scope>

export type Named = { readonly modelId: string | undefined }

/** @internal */
export class RoutedCall<I extends Named, A> {
  readonly routing: Routing
  readonly route: BuiltRoute
  readonly input: I
  readonly kind: Kind<I, A>
  readonly question: Question
  readonly limits: Limits
  readonly fiber: Pick<Call, "context" | "clock" | "tell" | "turn">
  readonly tally: Tally = { attempts: 0, sent: 0, waitedMillis: 0, serviceMillis: 0, gaveUp: undefined }
  /** By the model's id: what it asks for is read once. */
  private readonly measures = new Map<string, Measure>()
  /** By the target's index. */
  private readonly prepared: Array<Prepared<I> | undefined> = []
  account: Account | undefined

  constructor(
    routing: Routing,
    route: BuiltRoute,
    input: I,
    kind: Kind<I, A>,
    limits: Limits,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.routing = routing
    this.route = route
    this.input = input
    this.kind = kind
    this.question = kind.question(input)
    this.limits = limits
    this.fiber = {
      context: fiber.context,
      clock: fiber.getRef(Clock.Clock),
      tell: routing.desk.teller(fiber.context),
      turn: fiber.getRef(CallTurn)
    }
  }

  run(
    send: Send<I, A>
  ): Effect.Effect<A, BedrockError, Scope.Scope> {
    const { route, routing } = this
    return routing.router.run(route.name, this.sending(send)).pipe(
      Effect.mapError((failure) => this.failed(failure)),
      Effect.flatMap(({ account, value }) => {
        this.account = account
        return account.adapted.length === 0 ? Effect.succeed(value) : Effect.as(this.warn(account), value)
      })
    )
  }

  /** What decides where it goes: as the first target's model counts, since nobody knows yet whose it will be. */
  ask(): Ask {
    const { fiber: { turn }, input, kind, question, route } = this
    const first = route.targets[0]
    const seat = first && this.seatOf(first)
    const { base, maxTokens } = seat === undefined ? { base: 0, maxTokens: 0 } : this.measure(seat)
    return {
      ...kind.wants(input),
      input: base,
      output: maxTokens ?? seat?.place.entry.maxOutputTokens ?? 0,
      priority: turn.priority,
      leftMillis: this.left(),
      request: input,
      ...(ofItsOwn(question) ? { pool: (target) => this.prepare(this.seatOf(target)).place.pool } : {})
    }
  }

  private sending(send: Send<I, A>): Sending<A, BedrockError, Scope.Scope> {
    const { input, kind, limits: { deadline }, route, routing } = this
    const regionOf = (target: Target.BuiltTarget) => this.seatOf(target).desk.region
    const own = routing.lastResorts.get(route.name)
    const checked = routing.checks.get(route.name)
    const check = checked && kind.check?.(checked, input)
    const lastResort = own && kind.lastResort(own, input, (error) => this.unrouted(error))
    return {
      ask: this.ask(),
      ...(deadline === Infinity ? {} : { deadline }),
      offer: (target) => this.offer(this.seatOf(target), send),
      refused: (target, error) => fromLimiter(this.subjectOf(this.seatOf(target)), error, this.boundOf()),
      judge: judging.judge,
      goes: (error, failed, other) => judging.goes(error, regionOf(failed), regionOf(other)),
      ...(check === undefined ? {} : { check }),
      ...(lastResort === undefined ? {} : { lastResort })
    }
  }

  private seatOf({ index }: Target.BuiltTarget): Seat {
    // The table's targets are the seats, by their index.
    return this.routing.seats[index] as Seat
  }

  private subjectOf({ desk: { region }, target: { model } }: Seat) {
    return { operation: this.question.operation, modelId: model, region }
  }

  private left(): number {
    const { deadline } = this.limits
    return deadline === Infinity ? Infinity : Math.max(0, deadline - monotonic(this.fiber.clock))
  }

  private boundOf(): string {
    return this.left() <= this.limits.maxWait ? "its deadline leaves it" : "maxWait is"
  }

  private measure({ place: { model } }: Seat): Measure {
    const known = this.measures.get(model)
    if (known !== undefined) return known
    const measure = this.question.measure(model)
    this.measures.set(model, measure)
    return measure
  }

  /** What is sent there, and the pool that it draws on: the target's own, but for a service tier or a variant of the request's. */
  private prepare({ desk, place, target }: Seat): Prepared<I> {
    const known = this.prepared[target.index]
    if (known !== undefined) return known
    const { kind, question } = this
    const adaptation = kind.adapt({ ...this.input, modelId: target.model }, target)
    // What chooses the pool may be what the target does not take.
    const sent = adaptation.adapted.length === 0 ? question : kind.question(adaptation.input)
    const prepared = {
      ...adaptation,
      place: ofItsOwn(sent)
        ? Result.getOrElse(placeOf(desk, { ...sent, modelId: target.model }), () => place)
        : place
    }
    this.prepared[target.index] = prepared
    return prepared
  }

  private offer(
    seat: Seat,
    send: Send<I, A>
  ): Offer<A, BedrockError, Scope.Scope> {
    const { fiber, limits, route, routing: { desk }, tally } = this
    const { target } = seat
    const { adapted, input, place } = this.prepare(seat)
    const measured = this.measure(seat)
    const most = adapted.length === 0 ? undefined : target.able?.output
    const maxTokens = measured.maxTokens !== undefined && most !== undefined
      ? Math.min(most, measured.maxTokens)
      : measured.maxTokens
    const call: Call = {
      ...fiber,
      subject: this.subjectOf(seat),
      request: { pool: place.pool, entry: place.entry, ...measured, maxTokens },
      limiter: desk.limiter,
      accountant: desk.accountant,
      limits,
      countThrottled: desk.countThrottled,
      tally
    }
    // The router counts it from when the call began to wait, and ends it with the deadline.
    const { maxWait } = limits
    const entry: Entry = desk.accountant.open(
      call.request,
      maxWait === Infinity ? undefined : Duration.millis(maxWait),
      fiber.turn
    )
    let usd: number | undefined
    const used = ({ cacheReadInputTokens, cacheWriteInputTokens, inputTokens, outputTokens }: Accounting.Usage) => {
      usd = target.price && Target.usd(target.price, {
        input: inputTokens,
        output: outputTokens,
        cacheRead: cacheReadInputTokens,
        cacheWrite: cacheWriteInputTokens
      })
      return usd
    }
    fiber.tell?.({ _tag: "Waiting", pool: place.pool, tokens: entry.cost.tokens })
    return {
      cost: entry.cost,
      adapted,
      usd: () => usd,
      withdrawn: () => {
        fiber.tell?.({ _tag: "Left", pool: place.pool })
        entry.end()
      },
      send: ({ hedge, reservation, restore, why }: Granted) => {
        const attempt = attempts.admitted(call, entry, reservation)
        fiber.tell?.({
          _tag: hedge ? "Hedged" : "Routed",
          pool: place.pool,
          route: route.name,
          target: target.name,
          attempt: tally.attempts,
          why
        })
        if (adapted.length > 0) fiber.tell?.({ _tag: "Adapted", pool: place.pool, target: target.name, adapted })
        return send({ call, seat, input, attempt, restore }, used)
      }
    }
  }

  private failed({ account, error }: RouteFailure<BedrockError>): BedrockError {
    this.account = account
    const tried = account.trials.flatMap(({ outcome, target }) =>
      typeof outcome === "string" ? [] : [{ target, reason: outcome.failed, message: outcome.message }]
    )
    const own = error instanceof BedrockError ? error : this.unrouted(error)
    return withAttempts(own, this.tally.sent, undefined, tried)
  }

  unrouted({ reason, retryAfter }: RouterError): BedrockError {
    const subject = { operation: this.question.operation, modelId: this.route.name, region: undefined }
    const { message } = reason
    return failure(
      subject,
      reason._tag === "NoTarget"
        ? new Reason.AdmissionError({
          kind: "no-target",
          message: `${message}.`,
          ...(retryAfter === undefined ? {} : { predictedWait: retryAfter })
        })
        : new Reason.ValidationError({ kind: "malformed", message: `${message}.` })
    )
  }

  /** Once for each field of a route: it is in every answer's account. */
  private warn({ adapted, target = "" }: Account): Effect.Effect<void> {
    const { route, routing: { said } } = this
    return Effect.forEach(adapted, ({ field, from, to, why }) => {
      const key = `${route.name} ${target} ${field}`
      if (said.has(key)) return Effect.void
      said.add(key)
      return Effect.logWarning("A request was changed for its target").pipe(
        Effect.annotateLogs({ route: route.name, target, field, from, to: to ?? "left out", why })
      )
    }, { discard: true })
  }

  get pool(): string {
    const target = this.route.targets.find(({ name }) => name === this.account?.target)
    return target === undefined ? `route ${this.route.name}` : this.seatOf(target).place.pool
  }

  /** A stream was cut after its first content, with which its attempt had ended well. */
  cut(error: BedrockError): void {
    const target = this.account?.target
    if (target !== undefined && judging.judgeCut(error) === "sick") this.routing.health.tellUnsafe(target, "sick")
  }

  over(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { account, fiber, pool, route, routing: { counters, desk }, tally } = this
    return Effect.andThen(
      Effect.sync(() =>
        counters.count(route.name, account, account?.waitedMillis ?? tally.waitedMillis, exit, fiber.context)
      ),
      ended(desk, pool, { ...fiber, tally }, exit, account)
    )
  }
}

/** Whether a request says more of its pool than its target does. */
const ofItsOwn = ({ fields, tier }: Question): boolean => tier !== undefined || Pool.variantOf(fields) !== undefined

/** @internal */
export const begin = <I extends Named, A>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, A>,
  fiber: Fiber.Fiber<unknown, unknown>
): Result.Result<RoutedCall<I, A>, BedrockError> => {
  const limits = limitsOf(routing.desk.limits, fiber)
  return Result.isFailure(limits)
    ? Result.fail(
      wrongLimits({ operation: kind.question(input).operation, modelId: route.name, region: undefined }, limits.failure)
    )
    : Result.succeed(new RoutedCall(routing, route, input, kind, limits.success, fiber))
}
