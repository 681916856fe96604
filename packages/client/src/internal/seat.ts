// A place among the connections, which a call has before its request is made: what is signed and waits then is signed too early.
import type { BedrockError } from "@caprock/errors/BedrockError"
import * as Effect from "effect/Effect"
import type { Call } from "./call.ts"
import type { Failures } from "./failures.ts"
import type { Patience } from "./patience.ts"

/** What gives places. A call has at most one, and gives back what its request did not use. */
export interface Seats {
  /** Takes one where one is free. */
  readonly seat: (call: Call) => boolean
  /** Waits for one, behind those who wait already. */
  readonly queue: (call: Call) => Promise<void>
}

/**
 * What is done once a call has its place. A signature is good for some minutes, and so may the credentials be that were found for
 * it: behind long streams a request waits for longer than that.
 *
 * @internal
 */
export const seated =
  (seats: Seats, call: Call, patience: Patience, failures: Failures) =>
  <A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E | BedrockError> =>
    Effect.suspend(() =>
      seats.seat(call) ? next : patience.wait<void, A, E | BedrockError>({
        promise: () => seats.queue(call),
        content: false,
        onValue: () => next,
        onError: (cause) => Effect.fail(failures.fromUnknown(cause)),
        onExpired: (expired) => Effect.fail(failures.expired(expired))
      })
    )
