/**
 * When to try again: plain `Schedule`s for `Effect.retry` and `Stream.retry`, for any error of the shape
 * {@link Retryable}.
 *
 * - What is not retryable is not retried.
 * - Never before `retryAfter`, with positive jitter on top: of many callers that were told to come back at the same
 *   moment, not all do.
 * - A wait that would pass the elapsed limit, or the call's deadline, is not begun: the last error comes back at once.
 * - Randomness comes from Effect's `Random`, time from `Clock`: a seed and a test clock pin every delay.
 *
 * The default follows AWS's runbooks: about 1 s, 2 s, 4 s, then stop and log a warning; at most 4 requests for a call.
 * Let nothing below retry as well (the AWS SDK: `maxAttempts: 1`), or attempts multiply.
 *
 * **Example** (Retrying anything of the right shape)
 *
 * ```ts
 * import { Backoff } from "@caprock/backoff"
 * import { Console, Data, Effect } from "effect"
 *
 * class Busy extends Data.TaggedError("Busy")<{
 *   readonly retryable: boolean
 *   readonly retryableElsewhere: boolean
 * }> {}
 *
 * let requests = 0
 * const call = Effect.suspend(() =>
 *   ++requests < 3 ? Effect.fail(new Busy({ retryable: true, retryableElsewhere: true })) : Effect.succeed("an answer")
 * )
 *
 * export const main = call.pipe(
 *   Backoff.retry({ attempts: 3, cap: "5 seconds" }),
 *   Effect.flatMap((answer) => Console.log(answer, requests)) // => an answer 3
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as delay from "./internal/delay.ts"
import type * as RetryBudget from "./RetryBudget.ts"

/**
 * What an error has to say to be retried by this package. `BedrockError` of `@caprock/errors` has this shape.
 *
 * - `retryable`: the same may succeed after a wait.
 * - `retryableElsewhere`: it may succeed on another target. Not read here; the router does.
 * - `retryAfter`: the shortest wait, where one is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retryable {
  readonly retryable: boolean
  readonly retryableElsewhere: boolean
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * How the wait is drawn from the exponential one, d = min(cap, base × factor^(n−1)) after the n-th failure.
 *
 * - `"full"`: uniform in [0, d]. Spreads best; may try again at once.
 * - `"equal"`: uniform in [d/2, d]. Spreads, and always leaves the server half of the wait.
 * - `"decorrelated"`: uniform in [base, factor × the wait before], at most cap. Forgets the number of failures.
 * - `"none"`: d exactly. For one caller alone.
 *
 * (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015, updated 2023.)
 *
 * @category models
 * @since 0.1.0
 */
export type Jitter = delay.Jitter

/**
 * What ended the tries, where the error itself would have been worth another: their number (`attempts`), the time since the
 * first failure (`elapsed`), the balance of the `budget`, or the `deadline`.
 *
 * @category models
 * @since 0.1.0
 */
export type Limit = delay.Limit

/**
 * The default of each option.
 *
 * @category configuration
 * @since 0.1.0
 */
export const defaults = {
  /** The runbooks' first wait, and where AWS's guidance starts (scaling-throughput-best-practices, 2026). */
  base: Duration.seconds(1),
  /** 1 s, 2 s, 4 s. */
  factor: 2,
  /** The growth that the blog gives for decorrelated jitter. */
  decorrelatedFactor: 3,
  /** The SDK's own ceiling (`MAXIMUM_RETRY_DELAY`, @smithy/core 3.41.0): a third of a one-minute quota window. */
  cap: Duration.seconds(20),
  /** "About" 1 s, 2 s, 4 s: never less than half, so that what throttles is not asked again at once. */
  jitter: "equal",
  /** The first request and three more: the three waits of the runbooks. AWS's guidance allows up to six. */
  attempts: 4,
  /**
   * Five one-minute quota windows. What has not passed by then, or what the server wants to hear of later still, is for
   * a queue and not for a caller who waits.
   */
  elapsed: Duration.minutes(5)
} as const

/**
 * Options of {@link exponential} and {@link retry}: how long to wait, how often, and how long in all.
 *
 * - `base` (1 s): the first wait, before jitter.
 * - `factor` (2; 3 with decorrelated jitter): growth from one wait to the next.
 * - `cap` (20 s): the longest wait, before jitter. What the server asks for (`retryAfter`) is not capped.
 * - `jitter` (`"equal"`): see {@link Jitter}.
 * - `attempts` (4): requests in all, the first included; a fraction counts down to the whole number below. Less than 2
 *   means no retry.
 * - `elapsed` (5 minutes): from the first failure to the start of the last try. A wait that would pass it is not begun.
 * - `budget`: bounds retries across calls, see `RetryBudget`. Asked last, when everything else allows the retry.
 * - `pool`: which balance of the budget; one for all where it is not given.
 *
 * Out of range, a number means the nearest that makes sense: a negative wait is 0, a negative or undefined factor is 0, and
 * `NaN` attempts are none beyond the first.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface Options {
  readonly base?: Duration.Input | undefined
  readonly factor?: number | undefined
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
  readonly attempts?: number | undefined
  readonly elapsed?: Duration.Input | undefined
  readonly budget?: RetryBudget.RetryBudget["Service"] | undefined
  readonly pool?: string | undefined
}

/**
 * Options of {@link retry}.
 *
 * - `deadline`: from when it is run. A wait that would end at it or later is not begun, whatever else allows it. It does not
 *   end an attempt that is under way. None unless set.
 * - `onGiveUp`: told which limit ended the tries, before the last error comes back. Must return at once.
 *
 * @category configuration
 * @since 0.1.0
 */
export interface RetryOptions extends Options {
  readonly deadline?: Duration.Input | undefined
  readonly onGiveUp?: ((limit: Limit) => void) | undefined
}

/**
 * The tries of one call that has several places to go to: one number of attempts, one elapsed limit and one deadline for all of them.
 *
 * - `sent`: a request is sent for the call: the first, another try, one somewhere else, or a second one beside the first.
 * - `next`: after a failure, how long to wait before the next request; `undefined` where there is to be none. `"here"` is another try at
 *   the same place: it waits as {@link exponential} says, by the number of such waits, is not made after an error that is not `retryable`, and
 *   draws on the budget, if there is one: on the balance of `pool`, else on that of the options. `"elsewhere"` waits for nothing and draws on nothing: it is a
 *   first request there, whose place is to be told `budget.deposit`. Whether an error is worth it there is for the caller to know.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tries {
  readonly sent: () => void
  readonly next: (
    error: Retryable,
    how: "here" | "elsewhere",
    pool?: string
  ) => Effect.Effect<Duration.Duration | undefined>
}

const millis = (input: Duration.Input): number => Math.max(0, Duration.toMillis(Duration.fromInputUnsafe(input)))

const policyOf = (options: Options): delay.Policy => {
  const jitter = options.jitter ?? defaults.jitter
  const factor = options.factor ?? (jitter === "decorrelated" ? defaults.decorrelatedFactor : defaults.factor)
  return {
    base: millis(options.base ?? defaults.base),
    factor: Math.max(0, factor || 0),
    cap: millis(options.cap ?? defaults.cap),
    jitter,
    // What is no number allows no retry: it must not mean without end.
    attempts: Math.floor(options.attempts ?? defaults.attempts) || 0,
    elapsed: millis(options.elapsed ?? defaults.elapsed)
  }
}

const monotonic = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** What is done where a limit ends the tries. */
const giveUp = (
  policy: delay.Policy,
  limit: Limit,
  failures: number,
  pool: string | undefined,
  onGiveUp: ((limit: Limit) => void) | undefined
): Effect.Effect<void> => {
  // Who asked for no retry is not told that there was none.
  if (policy.attempts < 2) return Effect.void
  onGiveUp?.(limit)
  return Effect.logWarning("Gave up retrying").pipe(
    Effect.annotateLogs({ limit, failures, ...(pool === undefined ? {} : { pool }) })
  )
}

/** What an error asks for, in milliseconds. */
const hintOf = ({ retryAfter }: Retryable): number | undefined =>
  retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)

/** `deadline`: a moment of the clock's monotonic time, in milliseconds. */
const scheduleOf = (
  options: Options,
  deadline: number,
  onGiveUp: ((limit: Limit) => void) | undefined = undefined
): Schedule.Schedule<Duration.Duration, Retryable> => {
  const policy = policyOf(options)
  const { budget, pool } = options
  const over = Cause.done(Duration.zero)
  const end = (limit: Limit, failures: number) => Effect.andThen(giveUp(policy, limit, failures, pool, onGiveUp), over)
  return Schedule.fromStepWithMetadata(Effect.map(Clock.Clock, (clock) => {
    let previous = policy.base
    return ({ attempt, elapsed, input }: Schedule.InputMetadata<Retryable>) => {
      if (!input.retryable) return over
      return Effect.flatMap(Random.next, (random) => {
        const left = deadline - monotonic(clock)
        const failure = { failures: attempt, sent: attempt, elapsed, retryAfter: hintOf(input), left }
        const decision = delay.decide(policy, failure, previous, random)
        if ("limit" in decision) return end(decision.limit, attempt)
        const wait = Duration.millis(decision.millis)
        previous = decision.previous
        const next: [Duration.Duration, Duration.Duration] = [wait, wait]
        if (budget === undefined) return Effect.succeed(next)
        return Effect.flatMap(
          budget.withdraw(pool),
          (granted) => granted ? Effect.succeed(next) : end("budget", attempt)
        )
      })
    }
  }))
}

/**
 * A schedule that waits exponentially with jitter, never before `retryAfter`, and ends with the attempts, the elapsed
 * time, the budget, or the first error that is not retryable. Its output is the wait.
 *
 * Cost: O(1) per failure. Fails with nothing: `Effect.retry` gives the last error. When it ends on a limit it logs a
 * warning with the limit's name and the number of failures (not where `attempts` allows no retry at all).
 *
 * With a `budget`, deposit once per call yourself (`budget.deposit(pool)`), or use {@link retry}, which does.
 *
 * **Example** (A stream that may be asked again)
 *
 * ```ts
 * import { Backoff } from "@caprock/backoff"
 * import { Console, Stream } from "effect"
 *
 * const busy: Backoff.Retryable = { retryable: true, retryableElsewhere: true }
 * let opened = 0
 * const answer = Stream.suspend(() => ++opened < 3 ? Stream.fail(busy) : Stream.make("blue"))
 *
 * export const main = answer.pipe(Stream.retry(Backoff.exponential()), Stream.runForEach((text) => Console.log(text))) // => blue
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const exponential = (options: Options = {}): Schedule.Schedule<Duration.Duration, Retryable> =>
  scheduleOf(options, Infinity)

/**
 * {@link exponential} with every default: about 1 s, 2 s, 4 s, then stop; at most 4 requests.
 *
 * @category schedules
 * @since 0.1.0
 */
export const defaultSchedule: Schedule.Schedule<Duration.Duration, Retryable> = exponential()

/**
 * Runs an effect, and again after its retryable failures, as {@link exponential} says. With a `budget`, the call's first
 * attempt pays into it.
 *
 * Fails with the effect's last error. Interrupting it interrupts the wait.
 *
 * @category retrying
 * @since 0.1.0
 */
export const retry: {
  (options?: RetryOptions): <A, E extends Retryable, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E extends Retryable, R>(self: Effect.Effect<A, E, R>, options?: RetryOptions): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E extends Retryable, R>(self: Effect.Effect<A, E, R>, options: RetryOptions = {}): Effect.Effect<A, E, R> => {
    const { budget, deadline, onGiveUp, pool } = options
    // What does not fail needs no schedule.
    const retriedBy = (deadline: number) =>
      Effect.catch(self, (error) => {
        let failed: Effect.Effect<A, E, R> | undefined = Effect.fail(error)
        const again = Effect.suspend(() => {
          const next = failed ?? self
          failed = undefined
          return next
        })
        return Effect.retry(again, scheduleOf(options, deadline, onGiveUp))
      })
    const retried = deadline === undefined
      ? retriedBy(Infinity)
      : Effect.flatMap(Clock.Clock, (clock) => retriedBy(monotonic(clock) + millis(deadline)))
    return budget === undefined ? retried : Effect.andThen(budget.deposit(pool), retried)
  }
)

/**
 * Begins the tries of a call that has several places to go to, with a deadline that counts from now. It sends and sleeps nothing by
 * itself. See {@link Tries}; with one place, use {@link retry}.
 *
 * **Example** (Two places, and three requests in all)
 *
 * ```ts
 * import { Backoff } from "@caprock/backoff"
 * import { Console, Duration, Effect } from "effect"
 *
 * const busy: Backoff.Retryable = { retryable: true, retryableElsewhere: true }
 *
 * export const main = Effect.gen(function*() {
 *   const tries = yield* Backoff.begin({ attempts: 3, jitter: "none" })
 *   for (const how of ["elsewhere", "here", "here"] as const) {
 *     tries.sent()
 *     const wait = yield* tries.next(busy, how)
 *     yield* Console.log(how, wait === undefined ? "no more" : Duration.format(wait))
 *   }
 * })
 * // => elsewhere 0
 * // => here 1s
 * // => here no more
 * ```
 *
 * @category retrying
 * @since 0.1.0
 */
export const begin = (options: RetryOptions = {}): Effect.Effect<Tries> =>
  Effect.map(Clock.Clock, (clock) => {
    const policy = policyOf(options)
    // From one place to another there is nothing to wait for.
    const atOnce: delay.Policy = { ...policy, base: 0, cap: 0, jitter: "none" }
    const { budget, onGiveUp } = options
    const deadline = options.deadline === undefined ? Infinity : monotonic(clock) + millis(options.deadline)
    let sent = 0
    let failures = 0
    let firstAt: number | undefined
    let previous = policy.base
    const next: Tries["next"] = (error, how, pool = options.pool) =>
      Effect.flatMap(Random.next, (random) => {
        const isHere = how === "here"
        if (isHere && !error.retryable) return Effect.undefined
        const now = monotonic(clock)
        firstAt ??= now
        const decision = delay.decide(
          isHere ? policy : atOnce,
          {
            failures: isHere ? failures + 1 : 1,
            sent,
            elapsed: now - firstAt,
            retryAfter: isHere ? hintOf(error) : undefined,
            left: deadline - now
          },
          previous,
          random
        )
        const end = (limit: Limit) => Effect.as(giveUp(policy, limit, sent, pool, onGiveUp), undefined)
        if ("limit" in decision) return end(decision.limit)
        const wait = Effect.succeed(Duration.millis(decision.millis))
        if (!isHere) return wait
        failures++
        previous = decision.previous
        return budget === undefined
          ? wait
          : Effect.flatMap(budget.withdraw(pool), (granted) => granted ? wait : end("budget"))
      })
    return {
      sent: () => {
        sent++
      },
      next
    }
  })
