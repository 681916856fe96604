// What all calls of a layer share, assembled from its context; and how a pool stands there.
import * as RetryBudget from "@caprock/backoff/RetryBudget"
import * as Settings from "@caprock/client/Settings"
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Reason from "@caprock/errors/Reason"
import * as Catalogue from "@caprock/quota/Catalogue"
import * as RateLimiter from "@caprock/rate-limiter/RateLimiter"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CallOptions, Snapshot } from "../Bedrock.ts"
import { Accountant } from "./accountant.ts"
import { type Desk, placeOf, subjectOf } from "./calls.ts"
import { Counters } from "./counting.ts"
import { failure, fromLimiter } from "./failures.ts"
import { monotonic } from "./limits.ts"
import * as listening from "./listening.ts"
import * as questions from "./questions.ts"

/** Of options that were checked. @internal */
export const make = Effect.fnUntraced(function*(
  region: string | undefined,
  options: CallOptions
): Effect.fn.Return<Desk, never, RateLimiter.RateLimiter | RetryBudget.RetryBudget> {
  const clock = yield* Clock.Clock
  return {
    region,
    account: options.account,
    resolve: options.resolve,
    catalogue: yield* Catalogue.Current,
    places: new Map(),
    limiter: yield* RateLimiter.RateLimiter,
    accountant: new Accountant(() => monotonic(clock)),
    budget: yield* RetryBudget.RetryBudget,
    backoff: options.backoff,
    limits: { deadline: millisOf(options.deadline), maxWait: millisOf(options.maxWait) },
    countThrottled: options.countThrottled ?? true,
    teller: listening.teller(new WeakSet()),
    counters: new Counters()
  }
})

const millisOf = (limit: Duration.Input | undefined): number =>
  limit === undefined ? Infinity : Settings.millisOf(limit)

/** @internal */
export const unknownRoute = (desk: Desk, modelId: string | undefined): BedrockError =>
  failure(
    { operation: "Describe", modelId: modelId ?? "", region: desk.region },
    new Reason.ValidationError({ kind: "unknown-model", message: `There is no route ${modelId ?? "without a name"}.` })
  )

/** @internal */
export const snapshot = (desk: Desk, modelId: string): Effect.Effect<Snapshot, BedrockError> =>
  Effect.suspend(() => {
    const question = questions.snapshot(modelId)
    const place = placeOf(desk, question)
    if (Result.isFailure(place)) return Effect.fail(place.failure)
    const { pool: key } = place.success
    return desk.limiter.snapshot(key).pipe(
      Effect.mapError((error) => fromLimiter(subjectOf(desk, question), error)),
      Effect.map((snapshot) => ({ ...snapshot, pool: key, advice: desk.accountant.advice(key) }))
    )
  })
