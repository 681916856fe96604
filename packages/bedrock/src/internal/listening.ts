// Telling the listener of a call what happens, whatever it does then.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type CallEvent, CallEvents } from "../CallEvents.ts"

type Listener = (event: CallEvent) => void

/** Tells the listener of a call; `undefined` where nobody listens, so that no event has to be made. */
export type Tell = Listener | undefined

/** What nobody has set. */
const nobody = CallEvents.defaultValue()

/**
 * What tells the listener of a call, and the one place where it is called. One that throws loses that event and nothing else: the
 * call goes on, and its books stay in order. It is said once for each listener that is not in `reported` yet, as a warning
 * with the cause, in the context of the call.
 *
 * @internal
 */
export const teller = (reported: WeakSet<Listener>) => (context: Context.Context<never>): Tell => {
  const listener = Context.get(context, CallEvents)
  if (listener === nobody) return undefined
  return (event) => {
    try {
      listener(event)
    } catch (cause) {
      if (reported.has(listener)) return
      reported.add(listener)
      Effect.runForkWith(context)(
        Effect.logWarning(
          `A CallEvents listener threw on ${event._tag}. The call goes on; it is not said again.`,
          cause
        )
      )
    }
  }
}
