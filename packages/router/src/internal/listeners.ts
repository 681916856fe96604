// Who listens to the router: nothing is made for nobody.
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** Tells those who listen, if there are any. */
export type Tell<Event> = (event: () => Event) => void

/** So many events a listener may be behind; then it misses the oldest. */
const mostBehind = 4_096

/** @internal */
export const make = <Event>(): { readonly tell: Tell<Event>; readonly events: Stream.Stream<Event> } => {
  const listeners = new Set<(event: Event) => void>()
  return {
    tell: (event) => {
      if (listeners.size === 0) return
      const told = event()
      for (const listener of listeners) listener(told)
    },
    events: Stream.callback<Event>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const listener = (event: Event): void => {
            Queue.offerUnsafe(queue, event)
          }
          listeners.add(listener)
          return listener
        }),
        (listener) => Effect.sync(() => listeners.delete(listener))
      ), { bufferSize: mostBehind, strategy: "sliding" })
  }
}
