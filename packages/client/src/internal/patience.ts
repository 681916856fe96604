import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Timeouts from "../Timeouts.ts"

/**
 * Milliseconds; `Infinity` for none.
 *
 * @internal
 */
export interface Limits {
  readonly connect: number
  readonly firstToken: number
  readonly betweenTokens: number
  readonly call: number
}

/** @internal */
export const limitsOf = (timeouts: Timeouts.Timeouts | undefined, defaults: Required<Timeouts.Timeouts>): Limits => {
  const millis = (key: keyof Timeouts.Timeouts): number =>
    Duration.toMillis(Duration.fromInputUnsafe(timeouts?.[key] ?? defaults[key] ?? Duration.infinity))
  return {
    connect: millis("connect"),
    firstToken: millis("firstToken"),
    betweenTokens: millis("betweenTokens"),
    call: millis("call")
  }
}

/** @internal */
export interface Expired {
  readonly kind: Timeouts.Kind
  /** The limit as it was set, in milliseconds. */
  readonly millis: number
}

/**
 * What is left of one call's patience. Only waiting uses it up.
 *
 * @internal
 */
export class Patience {
  readonly #limits: Limits
  #waited = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Lets `effect` take as long as the rarest of the limits that hold now; `expired` says which one that was. */
  wait<A, E, R>(
    content: boolean,
    effect: Effect.Effect<A, E, R>,
    expired: (expired: Expired) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.clockWith((clock) => {
      const { betweenTokens, call, firstToken } = this.#limits
      const near = content ? betweenTokens : firstToken - this.#waited
      const far = call - this.#waited
      const duration = Math.min(near, far)
      const started = clock.monotonicTimeNanosUnsafe()
      const waiting = duration === Infinity ? effect : Effect.timeoutOrElse(effect, {
        duration,
        orElse: () =>
          expired(
            far < near
              ? { kind: "call", millis: call }
              : content
              ? { kind: "between-tokens", millis: betweenTokens }
              : { kind: "first-token", millis: firstToken }
          )
      })
      return Effect.map(waiting, (value) => {
        this.#waited += Number(clock.monotonicTimeNanosUnsafe() - started) / 1e6
        return value
      })
    })
  }
}
