/**
 * What is done when no target can answer: an answer that is ready, a smaller model, or "try again in so many seconds", as plain Effects.
 *
 * **Example** (Users are told when to come back, jobs are not)
 *
 * ```ts
 * import { LastResort } from "@caprock/router"
 * import { Console, Duration, Effect } from "effect"
 *
 * const lastResort: LastResort.LastResort<string, string, never> = LastResort.onlyFor(
 *   ({ ask }) => ask.priority === "interactive",
 *   LastResort.tryAgain((after) => Effect.succeed(`Please try again in ${Math.ceil(Duration.toSeconds(after))} seconds.`))
 * )
 *
 * const ask = { input: 100, output: 200, needs: [], leftMillis: 5_000, priority: "interactive" } as const
 * const account = {
 *   route: "chat",
 *   target: undefined,
 *   trials: [],
 *   waitedMillis: 0,
 *   usd: undefined,
 *   adapted: [],
 *   hedged: false,
 *   rejected: false,
 *   lastResort: true,
 *   attempts: 0
 * }
 * const reason = { route: "chat", ask, error: "full", retryAfter: Duration.seconds(12), excluded: [], account }
 *
 * export const main = Effect.flatMap(lastResort(reason), (answer) => Console.log(answer)) // => Please try again in 12 seconds.
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Account } from "./Account.ts"
import type { Ask, Exclusion } from "./Decision.ts"
import type { RouterError } from "./RouterError.ts"

/**
 * Why no target answered.
 *
 * - `error`: the most telling of all that went wrong.
 * - `retryAfter`: when to try again at the soonest, as far as anything tells: the first of the targets to admit, to be well, or to be asked again.
 * - `excluded`: why each of the targets was not tried, or not again.
 * - `account`: what was tried.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exhausted<E> {
  readonly route: string
  readonly ask: Ask
  readonly error: E | RouterError
  readonly retryAfter: Duration.Duration | undefined
  readonly excluded: ReadonlyArray<Exclusion>
  readonly account: Account
}

/**
 * What is done then. It fails with the reason's own `error` where it has nothing better.
 *
 * @category models
 * @since 0.1.0
 */
export type LastResort<A, E, R> = (reason: Exhausted<E>) => Effect.Effect<A, E | RouterError, R>

/** Where nothing tells when it will be better: about when a limit of a minute has moved on by a part, and nobody has left yet. */
const unknownWait = Duration.seconds(10)

/**
 * Says when to try again. 10 seconds where nobody knows.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tryAgain =
  <A, E, R>(answer: (after: Duration.Duration) => Effect.Effect<A, E, R>) =>
  ({ retryAfter }: { readonly retryAfter: Duration.Duration | undefined }): Effect.Effect<A, E, R> =>
    answer(retryAfter ?? unknownWait)

/**
 * A last resort for some calls only, such as those of a class: the others fail with what went wrong.
 *
 * @category combinators
 * @since 0.1.0
 */
export const onlyFor = <A, E, R>(
  isFor: (reason: Exhausted<E>) => boolean,
  lastResort: LastResort<A, E, R>
): LastResort<A, E, R> =>
(reason) => isFor(reason) ? lastResort(reason) : Effect.fail(reason.error)
