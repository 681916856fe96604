// Who listens to a limiter: nothing is made for nobody.
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { LimiterEvent } from "../LimiterEvent.ts"

/** Tells those who listen, if there are any. */
export type Tell = (event: () => LimiterEvent) => void

/** So many events a listener may be behind; then it misses the oldest. */
const mostBehind = 4_096

/** @internal */
export const make = (): { readonly tell: Tell; readonly events: Stream.Stream<LimiterEvent> } => {
  const listeners = new Set<(event: LimiterEvent) => void>()
  return {
    tell: (event) => {
      if (listeners.size === 0) return
      const told = event()
      for (const listener of listeners) listener(told)
    },
    events: Stream.callback<LimiterEvent>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const listener = (event: LimiterEvent): void => {
            Queue.offerUnsafe(queue, event)
          }
          listeners.add(listener)
          return listener
        }),
        (listener) => Effect.sync(() => listeners.delete(listener))
      ), { bufferSize: mostBehind, strategy: "sliding" })
  }
}
