// The limiter around a request of any provider: what its errors mean for what was booked, and for another try.
import type * as Backoff from "@caprock/backoff/Backoff"
import type { Cost } from "@caprock/rate-limiter/Cost"
import type { RateLimiter } from "@caprock/rate-limiter/RateLimiter"
import type { RateLimiterError } from "@caprock/rate-limiter/RateLimiterError"
import type { Reservation } from "@caprock/rate-limiter/Reservation"
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as AiErrors from "../AiErrors.ts"

/** A failure as the backoff reads it. */
export interface Failure extends Backoff.Retryable {
  readonly error: AiError.AiError
}

type Asked = Omit<Cost, "pool" | "requests" | "book"> & { readonly requests?: number | undefined }

/** What another provider need not have. Of what was made of Bedrock's errors, those know it better. */
const elsewhere: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set([
  "RateLimitError",
  "QuotaExhaustedError",
  "InternalProviderError",
  "NetworkError",
  "AuthenticationError"
])

/** What was refused before it was computed. */
const refusals: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set([
  "RateLimitError",
  "QuotaExhaustedError",
  "AuthenticationError",
  "InvalidRequestError",
  "ContentPolicyError",
  "UnsupportedSchemaError",
  "ToolConfigurationError"
])

/** `begun`: the caller has some of the answer already. */
const failureOf = (error: AiError.AiError, begun = false): Failure => ({
  error,
  retryable: !begun && error.isRetryable,
  retryableElsewhere: !begun && Option.match(AiErrors.toBedrock(error), {
    onNone: () => elsewhere.has(error.reason._tag),
    onSome: ({ retryableElsewhere }) => retryableElsewhere
  }),
  retryAfter: error.retryAfter
})

/** The limiter in front of one pool. */
export const make = (limiter: RateLimiter["Service"], pool: string) => {
  const reserve = ({ requests = 1, ...asked }: Asked) =>
    limiter.reserve({ pool, requests, ...asked }).pipe(
      Effect.catch((error) => Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(refused(error, now)))),
      Effect.tap(({ sentUnsafe }) => Effect.sync(sentUnsafe))
    )

  /** What it gives back. What may have been computed stays as booked. */
  const failed = (reservation: Reservation, { reason }: AiError.AiError): Effect.Effect<void> => {
    if (reason._tag === "RateLimitError") {
      return Effect.andThen(limiter.throttled(pool), reservation.settle({ tokens: 0, refused: true }))
    }
    return refusals.has(reason._tag) ? reservation.settle({ tokens: 0 }) : Effect.void
  }

  const settled = (reservation: Reservation, tokens: number | undefined, servedFor?: Duration.Duration) =>
    // What nobody told stays as booked.
    reservation.settle({ tokens: tokens ?? NaN, servedFor })

  return {
    /** A request that is answered in one piece. */
    limited: <A>(
      asked: Asked,
      call: Effect.Effect<A, AiError.AiError>,
      tokensOf: (answer: A) => number | undefined
    ): Effect.Effect<A, Failure> =>
      Effect.flatMap(reserve(asked), (reservation) =>
        call.pipe(
          Effect.tapError((error) => failed(reservation, error)),
          Effect.tap((answer) => settled(reservation, tokensOf(answer)))
        )).pipe(Effect.scoped, Effect.mapError((error) => failureOf(error))),

    /** A stream. What tells nothing is held back until there is content: until then it may be asked for again. */
    streamed: <A extends Response.StreamPartEncoded>(
      asked: Asked,
      parts: Stream.Stream<A, AiError.AiError>,
      tokensOf: (part: A) => number | undefined
    ): Stream.Stream<A, Failure> => {
      let begun = false
      const held: Array<A> = []
      return Stream.unwrap(Effect.gen(function*() {
        const reservation = yield* reserve(asked)
        let first: number | undefined
        const watched = Effect.fnUntraced(function*(parts: ReadonlyArray<A>) {
          const now = yield* Clock.currentTimeMillis
          first ??= now
          for (const part of parts) {
            const tokens = tokensOf(part)
            if (tokens !== undefined) yield* settled(reservation, tokens, Duration.millis(now - first))
          }
          begun ||= parts.some(({ type }) => type !== "response-metadata")
          held.push(...parts)
          return begun ? held.splice(0) : []
        })
        return parts.pipe(
          Stream.tapError((error) => failed(reservation, error)),
          Stream.chunks,
          Stream.mapEffect(watched),
          Stream.filter((parts) => parts.length > 0),
          Stream.flattenIterable,
          Stream.concat(Stream.suspend(() => Stream.fromIterable(held.splice(0))))
        )
      })).pipe(Stream.mapError((error) => failureOf(error, begun)))
    }
  }
}

/** Why the limiter did not admit it, in the words of `effect/ai`. */
const refused = ({ message, pool, reason }: RateLimiterError, now: number): AiError.AiError => {
  const made = (reason: AiError.AiErrorReason) => AiError.make({ module: "Resilient", method: "reserve", reason })
  const metadata = { limiter: { pool, reason: reason._tag, message } }
  const exhausted = (wait: Duration.Duration) =>
    made(
      new AiError.QuotaExhaustedError({
        // None where the wait is longer than dates go: a pool may be parked for ever.
        resetAt: Option.getOrUndefined(DateTime.make(now + Duration.toMillis(wait))),
        metadata
      })
    )
  switch (reason._tag) {
    case "WaitTooLong":
    case "RoomFull":
      return exhausted(reason.predicted)
    case "PoolParked":
      return exhausted(reason.remaining)
    case "CostExceedsLimit":
      return made(
        new AiError.InvalidRequestError({
          parameter: "prompt",
          constraint: "exceeds the quota",
          description: message,
          metadata
        })
      )
    case "StoreUnavailable":
      return made(new AiError.InternalProviderError({ description: message, metadata }))
    default:
      return made(new AiError.UnknownError({ description: message, metadata }))
  }
}
