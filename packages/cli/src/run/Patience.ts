/**
 * Whether a line that was throttled through all tries of its call is asked again: no line ends in a throttle as long as others of
 * its model are answered. How many go at once, and when, is for the limiter alone, which learns from each throttle; this owns nothing
 * but how long each model has been throttled without an answer.
 *
 * @since 0.1.0
 */
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * What becomes of a line that was throttled.
 *
 * - `Again`: it is to be asked again after `pause`; `first` when nothing of its model had been throttled since the last answer.
 * - `GivenUp`: its model has answered nothing for so long that nothing more can be expected.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict =
  | { readonly _tag: "Again"; readonly first: boolean; readonly pause: Duration.Duration }
  | { readonly _tag: "GivenUp" }

/**
 * @category models
 * @since 0.1.0
 */
export interface Patience {
  readonly answered: (model: string) => void
  /** `times`: how often this line has been throttled before. */
  readonly throttled: (model: string, times: number) => Effect.Effect<Verdict>
}

/**
 * Milliseconds without an answer after which a model is given up: longer than a minute, after which any quota per minute is free again,
 * by a good part of the longest pause.
 *
 * @category constants
 * @since 0.1.0
 */
export const longestMillis = 100_000

const firstPauseMillis = 1_000
const longestPauseMillis = 30_000

/**
 * Lines may name any number of models: one is forgotten with its first answer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (now: () => number): Patience => {
  const throttledSince = new Map<string, number>()
  return {
    answered: (model) => {
      throttledSince.delete(model)
    },
    throttled: (model, times) =>
      Effect.map(Random.next, (share) => {
        const at = now()
        const since = throttledSince.get(model)
        if (since === undefined) throttledSince.set(model, at)
        else if (at - since >= longestMillis) return { _tag: "GivenUp" }
        // Between half and the whole of it, so that those that were throttled together do not come back together.
        const longest = Math.min(longestPauseMillis, firstPauseMillis * 2 ** times)
        return { _tag: "Again", first: since === undefined, pause: Duration.millis(longest * (1 + share) / 2) }
      })
  }
}

/**
 * Whether an error is a throttle that passes within minutes. The day's tokens don't.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPassing = ({ reason }: BedrockError): boolean =>
  reason._tag === "ThrottlingError" && reason.limit !== "tokens-per-day"
