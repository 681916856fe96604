/**
 * What a failed call gives back of what it had booked: one stated policy, as a table. The reasons are in
 * docs/decisions/0003.
 *
 * @since 0.1.0
 */
import type { Reason } from "@caprock/errors/Reason"

/**
 * - `everything`: the server can't have counted it.
 * - `tokens`: the request was counted, its tokens were not taken.
 * - `output`: it was begun, so that its input may have been taken, and no output was made.
 * - `nothing`: the server may have charged all of it.
 *
 * @category models
 * @since 0.1.0
 */
export type GivesBack = "everything" | "tokens" | "output" | "nothing"

/**
 * What a request that was sent gives back when it fails with a reason. One that was never sent gives back everything.
 *
 * @category table
 * @since 0.1.0
 */
export const table: Readonly<Record<Reason["_tag"], GivesBack>> = {
  ThrottlingError: "tokens",
  ValidationError: "tokens",
  AccessError: "tokens",
  NotFoundError: "tokens",
  ResourceQuotaError: "tokens",
  ConflictError: "tokens",
  ServerError: "nothing",
  TransportError: "nothing",
  TimeoutError: "nothing",
  InterruptedStreamError: "nothing",
  // Sent, and its client was closed before the answer: like an interruption.
  AdmissionError: "nothing",
  UnknownError: "nothing"
}

/**
 * What an attempt gives back. O(1).
 *
 * `begun`: the server had answered that the request succeeded, and refused it within the answer, as an exception in a stream does.
 *
 * **Example** (A throttle gives its tokens back, a reset does not)
 *
 * ```ts
 * import { Refund } from "@caprock/bedrock"
 * import { Reason } from "@caprock/errors"
 *
 * const throttle = new Reason.ThrottlingError({ limit: "tokens", message: "Too many tokens" })
 * const reset = new Reason.TransportError({ kind: "reset", message: "socket hang up" })
 * console.log(Refund.of(throttle, true), Refund.of(reset, true), Refund.of(reset, false)) // => tokens nothing everything
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const of = (reason: Reason, sent: boolean, begun = false): GivesBack => {
  if (!sent) return "everything"
  const back = table[reason._tag]
  return back === "tokens" && begun ? "output" : back
}
