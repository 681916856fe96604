// The way of a call: its pool, its attempts one after the other, and its end. `Bedrock.ts` says for each operation what is
// sent.
import * as Backoff from "@caprock/backoff/Backoff"
import type * as RetryBudget from "@caprock/backoff/RetryBudget"
import { CallObserver } from "@caprock/client/CallObserver"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Catalogue from "@caprock/quota/Catalogue"
import * as ModelId from "@caprock/quota/ModelId"
import * as Pool from "@caprock/quota/Pool"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type { Account } from "@caprock/router/Account"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CallTurn } from "../CallTurn.ts"
import type { Accountant, Request } from "./accountant.ts"
import * as attempts from "./attempt.ts"
import type { Attempt, Call, Served, Tally } from "./attempt.ts"
import type { Counters } from "./counting.ts"
import { failure, type Subject, withAttempts } from "./failures.ts"
import { type Defaults, type Limits, limitsOf, monotonic, timely } from "./limits.ts"
import type { Tell } from "./listening.ts"
import type { Question } from "./questions.ts"
import { type Close, open, type Opened, type Pulled, type Reading } from "./streaming.ts"

/** What all calls of a layer share. */
export interface Desk {
  readonly region: string | undefined
  readonly account: string | undefined
  readonly resolve: ReadonlyMap<string, string> | undefined
  readonly catalogue: Catalogue.Catalogue
  /** Those that were asked for, by Region and by how. */
  readonly places: Map<string | undefined, Map<string, Place>>
  readonly limiter: RateLimiter["Service"]
  readonly accountant: Accountant
  readonly budget: RetryBudget.RetryBudget["Service"]
  readonly backoff: Omit<Backoff.Options, "budget" | "pool"> | undefined
  readonly limits: Defaults
  readonly countThrottled: boolean
  /** What tells the listener of the fiber that asks. */
  readonly teller: (context: Context.Context<never>) => Tell
  readonly counters: Counters
}

/** @internal */
export const subjectOf = (desk: Desk, { modelId, operation }: Question): Subject => ({
  operation,
  modelId: modelId ?? "",
  region: desk.region
})

/** What is known of the pool of a question before it is asked. */
export interface Place {
  readonly pool: string
  /** The bare id of its model, and what the catalogue says of that. */
  readonly model: string
  readonly entry: Catalogue.Entry
}

/** More ids than a program asks for in a Region. The oldest is forgotten first. */
const mostPlaces = 256

/**
 * The pool that a question draws on, or why it can't be told. Worked out once for all that name it the same; desks that share what
 * they know differ in their Region alone.
 *
 * @internal
 */
export const placeOf = (desk: Desk, question: Question): Result.Result<Place, BedrockError> => {
  const { catalogue } = desk
  const places = placesOf(desk)
  const variant = Pool.variantOf(question.fields)
  const { modelId = "", tier } = question
  // Most have nothing but the id, and a text that there is already is found sooner than one that is put together.
  const name = tier === undefined && variant === undefined ? modelId : `${modelId}\n${tier ?? ""}\n${variant ?? ""}`
  const known = places.get(name)
  if (known !== undefined) return Result.succeed(known)
  return Result.map(poolOf(desk, question), (pool) => {
    for (const oldest of places.keys()) {
      if (places.size < mostPlaces) break
      places.delete(oldest)
    }
    const place = { pool: Pool.key(pool), model: pool.model, entry: Catalogue.lookup(catalogue, pool.model) }
    places.set(name, place)
    return place
  })
}

const placesOf = ({ places, region }: Desk): Map<string, Place> => {
  const known = places.get(region)
  if (known !== undefined) return known
  const none = new Map<string, Place>()
  places.set(region, none)
  return none
}

const poolOf = (desk: Desk, question: Question): Result.Result<Pool.Pool, BedrockError> => {
  const subject = subjectOf(desk, question)
  const parsed = ModelId.parse(subject.modelId)
  if (Result.isFailure(parsed)) {
    return Result.fail(
      failure(subject, new Reason.ValidationError({ kind: "unknown-model", message: parsed.failure.message }))
    )
  }
  const pool = Pool.of(parsed.success, {
    region: desk.region ?? "",
    account: desk.account,
    resolve: desk.resolve,
    tier: question.tier,
    variant: Pool.variantOf(question.fields)
  })
  return Result.mapError(pool, (error) =>
    failure(
      subject,
      new Reason.ValidationError({
        kind: error.reason === "region-missing" ? "no-region" : "unknown-model",
        message: error.message
      })
    ))
}

/** One call for one answer: admitted, sent, settled, and tried again as long as that is worth it. @internal */
export const unary = <A>(
  desk: Desk,
  question: () => Question,
  send: () => Effect.Effect<A, BedrockError>,
  servedBy: (answer: A, attempt: Attempt, request: Request) => Served
): Effect.Effect<A, BedrockError> =>
  Effect.withFiber((fiber) => {
    const begun = begin(desk, question(), fiber)
    if (Result.isFailure(begun)) return Effect.fail(begun.failure)
    const call = begun.success
    const { request, tally } = call
    const attempt = attempts.make(call, send(), (answer, attempt) => servedBy(answer, attempt, request))
    return retried(desk, request.pool, call.limits, tally, attempt).pipe(
      Effect.mapError((error) => withAttempts(error, tally.sent, tally.gaveUp)),
      Effect.onExit((exit) => ended(desk, request.pool, call, exit))
    )
  })

/**
 * The same for a stream, which is asked for again only until its first content; or, where it is asked for `once`, until it was sent.
 *
 * @internal
 */
export const streamed = <A>(
  desk: Desk,
  question: () => Question,
  send: () => Stream.Stream<A, BedrockError>,
  reading: (request: Request) => Reading<A>,
  once = false
): Stream.Stream<A, BedrockError> =>
  Stream.fromChannel(Channel.fromTransformBracket((_, __, scope) =>
    Effect.withFiber((fiber) => {
      const begun = begin(desk, question(), fiber)
      if (Result.isFailure(begun)) return Effect.succeed(Effect.fail(begun.failure))
      const call = begun.success
      const final = (error: BedrockError): BedrockError => withAttempts(error, call.tally.sent, call.tally.gaveUp)
      let close: Close = () => Effect.void
      const opened = open(call, reading, send(), (opening) => {
        close = opening
      })
      // A failure that no retry sees.
      const attempt: Effect.Effect<Opened<A>, BedrockError> = !once ? opened : Effect.catch(
        opened,
        (error) => call.tally.sent > 0 ? Effect.succeed({ held: [], rest: Effect.fail(error) }) : Effect.fail(error)
      )
      let rest: Pulled<A> | undefined
      const first: Pulled<A> = retried(desk, call.request.pool, call.limits, call.tally, attempt).pipe(
        Effect.mapError(final),
        Effect.flatMap((opened): Pulled<A> => {
          rest = Effect.mapError(opened.rest, (error) => Cause.isDone(error) ? error : final(error))
          return Arr.isReadonlyArrayNonEmpty(opened.held) ? Effect.succeed(opened.held) : rest
        })
      )
      return Effect.as(
        Scope.addFinalizerExit(
          scope,
          (exit) => Effect.ensuring(close(exit), ended(desk, call.request.pool, call, exit))
        ),
        Effect.suspend(() => rest ?? first)
      )
    })
  ))

/**
 * A call that passes no limiter, because no model's quota meters it: retried, counted and told like the others, under the name of
 * its operation in place of a pool.
 *
 * @internal
 */
export const unmetered = <Input, Output>(
  desk: Desk,
  operation: string,
  send: (input: Input) => Effect.Effect<Output, BedrockError>
) =>
(input: Input): Effect.Effect<Output, BedrockError> =>
  Effect.gen(function*() {
    const tell = desk.teller(yield* Effect.context<never>())
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const limits = yield* Effect.withFiber((fiber) => Effect.succeed(limitsOf(desk.limits, fiber)))
    if (Result.isFailure(limits)) {
      return yield* wrongLimits({ operation, modelId: "", region: desk.region }, limits.failure)
    }
    const tally: Tally = { attempts: 0, sent: 0, waitedMillis: 0, serviceMillis: 0, gaveUp: undefined }
    const observer = { onFlushed: () => void tally.sent++, onResponse: () => {} }
    const attempt = Effect.suspend(() => {
      const startedAt = monotonic(clock)
      tally.attempts++
      return timely(send(input), limits.success).pipe(
        Effect.provideService(CallObserver, observer),
        Effect.onExit(() =>
          Effect.sync(() => {
            tally.serviceMillis += monotonic(clock) - startedAt
          })
        ),
        Effect.tapError((error) =>
          Effect.sync(() => tell?.({ _tag: "AttemptFailed", pool: operation, attempt: tally.attempts, error }))
        )
      )
    })
    return yield* retried(desk, operation, limits.success, tally, attempt).pipe(
      Effect.mapError((error) => withAttempts(error, tally.sent, tally.gaveUp)),
      Effect.onExit((exit) => ended(desk, operation, { context, tally, tell }, exit))
    )
  })

const begin = (
  desk: Desk,
  question: Question,
  fiber: Fiber.Fiber<unknown, unknown>
): Result.Result<Call, BedrockError> => {
  const place = placeOf(desk, question)
  if (Result.isFailure(place)) return Result.fail(place.failure)
  const { entry, model, pool } = place.success
  const subject = subjectOf(desk, question)
  const limits = limitsOf(desk.limits, fiber)
  if (Result.isFailure(limits)) return Result.fail(wrongLimits(subject, limits.failure))
  return Result.succeed({
    subject,
    request: { pool, entry, ...question.measure(model) },
    limiter: desk.limiter,
    accountant: desk.accountant,
    limits: limits.success,
    turn: fiber.getRef(CallTurn),
    countThrottled: desk.countThrottled,
    context: fiber.context,
    clock: fiber.getRef(Clock.Clock),
    tell: desk.teller(fiber.context),
    tally: { attempts: 0, sent: 0, waitedMillis: 0, serviceMillis: 0, gaveUp: undefined }
  })
}

/** @internal */
export const wrongLimits = (subject: Subject, message: string): BedrockError =>
  failure(subject, new Reason.ValidationError({ kind: "malformed", message }))

const retried = <A, R>(
  desk: Desk,
  pool: string,
  { deadline }: Limits,
  tally: Tally,
  attempt: Effect.Effect<A, BedrockError, R>
): Effect.Effect<A, BedrockError, R> => {
  const options: Backoff.RetryOptions = {
    ...desk.backoff,
    budget: desk.budget,
    pool,
    onGiveUp: (limit) => {
      tally.gaveUp = limit
    }
  }
  return deadline === Infinity
    ? Backoff.retry(attempt, options)
    : Effect.flatMap(
      Clock.Clock,
      (clock) => Backoff.retry(attempt, { ...options, deadline: Duration.millis(deadline - monotonic(clock)) })
    )
}

/** @internal */
export const ended = (
  { counters }: Desk,
  pool: string,
  { context, tally, tell }: Pick<Call, "context" | "tally" | "tell">,
  exit: Exit.Exit<unknown, unknown>,
  account?: Account
): Effect.Effect<void> =>
  Effect.sync(() => {
    const { sent, serviceMillis, waitedMillis } = tally
    counters.count(pool, tally, exit, context)
    tell?.({
      _tag: "CallEnded",
      pool,
      attempts: sent,
      waitedMillis,
      serviceMillis,
      succeeded: exit._tag === "Success",
      ...(account === undefined ? {} : { account })
    })
  })
