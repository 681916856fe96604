// The way of a call by a route: the router picks its targets and owns its attempts, each of which is an attempt as of any other call.
import type { BedrockClient } from "@caprock/client/BedrockClient"
import { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import type * as Accounting from "@caprock/quota/Accounting"
import type { Account, RouteFailure } from "@caprock/router/Account"
import type { Ask, Decision } from "@caprock/router/Decision"
import type { Exhausted } from "@caprock/router/LastResort"
import type { RouterError } from "@caprock/router/RouterError"
import type { BuiltRoute } from "@caprock/router/RouteTable"
import type { Granted, Offer, Sending } from "@caprock/router/Sending"
import * as Target from "@caprock/router/Target"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CallTurn } from "../CallTurn.ts"
import type { Entry, Request } from "./accountant.ts"
import { key } from "./accounts.ts"
import type { Adaptation } from "./adapting.ts"
import type { Wants } from "./asking.ts"
import * as attempts from "./attempt.ts"
import type { Attempt, Call, Served, Tally } from "./attempt.ts"
import { ended, placeOf, wrongLimits } from "./calls.ts"
import { failure, fromLimiter, withAttempts } from "./failures.ts"
import * as judging from "./judging.ts"
import { type Limits, limitsOf, monotonic } from "./limits.ts"
import type { Measure, Question } from "./questions.ts"
import type { Routing, Seat } from "./routing.ts"
import { type Opened, type Pulled, type Reading, sending } from "./streaming.ts"

type Client = BedrockClient["Service"]

/** What an operation asks for, and how its requests are made fit for a target. */
export interface Kind<I, A> {
  readonly question: (input: I) => Question
  readonly wants: (input: I) => Wants
  readonly adapt: (input: I, target: Target.BuiltTarget) => Adaptation<I>
  /** The answer of the route's last resort, if the operation can have one. */
  readonly lastResort: (
    routing: Routing,
    route: string,
    input: I
  ) => ((reason: Exhausted<BedrockError>) => Effect.Effect<A, BedrockError | RouterError>) | undefined
}

/** An attempt that was admitted at a target, as its request is to be sent there. */
interface Leg<I> {
  readonly call: Call
  readonly seat: Seat
  readonly input: I
  readonly attempt: Attempt
  readonly restore: attempts.Restore
}

/** Sends it, and tells what it used, when that is known; what it cost is given back. */
type Send<I, A> = (
  leg: Leg<I>,
  used: (usage: Accounting.Usage) => number | undefined
) => Effect.Effect<A, BedrockError, Scope.Scope>

type Named = { readonly modelId: string | undefined }

class RoutedCall<I extends Named, A> {
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
    const { fiber: { turn }, input, kind, route } = this
    const first = route.targets[0]
    const seat = first && this.seatOf(first)
    const { base, maxTokens } = seat === undefined ? { base: 0, maxTokens: 0 } : this.measure(seat)
    return {
      ...kind.wants(input),
      input: base,
      output: maxTokens ?? seat?.place.entry.maxOutputTokens ?? 0,
      priority: turn.priority,
      leftMillis: this.left(),
      request: input
    }
  }

  private sending(send: Send<I, A>): Sending<A, BedrockError, never> {
    const { input, kind, limits: { deadline }, route, routing } = this
    const regionOf = (target: Target.BuiltTarget) => this.seatOf(target).desk.region
    const lastResort = kind.lastResort(routing, route.name, input)
    return {
      ask: this.ask(),
      ...(deadline === Infinity ? {} : { deadline }),
      offer: (target) => this.offer(this.seatOf(target), send),
      refused: (target, error) => fromLimiter(this.subjectOf(this.seatOf(target)), error, this.boundOf()),
      judge: judging.judge,
      goes: (error, failed, other) => judging.goes(error, regionOf(failed), regionOf(other)),
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

  private offer(
    seat: Seat,
    send: Send<I, A>
  ): Offer<A, BedrockError, never> {
    const { fiber, kind, limits, question, routing: { desk }, tally } = this
    const { target } = seat
    const { adapted, input } = kind.adapt({ ...this.input, modelId: target.model }, target)
    // The service tier and the variant are the call's own, and choose the pool with the target.
    const place = Result.getOrElse(placeOf(seat.desk, { ...question, modelId: target.model }), () => seat.place)
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
      withdrawn: () => entry.end(),
      send: ({ reservation, restore }: Granted) => {
        const attempt = attempts.admitted(call, entry, reservation)
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

  over(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return ended(this.routing.desk, this.pool, { ...this.fiber, tally: this.tally }, exit, this.account)
  }
}

const begin = <I extends Named, A>(
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

/** One call for one answer, from whichever target of a route gives it first. @internal */
export const unary = <I extends Named, A extends object>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, A>,
  ask: (client: Client, input: I) => Effect.Effect<A, BedrockError>,
  servedBy: (answer: A, attempt: Attempt, request: Request) => Served
): Effect.Effect<A, BedrockError> =>
  Effect.withFiber((fiber) => {
    const begun = begin(routing, route, input, kind, fiber)
    if (Result.isFailure(begun)) return Effect.fail(begun.failure)
    const routed = begun.success
    const answered = routed.run(({ attempt, call, input, restore, seat }, used) =>
      attempts.settled(call, restore, attempt, ask(seat.client, input), (answer, attempt) => {
        const served = servedBy(answer, attempt, call.request)
        if (served.usage !== undefined) used(served.usage)
        return served
      })
    )
    return Effect.scoped(answered).pipe(
      Effect.tap((answer) => Effect.sync(() => note(answer, routed.account))),
      Effect.onExit((exit) => routed.over(exit))
    )
  })

/** The same for a stream, which may change its target until its first content. @internal */
export const streamed = <I extends Named, A extends object>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, Opened<A>>,
  ask: (client: Client, input: I) => Stream.Stream<A, BedrockError>,
  reading: (request: Request) => Reading<A>
): Stream.Stream<A, BedrockError> =>
  Stream.fromChannel(Channel.fromTransformBracket((_, __, scope) =>
    Effect.withFiber((fiber) => {
      const begun = begin(routing, route, input, kind, fiber)
      if (Result.isFailure(begun)) return Effect.succeed(Effect.fail(begun.failure))
      const routed = begun.success
      let told: { readonly event: A; readonly usd: number | undefined } | undefined
      const noted = () => {
        const { account } = routed
        if (told !== undefined && account !== undefined) note(told.event, { ...account, usd: told.usd ?? account.usd })
      }
      const opened = routed.run(({ attempt, call, input, restore, seat }, used) => {
        const own = reading(call.request)
        const { close, send } = sending(
          call,
          () => ({
            ...own,
            servedBy: (event) => {
              const served = own.servedBy(event)
              if (served?.usage === undefined) return served
              told = { event, usd: used(served.usage) }
              noted()
              return served
            }
          }),
          ask(seat.client, input)
        )
        // The scope is the attempt's own, and is closed when it fails, loses, or the stream is over.
        return Effect.flatMap(
          Effect.scope,
          (scope) => Effect.andThen(Scope.addFinalizerExit(scope, close), send(restore, attempt))
        )
      })
      const final = (error: BedrockError): BedrockError => withAttempts(error, routed.tally.sent)
      let rest: Pulled<A> | undefined
      const first: Pulled<A> = Scope.provide(opened, scope).pipe(
        Effect.flatMap((opened): Pulled<A> => {
          // A short answer has told all before it is known whose it is.
          noted()
          rest = Effect.mapError(opened.rest, (error) => Cause.isDone(error) ? error : final(error))
          return Arr.isReadonlyArrayNonEmpty(opened.held) ? Effect.succeed(opened.held) : rest
        })
      )
      return Effect.as(
        Scope.addFinalizerExit(scope, (exit) => routed.over(exit)),
        Effect.suspend(() => rest ?? first)
      )
    })
  ))

/** Where a call would go now, in which order, and why. @internal */
export const describe = <I extends Named, A>(
  routing: Routing,
  route: BuiltRoute,
  input: I,
  kind: Kind<I, A>
): Effect.Effect<Decision, BedrockError> =>
  Effect.withFiber((fiber) => {
    const begun = begin(routing, route, input, kind, fiber)
    if (Result.isFailure(begun)) return Effect.fail(begun.failure)
    const routed = begun.success
    return Effect.mapError(routing.router.describe(route.name, routed.ask()), (error) => routed.unrouted(error))
  })

const note = (answer: object, account: Account | undefined): void => {
  if (account !== undefined) Object.defineProperty(answer, key, { value: account, configurable: true })
}
